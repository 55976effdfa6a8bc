//! One consistent view of a cluster with every figure that clients ask for.

use std::collections::BTreeMap;

use reeve_model::{
    Result, Timestamp,
    capacity::{self, InUse, Key, Limits, Totals},
    cluster::Cluster,
    id::PoolId,
    permission::Resource,
    pool::{Bucket, Pool},
    size::MachineSize,
};
use reeve_store::{self as store, node::Full};

use super::{Selector, get, view};
use crate::{core::stored, ctx::Ctx, node as nodes};

/// One bucket with every figure that clients ask for.
#[derive(Debug, Clone)]
pub struct BucketStatus {
    /// The bucket.
    pub bucket: Bucket,
    /// Its machine size.
    pub size: MachineSize,
    /// Limits that bear on it.
    pub limits: Limits,
    /// What is in use of them.
    pub in_use: InUse,
    /// More nodes that can be made now.
    pub available: u32,
    /// Placement groups with nodes, with their active nodes.
    pub groups: Vec<(String, Totals)>,
}

/// A pool with its buckets.
#[derive(Debug, Clone)]
pub struct PoolStatus {
    /// The pool.
    pub pool: Pool,
    /// Its buckets in order of preference.
    pub buckets: Vec<BucketStatus>,
}

/// One consistent view of a cluster.
#[derive(Debug, Clone)]
pub struct Status {
    /// The cluster.
    pub cluster: Cluster,
    /// Its pools in declared order.
    pub pools: Vec<PoolStatus>,
    /// Declared attributes by pool and revision, JSON objects.
    pub attributes: BTreeMap<(PoolId, i64), String>,
    /// Its nodes in order of creation, when asked for.
    pub nodes: Vec<Full>,
    /// When the view was taken.
    pub at: Timestamp,
}

/// One consistent view of a cluster, with its nodes if `with_nodes`.
///
/// # Errors
/// `NotFound`, `Unavailable`.
pub async fn status(ctx: &Ctx, which: &Selector, with_nodes: bool) -> Result<Status> {
    let cluster = get(ctx, which).await?;
    let quotas = nodes::quotas(ctx, cluster.id).await?;
    let (mut db, cluster) = view(ctx, &Selector::Id(cluster.id), Resource::Cluster).await?;
    let pools = store::pool::list(&mut db, cluster.id)
        .await
        .map_err(stored("list pools"))?;
    let buckets = store::pool::buckets(&mut db, cluster.id)
        .await
        .map_err(stored("list buckets"))?;
    let groups = store::node::groups(&mut db, cluster.id)
        .await
        .map_err(stored("list placement groups"))?;
    let mut shown = Vec::new();
    for pool in pools {
        let mut row = Vec::new();
        for bucket in buckets.iter().filter(|bucket| bucket.pool == pool.id) {
            let figures = nodes::figures(ctx, &mut db, &cluster, &pool, &bucket.size, &quotas).await?;
            let active = figures.in_use.bucket.nodes > 0;
            if bucket.disabled && !active {
                continue;
            }
            let mut in_groups = Vec::new();
            for (_, _, group) in groups
                .iter()
                .filter(|group| group.0 == pool.id && group.1 == bucket.size)
            {
                let key = Key::group(pool.id, &bucket.size, group);
                let totals = store::ledger::tally(&mut db, &key)
                    .await
                    .map_err(stored("load totals"))?;
                in_groups.push((group.clone(), totals));
            }
            let available = nodes::available(ctx, &cluster, &pool, bucket, &figures);
            row.push(BucketStatus {
                bucket: bucket.clone(),
                size: figures.size,
                limits: figures.limits,
                in_use: figures.in_use,
                available,
                groups: in_groups,
            });
        }
        if !pool.removed || !row.is_empty() {
            shown.push(PoolStatus { pool, buckets: row });
        }
    }
    let attributes = store::pool::attributes(&mut db, cluster.id)
        .await
        .map_err(stored("load attributes"))?;
    let nodes = if with_nodes {
        store::node::list(&mut db, cluster.id)
            .await
            .map_err(stored("list nodes"))?
    } else {
        Vec::new()
    };
    Ok(Status {
        cluster,
        pools: shown,
        attributes,
        nodes,
        at: ctx.now(),
    })
}

/// Limits and use of one bucket.
#[derive(Debug, Clone)]
pub struct Figures {
    /// The machine size.
    pub size: MachineSize,
    /// Limits that bear on it.
    pub limits: Limits,
    /// What is in use of them.
    pub in_use: InUse,
}

/// Most nodes of a bucket under all limits that do not move.
#[must_use]
pub fn bucket_max(limits: &Limits) -> u32 {
    capacity::bucket_max_count(limits)
}
