//! Single behaviors that people rely on.

use std::net::Ipv4Addr;

use super::*;
use crate::{
    condition::Reason,
    node::{
        Init,
        advance::{Clocks, MachineState, Outcome, Seen, advance},
        plan::{REFUSAL_SHOWN, Step, plan},
        verb::wish,
    },
};

fn seen(state: MachineState) -> Seen {
    Seen {
        state,
        machine: "m-1".into(),
        address: Some(Ipv4Addr::new(10, 0, 0, 1)),
        check_after: None,
        provider_request: None,
        guest: None,
    }
}

fn unanswered(retry_after: Option<Duration>) -> Outcome {
    Outcome::Unanswered {
        reason: Reason::ProviderUnanswered,
        message: "no answer within 10 s".into(),
        retry_after,
        provider_request: None,
    }
}

fn refused(reason: Reason) -> Outcome {
    Outcome::Refused {
        reason,
        message: "none left".into(),
        provider_request: Some("r-1".into()),
    }
}

fn started() -> Node {
    let mut node = node();
    wish(&mut node, Goal::Started, START);
    node
}

#[test]
fn a_start_reserves_the_machine_in_the_request_itself() {
    let node = started();
    assert_eq!(
        (node.seen.phase, node.seen.incarnation, node.seen.holds),
        (Phase::Reserved, 1, true)
    );
    assert!(node.active() && node.consuming());
    assert_eq!(node.seen.deadline, Some(START + node.start_timeout));
    assert_eq!(plan(&node, START), Step::Launch);
}

#[test]
fn a_stock_out_is_shown_for_a_while_and_then_the_wish_is_withdrawn() {
    let mut node = started();
    advance(&mut node, refused(Reason::NoCapacity), START, &Clocks::default());
    assert_eq!(
        (node.seen.phase, node.seen.condition.reason),
        (Phase::Failed, Reason::NoCapacity)
    );
    assert!(
        !node.seen.holds,
        "a refusal without an earlier try leaves nothing behind"
    );
    let until = START + REFUSAL_SHOWN;
    assert_eq!(plan(&node, START), Step::Wait { until });
    assert_eq!(plan(&node, until), Step::Withdraw);
}

#[test]
fn silence_is_no_stock_out_and_is_asked_again_ever_more_seldom_until_time_is_up() {
    let (mut node, clocks) = (started(), Clocks::default());
    let mut now = START;
    let mut waits = Vec::new();
    for _ in 0..7 {
        advance(&mut node, unanswered(None), now, &clocks);
        assert_eq!(
            (node.seen.phase, node.seen.condition.reason),
            (Phase::Reserved, Reason::ProviderUnanswered)
        );
        waits.push(node.seen.due.since(now).as_secs());
        now = node.seen.due;
        assert_eq!(plan(&node, now), Step::Launch);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    advance(&mut node, unanswered(Some(Duration::from_secs(90))), now, &clocks);
    assert_eq!(node.seen.due.since(now).as_secs(), 90, "the provider's own wish counts");
    let Step::GiveUp { reason, message } = plan(&node, START + node.start_timeout) else {
        panic!("not given up in time")
    };
    assert_eq!(reason, Reason::LaunchTimeout);
    assert!(
        message.contains("3600 s") && message.contains("no answer within 10 s"),
        "{message}"
    );
}

#[test]
fn a_refusal_after_silence_does_not_prove_that_there_is_no_machine() {
    let (mut node, clocks) = (started(), Clocks::default());
    advance(&mut node, unanswered(None), START, &clocks);
    advance(&mut node, refused(Reason::NoCapacity), START, &clocks);
    assert!(node.seen.holds);
    wish(&mut node, Goal::Absent, START);
    assert_eq!(plan(&node, START), Step::Release);
    advance(&mut node, Outcome::ReleaseAccepted { gone: true }, START, &clocks);
    assert_eq!(node.seen.phase, Phase::Releasing, "the launch may still be on its way");
    assert_eq!(plan(&node, node.seen.due), Step::Release);
    let settled = node.seen.due;
    advance(&mut node, Outcome::ReleaseAccepted { gone: true }, settled, &clocks);
    assert_eq!((node.seen.phase, node.seen.holds), (Phase::Off, false));
    assert_eq!(plan(&node, settled), Step::Retire);
}

#[test]
fn a_machine_just_launched_may_be_invisible_for_a_while_but_not_for_ever() {
    let (mut node, clocks) = (started(), Clocks::default());
    advance(
        &mut node,
        Outcome::Launched(seen(MachineState::Pending)),
        START,
        &clocks,
    );
    let soon = START + Duration::from_secs(60);
    advance(&mut node, Outcome::Looked(None), soon, &clocks);
    assert_eq!(node.seen.phase, Phase::Booting);
    assert_eq!(plan(&node, soon), Step::Look);
    let late = START + Duration::from_secs(600);
    advance(&mut node, Outcome::Looked(None), late, &clocks);
    assert_eq!(
        (node.seen.phase, node.seen.condition.reason),
        (Phase::Failed, Reason::MachineVanished)
    );
    assert!(node.seen.holds, "what vanished is still released by name");
    assert_eq!(plan(&node, late), Step::Withdraw);
}

#[test]
fn an_evicted_machine_is_released_whatever_is_wished_next() {
    for goal in [Goal::Absent, Goal::Off, Goal::Deallocated] {
        let mut node = node_in(Goal::Started, Phase::Running);
        advance(
            &mut node,
            Outcome::Lost {
                reason: Reason::Evicted,
            },
            START,
            &Clocks::default(),
        );
        assert_eq!(node.seen.phase, Phase::Failed);
        wish(&mut node, goal, START);
        assert_eq!(plan(&node, START), Step::Release, "{goal:?}");
    }
}

#[test]
fn a_failed_script_keeps_its_text_and_the_machine_until_somebody_acts() {
    let mut node = node_in(Goal::Started, Phase::Initializing);
    node.agent.incarnation = 1;
    node.agent.init = Init::Failed;
    node.agent.message = "mount.sh exited with 32".into();
    let Step::GiveUp { reason, message } = plan(&node, START) else {
        panic!("not given up")
    };
    assert!(message.contains("mount.sh exited with 32"));
    advance(
        &mut node,
        Outcome::GaveUp { reason, message },
        START,
        &Clocks::default(),
    );
    assert_eq!(
        (node.seen.phase, node.seen.generation),
        (Phase::Failed, node.generation)
    );
    assert_eq!(plan(&node, START + Duration::from_secs(9999)), Step::Nothing);
    assert!(node.seen.holds && node.active());
}

#[test]
fn a_stopped_machine_keeps_its_name_and_address_and_comes_back_as_itself() {
    let (mut node, clocks) = (node_in(Goal::Deallocated, Phase::Booting), Clocks::default());
    assert_eq!(plan(&node, START), Step::Stop);
    advance(
        &mut node,
        Outcome::StopAccepted(seen(MachineState::Stopping)),
        START,
        &clocks,
    );
    assert_eq!(plan(&node, START), Step::Look);
    advance(
        &mut node,
        Outcome::Looked(Some(seen(MachineState::Stopped))),
        START,
        &clocks,
    );
    assert_eq!(
        (node.seen.phase, node.seen.generation),
        (Phase::Stopped, node.generation)
    );
    assert_eq!(node.seen.address, Some(Ipv4Addr::new(10, 0, 0, 1)));
    assert!(!node.consuming() && node.seen.holds);
    wish(&mut node, Goal::Started, START);
    assert_eq!((plan(&node, START), node.seen.incarnation), (Step::Resume, 1));
    advance(
        &mut node,
        Outcome::Launched(seen(MachineState::Running)),
        START,
        &clocks,
    );
    assert_eq!(
        (node.seen.phase, node.seen.machine.as_deref()),
        (Phase::Booting, Some("m-1"))
    );
}

#[test]
fn a_stop_that_takes_too_long_is_asked_for_again() {
    let (mut node, clocks) = (node_in(Goal::Deallocated, Phase::Running), Clocks::default());
    advance(
        &mut node,
        Outcome::StopAccepted(seen(MachineState::Stopping)),
        START,
        &clocks,
    );
    assert_eq!(plan(&node, START + Duration::from_secs(599)), Step::Look);
    assert_eq!(plan(&node, START + clocks.stop), Step::Stop);
}

#[test]
fn an_agent_is_given_time_to_finish_and_then_no_more() {
    let (mut node, clocks) = (node_in(Goal::Absent, Phase::Running), Clocks::default());
    assert_eq!(plan(&node, START), Step::Release, "nobody there to finish anything");
    node.agent.incarnation = 1;
    assert_eq!(plan(&node, START), Step::Drain);
    advance(&mut node, Outcome::Draining, START, &clocks);
    assert_eq!(
        plan(&node, START),
        Step::Wait {
            until: START + clocks.drain
        }
    );
    assert_eq!(plan(&node, START + clocks.drain), Step::Release);
    node.agent.drained = node.generation;
    assert_eq!(plan(&node, START), Step::Release);
}

#[test]
fn since_moves_only_with_the_reason_or_the_phase() {
    let (mut node, clocks) = (started(), Clocks::default());
    advance(
        &mut node,
        Outcome::Launched(seen(MachineState::Pending)),
        START,
        &clocks,
    );
    let later = START + Duration::from_secs(5);
    advance(
        &mut node,
        Outcome::Looked(Some(seen(MachineState::Pending))),
        later,
        &clocks,
    );
    assert_eq!(node.seen.condition.since, START);
    advance(
        &mut node,
        Outcome::Looked(Some(seen(MachineState::Running))),
        later,
        &clocks,
    );
    assert_eq!(node.seen.condition.since, later);
    assert_eq!(
        node.seen.deadline,
        Some(START + node.start_timeout),
        "one time limit for the whole way up"
    );
}

#[test]
fn a_retry_keeps_the_machine_that_only_failed_to_boot_and_replaces_one_that_is_lost() {
    let mut node = node_in(Goal::Started, Phase::Failed);
    node.seen.condition.reason = Reason::BootTimeout;
    let mut kept = node.clone();
    wish(&mut kept, Goal::Started, START);
    assert_eq!((kept.seen.phase, kept.seen.incarnation), (Phase::Booting, 1));
    node.seen.condition.reason = Reason::MachineVanished;
    wish(&mut node, Goal::Started, START);
    assert_eq!(plan(&node, START), Step::Release);
    advance(
        &mut node,
        Outcome::ReleaseAccepted { gone: true },
        START,
        &Clocks::default(),
    );
    assert_eq!(plan(&node, START), Step::Reserve);
    advance(&mut node, Outcome::Reserved, START, &Clocks::default());
    assert_eq!((node.seen.phase, node.seen.incarnation), (Phase::Reserved, 2));
}
