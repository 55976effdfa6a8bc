//! The beat loop: goals, drains, a server that goes and comes, and the ends of an agent.

use std::net::Ipv4Addr;

use reeve_agent::node::{Config, Ended, Failure};
use reeve_wire::agent::{InitState, Wish};

use crate::harness::{Folder, LONG_AGO, Planned, Running, Server, config, goals, process_state, run, until};

const LONG: &str = "echo $$ > $REEVE_STATE_DIR/pid; sleep 1000 & echo $! > $REEVE_STATE_DIR/child; wait";

#[tokio::test]
async fn goals_of_an_older_epoch_are_ignored() {
    let (server, folder) = (Server::start(goals(5, Wish::Stand, &[])), Folder::new());
    let agent = Running::start(config(&server, &folder));
    server.beat("epoch 5", |beat| beat.epoch_seen == 5).await;
    server.set_goals(goals(4, Wish::Drain, &[]));
    let count = server.seen().beats.len();
    server
        .until("three more beats", |seen| (seen.beats.len() > count + 3).then_some(()))
        .await;
    assert!(
        server
            .seen()
            .beats
            .iter()
            .all(|(_, beat)| beat.epoch_seen == 5 && beat.drained_epoch == 0)
    );
    server.set_goals(goals(6, Wish::Drain, &[]));
    server
        .beat("epoch 6 to be drained", |beat| {
            beat.epoch_seen == 6 && beat.drained_epoch == 6
        })
        .await;
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_drain_stops_the_running_script_and_the_agent_keeps_beating() {
    let (server, folder) = (Server::start(goals(1, Wish::Run, &[("long", LONG)])), Folder::new());
    let agent = Running::start(config(&server, &folder));
    server
        .beat("the script to run", |beat| beat.init.state == InitState::Running)
        .await;
    let child = until(
        "the script's child",
        || folder.text("child"),
        |pid| !pid.trim().is_empty(),
    )
    .await;
    server.set_goals(goals(2, Wish::Drain, &[]));
    let drained = server.beat("the drain", |beat| beat.drained_epoch == 2).await;
    assert_ne!(drained.init.state, InitState::Running);
    for pid in [folder.text("pid"), child] {
        until("the processes to be gone", || process_state(&pid), Option::is_none).await;
    }
    server
        .beat("another beat", |beat| beat.sequence > drained.sequence + 1)
        .await;
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_drain_also_ends_what_finished_scripts_left_running() {
    let daemon = "setsid sleep 1000 >/dev/null 2>&1 & echo $! > $REEVE_STATE_DIR/child";
    let (server, folder) = (Server::start(goals(1, Wish::Run, &[("daemon", daemon)])), Folder::new());
    let agent = Running::start(config(&server, &folder));
    server
        .beat("the script to end", |beat| beat.init.state == InitState::Done)
        .await;
    let child = folder.text("child");
    assert!(process_state(&child).is_some(), "what a script leaves running stays");
    server.set_goals(goals(2, Wish::Drain, &[]));
    server.beat("the drain", |beat| beat.drained_epoch == 2).await;
    until("the daemon to be gone", || process_state(&child), Option::is_none).await;
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn an_agent_whose_clock_is_years_from_the_servers_joins_and_works_as_any_other() {
    let script = "echo done > $REEVE_STATE_DIR/mark";
    let (server, folder) = (Server::start(goals(1, Wish::Run, &[("mark", script)])), Folder::new());
    server.live_long_ago();
    let agent = Running::start(config(&server, &folder));
    let beat = server
        .beat("the script to end", |beat| beat.init.state == InitState::Done)
        .await;
    // It says what its own clock says, and leaves it to the server what to make of it.
    let age = beat.clock_us - beat.sample.expect("a measurement").at_us;
    assert!(
        (0..5_000_000).contains(&age.abs()) && beat.clock_us > LONG_AGO.1,
        "{age}"
    );
    server.set_goals(goals(2, Wish::Drain, &[]));
    server.beat("the drain", |beat| beat.drained_epoch == 2).await;
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn an_agent_outlives_its_server() {
    let (mut server, folder) = (Server::start(goals(1, Wish::Stand, &[])), Folder::new());
    let agent = Running::start(config(&server, &folder));
    server.beat("a beat", |beat| beat.epoch_seen == 1).await;
    for epoch in 2..4 {
        server.down().await;
        server.set_goals(goals(epoch, Wish::Stand, &[]));
        server.up();
        server.plan_beat(Planned::Page);
        server.plan_beat(Planned::Lose);
        server
            .beat("a beat after the restart", |beat| beat.epoch_seen == epoch)
            .await;
    }
    assert_eq!(server.seen().enrolls.len(), 1);
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_removed_state_directory_ends_the_agent_and_its_script() {
    let (server, folder) = (Server::start(goals(1, Wish::Run, &[("long", LONG)])), Folder::new());
    let mut agent = Running::start(config(&server, &folder));
    let child = until(
        "the script's child",
        || folder.text("child"),
        |pid| !pid.trim().is_empty(),
    )
    .await;
    std::fs::remove_dir_all(folder.path()).unwrap();
    assert_eq!(agent.ended().await.unwrap(), Ended::StateRemoved);
    until("the child to be gone", || process_state(&child), Option::is_none).await;
}

#[tokio::test]
async fn an_agent_that_cannot_enroll_still_notices_that_it_is_not_wanted() {
    let (mut server, folder) = (Server::start(goals(1, Wish::Run, &[])), Folder::new());
    server.down().await;
    let mut agent = Running::start(config(&server, &folder));
    until("the instance", || folder.text("instance"), |id| !id.is_empty()).await;
    std::fs::remove_dir_all(folder.path()).unwrap();
    assert_eq!(agent.ended().await.unwrap(), Ended::StateRemoved);
}

#[tokio::test]
async fn a_stopped_agent_says_so_in_a_last_beat() {
    let (server, folder) = (Server::start(goals(1, Wish::Run, &[("long", LONG)])), Folder::new());
    let agent = Running::start(config(&server, &folder));
    let child = until(
        "the script's child",
        || folder.text("child"),
        |pid| !pid.trim().is_empty(),
    )
    .await;
    server
        .beat("the script to run", |beat| beat.init.state == InitState::Running)
        .await;
    assert_eq!(agent.stop().await.unwrap(), Ended::Stopped);
    let last = server.seen().last().cloned().unwrap();
    assert_eq!((last.wait_ms, last.init.state), (0, InitState::Pending));
    until("the child to be gone", || process_state(&child), Option::is_none).await;
}

#[tokio::test]
async fn an_address_is_claimed_by_one_agent_only() {
    let (server, folder, other) = (Server::start(goals(1, Wish::Stand, &[])), Folder::new(), Folder::new());
    let address = Some(Ipv4Addr::new(127, 77, 3, 1));
    let agent = Running::start(Config {
        source_address: address,
        ..config(&server, &folder)
    });
    let (_, enroll) = server.until("enrolling", |seen| seen.enrolls.first().cloned()).await;
    let addresses: Vec<_> = enroll.facts.nics.iter().flat_map(|nic| nic.addresses.clone()).collect();
    assert!(addresses.contains(&"127.77.3.1/8".to_owned()), "{addresses:?}");
    let second = run(Config {
        source_address: address,
        ..config(&server, &other)
    })
    .await;
    assert!(matches!(second, Err(Failure::Address { .. })), "{second:?}");
    agent.stop().await.unwrap();
}
