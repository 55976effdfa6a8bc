//! The nodes of a cluster that is declared, started or ended as a whole.

use reeve_model::{
    Error, Result,
    capacity::{Deltas, InUse, Limits},
    cluster::{Cluster, Goal as ClusterGoal},
    naming::{self},
    node::{Goal, verb},
    operation::Target,
    pool::{Pool, PoolKind},
};
use reeve_store::{self as store, engine::Tx, node::Full};

use super::{
    Differences, Quotas, Set,
    making::{Making, fresh},
    place,
};
use crate::{
    cluster::Figures,
    core::{Core, stored},
    ctx::Ctx,
};

/// Makes the one record of a single pool.
pub(crate) async fn insert_single(ctx: &Ctx, tx: &mut Tx, cluster: &Cluster, pool: &Pool) -> Result<()> {
    naming::check_node_name(&pool.name)?;
    let account = ctx.core.account(&pool.account)?;
    let size = pool
        .sizes
        .first()
        .and_then(|size| Core::size(account, size))
        .ok_or_else(|| Error::invalid("size", format!("pool \"{}\" has no machine size", pool.name)))?;
    let limits = Limits {
        cores: pool.core_count.unwrap_or(size.vcpus),
        quota_cores: size.quota_vcpus,
        ..Limits::default()
    };
    let sequence = store::cluster::take_sequence(tx, cluster.id, 1)
        .await
        .map_err(stored("number node"))?;
    let figures = Figures {
        size,
        limits,
        in_use: InUse::default(),
    };
    let node = fresh(ctx, cluster, pool, pool.name.clone(), sequence, &figures);
    store::node::insert(tx, &[Full { node, overrides: None }])
        .await
        .map_err(stored("insert node"))
}

/// Starts a cluster's single nodes and makes its initial ones.
pub(crate) async fn start_first(ctx: &Ctx, tx: &mut Tx, cluster: &Cluster, quotas: &Quotas) -> Result<Vec<Target>> {
    let mut making = Making::open(ctx, tx, cluster.id, quotas).await?;
    making.load_names(tx).await?;
    let mut targets = Vec::new();
    let records = store::node::list(tx, cluster.id).await.map_err(stored("list nodes"))?;
    for full in records
        .iter()
        .filter(|full| full.node.single && full.node.goal != Goal::Started)
    {
        let Some(pool) = making
            .pools
            .iter()
            .find(|pool| pool.id == full.node.pool && pool.start_automatically)
        else {
            continue;
        };
        let before = full.node.clone();
        let mut node = full.node.clone();
        let place = place(&ctx.core, pool, &node.size);
        verb::wish(&mut node, Goal::Started, ctx.now());
        store::node::wish(tx, &node).await.map_err(stored("write wish"))?;
        making.deltas.change(Some(&before), Some(&node), &place);
        targets.push(Target {
            node: node.id,
            generation: node.generation,
        });
    }
    for pool in making
        .pools
        .clone()
        .iter()
        .filter(|pool| pool.kind == PoolKind::Many && !pool.removed)
    {
        let active = records
            .iter()
            .filter(|full| full.node.pool == pool.id && full.node.active());
        let (nodes, cores) = active.fold((0u32, 0u32), |(nodes, cores), full| {
            (nodes + 1, cores + full.node.cores)
        });
        let first = pool
            .sizes
            .first()
            .and_then(|size| Core::size(ctx.core.accounts.get(&pool.account)?, size));
        let each = pool.core_count.or(first.map(|size| size.vcpus)).unwrap_or(1).max(1);
        let wanted = pool
            .initial_count
            .saturating_sub(nodes)
            .max(pool.initial_cores.saturating_sub(cores).div_ceil(each));
        if wanted == 0 {
            continue;
        }
        let set = Set {
            pool: pool.name.clone(),
            count: wanted,
            size: None,
            name_format: None,
            name_offset: None,
            placement_group: None,
            differences: Differences::default(),
            overrides: None,
        };
        let (pool, format) = making.check(&set)?;
        making.add(tx, &set, &pool, &format).await?;
    }
    let (made, _) = making.write(tx).await?;
    targets.extend(made);
    Ok(targets)
}

/// Ends every node of a cluster, protected ones too.
pub(crate) async fn end_all(ctx: &Ctx, tx: &mut Tx, cluster: &Cluster) -> Result<Vec<Target>> {
    let pools = store::pool::list(tx, cluster.id).await.map_err(stored("list pools"))?;
    let mut deltas = Deltas::default();
    let mut targets = Vec::new();
    for full in store::node::list(tx, cluster.id).await.map_err(stored("list nodes"))? {
        let goal = if full.node.single && cluster.goal != ClusterGoal::Absent {
            Goal::Off
        } else {
            Goal::Absent
        };
        if full.node.goal == goal {
            continue;
        }
        let mut node = full.node.clone();
        verb::wish(&mut node, goal, ctx.now());
        store::node::wish(tx, &node).await.map_err(stored("write wish"))?;
        if let Some(pool) = pools.iter().find(|pool| pool.id == node.pool) {
            deltas.change(Some(&full.node), Some(&node), &place(&ctx.core, pool, &node.size));
        }
        tx.notify("goal", node.id.to_string());
        targets.push(Target {
            node: node.id,
            generation: node.generation,
        });
    }
    store::ledger::change_tallies(tx, deltas.into_changes())
        .await
        .map_err(stored("change totals"))?;
    tx.notify("node", String::new());
    Ok(targets)
}
