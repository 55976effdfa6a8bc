//! The server about itself: health, metrics, signing keys, status.

use std::{fmt::Write as _, time::Instant};

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use reeve_control::{Core, cluster, identity, journal};
use reeve_model::node::Phase;
use reeve_wire::native as wire;

use super::{
    auth::Caller,
    error::{Refusal, answer},
    render,
};
use crate::App;

/// When this server began to answer.
#[derive(Debug, Clone, Copy)]
pub struct Started(pub Instant);

/// Tells that the server listens.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200)))]
pub async fn alive() -> &'static str {
    "ok\n"
}

/// Tells that the database answers.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200)))]
pub async fn ready(State(app): State<App>, headers: HeaderMap) -> Response {
    match journal::ping(&app).await {
        Ok(()) => "ok\n".into_response(),
        Err(error) => Refusal::new(&app, &headers, error).into_response(),
    }
}

/// Figures of the server for Prometheus; of nodes only counts.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn metrics(
    State(app): State<App>,
    Extension(Started(started)): Extension<Started>,
    headers: HeaderMap,
) -> Response {
    match journal::phases(&app).await {
        Ok(phases) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (kind, exposition(&app, started.elapsed().as_secs_f64(), &phases)).into_response()
        }
        Err(error) => Refusal::new(&app, &headers, error).into_response(),
    }
}

fn exposition(core: &Core, uptime_s: f64, phases: &[(Phase, u64)]) -> String {
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, lines: &[(String, String)]| {
        // Writing to a string can not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in lines {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    let version = format!(
        "{{version=\"{}\",database=\"{}\"}}",
        env!("CARGO_PKG_VERSION"),
        core.store.kind()
    );
    family(
        "reeve_build_info",
        "gauge",
        "Version and database of the server.",
        &[(version, "1".into())],
    );
    let uptime = [(String::new(), format!("{uptime_s:.3}"))];
    family(
        "reeve_uptime_seconds",
        "gauge",
        "Time since the server began to answer.",
        &uptime,
    );
    let nodes: Vec<_> = phases
        .iter()
        .map(|(phase, count)| (format!("{{phase=\"{}\"}}", phase.word()), count.to_string()))
        .collect();
    family("reeve_nodes", "gauge", "Nodes by phase.", &nodes);
    let commits = [(String::new(), core.store.commits().to_string())];
    family(
        "reeve_database_commits_total",
        "counter",
        "Batches of changes made durable.",
        &commits,
    );
    let activities = journal::activities(core);
    let runs: Vec<_> = activities
        .iter()
        .map(|(name, one)| (format!("{{activity=\"{name}\"}}"), one.runs.to_string()))
        .collect();
    family(
        "reeve_activity_runs_total",
        "counter",
        "Activations of a background activity.",
        &runs,
    );
    let failing: Vec<_> = activities
        .iter()
        .map(|(name, one)| {
            (
                format!("{{activity=\"{name}\"}}"),
                u8::from(one.error.is_some()).to_string(),
            )
        })
        .collect();
    family(
        "reeve_activity_failing",
        "gauge",
        "Whether the last activation ended in an error.",
        &failing,
    );
    text
}

/// Public halves of the keys that sign access tokens.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "health", responses((status = 200, body = Object)))]
pub async fn jwks(State(app): State<App>) -> Json<serde_json::Value> {
    Json(identity::jwks(&app))
}

/// Where others find the keys of this issuer, as OpenID Connect describes it.
#[utoipa::path(get, path = "/.well-known/openid-configuration", tag = "health",
    responses((status = 200, body = Object)))]
pub async fn discovery(State(app): State<App>) -> Json<serde_json::Value> {
    let issuer = app.settings.server_url.trim_end_matches('/');
    Json(serde_json::json!({
        "issuer": app.settings.server_url,
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "token_endpoint": format!("{issuer}/reeve/v1/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "response_types_supported": ["none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "claims_supported": ["iss", "aud", "sub", "name", "tenant_id", "iat", "exp", "jti"],
    }))
}

/// The server's own state, with counts over what the caller may see.
#[utoipa::path(get, path = "/reeve/v1/status", tag = "server", responses((status = 200, body = wire::Status)))]
pub async fn status(Caller(ctx): Caller, Extension(Started(started)): Extension<Started>) -> Response {
    answer(&ctx, async {
        let clusters = cluster::list(&ctx).await?;
        let mut counts = wire::NodeCounts::default();
        for cluster in &clusters {
            let of_one = render::cluster(cluster, &cluster::census(&ctx, cluster.id).await?).nodes;
            counts.total += of_one.total;
            counts.running += of_one.running;
            counts.failed += of_one.failed;
        }
        Ok(Json(wire::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: started.elapsed().as_secs(),
            database: ctx.core.store.kind().to_owned(),
            clusters: clusters.len() as u64,
            nodes: counts.total,
            nodes_running: counts.running,
            nodes_failed: counts.failed,
            operations_running: None,
            activities: render::activities(&ctx.core),
        }))
    })
    .await
}
