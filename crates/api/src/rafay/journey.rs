//! The whole way of a cluster over both protocols: applied, joined by an agent, approved, told the truth, deleted.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use reeve_control::{
    Core, Ctx, Settings,
    identity::{self, Wanted},
    secret::Secret,
};
use reeve_model::actor::IdentityKind;
use reeve_provider::ManualClock;
use reeve_store::testing;
use serde_json::{Value, json};
use tower::ServiceExt;

const BASE: &str = "/apis/infra.k8smgmt.io/v3/projects/defaultproject/clusters";
const DOCUMENT: &str = include_str!("../../tests/data/rafay/apply_single_node.json");

struct Server {
    router: Router,
    clock: Arc<ManualClock>,
    key: String,
    reader: String,
    _guard: testing::Guard,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.text))
    }
}

async fn servers() -> Vec<Server> {
    let mut servers = Vec::new();
    for (_, store, guard) in testing::databases().await {
        let clock = Arc::new(ManualClock::new(1_790_000_000_123_456));
        let (key, signing) = identity::prepare(&store, clock.as_ref()).await.unwrap();
        let settings = Settings {
            server_url: "http://10.1.0.1:8080".into(),
            ca_sha256: None,
            beat_interval: Duration::from_secs(5),
            token_life: Duration::from_secs(3600),
            region_default: "local".into(),
            create_max: 100,
        };
        let core = Arc::new(Core::new(
            store,
            clock.clone(),
            settings,
            Vec::new(),
            super::roles(),
            key,
            signing,
        ));
        let (tenant, _) = identity::bootstrap(&core, Some(Secret::new("a long enough password")))
            .await
            .unwrap();
        let ctx = Ctx::system(Arc::clone(&core), tenant, "test");
        let key = api_key(&ctx, "Organization Admin").await;
        let reader = api_key(&ctx, "Project Read Only").await;
        let router = crate::router(core);
        servers.push(Server {
            router,
            clock,
            key,
            reader,
            _guard: guard,
        });
    }
    servers
}

async fn api_key(ctx: &Ctx, role: &str) -> String {
    let wanted = Wanted {
        kind: IdentityKind::ApiKey,
        name: role.replace(' ', "-"),
        role: role.into(),
        scope: "/".into(),
        life: None,
        password: None,
    };
    identity::create(ctx, wanted).await.unwrap().secret.into_exposed()
}

impl Server {
    async fn send(&self, header: (&str, &str), verb: &str, path: &str, body: String) -> Answer {
        self.clock.advance_ms(10);
        let request = Request::builder()
            .method(verb)
            .uri(path)
            .header(header.0, header.1)
            .body(Body::from(body))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text,
        }
    }

    async fn call(&self, verb: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(("X-API-KEY", &self.key), verb, path, body).await
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, &Value::Null).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()
    }

    async fn agent(&self, token: &str, call: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {token}");
        self.send(
            ("Authorization", &bearer),
            "POST",
            &format!("/reeve/agent/v1/{call}"),
            body.to_string(),
        )
        .await
    }
}

fn document() -> Value {
    let mut document: Value = serde_json::from_str(DOCUMENT).unwrap();
    document["spec"]["config"]["autoApproveNodes"] = json!(false);
    document
}

fn enrolment(hostname: &str) -> Value {
    json!({
        "protocol": 1, "agent_version": "test", "instance": "i-1", "machine_id": "m-1", "clock_us": 0,
        "facts": { "hostname": hostname, "nics": [{ "name": "eth0", "addresses": ["10.1.0.5/24"] }] },
    })
}

#[tokio::test]
async fn a_cluster_comes_as_far_as_it_can_and_says_why_no_further() {
    for server in servers().await {
        let document = document();
        let name = document["metadata"]["name"].as_str().unwrap().to_owned();
        let hostname = document["spec"]["config"]["nodes"][0]["hostname"]
            .as_str()
            .unwrap()
            .to_owned();
        let one = format!("{BASE}/{name}");

        let dry = server.call("POST", &format!("{BASE}?dryRun=true"), &document).await;
        assert_eq!(dry.status, StatusCode::OK, "{}", dry.text);
        assert_eq!(dry.json()["status"]["lastTasksets"][0]["tasksetId"], "dry-run");
        assert_eq!(server.get(BASE).await["items"], json!([]));

        let made = server.call("POST", &format!("{BASE}/"), &document).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.text);
        assert_eq!(made.json()["status"]["commonStatus"]["conditionStatus"], 1);
        assert_eq!(server.get(BASE).await["metadata"]["count"], 1);
        assert!(server.get(&one).await.get("status").is_none());
        let before = server.get(&format!("{one}/status")).await["status"].clone();
        assert_eq!(before["mks"]["nodes"][0]["status"], "PENDING");

        let token = join_token(&server, &one).await;
        let stranger = server.agent(&token, "enroll", &enrolment("somebody-else")).await;
        assert_eq!(
            (stranger.status, &stranger.json()["code"]),
            (StatusCode::NOT_FOUND, &json!("not_declared"))
        );
        let joined = server.agent(&token, "enroll", &enrolment(&hostname)).await;
        assert_eq!(joined.status, StatusCode::OK, "{}", joined.text);
        let credential = joined.json()["credential"].as_str().unwrap().to_owned();
        let beat = json!({ "protocol": 1, "sequence": 1, "clock_us": 0, "epoch_seen": 0, "init": { "run": "", "state": "pending" } });
        assert_eq!(server.agent(&credential, "beat", &beat).await.json()["wish"], "stand");
        let newer = json!({ "protocol": 2, "sequence": 1, "clock_us": 0, "epoch_seen": 0, "init": { "run": "", "state": "pending" } });
        assert_eq!(
            server.agent(&credential, "beat", &newer).await.json()["code"],
            "unsupported_protocol"
        );
        let waiting = server.get(&format!("{one}/status")).await["status"].clone();
        assert_eq!(waiting["mks"]["nodes"][0]["status"], "DISCOVERED");
        assert_eq!(waiting["commonStatus"]["conditionStatus"], 1);

        let approve = format!("{one}/nodes/{hostname}/approve");
        assert_eq!(server.call("POST", &approve, &Value::Null).await.status, StatusCode::OK);
        assert_eq!(
            server.call("POST", &approve, &Value::Null).await.status,
            StatusCode::BAD_REQUEST
        );
        let failed = server.get(&format!("{one}/status")).await;
        let status = &failed["status"];
        assert_eq!(status["mks"]["nodes"][0]["status"], "APPROVED");
        assert_eq!(status["commonStatus"]["conditionStatus"], 3);
        assert!(status["commonStatus"]["reason"].as_str().unwrap().contains(&hostname));
        assert_eq!(status["provisionStatus"], "CLUSTER_PROVISION_FAILED");
        assert_eq!(
            status["lastTasksets"][0]["tasksetStatus"],
            "PROVISION_TASKSET_STATUS_FAILED"
        );
        assert_ne!(failed["metadata"]["modifiedAt"], made.json()["metadata"]["modifiedAt"]);

        let again = server.call("POST", BASE, &document).await.json();
        let tasksets = again["status"]["lastTasksets"].as_array().unwrap();
        assert_eq!(tasksets.len(), 2);
        assert_ne!(tasksets[0]["tasksetId"], status["lastTasksets"][0]["tasksetId"]);
        assert_eq!(tasksets[1]["tasksetId"], status["lastTasksets"][0]["tasksetId"]);

        let gone = server.call("DELETE", &one, &Value::Null).await;
        assert_eq!((gone.status, gone.text.as_str()), (StatusCode::OK, ""));
        let missing = server.call("GET", &one, &Value::Null).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND);
        assert!(missing.json()["external"].as_str().unwrap().contains("not found"));
        assert_eq!(
            server.agent(&credential, "beat", &beat).await.json()["code"],
            "credential_revoked"
        );
    }
}

/// The token out of the command for this machine, with the other command checked on the way.
async fn join_token(server: &Server, one: &str) -> String {
    let mut found = None;
    for word in super::INSTALLER_PATHS {
        let commands = server.get(&format!("{one}/{word}")).await["installerCmds"].clone();
        assert_eq!(
            (&commands[0]["arch"], &commands[1]["arch"]),
            (&json!("arm64"), &json!("amd64"))
        );
        let texts = commands
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["command"].as_str().unwrap().to_owned());
        let (with, without): (Vec<_>, Vec<_>) = texts.partition(|text| text.contains("Bearer "));
        assert_eq!((with.len(), without.len()), (1, 1));
        let token = with[0]
            .split("Bearer ")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned();
        assert!(
            found.is_none_or(|before| before == token),
            "reading must not rotate the token"
        );
        found = Some(token);
    }
    found.unwrap()
}

#[tokio::test]
async fn callers_are_told_what_is_theirs_to_know() {
    for server in servers().await {
        let unknown = server.send(
            ("X-API-KEY", "nonsense"),
            "GET",
            "/apis/infra.k8smgmt.io/v3/projects/none/clusters",
            String::new(),
        );
        assert_eq!(unknown.await.status, StatusCode::UNAUTHORIZED);
        let old = server
            .send(("X-RAFAY-API-KEYID", &server.reader), "GET", BASE, String::new())
            .await;
        assert_eq!(old.status, StatusCode::OK);
        let refused = server
            .send(("X-API-KEY", &server.reader), "POST", BASE, document().to_string())
            .await;
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (StatusCode::FORBIDDEN, &json!(403)),
            "{}",
            refused.text
        );
        let project = server
            .call("GET", "/apis/infra.k8smgmt.io/v3/projects/none/clusters", &Value::Null)
            .await;
        assert_eq!(project.status, StatusCode::NOT_FOUND);
        let verb = server.call("PATCH", BASE, &Value::Null).await;
        assert_eq!(verb.status, StatusCode::METHOD_NOT_ALLOWED);
        assert!(verb.headers["allow"].to_str().unwrap().contains("POST"));
        assert_eq!(verb.json()["code"], 405);
        let path = server
            .call("GET", "/apis/infra.k8smgmt.io/v3/nowhere", &Value::Null)
            .await;
        assert_eq!(
            (path.status, &path.json()["code"]),
            (StatusCode::NOT_FOUND, &json!(404))
        );
        let large = server
            .send(("X-API-KEY", &server.key), "POST", BASE, " ".repeat(1024 * 1024 + 1))
            .await;
        assert_eq!(
            (large.status, &large.json()["code"]),
            (StatusCode::PAYLOAD_TOO_LARGE, &json!(413))
        );
        let broken = server.call("POST", BASE, &json!({ "kind": "Pod" })).await;
        assert_eq!(broken.status, StatusCode::BAD_REQUEST);
        assert!(
            broken.json()["external"].as_str().unwrap().contains("metadata"),
            "{}",
            broken.text
        );
    }
}
