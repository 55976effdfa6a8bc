//! Operations and the audit trail.

use axum::{Json, response::Response};
use reeve_control::{
    cluster::{self, Selector},
    journal, operation,
};
use reeve_wire::native as wire;
use utoipa::IntoParams;

use super::{
    auth::Caller,
    error::answer,
    input::{self, Paging, Query, Segments},
    render,
};

/// Which operations to list.
#[derive(Debug, Default, serde::Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Listing {
    /// Only of the cluster of this name.
    pub cluster: Option<String>,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Most items, 1 to 1000; 100 when absent.
    pub limit: Option<u32>,
}

/// Operations of clusters the caller may see, newest first.
#[utoipa::path(get, path = "/reeve/v1/operations", tag = "operations", params(Listing),
    responses((status = 200, body = wire::Page<wire::Operation>)))]
pub async fn operations(Caller(ctx): Caller, Query(listing): Query<Listing>) -> Response {
    answer(&ctx, async {
        let limit = input::limit(listing.limit)?;
        let before = input::cursor(listing.cursor.as_deref(), i64::MAX)?;
        let cluster = match listing.cluster {
            Some(name) => Some(cluster::get(&ctx, &Selector::Name(name)).await?.id),
            None => None,
        };
        let rows = operation::list_progress(&ctx, cluster, before, limit + 1).await?;
        Ok(Json(render::page(
            rows,
            limit,
            |(_, sequence)| *sequence,
            |(shown, _)| render::operation(&shown),
        )))
    })
    .await
}

/// One operation with its progress.
#[utoipa::path(get, path = "/reeve/v1/operations/{operation}", tag = "operations",
    responses((status = 200, body = wire::Operation)))]
pub async fn operation(Caller(ctx): Caller, Segments(id): Segments<String>) -> Response {
    answer(&ctx, async {
        let shown = operation::get(&ctx, input::id("operation", &id)?).await?;
        Ok(Json(render::operation(&shown)))
    })
    .await
}

/// The audit trail, newest first.
#[utoipa::path(get, path = "/reeve/v1/audit", tag = "server", params(Paging),
    responses((status = 200, body = wire::Page<wire::AuditEntry>)))]
pub async fn audit(Caller(ctx): Caller, Query(paging): Query<Paging>) -> Response {
    answer(&ctx, async {
        let limit = input::limit(paging.limit)?;
        let before = input::cursor(paging.cursor.as_deref(), i64::MAX)?;
        let rows = journal::audit_page(&ctx, before, limit + 1).await?;
        Ok(Json(render::page(rows, limit, |entry| entry.sequence, render::audit)))
    })
    .await
}
