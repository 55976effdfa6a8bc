//! The usage ledger and budgets over the life of nodes, on both engines.

use reeve_control::{
    budget::{self, Wish},
    cluster::Selector,
    node, reconcile,
    usage::{self, Question},
};
use reeve_model::{
    Kind, Timestamp,
    budget::Level,
    node::{Goal, Phase},
    operation::Verb,
    usage::{
        Goods, Line, Money, System,
        frame::{DAY_US, Frame, Granularity, HOUR_US},
        report::{Report, Resolution},
    },
};
use reeve_provider::{Catalogue, fake};
use reeve_store::usage::{Home, Of};

use crate::world::{World, all_running, pool, set, worlds};

/// A machine of the world's pool costs this an hour: `Standard_F4s_v2`.
const PRICE_MICROS: i64 = 169_000;

fn question(granularity: Granularity) -> Question {
    Question {
        frame: Frame::Custom {
            from: Timestamp(1_773_000_000_000_000 - DAY_US),
            until: Timestamp(1_773_000_000_000_000 + 40 * DAY_US),
        },
        granularity,
        resolution: Resolution::SIX_DECIMALS,
    }
}

async fn report(world: &World, which: &Selector, granularity: Granularity) -> Report {
    usage::of_cluster(&world.ctx, which, question(granularity))
        .await
        .unwrap()
        .1
}

/// Runs of the ledger: beginning and end, microseconds.
async fn runs(world: &World) -> Vec<(i64, i64)> {
    let mut db = world.core.store.read().await.unwrap();
    let mut runs = Vec::new();
    let of = Of::Tenant(world.ctx.tenant());
    reeve_store::usage::runs(&mut db, of, Timestamp(0), Timestamp::NEVER, &mut |_, from, until| {
        runs.push((from.0, until.0));
    })
    .await
    .unwrap();
    runs.sort_unstable();
    runs
}

fn names(count: usize) -> node::Selector<'static> {
    node::Selector {
        names: (1..=count).map(|index| format!("htc-{index}")).collect(),
        ..node::Selector::default()
    }
}

async fn started(world: &mut World, count: u32) -> Selector {
    let which = world.cluster("demo", pool(100)).await;
    node::create(&world.ctx, &which, &[set(count)], None).await.unwrap();
    world
        .until(120, "all running", &which, |nodes| {
            nodes.len() == count as usize && all_running(nodes)
        })
        .await;
    which
}

#[tokio::test]
async fn a_machine_costs_from_when_it_exists_until_it_is_gone_and_nothing_while_it_is_stopped() {
    for mut world in worlds(fake::Settings::default()).await {
        let which = started(&mut world, 2).await;
        world.clock.advance_ms(3 * 3_600_000);
        let open = runs(&world).await;
        assert_eq!(open.len(), 2);
        assert!(open.iter().all(|(_, until)| *until == i64::MAX), "{}", world.engine);

        node::manage(&world.ctx, &which, Verb::Deallocate, &names(1), None)
            .await
            .unwrap();
        world
            .until(900, "one stopped", &which, |nodes| {
                nodes[0].node.seen.phase == Phase::Stopped
            })
            .await;
        let stopped = runs(&world).await;
        assert_eq!(stopped.iter().filter(|(_, until)| *until < i64::MAX).count(), 1);
        world.clock.advance_ms(5 * 3_600_000);
        node::manage(&world.ctx, &which, Verb::Start, &names(1), None)
            .await
            .unwrap();
        world.until(120, "running again", &which, all_running).await;
        assert_eq!(runs(&world).await.len(), 3, "{}", world.engine);

        node::manage(&world.ctx, &which, Verb::Terminate, &names(2), None)
            .await
            .unwrap();
        world.until(120, "none left", &which, <[_]>::is_empty).await;
        let closed = runs(&world).await;
        assert!(closed.iter().all(|(_, until)| *until < i64::MAX), "{}", world.engine);
        let machine_us: i64 = closed.iter().map(|(from, until)| until - from).sum();
        // Two machines for three hours, one of them for five more.
        let hours = machine_us / HOUR_US;
        assert_eq!(hours, 11, "{}", world.engine);

        // Nodes and machines are gone, what they used is not; and it adds up however it is split.
        let total = report(&world, &which, Granularity::Total).await.total;
        assert!((total.core_us - machine_us * 4).abs() <= 3600, "{}", world.engine);
        let cost = i128::from(machine_us) * i128::from(PRICE_MICROS) / i128::from(HOUR_US);
        assert!((i128::from(total.cost.unwrap().0) - cost).abs() <= 1);
        for granularity in [Granularity::Daily, Granularity::Hourly] {
            assert_eq!(report(&world, &which, granularity).await.total, total);
        }
        let tenant = usage::of_folder(&world.ctx, None, question(Granularity::Total))
            .await
            .unwrap();
        assert_eq!(
            (tenant.total, tenant.intervals[0].items[0].group.name()),
            (total, "demo")
        );
    }
}

#[tokio::test]
async fn a_crash_at_any_step_loses_no_usage_and_doubles_none() {
    for place in ["claimed", "named", "launch.named", "launch.done", "acted", "saved"] {
        for nth in 0..2 {
            for mut world in worlds(fake::Settings::default()).await {
                let which = world.cluster("demo", pool(10)).await;
                world.plan_crash(place, nth);
                node::create(&world.ctx, &which, &[set(3)], None).await.unwrap();
                world
                    .until(120, "three running", &which, |nodes| {
                        nodes.len() == 3 && all_running(nodes)
                    })
                    .await;
                let open = runs(&world).await;
                assert_eq!(open.len(), 3, "{place} {nth} {}", world.engine);
                world.plan_crash(place, nth);
                node::manage(&world.ctx, &which, Verb::Terminate, &names(3), None)
                    .await
                    .unwrap();
                world.until(120, "none left", &which, <[_]>::is_empty).await;
                let closed = runs(&world).await;
                assert_eq!(closed.len(), 3, "{place} {nth} {}", world.engine);
                assert!(closed.iter().all(|(_, until)| *until < i64::MAX), "{place} {nth}");
            }
        }
    }
}

#[tokio::test]
async fn a_bad_cloud_leaves_a_ledger_that_agrees_with_the_nodes() {
    let weather = fake::Settings {
        lost_replies: 0.2,
        late_replies: 0.05,
        throttled: 0.1,
        list_lag_ms: 3000,
        seed: 7,
        ..fake::Settings::default()
    };
    for mut world in worlds(weather).await {
        let which = started(&mut world, 20).await;
        let open = runs(&world).await;
        let open = open.iter().filter(|(_, until)| *until == i64::MAX).count();
        assert_eq!(open, 20, "{}", world.engine);
        node::manage(&world.ctx, &which, Verb::Terminate, &names(20), None)
            .await
            .unwrap();
        world.until(300, "none left", &which, <[_]>::is_empty).await;
        assert!(
            runs(&world).await.iter().all(|(_, until)| *until < i64::MAX),
            "{}",
            world.engine
        );
    }
}

#[tokio::test]
async fn a_machine_that_vanishes_stops_costing() {
    for mut world in worlds(fake::Settings::default()).await {
        let which = started(&mut world, 1).await;
        let machines = world.machines().await;
        world.vanish(&machines[0]).await;
        world.clock.advance_ms(60_000);
        reconcile::sweep::activate(&world.core).await.unwrap();
        assert!(runs(&world).await[0].1 < i64::MAX, "{}", world.engine);
        let _ = which;
    }
}

#[tokio::test]
async fn ten_thousand_machines_over_a_month_are_added_up_by_day() {
    for world in worlds(fake::Settings::default()).await {
        let which = world.cluster("demo", pool(10)).await;
        let demo = reeve_control::cluster::get(&world.ctx, &which).await.unwrap();
        let home = Home {
            tenant: demo.tenant,
            folder: demo.folder,
            cluster: demo.id,
        };
        let goods = Goods {
            account: "fake".into(),
            size: "Standard_F4s_v2".into(),
            region: "westus2".into(),
            spot: false,
            system: System::Linux,
        };
        let line = Line {
            cluster: demo.name,
            single: false,
            owner: "htc".into(),
            goods,
            cores: 4,
        };
        let start = Timestamp(1_773_000_000_000_000);
        let mut tx = world.core.store.begin().await.unwrap();
        let number = reeve_store::usage::line(&mut tx, home, &line).await.unwrap();
        for day in 0..31 {
            let runs: Vec<(String, i64)> = (0..10_000).map(|node| (format!("n{node}-{day}"), number)).collect();
            let runs = if day == 0 { runs } else { runs[..1000].to_vec() };
            let at = start + std::time::Duration::from_secs(86_400 * day);
            reeve_store::usage::open(&mut tx, &runs, at).await.unwrap();
        }
        tx.commit().await.unwrap();
        world.clock.advance_ms(31 * 86_400_000);
        let begun = std::time::Instant::now();
        let answer = report(&world, &which, Granularity::Daily).await;
        let took = begun.elapsed();
        println!("{}: {took:?}", world.engine);
        let days = 31 * 10_000 + 1000 * (30 * 31 / 2);
        assert_eq!(answer.total.core_us, days * 4 * DAY_US, "{}", world.engine);
        assert!(took < std::time::Duration::from_secs(10), "{}: {took:?}", world.engine);
    }
}

#[tokio::test]
async fn a_day_that_is_over_keeps_its_price() {
    for mut world in worlds(fake::Settings::default()).await {
        let which = started(&mut world, 1).await;
        for _ in 0..3 {
            world.clock.advance_ms(86_400_000);
            reconcile::budget::activate(&world.core).await.unwrap();
        }
        let before = report(&world, &which, Granularity::Daily).await;
        let text = "[[change]]\nname = \"Standard_F4s_v2\"\nprice_hour_usd = 1.0\n";
        world.reprice(Catalogue::with_overrides(text).unwrap()).await;
        reconcile::budget::activate(&world.core).await.unwrap();
        assert_eq!(
            report(&world, &which, Granularity::Daily).await,
            before,
            "{}",
            world.engine
        );
        world.clock.advance_ms(86_400_000);
        reconcile::budget::activate(&world.core).await.unwrap();
        let after = report(&world, &which, Granularity::Daily).await;
        let used = after.intervals.iter().filter(|interval| interval.total.core_us > 0);
        let prices: Vec<f64> = used
            .map(|day| day.total.cost.unwrap().dollars() / (day.total.core_hours() / 4.0))
            .map(|price| (price * 1000.0).round() / 1000.0)
            .collect();
        assert_eq!(prices, [0.169, 0.169, 0.169, 0.169, 1.0], "{}", world.engine);
    }
}

fn wish(dollars: f64, freeze: Option<u32>, drain: Option<u32>) -> Wish {
    Wish {
        amount: Money::from_dollars(dollars).unwrap(),
        warn: vec![50],
        freeze,
        drain,
    }
}

#[tokio::test]
async fn a_budget_warns_once_then_freezes_growth_with_its_numbers() {
    for mut world in worlds(fake::Settings::default()).await {
        let which = started(&mut world, 4).await;
        // Four machines cost 0.676 an hour.
        let shown = budget::set(&world.ctx, &which, wish(2.0, Some(100), None))
            .await
            .unwrap();
        assert_eq!(shown.standing.unwrap().level, Level::Within);
        world.clock.advance_ms(2 * 3_600_000);
        for _ in 0..3 {
            reconcile::budget::activate(&world.core).await.unwrap();
        }
        let told = world.events("budget").await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("beyond 50 %"), "{told:?}");
        node::create(&world.ctx, &which, &[set(1)], None).await.unwrap();

        world.clock.advance_ms(3_600_000);
        reconcile::budget::activate(&world.core).await.unwrap();
        let refused = node::create(&world.ctx, &which, &[set(1)], None).await.unwrap_err();
        assert_eq!(refused.kind, Kind::QuotaExceeded);
        assert!(refused.message.contains("BudgetExceeded") && refused.message.contains("2.00 USD"));
        let scaled = node::scale(&world.ctx, &which, "htc", Some(9), None).await.unwrap_err();
        assert_eq!(scaled.kind, Kind::QuotaExceeded);
        // Nothing is ended, and raising the budget opens the way at once.
        world.tick().await;
        assert!(
            world
                .nodes(&which)
                .await
                .iter()
                .all(|full| full.node.goal == Goal::Started)
        );
        budget::set(&world.ctx, &which, wish(50.0, Some(100), None))
            .await
            .unwrap();
        node::create(&world.ctx, &which, &[set(1)], None).await.unwrap();
        budget::delete(&world.ctx, &which).await.unwrap();
        assert_eq!(budget::get(&world.ctx, &which).await.unwrap_err().kind, Kind::NotFound);
    }
}

#[tokio::test]
async fn a_budget_drains_what_nobody_protects_and_lets_it_grow_again_next_month() {
    for mut world in worlds(fake::Settings::default()).await {
        let which = started(&mut world, 3).await;
        budget::set(&world.ctx, &which, wish(0.5, None, Some(100)))
            .await
            .unwrap();
        world.clock.advance_ms(3_600_000);
        reconcile::budget::activate(&world.core).await.unwrap();
        world.until(120, "none left", &which, <[_]>::is_empty).await;
        assert_eq!(world.machines().await, Vec::<String>::new());
        assert!(node::create(&world.ctx, &which, &[set(1)], None).await.is_err());
        world.clock.advance_ms(31 * 86_400_000);
        node::create(&world.ctx, &which, &[set(1)], None).await.unwrap();
        reconcile::budget::activate(&world.core).await.unwrap();
        let shown = budget::get(&world.ctx, &which).await.unwrap();
        assert_eq!(shown.standing.unwrap().level, Level::Within, "{}", world.engine);
    }
}
