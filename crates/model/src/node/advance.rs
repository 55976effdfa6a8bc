//! What the outcome of a step makes of the observation.

use std::{net::Ipv4Addr, time::Duration};

use super::{AgentView, Goal, Init, Node, Phase};
use crate::{
    condition::{Condition, Reason},
    timestamp::Timestamp,
};

/// Spans that the reconciler works by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// Longest drain.
    pub drain: Duration,
    /// Longest stop before it is asked for again.
    pub stop: Duration,
    /// Shortest time between two looks.
    pub look_min: Duration,
    /// Longest time between two tries.
    pub look_max: Duration,
    /// How long the provider's answers may lag behind what it did.
    pub settle: Duration,
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(30),
            stop: Duration::from_secs(600),
            look_min: Duration::from_millis(200),
            look_max: Duration::from_secs(30),
            settle: Duration::from_secs(10),
        }
    }
}

/// A machine's state as a provider tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MachineState {
    /// Being made.
    Pending,
    /// Up.
    Running,
    /// Being stopped.
    Stopping,
    /// Stopped, disks kept.
    Stopped,
    /// Being taken back.
    Releasing,
    /// No more.
    Gone,
    /// Taken back by the provider.
    Evicted,
}

/// What a provider that reports for its guests says in the place of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Host name.
    pub hostname: String,
    /// How far initialisation is.
    pub init: Init,
    /// Why it failed.
    pub message: String,
}

/// A machine as a provider showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its state.
    pub state: MachineState,
    /// The provider's name for it.
    pub machine: String,
    /// Its address.
    pub address: Option<Ipv4Addr>,
    /// When looking again is worth while.
    pub check_after: Option<Duration>,
    /// The provider's id of the answer.
    pub provider_request: Option<String>,
    /// What its guest is, if the provider tells.
    pub guest: Option<Guest>,
}

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The machine is named.
    Reserved,
    /// The provider gives it, or starts it again.
    Launched(Seen),
    /// The provider says no.
    Refused {
        /// Why, for programs.
        reason: Reason,
        /// Why, in the provider's words.
        message: String,
        /// The provider's id of the answer.
        provider_request: Option<String>,
    },
    /// The provider said nothing, or asked to be left alone; the truth is unknown.
    Unanswered {
        /// `Throttled` or `ProviderUnanswered`.
        reason: Reason,
        /// What was heard.
        message: String,
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
        /// The provider's id of the answer.
        provider_request: Option<String>,
    },
    /// What the provider shows; `None`: no such machine.
    Looked(Option<Seen>),
    /// Initialisation begins.
    Initializing,
    /// Initialisation is done.
    Ready,
    /// The agent is being let finish.
    Draining,
    /// The provider stops the machine.
    StopAccepted(Seen),
    /// The provider takes the machine back.
    ReleaseAccepted {
        /// It is certain that none is left.
        gone: bool,
    },
    /// At rest.
    Rested(Phase),
    /// Given up.
    GaveUp {
        /// Why, for programs.
        reason: Reason,
        /// Why, for people.
        message: String,
    },
    /// The machine went away behind our back.
    Lost {
        /// `MachineVanished` or `Evicted`.
        reason: Reason,
    },
}

/// Records an outcome.
pub fn advance(node: &mut Node, outcome: Outcome, now: Timestamp, clocks: &Clocks) {
    match outcome {
        Outcome::Reserved => reserve(node, now),
        Outcome::Launched(seen) => {
            node.seen.attempts = 0;
            enter(node, Phase::Booting, Reason::WaitingForAgent, "the machine boots; its agent has not called", now);
            show(node, seen, now, clocks);
        }
        Outcome::Refused { reason, message, provider_request } => {
            node.seen.provider_request = provider_request;
            // A machine that was stopped keeps its disks through a refusal; a new one never came to be.
            node.seen.holds = node.seen.machine.is_some();
            fail(node, reason, &message, now);
        }
        Outcome::Unanswered { reason, message, retry_after, provider_request } => {
            let back_off = Duration::from_secs(1 << node.seen.attempts.min(5)).min(clocks.look_max);
            node.seen.attempts = node.seen.attempts.saturating_add(1);
            node.seen.provider_request = provider_request;
            explain(node, reason, &message, now);
            node.seen.due = now + retry_after.unwrap_or(back_off);
        }
        Outcome::Looked(seen) => look(node, seen, now, clocks),
        Outcome::Initializing => {
            if let Some(hostname) = &node.agent.hostname {
                node.seen.hostname = Some(hostname.clone());
            }
            enter(node, Phase::Initializing, Reason::Initializing, "initialization scripts run", now);
            node.seen.due = now;
        }
        Outcome::Ready => {
            if let Some(hostname) = &node.agent.hostname {
                node.seen.hostname = Some(hostname.clone());
            }
            enter(node, Phase::Running, Reason::AsWished, "", now);
            node.ready_at = Some(now);
            settle(node);
        }
        Outcome::Draining => {
            enter(node, Phase::Draining, Reason::Draining, "the agent is finishing its work", now);
            node.seen.deadline = Some(now + clocks.drain);
            node.seen.due = now + clocks.drain;
        }
        Outcome::StopAccepted(seen) => {
            enter(node, Phase::Stopping, Reason::Stopping, "the provider stops the machine", now);
            node.seen.deadline = Some(now + clocks.stop);
            show(node, seen, now, clocks);
        }
        Outcome::ReleaseAccepted { gone: true } => gone(node, now),
        Outcome::ReleaseAccepted { gone: false } => release(node, now, clocks),
        Outcome::Rested(phase) => {
            enter(node, phase, Reason::AsWished, "", now);
            node.seen.deadline = None;
            node.seen.due = now;
            if node.settled() {
                settle(node);
            }
        }
        Outcome::GaveUp { reason, message } => fail(node, reason, &message, now),
        Outcome::Lost { reason } => lose(node, reason, now),
    }
}

/// Names the next machine: from here on the provider may have one of that name.
pub(super) fn reserve(node: &mut Node, now: Timestamp) {
    let seen = &mut node.seen;
    seen.incarnation += 1;
    seen.holds = true;
    seen.attempts = 0;
    (seen.machine, seen.address, seen.hostname, seen.provider_request) = (None, None, None, None);
    node.agent = AgentView::default();
    let text = format!("waiting for a machine of size {}", node.size);
    enter(node, Phase::Reserved, Reason::Reserved, &text, now);
    node.seen.deadline = Some(now + node.start_timeout);
    node.seen.due = now;
}

/// Sets the machine that is stopped on its way up again.
pub(super) fn resume(node: &mut Node, now: Timestamp) {
    node.agent = AgentView::default();
    node.seen.attempts = 0;
    enter(node, Phase::Resuming, Reason::MachineRequested, "the provider starts the stopped machine", now);
    node.seen.deadline = Some(now + node.start_timeout);
    node.seen.due = now;
}

fn enter(node: &mut Node, phase: Phase, reason: Reason, message: &str, now: Timestamp) {
    if node.seen.phase != phase {
        node.seen.phase = phase;
        node.seen.attempts = 0;
        node.seen.condition.since = now;
    }
    explain(node, reason, message, now);
}

fn explain(node: &mut Node, reason: Reason, message: &str, now: Timestamp) {
    let since = if node.seen.condition.reason == reason { node.seen.condition.since } else { now };
    node.seen.condition = Condition { reason, message: message.to_owned(), since };
}

fn settle(node: &mut Node) {
    node.seen.generation = node.generation;
    node.seen.deadline = None;
    node.seen.due = Timestamp::NEVER;
}

fn fail(node: &mut Node, reason: Reason, message: &str, now: Timestamp) {
    enter(node, Phase::Failed, reason, message, now);
    node.seen.generation = node.generation;
    node.seen.deadline = None;
    node.seen.due = now;
}

/// The machine went away behind our back; it is still released by name, in case it did not.
fn lose(node: &mut Node, reason: Reason, now: Timestamp) {
    let text = match reason {
        Reason::Evicted => "the provider took the spot machine back",
        _ => "the machine disappeared without having been released",
    };
    fail(node, reason, text, now);
}

fn gone(node: &mut Node, now: Timestamp) {
    let seen = &mut node.seen;
    seen.holds = false;
    (seen.machine, seen.address, seen.hostname) = (None, None, None);
    enter(node, Phase::Off, Reason::AsWished, "", now);
    node.seen.deadline = None;
    node.seen.due = now;
    if node.settled() {
        settle(node);
    }
}

fn release(node: &mut Node, now: Timestamp, clocks: &Clocks) {
    enter(node, Phase::Releasing, Reason::Releasing, "the provider takes the machine back", now);
    node.seen.deadline = Some(now + clocks.stop);
    let back_off = clocks.look_min * (1 << node.seen.attempts.min(6));
    node.seen.attempts = node.seen.attempts.saturating_add(1);
    node.seen.due = now + back_off.min(clocks.look_max);
}

/// Copies what a provider showed.
fn show(node: &mut Node, seen: Seen, now: Timestamp, clocks: &Clocks) {
    let back_off = clocks.look_min * (1 << node.seen.attempts.min(6));
    node.seen.attempts = node.seen.attempts.saturating_add(1);
    node.seen.due = now + seen.check_after.unwrap_or(back_off).clamp(clocks.look_min, clocks.look_max);
    node.seen.machine = Some(seen.machine).filter(|name| !name.is_empty()).or(node.seen.machine.take());
    node.seen.address = seen.address.or(node.seen.address);
    node.seen.provider_request = seen.provider_request.or(node.seen.provider_request.take());
    if let Some(guest) = seen.guest {
        // Such a machine has no agent to wait for: what the provider says stands for it, and nothing is to be drained.
        node.agent = AgentView {
            incarnation: node.seen.incarnation,
            init: guest.init,
            message: guest.message,
            drained: i64::MAX,
            hostname: Some(guest.hostname),
            last_seen: Some(now),
        };
    }
    if node.seen.phase == Phase::Booting && node.agent_present() && node.goal == Goal::Started {
        node.seen.due = match node.agent.init {
            Init::Done | Init::Failed => now,
            Init::Pending | Init::Running => node.seen.due,
        };
    }
}

fn look(node: &mut Node, seen: Option<Seen>, now: Timestamp, clocks: &Clocks) {
    let state = seen.as_ref().map(|seen| seen.state);
    match (node.seen.phase, state) {
        (Phase::Releasing, None | Some(MachineState::Gone)) => gone(node, now),
        (Phase::Stopping, Some(MachineState::Stopped)) => {
            if let Some(seen) = seen {
                show(node, seen, now, clocks);
            }
            enter(node, Phase::Stopped, Reason::AsWished, "", now);
            node.seen.deadline = None;
            node.seen.due = now;
            if node.settled() {
                settle(node);
            }
        }
        (Phase::Booting, None) if now.since(node.seen.condition.since) < clocks.settle + Duration::from_secs(120) => {
            // The answer to the launch may be ahead of what the provider shows.
            let back_off = clocks.look_min * (1 << node.seen.attempts.min(6));
            node.seen.attempts = node.seen.attempts.saturating_add(1);
            node.seen.due = now + back_off.min(clocks.look_max);
        }
        (_, Some(MachineState::Evicted)) => lose(node, Reason::Evicted, now),
        (_, None | Some(MachineState::Gone)) => lose(node, Reason::MachineVanished, now),
        (_, Some(_)) => {
            if let Some(seen) = seen {
                show(node, seen, now, clocks);
            }
        }
    }
}
