//! Clusters: a named set of pools with up to three aspects.

use crate::{
    id::{ClusterId, FolderId, TenantId},
    scope::Scope,
    timestamp::Timestamp,
};

/// What a cluster is to us; several may hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Aspects {
    /// A cluster agent reports a Kubernetes.
    pub attached: bool,
    /// We provision that Kubernetes.
    pub managed: bool,
    /// Its pools can grow.
    pub elastic: bool,
}

/// What an elastic cluster was last asked to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Imported, never started.
    Idle,
    /// Running: its single nodes and initial nodes are wanted, pools may grow.
    Started,
    /// Everything ended; the record stays.
    Terminated,
    /// Everything ended, then the record removed.
    Absent,
}

/// How far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Never started.
    Idle,
    /// Its first nodes are coming up.
    Starting,
    /// Its first nodes were all ready once.
    Started,
    /// Nodes are going.
    Terminating,
    /// No node is left running.
    Terminated,
}

macro_rules! words {
    ($type:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $type {
            /// Stable word for storage and the native API.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Reads [`Self::word`].
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }

            /// All of them, in order.
            pub const EVERY: &'static [Self] = &[$(Self::$variant),+];
        }
    };
}
pub(crate) use words;

words!(Goal { Idle => "idle", Started => "started", Terminated => "terminated", Absent => "absent" });
words!(Phase { Idle => "idle", Starting => "starting", Started => "started", Terminating => "terminating", Terminated => "terminated" });

/// Most nodes a cluster may have when nobody said otherwise.
pub const MAX_COUNT_DEFAULT: u32 = 10_000;
/// Most cores a cluster may have when nobody said otherwise.
pub const MAX_CORES_DEFAULT: u32 = 1_000_000;

/// A cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Its id.
    pub id: ClusterId,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// The folder it lies in.
    pub folder: FolderId,
    /// Its name, unique in its folder; elastic and attached clusters are unique in the tenant.
    pub name: String,
    /// What it is to us.
    pub aspects: Aspects,
    /// What an elastic cluster was last asked to be.
    pub goal: Goal,
    /// Rises with every change of the wish.
    pub generation: i64,
    /// How far an elastic cluster got.
    pub phase: Phase,
    /// Most nodes.
    pub max_count: u32,
    /// Most cores.
    pub max_cores: u32,
    /// URL at which users reach it, as told.
    pub domain: Option<String>,
    /// Version of what runs in it, as told.
    pub version: Option<String>,
    /// When the record was made.
    pub created_at: Timestamp,
    /// Last change of the record.
    pub updated_at: Timestamp,
    /// Last report of its cluster agent.
    pub last_seen: Option<Timestamp>,
    /// When a graceful deletion was first asked for.
    pub delete_requested_at: Option<Timestamp>,
    /// True when its machines are simulated; always shown.
    pub simulated: bool,
}

impl Cluster {
    /// Its place in the tree.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::cluster(self.tenant, self.folder, self.id)
    }
}

/// Facts a cluster's next phase is decided from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// Single nodes and initial nodes wanted but not running yet.
    pub first_missing: u64,
    /// Nodes that have or may have a machine.
    pub with_machine: u64,
    /// Node records.
    pub records: u64,
}

/// The phase that `census` allows.
///
/// Nodes added to a started cluster do not move it back to starting.
#[must_use]
pub fn next_phase(goal: Goal, phase: Phase, census: Census) -> Phase {
    match (goal, phase) {
        (Goal::Idle, _) => Phase::Idle,
        (Goal::Started, Phase::Started) => Phase::Started,
        (Goal::Started, _) if census.first_missing == 0 => Phase::Started,
        (Goal::Started, _) => Phase::Starting,
        (Goal::Terminated | Goal::Absent, _) if census.with_machine == 0 => Phase::Terminated,
        (Goal::Terminated | Goal::Absent, _) => Phase::Terminating,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_started_cluster_stays_started_when_nodes_are_added() {
        let census = Census {
            first_missing: 3,
            ..Census::default()
        };
        assert_eq!(next_phase(Goal::Started, Phase::Starting, census), Phase::Starting);
        assert_eq!(
            next_phase(Goal::Started, Phase::Starting, Census::default()),
            Phase::Started
        );
        assert_eq!(next_phase(Goal::Started, Phase::Started, census), Phase::Started);
    }

    #[test]
    fn a_cluster_is_terminated_only_when_no_machine_is_left() {
        let census = Census {
            with_machine: 1,
            ..Census::default()
        };
        assert_eq!(next_phase(Goal::Terminated, Phase::Started, census), Phase::Terminating);
        assert_eq!(
            next_phase(Goal::Absent, Phase::Terminating, Census::default()),
            Phase::Terminated
        );
    }
}
