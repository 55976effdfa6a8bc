//! Folders, and the clusters in them.

use reeve_model::{
    Error, Kind, Result,
    cluster::Cluster,
    id::FolderId,
    permission::{Action, Resource},
    scope::Scope,
};
use reeve_store::{self as store, cluster::Folder};

use crate::{core::stored, ctx::Ctx, record};

/// Name of the folder that every tenant starts with.
pub const FOLDER_DEFAULT: &str = "defaultproject";

pub(super) async fn folder_named(ctx: &Ctx, name: &str) -> Result<Folder> {
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let folders = store::cluster::folders(&mut db, ctx.tenant())
        .await
        .map_err(stored("list folders"))?;
    drop(db);
    let Some(folder) = folders.into_iter().find(|folder| folder.name == name) else {
        return Err(Error::not_found("project", name));
    };
    let scope = Scope::folder(ctx.tenant(), folder.id);
    if reeve_model::permission::allows_somewhere(&ctx.actor, Resource::Cluster, Action::Read, &scope) {
        return Ok(folder);
    }
    Err(ctx.refused(Action::Read, "project", name, false).await)
}

/// Folders the caller may see, oldest first.
///
/// # Errors
/// `Unavailable` when the database does not answer.
pub async fn folders(ctx: &Ctx) -> Result<Vec<Folder>> {
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let folders = store::cluster::folders(&mut db, ctx.tenant())
        .await
        .map_err(stored("list folders"))?;
    Ok(folders
        .into_iter()
        .filter(|folder| {
            let scope = Scope::folder(ctx.tenant(), folder.id);
            reeve_model::permission::allows_somewhere(&ctx.actor, Resource::Folder, Action::Read, &scope)
        })
        .collect())
}

/// Makes a folder.
///
/// # Errors
/// `Forbidden`, `AlreadyExists`, `Invalid`.
pub async fn create_folder(ctx: &Ctx, name: &str) -> Result<Folder> {
    ctx.check_root(Resource::Folder, Action::Create, "folders").await?;
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if name.is_empty() || name.len() > 63 || !name.chars().all(legal) {
        return Err(Error::invalid(
            "name",
            format!("\"{name}\" is no folder name: 1 to 63 of A-Z a-z 0-9 - _ ."),
        ));
    }
    let folder = Folder {
        id: FolderId(ctx.core.id()),
        name: name.to_owned(),
        created_at: ctx.now(),
    };
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    store::cluster::insert_folder(&mut tx, ctx.tenant(), &folder)
        .await
        .map_err(stored("insert folder"))?;
    record::done(ctx, &mut tx, "create-folder", name, String::new()).await?;
    tx.commit().await.map_err(stored("commit"))?;
    Ok(folder)
}

/// Clusters the caller may see, oldest first.
///
/// # Errors
/// `Unavailable` when the database does not answer, `Forbidden` as [`Ctx::check_list`] says.
pub async fn list(ctx: &Ctx) -> Result<Vec<Cluster>> {
    ctx.check_list(Resource::Cluster, "clusters").await?;
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let clusters = store::cluster::list(&mut db, ctx.tenant())
        .await
        .map_err(stored("list clusters"))?;
    Ok(clusters
        .into_iter()
        .filter(|cluster| ctx.sees(Resource::Cluster, &cluster.scope()))
        .collect())
}

/// Clusters of one folder, by name.
///
/// # Errors
/// `NotFound` for an unknown folder.
pub async fn list_folder(ctx: &Ctx, folder: &str) -> Result<Vec<Cluster>> {
    let folder = folder_named(ctx, folder).await?;
    let mut clusters = list(ctx).await?;
    clusters.retain(|cluster| cluster.folder == folder.id);
    clusters.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(clusters)
}

/// The id of a folder that a new cluster is to lie in, with the permission checked.
pub(crate) async fn home(ctx: &Ctx, folder: Option<&str>) -> Result<FolderId> {
    let folder = folder_named(ctx, folder.unwrap_or(FOLDER_DEFAULT)).await?;
    let scope = Scope::folder(ctx.tenant(), folder.id);
    if !reeve_model::permission::allows(&ctx.actor, Resource::Cluster, Action::Create, &scope) {
        record::denied(ctx, "create-cluster", &folder.name).await;
        return Err(Error::new(
            Kind::Forbidden,
            format!("{} may not create clusters in \"{}\"", ctx.actor.name, folder.name),
        ));
    }
    Ok(folder.id)
}

/// May the caller make clusters in this folder? For those who must know before they look at what was sent.
///
/// # Errors
/// `NotFound` for an unknown folder, `Forbidden`.
pub async fn may_create(ctx: &Ctx, folder: &str) -> Result<()> {
    home(ctx, Some(folder)).await.map(drop)
}
