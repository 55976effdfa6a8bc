//! Usage and budgets as callers meet them through two dialects, over a ledger written by hand.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use reeve_api::{App, cyclecloud, native};
use reeve_control::{
    Core, Ctx, Settings,
    cluster::{self, Selector},
    identity,
};
use reeve_model::{
    Timestamp,
    usage::{Goods, Line, Price, System, frame::day},
};
use reeve_provider::ManualClock;
use reeve_store::{
    testing::{Guard, databases},
    usage::{self, Home},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// `admin` with `correct horse battery`.
const ADMIN: &str = "Basic YWRtaW46Y29ycmVjdCBob3JzZSBiYXR0ZXJ5";
/// Tuesday, 2026-03-10T10:30:00Z.
const NOW: i64 = 1_773_138_600_000_000;
const HOUR: i64 = 3_600_000_000;

struct Server {
    router: Router,
    app: App,
    tenant: reeve_model::id::TenantId,
    _guard: Guard,
}

async fn server() -> Server {
    let (_, store, guard) = databases().await.into_iter().next().expect("a database");
    let clock = Arc::new(ManualClock::new(NOW));
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
    let first = identity::bootstrap(&core, Some("correct horse battery".to_owned().into()));
    let (tenant, _) = first.await.expect("the first user");
    let app = Arc::new(core);
    Server {
        router: native::routes()
            .merge(cyclecloud::routes())
            .with_state(Arc::clone(&app)),
        app,
        tenant,
        _guard: guard,
    }
}

impl Server {
    async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, ADMIN);
        let request = request.body(body.into()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), 1 << 24).await.expect("a body");
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// A cluster with one machine of four cores, which costs 2.5 an hour, for as many hours until now.
    async fn ran(&self, name: &str, hours: i64) {
        self.call("POST", "/reeve/v1/clusters", json!({ "name": name }).to_string())
            .await;
        let ctx = Ctx::system(Arc::clone(&self.app), self.tenant, "test");
        let made = cluster::get(&ctx, &Selector::Name(name.into()))
            .await
            .expect("a cluster");
        let goods = Goods {
            account: "cloud".into(),
            size: "small".into(),
            region: "here".into(),
            spot: false,
            system: System::Linux,
        };
        let line = Line {
            cluster: name.into(),
            single: false,
            owner: "htc".into(),
            goods: goods.clone(),
            cores: 4,
        };
        let home = Home {
            tenant: made.tenant,
            folder: made.folder,
            cluster: made.id,
        };
        let mut tx = self.app.store.begin().await.expect("a transaction");
        let number = usage::line(&mut tx, home, &line).await.expect("a line");
        let start = Timestamp(NOW - hours * HOUR);
        usage::fix_price(&mut tx, &goods, day(start), Some(Price(2_500_000)))
            .await
            .expect("a price");
        usage::open(&mut tx, &[(format!("m-{name}"), number)], start)
            .await
            .expect("a run");
        tx.commit().await.expect("commit");
    }
}

#[tokio::test]
async fn an_autoscaler_reads_what_still_runs_and_is_refused_what_makes_no_sense() {
    let server = server().await;
    server.ran("my cluster", 2).await;
    let path = "/clusters/my%20cluster/usage";
    let query = "?timeframe=custom&from=2026-03-10T00:00:00&to=2026-03-10T23:59:59&granularity=total&expand=details";
    let (status, body) = server.call("GET", &format!("{path}{query}"), "").await;
    assert_eq!(status, 200, "{body}");
    let detail = json!({"vm_size": "small", "core_count": 4, "hours": 8.0, "cost": 5.0, "region": "here",
        "priority": "Regular", "os": "Linux"});
    assert_eq!(
        body,
        json!({"usage": [{"start": "2026-03-10T00:00:00Z", "end": "2026-03-11T00:00:00Z",
            "breakdown": [{"category": "nodearray", "node": "htc", "hours": 8.0, "cost": 5.0, "details": [detail]}],
            "total": {"category": "cluster", "hours": 8.0, "cost": 5.0}}]})
    );
    let (_, hours) = server
        .call("GET", &format!("{path}?timeframe=weekToDate&granularity=hourly"), "")
        .await;
    let used: Vec<f64> = hours["usage"]
        .as_array()
        .expect("intervals")
        .iter()
        .filter_map(|hour| hour["total"]["hours"].as_f64())
        .filter(|hours| *hours > 0.0)
        .collect();
    assert_eq!(used, [2.0, 4.0, 2.0]);
    let (_, days) = server.call("GET", path, "").await;
    assert_eq!(days["usage"].as_array().map(Vec::len), Some(10));
    assert!(days["usage"][0]["breakdown"].as_array().is_some_and(Vec::is_empty));
    for (query, expected) in [
        ("timeframe=custom&from=2026-03-10&to=2026-03-10", 400),
        ("timeframe=custom&from=2020-01-01&to=2026-01-01&granularity=hourly", 400),
        ("granularity=yearly", 400),
    ] {
        let (status, refusal) = server.call("GET", &format!("{path}?{query}"), "").await;
        assert_eq!(status, expected, "{query}: {refusal}");
        assert!(
            refusal["Message"].is_string() && refusal["Detail"].is_string(),
            "{refusal}"
        );
    }
    assert_eq!(server.call("GET", "/clusters/none/usage", "").await.0, 404);
}

#[tokio::test]
async fn the_native_api_tells_usage_of_a_cluster_a_folder_and_everything() {
    let server = server().await;
    server.ran("one", 2).await;
    server.ran("two", 30).await;
    let (status, one) = server.call("GET", "/reeve/v1/clusters/one/usage?by=total", "").await;
    assert_eq!(
        (status, &one["coreHours"], &one["cost"]),
        (200, &json!(8.0), &json!(5.0))
    );
    assert_eq!(one["intervals"][0]["items"][0]["machines"][0]["size"], "small");
    let (_, days) = server
        .call("GET", "/reeve/v1/clusters/two/usage?from=2026-03-09&to=2026-03-11", "")
        .await;
    assert_eq!(
        (&days["from"], &days["to"]),
        (&json!("2026-03-09T00:00:00Z"), &json!("2026-03-11T00:00:00Z"))
    );
    let costs: Vec<f64> = [0, 1]
        .map(|day| days["intervals"][day]["cost"].as_f64().expect("a cost"))
        .to_vec();
    assert_eq!((costs, &days["cost"]), (vec![48.75, 26.25], &json!(75.0)));

    let (_, all) = server.call("GET", "/reeve/v1/usage?by=total", "").await;
    let names: Vec<&str> = all["intervals"][0]["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|item| item["name"].as_str())
        .collect();
    assert_eq!((names, &all["cost"]), (vec!["one", "two"], &json!(80.0)));
    let folder = cluster::FOLDER_DEFAULT;
    let (_, same) = server
        .call("GET", &format!("/reeve/v1/usage?by=total&folder={folder}"), "")
        .await;
    assert_eq!(same, all);
    for (path, status, field) in [
        ("/reeve/v1/usage?by=week", 400, json!("by")),
        ("/reeve/v1/usage?from=soon", 400, json!("from")),
        ("/reeve/v1/usage?to=2020-01-01", 400, json!("to")),
        ("/reeve/v1/usage?folder=none", 404, Value::Null),
        ("/reeve/v1/clusters/none/usage", 404, Value::Null),
        ("/reeve/v1/clusters/one/usage?folder=x", 400, json!("folder")),
    ] {
        let (found, problem) = server.call("GET", path, "").await;
        assert_eq!((found, &problem["field"]), (status, &field), "{path}: {problem}");
    }
}

#[tokio::test]
async fn a_budget_is_set_shown_and_dropped() {
    let server = server().await;
    server.ran("one", 2).await;
    let path = "/reeve/v1/clusters/one/budget";
    assert_eq!(server.call("GET", path, "").await.0, 404);
    let wanted = json!({"amount": 8.0, "warnPercent": [80, 50], "freezePercent": 100});
    let (status, set) = server.call("PUT", path, wanted.to_string()).await;
    assert_eq!(status, StatusCode::OK.as_u16(), "{set}");
    let standing = &set["standing"];
    assert_eq!(
        (
            &standing["month"],
            &standing["spent"],
            &standing["spentPercent"],
            &standing["level"]
        ),
        (&json!("2026-03"), &json!(5.0), &json!(62), &json!("warned-50"))
    );
    assert_eq!(
        (&set["warnPercent"], &set["drainPercent"]),
        (&json!([50, 80]), &Value::Null)
    );
    assert_eq!(server.call("GET", path, "").await.1, set);
    assert_eq!(
        server.call("GET", "/reeve/v1/budgets", "").await.1,
        json!({ "items": [set] })
    );
    for (body, field) in [
        (json!({"amount": 0}), "amount"),
        (json!({"amount": -1}), "amount"),
        (json!({"amount": 1, "warnPercent": [0]}), "warnPercent"),
        (
            json!({"amount": 1, "freezePercent": 100, "drainPercent": 50}),
            "drainPercent",
        ),
        (json!({"amount": 1, "warn": [5]}), "warn"),
    ] {
        let (status, problem) = server.call("PUT", path, body.to_string()).await;
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{body}: {problem}");
    }
    assert_eq!(server.call("DELETE", path, "").await.0, 204);
    assert_eq!(server.call("DELETE", path, "").await.0, 404);
}
