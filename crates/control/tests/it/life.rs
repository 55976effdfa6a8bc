//! A node's life without accidents, on both engines.

use reeve_control::{cluster, node, operation};
use reeve_model::{Kind, node::Phase, operation::Verb};
use reeve_provider::fake;

use crate::world::{all_running, pool, set, worlds};

#[tokio::test]
async fn nodes_come_up_and_go_and_leave_nothing_behind() {
    for mut world in worlds(fake::Settings::default()).await {
        let which = world.cluster("demo", pool(100)).await;
        let created = node::create(&world.ctx, &which, &[set(5)], Some("request-1".into()))
            .await
            .unwrap();
        assert_eq!(created.sets[0].names, ["htc-1", "htc-2", "htc-3", "htc-4", "htc-5"]);
        world
            .until(60, "five running", &which, |nodes| {
                nodes.len() == 5 && all_running(nodes)
            })
            .await;
        let shown = operation::get(&world.ctx, created.operation).await.unwrap();
        assert_eq!((shown.progress.state(), shown.progress.done), ("succeeded", 5));
        assert_eq!(world.machines().await.len(), 5);
        let status = cluster::status(&world.ctx, &which, false).await.unwrap();
        let bucket = &status.pools[0].buckets[0];
        assert_eq!(
            (bucket.in_use.bucket.nodes, bucket.in_use.bucket.cores, bucket.available),
            (5, 20, 95)
        );

        let everything = node::Selector {
            names: created.sets[0].names.clone(),
            ..node::Selector::default()
        };
        node::manage(&world.ctx, &which, Verb::Terminate, &everything, None)
            .await
            .unwrap();
        world.until(120, "none left", &which, <[_]>::is_empty).await;
        assert_eq!(world.machines().await, Vec::<String>::new());
        let status = cluster::status(&world.ctx, &which, false).await.unwrap();
        assert_eq!(
            status.pools[0].buckets[0].in_use.region_cores,
            status.pools[0].buckets[0].in_use.family_cores
        );
        assert_eq!(status.pools[0].buckets[0].available, 100);
    }
}

#[tokio::test]
async fn a_request_key_works_once_and_a_limit_is_never_passed() {
    for world in worlds(fake::Settings::default()).await {
        let which = world.cluster("demo", pool(7)).await;
        node::create(&world.ctx, &which, &[set(5)], Some("again".into()))
            .await
            .unwrap();
        let second = node::create(&world.ctx, &which, &[set(1)], Some("again".into()))
            .await
            .unwrap_err();
        assert_eq!(second.kind, Kind::DuplicateRequest);
        let third = node::create(&world.ctx, &which, &[set(5)], None).await.unwrap();
        assert_eq!(third.sets[0].names, ["htc-6", "htc-7"]);
        assert!(
            third.sets[0]
                .message
                .as_ref()
                .unwrap()
                .contains("the maximum node count of the pool"),
            "{third:?}"
        );
    }
}

#[tokio::test]
async fn concurrent_requests_share_the_room_and_never_a_name() {
    for world in worlds(fake::Settings::default()).await {
        let which = world.cluster("demo", pool(30)).await;
        let sets = [set(4)];
        let requests = (0..16).map(|_| node::create(&world.ctx, &which, &sets, None));
        let answers = futures::future::join_all(requests).await;
        let mut names: Vec<String> = answers
            .into_iter()
            .flat_map(|answer| answer.unwrap().sets[0].names.clone())
            .collect();
        assert_eq!(names.len(), 30, "{}", world.engine);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 30, "{}", world.engine);
    }
}

#[tokio::test]
async fn a_deallocated_node_keeps_its_id_and_address_and_starts_again() {
    for mut world in worlds(fake::Settings::default()).await {
        let which = world.cluster("demo", pool(10)).await;
        node::create(&world.ctx, &which, &[set(1)], None).await.unwrap();
        world.until(60, "running", &which, all_running).await;
        let before = world.nodes(&which).await.remove(0).node;
        let one = || node::Selector {
            ids: vec![before.id.to_string()],
            ..node::Selector::default()
        };
        node::manage(&world.ctx, &which, Verb::Deallocate, &one(), None)
            .await
            .unwrap();
        world
            .until(120, "stopped", &which, |nodes| {
                nodes[0].node.seen.phase == Phase::Stopped
            })
            .await;
        let stopped = world.nodes(&which).await.remove(0).node;
        assert_eq!((stopped.id, stopped.seen.address), (before.id, before.seen.address));
        assert_eq!(
            node::manage(&world.ctx, &which, Verb::Start, &one(), None)
                .await
                .unwrap()
                .nodes[0]
                .error,
            None
        );
        world.until(120, "running again", &which, all_running).await;
        assert_eq!(world.nodes(&which).await[0].node.seen.machine, before.seen.machine);
    }
}

#[tokio::test]
async fn terminating_a_cluster_ends_every_machine_and_deleting_it_ends_the_record() {
    for mut world in worlds(fake::Settings::default()).await {
        let which = world.cluster("demo", pool(10)).await;
        node::create(&world.ctx, &which, &[set(3)], None).await.unwrap();
        world.until(60, "running", &which, all_running).await;
        assert_eq!(
            cluster::delete(&world.ctx, &which).await.unwrap(),
            cluster::Deletion::Accepted
        );
        for _ in 0..400 {
            world.tick().await;
            if cluster::get(&world.ctx, &which).await.is_err() {
                break;
            }
        }
        assert_eq!(cluster::get(&world.ctx, &which).await.unwrap_err().kind, Kind::NotFound);
        assert_eq!(world.machines().await, Vec::<String>::new());
    }
}
