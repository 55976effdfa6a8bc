//! The simulated cloud: the shared behaviour in memory and on a journal, and each of its tricks.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use reeve_provider::fake::{Limits, Settings, Span, Stock};
use reeve_provider::{
    Catalogue, Cores, Error, ErrorKind, Fake, Init, Launch, Machine, Machines, ManualClock, State, SystemClock,
};

use crate::support::{Folder, Harness, describe, launch};

const SIZE: &str = "Standard_F4s_v2";

fn cloud(settings: Settings) -> Harness {
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let fake = Fake::in_memory(settings, Catalogue::builtin(), clock.clone()).expect("settings make sense");
    Harness {
        machines: Box::new(fake),
        clock: Some(clock),
        size: SIZE,
        region: "local",
        keep: None,
        folder: None,
    }
}

fn journaled() -> Harness {
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let folder = Folder::new();
    let fake = Fake::open(folder.path(), Settings::default(), Catalogue::builtin(), clock.clone()).expect("opens");
    Harness {
        machines: Box::new(fake),
        clock: Some(clock),
        size: SIZE,
        region: "local",
        keep: None,
        folder: Some(folder),
    }
}

impl Harness {
    fn wait_ms(&self, milliseconds: u64) {
        self.clock
            .as_ref()
            .expect("the simulated cloud's clock is moved by hand")
            .advance_ms(milliseconds);
    }

    async fn try_launch(&self, token: &str, change: impl FnOnce(&mut Launch)) -> Result<Machine, Error> {
        let mut request = self.launch(token);
        change(&mut request);
        self.machines.launch(&[request]).await.remove(0)
    }

    async fn release(&self, token: &str) -> Result<State, Error> {
        self.machines.release(&[token.to_owned()]).await.remove(0)
    }

    async fn listed(&self) -> Vec<String> {
        let page = self.machines.list(None, 1000).await.expect("listed");
        page.machines.into_iter().map(|machine| machine.token).collect()
    }
}

fn kind<T>(answer: Result<T, Error>) -> Option<ErrorKind> {
    answer.err().map(|error| error.kind)
}

mod in_memory {
    crate::behaviors!(super::cloud(super::Settings::default()));
}

mod on_a_journal {
    crate::behaviors!(super::journaled());
}

#[tokio::test]
async fn a_friendly_cloud_has_machines_initialised_within_two_to_four_seconds() {
    let harness = cloud(Settings::default());
    let tokens: Vec<String> = (0..100).map(|number| format!("token-{number}")).collect();
    let names: Vec<&str> = tokens.iter().map(String::as_str).collect();
    harness.launched(&names).await;
    harness.wait_ms(1_999);
    let done = |machine: &Option<Machine>| {
        let guest = machine.as_ref().and_then(|machine| machine.guest.as_ref());
        guest.is_some_and(|guest| guest.init == Init::Done)
    };
    let seen = harness.machines.describe(&tokens).await.expect("described");
    assert!(!seen.iter().any(|(_, machine)| done(machine)));
    harness.wait_ms(2_001);
    let seen = harness.machines.describe(&tokens).await.expect("described");
    assert!(seen.iter().all(|(_, machine)| done(machine)));
}

#[tokio::test]
async fn looking_again_when_told_to_shows_every_step_of_a_start() {
    let harness = cloud(Settings::default());
    harness.launched(&["a"]).await;
    let mut steps = Vec::new();
    loop {
        let machine = harness.describe("a").await.expect("there");
        steps.push((machine.state, machine.guest.map(|guest| guest.init)));
        let Some(after) = machine.check_after else { break };
        harness.wait_ms(u64::try_from(after.as_micros().div_ceil(1000)).expect("small"));
    }
    let expected = [
        (State::Pending, None),
        (State::Running, None),
        (State::Running, Some(Init::Pending)),
        (State::Running, Some(Init::Done)),
    ];
    assert_eq!(steps, expected);
}

#[tokio::test]
async fn a_gpu_node_reports_its_gpus_and_says_that_it_is_simulated() {
    let harness = cloud(Settings::default());
    assert!(harness.machines.capabilities().simulated);
    harness
        .try_launch("a", |launch| launch.size = "Standard_ND96isr_H100_v5".into())
        .await
        .expect("launched");
    harness.wait_ms(4_000);
    let guest = harness
        .describe("a")
        .await
        .and_then(|machine| machine.guest)
        .expect("up");
    let gpus = guest.facts["gpus"].as_array().expect("a list").clone();
    let uuids: HashSet<&str> = gpus.iter().filter_map(|gpu| gpu["uuid"].as_str()).collect();
    assert_eq!((gpus.len(), uuids.len()), (8, 8));
    assert_eq!(gpus[7]["model"], "NVIDIA H100 80GB HBM3");
    assert_eq!(gpus[7]["memory_bytes"], 80_u64 << 30);
    assert_eq!(guest.facts["cpus"], 96);
    assert_eq!(guest.facts["hostname"], guest.hostname.as_str());
}

#[tokio::test]
async fn a_stock_out_is_of_one_size_and_zone_and_ends() {
    let stock = |size: &str, zone: Option<&str>, machines, for_ms| Stock {
        size: size.into(),
        zone: zone.map(str::to_owned),
        machines,
        for_ms,
    };
    let harness = cloud(Settings {
        stock: vec![
            stock("standard_hc44rs", None, 0, Some(60_000)),
            stock(SIZE, Some("1"), 1, None),
        ],
        ..Settings::default()
    });
    let hc = |launch: &mut Launch| launch.size = "Standard_HC44rs".into();
    let zone = |launch: &mut Launch| launch.zone = Some("1".into());
    assert_eq!(kind(harness.try_launch("hc", hc).await), Some(ErrorKind::OutOfCapacity));
    assert_eq!(kind(harness.try_launch("one", zone).await), None);
    assert_eq!(
        kind(harness.try_launch("two", zone).await),
        Some(ErrorKind::OutOfCapacity)
    );
    assert_eq!(kind(harness.try_launch("elsewhere", |_| ()).await), None);
    harness.release("one").await.expect("released");
    harness.reaches("one", State::Gone).await;
    assert_eq!(kind(harness.try_launch("two", zone).await), None);
    harness.wait_ms(60_000);
    assert_eq!(kind(harness.try_launch("hc", hc).await), None);
}

#[tokio::test]
async fn quota_is_by_family_region_and_spot_and_counts_what_others_use() {
    let limits = Limits {
        regional_cores: 20,
        spot_cores: 4,
        family_cores: 12,
        used_by_others: Cores {
            family_cores: [("standardFSv2Family".to_owned(), 4)].into(),
            regional_cores: 4,
            spot_cores: 0,
        },
        ..Limits::default()
    };
    let harness = cloud(Settings {
        quota: limits,
        ..Settings::default()
    });
    let spot = |launch: &mut Launch| launch.spot = true;
    let general = |launch: &mut Launch| launch.size = "Standard_D4s_v5".into();
    let away = |launch: &mut Launch| launch.region = "elsewhere".into();
    assert_eq!(kind(harness.try_launch("f1", |_| ()).await), None);
    assert_eq!(kind(harness.try_launch("f2", |_| ()).await), None);
    assert_eq!(
        kind(harness.try_launch("f3", |_| ()).await),
        Some(ErrorKind::QuotaExceeded),
        "family"
    );
    assert_eq!(kind(harness.try_launch("d1", general).await), None);
    assert_eq!(kind(harness.try_launch("d2", general).await), None);
    assert_eq!(
        kind(harness.try_launch("d3", general).await),
        Some(ErrorKind::QuotaExceeded),
        "region"
    );
    assert_eq!(kind(harness.try_launch("s1", spot).await), None);
    assert_eq!(
        kind(harness.try_launch("s2", spot).await),
        Some(ErrorKind::QuotaExceeded),
        "spot"
    );
    assert_eq!(kind(harness.try_launch("away", away).await), None);
    let quota = harness.machines.quota("local").await.expect("known");
    assert_eq!(
        (quota.regional_cores, quota.used_by_others.regional_cores),
        (20, 4),
        "ours are not counted twice"
    );

    // A stopped machine gives its cores back and has to find them again.
    harness.reaches("f1", State::Running).await;
    harness
        .machines
        .stop(&["f1".to_owned()])
        .await
        .remove(0)
        .expect("stopped");
    harness.reaches("f1", State::Stopped).await;
    assert_eq!(kind(harness.try_launch("f3", |_| ()).await), None);
    let started = harness.machines.start(&["f1".to_owned()]).await.remove(0);
    assert_eq!(kind(started), Some(ErrorKind::QuotaExceeded));
}

#[tokio::test]
async fn a_spot_machine_is_not_sold_below_its_price() {
    let harness = cloud(Settings::default());
    let cheap = |launch: &mut Launch| (launch.spot, launch.max_price) = (true, Some(0.001));
    assert_eq!(
        kind(harness.try_launch("a", cheap).await),
        Some(ErrorKind::OutOfCapacity)
    );
    let dear = |launch: &mut Launch| (launch.spot, launch.max_price) = (true, Some(1.0));
    assert_eq!(kind(harness.try_launch("a", dear).await), None);
}

#[tokio::test]
async fn too_many_calls_are_throttled_until_the_time_it_says_and_change_nothing() {
    let harness = cloud(Settings {
        calls_per_second: Some(1.0),
        calls_burst: 2.0,
        ..Settings::default()
    });
    harness.launched(&["a", "b", "c"]).await;
    harness.launched(&["d"]).await;
    let throttled = harness
        .machines
        .launch(&[harness.launch("e"), harness.launch("f")])
        .await;
    let Some(ErrorKind::Throttled { retry_after }) = throttled[1].as_ref().err().map(|error| error.kind) else {
        panic!("not throttled: {throttled:?}");
    };
    assert_eq!(retry_after, Duration::from_secs(1));
    harness.wait_ms(1_000);
    assert_eq!(harness.describe("e").await, None);
}

#[tokio::test]
async fn a_lost_answer_is_found_again_by_token() {
    let harness = cloud(Settings {
        seed: 3,
        lost_replies: 0.5,
        ..Settings::default()
    });
    let (mut lost, mut answered) = (0, 0);
    for number in 0..50 {
        let token = format!("token-{number}");
        let first = harness.try_launch(&token, |_| ()).await;
        lost += usize::from(kind(first) == Some(ErrorKind::Unanswered));
        // Asking again with the same token finds the machine, however many answers are lost on the way.
        while harness.try_launch(&token, |_| ()).await.is_err() {}
        answered += 1;
    }
    assert!(lost > 10, "{lost} of {answered} answers were lost");
    let page = loop {
        if let Ok(page) = harness.machines.list(None, 1000).await {
            break page;
        }
    };
    assert_eq!(page.machines.len(), 50, "no answer that was lost made a second machine");
}

#[tokio::test]
async fn a_late_launch_appears_within_the_settling_time_even_after_a_release() {
    let harness = cloud(Settings {
        late_replies: 1.0,
        late_by_ms: Span(2_000, 2_000),
        ..Settings::default()
    });
    assert_eq!(kind(harness.try_launch("a", |_| ()).await), Some(ErrorKind::Unanswered));
    let settle = harness.machines.capabilities().settle;
    assert_eq!(settle, Duration::from_secs(2));
    assert_eq!(
        kind(harness.machines.describe(&["a".to_owned()]).await),
        Some(ErrorKind::Unanswered)
    );

    // With a cloud that answers again, the same story end to end.
    let folder = Folder::new();
    let clock = Arc::new(ManualClock::new(1_000_000));
    let open = |settings| Fake::open(folder.path(), settings, Catalogue::builtin(), clock.clone()).expect("opens");
    let late = open(Settings {
        late_replies: 1.0,
        late_by_ms: Span(2_000, 2_000),
        ..Settings::default()
    });
    let well = open(Settings::default());
    let both = [launch("a", SIZE), launch("b", SIZE)];
    assert!(
        late.launch(&both)
            .await
            .into_iter()
            .all(|answer| kind(answer) == Some(ErrorKind::Unanswered))
    );
    assert_eq!(describe(&well, "a").await, None);
    assert_eq!(well.release(&["a".to_owned()]).await, [Ok(State::Gone)]);
    let again = well
        .launch(&both[1..])
        .await
        .remove(0)
        .expect("arrives with the second request");
    assert_eq!(again.state, State::Pending);
    assert_eq!(describe(&well, "b").await, Some(again.clone()), "it is there at once");
    clock.advance_ms(2_000);
    let seen = describe(&well, "a").await.expect("a machine nobody wants any more");
    assert_eq!(seen.state, State::Pending);
    assert_eq!(well.list(None, 10).await.expect("listed").machines.len(), 2);
    assert_eq!(describe(&well, "b").await.map(|machine| machine.id), Some(again.id));
}

#[tokio::test]
async fn the_list_lags_behind_launches_and_releases() {
    let harness = cloud(Settings {
        list_lag_ms: 1_500,
        release_delay_ms: Span(0, 0),
        ..Settings::default()
    });
    harness.launched(&["a"]).await;
    assert!(harness.listed().await.is_empty());
    assert!(harness.describe("a").await.is_some());
    harness.wait_ms(1_500);
    assert_eq!(harness.listed().await, ["a"]);
    assert_eq!(harness.release("a").await, Ok(State::Gone));
    assert_eq!(harness.listed().await, ["a"]);
    harness.wait_ms(1_500);
    assert!(harness.listed().await.is_empty());
}

#[tokio::test]
async fn only_spot_machines_are_evicted_and_the_vanished_leave_no_trace() {
    let harness = cloud(Settings {
        evictions_per_hour: 1000.0,
        ..Settings::default()
    });
    harness
        .try_launch("spot", |launch| launch.spot = true)
        .await
        .expect("launched");
    harness.launched(&["regular"]).await;
    harness.wait_ms(3_600_000);
    let evicted = harness.describe("spot").await.expect("still known");
    assert_eq!(evicted.state, State::Evicted);
    assert!(evicted.reason.is_some());
    assert_eq!(
        harness.describe("regular").await.map(|machine| machine.state),
        Some(State::Running)
    );
    assert_eq!(harness.release("spot").await, Ok(State::Gone));

    let harness = cloud(Settings {
        vanishings_per_hour: 1000.0,
        ..Settings::default()
    });
    harness.launched(&["a"]).await;
    harness.wait_ms(3_600_000);
    assert_eq!(harness.describe("a").await, None);
    assert!(harness.listed().await.is_empty());
    let again = harness.try_launch("a", |_| ()).await.expect("answered");
    assert_eq!(again.state, State::Gone, "its token is spent");
}

#[tokio::test]
async fn launches_and_initialisations_that_fail_say_so() {
    let harness = cloud(Settings {
        launch_failures: 1.0,
        ..Settings::default()
    });
    harness.launched(&["a"]).await;
    let gone = harness.reaches("a", State::Gone).await.expect("still known");
    assert!(gone.reason.is_some_and(|reason| reason.contains("launch failed")));
    let harness = cloud(Settings {
        init_failures: 1.0,
        ..Settings::default()
    });
    harness.launched(&["a"]).await;
    harness.wait_ms(4_000);
    let guest = harness
        .describe("a")
        .await
        .and_then(|machine| machine.guest)
        .expect("up");
    assert!(matches!(guest.init, Init::Failed(_)));
}

#[tokio::test]
async fn a_stop_that_is_delivered_twice_strikes_a_machine_that_was_started_again() {
    let settings = Settings {
        duplicates: 1.0,
        duplicate_after_ms: Span(60_000, 60_000),
        stop_delay_ms: Span(0, 0),
        ..Settings::default()
    };
    let harness = cloud(settings);
    harness.launched(&["a"]).await;
    harness.reaches("a", State::Running).await;
    harness
        .machines
        .stop(&["a".to_owned()])
        .await
        .remove(0)
        .expect("stopped");
    harness
        .machines
        .start(&["a".to_owned()])
        .await
        .remove(0)
        .expect("started");
    harness.wait_ms(10_000);
    assert_eq!(
        harness.describe("a").await.map(|machine| machine.state),
        Some(State::Running)
    );
    harness.wait_ms(49_999);
    assert_eq!(
        harness.describe("a").await.map(|machine| machine.state),
        Some(State::Running)
    );
    let hint = harness.describe("a").await.and_then(|machine| machine.check_after);
    assert!(hint.is_some_and(|hint| hint <= Duration::from_millis(1)), "{hint:?}");
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    for settings in [
        Settings {
            lost_replies: 1.5,
            ..Settings::default()
        },
        Settings {
            boot_delay_ms: Span(2, 1),
            ..Settings::default()
        },
        Settings {
            calls_per_second: Some(0.0),
            ..Settings::default()
        },
    ] {
        let refused = Fake::in_memory(settings, Catalogue::builtin(), Arc::new(SystemClock));
        assert_eq!(kind(refused), Some(ErrorKind::Invalid));
    }
    let parsed: Result<Settings, _> = serde_json::from_str(r#"{"seed": 1, "tpyo": 2}"#);
    assert!(parsed.is_err());
}

fn open(folder: &Path) -> Fake {
    Fake::open(folder, Settings::default(), Catalogue::builtin(), Arc::new(SystemClock)).expect("opens")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_journal_see_one_world() {
    let folder = Folder::new();
    let (one, two) = (open(folder.path()), open(folder.path()));
    let launches: Vec<Launch> = (0..50).map(|number| launch(&format!("token-{number}"), SIZE)).collect();
    let (first, second) = tokio::join!(
        async {
            let mut answers = Vec::new();
            for batch in launches.chunks(5) {
                answers.extend(one.launch(batch).await);
            }
            answers
        },
        async {
            let mut answers = Vec::new();
            for batch in launches.chunks(7) {
                answers.extend(two.launch(batch).await);
            }
            answers
        },
    );
    let mut addresses = HashSet::new();
    for (first, second) in first.into_iter().zip(second) {
        let (first, second) = (first.expect("launched"), second.expect("launched"));
        assert_eq!(
            (&first.token, &first.id, first.address),
            (&second.token, &second.id, second.address)
        );
        assert!(addresses.insert(first.address));
    }
    two.release(&["token-3".to_owned()]).await.remove(0).expect("released");
    assert_eq!(
        describe(&one, "token-3").await.map(|machine| machine.state),
        Some(State::Releasing)
    );
}

#[tokio::test]
async fn a_journal_torn_at_any_byte_keeps_every_whole_call() {
    let folder = Folder::new();
    let fake = open(folder.path());
    for token in ["a", "b", "c"] {
        fake.launch(&[launch(token, SIZE)]).await.remove(0).expect("launched");
    }
    let whole = fs::read(folder.path().join("journal.jsonl")).expect("readable");
    let ends: Vec<usize> = (0..whole.len())
        .filter(|index| whole[*index] == b'\n')
        .map(|index| index + 1)
        .collect();
    assert_eq!(ends.len(), 3, "the first call also begins the world");
    for cut in 0..=whole.len() {
        let torn = Folder::new();
        fs::write(torn.path().join("journal.jsonl"), &whole[..cut]).expect("written");
        let fake = open(torn.path());
        let kept = fake.list(None, 10).await.expect("listed").machines.len();
        assert_eq!(kept, ends.iter().filter(|end| **end <= cut).count(), "cut at {cut}");
        fake.launch(&[launch("after", SIZE)]).await.remove(0).expect("goes on");
        assert_eq!(
            open(torn.path()).list(None, 10).await.expect("listed").machines.len(),
            kept + 1
        );
    }
}

#[tokio::test]
async fn a_journal_that_is_not_ours_is_refused_and_left_alone() {
    let folder = Folder::new();
    let path = folder.path().join("journal.jsonl");
    fs::write(&path, "something else\n").expect("written");
    assert_eq!(kind(open(folder.path()).list(None, 10).await), Some(ErrorKind::Failed));
    assert_eq!(fs::read_to_string(&path).expect("readable"), "something else\n");
}

/// Names the folder to the child of the next test.
const CHILD_FOLDER: &str = "REEVE_TEST_FAKE_FOLDER";

/// Only does something as the child process of the test below: launches and says so until it is killed.
#[expect(
    clippy::disallowed_methods,
    reason = "the only way to tell a child process of the test runner its folder"
)]
#[tokio::test]
async fn a_child_launches_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else {
        return;
    };
    let fake = open(Path::new(&folder));
    for number in 0.. {
        let token = format!("child-{}-{number}", std::process::id());
        fake.launch(&[launch(&token, SIZE)]).await.remove(0).expect("launched");
        println!("\nlaunched {token}");
    }
}

#[tokio::test]
async fn servers_killed_at_any_moment_lose_nothing_they_acknowledged() {
    let folder = Folder::new();
    let mut acknowledged = Vec::new();
    for round in 0..6 {
        let start = || {
            Command::new(std::env::current_exe().expect("known"))
                .args(["--exact", "fake::a_child_launches_until_it_is_killed", "--nocapture"])
                .env(CHILD_FOLDER, folder.path())
                .stdout(Stdio::piped())
                .spawn()
                .expect("started")
        };
        let mut children = [start(), start()];
        let mut readers = children
            .each_mut()
            .map(|child| BufReader::new(child.stdout.take().expect("piped")).lines());
        let mut read = |reader: &mut dyn Iterator<Item = std::io::Result<String>>, most: usize| {
            let tokens = reader
                .map_while(Result::ok)
                .filter_map(|line| Some(line.strip_prefix("launched ")?.to_owned()));
            acknowledged.extend(tokens.take(most));
        };
        read(&mut readers[round % 2], 20 + 7 * round);
        for child in &mut children {
            child.kill().expect("killed");
            child.wait().expect("reaped");
        }
        for reader in &mut readers {
            read(reader, usize::MAX);
        }
    }
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    let seen = open(folder.path()).describe(&acknowledged).await.expect("described");
    let lost: Vec<_> = seen.iter().filter(|(_, machine)| machine.is_none()).collect();
    assert!(lost.is_empty(), "{lost:?}");
}
