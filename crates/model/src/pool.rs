//! Pools: nodes of one kind and the template for more of them, and their buckets (pool × machine size).

use std::time::Duration;

use uuid::Uuid;

use crate::{
    cluster::words,
    id::{ClusterId, PoolId},
    timestamp::Timestamp,
};

/// How many nodes a pool has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolKind {
    /// Exactly one node, which carries the pool's name and whose record stays when it is off.
    Single,
    /// Any number, made on request.
    Many,
    /// Hosts that people bring and that enrol by themselves.
    Hosts,
}

words!(PoolKind { Single => "single", Many => "many", Hosts => "hosts" });

/// What the verb *shut down* means for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShutdownPolicy {
    /// Give the machine back.
    #[default]
    Terminate,
    /// Stop it and keep its disks.
    Deallocate,
}

words!(ShutdownPolicy { Terminate => "terminate", Deallocate => "deallocate" });

/// Initialisation script of a pool, run by the agent in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Name, unique in the pool.
    pub name: String,
    /// Text.
    pub body: String,
    /// Longest run.
    pub timeout: Duration,
}

/// Time a node may take from wish to running when nobody said otherwise.
pub const START_TIMEOUT_DEFAULT: Duration = Duration::from_secs(3600);
/// How long a bucket is avoided after a stock-out when nobody said otherwise.
pub const THROTTLE_DEFAULT: Duration = Duration::from_secs(300);
/// Most nodes in one placement group when nobody said otherwise.
pub const GROUP_SIZE_DEFAULT: u32 = 40;
/// Longest run of one initialisation script when nobody said otherwise.
pub const SCRIPT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(1800);

/// A pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Its id.
    pub id: PoolId,
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Its name, unique in the cluster.
    pub name: String,
    /// How many nodes it has.
    pub kind: PoolKind,
    /// Place in the cluster's declared order, from 0.
    pub position: i64,
    /// Rises when its template changes; nodes remember the revision they were made from.
    pub revision: i64,
    /// Provider account its machines come from.
    pub account: String,
    /// Region its machines stand in.
    pub region: String,
    /// Zone inside the region, if it matters.
    pub zone: Option<String>,
    /// Machine sizes in order of preference; each is a bucket.
    pub sizes: Vec<String>,
    /// Most nodes.
    pub max_count: Option<u32>,
    /// Most cores.
    pub max_cores: Option<u32>,
    /// Cores counted per node instead of the size's.
    pub core_count: Option<u32>,
    /// Spot machines.
    pub interruptible: bool,
    /// Bid per hour in US dollars, `None` up to the regular price.
    pub max_price: Option<f64>,
    /// Placement group every node goes into.
    pub placement_group: Option<String>,
    /// Most nodes in one placement group.
    pub group_size_max: u32,
    /// Nodes made when the cluster starts.
    pub initial_count: u32,
    /// Cores made when the cluster starts, rounded up to nodes.
    pub initial_cores: u32,
    /// Nodes are protected from being stopped.
    pub keep_alive: bool,
    /// Node records survive their machine.
    pub fixed: bool,
    /// What *shut down* means.
    pub shutdown_policy: ShutdownPolicy,
    /// Nodes start as soon as they are made.
    pub start_automatically: bool,
    /// Default name format of new nodes.
    pub name_format: Option<String>,
    /// First index of new nodes.
    pub name_offset: u32,
    /// Time from wish to running.
    pub start_timeout: Duration,
    /// How long a stock-out keeps a bucket closed; zero: not at all.
    pub throttle: Duration,
    /// Initialisation scripts.
    pub scripts: Vec<Script>,
    /// No longer declared; goes when its last node goes.
    pub removed: bool,
}

/// One machine size of one pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Stable id until the cluster is deleted.
    pub id: Uuid,
    /// The pool.
    pub pool: PoolId,
    /// The size, canonical spelling.
    pub size: String,
    /// Place in the pool's order.
    pub position: i64,
    /// A cluster start has happened since the bucket was declared.
    pub activated: bool,
    /// The size was taken out of the pool while nodes of it exist.
    pub disabled: bool,
    /// Last time the provider had none of it.
    pub exhausted_at: Option<Timestamp>,
}

impl Bucket {
    /// Why no new node may be made here, if so.
    #[must_use]
    pub fn closed(&self, cluster_started: bool) -> Option<Closed> {
        if self.disabled {
            Some(Closed::Disabled)
        } else if !self.activated || !cluster_started {
            Some(Closed::NotActivated)
        } else {
            None
        }
    }

    /// True within the pool's throttle time after a stock-out.
    #[must_use]
    pub fn exhausted(&self, throttle: Duration, now: Timestamp) -> bool {
        self.exhausted_at.is_some_and(|at| now.since(at) < throttle)
    }
}

/// Why a bucket takes no new nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The cluster is not started, or was not since the bucket was declared.
    NotActivated,
    /// The size was taken out of the pool.
    Disabled,
}
