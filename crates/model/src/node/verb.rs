//! What a verb means for one node in its present state, and how a wish is written down.
//!
//! Deliberately does not know limits and quota: whether there is room is asked elsewhere, in the same transaction.

use super::{
    Goal, Node, Phase,
    advance::{Clocks, ask, boot_again, clear_away, reserve, resume},
    plan::lost,
};
use crate::{condition::Reason, operation::Verb, pool::ShutdownPolicy, timestamp::Timestamp};

/// What a verb means for one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The wish changes.
    Change(Goal),
    /// The record goes at once: there is no machine.
    RemoveNow,
    /// Accepted; it is so already, or on its way.
    Nothing,
    /// Not accepted; a sentence for the user.
    Refuse(String),
}

/// Text of the refusal to remove a kept record that is not off.
pub const TERMINATE_FIRST: &str = "This node must be terminated before it can be removed";
/// Text of the refusal to stop a protected node.
pub const PROTECTED: &str = "This node has KeepAlive set and cannot be stopped";

/// The states that verbs can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Off,
    Up,
    Deallocating,
    Deallocated,
    Terminating,
}

fn standing(node: &Node) -> Standing {
    match (node.goal, node.seen.phase) {
        (Goal::Started, _) => Standing::Up,
        (Goal::Deallocated, Phase::Stopped) => Standing::Deallocated,
        (Goal::Deallocated, _) => Standing::Deallocating,
        (Goal::Off, Phase::Off) => Standing::Off,
        (Goal::Off | Goal::Absent, _) => Standing::Terminating,
    }
}

/// Judges `verb` for `node`.
#[must_use]
pub fn decide(verb: Verb, node: &Node) -> Verdict {
    let state = standing(node);
    let stops = matches!(verb, Verb::Deallocate | Verb::Terminate | Verb::Shutdown | Verb::Remove);
    if stops && node.keep_alive && state != Standing::Off {
        return refuse(PROTECTED);
    }
    match verb {
        Verb::Start => start(state),
        Verb::Deallocate => deallocate(state),
        Verb::Terminate => terminate(state, node),
        Verb::Shutdown => match (state, node.shutdown_policy) {
            (Standing::Off | Standing::Terminating, _) => Verdict::Nothing,
            (_, ShutdownPolicy::Terminate) => terminate(state, node),
            (_, ShutdownPolicy::Deallocate) => deallocate(state),
        },
        Verb::Remove => remove(state, node),
        Verb::Retry if state == Standing::Up && node.seen.phase == Phase::Failed => Verdict::Change(Goal::Started),
        Verb::Retry => Verdict::Nothing,
        Verb::Create | Verb::Apply | Verb::StartCluster | Verb::TerminateCluster | Verb::DeleteCluster => {
            refuse(&format!("{} is no request for one node", verb.word()))
        }
    }
}

fn start(state: Standing) -> Verdict {
    match state {
        Standing::Off | Standing::Deallocated => Verdict::Change(Goal::Started),
        Standing::Up => Verdict::Nothing,
        Standing::Deallocating => refuse("This node is being deallocated; it can be started once it is deallocated"),
        Standing::Terminating => refuse("This node is being terminated; it can be started once it is off"),
    }
}

fn deallocate(state: Standing) -> Verdict {
    match state {
        Standing::Off => refuse("This node is off and has no machine to deallocate"),
        Standing::Up => Verdict::Change(Goal::Deallocated),
        Standing::Deallocating | Standing::Deallocated => Verdict::Nothing,
        Standing::Terminating => refuse("This node is being terminated and cannot be deallocated"),
    }
}

fn terminate(state: Standing, node: &Node) -> Verdict {
    match state {
        Standing::Off | Standing::Terminating => Verdict::Nothing,
        Standing::Up | Standing::Deallocating | Standing::Deallocated => Verdict::Change(node.rest_goal()),
    }
}

fn remove(state: Standing, node: &Node) -> Verdict {
    if node.single {
        return refuse("This node is part of the cluster's template and cannot be removed");
    }
    match state {
        Standing::Off => Verdict::RemoveNow,
        _ if node.fixed => refuse(TERMINATE_FIRST),
        Standing::Terminating if node.goal == Goal::Absent => Verdict::Nothing,
        Standing::Up | Standing::Deallocating | Standing::Deallocated | Standing::Terminating => {
            Verdict::Change(Goal::Absent)
        }
    }
}

fn refuse(text: &str) -> Verdict {
    Verdict::Refuse(text.into())
}

/// Writes a wish down: the goal, one generation more, due at once.
///
/// A start takes effect here as far as the record goes, so that the machine counts against the quota from the
/// transaction of the request on. A start of what failed begins anew.
pub fn wish(node: &mut Node, goal: Goal, now: Timestamp) {
    node.goal = goal;
    node.generation += 1;
    if goal == Goal::Started {
        match node.seen.phase {
            Phase::Off => reserve(node, now),
            Phase::Stopped if node.seen.machine.is_some() => resume(node, now),
            Phase::Stopped => reserve(node, now),
            Phase::Failed => start_over(node, now),
            Phase::Reserved
            | Phase::Booting
            | Phase::Initializing
            | Phase::Running
            | Phase::Draining
            | Phase::Stopping
            | Phase::Resuming
            | Phase::Releasing => {}
        }
    }
    if node.settled() {
        node.seen.generation = node.generation;
    }
    node.seen.due = now;
}

fn start_over(node: &mut Node, now: Timestamp) {
    if !node.seen.holds {
        reserve(node, now);
    } else if lost(node) {
        // The old token stands for the old machine for ever: first that one goes, then a new one comes.
        clear_away(node, now, &Clocks::default());
    } else if node.seen.machine.is_none() {
        // The old request may have had its effect: asking again by the same token finds that machine, and a refusal
        // alone is no proof that there is none.
        ask(node, now);
        node.seen.attempts = 1;
    } else if matches!(
        node.seen.condition.reason,
        Reason::BootTimeout | Reason::InitTimeout | Reason::InitFailed
    ) {
        boot_again(node, now);
    } else {
        // Given up while the stopped machine was to be started.
        resume(node, now);
    }
}
