//! What happens next to a node: goal and observation in, one step out.
//!
//! Pure and total: every pair of goal and phase has an answer, and the same node at the same instant has the same
//! one. It deliberately does not know how a step is done, nor what its outcome means: that is [`super::advance`].
//! Every step may be repeated, since whoever does it may be cut off before its outcome is kept.

use std::time::Duration;

use super::{Goal, Init, Node, Phase};
use crate::{condition::Reason, timestamp::Timestamp};

/// How long a stock-out stays visible at the node before its wish is withdrawn.
pub const REFUSAL_SHOWN: Duration = Duration::from_secs(5);

/// The next thing to do for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until the wish changes.
    Nothing,
    /// Nothing before `until`.
    Wait {
        /// When to plan again.
        until: Timestamp,
    },
    /// Give the next machine its name, before any provider hears of it.
    Reserve,
    /// Ask the provider for the machine; also the look-up after a lost answer.
    Launch,
    /// Ask the provider to start the stopped machine.
    Resume,
    /// Ask the provider what became of the machine.
    Look,
    /// The agent called: from booting to initializing.
    Initialize,
    /// Initialization is done: to running.
    Ready,
    /// Let the agent finish its work.
    Drain,
    /// Ask the provider to stop the machine and keep its disks.
    Stop,
    /// Ask the provider to take the machine back, by its token.
    Release,
    /// There is no machine and none is wanted.
    Rest {
        /// `Off` or `Stopped`.
        phase: Phase,
    },
    /// Remove the record.
    Retire,
    /// Time is up or the machine failed; the node stays as it is until somebody acts.
    GiveUp {
        /// Why, for programs.
        reason: Reason,
        /// Why, for people.
        message: String,
    },
    /// Withdraw the wish: the goal becomes the rest goal, as if the node had been terminated.
    Withdraw,
}

impl Step {
    /// True when the step concerns the record alone. `Withdraw` is not among them: it changes the wish.
    #[must_use]
    pub fn pure(&self) -> bool {
        match self {
            Self::Reserve | Self::Initialize | Self::Ready | Self::Drain | Self::Rest { .. } | Self::GiveUp { .. } => {
                true
            }
            Self::Nothing
            | Self::Wait { .. }
            | Self::Launch
            | Self::Resume
            | Self::Look
            | Self::Stop
            | Self::Release
            | Self::Retire
            | Self::Withdraw => false,
        }
    }
}

/// Names the next step of `node` at `now`.
#[must_use]
pub fn plan(node: &Node, now: Timestamp) -> Step {
    match node.goal {
        Goal::Started => toward_started(node, now),
        Goal::Deallocated => toward_deallocated(node, now),
        Goal::Off | Goal::Absent => toward_off(node, now),
    }
}

fn toward_started(node: &Node, now: Timestamp) -> Step {
    match node.seen.phase {
        Phase::Off => Step::Reserve,
        Phase::Stopped if node.seen.machine.is_some() => Step::Resume,
        Phase::Stopped => Step::Reserve,
        Phase::Reserved if late(node, now) => give_up(node, Reason::LaunchTimeout, "the provider gave no machine"),
        Phase::Reserved => Step::Launch,
        Phase::Resuming if late(node, now) => give_up(
            node,
            Reason::LaunchTimeout,
            "the provider did not start the stopped machine",
        ),
        Phase::Resuming => Step::Resume,
        Phase::Booting if node.agent_present() => Step::Initialize,
        Phase::Booting if late(node, now) => give_up(node, Reason::BootTimeout, "the agent did not call"),
        Phase::Booting => Step::Look,
        Phase::Initializing => initializing(node, now),
        Phase::Running => Step::Nothing,
        Phase::Failed => failed(node, now),
        // On its way down when the wish came back: it gets there first, then starts again.
        Phase::Draining if drained(node, now) => Step::Stop,
        Phase::Draining => wait(node, now),
        Phase::Stopping => stopping(node, now),
        Phase::Releasing => releasing(node, now),
    }
}

fn toward_deallocated(node: &Node, now: Timestamp) -> Step {
    match node.seen.phase {
        Phase::Off => Step::Rest { phase: Phase::Stopped },
        Phase::Reserved => Step::Release,
        Phase::Resuming | Phase::Booting | Phase::Initializing => Step::Stop,
        Phase::Running if node.agent_present() => Step::Drain,
        Phase::Running => Step::Stop,
        Phase::Draining if drained(node, now) => Step::Stop,
        Phase::Draining => wait(node, now),
        Phase::Stopping => stopping(node, now),
        Phase::Stopped => Step::Nothing,
        Phase::Failed if !node.seen.holds => Step::Rest { phase: Phase::Stopped },
        // What is lost cannot be stopped; a spot machine that was taken back still wants to be released.
        Phase::Failed if node.seen.machine.is_some() && !lost(node) => Step::Stop,
        Phase::Failed => Step::Release,
        Phase::Releasing => releasing(node, now),
    }
}

fn toward_off(node: &Node, now: Timestamp) -> Step {
    match node.seen.phase {
        Phase::Off if node.goal == Goal::Absent => Step::Retire,
        Phase::Off => Step::Nothing,
        Phase::Running if node.agent_present() => Step::Drain,
        Phase::Draining if !drained(node, now) => wait(node, now),
        Phase::Releasing => releasing(node, now),
        Phase::Reserved
        | Phase::Booting
        | Phase::Initializing
        | Phase::Running
        | Phase::Draining
        | Phase::Stopping
        | Phase::Stopped
        | Phase::Resuming
        | Phase::Failed => {
            if node.seen.holds {
                Step::Release
            } else {
                Step::Rest { phase: Phase::Off }
            }
        }
    }
}

fn initializing(node: &Node, now: Timestamp) -> Step {
    match node.agent.init {
        Init::Done => Step::Ready,
        Init::Failed => Step::GiveUp {
            reason: Reason::InitFailed,
            message: if node.agent.message.is_empty() {
                "an initialization script failed".into()
            } else {
                format!("initialization failed: {}", node.agent.message)
            },
        },
        Init::Pending | Init::Running if late(node, now) => {
            give_up(node, Reason::InitTimeout, "initialization did not end")
        }
        // The provider may speak for the guest, and the machine may vanish meanwhile: both need a look.
        Init::Pending | Init::Running => Step::Look,
    }
}

fn failed(node: &Node, now: Timestamp) -> Step {
    let until = node.seen.condition.since + REFUSAL_SHOWN;
    match node.seen.condition.reason {
        Reason::NoCapacity | Reason::ProviderQuota if now < until => Step::Wait { until },
        Reason::NoCapacity | Reason::ProviderQuota | Reason::MachineVanished | Reason::Evicted => Step::Withdraw,
        _ => Step::Nothing,
    }
}

fn stopping(node: &Node, now: Timestamp) -> Step {
    // Any reason but *stopping* says that the provider has not confirmed the request.
    if late(node, now) || node.seen.condition.reason != Reason::Stopping {
        Step::Stop
    } else {
        Step::Look
    }
}

fn releasing(node: &Node, now: Timestamp) -> Step {
    // A machine without a known name may still be on its way, and only a release by token reaches it when it comes.
    if late(node, now) || node.seen.machine.is_none() || node.seen.condition.reason != Reason::Releasing {
        Step::Release
    } else {
        Step::Look
    }
}

/// The machine is gone or was taken back, by nobody's wish.
pub(super) fn lost(node: &Node) -> bool {
    matches!(node.seen.condition.reason, Reason::MachineVanished | Reason::Evicted)
}

fn late(node: &Node, now: Timestamp) -> bool {
    node.seen.deadline.is_some_and(|deadline| now >= deadline)
}

/// The agent has finished for the present wish, or had its time.
fn drained(node: &Node, now: Timestamp) -> bool {
    node.seen.deadline.is_none() || late(node, now) || (node.agent_present() && node.agent.drained >= node.generation)
}

fn wait(node: &Node, now: Timestamp) -> Step {
    Step::Wait {
        until: node.seen.deadline.unwrap_or(now),
    }
}

fn give_up(node: &Node, reason: Reason, what: &str) -> Step {
    let mut message = format!("{what} within {} s of the request", node.start_timeout.as_secs());
    let last = &node.seen.condition;
    if matches!(last.reason, Reason::ProviderUnanswered | Reason::Throttled) {
        message = format!("{message}; last: {}", last.message);
    }
    Step::GiveUp { reason, message }
}
