//! A server without a network: a database, the fake cloud in memory, a clock that the test turns.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use reeve_control::{
    Account, Core, Ctx, Settings,
    cluster::{self, PoolSpec, Selector, Spec},
    identity,
    node::{Differences, Set},
    reconcile,
    secret::Secret,
};
use reeve_model::{
    id::{ClusterId, PoolId},
    node::{Goal, Phase},
    pool::{Pool, PoolKind, ShutdownPolicy},
};
use reeve_provider::{Catalogue, Clock, Fake, Machines, ManualClock, State, fake};
use reeve_store::{
    engine::Store,
    node::Full,
    testing::{Guard, databases},
};
use uuid::Uuid;

/// One server's world.
pub(crate) struct World {
    pub(crate) core: Arc<Core>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) cloud: Arc<Fake>,
    pub(crate) ctx: Ctx,
    pub(crate) engine: &'static str,
    store: Store,
    planned: Arc<Mutex<Option<(String, u64)>>>,
    _guard: Guard,
}

pub(crate) fn settings() -> Settings {
    Settings {
        server_url: "http://127.0.0.1:1".into(),
        ca_sha256: None,
        beat_interval: std::time::Duration::from_secs(15),
        token_life: std::time::Duration::from_secs(3600),
        region_default: "westus2".into(),
        create_max: 20_000,
    }
}

/// A world on each engine.
pub(crate) async fn worlds(weather: fake::Settings) -> Vec<World> {
    let mut worlds = Vec::new();
    for (engine, store, guard) in databases().await {
        let clock = Arc::new(ManualClock::new(1_773_000_000_000_000));
        let cloud = Arc::new(Fake::in_memory(weather.clone(), Catalogue::builtin(), clock.clone()).unwrap());
        let planned = Arc::new(Mutex::new(None));
        let core = server(&store, &clock, &cloud, &planned, 1).await;
        let (tenant, _) = identity::bootstrap(&core, Some(Secret::new("a password")))
            .await
            .unwrap();
        let ctx = Ctx::system(Arc::clone(&core), tenant, "test");
        worlds.push(World {
            core,
            clock,
            cloud,
            ctx,
            engine,
            store,
            planned,
            _guard: guard,
        });
    }
    worlds
}

async fn server(
    store: &Store,
    clock: &Arc<ManualClock>,
    cloud: &Arc<Fake>,
    planned: &Arc<Mutex<Option<(String, u64)>>>,
    seed: u64,
) -> Arc<Core> {
    server_on(store, clock, Arc::clone(cloud) as Arc<dyn Machines>, planned, seed).await
}

/// A server whose account "fake" is any cloud.
pub(crate) async fn server_on(
    store: &Store,
    clock: &Arc<ManualClock>,
    machines: Arc<dyn Machines>,
    planned: &Arc<Mutex<Option<(String, u64)>>>,
    seed: u64,
) -> Arc<Core> {
    let (key, signing) = identity::prepare(store, clock.as_ref()).await.unwrap();
    let account = Account {
        name: "fake".into(),
        machines,
    };
    let planned = Arc::clone(planned);
    let passes = AtomicU64::new(0);
    let crash = move |point: &str| {
        let mut plan = planned.lock().unwrap();
        match plan.as_ref() {
            Some((name, nth)) if name == point && passes.fetch_add(1, Ordering::Relaxed) == *nth => {
                *plan = None;
                true
            }
            _ => false,
        }
    };
    let core = Core::new(
        store.clone(),
        clock.clone(),
        settings(),
        vec![account],
        Vec::new(),
        key,
        signing,
    );
    Arc::new(core.simulated(seed, Box::new(crash)))
}

impl World {
    /// Drops the server, as a crash does, and starts another on the same database and cloud.
    pub(crate) async fn restart(&mut self, seed: u64) {
        self.core = server(&self.store, &self.clock, &self.cloud, &self.planned, seed).await;
        self.ctx.core = Arc::clone(&self.core);
    }

    /// Starts another server on the same database whose cloud has other prices, and none of the machines.
    pub(crate) async fn reprice(&mut self, catalogue: Catalogue) {
        let clock: Arc<dyn Clock> = self.clock.clone();
        self.cloud = Arc::new(Fake::in_memory(fake::Settings::default(), catalogue, clock).unwrap());
        self.restart(2).await;
    }

    /// Takes a machine away behind the server's back.
    pub(crate) async fn vanish(&self, token: &str) {
        for answer in self.cloud.release(&[token.to_owned()]).await {
            answer.unwrap();
        }
    }

    /// Texts of the events of a kind, oldest first.
    pub(crate) async fn events(&self, kind: &str) -> Vec<String> {
        let mut db = self.store.read().await.unwrap();
        let all = reeve_store::ledger::events_after(&mut db, self.ctx.tenant(), 0, 100_000);
        let of_kind = all.await.unwrap().into_iter().filter(|event| event.kind == kind);
        of_kind.map(|event| event.text).collect()
    }

    /// Plans a crash at the `nth` passing of a place.
    pub(crate) fn plan_crash(&self, point: &str, nth: u64) {
        *self.planned.lock().unwrap() = Some((point.to_owned(), nth));
    }

    /// True once the planned crash has happened.
    pub(crate) fn crashed(&self) -> bool {
        self.planned.lock().unwrap().is_none()
    }

    /// Imports and starts a cluster with one pool.
    pub(crate) async fn cluster(&self, name: &str, pool: Pool) -> Selector {
        let spec = Spec {
            name: name.into(),
            max_count: None,
            max_cores: None,
            pools: vec![PoolSpec {
                pool,
                attributes: "{}".into(),
                size_line: 1,
            }],
        };
        cluster::import(&self.ctx, spec, false).await.unwrap();
        let which = Selector::Name(name.into());
        cluster::start(&self.ctx, &which).await.unwrap();
        which
    }

    pub(crate) async fn nodes(&self, which: &Selector) -> Vec<Full> {
        cluster::status(&self.ctx, which, true).await.unwrap().nodes
    }

    /// Turns the clock and the reconcilers until `done`, for at most `seconds` of the world's time.
    pub(crate) async fn until(&mut self, seconds: u64, what: &str, which: &Selector, done: impl Fn(&[Full]) -> bool) {
        for tick in 0..seconds * 4 {
            let nodes = self.nodes(which).await;
            if done(&nodes) {
                return;
            }
            self.tick().await;
            if tick % 40 == 0 {
                let _ = reconcile::sweep::activate(&self.core).await;
            }
        }
        let seen: Vec<_> = self
            .nodes(which)
            .await
            .into_iter()
            .map(|full| {
                format!(
                    "{} {:?} {:?} {:?}",
                    full.node.name, full.node.goal, full.node.seen.phase, full.node.seen.condition
                )
            })
            .take(8)
            .collect();
        panic!(
            "{}: {what} did not come true within {seconds} s; last seen: {seen:#?}",
            self.engine
        );
    }

    /// A quarter of a second; a planned crash is followed by a restart.
    pub(crate) async fn tick(&mut self) {
        self.clock.advance_ms(250);
        let before = self.crashed();
        if reconcile::node::activate(&self.core).await.is_err() && !before && self.crashed() {
            self.restart(u64::from(self.clock.now_us().unsigned_abs() as u32)).await;
        }
        let _ = reconcile::cluster::activate(&self.core).await;
    }

    /// Machines the cloud runs or makes for us.
    pub(crate) async fn machines(&self) -> Vec<String> {
        // A bad cloud loses this answer too; what is asked here changes nothing, so it is asked again.
        let mut answer = self.cloud.list(None, 100_000).await;
        for _ in 0..100 {
            if answer.is_ok() {
                break;
            }
            self.clock.advance_ms(100);
            answer = self.cloud.list(None, 100_000).await;
        }
        let page = answer.unwrap();
        page.machines
            .into_iter()
            .filter(|machine| matches!(machine.state, State::Pending | State::Running))
            .map(|machine| machine.token)
            .collect()
    }
}

pub(crate) fn all_running(nodes: &[Full]) -> bool {
    nodes
        .iter()
        .all(|full| full.node.goal == Goal::Started && full.node.seen.phase == Phase::Running)
}

/// Alike nodes to make.
pub(crate) fn set(count: u32) -> Set {
    Set {
        pool: "htc".into(),
        count,
        size: None,
        name_format: None,
        name_offset: None,
        placement_group: None,
        differences: Differences::default(),
        overrides: None,
    }
}

/// A pool of small machines on the fake cloud.
pub(crate) fn pool(max_count: u32) -> Pool {
    Pool {
        id: PoolId(Uuid::nil()),
        cluster: ClusterId(Uuid::nil()),
        name: "htc".into(),
        kind: PoolKind::Many,
        position: 0,
        revision: 0,
        account: "fake".into(),
        region: "westus2".into(),
        zone: None,
        sizes: vec!["Standard_F4s_v2".into()],
        max_count: Some(max_count),
        max_cores: None,
        core_count: None,
        interruptible: false,
        max_price: None,
        placement_group: None,
        group_size_max: 40,
        initial_count: 0,
        initial_cores: 0,
        keep_alive: false,
        fixed: false,
        shutdown_policy: ShutdownPolicy::Terminate,
        start_automatically: true,
        name_format: None,
        name_offset: 1,
        start_timeout: std::time::Duration::from_secs(600),
        throttle: std::time::Duration::from_secs(300),
        scripts: Vec::new(),
        removed: false,
    }
}
