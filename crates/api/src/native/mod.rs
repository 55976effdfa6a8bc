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
    routing::{delete, get, post},
};
use reeve_model::{Error, Kind};

pub use cluster::{TemplateReader, Templates};

use crate::App;

/// All routes of the native API. Importing clusters needs [`Templates`] as an extension of the whole router.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/healthz", get(server::alive))
        .route("/readyz", get(server::ready))
        .route("/metrics", get(server::metrics))
        .route("/.well-known/jwks.json", get(server::jwks))
        .route("/.well-known/openid-configuration", get(server::discovery))
        .route("/reeve/v1/openapi.json", get(document::show))
        .route("/reeve/v1/status", get(server::status))
        .route("/reeve/v1/token", post(auth::token))
        .route("/reeve/v1/clusters", get(cluster::list).post(cluster::create))
        .route("/reeve/v1/clusters/import", post(cluster::import))
        .route(
            "/reeve/v1/clusters/{cluster}",
            get(cluster::get).delete(cluster::delete),
        )
        .route("/reeve/v1/clusters/{cluster}/start", post(cluster::start))
        .route("/reeve/v1/clusters/{cluster}/stop", post(cluster::stop))
        .route("/reeve/v1/clusters/{cluster}/pools", get(cluster::pools))
        .route("/reeve/v1/clusters/{cluster}/nodes", get(node::list).post(node::create))
        .route(
            "/reeve/v1/clusters/{cluster}/nodes/{node}",
            get(node::get).post(node::manage),
        )
        .route("/reeve/v1/clusters/{cluster}/usage", get(usage::of_cluster))
        .route(
            "/reeve/v1/clusters/{cluster}/budget",
            get(usage::budget).put(usage::set_budget).delete(usage::drop_budget),
        )
        .route("/reeve/v1/usage", get(usage::of_all))
        .route("/reeve/v1/budgets", get(usage::budgets))
        .route("/reeve/v1/operations", get(journal::operations))
        .route("/reeve/v1/operations/{operation}", get(journal::operation))
        .route("/reeve/v1/folders", get(folder::list).post(folder::create))
        .route("/reeve/v1/credentials", get(credential::list).post(credential::create))
        .route("/reeve/v1/credentials/{credential}", delete(credential::revoke))
        .route("/reeve/v1/audit", get(journal::audit))
        .route("/reeve/v1/events", get(event::watch))
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
