//! Clusters in Run:ai's form.
//!
//! Every cluster appears, whatever made it: those an agent reports, and those whose machines Reeve itself runs.

use std::time::Duration;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use reeve_control::{
    cluster::{self, Deletion},
    identity,
};
use reeve_model::{
    Timestamp,
    cluster::{Cluster, Goal},
};
use serde_json::{Value, json};

use super::{
    auth::Caller,
    error::Failure,
    extract::{Asked, Object, Which, required, text},
    query::Params,
};

/// A cluster that has been silent for longer is shown as disconnected.
const SILENCE: Duration = Duration::from_secs(120);
/// First version of the software in a cluster that cleans up after itself, so that deleting it can be graceful.
const GRACEFUL: [u64; 2] = [2, 20];

/// `GET /clusters`.
pub(super) async fn list(Caller(ctx): Caller, Asked(params): Asked) -> Result<Json<Value>, Failure> {
    let full = verbose(&params)?;
    let doomed = params.flag("includeRequestedForDelete")?;
    let now = ctx.now();
    let clusters = cluster::list(&ctx).await?;
    let shown = clusters
        .iter()
        .filter(|cluster| doomed || cluster.delete_requested_at.is_none());
    Ok(Json(shown.map(|cluster| render(cluster, full, now)).collect()))
}

/// `POST /clusters`.
pub(super) async fn create(Caller(ctx): Caller, Object(body): Object) -> Result<(StatusCode, Json<Value>), Failure> {
    let name = required(&body, "name")?;
    let made = cluster::create(&ctx, &name, text(&body, "domain")?, text(&body, "version")?).await?;
    Ok((StatusCode::CREATED, Json(render(&made, true, ctx.now()))))
}

/// `GET /clusters/{clusterUuid}`.
pub(super) async fn get(
    Caller(ctx): Caller,
    Which(which): Which,
    Asked(params): Asked,
) -> Result<Json<Value>, Failure> {
    let full = verbose(&params)?;
    Ok(Json(render(&cluster::get(&ctx, &which).await?, full, ctx.now())))
}

/// `PUT /clusters/{clusterUuid}`.
pub(super) async fn rename(
    Caller(ctx): Caller,
    Which(which): Which,
    Object(body): Object,
) -> Result<StatusCode, Failure> {
    cluster::rename(&ctx, &which, &required(&body, "name")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /clusters/{clusterUuid}`.
///
/// Machines that still end make it 202 whatever was asked for: the record outlives the answer.
pub(super) async fn delete(
    Caller(ctx): Caller,
    Which(which): Which,
    Asked(params): Asked,
) -> Result<Response, Failure> {
    let force = params.flag("force")?;
    let before = cluster::get(&ctx, &which).await?;
    let outcome = cluster::delete(&ctx, &which).await?;
    if outcome == Deletion::Gone && (force || !cleans_up(before.version.as_deref())) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let body = json!({ "code": StatusCode::ACCEPTED.as_u16(), "message": "Request has been accepted." });
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

fn verbose(params: &Params) -> Result<bool, Failure> {
    Ok(params.choice("verbosity", &["full", "metadata"])? != Some("metadata"))
}

/// Compares versions number by number; one that cannot be read does not clean up.
fn cleans_up(version: Option<&str>) -> bool {
    let Some(version) = version else { return false };
    let numbers = version
        .trim_start_matches('v')
        .split(['.', '-', '+'])
        .map_while(|part| part.parse().ok());
    numbers.collect::<Vec<u64>>().as_slice() >= GRACEFUL.as_slice()
}

/// Last sign of life. Reeve speaks for the started clusters whose machines it runs itself.
fn liveness(cluster: &Cluster, now: Timestamp) -> Option<Timestamp> {
    let ours = cluster.aspects.elastic && cluster.goal == Goal::Started;
    if ours { Some(now) } else { cluster.last_seen }
}

fn state(cluster: &Cluster, now: Timestamp) -> &'static str {
    match liveness(cluster, now) {
        None => "WaitingToConnect",
        Some(at) if now.since(at) > SILENCE => "Disconnected",
        Some(_) => "Connected",
    }
}

fn render(cluster: &Cluster, full: bool, now: Timestamp) -> Value {
    let time = |at: Option<Timestamp>| at.map(Timestamp::rfc3339_millis);
    let mut shown = json!({
        "uuid": cluster.id.to_string(),
        "tenantId": identity::TENANT_NUMBER,
        "name": cluster.name,
        "createdAt": cluster.created_at.rfc3339_millis(),
        "domain": cluster.domain,
        "version": cluster.version,
    });
    if full {
        shown["status"] = json!({ "state": state(cluster, now) });
    }
    shown["updatedAt"] = json!(cluster.updated_at.rfc3339_millis());
    if full {
        shown["deletedAt"] = Value::Null;
    }
    shown["lastLiveness"] = json!(time(liveness(cluster, now)));
    if full {
        shown["deleteRequestedAt"] = json!(time(cluster.delete_requested_at));
    }
    shown
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
