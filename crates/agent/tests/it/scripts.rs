//! Initialisation scripts: order, environment, failure, time limits, and never twice.

use std::os::unix::process::CommandExt;
use std::process::Command;

use reeve_wire::agent::{Beat, InitState, Wish};

use crate::harness::{Folder, Running, Server, config, goals, process_state, until};

fn has_ended(beat: &Beat) -> bool {
    matches!(beat.init.state, InitState::Done | InitState::Failed)
}

#[tokio::test]
async fn scripts_run_in_order_and_know_their_node() {
    let scripts = [
        (
            "first",
            "echo $REEVE_NODE_NAME $REEVE_NODE_ID $REEVE_CLUSTER; pwd; echo complaint >&2",
        ),
        (
            "second",
            "#!/usr/bin/env -S sh -e\necho $0; cat $REEVE_STATE_DIR/scripts/0.log",
        ),
    ];
    let (server, folder) = (Server::start(goals(1, Wish::Run, &scripts)), Folder::new());
    let agent = Running::start(config(&server, &folder));
    let beat = server.beat("the scripts to end", has_ended).await;
    assert_eq!(
        (beat.init.state, beat.init.run.as_str()),
        (InitState::Done, "run-1"),
        "{:?}",
        beat.init
    );
    let folder_name = folder.path().canonicalize().unwrap();
    let first = format!("worker-1 node-1 demo\n{}\ncomplaint\n", folder_name.display());
    assert_eq!(beat.init.scripts[0].output_tail, first);
    let second = format!("{}\n{first}", folder_name.join("scripts/1.sh").display());
    assert_eq!(beat.init.scripts[1].output_tail, second);
    assert!(beat.init.scripts.iter().all(|result| result.exit_code == Some(0)));
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_to_run_is_done_at_once() {
    let (server, folder) = (Server::start(goals(1, Wish::Run, &[])), Folder::new());
    let agent = Running::start(config(&server, &folder));
    let beat = server.beat("initialisation to be done", has_ended).await;
    assert_eq!((beat.init.state, beat.init.scripts.len()), (InitState::Done, 0));
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_machine_without_work_runs_no_script() {
    let scripts = [("touch", "echo ran > $REEVE_STATE_DIR/ran")];
    let (server, folder) = (Server::start(goals(1, Wish::Stand, &scripts)), Folder::new());
    let agent = Running::start(config(&server, &folder));
    server.beat("some beats", |beat| beat.sequence > 3).await;
    assert_eq!(folder.text("ran"), "");
    server.set_goals(goals(2, Wish::Run, &scripts));
    server.beat("the script to end", has_ended).await;
    assert_eq!(folder.text("ran"), "ran\n");
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_failing_script_is_reported_with_its_output_and_ends_the_run() {
    let scripts = [
        ("good", "true"),
        ("bad", "echo no such package; exit 3"),
        ("never", "echo ran > $REEVE_STATE_DIR/ran"),
    ];
    let (server, folder) = (Server::start(goals(1, Wish::Run, &scripts)), Folder::new());
    let agent = Running::start(config(&server, &folder));
    let beat = server.beat("the scripts to end", has_ended).await;
    assert_eq!((beat.init.state, beat.init.scripts.len()), (InitState::Failed, 2));
    let bad = &beat.init.scripts[1];
    assert_eq!(
        (bad.exit_code, bad.timed_out, bad.output_tail.as_str()),
        (Some(3), false, "no such package\n")
    );
    assert_eq!(folder.text("ran"), "");
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_script_that_cannot_start_says_why() {
    let (server, folder) = (
        Server::start(goals(1, Wish::Run, &[("odd", "#!/no/such/program\n")])),
        Folder::new(),
    );
    let agent = Running::start(config(&server, &folder));
    let beat = server.beat("the script to end", has_ended).await;
    assert_eq!(beat.init.scripts[0].exit_code, Some(127));
    assert!(
        beat.init.scripts[0].output_tail.contains("/no/such/program"),
        "{:?}",
        beat.init
    );
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_script_that_runs_too_long_is_killed_with_all_it_started() {
    let body = "echo working; sleep 1000 & echo $! > $REEVE_STATE_DIR/child; trap '' TERM; wait";
    let mut slow = goals(1, Wish::Run, &[("slow", body), ("never", "true")]);
    slow.scripts[0].timeout_ms = 1500;
    let (server, folder) = (Server::start(slow), Folder::new());
    let agent = Running::start(config(&server, &folder));
    let running = |beat: &Beat| {
        beat.init
            .scripts
            .first()
            .is_some_and(|result| result.output_tail == "working\n")
    };
    let beat = server.beat("output of the running script", running).await;
    assert_eq!(
        (beat.init.state, beat.init.scripts[0].exit_code),
        (InitState::Running, None)
    );
    let beat = server.beat("the script to end", has_ended).await;
    assert_eq!((beat.init.state, beat.init.scripts.len()), (InitState::Failed, 1));
    let result = &beat.init.scripts[0];
    assert!(
        result.timed_out && result.exit_code.is_none() && result.duration_ms >= 1500,
        "{result:?}"
    );
    assert_eq!(result.output_tail, "working\n");
    let child = folder.text("child");
    until("the child to be gone", || process_state(&child), Option::is_none).await;
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn only_the_end_of_a_long_output_is_reported() {
    let (server, folder) = (
        Server::start(goals(1, Wish::Run, &[("long", "seq 1 100000")])),
        Folder::new(),
    );
    let agent = Running::start(config(&server, &folder));
    let beat = server.beat("the script to end", has_ended).await;
    let tail = &beat.init.scripts[0].output_tail;
    assert!(
        tail.len() <= 16 << 10 && tail.ends_with("99999\n100000\n"),
        "{} bytes",
        tail.len()
    );
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn completed_scripts_never_run_again_and_an_interrupted_one_does() {
    let once = "echo x >> $REEVE_STATE_DIR/once";
    let repeated = "echo x >> $REEVE_STATE_DIR/repeated; test -e $REEVE_STATE_DIR/go || sleep 1000";
    let scripts = [("once", once), ("repeated", repeated)];
    let (server, folder) = (Server::start(goals(1, Wish::Run, &scripts)), Folder::new());
    let agent = Running::start(config(&server, &folder));
    until("the second script", || folder.text("repeated"), |text| text == "x\n").await;
    agent.stop().await.unwrap();

    folder.write("go", "");
    let agent = Running::start(config(&server, &folder));
    let beat = server.beat("the scripts to end", has_ended).await;
    assert_eq!((beat.init.state, beat.init.scripts.len()), (InitState::Done, 2));
    assert_eq!(
        (folder.text("once").as_str(), folder.text("repeated").as_str()),
        ("x\n", "x\nx\n")
    );
    agent.stop().await.unwrap();

    let before = server.seen().beats.len();
    let agent = Running::start(config(&server, &folder));
    let acknowledged = |seen: &crate::harness::Seen| {
        seen.beats
            .iter()
            .skip(before)
            .find(|(_, beat)| beat.epoch_seen == 1 && has_ended(beat))
            .cloned()
    };
    let (_, beat) = server.until("the goals to be acknowledged", acknowledged).await;
    assert_eq!(beat.init.scripts.len(), 2, "what ended before is still reported");
    assert_eq!(folder.text("once"), "x\n");

    let mut again = goals(2, Wish::Run, &scripts);
    again.init_run = "run-2".to_owned();
    server.set_goals(again);
    server
        .beat("the second run", |beat| beat.init.run == "run-2" && has_ended(beat))
        .await;
    assert_eq!(folder.text("once"), "x\nx\n");
    agent.stop().await.unwrap();
}

/// Also keeps `running.json` readable for the agents of later versions, which find what this version wrote.
#[tokio::test]
async fn what_a_killed_agent_left_running_is_killed_before_the_script_runs_again() {
    let (server, folder) = (Server::start(goals(1, Wish::Run, &[("quick", "true")])), Folder::new());
    let mut leftover = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
    let mut bystander = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
    let pid = leftover.id();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let started = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let boot = boot.trim();
    folder.write(
        "running.json",
        &format!(r#"{{"leader":{pid},"started_ticks":{started},"boot_id":"{boot}"}}"#),
    );

    let agent = Running::start(config(&server, &folder));
    let beat = server.beat("the script to end", has_ended).await;
    assert_eq!(beat.init.state, InitState::Done);
    until(
        "the leftover to be gone",
        || process_state(&pid.to_string()),
        Option::is_none,
    )
    .await;
    leftover.wait().unwrap();
    agent.stop().await.unwrap();

    // The same number, but a process that started at another time: not ours.
    let pid = bystander.id();
    folder.write(
        "running.json",
        &format!(r#"{{"leader":{pid},"started_ticks":1,"boot_id":"{boot}"}}"#),
    );
    let before = server.seen().beats.len();
    let agent = Running::start(config(&server, &folder));
    server.until("a beat", |seen| seen.beats.get(before).map(|_| ())).await;
    assert!(process_state(&pid.to_string()).is_some());
    agent.stop().await.unwrap();
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}
