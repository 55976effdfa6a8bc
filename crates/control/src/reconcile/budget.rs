//! The budget reconciler: writes the day's prices down, reckons where clusters with a budget stand, and ends the nodes
//! of those that went too far.
//!
//! Ending is the ordinary verb by Reeve itself, so nodes are told to finish first, and protected ones stay.

use std::sync::Arc;

use reeve_model::{
    Result,
    budget::{Level, drains},
    cluster::Cluster,
    operation::Verb,
};
use reeve_store as store;

use crate::{
    budget,
    cluster::Selector,
    core::{Core, stored},
    ctx::Ctx,
    node,
    usage::ledger,
};

/// Runs one activation; answers how many budgets were reckoned.
///
/// # Errors
/// `Unavailable` when the database does not answer.
pub async fn activate(core: &Arc<Core>) -> Result<usize> {
    let goods = ledger::fix_prices(core).await?;
    let mut db = core.store.read().await.map_err(stored("read"))?;
    let all = store::budget::list(&mut db, None)
        .await
        .map_err(stored("list budgets"))?;
    drop(db);
    let (count, mut draining) = (all.len(), 0);
    for kept in all {
        let mut tx = core.store.begin().await.map_err(stored("begin"))?;
        let found = store::cluster::find(&mut tx, kept.tenant, kept.budget.cluster)
            .await
            .map_err(stored("load cluster"))?;
        let Some(cluster) = found else { continue };
        let standing = budget::reckon(core, &mut tx, &cluster).await?;
        tx.commit().await.map_err(stored("commit"))?;
        if standing.is_some_and(|standing| standing.level == Level::Draining) {
            drain(core, &cluster).await?;
            draining += 1;
        }
    }
    let did = format!("{goods} prices, {count} budgets, {draining} draining");
    core.note("budgets", did, None);
    Ok(count)
}

/// Ends what a budget may end and nobody has told to end yet.
async fn drain(core: &Arc<Core>, cluster: &Cluster) -> Result<()> {
    let mut db = core.store.read().await.map_err(stored("read"))?;
    let nodes = store::node::list(&mut db, cluster.id)
        .await
        .map_err(stored("list nodes"))?;
    drop(db);
    let names: Vec<String> = nodes
        .into_iter()
        .filter(|full| drains(&full.node))
        .map(|full| full.node.name)
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    let ctx = Ctx::system(Arc::clone(core), cluster.tenant, "budget-reconciler");
    let selector = node::Selector {
        names,
        ..node::Selector::default()
    };
    node::manage(&ctx, &Selector::Id(cluster.id), Verb::Shutdown, &selector, None)
        .await
        .map(drop)
}
