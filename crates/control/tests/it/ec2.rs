//! The control plane on EC2's interface, as moto's server speaks it. Its instances boot nothing, so no node gets
//! beyond waiting for its agent: what is counted here is machines.

#[path = "../../../provider/tests/it/ec2/moto.rs"]
mod moto;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reeve_control::{
    Core, Ctx,
    cluster::{self, PoolSpec, Selector, Spec},
    identity, node, reconcile,
    secret::Secret,
};
use reeve_model::operation::Verb;
use reeve_provider::{
    Catalogue, Clock, Ec2, Machines, ManualClock, State,
    ec2::{GivenKeys, Program, Settings},
};
use reeve_store::testing::databases;

use self::moto::Moto;
use crate::world::{pool, server_on, set};

/// Nodes asked for.
const NODES: u32 = 200;
const REGION: &str = "us-east-1";

fn cloud(moto: &Moto) -> Arc<Ec2> {
    let program = Program {
        architecture: "amd64".into(),
        sha256: "0".repeat(64),
    };
    let mut settings = Settings::new(REGION, "two-hundred", "ami-12c6146b", program);
    settings.endpoint = Some(moto.url.clone());
    settings.keys = Some(GivenKeys {
        id: "AKIDEXAMPLE".into(),
        secret: reeve_provider::Secret::new("a-secret"),
        session: None,
    });
    let clock: Arc<dyn Clock> = Arc::new(reeve_provider::SystemClock);
    Arc::new(Ec2::open(settings, &Catalogue::builtin(), clock).unwrap())
}

/// Tokens of the machines that are there, as a person would count them: past the server. Absent while moto, which has
/// one core for everybody, does not answer in time.
async fn alive(cloud: &Ec2) -> Option<Vec<String>> {
    let (mut tokens, mut cursor) = (Vec::new(), None);
    loop {
        let page = cloud.list(cursor, 1000).await.ok()?;
        let there = page.machines.into_iter();
        tokens.extend(
            there
                .filter(|machine| matches!(machine.state, State::Pending | State::Running))
                .map(|machine| machine.token),
        );
        cursor = page.next;
        if cursor.is_none() {
            tokens.sort();
            return Some(tokens);
        }
    }
}

async fn spec(ctx: &Ctx) -> Selector {
    let mut pool = pool(1000);
    pool.region = REGION.into();
    pool.sizes = vec!["m5.large".into()];
    pool.start_timeout = Duration::from_secs(36_000);
    let spec = Spec {
        name: "demo".into(),
        max_count: None,
        max_cores: None,
        pools: vec![PoolSpec {
            pool,
            attributes: "{}".into(),
            size_line: 1,
        }],
    };
    cluster::import(ctx, spec, false).await.unwrap();
    let which = Selector::Name("demo".into());
    cluster::start(ctx, &which).await.unwrap();
    which
}

async fn tokens(ctx: &Ctx, which: &Selector) -> Vec<String> {
    let nodes = cluster::status(ctx, which, true).await.unwrap().nodes;
    let mut tokens: Vec<String> = nodes.iter().map(|full| full.node.token()).collect();
    tokens.sort();
    tokens
}

/// Turns the reconcilers until the cloud has `wanted` machines; answers their tokens, or none when the server died.
async fn turn(core: &Arc<Core>, clock: &ManualClock, cloud: &Ec2, wanted: usize) -> Option<Vec<String>> {
    let begun = Instant::now();
    let mut seen = None;
    while begun.elapsed() < Duration::from_secs(240) {
        clock.advance_ms(250);
        reconcile::node::activate(core).await.ok()?;
        let _ = reconcile::cluster::activate(core).await;
        seen = alive(cloud).await;
        if seen.as_ref().is_some_and(|seen| seen.len() == wanted) {
            return seen;
        }
    }
    let seen = seen.map(|seen| seen.len());
    panic!("the cloud has {seen:?} machines and not {wanted}");
}

#[tokio::test]
async fn two_hundred_machines_are_two_hundred_when_the_server_dies_half_way() {
    let moto = Moto::shared();
    let cloud = cloud(&moto);
    // What is under test is between the core and the cloud; the other engine has its own tests.
    let (_, store, _guard) = databases().await.remove(0);
    let clock = Arc::new(ManualClock::new(1_773_000_000_000_000));
    let planned = Arc::new(Mutex::new(None));
    let first = server_on(&store, &clock, cloud.clone(), &planned, 1).await;
    let (tenant, _) = identity::bootstrap(&first, Some(Secret::new("a password")))
        .await
        .unwrap();
    let mut ctx = Ctx::system(Arc::clone(&first), tenant, "test");
    let which = spec(&ctx).await;
    node::create(&ctx, &which, &[set(NODES / 2)], None).await.unwrap();
    node::create(&ctx, &which, &[set(NODES / 2)], None).await.unwrap();

    // Dead after the cloud has carried out a batch and before anybody wrote that down.
    *planned.lock().unwrap() = Some(("launch.done".to_owned(), 0));
    assert_eq!(turn(&first, &clock, &cloud, usize::MAX).await, None, "the server dies");
    drop(first);

    let second = server_on(&store, &clock, cloud.clone(), &planned, 2).await;
    ctx.core = Arc::clone(&second);
    clock.advance_ms(20_000);
    let wanted = tokens(&ctx, &which).await;
    assert_eq!(
        turn(&second, &clock, &cloud, wanted.len()).await.as_ref(),
        Some(&wanted)
    );
    // Not one too many later.
    for _ in 0..3 {
        clock.advance_ms(20_000);
        assert_eq!(
            turn(&second, &clock, &cloud, wanted.len()).await.as_ref(),
            Some(&wanted)
        );
    }

    let names = (1..=NODES).map(|index| format!("htc-{index}")).collect();
    let all = node::Selector {
        names,
        ..node::Selector::default()
    };
    node::manage(&ctx, &which, Verb::Terminate, &all, None).await.unwrap();
    assert_eq!(turn(&second, &clock, &cloud, 0).await, Some(Vec::new()));
}
