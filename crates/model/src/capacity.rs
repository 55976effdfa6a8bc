//! Capacity arithmetic: what counts against which limit, and how many more nodes fit.
//!
//! Two kinds of counting stand side by side. *Active* nodes (wanted started) count against the limits that people set:
//! cluster, pool, bucket, placement group, in cores of the node. *Consuming* nodes (a machine exists or may exist)
//! count against the provider's quota: family and region, or the region's spot quota, in cores of the quota.
//! Totals are kept running and changed in the transaction that changes a node, so a quota is a reservation.

use std::{collections::BTreeMap, fmt};

use crate::{
    id::{ClusterId, PoolId},
    node::Node,
};

/// Nodes and cores together; signed, since it also holds differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Nodes.
    pub nodes: i64,
    /// Cores.
    pub cores: i64,
}

/// Name of one running total. The order of keys is the order in which they are locked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// Active nodes of a cluster, single ones included.
    #[must_use]
    pub fn cluster(cluster: ClusterId) -> Self {
        Self(format!("c:{cluster}"))
    }

    /// Active nodes of a pool.
    #[must_use]
    pub fn pool(pool: PoolId) -> Self {
        Self(format!("p:{pool}"))
    }

    /// Active nodes of one size of a pool.
    #[must_use]
    pub fn bucket(pool: PoolId, size: &str) -> Self {
        Self(format!("b:{pool}:{size}"))
    }

    /// Active nodes of one placement group of a bucket.
    #[must_use]
    pub fn group(pool: PoolId, size: &str, group: &str) -> Self {
        Self(format!("g:{pool}:{size}:{group}"))
    }

    /// Regular machines of one family in a region of an account.
    #[must_use]
    pub fn family(account: &str, region: &str, family: &str) -> Self {
        Self(format!("f:{account}:{region}:{family}"))
    }

    /// Regular or spot machines in a region of an account.
    #[must_use]
    pub fn region(account: &str, region: &str, spot: bool) -> Self {
        Self(format!("{}:{account}:{region}", if spot { 's' } else { 'r' }))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a pool's machines count against the provider's quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Provider account.
    pub account: String,
    /// Region.
    pub region: String,
    /// Quota family of the machine size.
    pub family: String,
}

/// Everything a node counts in.
#[must_use]
pub fn contributions(node: &Node, place: &Place) -> Vec<(Key, Totals)> {
    let mut all = Vec::with_capacity(6);
    if node.active() {
        let one = Totals { nodes: 1, cores: i64::from(node.cores) };
        all.push((Key::cluster(node.cluster), one));
        if !node.single {
            all.push((Key::pool(node.pool), one));
            all.push((Key::bucket(node.pool, &node.size), one));
            if let Some(group) = &node.placement_group {
                all.push((Key::group(node.pool, &node.size, group), one));
            }
        }
    }
    if node.consuming() {
        let one = Totals { nodes: 1, cores: i64::from(node.quota_cores) };
        all.push((Key::region(&place.account, &place.region, node.spot), one));
        if !node.spot {
            all.push((Key::family(&place.account, &place.region, &place.family), one));
        }
    }
    all
}

/// Differences to running totals, in key order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deltas(BTreeMap<Key, Totals>);

impl Deltas {
    /// Takes away what a node counted before and adds what it counts after.
    pub fn change(&mut self, before: Option<&Node>, after: Option<&Node>, place: &Place) {
        for (node, sign) in [(before, -1), (after, 1)] {
            for (key, totals) in node.map(|node| contributions(node, place)).unwrap_or_default() {
                let sum = self.0.entry(key).or_default();
                sum.nodes += sign * totals.nodes;
                sum.cores += sign * totals.cores;
            }
        }
    }

    /// The difference to one total.
    #[must_use]
    pub fn of(&self, key: &Key) -> Totals {
        self.0.get(key).copied().unwrap_or_default()
    }

    /// All differences that are not zero, in key order.
    pub fn into_changes(self) -> impl Iterator<Item = (Key, Totals)> {
        self.0.into_iter().filter(|(_, totals)| *totals != Totals::default())
    }
}

/// Limits that bear on one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Most nodes of the cluster.
    pub cluster_nodes: u32,
    /// Most cores of the cluster.
    pub cluster_cores: u32,
    /// Most nodes of the pool.
    pub pool_nodes: u32,
    /// Most cores of the pool.
    pub pool_cores: u32,
    /// Cores one node counts for.
    pub cores: u32,
    /// Cores one machine takes from the quota.
    pub quota_cores: u32,
    /// Quota of the family, cores; without meaning for spot.
    pub family_quota: u64,
    /// Quota of the region, cores; the spot quota for spot.
    pub region_quota: u64,
    /// Spot machines.
    pub spot: bool,
    /// Most nodes of one placement group.
    pub group_size: u32,
}

/// What is in use of the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InUse {
    /// Active in the cluster.
    pub cluster: Totals,
    /// Active in the pool.
    pub pool: Totals,
    /// Active in the bucket.
    pub bucket: Totals,
    /// Consumed cores of the family, by everybody.
    pub family_cores: i64,
    /// Consumed cores of the region (spot cores for spot), by everybody.
    pub region_cores: i64,
}

fn fit(cores: u64, each: u32) -> u32 {
    u32::try_from(cores / u64::from(each.max(1))).unwrap_or(u32::MAX)
}

/// Cores of the quota that bears: the region's, and for regular machines also the family's.
#[must_use]
pub fn quota_cores(limits: &Limits) -> u64 {
    if limits.spot { limits.region_quota } else { limits.family_quota.min(limits.region_quota) }
}

/// Machines that fit in `cores` of quota.
#[must_use]
pub fn quota_count(limits: &Limits, cores: u64) -> u32 {
    fit(cores, limits.quota_cores)
}

/// Most nodes of the bucket under all limits that do not move with use.
#[must_use]
pub fn bucket_max_count(limits: &Limits) -> u32 {
    let each = limits.cores.max(1);
    limits
        .pool_nodes
        .min(limits.pool_cores / each)
        .min(limits.cluster_nodes)
        .min(limits.cluster_cores / each)
        .min(quota_count(limits, quota_cores(limits)))
}

/// Room under each limit, in nodes, with the name of the limit.
fn rooms(limits: &Limits, in_use: &InUse) -> Vec<(i64, &'static str)> {
    let (each, quota_each) = (i64::from(limits.cores.max(1)), i64::from(limits.quota_cores.max(1)));
    let left = |limit: u64, used: i64| i64::try_from(limit).unwrap_or(i64::MAX).saturating_sub(used);
    let mut rooms = vec![
        (left(limits.pool_nodes.into(), in_use.pool.nodes), "the node limit of the pool"),
        (left(limits.pool_cores.into(), in_use.pool.cores).div_euclid(each), "the core limit of the pool"),
        (left(limits.cluster_nodes.into(), in_use.cluster.nodes), "the node limit of the cluster"),
        (left(limits.cluster_cores.into(), in_use.cluster.cores).div_euclid(each), "the core limit of the cluster"),
        (left(limits.region_quota, in_use.region_cores).div_euclid(quota_each), "the quota of the region"),
    ];
    if !limits.spot {
        rooms.push((left(limits.family_quota, in_use.family_cores).div_euclid(quota_each), "the quota of the family"));
    }
    rooms
}

/// More nodes that can be made now; none when the bucket is not `open`.
#[must_use]
pub fn available(limits: &Limits, in_use: &InUse, open: bool) -> u32 {
    let least = rooms(limits, in_use).into_iter().map(|(room, _)| room).min().unwrap_or(0);
    if open { u32::try_from(least.max(0)).unwrap_or(u32::MAX) } else { 0 }
}

/// The limit that leaves the least room, in words with its number.
#[must_use]
pub fn tightest(limits: &Limits, in_use: &InUse) -> String {
    let least = rooms(limits, in_use).into_iter().min_by_key(|(room, _)| *room);
    least.map_or_else(String::new, |(room, name)| format!("{name}, which leaves room for {}", room.max(0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits() -> Limits {
        Limits {
            cluster_nodes: 40,
            cluster_cores: 1000,
            pool_nodes: 10_000,
            pool_cores: 1_000_000,
            cores: 4,
            quota_cores: 4,
            family_quota: 300,
            region_quota: 700,
            spot: false,
            group_size: 40,
        }
    }

    fn in_use(pool: (i64, i64), family: i64, region: i64) -> InUse {
        InUse {
            cluster: Totals { nodes: 12, cores: 272 },
            pool: Totals { nodes: pool.0, cores: pool.1 },
            bucket: Totals::default(),
            family_cores: family,
            region_cores: region,
        }
    }

    #[test]
    fn the_worked_example_of_the_demo_cluster_comes_out() {
        let small = Limits { pool_cores: 200, ..limits() };
        assert_eq!(available(&small, &in_use((3, 24), 48, 324), true), 28);
        let large = Limits { cores: 16, quota_cores: 16, ..small };
        assert_eq!(available(&large, &in_use((3, 24), 48, 324), true), 11);
        let hpc = Limits { pool_nodes: 8, cores: 44, quota_cores: 44, family_quota: 352, ..limits() };
        assert_eq!(available(&hpc, &in_use((5, 220), 264, 324), true), 2);
        assert_eq!(bucket_max_count(&hpc), 8);
        let spot = Limits { pool_nodes: 10, cores: 8, quota_cores: 8, region_quota: 100, spot: true, ..limits() };
        assert_eq!(available(&spot, &in_use((2, 16), 0, 16), true), 8);
        assert_eq!(available(&spot, &in_use((2, 16), 0, 16), false), 0);
    }

    #[test]
    fn static_limits_do_not_move_and_round_down() {
        let sample = Limits {
            cluster_nodes: 100,
            cluster_cores: 10_000,
            pool_cores: 500,
            cores: 32,
            quota_cores: 32,
            family_quota: 100,
            region_quota: 10_000,
            ..limits()
        };
        assert_eq!((quota_count(&sample, quota_cores(&sample)), bucket_max_count(&sample)), (3, 3));
        let other = Limits { cores: 44, quota_cores: 44, family_quota: 8800, ..sample };
        assert_eq!((quota_count(&other, quota_cores(&other)), bucket_max_count(&other)), (200, 11));
        let uneven = Limits { cores: 16, quota_cores: 16, pool_cores: 50, ..limits() };
        assert_eq!(bucket_max_count(&uneven), 3);
    }

    proptest! {
        #[test]
        fn making_what_is_available_leaves_nothing_and_exceeds_nothing(
            cluster_nodes in 0u32..200, cluster_cores in 0u32..5000, pool_nodes in 0u32..200, pool_cores in 0u32..5000,
            cores in 1u32..64, quota_cores in 1u32..64, family_quota in 0u64..5000, region_quota in 0u64..5000,
            spot: bool, used in 0i64..50,
        ) {
            let limits = Limits {
                cluster_nodes, cluster_cores, pool_nodes, pool_cores, cores, quota_cores, family_quota, region_quota,
                spot, group_size: 40,
            };
            let with = |nodes: i64| {
                let active = Totals { nodes, cores: nodes * i64::from(cores) };
                let consumed = nodes * i64::from(quota_cores);
                InUse { cluster: active, pool: active, bucket: active, family_cores: consumed, region_cores: consumed }
            };
            let room = available(&limits, &with(used), true);
            prop_assert_eq!(available(&limits, &with(used + i64::from(room)), true), 0);
            prop_assert!(rooms(&limits, &with(used)).iter().all(|(left, _)| i64::from(room) <= (*left).max(0)));
        }
    }
}
