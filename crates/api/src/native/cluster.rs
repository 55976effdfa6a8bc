//! Clusters and their pools.

use axum::{Extension, Json, http::StatusCode, response::Response};
use reeve_control::{
    Core, Ctx,
    cluster::{self, Deletion, Selector, Spec},
};
use reeve_model::{Error, Kind, Result, cluster::Goal};
use reeve_wire::native as wire;
use serde_json::{Map, Value};

use super::{
    auth::Caller,
    error::answer,
    input::{Body, Paging, Query, Segments},
    render,
};

/// Reads a template: the server, the cluster's name, the template's text, which of its clusters, and parameters in;
/// the cluster's declaration and warnings out.
pub type TemplateReader = fn(&Core, &str, &str, Option<&str>, &Map<String, Value>) -> Result<(Spec, Vec<String>)>;

/// How templates are read; a dialect brings it, the whole router layers it in.
#[derive(Clone, Copy)]
pub struct Templates(pub TemplateReader);

async fn shown(ctx: &Ctx, cluster: &reeve_model::cluster::Cluster) -> Result<wire::Cluster> {
    let census = cluster::census(ctx, cluster.id).await?;
    Ok(render::cluster(cluster, &census))
}

/// Clusters the caller may see, oldest first.
#[utoipa::path(get, path = "/reeve/v1/clusters", tag = "clusters", params(Paging),
    responses((status = 200, body = wire::Page<wire::Cluster>)))]
pub async fn list(Caller(ctx): Caller, Query(paging): Query<Paging>) -> Response {
    answer(&ctx, async {
        let limit = super::input::limit(paging.limit)?;
        let skip = usize::try_from(super::input::cursor(paging.cursor.as_deref(), 0)?).unwrap_or(0);
        let rows: Vec<_> = cluster::list(&ctx)
            .await?
            .into_iter()
            .enumerate()
            .skip(skip)
            .take(limit as usize + 1)
            .collect();
        let page = render::page(
            rows,
            limit,
            |(index, _)| i64::try_from(index + 1).unwrap_or(i64::MAX),
            |(_, one)| one,
        );
        let mut items = Vec::with_capacity(page.items.len());
        for cluster in &page.items {
            items.push(shown(&ctx, cluster).await?);
        }
        Ok(Json(wire::Page { items, next: page.next }))
    })
    .await
}

/// One cluster.
#[utoipa::path(get, path = "/reeve/v1/clusters/{cluster}", tag = "clusters",
    responses((status = 200, body = wire::Cluster)))]
pub async fn get(Caller(ctx): Caller, Segments(name): Segments<String>) -> Response {
    answer(&ctx, async {
        let cluster = cluster::get(&ctx, &Selector::Name(name)).await?;
        Ok(Json(shown(&ctx, &cluster).await?))
    })
    .await
}

/// Makes the record of a cluster that an agent will report.
#[utoipa::path(post, path = "/reeve/v1/clusters", tag = "clusters", request_body = wire::ClusterCreate,
    responses((status = 201, body = wire::Cluster)))]
pub async fn create(Caller(ctx): Caller, Body(body): Body<wire::ClusterCreate>) -> Response {
    answer(&ctx, async {
        let cluster = cluster::create(&ctx, &body.name, body.domain, body.version).await?;
        Ok((StatusCode::CREATED, Json(shown(&ctx, &cluster).await?)))
    })
    .await
}

/// Defines an elastic cluster by a template.
#[utoipa::path(post, path = "/reeve/v1/clusters/import", tag = "clusters", request_body = wire::ClusterImport,
    responses((status = 200, body = wire::ClusterImported)))]
pub async fn import(
    Caller(ctx): Caller,
    templates: Option<Extension<Templates>>,
    Body(body): Body<wire::ClusterImport>,
) -> Response {
    answer(&ctx, async {
        let Some(Extension(Templates(read))) = templates else {
            return Err(Error::new(Kind::Unsupported, "this server reads no templates"));
        };
        let parameters = body.parameters.unwrap_or_default();
        let (spec, warnings) = read(
            &ctx.core,
            &body.name,
            &body.template,
            body.section.as_deref(),
            &parameters,
        )?;
        let mut cluster = cluster::import(&ctx, spec, body.force).await?;
        if body.start {
            let which = Selector::Id(cluster.id);
            cluster::start(&ctx, &which).await?;
            cluster = cluster::get(&ctx, &which).await?;
        }
        Ok(Json(wire::ClusterImported {
            cluster: shown(&ctx, &cluster).await?,
            warnings,
        }))
    })
    .await
}

/// Ends a cluster: every machine first, then the record.
#[utoipa::path(delete, path = "/reeve/v1/clusters/{cluster}", tag = "clusters",
    responses((status = 200, body = wire::ClusterDeleted), (status = 202, body = wire::ClusterDeleted)))]
pub async fn delete(Caller(ctx): Caller, Segments(name): Segments<String>) -> Response {
    answer(&ctx, async {
        Ok(match cluster::delete(&ctx, &Selector::Name(name)).await? {
            Deletion::Gone => (StatusCode::OK, Json(wire::ClusterDeleted { gone: true })),
            Deletion::Accepted => (StatusCode::ACCEPTED, Json(wire::ClusterDeleted { gone: false })),
        })
    })
    .await
}

/// Starts an elastic cluster.
#[utoipa::path(post, path = "/reeve/v1/clusters/{cluster}/start", tag = "clusters",
    responses((status = 202, body = wire::Accepted)))]
pub async fn start(Caller(ctx): Caller, Segments(name): Segments<String>) -> Response {
    answer(&ctx, async {
        let operation = cluster::start(&ctx, &Selector::Name(name)).await?.to_string();
        Ok((StatusCode::ACCEPTED, Json(wire::Accepted { operation })))
    })
    .await
}

/// Ends every node of an elastic cluster; the record stays.
#[utoipa::path(post, path = "/reeve/v1/clusters/{cluster}/stop", tag = "clusters",
    responses((status = 202, body = wire::Accepted)))]
pub async fn stop(Caller(ctx): Caller, Segments(name): Segments<String>) -> Response {
    answer(&ctx, async {
        let operation = cluster::stop(&ctx, &Selector::Name(name)).await?.to_string();
        Ok((StatusCode::ACCEPTED, Json(wire::Accepted { operation })))
    })
    .await
}

/// Pools of a cluster in declared order, with what is in use and what is left.
#[utoipa::path(get, path = "/reeve/v1/clusters/{cluster}/pools", tag = "clusters",
    responses((status = 200, body = wire::Page<wire::Pool>)))]
pub async fn pools(Caller(ctx): Caller, Segments(name): Segments<String>) -> Response {
    answer(&ctx, async {
        let status = cluster::status(&ctx, &Selector::Name(name), false).await?;
        let started = status.cluster.goal == Goal::Started;
        let items = status.pools.iter().map(|pool| render::pool(pool, started)).collect();
        Ok(Json(wire::Page { items, next: None }))
    })
    .await
}
