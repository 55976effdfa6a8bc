//! Folders that clusters lie in.

use axum::{Json, http::StatusCode, response::Response};
use reeve_control::cluster;
use reeve_wire::native as wire;

use super::{auth::Caller, error::answer, input::Body, render};

/// Folders the caller may see, oldest first.
#[utoipa::path(get, path = "/reeve/v1/folders", tag = "folders",
    responses((status = 200, body = wire::Page<wire::Folder>)))]
pub async fn list(Caller(ctx): Caller) -> Response {
    answer(&ctx, async {
        let items = cluster::folders(&ctx).await?.into_iter().map(|folder| wire::Folder {
            id: folder.id.to_string(),
            name: folder.name,
            created_at: render::time(folder.created_at),
        });
        Ok(Json(wire::Page {
            items: items.collect(),
            next: None,
        }))
    })
    .await
}

/// Makes a folder.
#[utoipa::path(post, path = "/reeve/v1/folders", tag = "folders", request_body = wire::FolderCreate,
    responses((status = 201, body = wire::Folder)))]
pub async fn create(Caller(ctx): Caller, Body(body): Body<wire::FolderCreate>) -> Response {
    answer(&ctx, async {
        let folder = cluster::create_folder(&ctx, &body.name).await?;
        let created_at = render::time(folder.created_at);
        Ok((
            StatusCode::CREATED,
            Json(wire::Folder {
                id: folder.id.to_string(),
                name: folder.name,
                created_at,
            }),
        ))
    })
    .await
}
