//! `reeve serve --demo`: an example to look at. A small cluster whose three nodes are real processes on this host, and
//! a large one on the simulated cloud, both made by the same verbs that a user's requests end in.

use std::{sync::Arc, time::Duration};

use reeve_control::{
    Core, Ctx,
    cluster::{self, PoolSpec, Selector, Spec},
    identity,
    secret::Secret,
};
use reeve_model::{
    Kind, Result,
    cluster::Goal,
    id::{ClusterId, PoolId, TenantId},
    pool::{GROUP_SIZE_DEFAULT, Pool, PoolKind, START_TIMEOUT_DEFAULT, ShutdownPolicy, THROTTLE_DEFAULT},
};
use serde_json::json;
use uuid::Uuid;

/// What the demo is to use.
pub(crate) struct Wanted {
    /// Where it goes.
    pub(crate) tenant: TenantId,
    /// The administrator's password, if this process knows it.
    pub(crate) password: Option<Secret>,
}

/// One cluster of the demo.
struct Example {
    cluster: &'static str,
    pool: &'static str,
    account: &'static str,
    region: &'static str,
    size: &'static str,
    nodes: u32,
}

const EXAMPLES: [Example; 2] = [
    Example {
        cluster: "demo",
        pool: "execute",
        account: "local",
        region: "local",
        size: "local",
        nodes: 3,
    },
    Example {
        cluster: "simulated-gpu",
        pool: "gpu",
        account: "fake",
        region: "eastus",
        size: "Standard_ND96isr_H100_v5",
        nodes: 64,
    },
];

/// Makes and starts what is not there yet, and says what to try.
///
/// # Errors
/// As the verbs; what was made before stays.
pub(crate) async fn fill(core: &Arc<Core>, wanted: Wanted, url: &str) -> Result<()> {
    let ctx = Ctx::system(Arc::clone(core), wanted.tenant, "demo");
    for example in &EXAMPLES {
        ensure(&ctx, example).await?;
    }
    greet(url, wanted.password.as_ref());
    Ok(())
}

async fn ensure(ctx: &Ctx, example: &Example) -> Result<()> {
    let which = Selector::Name(example.cluster.to_owned());
    let found = match cluster::get(ctx, &which).await {
        Ok(found) => found,
        Err(error) if error.kind == Kind::NotFound => cluster::import(ctx, spec(example), false).await?,
        Err(error) => return Err(error),
    };
    // Somebody who stopped the example wants it stopped.
    if found.goal == Goal::Idle {
        cluster::start(ctx, &which).await?;
    }
    Ok(())
}

fn spec(example: &Example) -> Spec {
    let attributes = json!({
        "Region": example.region,
        "SubnetId": "demo/demo-network/default",
        "MachineType": [example.size],
        "Credentials": example.account,
        "InitialCount": example.nodes,
        "Configuration": {},
    });
    let pool = PoolSpec {
        pool: pool(example),
        attributes: attributes.to_string(),
        size_line: 0,
    };
    Spec {
        name: example.cluster.to_owned(),
        max_count: Some(256),
        max_cores: None,
        pools: vec![pool],
    }
}

fn pool(example: &Example) -> Pool {
    Pool {
        // Ids, position and revision are filled in by the import.
        id: PoolId(Uuid::nil()),
        cluster: ClusterId(Uuid::nil()),
        name: example.pool.to_owned(),
        kind: PoolKind::Many,
        position: 0,
        revision: 1,
        account: example.account.to_owned(),
        region: example.region.to_owned(),
        zone: None,
        sizes: vec![example.size.to_owned()],
        max_count: None,
        max_cores: None,
        core_count: None,
        interruptible: false,
        max_price: None,
        placement_group: None,
        group_size_max: GROUP_SIZE_DEFAULT,
        initial_count: example.nodes,
        initial_cores: 0,
        keep_alive: false,
        fixed: false,
        shutdown_policy: ShutdownPolicy::Terminate,
        start_automatically: true,
        name_format: None,
        name_offset: 1,
        start_timeout: START_TIMEOUT_DEFAULT,
        throttle: Duration::min(THROTTLE_DEFAULT, Duration::from_secs(60)),
        scripts: Vec::new(),
        removed: false,
    }
}

fn greet(url: &str, password: Option<&Secret>) {
    let password = password.map_or("as printed at the first start", Secret::expose);
    let user = identity::ADMIN;
    println!(
        "\n  address   {url}\n  user      {user}\n  password  {password}\n\
         \n  export REEVE_URL={url} REEVE_USER={user} REEVE_PASSWORD=…\n\
         \n  reeve cluster list\
         \n  reeve node list demo --watch\
         \n  reeve node create demo --pool execute --count 2 --wait\n"
    );
}
