//! Our own API under `/reeve/v1/`, and what machines ask a server: health, metrics, signing keys.
//!
//! Start with [`routes`]. Handlers read ([`input`]), make one call into `control`, and render ([`render`]); refusals are
//! all alike ([`error`]). The document of the API is made from the handlers themselves ([`document`]).

pub mod auth;
pub mod cluster;
pub mod credential;
pub mod document;
pub mod error;
pub mod event;
pub mod folder;
pub mod input;
pub mod journal;
pub mod node;
pub mod render;
pub mod server;
pub mod usage;

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, Uri},
};
use reeve_model::{Error, Kind};

pub use cluster::{TemplateReader, Templates};

use crate::{App, table::Table};

/// All routes of the native API, and of what machines ask a server.
pub fn table() -> Table {
    Table::new()
        .get("/healthz", server::alive)
        .get("/readyz", server::ready)
        .get("/metrics", server::metrics)
        .get("/.well-known/jwks.json", server::jwks)
        .get("/.well-known/openid-configuration", server::discovery)
        .get("/reeve/v1/openapi.json", document::show)
        .get("/reeve/v1/status", server::status)
        .post("/reeve/v1/token", auth::token)
        .get("/reeve/v1/clusters", cluster::list)
        .post("/reeve/v1/clusters", cluster::create)
        .post("/reeve/v1/clusters/import", cluster::import)
        .get("/reeve/v1/clusters/{cluster}", cluster::get)
        .delete("/reeve/v1/clusters/{cluster}", cluster::delete)
        .post("/reeve/v1/clusters/{cluster}/start", cluster::start)
        .post("/reeve/v1/clusters/{cluster}/stop", cluster::stop)
        .get("/reeve/v1/clusters/{cluster}/pools", cluster::pools)
        .get("/reeve/v1/clusters/{cluster}/nodes", node::list)
        .post("/reeve/v1/clusters/{cluster}/nodes", node::create)
        .get("/reeve/v1/clusters/{cluster}/nodes/{node}", node::get)
        .post("/reeve/v1/clusters/{cluster}/nodes/{node}", node::manage)
        .get("/reeve/v1/clusters/{cluster}/usage", usage::of_cluster)
        .get("/reeve/v1/clusters/{cluster}/budget", usage::budget)
        .put("/reeve/v1/clusters/{cluster}/budget", usage::set_budget)
        .delete("/reeve/v1/clusters/{cluster}/budget", usage::drop_budget)
        .get("/reeve/v1/usage", usage::of_all)
        .get("/reeve/v1/budgets", usage::budgets)
        .get("/reeve/v1/operations", journal::operations)
        .get("/reeve/v1/operations/{operation}", journal::operation)
        .get("/reeve/v1/folders", folder::list)
        .post("/reeve/v1/folders", folder::create)
        .get("/reeve/v1/credentials", credential::list)
        .post("/reeve/v1/credentials", credential::create)
        .delete("/reeve/v1/credentials/{credential}", credential::revoke)
        .get("/reeve/v1/audit", journal::audit)
        .get("/reeve/v1/events", event::watch)
}

/// The router of [`table`]. Importing clusters needs [`Templates`] as an extension of the whole router.
pub fn routes() -> Router<App> {
    table()
        .router()
        .route("/reeve/v1/{*rest}", axum::routing::any(unknown))
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(input::BODY_MAX))
        .layer(Extension(server::Started(std::time::Instant::now())))
}

async fn unknown(State(app): State<App>, headers: HeaderMap, uri: Uri) -> error::Refusal {
    error::Refusal::new(&app, &headers, Error::not_found("path", uri.path()))
}

async fn not_allowed(State(app): State<App>, headers: HeaderMap, uri: Uri) -> error::Refusal {
    let error = Error::new(Kind::Unsupported, format!("{} does not take this method", uri.path()));
    error::Refusal::new(&app, &headers, error).with_status(StatusCode::METHOD_NOT_ALLOWED)
}
