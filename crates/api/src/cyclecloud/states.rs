//! Goals and phases in CycleCloud's words: `State`, `TargetState` and `Status` of nodes, and the states of clusters.

use reeve_model::{
    cluster::{self, Cluster},
    node::{Goal, Node, Phase},
};

/// The words for one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// `State`; absent until the first start.
    pub state: Option<&'static str>,
    /// `TargetState`.
    pub target: &'static str,
    /// `Status`.
    pub status: &'static str,
    /// At rest without a machine: not listed in a cluster's status.
    pub rests: bool,
}

const fn words(state: &'static str, target: &'static str, status: &'static str) -> Words {
    Words {
        state: Some(state),
        target,
        status,
        rests: false,
    }
}

const OFF: Words = Words {
    rests: true,
    ..words("Terminated", "Terminated", "Off")
};
const NEVER_STARTED: Words = Words { state: None, ..OFF };
const DEALLOCATED: Words = Words {
    rests: true,
    ..words("Deallocated", "Deallocated", "Deallocated")
};
const TERMINATING: Words = words("Terminating", "Terminated", "Terminating");
const DEALLOCATING: Words = words("Deallocating", "Deallocated", "Deallocating");
const ACQUIRING: Words = words("Starting", "Started", "Acquiring");
const PREPARING: Words = words("Starting", "Started", "Preparing");
const READY: Words = words("Started", "Started", "Ready");
const FAILED: Words = words("Error", "Started", "Failed");

/// The words for a goal and a phase; `started_once` is false for a node that was never started.
#[must_use]
pub fn of(goal: Goal, phase: Phase, started_once: bool) -> Words {
    match (goal, phase) {
        (Goal::Off, Phase::Off) if started_once => OFF,
        (Goal::Off, Phase::Off) => NEVER_STARTED,
        (
            Goal::Off,
            Phase::Reserved
            | Phase::Booting
            | Phase::Initializing
            | Phase::Running
            | Phase::Draining
            | Phase::Stopping
            | Phase::Stopped
            | Phase::Resuming
            | Phase::Releasing
            | Phase::Failed,
        )
        | (
            Goal::Absent,
            Phase::Off
            | Phase::Reserved
            | Phase::Booting
            | Phase::Initializing
            | Phase::Running
            | Phase::Draining
            | Phase::Stopping
            | Phase::Stopped
            | Phase::Resuming
            | Phase::Releasing
            | Phase::Failed,
        ) => TERMINATING,
        (Goal::Deallocated, Phase::Stopped) => DEALLOCATED,
        (
            Goal::Deallocated,
            Phase::Off
            | Phase::Reserved
            | Phase::Booting
            | Phase::Initializing
            | Phase::Running
            | Phase::Draining
            | Phase::Stopping
            | Phase::Resuming
            | Phase::Releasing
            | Phase::Failed,
        ) => DEALLOCATING,
        // A stopped machine that is started again waits for its host as a new one does.
        (
            Goal::Started,
            Phase::Off
            | Phase::Reserved
            | Phase::Draining
            | Phase::Stopping
            | Phase::Stopped
            | Phase::Resuming
            | Phase::Releasing,
        ) => ACQUIRING,
        (Goal::Started, Phase::Booting | Phase::Initializing) => PREPARING,
        (Goal::Started, Phase::Running) => READY,
        (Goal::Started, Phase::Failed) => FAILED,
    }
}

/// The words for a node.
#[must_use]
pub fn of_node(node: &Node) -> Words {
    of(node.goal, node.seen.phase, node.seen.incarnation > 0)
}

/// `state` and `targetState` of a cluster; both absent until its first start.
#[must_use]
pub fn of_cluster(cluster: &Cluster) -> Option<(&'static str, &'static str)> {
    let target = match cluster.goal {
        cluster::Goal::Idle => return None,
        cluster::Goal::Started => "Started",
        cluster::Goal::Terminated | cluster::Goal::Absent => "Terminated",
    };
    let state = match cluster.phase {
        cluster::Phase::Idle | cluster::Phase::Starting => "Starting",
        cluster::Phase::Started => "Started",
        cluster::Phase::Terminating => "Terminating",
        cluster::Phase::Terminated => "Terminated",
    };
    Some((state, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(goal: Goal, phase: Phase) -> (&'static str, &'static str, &'static str) {
        let words = of(goal, phase, true);
        (words.state.unwrap_or("-"), words.target, words.status)
    }

    #[test]
    fn the_way_up_shows_acquiring_preparing_ready() {
        assert_eq!(row(Goal::Started, Phase::Off), ("Starting", "Started", "Acquiring"));
        assert_eq!(
            row(Goal::Started, Phase::Reserved),
            ("Starting", "Started", "Acquiring")
        );
        assert_eq!(row(Goal::Started, Phase::Booting), ("Starting", "Started", "Preparing"));
        assert_eq!(
            row(Goal::Started, Phase::Initializing),
            ("Starting", "Started", "Preparing")
        );
        assert_eq!(row(Goal::Started, Phase::Running), ("Started", "Started", "Ready"));
        assert_eq!(row(Goal::Started, Phase::Failed), ("Error", "Started", "Failed"));
    }

    #[test]
    fn the_wish_shows_at_once_whatever_the_machine_does() {
        for phase in Phase::EVERY {
            assert_eq!(of(Goal::Started, *phase, true).target, "Started");
            assert_eq!(of(Goal::Deallocated, *phase, true).target, "Deallocated");
            assert_eq!(of(Goal::Off, *phase, true).target, "Terminated");
            assert_eq!(row(Goal::Absent, *phase), ("Terminating", "Terminated", "Terminating"));
        }
    }

    #[test]
    fn a_node_is_settled_exactly_when_state_is_target_state() {
        for phase in Phase::EVERY {
            for goal in Goal::EVERY {
                let words = of(*goal, *phase, true);
                let settled = matches!(
                    (goal, phase),
                    (Goal::Off, Phase::Off) | (Goal::Deallocated, Phase::Stopped) | (Goal::Started, Phase::Running)
                );
                assert_eq!(words.state == Some(words.target), settled, "{goal:?} {phase:?}");
            }
        }
    }

    #[test]
    fn only_nodes_at_rest_without_a_machine_are_left_out_of_a_status() {
        let resting = |goal, phase| of(goal, phase, true).rests;
        assert!(resting(Goal::Off, Phase::Off));
        assert!(resting(Goal::Deallocated, Phase::Stopped));
        assert!(!resting(Goal::Off, Phase::Releasing));
        assert!(!resting(Goal::Deallocated, Phase::Stopping));
        assert!(!resting(Goal::Started, Phase::Off));
    }

    #[test]
    fn a_node_never_started_has_no_state() {
        assert_eq!(of(Goal::Off, Phase::Off, false).state, None);
        assert_eq!(of(Goal::Off, Phase::Off, false).status, "Off");
    }
}
