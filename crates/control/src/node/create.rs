//! Making nodes on request: all sets are checked first, then as many as fit are made.

use reeve_model::{
    Error, Kind, Result,
    id::OperationId,
    operation::{REQUEST_KEY_MAX, Verb},
    permission::{Action, Resource},
    pool::ShutdownPolicy,
};
use reeve_store::{self as store};

use super::{making::Making, quotas};
use crate::{
    budget,
    cluster::{self},
    core::stored,
    ctx::Ctx,
    record,
};

/// Attributes of new nodes that rules depend on, where they differ from the pool's.
#[derive(Debug, Clone, Default)]
pub struct Differences {
    /// Protected from being stopped.
    pub keep_alive: Option<bool>,
    /// The record survives its machine.
    pub fixed: Option<bool>,
    /// Starts at once.
    pub start_automatically: Option<bool>,
    /// A spot machine.
    pub interruptible: Option<bool>,
    /// What *shut down* means.
    pub shutdown_policy: Option<ShutdownPolicy>,
}

/// Some alike nodes to make.
#[derive(Debug, Clone)]
pub struct Set {
    /// Name of the pool.
    pub pool: String,
    /// How many.
    pub count: u32,
    /// Machine size; `None`: the first that has room.
    pub size: Option<String>,
    /// Name format; `None`: the pool's, else `POOL-%d`.
    pub name_format: Option<String>,
    /// First index; `None`: the pool's.
    pub name_offset: Option<u32>,
    /// Placement group; `None`: the pool's.
    pub placement_group: Option<String>,
    /// What differs from the pool.
    pub differences: Differences,
    /// JSON object of further attributes, kept for the dialect that sent them.
    pub overrides: Option<String>,
}

/// What became of one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// Names of the nodes made, in order.
    pub names: Vec<String>,
    /// Why fewer than asked for.
    pub message: Option<String>,
}

/// What became of a request to make nodes.
#[derive(Debug, Clone)]
pub struct Created {
    /// The operation.
    pub operation: OperationId,
    /// One entry per set, in order.
    pub sets: Vec<Added>,
}

/// Checks a request key.
///
/// # Errors
/// `Invalid` when it is empty or too long.
pub fn check_request_key(key: Option<&str>) -> Result<()> {
    match key {
        Some(key) if key.is_empty() || key.chars().count() > REQUEST_KEY_MAX => Err(Error::invalid(
            "requestId",
            format!("a request id has 1 to {REQUEST_KEY_MAX} characters"),
        )),
        _ => Ok(()),
    }
}

/// Makes nodes: all sets are checked first, then as many as fit are made, set by set.
///
/// Too little room is no error: the answer says how many were made and why not more.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Invalid`, `AlreadyExists` for a fixed name that is taken, `DuplicateRequest`.
pub async fn create(ctx: &Ctx, which: &cluster::Selector, sets: &[Set], key: Option<String>) -> Result<Created> {
    let cluster = cluster::permitted(ctx, which, Resource::Node, Action::Create).await?;
    check_request_key(key.as_deref())?;
    let quotas = quotas(ctx, cluster.id).await?;
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    if let Some(key) = &key
        && store::operation::find_by_key(&mut tx, ctx.tenant(), key)
            .await
            .map_err(stored("find request"))?
            .is_some()
    {
        return Err(Error::new(
            Kind::DuplicateRequest,
            format!("Request id {key} has already been used"),
        ));
    }
    budget::admit(ctx, &mut tx, &cluster).await?;
    let mut making = Making::open(ctx, &mut tx, cluster.id, &quotas).await?;
    making.load_names(&mut tx).await?;
    let total: u32 = sets.iter().fold(0, |sum, set| sum.saturating_add(set.count));
    if sets.is_empty() || total > ctx.core.settings.create_max {
        let most = ctx.core.settings.create_max;
        return Err(Error::invalid(
            "sets",
            format!("a request makes 1 to {most} nodes, this one asks for {total}"),
        ));
    }
    let plans = sets.iter().map(|set| making.check(set)).collect::<Result<Vec<_>>>()?;
    let mut added = Vec::with_capacity(sets.len());
    for (set, (pool, format)) in sets.iter().zip(&plans) {
        added.push(making.add(&mut tx, set, pool, format).await?);
    }
    let (targets, cluster) = making.write(&mut tx).await?;
    let operation = cluster::operate(ctx, &mut tx, &cluster, Verb::Create, key, &targets).await?;
    let count = targets.len();
    record::done(
        ctx,
        &mut tx,
        "create-nodes",
        &cluster.name,
        format!("{count} of {total} nodes"),
    )
    .await?;
    let event = record::event(ctx, &cluster, "node", &cluster.name, format!("{count} nodes wanted"));
    store::ledger::events(&mut tx, &[event])
        .await
        .map_err(stored("write event"))?;
    tx.notify("node", String::new());
    tx.commit().await.map_err(stored("commit"))?;
    ctx.core.nodes_due.notify_one();
    Ok(Created { operation, sets: added })
}
