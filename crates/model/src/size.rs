//! Machine sizes: what one machine of a kind has and costs.

/// A machine size as its provider's catalogue describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineSize {
    /// Canonical spelling.
    pub name: String,
    /// Quota family.
    pub family: String,
    /// Virtual processors.
    pub vcpus: u32,
    /// Physical cores.
    pub cores: u32,
    /// Virtual processors that one machine takes from the quota.
    pub quota_vcpus: u32,
    /// Main memory, bytes.
    pub memory_bytes: u64,
    /// GPUs.
    pub gpus: u32,
    /// GPU model, empty without GPUs.
    pub gpu_model: String,
    /// Has an RDMA fabric.
    pub infiniband: bool,
    /// Retail price, US dollars per hour; absent when unknown.
    pub price_hour: Option<f64>,
    /// Spot price, US dollars per hour; absent when unknown.
    pub price_hour_spot: Option<f64>,
}
