//! The contract between the core and every provider.
//!
//! Deliberately does not know why a machine is wanted, whether it may be had, or what to do when it cannot: those
//! are decisions of the caller. A provider carries out one call and reports what it saw.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::Catalogue;
use crate::error::Error;
use crate::secret::Secret;

/// Our name for a machine, chosen and committed by the caller **before** the first call that mentions it.
/// 1 to 128 characters out of `A-Z a-z 0-9 . _ -`, not beginning with a period.
pub type Token = String;

/// What is known of each token asked for, in that order.
pub type Described = Vec<(Token, Option<Machine>)>;

/// A source of machines.
///
/// **Tokens.** A machine is known by the token its launch carried. A token stands for at most one machine, for ever:
/// launching again with the same token answers with the machine that is already there (whatever its state, also when
/// it is gone) and never makes a second. A token is not used again after its machine was released.
///
/// **Batches.** Every verb takes many tokens and answers each one on its own, in the order asked. A failure of one
/// does not stop the others. An empty batch is no call at all.
///
/// **Who retries.** The caller, and only the caller: an implementation makes one attempt and reports. It does not
/// sleep out a throttle, and it does not hide an answer that never came.
///
/// **Unanswered.** [`ErrorKind::Unanswered`](crate::ErrorKind::Unanswered) means that nobody knows. The effect may
/// have happened, or may happen up to [`Capabilities::settle`] after the call was made. To find out, launch again
/// with the same token, or `describe` it once `settle` has passed.
///
/// **Eventually consistent.** `list` may lack machines launched within `settle` and may still show machines that
/// went within `settle`; `describe` may do the same. `launch`, `stop`, `start` and `release` never act on stale views.
///
/// **When "gone" is certain.** `None` or [`State::Gone`] is certain once `settle` has passed since the last launch
/// call with that token; before that, `None` may mean "not seen yet". A released token that answered
/// [`State::Gone`] while a launch of it was still unsettled must be released again afterwards, or be found by the
/// sweep over `list`. After `Gone` from a settled token nothing of the machine is left: it costs nothing, its
/// address is free.
///
/// **Progress without us.** Machines go on when no server is running; a provider keeps nothing in memory that it
/// could not find again. Steps that a provider must take itself (the hard kill after a polite one) are taken by the
/// next call that mentions the token, so keep calling while [`Machine::check_after`] is set.
pub trait Machines: Send + Sync {
    /// What this provider can do; constant for its life.
    fn capabilities(&self) -> &Capabilities;

    /// Sizes that can be launched here.
    fn catalogue(&self) -> &Catalogue;

    /// Limits of the account in `region`, and what others than us use of them. Our own machines are not counted in
    /// [`Quota::used_by_others`]: the caller knows those. Fails with `Throttled`, `Unanswered`, `Failed`.
    fn quota<'a>(&'a self, region: &'a str) -> BoxFuture<'a, Result<Quota, Error>>;

    /// Makes machines, one answer per request, idempotent on [`Launch::token`].
    /// Fails per request with any kind but `NotFound`.
    fn launch<'a>(&'a self, requests: &'a [Launch]) -> BoxFuture<'a, Vec<Result<Machine, Error>>>;

    /// What is known of each token, in the order asked; `None` where there is nothing (see "gone" above).
    /// The whole call fails with `Throttled`, `Unanswered` or `Failed`.
    fn describe<'a>(&'a self, tokens: &'a [Token]) -> BoxFuture<'a, Result<Described, Error>>;

    /// One page of all machines that carry our tag and still hold anything, in a stable order. A machine that ended by
    /// itself may be listed as `Gone` until it is released. `cursor` is what the last
    /// page gave, absent for the first; `limit` is at least 1. The call fails like `describe`, and with `Invalid` for
    /// a cursor that did not come from here.
    fn list(&self, cursor: Option<String>, limit: usize) -> BoxFuture<'_, Result<Page, Error>>;

    /// Stops machines and keeps their disks where [`Capabilities::stop_keeps_disk`]. Answers the state after the
    /// call, `Stopping` or `Stopped`. Stopping what is stopped is fine; what is gone or unknown is `NotFound`.
    fn stop<'a>(&'a self, tokens: &'a [Token]) -> BoxFuture<'a, Vec<Result<State, Error>>>;

    /// Starts stopped machines again, where [`Capabilities::restart`]. Answers the state after the call. Starting
    /// what runs is fine; what is gone or unknown is `NotFound`; what is still stopping may be refused as `Failed`; capacity and quota apply as for a launch.
    fn start<'a>(&'a self, tokens: &'a [Token]) -> BoxFuture<'a, Vec<Result<State, Error>>>;

    /// Gives machines back with all they hold. Answers `Releasing` or `Gone`; what is unknown or gone already is
    /// `Ok(Gone)`. Safe to call any number of times.
    fn release<'a>(&'a self, tokens: &'a [Token]) -> BoxFuture<'a, Vec<Result<State, Error>>>;
}

/// What a provider can and cannot do. Data, not a surprise; it also selects the tests that apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Machines are made up and must be marked so wherever they are shown.
    pub simulated: bool,
    /// [`Machine::guest`] reports the inside of the machine; otherwise an agent on it does.
    pub guest_reports: bool,
    /// `stop` keeps disk and address for a later `start`.
    pub stop_keeps_disk: bool,
    /// Stopped machines can be started again.
    pub restart: bool,
    /// Interruptible machines can be had.
    pub spot: bool,
    /// Placement groups mean something for the network; otherwise they are accepted as a tag.
    pub placement_groups: bool,
    /// `quota` reports limits that somebody enforces; otherwise they are the size of the pool.
    pub quotas: bool,
    /// How long an effect or a sighting may lag behind its call.
    pub settle: Duration,
}

/// Cores of an account in a region, in quota vCPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cores {
    /// All regular machines together.
    pub regional_cores: u64,
    /// All spot machines together; spot has no families.
    pub spot_cores: u64,
    /// Regular machines by size family.
    pub family_cores: BTreeMap<String, u64>,
}

/// Limits and what others use of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quota {
    /// Most quota vCPUs of regular machines, all families together.
    pub regional_cores: u64,
    /// Most quota vCPUs of spot machines.
    pub spot_cores: u64,
    /// Most quota vCPUs per family; every family of the catalogue has an entry.
    pub family_cores: BTreeMap<String, u64>,
    /// Used by others than us in the same account; never counts our own machines.
    pub used_by_others: Cores,
}

/// A machine to be made.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Our name for it; the key of idempotency.
    pub token: Token,
    /// Node it is for; becomes a tag.
    pub node_id: String,
    /// Name of that node; becomes a tag.
    pub node_name: String,
    /// Cluster of that node; becomes a tag.
    pub cluster_name: String,
    /// Size by its catalogue name, case does not matter.
    pub size: String,
    /// Region; empty where the provider has only one.
    pub region: String,
    /// Zone within the region, absent for any.
    pub zone: Option<String>,
    /// Interruptible.
    pub spot: bool,
    /// Most to pay for a spot machine, US dollars per hour; absent for up to the regular price.
    pub max_price: Option<f64>,
    /// Machines of one group stand close in the network.
    pub placement_group: Option<String>,
    /// Further labels.
    pub tags: BTreeMap<String, String>,
    /// What the machine must know to find its server.
    pub boot: Boot,
}

/// What a machine needs to find its server and be believed.
#[derive(Debug, Clone)]
pub struct Boot {
    /// URL of the server's agent endpoint.
    pub server_url: String,
    /// Single-use token for enrolment.
    pub join_token: Secret,
    /// SHA-256 of the server's certificate, hex, when it is not signed by a public authority.
    pub ca_sha256: Option<String>,
    /// Host name to take; absent for the provider's own (`ip-` and the address as 8 upper-case hex digits).
    pub hostname: Option<String>,
}

/// A machine as last seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// The token it was launched with.
    pub token: Token,
    /// The provider's own id.
    pub id: String,
    /// Size by its catalogue name.
    pub size: String,
    /// What it is doing.
    pub state: State,
    /// Why it is in this state when nobody asked for it (evicted, crashed, never came up).
    pub reason: Option<String>,
    /// Its address, as soon as there is one; kept while stopped.
    pub address: Option<Ipv4Addr>,
    /// Host name it reports or will report.
    pub hostname: Option<String>,
    /// When the provider took the launch on, microseconds since 1970 UTC.
    pub launched_at_us: i64,
    /// A hint when looking again will show something new; absent when nothing is under way.
    pub check_after: Option<Duration>,
    /// The inside of the machine, only with [`Capabilities::guest_reports`] and only once it has booted.
    pub guest: Option<Guest>,
    /// The provider's name for the launch request.
    pub request_id: String,
    /// Labels it carries: those of the launch and `reeve-node-id`, `reeve-node-name`, `reeve-cluster`.
    pub tags: Arc<BTreeMap<String, String>>,
}

/// What a machine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Taken on, not running yet.
    Pending,
    /// Powered on.
    Running,
    /// On its way to `Stopped`.
    Stopping,
    /// Powered off, disk and address kept.
    Stopped,
    /// On its way to `Gone`.
    Releasing,
    /// No longer there.
    Gone,
    /// Taken back by the provider; it is off and only wants to be released.
    Evicted,
}

impl State {
    /// Whether the machine takes from the quota: everything from the request until it is off.
    #[must_use]
    pub fn holds_quota(self) -> bool {
        match self {
            Self::Pending | Self::Running | Self::Stopping | Self::Releasing => true,
            Self::Stopped | Self::Gone | Self::Evicted => false,
        }
    }
}

/// What a booted machine tells of itself through the provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Guest {
    /// Host name.
    pub hostname: String,
    /// Facts in the shape of the agent protocol's `Facts`.
    pub facts: Facts,
    /// Progress of initialisation.
    pub init: Init,
}

/// Facts of a guest as JSON, made when first read: thousands of machines are described at once, over and over, and
/// the facts of each are wanted once. Clones share them.
#[derive(Clone)]
pub struct Facts(Arc<LazyLock<Value, MakeFacts>>);

type MakeFacts = Box<dyn FnOnce() -> Value + Send + Sync>;

impl Facts {
    /// Facts that `make` will make.
    pub fn lazy(make: impl FnOnce() -> Value + Send + Sync + 'static) -> Self {
        Self(Arc::new(LazyLock::new(Box::new(make))))
    }
}

impl Deref for Facts {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl PartialEq for Facts {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || **self == **other
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, formatter)
    }
}

/// How far initialisation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Init {
    /// Under way.
    Pending,
    /// All scripts ended well.
    Done,
    /// A script failed; the text says how.
    Failed(String),
}

/// One page of machines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// Machines, at most as many as asked for.
    pub machines: Vec<Machine>,
    /// Where the next page begins; absent on the last one.
    pub next: Option<String>,
}

/// Checks that a token is one (see [`Token`]).
///
/// # Errors
/// `Invalid`, with the reason.
pub fn check_token(token: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if token.is_empty() || token.len() > 128 || token.starts_with('.') || !token.bytes().all(plain) {
        let message = "a token has 1 to 128 characters out of A-Z a-z 0-9 . _ - and does not begin with a period";
        return Err(Error::new(crate::ErrorKind::Invalid, message));
    }
    Ok(())
}

/// The default host name of an address: `ip-` and 8 upper-case hex digits.
#[must_use]
pub fn hostname_of(address: Ipv4Addr) -> String {
    format!("ip-{:08X}", u32::from(address))
}

/// Labels of a machine: those asked for and the three that say whose it is.
pub(crate) fn tags_of(launch: &Launch) -> BTreeMap<String, String> {
    let mut tags = launch.tags.clone();
    tags.insert("reeve-node-id".into(), launch.node_id.clone());
    tags.insert("reeve-node-name".into(), launch.node_name.clone());
    tags.insert("reeve-cluster".into(), launch.cluster_name.clone());
    tags
}
