//! Nodes against a made-up provider that loses answers, delays launches and takes machines away: whatever the order,
//! the wish comes true and nothing is left behind.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    condition::Reason,
    node::{
        Init,
        advance::{Clocks, Guest, MachineState, Outcome, Seen, advance},
        plan::{Step, plan},
        verb::wish,
    },
};

/// What becomes of one call.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Plain,
    /// The call had no effect, and nobody answered.
    Lost,
    /// The call had its effect, and nobody answered.
    Mute,
    /// The call has its effect later, and nobody answered.
    Late,
    NoCapacity,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Wish(Goal),
    Work(u8),
    Take(MachineState),
}

/// The provider.
struct World {
    clocks: Clocks,
    machines: BTreeMap<String, MachineState>,
    made: BTreeMap<String, u32>,
    late: Vec<(Timestamp, String)>,
    answers: std::vec::IntoIter<Answer>,
    guests: bool,
}

impl World {
    fn arrive(&mut self, now: Timestamp) {
        let (here, later) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.late = later;
        let here: Vec<_> = here;
        for (_, token) in here {
            self.make(&token);
        }
    }

    fn make(&mut self, token: &str) {
        if !self.machines.contains_key(token) {
            self.machines.insert(token.into(), MachineState::Pending);
            *self.made.entry(token.into()).or_default() += 1;
        }
    }

    fn seen(&self, token: &str) -> Option<Seen> {
        let state = *self.machines.get(token)?;
        let guest = (self.guests && state == MachineState::Running).then(|| Guest {
            hostname: "ip-0A000001".into(),
            init: Init::Done,
            message: String::new(),
        });
        let machine = format!("m-{token}");
        Some(Seen {
            state,
            machine,
            address: None,
            check_after: None,
            provider_request: None,
            guest,
        })
    }

    fn call(&mut self, step: &Step, token: &str, now: Timestamp) -> Outcome {
        self.arrive(now);
        let answer = self.answers.next().unwrap_or(Answer::Plain);
        if matches!(answer, Answer::NoCapacity) && matches!(step, Step::Launch | Step::Resume) {
            let fresh = self
                .machines
                .get(token)
                .is_none_or(|state| *state == MachineState::Stopped);
            if fresh {
                let message = "none left".into();
                return Outcome::Refused {
                    reason: Reason::NoCapacity,
                    message,
                    provider_request: None,
                };
            }
        }
        if matches!(answer, Answer::Late) && *step == Step::Launch {
            self.late.push((now + self.clocks.settle / 2, token.into()));
        }
        let effect = !matches!(answer, Answer::Lost | Answer::Late);
        let outcome = if effect {
            self.effect(step, token)
        } else {
            Outcome::Looked(None)
        };
        if matches!(answer, Answer::Plain | Answer::NoCapacity) {
            return outcome;
        }
        let message = "no answer".into();
        let reason = Reason::ProviderUnanswered;
        Outcome::Unanswered {
            reason,
            message,
            retry_after: None,
            provider_request: None,
        }
    }

    fn effect(&mut self, step: &Step, token: &str) -> Outcome {
        use MachineState::{Evicted, Gone, Pending, Releasing, Running, Stopped, Stopping};
        let state = self.machines.get(token).copied();
        let next = match (step, state) {
            (Step::Launch, None) => {
                self.make(token);
                Pending
            }
            (_, None) => Gone,
            (Step::Resume, Some(Stopped | Stopping)) => Pending,
            (Step::Stop, Some(Pending | Running)) => Stopping,
            (Step::Release | Step::Look, Some(Releasing | Gone)) => Gone,
            (Step::Release, Some(_)) => Releasing,
            (Step::Look, Some(Pending)) => Running,
            (Step::Look, Some(Stopping)) => Stopped,
            (_, Some(state)) => state,
        };
        if state.is_some() {
            self.machines.insert(token.into(), next);
        }
        let absent = matches!(next, Releasing | Gone | Evicted);
        match step {
            Step::Release => Outcome::ReleaseAccepted { gone: next == Gone },
            Step::Stop if !absent => self.seen(token).map_or(Outcome::Looked(None), Outcome::StopAccepted),
            Step::Launch if next != Gone => self.seen(token).map_or(Outcome::Looked(None), Outcome::Launched),
            Step::Resume if !absent => self.seen(token).map_or(Outcome::Looked(None), Outcome::Launched),
            Step::Look => Outcome::Looked(self.seen(token)),
            _ => Outcome::Looked(None),
        }
    }

    /// Machines that still cost something.
    fn live(&self) -> Vec<&String> {
        self.machines
            .iter()
            .filter(|(_, state)| **state != MachineState::Gone)
            .map(|(token, _)| token)
            .collect()
    }
}

fn check(node: &Node) {
    let seen = &node.seen;
    let lasting = matches!(seen.phase, Phase::Off | Phase::Stopped | Phase::Running | Phase::Failed);
    assert!(lasting || seen.deadline.is_some(), "{seen:?} has no deadline");
    assert!(lasting || seen.due < Timestamp::NEVER, "{seen:?} is never due");
    assert!(
        lasting || seen.condition.reason != Reason::AsWished,
        "{seen:?} has no reason"
    );
    assert!(
        seen.condition.reason == Reason::AsWished || !seen.condition.message.is_empty(),
        "{seen:?} says nothing"
    );
    assert!(
        node.settled() || node.goal == Goal::Absent || seen.due < Timestamp::NEVER,
        "{node:?} is forgotten"
    );
    assert!(
        seen.holds || seen.machine.is_none(),
        "{seen:?} knows a machine that it does not hold"
    );
}

/// One activation, as the reconciler does it; true when the record is gone.
fn activate(node: &mut Node, world: &mut World, now: Timestamp) -> bool {
    let step = settle(node, &world.clocks, now);
    match step {
        Step::Retire => return true,
        Step::Nothing | Step::Wait { .. } => return false,
        _ => {}
    }
    let outcome = world.call(&step, &node.token(), now);
    advance(node, outcome, now, &world.clocks);
    check(node);
    settle(node, &world.clocks, now) == Step::Retire
}

fn settle(node: &mut Node, clocks: &Clocks, now: Timestamp) -> Step {
    for _ in 0..20 {
        let step = plan(node, now);
        assert_eq!(step, plan(&node.clone(), now), "the same node has the same next step");
        let outcome = match step.clone() {
            Step::Reserve => Outcome::Reserved,
            Step::Initialize => Outcome::Initializing,
            Step::Ready => Outcome::Ready,
            Step::Drain => Outcome::Draining,
            Step::Rest { phase } => Outcome::Rested(phase),
            Step::GiveUp { reason, message } => Outcome::GaveUp { reason, message },
            Step::Withdraw => {
                assert!(!step.pure());
                let goal = node.rest_goal();
                wish(node, goal, now);
                continue;
            }
            Step::Nothing => {
                node.seen.due = Timestamp::NEVER;
                return step;
            }
            Step::Wait { until } => {
                assert!(until > now, "waiting for {until:?} at {now:?} would spin");
                node.seen.due = until;
                return step;
            }
            Step::Launch | Step::Resume | Step::Look | Step::Stop | Step::Release | Step::Retire => return step,
        };
        assert!(step.pure());
        advance(node, outcome, now, clocks);
        check(node);
    }
    panic!("pure steps go round in circles at {node:?}");
}

fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let one = prop_oneof![
        4 => Just(Answer::Plain),
        1 => Just(Answer::Lost),
        1 => Just(Answer::Mute),
        1 => Just(Answer::Late),
        1 => Just(Answer::NoCapacity),
    ];
    prop::collection::vec(one, 0..24)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = prop_oneof![
        3 => prop::sample::select(vec![Goal::Started, Goal::Started, Goal::Deallocated, Goal::Off]).prop_map(Event::Wish),
        5 => (1u8..6).prop_map(Event::Work),
        1 => prop::sample::select(vec![MachineState::Gone, MachineState::Evicted]).prop_map(Event::Take),
    ];
    prop::collection::vec(one, 1..16)
}

struct Run {
    node: Node,
    world: World,
    now: Timestamp,
    gone: bool,
}

impl Run {
    fn new(answers: Vec<Answer>, guests: bool, fixed: bool) -> Self {
        let world = World {
            clocks: Clocks::default(),
            machines: BTreeMap::new(),
            made: BTreeMap::new(),
            late: Vec::new(),
            answers: answers.into_iter(),
            guests,
        };
        Self {
            node: Node { fixed, ..node() },
            world,
            now: START,
            gone: false,
        }
    }

    /// Waits until the node is due and looks after it; the agent speaks first, where there is one.
    fn work(&mut self) {
        if self.gone || self.node.seen.due == Timestamp::NEVER {
            return;
        }
        self.now = self.now.max(self.node.seen.due);
        let token = self.node.token();
        let running = self.world.machines.get(&token) == Some(&MachineState::Running);
        if !self.world.guests && running {
            self.node.agent.incarnation = self.node.seen.incarnation;
            self.node.agent.init = Init::Done;
        }
        self.gone = activate(&mut self.node, &mut self.world, self.now);
    }

    fn take(&mut self, state: MachineState) {
        let token = self.node.token();
        let Some(machine) = self
            .world
            .machines
            .get_mut(&token)
            .filter(|state| **state == MachineState::Running)
        else {
            return;
        };
        *machine = state;
        if self.node.seen.phase == Phase::Running {
            let reason = if state == MachineState::Evicted {
                Reason::Evicted
            } else {
                Reason::MachineVanished
            };
            advance(&mut self.node, Outcome::Lost { reason }, self.now, &self.world.clocks);
            self.node.seen.due = self.now;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_wish_comes_true_and_nothing_is_left_behind(
        events in events(), answers in answers(), last in prop::sample::select(Goal::EVERY.to_vec()),
        guests: bool, fixed: bool,
    ) {
        let mut run = Run::new(answers, guests, fixed);
        for event in events {
            match event {
                Event::Wish(goal) if !run.gone => {
                    wish(&mut run.node, goal, run.now);
                    check(&run.node);
                }
                Event::Wish(_) => {}
                Event::Work(rounds) => (0..rounds).for_each(|_| run.work()),
                Event::Take(state) => run.take(state),
            }
        }
        if !run.gone {
            wish(&mut run.node, last, run.now);
        }
        for _ in 0..200 {
            run.work();
        }
        let node = &run.node;
        prop_assert!(run.gone || node.seen.due == Timestamp::NEVER, "still busy: {node:?}");
        prop_assert!(run.gone || node.settled(), "not as wished: {node:?}");
        prop_assert!(run.gone || node.seen.generation == node.generation, "not settled: {node:?}");
        run.world.arrive(Timestamp::NEVER);
        prop_assert!(run.world.made.values().all(|count| *count <= 1), "two machines of one name");
        let own: Vec<String> = if !run.gone && node.seen.holds { vec![node.token()] } else { Vec::new() };
        let live: Vec<String> = run.world.live().into_iter().cloned().collect();
        let orphans: Vec<&String> = live.iter().filter(|token| !own.contains(token)).collect();
        prop_assert!(orphans.is_empty(), "left behind: {orphans:?} by {node:?}");
        if !run.gone && node.seen.phase == Phase::Running {
            prop_assert_eq!(run.world.machines.get(&node.token()), Some(&MachineState::Running));
        }
    }
}
