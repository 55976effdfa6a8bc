//! Nodes: what a member of a cluster is wanted to be, what it is, and what happens next.
//!
//! A node survives its machine. The wish is `goal` and `generation`, written by users' verbs only ([`verb`]); what is
//! so is [`Observation`], written by the node reconciler only; what the machine's agent said is [`AgentView`], written
//! by the agent's calls only. [`plan`](plan::plan) looks at all three and names one step; [`advance`] says what the
//! step's outcome makes of the observation. Between them stands `control`, which does the step and saves.
//!
//! ```text
//!          reserve     launch        boot           initialise         run
//!   Off ──────────► Reserved ────► Booting ─────► Initializing ────► Running
//!    ▲                  │             │                 │               │ drain
//!    │ retire           └─────────────┴──── Failed ◄────┘               ▼
//!    │                                        │                     Draining ── stop ──► Stopping ──► Stopped
//!    └───────────────── Releasing ◄───────────┴──────── release ────────┘                               │
//!                                                       Booting ◄───────── Resuming ◄───────────────────┘
//! ```

use std::{net::Ipv4Addr, time::Duration};

use crate::{
    cluster::words,
    condition::{Condition, Reason},
    id::{ClusterId, NodeId, PoolId, TenantId},
    pool::ShutdownPolicy,
    timestamp::Timestamp,
};

pub mod advance;
pub mod plan;
pub mod verb;

#[cfg(test)]
pub(crate) mod tests;

/// What a node is wanted to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Goal {
    /// No record.
    Absent,
    /// A record without a machine.
    Off,
    /// A stopped machine whose disks are kept.
    Deallocated,
    /// Running.
    Started,
}

words!(Goal { Absent => "absent", Off => "off", Deallocated => "deallocated", Started => "started" });

/// Where its machine is, as far as we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No machine.
    Off,
    /// The machine has a name (token) and the provider may have been asked for it.
    Reserved,
    /// The machine exists; its agent has not called.
    Booting,
    /// The agent called; initialisation scripts run.
    Initializing,
    /// As it should be.
    Running,
    /// The agent was told to finish.
    Draining,
    /// The provider was told to stop the machine.
    Stopping,
    /// The machine is stopped, or was never had while stopped was wished.
    Stopped,
    /// The provider was told to start the stopped machine.
    Resuming,
    /// The provider was told to take the machine back.
    Releasing,
    /// Given up; the condition says why.
    Failed,
}

words!(Phase {
    Off => "off", Reserved => "reserved", Booting => "booting", Initializing => "initializing", Running => "running",
    Draining => "draining", Stopping => "stopping", Stopped => "stopped", Resuming => "resuming",
    Releasing => "releasing", Failed => "failed",
});

/// What is so, as last recorded by the reconciler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Where the machine is.
    pub phase: Phase,
    /// Why.
    pub condition: Condition,
    /// When the phase must have ended; `None` in phases that may last.
    pub deadline: Option<Timestamp>,
    /// Tries in this phase, for back-off.
    pub attempts: u32,
    /// The newest generation that came true or was given up.
    pub generation: i64,
    /// Counts machines: each has its own token.
    pub incarnation: u32,
    /// Counts initializations of this incarnation beyond the first: each is a run of its own.
    pub reruns: u32,
    /// The provider has, or may have, a machine of this incarnation.
    pub holds: bool,
    /// The provider's name for the machine.
    pub machine: Option<String>,
    /// Its address.
    pub address: Option<Ipv4Addr>,
    /// Host name as the machine reported it.
    pub hostname: Option<String>,
    /// The provider's id of its last answer, for support calls.
    pub provider_request: Option<String>,
    /// When the reconciler should look again.
    pub due: Timestamp,
}

impl Observation {
    /// A record that never had a machine.
    #[must_use]
    pub fn off(now: Timestamp) -> Self {
        Self {
            phase: Phase::Off,
            condition: Condition {
                reason: Reason::AsWished,
                message: String::new(),
                since: now,
            },
            deadline: None,
            attempts: 0,
            generation: 0,
            incarnation: 0,
            reruns: 0,
            holds: false,
            machine: None,
            address: None,
            hostname: None,
            provider_request: None,
            due: Timestamp::NEVER,
        }
    }
}

/// How far the initialisation on the machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Init {
    /// Not begun.
    #[default]
    Pending,
    /// A script runs.
    Running,
    /// All scripts ended well.
    Done,
    /// One did not.
    Failed,
}

words!(Init { Pending => "pending", Running => "running", Done => "done", Failed => "failed" });

/// What the machine's agent said, or what a provider that reports for its guests said in its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentView {
    /// Incarnation the agent enrolled for; 0: none yet.
    pub incarnation: u32,
    /// Which run of initialization the next two speak of, see [`Observation::reruns`].
    pub rerun: u32,
    /// How far initialisation is.
    pub init: Init,
    /// Why it failed, or what runs.
    pub message: String,
    /// Newest generation whose drain is complete.
    pub drained: i64,
    /// Host name as reported.
    pub hostname: Option<String>,
    /// Last call; `None` also where a provider reports in the agent's place.
    pub last_seen: Option<Timestamp>,
}

/// A node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its id, never used again.
    pub id: NodeId,
    /// The tenant.
    pub tenant: TenantId,
    /// The cluster.
    pub cluster: ClusterId,
    /// The pool.
    pub pool: PoolId,
    /// Revision of the pool it was made from.
    pub pool_revision: i64,
    /// Its name, unique in the cluster without case.
    pub name: String,
    /// Place in the order of creation.
    pub sequence: i64,
    /// Machine size, canonical spelling.
    pub size: String,
    /// Cores it counts for.
    pub cores: u32,
    /// Virtual processors it takes from the provider's quota.
    pub quota_cores: u32,
    /// A spot machine.
    pub spot: bool,
    /// Placement group.
    pub placement_group: Option<String>,
    /// The one node of a single pool.
    pub single: bool,
    /// Its record survives its machine.
    pub fixed: bool,
    /// Protected from being stopped.
    pub keep_alive: bool,
    /// What *shut down* means.
    pub shutdown_policy: ShutdownPolicy,
    /// Time from wish to running.
    pub start_timeout: Duration,
    /// What it is wanted to be.
    pub goal: Goal,
    /// Rises with every change of the wish.
    pub generation: i64,
    /// What is so.
    pub seen: Observation,
    /// What the agent said.
    pub agent: AgentView,
    /// When the record was made.
    pub created_at: Timestamp,
    /// When it last became running.
    pub ready_at: Option<Timestamp>,
}

impl Node {
    /// Name of the machine of the present incarnation: known to the provider before the machine exists.
    #[must_use]
    pub fn token(&self) -> String {
        token_of(self.id, self.seen.incarnation)
    }

    /// Identity of the present initialization: scripts run once per run.
    #[must_use]
    pub fn run(&self) -> String {
        match self.seen.reruns {
            0 => self.token(),
            reruns => format!("{}.{reruns}", self.token()),
        }
    }

    /// What the node is wanted to be once it is terminated.
    #[must_use]
    pub fn rest_goal(&self) -> Goal {
        if self.fixed || self.single {
            Goal::Off
        } else {
            Goal::Absent
        }
    }

    /// The agent of the present machine has enrolled.
    #[must_use]
    pub fn agent_present(&self) -> bool {
        self.seen.incarnation > 0 && self.agent.incarnation == self.seen.incarnation
    }

    /// Counted as in use against the limits people set.
    #[must_use]
    pub fn active(&self) -> bool {
        self.goal == Goal::Started
    }

    /// Takes from the provider's quota.
    #[must_use]
    pub fn consuming(&self) -> bool {
        self.seen.holds && self.seen.phase != Phase::Stopped
    }

    /// Goal and observation agree.
    #[must_use]
    pub fn settled(&self) -> bool {
        matches!(
            (self.goal, self.seen.phase),
            (Goal::Started, Phase::Running | Phase::Failed)
                | (Goal::Deallocated, Phase::Stopped)
                | (Goal::Off, Phase::Off)
        )
    }
}

/// Name of a node's machine: known to the provider before the machine exists.
#[must_use]
pub fn token_of(node: NodeId, incarnation: u32) -> String {
    format!("{node}-{incarnation}")
}

/// Reads the node id back out of a machine token; `None` when it is not one of ours.
#[must_use]
pub fn node_of_token(token: &str) -> Option<(NodeId, u32)> {
    let (id, incarnation) = token.rsplit_once('-')?;
    Some((id.parse().ok()?, incarnation.parse().ok()?))
}
