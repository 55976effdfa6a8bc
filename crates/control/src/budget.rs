//! Budgets: set, shown, dropped, and asked before a cluster grows. Where clusters stand is reckoned by
//! [`crate::reconcile::budget`], and once when a budget is set.

use reeve_model::{
    Error, Result,
    budget::{Budget, Standing},
    cluster::Cluster,
    permission::{Action, Resource, allows},
    usage::{
        Money,
        frame::{Frame, Granularity, Window},
        report::Group,
    },
};
use reeve_store::{
    self as store,
    engine::{Conn, Tx},
    usage::Of,
};

use crate::{
    cluster::{self, Selector},
    core::{Core, stored},
    ctx::Ctx,
    record,
    usage::exact,
};

/// A budget as people see it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its cluster.
    pub cluster: Cluster,
    /// What was set.
    pub budget: Budget,
    /// Where the cluster stands; absent until it was first reckoned.
    pub standing: Option<Standing>,
}

/// What people set, beside the cluster.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The amount of a month.
    pub amount: Money,
    /// Percent at which people are told.
    pub warn: Vec<u32>,
    /// Percent from which the cluster must not grow.
    pub freeze: Option<u32>,
    /// Percent from which its nodes are ended.
    pub drain: Option<u32>,
}

/// Sets a cluster's budget and reckons at once where the cluster stands.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Invalid`.
pub async fn set(ctx: &Ctx, which: &Selector, wish: Wish) -> Result<Shown> {
    let cluster = cluster::permitted(ctx, which, Resource::Usage, Action::Update).await?;
    let budget = Budget {
        cluster: cluster.id,
        amount: wish.amount,
        warn: wish.warn,
        freeze: wish.freeze,
        drain: wish.drain,
    }
    .checked()?;
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    store::budget::put(&mut tx, cluster.tenant, &budget, ctx.now())
        .await
        .map_err(stored("write budget"))?;
    let standing = reckon(&ctx.core, &mut tx, &cluster).await?;
    record::done(
        ctx,
        &mut tx,
        "set-budget",
        &cluster.name,
        format!("{} a month", budget.amount),
    )
    .await?;
    tx.commit().await.map_err(stored("commit"))?;
    Ok(Shown {
        cluster,
        budget,
        standing,
    })
}

/// A cluster's budget.
///
/// # Errors
/// `NotFound` when the cluster has none, `Forbidden`.
pub async fn get(ctx: &Ctx, which: &Selector) -> Result<Shown> {
    let cluster = cluster::permitted(ctx, which, Resource::Usage, Action::Read).await?;
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let kept = store::budget::find(&mut db, cluster.id)
        .await
        .map_err(stored("load budget"))?
        .ok_or_else(|| Error::not_found("budget of cluster", &cluster.name))?;
    Ok(Shown {
        cluster,
        budget: kept.budget,
        standing: kept.standing,
    })
}

/// Budgets of the clusters whose usage the caller may see, oldest cluster first.
///
/// # Errors
/// `Unavailable` when the database does not answer.
pub async fn list(ctx: &Ctx) -> Result<Vec<Shown>> {
    let clusters = cluster::list(ctx).await?;
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let mut kept: std::collections::BTreeMap<_, _> = store::budget::list(&mut db, Some(ctx.tenant()))
        .await
        .map_err(stored("list budgets"))?
        .into_iter()
        .map(|kept| (kept.budget.cluster, kept))
        .collect();
    Ok(clusters
        .into_iter()
        .filter(|cluster| allows(&ctx.actor, Resource::Usage, Action::Read, &cluster.scope()))
        .filter_map(|cluster| {
            let kept = kept.remove(&cluster.id)?;
            Some(Shown {
                cluster,
                budget: kept.budget,
                standing: kept.standing,
            })
        })
        .collect())
}

/// Drops a cluster's budget; what it refused is allowed again.
///
/// # Errors
/// `NotFound`, `Forbidden`.
pub async fn delete(ctx: &Ctx, which: &Selector) -> Result<()> {
    let cluster = cluster::permitted(ctx, which, Resource::Usage, Action::Delete).await?;
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    let dropped = store::budget::delete(&mut tx, cluster.id)
        .await
        .map_err(stored("delete budget"))?;
    if !dropped {
        return Err(Error::not_found("budget of cluster", &cluster.name));
    }
    record::done(ctx, &mut tx, "delete-budget", &cluster.name, String::new()).await?;
    tx.commit().await.map_err(stored("commit"))
}

/// May the cluster grow? Asked in the transaction that would let it.
///
/// # Errors
/// `QuotaExceeded` with the numbers.
pub(crate) async fn admit(ctx: &Ctx, db: &mut Conn, cluster: &Cluster) -> Result<()> {
    let kept = store::budget::find(db, cluster.id)
        .await
        .map_err(stored("load budget"))?;
    kept.map_or(Ok(()), |kept| {
        kept.budget.admit(kept.standing.as_ref(), &cluster.name, ctx.now())
    })
}

/// Reckons where a cluster stands, with an event when something new follows from it; nothing without a budget.
pub(crate) async fn reckon(core: &std::sync::Arc<Core>, tx: &mut Tx, cluster: &Cluster) -> Result<Option<Standing>> {
    let now = core.now();
    let Some(kept) = store::budget::find(tx, cluster.id)
        .await
        .map_err(stored("load budget"))?
    else {
        return Ok(None);
    };
    let window = Window::of(Frame::MonthToDate, Granularity::Total, now)?;
    let spent = exact(tx, Of::Cluster(cluster.id), window, now, Group::in_cluster).await?;
    let (spent, unpriced) = spent.known_cost();
    let before = kept.standing.as_ref();
    let standing = kept.budget.reckon(before, spent, unpriced, now);
    let written = before != Some(&standing)
        && store::budget::reckoned(tx, cluster.id, before, &standing)
            .await
            .map_err(stored("write standing"))?;
    if written && let Some(text) = kept.budget.news(before, &standing) {
        let ctx = Ctx::system(std::sync::Arc::clone(core), cluster.tenant, "budget-reconciler");
        let event = record::event(&ctx, cluster, "budget", &cluster.name, text);
        store::ledger::events(tx, &[event])
            .await
            .map_err(stored("write event"))?;
    }
    Ok(Some(standing))
}
