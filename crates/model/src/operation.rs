//! Operations: who asked for what, for which rows, up to which generation.
//!
//! An operation has no progress of its own: its progress is read from the rows it names.

use crate::{
    cluster::words,
    id::{ClusterId, IdentityId, NodeId, OperationId, TenantId},
    node::{Goal, Phase},
    timestamp::Timestamp,
};

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Make nodes.
    Create,
    /// Start nodes.
    Start,
    /// Stop nodes and keep their disks.
    Deallocate,
    /// Stop nodes as their policy says.
    Shutdown,
    /// Give nodes' machines back.
    Terminate,
    /// Give machines back and drop the records.
    Remove,
    /// Start failed nodes over.
    Retry,
    /// Bring a declared cluster about.
    Apply,
    /// Start a cluster.
    StartCluster,
    /// End everything in a cluster.
    TerminateCluster,
    /// End everything in a cluster and drop it.
    DeleteCluster,
}

words!(Verb {
    Create => "create", Start => "start", Deallocate => "deallocate", Shutdown => "shutdown", Terminate => "terminate",
    Remove => "remove", Retry => "retry", Apply => "apply", StartCluster => "start-cluster",
    TerminateCluster => "terminate-cluster", DeleteCluster => "delete-cluster",
});

/// An accepted request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// The tenant.
    pub tenant: TenantId,
    /// The cluster it changes.
    pub cluster: ClusterId,
    /// What was asked.
    pub verb: Verb,
    /// Who asked.
    pub actor: IdentityId,
    /// The asker's name at that time.
    pub actor_name: String,
    /// The asker's token against duplicates.
    pub request_key: Option<String>,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// Longest request key.
pub const REQUEST_KEY_MAX: usize = 255;

/// One row an operation waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The node.
    pub node: NodeId,
    /// The generation this operation gave it.
    pub generation: i64,
}

/// What has become of one row since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Still under way.
    Waiting,
    /// As wished, or gone as wished.
    Done,
    /// Gave up.
    Failed,
    /// A later wish took over.
    Superseded,
}

/// What has become of a row: `now` is its present (generation, settled generation, goal, phase), `None` when it is gone.
#[must_use]
pub fn outcome(target: &Target, now: Option<(i64, i64, Goal, Phase)>) -> Outcome {
    match now {
        None => Outcome::Done,
        Some((generation, ..)) if generation > target.generation => Outcome::Superseded,
        Some((_, _, Goal::Started, Phase::Failed)) => Outcome::Failed,
        Some((_, settled, ..)) if settled >= target.generation => Outcome::Done,
        Some(_) => Outcome::Waiting,
    }
}

/// Counts over an operation's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Rows in all.
    pub total: u64,
    /// As wished.
    pub done: u64,
    /// Gave up.
    pub failed: u64,
    /// Taken over by a later wish.
    pub superseded: u64,
}

impl Progress {
    /// Counts one more row.
    pub fn add(&mut self, outcome: Outcome) {
        self.total += 1;
        match outcome {
            Outcome::Waiting => {}
            Outcome::Done => self.done += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Superseded => self.superseded += 1,
        }
    }

    /// `running`, `succeeded`, `failed` or `superseded`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        if self.done + self.failed + self.superseded < self.total {
            "running"
        } else if self.failed > 0 {
            "failed"
        } else if self.superseded > 0 {
            "superseded"
        } else {
            "succeeded"
        }
    }
}
