//! Showing nodes.

use std::collections::BTreeMap;

use reeve_model::{
    Error, Result, Timestamp, cluster::Cluster, id::NodeId, node::Node, permission::Resource, pool::Pool,
};
use reeve_store::{self as store, node::Full};

use crate::{
    cluster::{self},
    core::{Core, stored},
    ctx::Ctx,
    operation,
};

/// Nodes of an operation that still exist, with the operation, on one consistent view.
///
/// # Errors
/// `NotFound` when the operation is not of this cluster.
pub async fn of_operation(
    ctx: &Ctx,
    which: &cluster::Selector,
    operation: &operation::Selector,
) -> Result<Option<(cluster::Status, reeve_model::operation::Operation)>> {
    let mut status = cluster::status(ctx, which, false).await?;
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let Some((found, cluster)) = operation::find_in(ctx, &mut db, operation).await? else {
        return Ok(None);
    };
    if cluster.id != status.cluster.id {
        return Ok(None);
    }
    status.nodes = store::node::of_operation(&mut db, found.id)
        .await
        .map_err(stored("list nodes"))?;
    Ok(Some((status, found)))
}

/// A node with its agent's report.
#[derive(Debug, Clone)]
pub struct Detailed {
    /// The node.
    pub full: Full,
    /// Its pool.
    pub pool: Pool,
    /// What its agent told.
    pub report: Option<store::node::Report>,
}

/// One node by name or id.
///
/// # Errors
/// `NotFound`.
pub async fn get(ctx: &Ctx, which: &cluster::Selector, name: &str) -> Result<(Cluster, Detailed)> {
    let (mut db, cluster) = cluster::view(ctx, which, Resource::Node).await?;
    let mut found = store::node::find_by_name(&mut db, cluster.id, name)
        .await
        .map_err(stored("load node"))?;
    if found.is_none()
        && let Ok(id) = name.parse::<NodeId>()
    {
        found = store::node::find(&mut db, id).await.map_err(stored("load node"))?;
    }
    let full = found
        .filter(|full| full.node.cluster == cluster.id)
        .ok_or_else(|| Error::not_found("node", name))?;
    let pool = store::pool::find(&mut db, full.node.pool)
        .await
        .map_err(stored("load pool"))?
        .ok_or_else(|| Error::internal(format!("node {} has no pool", full.node.id)))?;
    let report = store::node::find_report(&mut db, full.node.id)
        .await
        .map_err(stored("load report"))?;
    Ok((cluster, Detailed { full, pool, report }))
}

/// A page of a cluster's nodes after the cursor `after`, in order of creation.
///
/// # Errors
/// `NotFound`.
pub async fn page(
    ctx: &Ctx,
    which: &cluster::Selector,
    after: i64,
    limit: u32,
) -> Result<(Cluster, Vec<Pool>, Vec<Full>)> {
    let (mut db, cluster) = cluster::view(ctx, which, Resource::Node).await?;
    let pools = store::pool::list(&mut db, cluster.id)
        .await
        .map_err(stored("list pools"))?;
    let nodes = store::node::page(&mut db, cluster.id, after, limit)
        .await
        .map_err(stored("list nodes"))?;
    Ok((cluster, pools, nodes))
}

/// All nodes of a cluster with their agents' facts, on one consistent view.
///
/// # Errors
/// `NotFound`.
pub async fn list(ctx: &Ctx, which: &cluster::Selector) -> Result<(Cluster, Vec<Detailed>)> {
    let (mut db, cluster) = cluster::view(ctx, which, Resource::Node).await?;
    let pools: BTreeMap<_, _> = store::pool::list(&mut db, cluster.id)
        .await
        .map_err(stored("list pools"))?
        .into_iter()
        .map(|pool| (pool.id, pool))
        .collect();
    let mut facts: BTreeMap<NodeId, String> = store::node::reports(&mut db, cluster.id)
        .await
        .map_err(stored("list reports"))?
        .into_iter()
        .collect();
    let nodes = store::node::list(&mut db, cluster.id)
        .await
        .map_err(stored("list nodes"))?;
    let detailed = nodes
        .into_iter()
        .filter_map(|full| {
            let pool = pools.get(&full.node.pool)?.clone();
            let report = facts.remove(&full.node.id).map(|facts| store::node::Report {
                facts,
                ..store::node::Report::default()
            });
            Some(Detailed { full, pool, report })
        })
        .collect();
    Ok((cluster, detailed))
}

/// When a node's agent was last heard of, beats not yet written included.
#[must_use]
pub fn last_heard(core: &Core, node: &Node) -> Option<Timestamp> {
    let beat = crate::core::lock(&core.beats).get(&node.id).map(|(at, _)| *at);
    beat.max(node.agent.last_seen)
}
