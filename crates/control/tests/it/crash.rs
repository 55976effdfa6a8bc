//! Crashes at every step: after the effect and before the record, and everywhere else an activation passes.

use reeve_control::{cluster::Selector, node, reconcile};
use reeve_model::{node::Phase, operation::Verb};
use reeve_provider::fake;
use reeve_store::node::Full;

use crate::world::{World, all_running, pool, set, worlds};

/// Every place an activation passes.
const PLACES: [&str; 6] = ["claimed", "named", "launch.named", "launch.done", "acted", "saved"];

#[tokio::test]
async fn a_crash_at_any_step_of_a_nodes_life_loses_nothing_and_doubles_nothing() {
    for place in PLACES {
        for nth in 0..4 {
            for mut world in worlds(fake::Settings::default()).await {
                let which = world.cluster("demo", pool(10)).await;
                world.plan_crash(place, nth);
                node::create(&world.ctx, &which, &[set(3)], Some("kept".into()))
                    .await
                    .unwrap();
                world
                    .until(120, "three running", &which, |nodes| {
                        nodes.len() == 3 && all_running(nodes)
                    })
                    .await;
                let mut machines = world.machines().await;
                assert_eq!(machines.len(), 3, "{place} {nth} {}", world.engine);
                let mut tokens: Vec<_> = world.nodes(&which).await.iter().map(|full| full.node.token()).collect();
                machines.sort();
                tokens.sort();
                assert_eq!(machines, tokens, "{place} {nth} {}", world.engine);

                world.plan_crash(place, nth);
                manage(&world, &which, Verb::Deallocate).await;
                let stopped = |full: &Full| full.node.seen.phase == Phase::Stopped;
                world
                    .until(120, "three stopped", &which, |nodes| nodes.iter().all(stopped))
                    .await;
                world.plan_crash(place, nth);
                manage(&world, &which, Verb::Start).await;
                world.until(120, "three running again", &which, all_running).await;
                let mut kept = world.machines().await;
                kept.sort();
                assert_eq!(kept, tokens, "{place} {nth} {}", world.engine);

                world.plan_crash(place, nth);
                manage(&world, &which, Verb::Terminate).await;
                world.until(120, "none left", &which, <[_]>::is_empty).await;
                assert_eq!(
                    world.machines().await,
                    Vec::<String>::new(),
                    "{place} {nth} {}",
                    world.engine
                );
            }
        }
    }
}

async fn manage(world: &World, which: &Selector, verb: Verb) {
    let all = node::Selector {
        names: vec!["htc-1".into(), "htc-2".into(), "htc-3".into()],
        ..node::Selector::default()
    };
    node::manage(&world.ctx, which, verb, &all, None).await.unwrap();
}

#[tokio::test]
async fn a_bad_cloud_ends_in_the_same_place_as_a_good_one() {
    let weather = fake::Settings {
        lost_replies: 0.2,
        late_replies: 0.05,
        throttled: 0.1,
        list_lag_ms: 3000,
        ..fake::Settings::default()
    };
    for seed in 1..4 {
        for mut world in worlds(fake::Settings {
            seed,
            ..weather.clone()
        })
        .await
        {
            let which = world.cluster("demo", pool(100)).await;
            node::create(&world.ctx, &which, &[set(20)], None).await.unwrap();
            world
                .until(300, "twenty running", &which, |nodes| {
                    nodes.len() == 20 && all_running(nodes)
                })
                .await;
            let names = (1..=20).map(|index| format!("htc-{index}")).collect();
            let all = node::Selector {
                names,
                ..node::Selector::default()
            };
            node::manage(&world.ctx, &which, Verb::Terminate, &all, None)
                .await
                .unwrap();
            world.until(300, "none left", &which, <[_]>::is_empty).await;
            for _ in 0..400 {
                world.clock.advance_ms(250);
                let _ = reconcile::sweep::activate(&world.core).await;
            }
            assert_eq!(
                world.machines().await,
                Vec::<String>::new(),
                "seed {seed} {}",
                world.engine
            );
        }
    }
}
