//! Properties of the simulated world from seeds, and of its journal, which the public face does not show.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::journal::Journal;
use super::record::{Order, Request};
use super::settings::{Settings, Span};
use super::world::World;
use crate::catalogue::Catalogue;
use crate::clock::ManualClock;
use crate::machines::{Machine, State};

/// A cloud where everything that can go wrong often does.
fn nasty(seed: u64) -> Settings {
    Settings {
        seed,
        slow_share: 0.1,
        launch_failures: 0.1,
        init_failures: 0.1,
        throttled: 0.1,
        lost_replies: 0.2,
        late_replies: 0.2,
        late_by_ms: Span(100, 3000),
        duplicates: 0.3,
        list_lag_ms: 500,
        describe_lag_ms: 200,
        evictions_per_hour: 60.0,
        vanishings_per_hour: 30.0,
        ..Settings::default()
    }
}

fn world(settings: &Settings) -> World {
    World::new(Arc::new(settings.clone()), Catalogue::builtin(), true)
}

fn request(token: &str, spot: bool) -> Request {
    Request {
        token: token.into(),
        size: "standard_f4s_V2".into(),
        region: "eastus".into(),
        zone: None,
        spot,
        max_price: None,
        placement_group: None,
        hostname: None,
        tags: Arc::default(),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Launch(Vec<u8>),
    Order(u8, Vec<u8>),
    Describe(Vec<u8>),
    List,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let tokens = || prop::collection::vec(0_u8..12, 1..5);
    let step = prop_oneof![
        3 => tokens().prop_map(Step::Launch),
        3 => (0_u8..3, tokens()).prop_map(|(order, tokens)| Step::Order(order, tokens)),
        2 => tokens().prop_map(Step::Describe),
        1 => Just(Step::List),
        3 => (1_u64..4000).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

fn names(tokens: &[u8]) -> Vec<String> {
    tokens.iter().map(|token| format!("token-{token}")).collect()
}

/// Takes one step; answers what a caller sees of it as text, and the machines in it.
fn take(world: &mut World, step: &Step, now_us: &mut i64) -> (String, Vec<Machine>) {
    match step {
        Step::Launch(tokens) => {
            let requests = names(tokens)
                .iter()
                .map(|token| request(token, token.ends_with('1')))
                .collect();
            let answers = world.launch(requests, *now_us);
            (format!("{answers:?}"), answers.into_iter().flatten().collect())
        }
        Step::Order(which, tokens) => {
            let order = [Order::Stop, Order::Start, Order::Release][usize::from(*which)];
            (format!("{:?}", world.order(order, &names(tokens), *now_us)), Vec::new())
        }
        Step::Describe(tokens) => {
            let answer = world.describe(names(tokens), *now_us);
            let seen = answer
                .iter()
                .flatten()
                .filter_map(|(_, machine)| machine.clone())
                .collect();
            (format!("{answer:?}"), seen)
        }
        Step::List => {
            let answer = world.list(0, 100, *now_us);
            (
                format!("{answer:?}"),
                answer.map(|page| page.machines).unwrap_or_default(),
            )
        }
        Step::Wait(milliseconds) => {
            *now_us += i64::try_from(*milliseconds).expect("small") * 1000;
            (String::new(), Vec::new())
        }
    }
}

proptest! {
    #[test]
    fn same_seed_and_same_calls_give_the_same_answers(seed in any::<u64>(), steps in steps()) {
        let (mut one, mut other) = (world(&nasty(seed)), world(&nasty(seed)));
        let (mut one_us, mut other_us) = (1_000_000, 1_000_000);
        for step in &steps {
            prop_assert_eq!(take(&mut one, step, &mut one_us), take(&mut other, step, &mut other_us));
        }
    }

    #[test]
    fn no_token_ever_stands_for_two_machines(seed in any::<u64>(), steps in steps()) {
        let mut world = world(&nasty(seed));
        let mut now_us = 1_000_000;
        let mut ids: HashMap<String, String> = HashMap::new();
        let mut addresses: HashMap<_, String> = HashMap::new();
        for step in &steps {
            let (_, seen) = take(&mut world, step, &mut now_us);
            for machine in seen {
                let id = ids.entry(machine.token.clone()).or_insert_with(|| machine.id.clone());
                prop_assert_eq!(&*id, &machine.id);
                if let Some(address) = machine.address {
                    prop_assert_eq!(&*addresses.entry(address).or_insert_with(|| machine.id.clone()), &machine.id);
                }
            }
        }
    }

    #[test]
    fn a_world_read_from_its_events_is_the_same_world(seed in any::<u64>(), steps in steps()) {
        let settings = nasty(seed);
        let (mut first, mut replayed) = (world(&settings), world(&settings));
        let mut now_us = 1_000_000;
        first.begin(now_us);
        for step in &steps {
            take(&mut first, step, &mut now_us);
            let line = first.take_events();
            if !line.is_empty() {
                replayed.replay(&line).expect("own events");
            }
        }
        let snapshot = first.snapshot().expect("plain data");
        prop_assert_eq!(&snapshot, &replayed.snapshot().expect("plain data"));
        let mut from_snapshot = world(&settings);
        from_snapshot.replay(&snapshot).expect("own snapshot");
        prop_assert_eq!(&snapshot, &from_snapshot.snapshot().expect("plain data"));
    }

    #[test]
    fn a_patient_caller_gets_rid_of_everything(seed in any::<u64>(), steps in steps()) {
        let settings = nasty(seed);
        let settle_us = i64::try_from(settings.settle().as_micros()).expect("small");
        let mut world = world(&settings);
        let mut now_us = 1_000_000;
        for step in &steps {
            take(&mut world, step, &mut now_us);
        }
        now_us += settle_us;
        let mut left: Vec<String> = (0..12).map(|token| format!("token-{token}")).collect();
        for _ in 0..200 {
            let answers = world.order(Order::Release, &left, now_us);
            let mut answers = answers.into_iter();
            left.retain(|_| answers.next() != Some(Ok(State::Gone)));
            now_us += 1_000_000;
        }
        prop_assert!(left.is_empty(), "never gone: {:?}", left);
        now_us += settle_us;
        let page = (0..50).find_map(|_| world.list(0, 100, now_us).ok()).expect("one of 50 calls is answered");
        prop_assert_eq!(page.machines, Vec::new());
    }
}

/// A folder of this test alone, empty.
fn folder(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("reeve-fake-{name}-{}", std::process::id()));
    _ = std::fs::remove_dir_all(&path);
    path
}

#[test]
fn a_journal_that_grows_is_compacted_under_the_eyes_of_another_process() {
    let path = folder("compact");
    let clock = ManualClock::new(1_000_000);
    let settings = Arc::new(Settings {
        remember_gone_ms: 60_000,
        ..Settings::default()
    });
    let open = || {
        Journal::open(&path, settings.clone(), Catalogue::builtin())
            .expect("opens")
            .compact_from(20_000)
    };
    let (mut one, mut other) = (open(), open());
    let mut most = 0;
    for round in 0..200 {
        let (token, old) = (format!("token-{round}"), format!("token-{}", round - 3));
        let journal = if round % 2 == 0 { &mut one } else { &mut other };
        let launched = journal.with(&clock, |world, now_us| {
            world.launch(vec![request(&token, false)], now_us)
        });
        assert!(launched.expect("kept")[0].is_ok());
        let released = journal.with(&clock, |world, now_us| world.order(Order::Release, &[old], now_us));
        assert!(released.expect("kept")[0].is_ok());
        clock.advance_ms(5_000);
        most = most.max(std::fs::metadata(path.join("journal.jsonl")).expect("there").len());
    }
    assert!(most < 60_000, "the journal grew to {most} bytes");
    let list = |journal: &mut Journal| {
        let page = journal
            .with(&clock, |world, now_us| world.list(0, 100, now_us))
            .expect("read")
            .expect("answered");
        page.machines
            .into_iter()
            .map(|machine| machine.token)
            .collect::<Vec<_>>()
    };
    assert_eq!(list(&mut one), ["token-197", "token-198", "token-199"]);
    assert_eq!(list(&mut other), list(&mut one));
    std::fs::remove_dir_all(&path).expect("removable");
}
