//! The verbs on nodes: what each does to a node in each state, and what a changed wish does to its record.

use super::{Goal, Node, Phase, advance};
use crate::{condition::Reason, operation::Verb, pool::ShutdownPolicy, timestamp::Timestamp};

/// What a verb comes to for one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A new wish.
    Change(Goal),
    /// The record goes at once; there is no machine.
    RemoveNow,
    /// It is so already, or on its way.
    Nothing,
    /// No, because.
    Refuse(String),
}

/// Text of the refusal to remove a kept record that is not off.
pub const TERMINATE_FIRST: &str = "This node must be terminated before it can be removed";
/// Text of the refusal to stop a protected node.
pub const PROTECTED: &str = "This node has KeepAlive set and cannot be stopped";

/// Decides a verb for a node.
#[must_use]
pub fn decide(verb: Verb, node: &Node) -> Verdict {
    let off = matches!(node.goal, Goal::Off | Goal::Absent) && node.seen.phase == Phase::Off;
    let stops = matches!(verb, Verb::Deallocate | Verb::Terminate | Verb::Shutdown | Verb::Remove);
    if stops && node.keep_alive && !off {
        return refuse(PROTECTED);
    }
    match verb {
        Verb::Start => start(node, off),
        Verb::Deallocate => deallocate(node, off),
        Verb::Terminate => terminate(node, off),
        Verb::Shutdown if node.goal != Goal::Started && node.goal != Goal::Deallocated => Verdict::Nothing,
        Verb::Shutdown => match node.shutdown_policy {
            ShutdownPolicy::Terminate => terminate(node, off),
            ShutdownPolicy::Deallocate => deallocate(node, off),
        },
        Verb::Remove => remove(node, off),
        Verb::Retry => match (node.goal, node.seen.phase) {
            (Goal::Started, Phase::Failed) => Verdict::Change(Goal::Started),
            _ => refuse("Only a failed node can be started over"),
        },
        Verb::Create | Verb::Apply | Verb::StartCluster | Verb::TerminateCluster | Verb::DeleteCluster => {
            refuse("This is nothing to do to one node")
        }
    }
}

fn refuse(text: &str) -> Verdict {
    Verdict::Refuse(text.to_owned())
}

fn start(node: &Node, off: bool) -> Verdict {
    match node.goal {
        Goal::Started => Verdict::Nothing,
        Goal::Off if off => Verdict::Change(Goal::Started),
        Goal::Deallocated if node.seen.phase == Phase::Stopped => Verdict::Change(Goal::Started),
        Goal::Deallocated => refuse("This node is being deallocated; start it once it is at rest"),
        Goal::Off | Goal::Absent => refuse("This node is being terminated; start it once it is at rest"),
    }
}

fn deallocate(node: &Node, off: bool) -> Verdict {
    match node.goal {
        Goal::Started => Verdict::Change(Goal::Deallocated),
        Goal::Deallocated => Verdict::Nothing,
        Goal::Off | Goal::Absent if off => refuse("This node is off; there is nothing to deallocate"),
        Goal::Off | Goal::Absent => refuse("This node is being terminated and cannot be deallocated"),
    }
}

fn terminate(node: &Node, _off: bool) -> Verdict {
    match node.goal {
        Goal::Off | Goal::Absent => Verdict::Nothing,
        Goal::Started | Goal::Deallocated => Verdict::Change(node.rest_goal()),
    }
}

fn remove(node: &Node, off: bool) -> Verdict {
    match (node.single, node.fixed, off) {
        (true, _, _) => refuse("This node is part of its cluster's definition and cannot be removed"),
        (false, _, true) => Verdict::RemoveNow,
        (false, true, false) => refuse(TERMINATE_FIRST),
        (false, false, false) if node.goal == Goal::Absent => Verdict::Nothing,
        (false, false, false) => Verdict::Change(Goal::Absent),
    }
}

/// Records a new wish, with the phase change that comes with it at once: a node that is to start takes its room in the
/// same instant, not when a provider is asked.
pub fn wish(node: &mut Node, goal: Goal, now: Timestamp) {
    node.goal = goal;
    node.generation += 1;
    node.seen.due = now;
    if goal != Goal::Started {
        return;
    }
    match node.seen.phase {
        Phase::Off => advance::reserve(node, now),
        Phase::Stopped if node.seen.holds => advance::resume(node, now),
        Phase::Stopped => advance::reserve(node, now),
        Phase::Failed if !node.seen.holds => advance::reserve(node, now),
        Phase::Failed => {
            // Started over with the machine it has; the launch by name finds it, or makes it.
            node.seen.phase = Phase::Reserved;
            node.seen.attempts = 0;
            node.seen.condition.reason = Reason::Reserved;
            node.seen.condition.message = "started over".into();
            node.seen.condition.since = now;
            node.seen.deadline = Some(now + node.start_timeout);
            node.agent.init = super::Init::Pending;
        }
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
