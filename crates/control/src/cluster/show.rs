//! Showing single clusters and counts of their nodes.

use reeve_model::{Result, cluster::Cluster, id::ClusterId, node, permission::Resource};
use reeve_store::{self as store};

use super::{Selector, view};
use crate::{core::stored, ctx::Ctx};

/// One cluster.
///
/// # Errors
/// `NotFound`.
pub async fn get(ctx: &Ctx, which: &Selector) -> Result<Cluster> {
    Ok(view(ctx, which, Resource::Cluster).await?.1)
}

/// Counts of nodes by what they are wanted to be and are.
///
/// # Errors
/// `NotFound`.
pub async fn census(ctx: &Ctx, cluster: ClusterId) -> Result<Vec<(node::Goal, node::Phase, i64)>> {
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    store::node::census(&mut db, Some(cluster))
        .await
        .map_err(stored("count nodes"))
}
