//! What happens next to a node: one step, decided from values alone.
//!
//! Every phase is met by every goal; a phase that may not last has a deadline, kept in the observation, and a way out.

use std::time::Duration;

use super::{Goal, Init, Node, Phase};
use crate::{condition::Reason, timestamp::Timestamp};

/// How long a refusal for lack of room is shown before the wish is withdrawn.
pub const REFUSAL_SHOWN: Duration = Duration::from_secs(5);

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Goal and observation agree.
    Nothing,
    /// Somebody else moves next.
    Wait {
        /// When to look again.
        until: Timestamp,
    },
    /// Name the machine, before a provider hears of it.
    Reserve,
    /// Ask the provider for the machine; by its name, so asking twice finds the first one's.
    Launch,
    /// Ask the provider to start the stopped machine.
    Resume,
    /// Ask the provider what became of the machine.
    Look,
    /// The agent called: initialisation begins.
    Initialize,
    /// Initialisation is done.
    Ready,
    /// Let the agent finish first.
    Drain,
    /// Ask the provider to stop the machine and keep its disks.
    Stop,
    /// Ask the provider to take the machine back.
    Release,
    /// Come to rest without asking anybody.
    Rest {
        /// In which phase.
        phase: Phase,
    },
    /// Drop the record.
    Retire,
    /// Give up; the node fails.
    GiveUp {
        /// Why, for programs.
        reason: Reason,
        /// Why, for people.
        message: String,
    },
    /// Nobody can fulfil the wish: take it back, so that whoever wished can choose otherwise.
    Withdraw,
}

/// The step that brings `node` closer to its goal.
#[must_use]
pub fn plan(node: &Node, now: Timestamp) -> Step {
    match node.goal {
        Goal::Started => toward_started(node, now),
        Goal::Deallocated => toward_stopped(node, now),
        Goal::Off | Goal::Absent => toward_off(node, now),
    }
}

fn late(node: &Node, now: Timestamp) -> bool {
    node.seen.deadline.is_some_and(|deadline| now >= deadline)
}

fn give_up(node: &Node, reason: Reason, what: &str) -> Step {
    let limit = node.start_timeout.as_secs();
    let last = &node.seen.condition.message;
    let message = if last.is_empty() { what.to_owned() } else { format!("{what}; last: {last}") };
    Step::GiveUp { reason, message: format!("{message} (time limit {limit} s)") }
}

/// When somebody else's move is next: its deadline, or a look in between.
fn wait(node: &Node, now: Timestamp) -> Step {
    let look = now + Duration::from_secs(30);
    Step::Wait { until: node.seen.deadline.map_or(look, |deadline| deadline.min(look)) }
}

fn toward_started(node: &Node, now: Timestamp) -> Step {
    match node.seen.phase {
        Phase::Off => Step::Reserve,
        Phase::Stopped if node.seen.holds => Step::Resume,
        Phase::Stopped => Step::Reserve,
        Phase::Reserved | Phase::Resuming if late(node, now) => {
            give_up(node, Reason::LaunchTimeout, "the provider gave no machine")
        }
        Phase::Reserved => Step::Launch,
        Phase::Resuming => Step::Resume,
        Phase::Booting if node.agent_present() => Step::Initialize,
        Phase::Booting if late(node, now) => {
            give_up(node, Reason::BootTimeout, "the machine came up, its agent did not call")
        }
        Phase::Booting => Step::Look,
        Phase::Initializing => match node.agent.init {
            Init::Done => Step::Ready,
            Init::Failed => Step::GiveUp { reason: Reason::InitFailed, message: node.agent.message.clone() },
            Init::Pending | Init::Running if late(node, now) => {
                give_up(node, Reason::InitTimeout, "initialization did not end")
            }
            Init::Pending | Init::Running => wait(node, now),
        },
        Phase::Running => Step::Nothing,
        Phase::Failed => match node.seen.condition.reason {
            Reason::NoCapacity | Reason::ProviderQuota => {
                let until = node.seen.condition.since + REFUSAL_SHOWN;
                if now >= until { Step::Withdraw } else { Step::Wait { until } }
            }
            Reason::MachineVanished | Reason::Evicted => Step::Withdraw,
            _ => Step::Nothing,
        },
        // A wish that came while the machine was on its way out: let it go all the way, then begin anew.
        Phase::Draining => Step::Release,
        Phase::Stopping => Step::Look,
        Phase::Releasing => Step::Release,
    }
}

fn toward_stopped(node: &Node, now: Timestamp) -> Step {
    match node.seen.phase {
        Phase::Off => Step::Rest { phase: Phase::Stopped },
        Phase::Reserved | Phase::Releasing => Step::Release,
        Phase::Resuming | Phase::Booting | Phase::Initializing => Step::Stop,
        Phase::Running if node.agent_present() && node.agent.drained < node.generation => Step::Drain,
        Phase::Running => Step::Stop,
        Phase::Draining if node.agent.drained >= node.generation || late(node, now) => Step::Stop,
        Phase::Draining => wait(node, now),
        Phase::Stopping if late(node, now) => Step::Stop,
        Phase::Stopping => Step::Look,
        Phase::Stopped => Step::Nothing,
        Phase::Failed if node.seen.holds && node.seen.machine.is_some() => Step::Stop,
        Phase::Failed if node.seen.holds => Step::Release,
        Phase::Failed => Step::Rest { phase: Phase::Stopped },
    }
}

fn toward_off(node: &Node, now: Timestamp) -> Step {
    match node.seen.phase {
        Phase::Off if node.goal == Goal::Absent => Step::Retire,
        Phase::Off => Step::Nothing,
        Phase::Stopped | Phase::Failed if !node.seen.holds => Step::Rest { phase: Phase::Off },
        Phase::Running if node.agent_present() && node.agent.drained < node.generation => Step::Drain,
        Phase::Draining if node.agent.drained >= node.generation || late(node, now) => Step::Release,
        Phase::Draining => wait(node, now),
        Phase::Reserved
        | Phase::Booting
        | Phase::Initializing
        | Phase::Running
        | Phase::Stopping
        | Phase::Stopped
        | Phase::Resuming
        | Phase::Releasing
        | Phase::Failed => Step::Release,
    }
}
