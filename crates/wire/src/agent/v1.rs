//! Version 1 of the agent protocol.

use serde::{Deserialize, Serialize};

/// Version number that an agent of this build speaks. Servers refuse newer ones with [`Refusal`] code
/// `unsupported_protocol`.
pub const PROTOCOL: u32 = 1;

/// First call of an agent: exchanges a join token for a credential of its own.
///
/// Idempotent on (`join token`, `instance`): an agent that lost the answer asks again with the same `instance`
/// and gets a fresh credential; the same token with another `instance` is refused when the token is single-use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Enroll {
    /// Protocol version the agent speaks.
    pub protocol: u32,
    /// Version of the agent program, for people.
    pub agent_version: String,
    /// Random id the agent made and saved before its first call; survives restarts.
    pub instance: String,
    /// The machine's own id (`/etc/machine-id` or the provider's name for it).
    pub machine_id: String,
    /// Agent's clock, microseconds since 1970 UTC; the server reports its own back, and trusts no moment of an agent's
    /// clock but by how far it is from this one.
    pub clock_us: i64,
    /// What the machine is.
    pub facts: Facts,
    /// Outcome of prechecks, empty when none were run.
    #[serde(default)]
    pub prechecks: Vec<Precheck>,
}

/// Answer to [`Enroll`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Node this agent now stands for.
    pub node_id: String,
    /// Name of that node.
    pub node_name: String,
    /// Cluster the node belongs to.
    pub cluster: String,
    /// Bearer credential for beats; shown once.
    pub credential: String,
    /// Server's clock, microseconds since 1970 UTC.
    pub clock_us: i64,
    /// First goals.
    pub goals: Goals,
}

/// What an agent sees, posted every `beat_interval_ms` with jitter, and at once when something changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Beat {
    /// Protocol version the agent speaks.
    pub protocol: u32,
    /// Number of this beat since the agent program started, from 1.
    pub sequence: u64,
    /// Agent's clock, microseconds since 1970 UTC; what the server keeps of the beat is dated by how far it is from this.
    pub clock_us: i64,
    /// Epoch of the goals the agent is carrying out; 0 when it has none.
    pub epoch_seen: i64,
    /// How long the server may hold the call while goals stay the same, milliseconds, at most 60,000.
    #[serde(default)]
    pub wait_ms: u32,
    /// Facts, sent when they changed since the last acknowledged beat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    /// Latest measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    /// Progress of the initialisation scripts.
    pub init: Init,
    /// Epoch whose drain the agent has completed, 0 when none.
    #[serde(default)]
    pub drained_epoch: i64,
}

/// What an agent should bring about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Goals {
    /// Grows with every change; an agent ignores goals older than those it has.
    pub epoch: i64,
    /// What to do with this machine.
    pub wish: Wish,
    /// Scripts to run once per `init_run`, in order.
    #[serde(default)]
    pub scripts: Vec<Script>,
    /// Identity of the initialisation: an agent that has completed this run does not run scripts again.
    pub init_run: String,
    /// Time between beats, milliseconds.
    pub beat_interval_ms: u32,
}

/// What a machine is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Initialise and keep running.
    Run,
    /// Finish: stop children, flush, report `drained_epoch`; the machine will be stopped or released next.
    Drain,
    /// Stay registered, change nothing (a discovered host that nobody has work for yet).
    Stand,
}

/// One initialisation script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Name for people, unique in the list.
    pub name: String,
    /// Text of the script; run with `/bin/sh` unless its first line names another interpreter.
    pub body: String,
    /// Longest run, milliseconds; then its process group is killed.
    pub timeout_ms: u64,
}

/// Progress of initialisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Init {
    /// `init_run` this speaks of, empty before the first goals.
    pub run: String,
    /// How far it is.
    pub state: InitState,
    /// One entry per script that has started.
    #[serde(default)]
    pub scripts: Vec<ScriptResult>,
}

/// How far initialisation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitState {
    /// Nothing has run yet.
    Pending,
    /// A script is running.
    Running,
    /// All scripts ended with status 0 (or there were none).
    Done,
    /// A script failed or ran too long; later ones were not started.
    Failed,
}

/// How one script went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptResult {
    /// Name from [`Script`].
    pub name: String,
    /// Exit status; absent while running, or when killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// True when the time limit ended it.
    #[serde(default)]
    pub timed_out: bool,
    /// Wall time so far, milliseconds.
    pub duration_ms: u64,
    /// Last 16 KiB of standard output and error together, lossy UTF-8.
    pub output_tail: String,
}

/// What a machine is. Everything that could not be found out is absent, never zero.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Host name the machine reports, without domain.
    #[serde(default)]
    pub hostname: String,
    /// `x86_64`, `aarch64`.
    #[serde(default)]
    pub architecture: String,
    /// Kernel release.
    #[serde(default)]
    pub kernel: String,
    /// Distribution and version, from `PRETTY_NAME` of os-release.
    #[serde(default)]
    pub os: String,
    /// CPU model name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_model: Option<String>,
    /// Logical processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Physical cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Main memory, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Block devices.
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// Network interfaces with their addresses.
    #[serde(default)]
    pub nics: Vec<Nic>,
    /// GPUs, empty without a driver.
    #[serde(default)]
    pub gpus: Vec<Gpu>,
    /// Version of the GPU driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_driver: Option<String>,
    /// Why GPU facts could not be read though a driver is present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_error: Option<String>,
    /// Boot time of the machine, microseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booted_us: Option<i64>,
}

/// A block device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Kernel name, e.g. `nvme0n1`.
    pub name: String,
    /// Size, bytes.
    pub size_bytes: u64,
    /// True for spinning disks.
    pub rotational: bool,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Kernel name.
    pub name: String,
    /// Hardware address, lower-case hex with colons; empty when it has none.
    #[serde(default)]
    pub mac: String,
    /// Addresses with prefix length, e.g. `10.1.0.5/24`.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Speed in megabits per second when the driver tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_mbps: Option<u32>,
}

/// A GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Index on the node, from 0.
    pub index: u32,
    /// The vendor's unique id.
    pub uuid: String,
    /// Product name, e.g. `NVIDIA H100 80GB HBM3`.
    pub model: String,
    /// Memory, bytes.
    pub memory_bytes: u64,
}

/// One measurement of a machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was taken, microseconds since 1970 UTC.
    pub at_us: i64,
    /// Busy share of all processors since the last sample, 0 to 1; absent in the first sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_busy: Option<f64>,
    /// Load average over one minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_1m: Option<f64>,
    /// Memory not available to new programs, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<u64>,
    /// Used bytes of the root file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_used_bytes: Option<u64>,
    /// Size of the root file system, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_size_bytes: Option<u64>,
    /// Bytes read from disks since boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_read_bytes: Option<u64>,
    /// Bytes written to disks since boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_written_bytes: Option<u64>,
    /// Bytes received on all interfaces but loopback since boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_received_bytes: Option<u64>,
    /// Bytes sent on all interfaces but loopback since boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_sent_bytes: Option<u64>,
    /// Per GPU.
    #[serde(default)]
    pub gpus: Vec<GpuSample>,
}

/// One measurement of a GPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuSample {
    /// Index as in [`Gpu`].
    pub index: u32,
    /// Share of time a kernel ran, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy: Option<f64>,
    /// Memory in use, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<u64>,
    /// Power draw, watts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_watts: Option<f64>,
    /// Temperature, degrees Celsius.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_celsius: Option<f64>,
}

/// One precheck of a host before it is provisioned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Precheck {
    /// Short id, e.g. `P2`.
    pub id: String,
    /// What was checked, for people.
    pub name: String,
    /// True when it passed.
    pub passed: bool,
    /// True when failing it forbids enrolment.
    pub hard: bool,
    /// What was found.
    pub detail: String,
}

/// Body of every answer of the agent protocol that is not 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Machine-readable reason: `token_expired`, `token_used`, `token_unknown`, `credential_revoked`,
    /// `unsupported_protocol`, `wrong_cluster`, `not_declared`, `invalid`, `unavailable`.
    pub code: String,
    /// For people: what happened, why, what to do.
    pub message: String,
    /// True when the same call may succeed later.
    pub retryable: bool,
}
