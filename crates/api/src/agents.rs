//! The protocol that agents speak, version 1: enrolling, beating, and fetching the program in the first place.
//!
//! Turns the wire's words into those of [`reeve_control::agent`] and back. It decides nothing, and does not know which
//! dialect a cluster came from.

pub(crate) mod refusal;
mod translate;

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use reeve_control::{
    agent::{self, Enrolment},
    secret::Secret,
};
use reeve_wire::agent::{Beat, Enroll, Enrolled, PROTOCOL};
use serde::{Deserialize, de::DeserializeOwned};
use tower_http::decompression::RequestDecompressionLayer;

use crate::{
    App,
    request::{self, Credential},
    table::Table,
};
use refusal::Refusal;

/// Most bytes of a request, counted after decompression.
const BODY_MAX: usize = 1024 * 1024;
/// Longest time a beat is held while nothing changes.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The routes under `/reeve/agent/v1`.
pub fn table() -> Table {
    Table::new()
        .post("/reeve/agent/v1/enroll", enroll)
        .post("/reeve/agent/v1/beat", beat)
        .get("/reeve/agent/v1/binary/{architecture}", crate::program::fetch)
}

/// The router of [`table`].
pub fn routes() -> Router<App> {
    table()
        .router()
        .route("/reeve/agent/v1/{*rest}", axum::routing::any(refusal::unknown_path))
        .method_not_allowed_fallback(refusal::wrong_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(RequestDecompressionLayer::new())
}

async fn enroll(State(app): State<App>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Response {
    admit(&app, &headers, body)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn admit(app: &App, headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Response, Refusal> {
    let token = bearer(headers)?;
    let mut ask: Enroll = read(body)?;
    translate::boot_by_our_clock(&mut ask.facts, ask.clock_us, app.now());
    let enrolment = Enrolment {
        token: token.into_exposed(),
        addresses: translate::addresses(&ask.facts),
        facts: translate::text(&ask.facts)?,
        hostname: ask.facts.hostname,
        failed_precheck: translate::failed_precheck(&ask.prechecks),
        instance: ask.instance,
        machine_id: ask.machine_id,
    };
    let admitted = agent::enroll(app, &enrolment).await?;
    tracing::info!(
        node.name = admitted.node.name,
        cluster.name = admitted.cluster,
        "an agent enrolled"
    );
    note_skew(app, ask.clock_us, &admitted.node.name);
    let goals = translate::goals(app, admitted.goals);
    Ok(Json(Enrolled {
        node_id: admitted.node.id.to_string(),
        node_name: admitted.node.name,
        cluster: admitted.cluster,
        credential: admitted.credential,
        clock_us: app.now().0,
        goals,
    })
    .into_response())
}

async fn beat(State(app): State<App>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Response {
    hear(&app, &headers, body)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn hear(app: &App, headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Response, Refusal> {
    let credential = bearer(headers)?;
    let said: Beat = read(body)?;
    let wait = Duration::from_millis(said.wait_ms.into()).min(WAIT_MAX);
    let heard = translate::beat(said, app.now())?;
    let goals = agent::beat(app, credential.expose(), &heard, wait).await?;
    Ok(Json(translate::goals(app, goals)).into_response())
}

/// The token or credential of a call.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Secret, Refusal> {
    match request::authorization(headers) {
        Some(Credential::Bearer(secret)) => Ok(secret),
        Some(Credential::Basic(..) | Credential::Key(_)) | None => Err(Refusal::no_token()),
    }
}

/// The one field that every version of the protocol has.
#[derive(Deserialize)]
struct Spoken {
    protocol: u32,
}

/// Reads a body, but first of all its version: what else a newer agent says may have another shape, and it is to
/// hear that it is too new rather than that it is wrong.
fn read<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Refusal> {
    let body = body.map_err(|rejection| Refusal::body(&rejection))?;
    let wrong = |error| Refusal::invalid(format!("the body is not what this call takes: {error}"));
    let spoken: Spoken = serde_json::from_slice(&body).map_err(wrong)?;
    speaks(spoken.protocol)?;
    serde_json::from_slice(&body).map_err(wrong)
}

/// Refuses agents that are newer than this server.
fn speaks(protocol: u32) -> Result<(), Refusal> {
    if protocol <= PROTOCOL {
        return Ok(());
    }
    Err(Refusal::protocol(format!(
        "this server speaks version {PROTOCOL} of the agent protocol and the agent version {protocol}; \
         upgrade the server first"
    )))
}

fn note_skew(app: &App, agent_us: i64, name: &str) {
    let skew = agent::skew_us(app.now(), agent_us);
    if Duration::from_micros(skew.unsigned_abs()) > agent::SKEW_MAX {
        tracing::warn!(
            node.name = name,
            skew_us = skew,
            "the clock of this machine differs from the server's"
        );
    }
}
