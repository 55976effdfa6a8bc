//! Starting, stopping and ending clusters.

use reeve_model::{
    Error, Kind, Result,
    cluster::{Cluster, Goal, Phase},
    id::OperationId,
    operation::{Operation, Target, Verb},
    permission::{Action, Resource},
};
use reeve_store::{self as store, engine::Tx};

use super::{Selector, permitted};
use crate::{budget, core::stored, ctx::Ctx, node as nodes, record};

/// What became of a request to delete a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Gone,
    /// Its machines are ending; the record goes with the last of them.
    Accepted,
}

/// Ends a cluster: every machine first, then the record.
///
/// # Errors
/// `NotFound`, `Forbidden`.
pub async fn delete(ctx: &Ctx, which: &Selector) -> Result<Deletion> {
    let mut cluster = permitted(ctx, which, Resource::Cluster, Action::Delete).await?;
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    let records = store::node::list(&mut tx, cluster.id)
        .await
        .map_err(stored("list nodes"))?;
    let hosts_only = records.iter().all(|full| !full.node.seen.holds);
    record::done(
        ctx,
        &mut tx,
        "delete-cluster",
        &cluster.name,
        format!("{} nodes", records.len()),
    )
    .await?;
    let event = record::event(ctx, &cluster, "cluster", &cluster.name, "deletion accepted".into());
    store::ledger::events(&mut tx, &[event])
        .await
        .map_err(stored("write event"))?;
    if hosts_only {
        for full in &records {
            store::node::delete(&mut tx, full.node.id, None)
                .await
                .map_err(stored("delete node"))?;
        }
        store::cluster::delete(&mut tx, cluster.id)
            .await
            .map_err(stored("delete cluster"))?;
        tx.commit().await.map_err(stored("commit"))?;
        return Ok(Deletion::Gone);
    }
    if cluster.goal != Goal::Absent {
        end(ctx, &mut tx, &mut cluster, Goal::Absent, Verb::DeleteCluster).await?;
    }
    tx.commit().await.map_err(stored("commit"))?;
    ctx.core.nodes_due.notify_one();
    ctx.core.clusters_due.notify_one();
    Ok(Deletion::Accepted)
}

/// Sets the goal and ends every node, protected ones too.
async fn end(ctx: &Ctx, tx: &mut Tx, cluster: &mut Cluster, goal: Goal, verb: Verb) -> Result<OperationId> {
    cluster.goal = goal;
    cluster.generation += 1;
    cluster.updated_at = ctx.now();
    if cluster.delete_requested_at.is_none() && goal == Goal::Absent {
        cluster.delete_requested_at = Some(ctx.now());
    }
    cluster.phase = Phase::Terminating;
    store::cluster::update(tx, cluster)
        .await
        .map_err(stored("update cluster"))?;
    let targets = nodes::end_all(ctx, tx, cluster).await?;
    operate(ctx, tx, cluster, verb, None, &targets).await
}

/// Records an operation.
pub(crate) async fn operate(
    ctx: &Ctx,
    tx: &mut Tx,
    cluster: &Cluster,
    verb: Verb,
    request_key: Option<String>,
    targets: &[Target],
) -> Result<OperationId> {
    let operation = Operation {
        id: OperationId(ctx.core.id()),
        tenant: ctx.tenant(),
        cluster: cluster.id,
        verb,
        actor: ctx.actor.id,
        actor_name: ctx.actor.name.clone(),
        request_key: request_key.clone(),
        created_at: ctx.now(),
    };
    let sequence = store::ledger::take(tx, "operation", 1)
        .await
        .map_err(stored("number operation"))?;
    store::operation::insert(tx, &operation, sequence, targets)
        .await
        .map_err(|error| match error {
            store::engine::Error::Unique { .. } => Error::new(
                Kind::DuplicateRequest,
                format!("Request id {} has already been used", request_key.unwrap_or_default()),
            ),
            other => stored("insert operation")(other),
        })?;
    Ok(operation.id)
}

/// Starts an elastic cluster: its single nodes and, per pool, its initial nodes.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Conflict` when it is not elastic or being deleted.
pub async fn start(ctx: &Ctx, which: &Selector) -> Result<OperationId> {
    let mut cluster = permitted(ctx, which, Resource::Cluster, Action::Update).await?;
    if !cluster.aspects.elastic || cluster.goal == Goal::Absent {
        return Err(Error::conflict(format!(
            "cluster \"{}\" can not be started: {}",
            cluster.name,
            why_not(&cluster)
        )));
    }
    let quotas = nodes::quotas(ctx, cluster.id).await?;
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    budget::admit(ctx, &mut tx, &cluster).await?;
    let again = cluster.goal == Goal::Started;
    cluster.goal = Goal::Started;
    cluster.generation += 1;
    cluster.updated_at = ctx.now();
    if !again {
        cluster.phase = Phase::Starting;
    }
    store::cluster::update(&mut tx, &cluster)
        .await
        .map_err(stored("update cluster"))?;
    store::pool::activate(&mut tx, cluster.id)
        .await
        .map_err(stored("activate pools"))?;
    let targets = nodes::start_first(ctx, &mut tx, &cluster, &quotas).await?;
    let operation = operate(ctx, &mut tx, &cluster, Verb::StartCluster, None, &targets).await?;
    record::done(
        ctx,
        &mut tx,
        "start-cluster",
        &cluster.name,
        format!("{} nodes", targets.len()),
    )
    .await?;
    let event = record::event(
        ctx,
        &cluster,
        "cluster",
        &cluster.name,
        format!("started with {} nodes", targets.len()),
    );
    store::ledger::events(&mut tx, &[event])
        .await
        .map_err(stored("write event"))?;
    tx.commit().await.map_err(stored("commit"))?;
    ctx.core.nodes_due.notify_one();
    ctx.core.clusters_due.notify_one();
    Ok(operation)
}

fn why_not(cluster: &Cluster) -> &'static str {
    if cluster.goal == Goal::Absent {
        "it is being deleted"
    } else {
        "it is not elastic"
    }
}

/// Ends every node of an elastic cluster; the record stays.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Conflict`.
pub async fn stop(ctx: &Ctx, which: &Selector) -> Result<OperationId> {
    let mut cluster = permitted(ctx, which, Resource::Cluster, Action::Update).await?;
    if !cluster.aspects.elastic || cluster.goal == Goal::Absent {
        return Err(Error::conflict(format!(
            "cluster \"{}\" can not be stopped: {}",
            cluster.name,
            why_not(&cluster)
        )));
    }
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    let operation = end(ctx, &mut tx, &mut cluster, Goal::Terminated, Verb::TerminateCluster).await?;
    record::done(ctx, &mut tx, "stop-cluster", &cluster.name, String::new()).await?;
    let event = record::event(ctx, &cluster, "cluster", &cluster.name, "terminating".into());
    store::ledger::events(&mut tx, &[event])
        .await
        .map_err(stored("write event"))?;
    tx.commit().await.map_err(stored("commit"))?;
    ctx.core.nodes_due.notify_one();
    ctx.core.clusters_due.notify_one();
    Ok(operation)
}
