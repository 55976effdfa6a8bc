//! Several servers on one database and one cloud share the work.

use std::sync::Arc;

use reeve_control::{Core, node, reconcile};
use reeve_provider::fake;

use crate::world::{all_running, pool, set, worlds};

#[tokio::test]
async fn two_servers_share_the_work_and_one_finishes_what_the_other_left() {
    for mut world in worlds(fake::Settings::default()).await {
        let which = world.cluster("demo", pool(1000)).await;
        node::create(&world.ctx, &which, &[set(300)], None).await.unwrap();
        let first: Arc<Core> = Arc::clone(&world.core);
        world.restart(2).await;
        let second: Arc<Core> = Arc::clone(&world.core);
        // Both work at once for a while; then the first is gone, with whatever it had claimed.
        for _ in 0..6 {
            world.clock.advance_ms(250);
            let (left, right) = tokio::join!(reconcile::node::activate(&first), reconcile::node::activate(&second));
            left.unwrap();
            right.unwrap();
        }
        drop(first);
        world
            .until(120, "all running", &which, |nodes| {
                nodes.len() == 300 && all_running(nodes)
            })
            .await;
        let nodes = world.nodes(&which).await;
        assert!(
            nodes.iter().all(|full| full.node.seen.incarnation == 1),
            "{}",
            world.engine
        );
        let mut machines = world.machines().await;
        let mut tokens: Vec<_> = nodes.iter().map(|full| full.node.token()).collect();
        machines.sort();
        tokens.sort();
        assert_eq!(machines, tokens, "{}", world.engine);
    }
}
