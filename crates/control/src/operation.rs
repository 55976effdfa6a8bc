//! Operations: looking them up and reading their progress from the rows they name.

use std::collections::BTreeMap;

use reeve_model::{
    Error, Kind, Result,
    cluster::Cluster,
    id::{ClusterId, OperationId},
    operation::{Operation, Progress},
    permission::{Action, Resource},
};
use reeve_store::{
    self as store,
    engine::{Conn, Reader},
};

use crate::{core::stored, ctx::Ctx};

/// Which operation.
#[derive(Debug, Clone)]
pub enum Selector {
    /// By id.
    Id(OperationId),
    /// By the request key it used up.
    Key(String),
}

/// An operation with what became of it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The operation.
    pub operation: Operation,
    /// Name of its cluster.
    pub cluster: String,
    /// Counts over its rows.
    pub progress: Progress,
}

/// Finds an operation with its cluster, whoever asks.
pub(crate) async fn find_in(ctx: &Ctx, db: &mut Conn, which: &Selector) -> Result<Option<(Operation, Cluster)>> {
    let found = match which {
        Selector::Id(id) => store::operation::find(db, ctx.tenant(), *id).await,
        Selector::Key(key) => store::operation::find_by_key(db, ctx.tenant(), key).await,
    }
    .map_err(stored("load operation"))?;
    let Some(operation) = found else { return Ok(None) };
    let cluster = store::cluster::find(db, ctx.tenant(), operation.cluster)
        .await
        .map_err(stored("load cluster"))?;
    Ok(cluster.map(|cluster| (operation, cluster)))
}

/// A consistent view of the database with an operation whose cluster the caller may see.
async fn view(ctx: &Ctx, which: &Selector) -> Result<(Reader, Operation, Cluster)> {
    let name = match which {
        Selector::Id(id) => id.to_string(),
        Selector::Key(key) => key.clone(),
    };
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    match find_in(ctx, &mut db, which).await? {
        None => Err(Error::not_found("operation", name)),
        Some((operation, cluster)) if ctx.sees(Resource::Cluster, &cluster.scope()) => Ok((db, operation, cluster)),
        Some(_) => {
            // The refusal is written on a connection of its own.
            drop(db);
            Err(ctx.refused(Action::Read, "operation", &name, false).await)
        }
    }
}

/// One operation without its progress, `None` when there is none the caller may see.
///
/// # Errors
/// `Unavailable` when the database does not answer.
pub async fn find(ctx: &Ctx, which: &Selector) -> Result<Option<Operation>> {
    match view(ctx, which).await {
        Ok((_, operation, _)) => Ok(Some(operation)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// One operation with its progress, which takes a look at every row it names.
///
/// # Errors
/// `NotFound`.
pub async fn get(ctx: &Ctx, id: OperationId) -> Result<Shown> {
    let (mut db, operation, cluster) = view(ctx, &Selector::Id(id)).await?;
    let progress = store::operation::progress(&mut db, operation.id)
        .await
        .map_err(stored("read progress"))?;
    Ok(Shown {
        operation,
        cluster: cluster.name,
        progress,
    })
}

/// Operations before the cursor `before` with their cursors, newest first, of all clusters the caller may see.
///
/// # Errors
/// `Unavailable` when the database does not answer.
pub async fn list(ctx: &Ctx, cluster: Option<ClusterId>, before: i64, limit: u32) -> Result<Vec<(Operation, i64)>> {
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let rows = rows(ctx, &mut db, cluster, before, limit).await?;
    Ok(rows
        .into_iter()
        .map(|(operation, _, sequence)| (operation, sequence))
        .collect())
}

/// As [`list`], with the progress of each.
///
/// # Errors
/// `Unavailable` when the database does not answer.
pub async fn list_progress(
    ctx: &Ctx,
    cluster: Option<ClusterId>,
    before: i64,
    limit: u32,
) -> Result<Vec<(Shown, i64)>> {
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let mut shown = Vec::new();
    for (operation, cluster, sequence) in rows(ctx, &mut db, cluster, before, limit).await? {
        let progress = store::operation::progress(&mut db, operation.id)
            .await
            .map_err(stored("read progress"))?;
        shown.push((
            Shown {
                operation,
                cluster,
                progress,
            },
            sequence,
        ));
    }
    Ok(shown)
}

/// Operations with the names of their clusters and their cursors.
async fn rows(
    ctx: &Ctx,
    db: &mut Conn,
    cluster: Option<ClusterId>,
    before: i64,
    limit: u32,
) -> Result<Vec<(Operation, String, i64)>> {
    let clusters: BTreeMap<ClusterId, Cluster> = store::cluster::list(db, ctx.tenant())
        .await
        .map_err(stored("list clusters"))?
        .into_iter()
        .filter(|cluster| ctx.sees(Resource::Cluster, &cluster.scope()))
        .map(|cluster| (cluster.id, cluster))
        .collect();
    let mut kept = Vec::new();
    let mut before = before;
    // Rows of clusters the caller may not see are passed over, so a page may take several queries.
    while kept.len() < limit as usize {
        let page = store::operation::list(db, ctx.tenant(), cluster, before, limit)
            .await
            .map_err(stored("list operations"))?;
        let Some((_, last)) = page.last() else { break };
        before = *last;
        let full = page.len() == limit as usize;
        let seen = page
            .into_iter()
            .filter_map(|(operation, sequence)| {
                let name = clusters.get(&operation.cluster)?.name.clone();
                Some((operation, name, sequence))
            })
            .take(limit as usize - kept.len());
        kept.extend(seen);
        if !full {
            break;
        }
    }
    Ok(kept)
}
