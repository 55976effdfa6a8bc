//! Operations: looking them up and reading their progress from the rows they name.

use std::collections::BTreeMap;

use reeve_model::{
    Error, Result,
    cluster::Cluster,
    id::{ClusterId, OperationId},
    operation::{Operation, Progress},
    permission::Resource,
};
use reeve_store::{self as store, engine::Conn};

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

/// Finds an operation the caller may see, with its cluster.
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
    Ok(cluster
        .filter(|cluster| ctx.sees(Resource::Cluster, &cluster.scope()))
        .map(|cluster| (operation, cluster)))
}

/// One operation, `None` when there is none the caller may see.
///
/// # Errors
/// `Unavailable` when the database does not answer.
pub async fn find(ctx: &Ctx, which: &Selector) -> Result<Option<Shown>> {
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let Some((operation, cluster)) = find_in(ctx, &mut db, which).await? else {
        return Ok(None);
    };
    let progress = store::operation::progress(&mut db, operation.id)
        .await
        .map_err(stored("read progress"))?;
    Ok(Some(Shown {
        operation,
        cluster: cluster.name,
        progress,
    }))
}

/// One operation.
///
/// # Errors
/// `NotFound`.
pub async fn get(ctx: &Ctx, id: OperationId) -> Result<Shown> {
    find(ctx, &Selector::Id(id))
        .await?
        .ok_or_else(|| Error::not_found("operation", id))
}

/// Operations before the cursor `before`, newest first, of all clusters the caller may see.
///
/// # Errors
/// `NotFound` for an unknown cluster.
pub async fn list(ctx: &Ctx, cluster: Option<ClusterId>, before: i64, limit: u32) -> Result<Vec<(Shown, i64)>> {
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let clusters: BTreeMap<ClusterId, Cluster> = store::cluster::list(&mut db, ctx.tenant())
        .await
        .map_err(stored("list clusters"))?
        .into_iter()
        .filter(|cluster| ctx.sees(Resource::Cluster, &cluster.scope()))
        .map(|cluster| (cluster.id, cluster))
        .collect();
    let mut shown = Vec::new();
    let mut before = before;
    // Rows of clusters the caller may not see are passed over, so a page may take several queries.
    while shown.len() < limit as usize {
        let rows = store::operation::list(&mut db, ctx.tenant(), cluster, before, limit)
            .await
            .map_err(stored("list operations"))?;
        let Some((_, last)) = rows.last() else { break };
        before = *last;
        let full = rows.len() == limit as usize;
        for (operation, sequence) in rows {
            if let Some(cluster) = clusters.get(&operation.cluster)
                && shown.len() < limit as usize
            {
                let progress = store::operation::progress(&mut db, operation.id)
                    .await
                    .map_err(stored("read progress"))?;
                shown.push((
                    Shown {
                        operation,
                        cluster: cluster.name.clone(),
                        progress,
                    },
                    sequence,
                ));
            }
        }
        if !full {
            break;
        }
    }
    Ok(shown)
}
