//! A server without a network: a fresh database, a simulated cloud, a clock that stands still, ids from a seed, and
//! something of every kind for callers to ask about.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reeve_api::App;
use reeve_control::{
    Account, Core, Ctx, Settings, cluster,
    identity::{self, Wanted},
    reconcile,
    secret::Secret,
};
use reeve_model::actor::IdentityKind;
use reeve_provider::{Catalogue, Clock, Fake, ManualClock, fake};
use reeve_store::{
    engine::Store,
    testing::{Guard, databases},
};
use serde_json::json;
use tower::ServiceExt as _;

/// Folder that strangers rule and in which nothing lies.
pub(crate) const ELSEWHERE: &str = "elsewhere";
/// The document of the managed cluster `edge-lab`.
pub(crate) const DOCUMENT: &str = include_str!("../data/rafay/apply_single_node.json");
/// The elastic clusters; `X` stands for the name.
pub(crate) const TEMPLATE: &str = "\
[cluster X]
[[nodearray execute]]
Credentials = fake
Region = westus2
MachineType = Standard_F4s_v2
MaxCount = 20
";

/// Where dialects put their credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Native,
    Agents,
    RunAi,
    Rafay,
    CycleCloud,
}

impl Dialect {
    /// The dialect that a path belongs to.
    pub(crate) fn of(path: &str) -> Self {
        let under = |prefix: &str| path.starts_with(prefix);
        if under("/reeve/agent/") {
            Self::Agents
        } else if under("/apis/") {
            Self::Rafay
        } else if under("/api/") || under("/v1/k8s") {
            Self::RunAi
        } else if under("/clusters") || under("/operations") || under("/cloud/") {
            Self::CycleCloud
        } else {
            Self::Native
        }
    }
}

/// One caller with what each dialect takes as a credential.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) secret: String,
    bearer: String,
    key: String,
}

impl Caller {
    fn header(&self, dialect: Dialect) -> (&'static str, String) {
        match dialect {
            Dialect::Native | Dialect::CycleCloud => {
                let pair = STANDARD.encode(format!("{}:{}", self.name, self.secret));
                ("authorization", format!("Basic {pair}"))
            }
            Dialect::RunAi | Dialect::Agents => ("authorization", format!("Bearer {}", self.bearer)),
            Dialect::Rafay => ("x-api-key", self.key.clone()),
        }
    }
}

/// An answer read to its end, but for streams that have none.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) app: App,
    pub(crate) ctx: Ctx,
    pub(crate) engine: &'static str,
    /// The clock, which moves only by hand.
    pub(crate) clock: Arc<ManualClock>,
    _guard: Guard,
}

/// A server with nothing in it but the default folder.
pub(crate) async fn empty() -> World {
    let (engine, store, guard) = databases().await.into_iter().next().expect("a database");
    world(engine, store, guard, fake::Settings::default()).await
}

/// As [`empty`], one server on each engine.
pub(crate) async fn worlds() -> Vec<World> {
    worlds_in(&fake::Settings::default()).await
}

/// As [`worlds`], on a cloud that behaves as one likes.
pub(crate) async fn worlds_in(weather: &fake::Settings) -> Vec<World> {
    let mut worlds = Vec::new();
    for (engine, store, guard) in databases().await {
        worlds.push(world(engine, store, guard, weather.clone()).await);
    }
    worlds
}

async fn world(engine: &'static str, store: Store, guard: Guard, weather: fake::Settings) -> World {
    let clock = Arc::new(ManualClock::new(1_773_000_000_000_000));
    let (key, signing) = identity::prepare(&store, clock.as_ref()).await.expect("keys");
    let settings = Settings {
        server_url: "http://reeve.test".into(),
        ca_sha256: None,
        beat_interval: Duration::from_secs(5),
        token_life: Duration::from_secs(3600),
        region_default: "westus2".into(),
        create_max: 100,
    };
    let ticking: Arc<dyn Clock> = clock.clone();
    let cloud = Fake::in_memory(weather, Catalogue::builtin(), ticking).expect("a cloud");
    let account = Account {
        name: "fake".into(),
        machines: Arc::new(cloud),
    };
    let core = Core::new(
        store,
        clock.clone(),
        settings,
        vec![account],
        reeve_api::roles(),
        key,
        signing,
    );
    let core = core.simulated(1, Box::new(|_: &str| false));
    let (tenant, _) = identity::bootstrap(&core, Some(Secret::new("a long enough password")))
        .await
        .expect("the first user");
    let app = Arc::new(core);
    World {
        router: reeve_api::router(Arc::clone(&app)),
        ctx: Ctx::system(Arc::clone(&app), tenant, "test"),
        app,
        engine,
        clock,
        _guard: guard,
    }
}

/// A server with a cluster of every kind in the default folder, and another folder: elastic `hpc` (started, nodes
/// `execute-1` to `execute-3`), `idle` and `spare`; attached `train` and `old`; managed `edge-lab`.
pub(crate) async fn furnished() -> World {
    let world = empty().await;
    cluster::create_folder(&world.ctx, ELSEWHERE).await.expect("a folder");
    let admin = world.caller("furnisher", "admin", "/").await;
    for name in ["hpc", "idle", "spare"] {
        let body = json!({ "name": name, "template": TEMPLATE.replace('X', name), "start": name == "hpc" });
        world.made(&admin, "/reeve/v1/clusters/import", &body.to_string()).await;
    }
    world
        .made(
            &admin,
            "/clusters/hpc/nodes/create",
            r#"{"requestId":"first","sets":[{"nodearray":"execute","count":3}]}"#,
        )
        .await;
    for name in ["train", "old"] {
        world
            .made(&admin, "/reeve/v1/clusters", &json!({ "name": name }).to_string())
            .await;
    }
    let budget = world
        .call(
            Some(&admin),
            "PUT",
            "/reeve/v1/clusters/hpc/budget",
            r#"{"amount":100.0}"#,
        )
        .await;
    assert!(budget.status.is_success(), "{}", budget.text);
    let project = "/apis/infra.k8smgmt.io/v3/projects/defaultproject/clusters";
    world.made(&admin, project, DOCUMENT).await;
    world
}

impl World {
    /// Lets time pass, with everything that a server does meanwhile, a second at a time.
    pub(crate) async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance_ms(1000);
            for round in 0.. {
                assert!(round < 100, "some node is due again and again");
                if reconcile::node::activate(&self.app).await.expect("nodes are looked at") == 0 {
                    break;
                }
            }
            reconcile::cluster::activate(&self.app)
                .await
                .expect("clusters are looked at");
        }
        reconcile::sweep::activate(&self.app).await.expect("a sweep");
        reconcile::budget::activate(&self.app)
            .await
            .expect("budgets are looked at");
    }

    /// Moves the clock on while nothing is to do.
    pub(crate) fn skip(&self, seconds: u64) {
        self.clock.advance_ms(seconds * 1000);
    }

    /// The id of a cluster.
    pub(crate) async fn id_of(&self, name: &str) -> String {
        let found = cluster::get(&self.ctx, &cluster::Selector::Name(name.to_owned())).await;
        found.expect("a cluster").id.to_string()
    }

    /// Makes an application and an API key of the same role, and signs the application in.
    pub(crate) async fn caller(&self, name: &str, role: &str, scope: &str) -> Caller {
        let wanted = |kind, name: String| Wanted {
            kind,
            name,
            role: role.to_owned(),
            scope: scope.to_owned(),
            life: None,
            password: None,
        };
        let application = wanted(IdentityKind::Application, name.to_owned());
        let application = identity::create(&self.ctx, application).await.expect("an application");
        let key = wanted(IdentityKind::ApiKey, format!("{name}-key"));
        let key = identity::create(&self.ctx, key).await.expect("a key");
        let secret = application.secret.into_exposed();
        let actor = identity::basic(&self.app, name, &Secret::new(&*secret))
            .await
            .expect("it signs in");
        let (bearer, _) = identity::issue(&self.app, &actor, None).expect("a token");
        Caller {
            id: actor.id.to_string(),
            name: name.to_owned(),
            secret,
            bearer: bearer.into_exposed(),
            key: key.secret.into_exposed(),
        }
    }

    /// Sends a request that carries the caller's credential as the path's dialect takes it.
    pub(crate) async fn call(
        &self,
        caller: Option<&Caller>,
        method: &str,
        path: &str,
        body: impl Into<Body>,
    ) -> Answer {
        self.send(caller, method, path, &[], body).await
    }

    /// As [`Self::call`], with more headers.
    pub(crate) async fn send(
        &self,
        caller: Option<&Caller>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(caller) = caller {
            let (name, value) = caller.header(Dialect::of(path));
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let kind = parts.headers.get("content-type").and_then(|kind| kind.to_str().ok());
        let endless = kind.is_some_and(|kind| kind.starts_with("text/event-stream") || kind.ends_with("octet-stream"));
        let bytes = if endless {
            Vec::new()
        } else {
            to_bytes(body, usize::MAX).await.expect("a body").to_vec()
        };
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    async fn made(&self, caller: &Caller, path: &str, body: &str) {
        let answer = self.call(Some(caller), "POST", path, body.to_owned()).await;
        assert!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text);
    }
}
