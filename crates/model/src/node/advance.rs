//! What the outcome of a step makes of the observation.
//!
//! Pure. It deliberately does not know who did the step or how; see [`super::plan`] for which step comes when.
//! Three promises hold after every call: a phase that must end has a deadline and a due time, every phase has a
//! reason, and a machine that may exist is never forgotten (`holds` falls only on certain news).

use std::{net::Ipv4Addr, time::Duration};

use super::{
    AgentView, Goal, Init, Node, Phase,
    plan::{self, Step},
};
use crate::{
    condition::{Condition, Reason},
    timestamp::Timestamp,
};

/// First wait after an answer that did not come; doubled with every further one.
const BACK_OFF_FIRST: Duration = Duration::from_secs(1);
/// Longest wait after an answer that did not come.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// Beyond the provider's own lag, how long a machine just launched may stay invisible.
const UNSEEN_MAX: Duration = Duration::from_secs(120);

/// Spans that the outcomes are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// What an agent has to finish its work.
    pub drain: Duration,
    /// What a machine has to stop or to go before the provider is told again.
    pub stop: Duration,
    /// Shortest wait between two looks.
    pub look_min: Duration,
    /// Longest wait between two looks.
    pub look_max: Duration,
    /// How far the provider's view may lag behind its effects.
    pub settle: Duration,
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(30),
            stop: Duration::from_secs(600),
            look_min: Duration::from_millis(500),
            look_max: Duration::from_secs(30),
            settle: Duration::from_secs(30),
        }
    }
}

/// What a machine is doing, in the provider's eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MachineState {
    /// Taken on, not running yet.
    Pending,
    /// Powered on.
    Running,
    /// On its way to stopped.
    Stopping,
    /// Powered off, disks kept.
    Stopped,
    /// On its way to gone.
    Releasing,
    /// No longer there.
    Gone,
    /// Taken back by the provider; only wants to be released.
    Evicted,
}

/// What a provider says of the inside of a machine, where it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Host name.
    pub hostname: String,
    /// How far initialization is.
    pub init: Init,
    /// Why it failed, or what runs.
    pub message: String,
}

/// A machine as a provider saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it is doing.
    pub state: MachineState,
    /// The provider's name for it; empty when the answer had none.
    pub machine: String,
    /// Its address, as soon as there is one.
    pub address: Option<Ipv4Addr>,
    /// When looking again will show something new.
    pub check_after: Option<Duration>,
    /// The provider's id of this answer.
    pub provider_request: Option<String>,
    /// The inside, where the provider reports it.
    pub guest: Option<Guest>,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The next machine has its name.
    Reserved,
    /// The provider took on a launch, or a start of a stopped machine.
    Launched(Seen),
    /// The provider refused a launch or a start, for certain.
    Refused {
        /// Why, for programs.
        reason: Reason,
        /// Why, for people.
        message: String,
        /// The provider's id of the answer.
        provider_request: Option<String>,
    },
    /// Nobody knows whether the step had its effect.
    Unanswered {
        /// `Throttled` or `ProviderUnanswered`.
        reason: Reason,
        /// What was heard instead of an answer.
        message: String,
        /// The provider's own wish when to try again.
        retry_after: Option<Duration>,
        /// The provider's id of the answer.
        provider_request: Option<String>,
    },
    /// The provider was asked; `None` when it knows no such machine.
    Looked(Option<Seen>),
    /// The agent is there.
    Initializing,
    /// Initialization is done.
    Ready,
    /// The agent was told to finish.
    Draining,
    /// The provider took on a stop; the state is the one after it.
    StopAccepted(Seen),
    /// The provider took on a release.
    ReleaseAccepted {
        /// It says that nothing is left.
        gone: bool,
    },
    /// No machine, and none wanted: `Off` or `Stopped`.
    Rested(Phase),
    /// Time was up, or the machine failed.
    GaveUp {
        /// Why, for programs.
        reason: Reason,
        /// Why, for people.
        message: String,
    },
    /// The machine is lost, as somebody else than the reconciler found out.
    Lost {
        /// `MachineVanished` or `Evicted`.
        reason: Reason,
    },
}

/// Records `outcome` of the step that `plan` named for `node`.
pub fn advance(node: &mut Node, outcome: Outcome, now: Timestamp, clocks: &Clocks) {
    match outcome {
        Outcome::Reserved => reserve(node, now),
        Outcome::Launched(seen) => launched(node, seen, now, clocks),
        Outcome::Refused {
            reason,
            message,
            provider_request,
        } => {
            // An earlier try may have had its effect although this one was refused.
            node.seen.holds = node.seen.machine.is_some() || node.seen.attempts > 0;
            node.seen.provider_request = provider_request.or(node.seen.provider_request.take());
            enter(node, Phase::Failed, reason, message, None, now);
        }
        Outcome::Unanswered {
            reason,
            message,
            retry_after,
            provider_request,
        } => {
            node.seen.provider_request = provider_request.or(node.seen.provider_request.take());
            unanswered(node, reason, message, retry_after, now, clocks);
        }
        Outcome::Looked(None) => unseen(node, now, clocks),
        Outcome::Looked(Some(seen)) => looked(node, seen, now, clocks),
        Outcome::Initializing => {
            let deadline = node.seen.deadline;
            enter(
                node,
                Phase::Initializing,
                Reason::Initializing,
                "initialization runs".into(),
                deadline,
                now,
            );
        }
        Outcome::Ready => {
            node.ready_at = Some(now);
            node.seen.hostname = node.agent.hostname.clone().or(node.seen.hostname.take());
            enter(node, Phase::Running, Reason::AsWished, String::new(), None, now);
        }
        Outcome::Draining => {
            let message = format!("the agent has {} s to finish its work", clocks.drain.as_secs());
            enter(
                node,
                Phase::Draining,
                Reason::Draining,
                message,
                Some(now + clocks.drain),
                now,
            );
        }
        Outcome::StopAccepted(seen) => stop_accepted(node, seen, now, clocks),
        Outcome::ReleaseAccepted { gone } => release_accepted(node, gone, now, clocks),
        Outcome::Rested(phase) => rest(node, phase, now),
        Outcome::GaveUp { reason, message } => enter(node, Phase::Failed, reason, message, None, now),
        Outcome::Lost { reason } => lose(node, reason, now, clocks),
    }
    conclude(node, now);
}

/// Gives the next machine its name; it counts against the quota from here on.
pub(super) fn reserve(node: &mut Node, now: Timestamp) {
    node.seen.incarnation += 1;
    node.seen.reruns = 0;
    node.seen.holds = true;
    node.seen.machine = None;
    node.seen.address = None;
    node.seen.hostname = None;
    node.seen.provider_request = None;
    node.agent = AgentView::default();
    ask(node, now);
}

/// Lets the provider be asked for the machine of the present name, for the whole start time.
pub(super) fn ask(node: &mut Node, now: Timestamp) {
    let message = format!("a {} machine will be asked for", node.size);
    let deadline = Some(now + node.start_timeout);
    enter(node, Phase::Reserved, Reason::Reserved, message, deadline, now);
}

/// Turns to the stopped machine; it counts against the quota again from here on.
pub(super) fn resume(node: &mut Node, now: Timestamp) {
    let message = format!("stopped machine {} will be started", name(node));
    let deadline = Some(now + node.start_timeout);
    node.agent.init = Init::Pending;
    node.agent.message.clear();
    enter(node, Phase::Resuming, Reason::MachineRequested, message, deadline, now);
}

/// Boots once more, with the whole start time and a new run of initialization: what was said of the old one is over.
pub(super) fn boot_again(node: &mut Node, now: Timestamp) {
    let message = format!("waiting once more for the agent of machine {}", name(node));
    let deadline = Some(now + node.start_timeout);
    node.seen.reruns += 1;
    node.agent.rerun = node.seen.reruns;
    node.agent.init = Init::Pending;
    node.agent.message.clear();
    enter(node, Phase::Booting, Reason::WaitingForAgent, message, deadline, now);
}

/// Takes a lost machine's remains back, so that a new one can follow.
pub(super) fn clear_away(node: &mut Node, now: Timestamp, clocks: &Clocks) {
    let Condition { reason, message, .. } = node.seen.condition.clone();
    enter(node, Phase::Releasing, reason, message, Some(now + clocks.stop), now);
}

fn launched(node: &mut Node, seen: Seen, now: Timestamp, clocks: &Clocks) {
    if node.seen.phase == Phase::Stopped {
        resume(node, now);
    }
    let resumed = node.seen.phase == Phase::Resuming;
    note(node, &seen);
    match seen.state {
        MachineState::Pending | MachineState::Running => {
            if resumed {
                // What the agent said before the stop says nothing about the present boot.
                node.agent.init = Init::Pending;
                node.agent.message.clear();
            }
            booting(node, &seen, now, clocks);
        }
        MachineState::Stopping | MachineState::Stopped if resumed => look_later(node, seen.check_after, now, clocks),
        MachineState::Stopping => stopping(node, &seen, now, clocks),
        MachineState::Stopped => stopped(node, now),
        MachineState::Releasing | MachineState::Gone => lose(node, Reason::MachineVanished, now, clocks),
        MachineState::Evicted => lose(node, Reason::Evicted, now, clocks),
    }
}

fn booting(node: &mut Node, seen: &Seen, now: Timestamp, clocks: &Clocks) {
    let deadline = node.seen.deadline.or(Some(now + node.start_timeout));
    let (reason, message) = if seen.state == MachineState::Pending {
        (
            Reason::MachineRequested,
            format!("the provider prepares machine {}", name(node)),
        )
    } else {
        (
            Reason::WaitingForAgent,
            format!("machine {} runs, its agent has not called yet", name(node)),
        )
    };
    enter(node, Phase::Booting, reason, message, deadline, now);
    report(node, seen);
    look_later(node, seen.check_after, now, clocks);
}

fn looked(node: &mut Node, seen: Seen, now: Timestamp, clocks: &Clocks) {
    note(node, &seen);
    match (seen.state, node.seen.phase) {
        (MachineState::Pending | MachineState::Running, Phase::Booting) => booting(node, &seen, now, clocks),
        (MachineState::Pending | MachineState::Running, Phase::Initializing) => {
            report(node, &seen);
            let message = if node.agent.message.is_empty() {
                "initialization runs".into()
            } else {
                node.agent.message.clone()
            };
            let deadline = node.seen.deadline;
            enter(node, Phase::Initializing, Reason::Initializing, message, deadline, now);
            look_later(node, seen.check_after, now, clocks);
        }
        (MachineState::Stopped, Phase::Stopping | Phase::Draining) => stopped(node, now),
        (MachineState::Evicted, Phase::Releasing) => release_accepted(node, false, now, clocks),
        (MachineState::Gone, Phase::Releasing) => release_accepted(node, true, now, clocks),
        (MachineState::Evicted, _) => lose(node, Reason::Evicted, now, clocks),
        (MachineState::Gone, _) => lose(node, Reason::MachineVanished, now, clocks),
        (MachineState::Releasing, Phase::Booting | Phase::Initializing | Phase::Running) => {
            lose(node, Reason::MachineVanished, now, clocks);
        }
        (
            MachineState::Pending
            | MachineState::Running
            | MachineState::Stopping
            | MachineState::Stopped
            | MachineState::Releasing,
            _,
        ) => {
            look_later(node, seen.check_after, now, clocks);
        }
    }
}

/// The provider knows no such machine: gone, or not visible yet.
fn unseen(node: &mut Node, now: Timestamp, clocks: &Clocks) {
    let certain = matches!(plan::plan(node, now), Step::Launch | Step::Stop | Step::Resume);
    match node.seen.phase {
        Phase::Releasing => release_accepted(node, true, now, clocks),
        Phase::Booting if !certain && now < launched_at(node) + clocks.settle + UNSEEN_MAX => {
            look_later(node, None, now, clocks);
        }
        Phase::Off | Phase::Stopped if !node.seen.holds => {}
        Phase::Off
        | Phase::Reserved
        | Phase::Booting
        | Phase::Initializing
        | Phase::Running
        | Phase::Draining
        | Phase::Stopping
        | Phase::Stopped
        | Phase::Resuming
        | Phase::Failed => lose(node, Reason::MachineVanished, now, clocks),
    }
}

/// The latest instant at which the present boot can have been asked for.
fn launched_at(node: &Node) -> Timestamp {
    let reserved = node.seen.deadline.map(|deadline| deadline - node.start_timeout);
    reserved.map_or(node.seen.condition.since, |at| at.max(node.seen.condition.since))
}

fn lose(node: &mut Node, reason: Reason, now: Timestamp, clocks: &Clocks) {
    let message = if reason == Reason::Evicted {
        format!("the provider took spot machine {} back", name(node))
    } else {
        format!("machine {} is gone, and nobody here asked for it", name(node))
    };
    let down = matches!(node.seen.phase, Phase::Draining | Phase::Stopping | Phase::Releasing);
    let (phase, deadline) = if node.goal == Goal::Started && !down {
        (Phase::Failed, None)
    } else {
        (Phase::Releasing, Some(now + clocks.stop))
    };
    enter(node, phase, reason, message, deadline, now);
}

fn stop_accepted(node: &mut Node, seen: Seen, now: Timestamp, clocks: &Clocks) {
    note(node, &seen);
    match seen.state {
        MachineState::Stopped => stopped(node, now),
        MachineState::Pending | MachineState::Running | MachineState::Stopping => {
            stopping(node, &seen, now, clocks);
            node.seen.deadline = Some(now + clocks.stop);
        }
        MachineState::Releasing | MachineState::Gone => lose(node, Reason::MachineVanished, now, clocks),
        MachineState::Evicted => lose(node, Reason::Evicted, now, clocks),
    }
}

fn stopping(node: &mut Node, seen: &Seen, now: Timestamp, clocks: &Clocks) {
    let message = format!("waiting for machine {} to stop", name(node));
    enter(
        node,
        Phase::Stopping,
        Reason::Stopping,
        message,
        Some(now + clocks.stop),
        now,
    );
    look_later(node, seen.check_after, now, clocks);
}

fn stopped(node: &mut Node, now: Timestamp) {
    let message = format!("machine {} is stopped", name(node));
    enter(node, Phase::Stopped, Reason::AsWished, message, None, now);
}

fn release_accepted(node: &mut Node, gone: bool, now: Timestamp, clocks: &Clocks) {
    let confirmed = node.seen.phase == Phase::Releasing && node.seen.condition.reason == Reason::Releasing;
    if !confirmed || node.seen.deadline.is_none_or(|deadline| now >= deadline) {
        let message = match &node.seen.machine {
            Some(machine) => format!("waiting for machine {machine} to be gone"),
            None => format!("making sure that no machine {} is left", node.token()),
        };
        enter(
            node,
            Phase::Releasing,
            Reason::Releasing,
            message,
            Some(now + clocks.stop),
            now,
        );
    }
    // A launch without an answer may have its effect up to `settle` later, after which there is nothing to wait for.
    let settled = node.seen.condition.since + clocks.settle;
    if gone && (node.seen.machine.is_some() || now >= settled) {
        rest(node, Phase::Off, now);
    } else if gone {
        node.seen.due = settled.max(now + clocks.look_min);
    } else {
        look_later(node, None, now, clocks);
    }
}

fn rest(node: &mut Node, phase: Phase, now: Timestamp) {
    node.seen.holds = false;
    node.seen.machine = None;
    node.seen.address = None;
    node.seen.hostname = None;
    enter(node, phase, Reason::AsWished, "there is no machine".into(), None, now);
}

/// Nobody knows what came of the step, so the node goes where repeating it is the next step.
fn unanswered(
    node: &mut Node,
    reason: Reason,
    message: String,
    retry_after: Option<Duration>,
    now: Timestamp,
    clocks: &Clocks,
) {
    let (phase, deadline) = match (plan::plan(node, now), node.seen.phase) {
        (Step::Release, phase) if phase != Phase::Releasing => (Phase::Releasing, Some(now + clocks.stop)),
        (Step::Stop, phase) if phase != Phase::Stopping => (Phase::Stopping, Some(now + clocks.stop)),
        (Step::Resume, Phase::Stopped) => (Phase::Resuming, Some(now + node.start_timeout)),
        (_, phase) => (phase, node.seen.deadline),
    };
    enter(node, phase, reason, message, deadline, now);
    let doubled = BACK_OFF_FIRST.saturating_mul(1 << node.seen.attempts.min(5));
    node.seen.attempts = node.seen.attempts.saturating_add(1);
    let wait = doubled.min(BACK_OFF_MAX).max(retry_after.unwrap_or_default());
    node.seen.due = now + wait;
}

/// Copies what every answer tells.
fn note(node: &mut Node, seen: &Seen) {
    if !seen.machine.is_empty() {
        node.seen.machine = Some(seen.machine.clone());
    }
    node.seen.address = seen.address.or(node.seen.address);
    if seen.provider_request.is_some() {
        node.seen.provider_request.clone_from(&seen.provider_request);
    }
}

/// Lets the provider speak in the agent's place.
fn report(node: &mut Node, seen: &Seen) {
    let Some(guest) = &seen.guest else { return };
    node.agent = AgentView {
        incarnation: node.seen.incarnation,
        rerun: node.seen.reruns,
        init: guest.init,
        message: guest.message.clone(),
        // A guest without an agent has nothing to drain, whatever is wished later.
        drained: i64::MAX,
        hostname: Some(guest.hostname.clone()),
        // Nobody called: whoever asks how fresh this is must not wait for beats that never come.
        last_seen: None,
    };
}

/// Looks again when the provider says, else the more seldom the longer the present state lasts.
fn look_later(node: &mut Node, check_after: Option<Duration>, now: Timestamp, clocks: &Clocks) {
    let aged = now.since(node.seen.condition.since) / 4;
    let wait = check_after.unwrap_or(aged).clamp(clocks.look_min, clocks.look_max);
    let at = node
        .seen
        .deadline
        .map_or(now + wait, |deadline| deadline.min(now + wait));
    node.seen.due = at.max(now + clocks.look_min);
    node.seen.attempts = 0;
}

fn enter(node: &mut Node, phase: Phase, reason: Reason, message: String, deadline: Option<Timestamp>, now: Timestamp) {
    let changed = node.seen.phase != phase;
    if changed {
        node.seen.attempts = 0;
        node.seen.due = now;
    }
    let since = if changed || node.seen.condition.reason != reason {
        now
    } else {
        node.seen.condition.since
    };
    node.seen.phase = phase;
    node.seen.condition = Condition { reason, message, since };
    node.seen.deadline = deadline;
}

fn conclude(node: &mut Node, now: Timestamp) {
    if node.settled() {
        node.seen.generation = node.generation;
        // What was given up may yet have to be withdrawn: `plan` says so, once asked.
        node.seen.due = if node.seen.phase == Phase::Failed {
            now
        } else {
            Timestamp::NEVER
        };
    } else if node.seen.due == Timestamp::NEVER {
        node.seen.due = now;
    }
}

/// What people may look for at the provider.
fn name(node: &Node) -> String {
    node.seen.machine.clone().unwrap_or_else(|| node.token())
}
