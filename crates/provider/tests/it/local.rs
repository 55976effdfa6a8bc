//! Machines on this host: the shared behaviour, and what only processes can do wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use reeve_provider::local::LocalSettings;
use reeve_provider::{ErrorKind, Launch, Local, Machines, State, SystemClock};

use crate::support::{Folder, Harness, describe, launch};

/// Stand-ins for the agent. Made once, before anything is started: a program that is open for writing anywhere
/// cannot be started.
struct Programs {
    obedient: PathBuf,
    stubborn: PathBuf,
    parent: PathBuf,
}

fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("programs-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for programs");
        let program = |name: &str, body: &str| {
            let path = folder.join(name);
            fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("made executable");
            path
        };
        Programs {
            obedient: program("obedient", "echo \"$@\"\nexec sleep 60"),
            stubborn: program("stubborn", "trap '' TERM\necho ready\nwhile :; do sleep 1; done"),
            parent: program("parent", "setsid sleep 60 &\necho ready\nexec sleep 60"),
        }
    })
}

fn open(binary: &Path, folder: &Path) -> Local {
    Local::open(LocalSettings::new(binary, folder), Arc::new(SystemClock)).expect("opens")
}

fn harness_of(binary: &Path) -> Harness {
    let folder = Folder::new();
    let machines = Box::new(open(binary, folder.path()));
    Harness {
        machines,
        clock: None,
        size: "local",
        region: "local",
        keep: None,
        folder: Some(folder),
    }
}

fn harness() -> Harness {
    harness_of(&programs().obedient)
}

fn place(harness: &Harness) -> PathBuf {
    harness
        .folder
        .as_ref()
        .expect("local machines have a folder")
        .path()
        .canonicalize()
        .expect("there")
}

/// Living processes that belong to a machine's folder.
fn processes(folder: &Path) -> Vec<i32> {
    let mark = format!("REEVE_LOCAL_MACHINE={}", folder.display());
    let entries = fs::read_dir("/proc").expect("there").flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let ours = ids.filter(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == mark.as_bytes())
    });
    ours.collect()
}

/// The machine's one process, once the program it starts with has made way for the one that stays: in between a
/// process shows no environment.
fn only_process(folder: &Path) -> i32 {
    let settled = |pid: i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|text| text.starts_with(b"sleep"));
    eventually("the stand-in has become a sleep", || {
        processes(folder).into_iter().any(settled)
    });
    let processes = processes(folder);
    assert_eq!(processes.len(), 1, "{processes:?}");
    processes[0]
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited too long: {what}");
        std::thread::yield_now();
    }
}

fn kill(pid: i32) {
    let status = Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .expect("kill runs");
    assert!(status.success());
}

mod contract {
    crate::behaviors!(super::harness());
}

#[tokio::test]
async fn the_agent_is_started_with_what_it_needs_and_the_token_only_in_a_file() {
    let harness = harness();
    let machine = harness.launched(&["a"]).await.remove(0);
    let folder = place(&harness).join("a");
    let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
    eventually("the program writes its arguments", || log().ends_with('\n'));
    let address = machine.address.expect("has one");
    let expected = format!(
        "agent node --server http://127.0.0.1:9 --token-file {0}/join-token --state-dir {0}/state \
         --address {address} --hostname {1} --machine-id a --ca-sha256 ab12\n",
        folder.display(),
        machine.hostname.expect("has one"),
    );
    assert_eq!(log(), expected);
    let token = fs::metadata(folder.join("join-token")).expect("there");
    assert_eq!(token.permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::read_to_string(folder.join("join-token")).expect("readable"),
        "join-me-quietly"
    );
    assert_eq!(address.octets()[0], 127);
    assert_ne!(address.octets()[1], 0);
    harness.finish().await;
}

#[tokio::test]
async fn a_machine_does_not_inherit_the_servers_environment() {
    let harness = harness();
    harness.launched(&["a"]).await;
    let pid = only_process(&place(&harness).join("a"));
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).expect("readable");
    let names = environment
        .split_terminator('\0')
        .filter_map(|entry| entry.split('=').next());
    // A shell adds its own; what cargo gave this test must not be there.
    assert!(
        names.into_iter().all(|name| !name.starts_with("CARGO")),
        "{environment}"
    );
    harness.finish().await;
}

#[tokio::test]
async fn machines_outlive_the_server_that_made_them() {
    let harness = harness();
    let machine = harness.launched(&["a"]).await.remove(0);
    let other = open(&programs().obedient, harness.folder.as_ref().expect("has one").path());
    let seen = describe(&other, "a").await.expect("found");
    assert_eq!((seen.state, seen.address), (State::Running, machine.address));
    assert_eq!(other.release(&["a".to_owned()]).await, [Ok(State::Gone)]);
    harness.reaches("a", State::Gone).await;
    assert_eq!(processes(&place(&harness).join("a")), Vec::<i32>::new());
}

#[tokio::test]
async fn a_process_that_dies_is_gone_with_a_reason_and_keeps_log_and_address_until_release() {
    let harness = harness();
    let first = harness.launched(&["a", "b"]).await.remove(0);
    let folder = place(&harness).join("a");
    kill(only_process(&folder));
    let gone = harness.reaches("a", State::Gone).await.expect("still known");
    assert!(gone.reason.is_some_and(|reason| reason.contains("ended by itself")));
    assert!(folder.join("log").exists());
    let third = harness.launched(&["c"]).await.remove(0);
    assert_ne!(third.address, first.address);
    assert_eq!(harness.machines.release(&["a".to_owned()]).await, [Ok(State::Gone)]);
    assert!(!folder.exists());
    let fourth = harness.launched(&["d"]).await.remove(0);
    assert_eq!(fourth.address, first.address, "the lowest free address is given first");
    harness.finish().await;
}

/// A process that is none of ours. Ids are not used again within one tick of the clock, so it has another start time.
fn stranger_started_after(ticks: u64) -> Child {
    loop {
        let mut stranger = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::null())
            .spawn()
            .expect("started");
        let stat = fs::read_to_string(format!("/proc/{}/stat", stranger.id())).expect("there");
        let started = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(19))
            .map(str::to_owned);
        if started
            .and_then(|text| text.parse().ok())
            .is_some_and(|started: u64| started > ticks)
        {
            return stranger;
        }
        stranger.kill().expect("killed");
        stranger.wait().expect("reaped");
    }
}

#[tokio::test]
async fn a_process_id_that_was_used_again_is_left_alone() {
    let harness = harness();
    harness.launched(&["a"]).await;
    let folder = place(&harness).join("a");
    kill(only_process(&folder));
    harness.reaches("a", State::Gone).await;
    let record = fs::read_to_string(folder.join("process.json")).expect("there");
    let mut record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    let mut stranger = stranger_started_after(record["start_ticks"].as_u64().expect("a number"));
    record["pid"] = stranger.id().into();
    fs::write(folder.join("process.json"), record.to_string()).expect("written");
    assert_eq!(
        harness.describe("a").await.map(|machine| machine.state),
        Some(State::Gone)
    );
    let stopped = harness.machines.stop(&["a".to_owned()]).await.remove(0);
    assert_eq!(stopped.map_err(|error| error.kind), Err(ErrorKind::NotFound));
    assert_eq!(harness.machines.release(&["a".to_owned()]).await, [Ok(State::Gone)]);
    assert_eq!(stranger.try_wait().expect("asked"), None, "the stranger lives");
    stranger.kill().expect("killed");
    stranger.wait().expect("reaped");
}

#[tokio::test]
async fn a_launch_cut_short_before_the_start_is_completed_by_the_next() {
    let harness = harness_of(Path::new("/nowhere/reeve"));
    let failed = harness.machines.launch(&[harness.launch("a")]).await.remove(0);
    assert_eq!(failed.map_err(|error| error.kind), Err(ErrorKind::Failed));
    let pending = harness.describe("a").await.expect("its folder is there");
    assert_eq!(pending.state, State::Pending);
    let other = open(&programs().obedient, harness.folder.as_ref().expect("has one").path());
    let machine = other.launch(&[harness.launch("a")]).await.remove(0).expect("completed");
    assert_eq!((machine.state, machine.address), (State::Running, pending.address));
    harness.finish().await;
}

#[tokio::test]
async fn a_launch_cut_short_after_the_start_finds_its_process_again() {
    let harness = harness();
    harness.launched(&["a"]).await;
    let folder = place(&harness).join("a");
    let before = only_process(&folder);
    fs::remove_file(folder.join("process.json")).expect("forgotten");
    let machine = harness.launched(&["a"]).await.remove(0);
    assert_eq!(machine.state, State::Running);
    assert_eq!(only_process(&folder), before);
    harness.finish().await;
}

#[test]
fn what_a_killed_server_left_half_made_or_half_removed_is_cleared_by_the_next() {
    let harness = harness();
    let place = place(&harness);
    for name in [".making-nobody-1", ".removing-nobody-1"] {
        fs::create_dir_all(place.join(name).join("state")).expect("make a folder");
    }
    drop(open(&programs().obedient, &place));
    let left = fs::read_dir(&place).expect("there").flatten();
    let left = left.filter_map(|entry| entry.file_name().into_string().ok());
    let left: Vec<_> = left.filter(|name| ![".released", ".lock"].contains(&&**name)).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_racing_for_one_folder_start_one_process_for_each_token() {
    let harness = harness();
    let other = open(&programs().obedient, harness.folder.as_ref().expect("has one").path());
    let launches: Vec<Launch> = (0..20)
        .map(|number| launch(&format!("race-{number}"), "local"))
        .collect();
    let backwards: Vec<Launch> = launches.iter().rev().cloned().collect();
    let (one, two) = tokio::join!(harness.machines.launch(&launches), other.launch(&backwards));
    let mut addresses = std::collections::HashSet::new();
    for (one, two) in one.into_iter().zip(two.into_iter().rev()) {
        let (one, two) = (one.expect("launched"), two.expect("launched"));
        assert_eq!((&one.token, one.address), (&two.token, two.address));
        assert!(addresses.insert(one.address), "{:?} twice", one.address);
        only_process(&place(&harness).join(&one.token));
    }
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_racing_to_release_and_launch_leave_nothing_behind() {
    let harness = harness();
    let other = open(&programs().obedient, harness.folder.as_ref().expect("has one").path());
    let launches: Vec<Launch> = (0..10)
        .map(|number| launch(&format!("race-{number}"), "local"))
        .collect();
    harness.machines.launch(&launches).await;
    let tokens: Vec<String> = launches.iter().map(|launch| launch.token.clone()).collect();
    let backwards: Vec<String> = tokens.iter().rev().cloned().collect();
    let (one, two, three) = tokio::join!(
        harness.machines.release(&tokens),
        other.release(&backwards),
        other.launch(&launches)
    );
    assert!(
        one.iter().chain(&two).all(|answer| *answer == Ok(State::Gone)),
        "{one:?} {two:?}"
    );
    assert_eq!(three.len(), 10);
    for token in &tokens {
        assert_eq!(processes(&place(&harness).join(token)), Vec::<i32>::new(), "{token}");
    }
    assert_eq!(harness.machines.list(None, 100).await.expect("listed").machines, []);
}

#[tokio::test]
async fn a_process_that_ignores_the_polite_signal_is_killed_after_its_grace() {
    let folder = Folder::new();
    let settings = LocalSettings {
        stop_grace_ms: 100,
        ..LocalSettings::new(&programs().stubborn, folder.path())
    };
    let machines = Box::new(Local::open(settings, Arc::new(SystemClock)).expect("opens"));
    let harness = Harness {
        machines,
        clock: None,
        size: "local",
        region: "local",
        keep: None,
        folder: Some(folder),
    };
    harness.launched(&["a"]).await;
    let log = place(&harness).join("a/log");
    eventually("the trap is set", || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("ready"))
    });
    assert_eq!(harness.machines.stop(&["a".to_owned()]).await, [Ok(State::Stopping)]);
    let stopping = harness.describe("a").await.expect("there");
    assert!(stopping.state == State::Stopped || stopping.check_after.is_some());
    harness.reaches("a", State::Stopped).await;
    harness.finish().await;
}

#[tokio::test]
async fn release_kills_what_left_the_process_group_too() {
    let harness = harness_of(&programs().parent);
    harness.launched(&["a"]).await;
    let folder = place(&harness).join("a");
    eventually("both processes run", || processes(&folder).len() == 2);
    assert_eq!(harness.machines.release(&["a".to_owned()]).await, [Ok(State::Gone)]);
    assert_eq!(processes(&folder), Vec::<i32>::new());
}

#[tokio::test]
async fn a_full_host_and_a_wish_for_spot_are_refused() {
    let folder = Folder::new();
    let settings = LocalSettings {
        machines_max: 1,
        ..LocalSettings::new(&programs().obedient, folder.path())
    };
    let machines = Box::new(Local::open(settings, Arc::new(SystemClock)).expect("opens"));
    let harness = Harness {
        machines,
        clock: None,
        size: "local",
        region: "local",
        keep: None,
        folder: Some(folder),
    };
    let mut spot = harness.launch("s");
    spot.spot = true;
    let answers = harness
        .machines
        .launch(&[spot, harness.launch("a"), harness.launch("b")])
        .await;
    let kinds: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.err().map(|error| error.kind))
        .collect();
    assert_eq!(kinds, [Some(ErrorKind::Invalid), None, Some(ErrorKind::QuotaExceeded)]);
    harness.finish().await;
}
