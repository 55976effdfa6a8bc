//! The native API as a caller meets it, over a server with a fresh database and no provider account.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use reeve_api::{App, native};
use reeve_control::{Core, Settings, identity};
use reeve_provider::ManualClock;
use reeve_store::testing::{Guard, databases};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const PASSWORD: &str = "correct horse battery";
/// `admin` with [`PASSWORD`].
const ADMIN: &str = "Basic YWRtaW46Y29ycmVjdCBob3JzZSBiYXR0ZXJ5";

struct Server {
    router: Router,
    app: App,
    _guard: Guard,
}

async fn server() -> Server {
    let (_, store, guard) = databases().await.into_iter().next().expect("a database");
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let (key, signing) = identity::prepare(&store, clock.as_ref()).await.expect("keys");
    let settings = Settings {
        server_url: "http://reeve.test".into(),
        ca_sha256: None,
        beat_interval: Duration::from_secs(5),
        token_life: Duration::from_secs(600),
        region_default: "here".into(),
        create_max: 100,
    };
    let core = Core::new(store, clock, settings, Vec::new(), Vec::new(), key, signing);
    identity::bootstrap(&core, Some(PASSWORD.to_owned().into()))
        .await
        .expect("the first user");
    let app = Arc::new(core);
    Server {
        router: native::routes().with_state(Arc::clone(&app)),
        app,
        _guard: guard,
    }
}

impl Server {
    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let status = response.status();
        let bytes = to_bytes(response.into_body(), 1 << 22).await.expect("a body");
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, ADMIN);
        self.send(request.body(body.into()).expect("a request")).await
    }
}

#[tokio::test]
async fn a_call_without_credentials_is_challenged() {
    let server = server().await;
    let request = Request::get("/reeve/v1/clusters")
        .body(Body::empty())
        .expect("a request");
    let response = server.router.clone().oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
}

#[tokio::test]
async fn health_and_figures_need_no_credentials() {
    let server = server().await;
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/.well-known/jwks.json",
        "/.well-known/openid-configuration",
        "/reeve/v1/openapi.json",
    ] {
        let (status, _) = server
            .send(Request::get(path).body(Body::empty()).expect("a request"))
            .await;
        assert_eq!(status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_cluster_is_made_shown_listed_and_deleted() {
    let server = server().await;
    let (status, made) = server
        .call("POST", "/reeve/v1/clusters", json!({"name": "a b"}).to_string())
        .await;
    assert_eq!(
        (status, &made["aspects"]["attached"]),
        (StatusCode::CREATED, &json!(true))
    );
    let (status, again) = server
        .call("POST", "/reeve/v1/clusters", json!({"name": "a b"}).to_string())
        .await;
    assert_eq!(
        (status, &again["code"]),
        (StatusCode::CONFLICT, &json!("already_exists"))
    );
    let (_, shown) = server.call("GET", "/reeve/v1/clusters/a%20b", "").await;
    assert_eq!(shown, made);
    let (_, listed) = server.call("GET", "/reeve/v1/clusters?limit=1", "").await;
    assert_eq!(listed, json!({"items": [made]}));
    let (_, nodes) = server
        .call("GET", "/reeve/v1/clusters/a%20b/nodes?phase=running", "")
        .await;
    assert_eq!(nodes, json!({"items": []}));
    let (status, gone) = server.call("DELETE", "/reeve/v1/clusters/a%20b", "").await;
    assert_eq!((status, gone), (StatusCode::OK, json!({"gone": true})));
    assert_eq!(
        server.call("GET", "/reeve/v1/clusters/a%20b", "").await.0,
        StatusCode::NOT_FOUND
    );
    let (_, audit) = server.call("GET", "/reeve/v1/audit?limit=1", "").await;
    assert_eq!(audit["items"][0]["verb"], "delete-cluster");
    assert!(audit["next"].is_string(), "there are older lines: {audit}");
}

#[tokio::test]
async fn what_can_not_be_read_is_refused_with_a_problem_that_says_where() {
    let server = server().await;
    for (method, path, body, status, field) in [
        (
            "POST",
            "/reeve/v1/clusters",
            &br#"{"name":"a","nope":1}"#[..],
            400,
            json!("nope"),
        ),
        ("POST", "/reeve/v1/clusters", b"", 400, Value::Null),
        ("POST", "/reeve/v1/clusters", b"\"\xff\"", 400, Value::Null),
        ("POST", "/reeve/v1/clusters", br#"{"name":7}"#, 400, Value::Null),
        ("GET", "/reeve/v1/clusters?limit=0", b"", 400, json!("limit")),
        ("GET", "/reeve/v1/clusters?nope=1", b"", 400, json!("nope")),
        ("GET", "/reeve/v1/audit?cursor=x", b"", 400, json!("cursor")),
        ("GET", "/reeve/v1/clusters/%ff", b"", 400, Value::Null),
        ("GET", "/reeve/v1/operations/none", b"", 404, Value::Null),
        ("GET", "/reeve/v1/nowhere", b"", 404, Value::Null),
        ("PUT", "/reeve/v1/clusters", b"", 405, Value::Null),
        (
            "POST",
            "/reeve/v1/clusters/import",
            br#"{"name":"a","template":""}"#,
            501,
            Value::Null,
        ),
    ] {
        let (found, problem) = server.call(method, path, body.to_vec()).await;
        assert_eq!(found.as_u16(), status, "{method} {path}: {problem}");
        assert_eq!(problem["field"], field, "{method} {path}: {problem}");
        assert!(
            problem["requestId"].is_string() && problem["message"].is_string(),
            "{problem}"
        );
    }
    let (status, _) = server
        .call("POST", "/reeve/v1/clusters", vec![b' '; (4 << 20) + 1])
        .await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_credential_works_until_it_is_revoked() {
    let server = server().await;
    let wanted = json!({"kind": "application", "name": "ci", "role": "admin", "scope": "/"}).to_string();
    let (status, made) = server.call("POST", "/reeve/v1/credentials", wanted).await;
    assert_eq!((status, &made["clientId"]), (StatusCode::CREATED, &json!("ci")));
    let secret = made["clientSecret"].as_str().expect("a secret").to_owned().into();
    identity::basic(&server.app, "ci", &secret).await.expect("it signs in");
    let (_, listed) = server.call("GET", "/reeve/v1/credentials", "").await;
    assert_eq!(listed["items"][1]["roles"], json!([{"role": "admin", "scope": "/"}]));
    let path = format!("/reeve/v1/credentials/{}", made["id"].as_str().expect("an id"));
    assert_eq!(server.call("DELETE", &path, "").await.0, StatusCode::NO_CONTENT);
    identity::basic(&server.app, "ci", &secret)
        .await
        .expect_err("it is revoked");
}

#[tokio::test]
async fn a_token_stands_in_for_its_owner() {
    let server = server().await;
    let (_, token) = server.call("POST", "/reeve/v1/token", "").await;
    let bearer = format!("Bearer {}", token["accessToken"].as_str().expect("a token"));
    let request = Request::get("/reeve/v1/status").header(header::AUTHORIZATION, bearer);
    let (status, shown) = server.send(request.body(Body::empty()).expect("a request")).await;
    assert_eq!((status, &shown["nodes"]), (StatusCode::OK, &json!(0)));
}

#[tokio::test]
async fn a_stream_of_events_resumes_after_the_one_named() {
    let server = server().await;
    for name in ["one", "two"] {
        server
            .call("POST", "/reeve/v1/clusters", json!({"name": name}).to_string())
            .await;
    }
    let request = Request::get("/reeve/v1/events")
        .header(header::AUTHORIZATION, ADMIN)
        .header("last-event-id", "1");
    let response = server
        .router
        .clone()
        .oneshot(request.body(Body::empty()).expect("a request"))
        .await
        .expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body().into_data_stream();
    let first = futures::StreamExt::next(&mut body)
        .await
        .expect("an event")
        .expect("readable");
    let text = String::from_utf8(first.to_vec()).expect("text");
    assert!(
        text.contains("id: 2\n") && text.contains("\"subject\":\"two\""),
        "{text}"
    );
}

#[tokio::test]
async fn a_stream_of_what_has_happened_ends_with_the_last_event() {
    let server = server().await;
    for name in ["one", "two"] {
        let body = json!({"name": name}).to_string();
        server.call("POST", "/reeve/v1/clusters", body).await;
    }
    for (cursor, subjects) in [(0, &["one", "two"][..]), (1, &["two"]), (2, &[])] {
        let request = Request::get(format!("/reeve/v1/events?cursor={cursor}&follow=false"))
            .header(header::AUTHORIZATION, ADMIN)
            .body(Body::empty())
            .expect("a request");
        let response = server.router.clone().oneshot(request).await.expect("an answer");
        let body = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .expect("an end");
        let text = String::from_utf8(body.to_vec()).expect("text");
        let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let events: Vec<serde_json::Value> = events.map(|event| serde_json::from_str(event).expect("JSON")).collect();
        let seen: Vec<&str> = events.iter().filter_map(|event| event["subject"].as_str()).collect();
        assert_eq!(seen, subjects, "{text}");
    }
}

#[test]
fn the_document_of_the_api_changes_only_on_purpose() {
    let text = serde_json::to_string_pretty(&native::document::document()).expect("JSON");
    expect_test::expect_file!["../golden/openapi.json"].assert_eq(&format!("{text}\n"));
}
