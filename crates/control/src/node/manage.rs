//! Changing what nodes are wanted to be, each judged on its own.

use reeve_model::{
    Error, Kind, Result,
    capacity::{self, Key},
    id::{NodeId, OperationId},
    node::{
        Goal, Node,
        verb::{self, Verdict},
    },
    operation::{Target, Verb},
    permission::{Action, Resource},
    pool::{Pool, PoolKind},
};
use reeve_store::{self as store, engine::Tx, node::Full};

use super::{Selector, available, check_request_key, figures, making::Making, place, quotas};
use crate::{
    budget,
    cluster::{self},
    core::stored,
    ctx::Ctx,
    record,
};

/// What became of one selected node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Why it was refused, if so.
    pub error: Option<String>,
}

/// What became of a management request.
#[derive(Debug, Clone)]
pub struct Managed {
    /// The operation.
    pub operation: OperationId,
    /// One entry per selected node, in order of creation.
    pub nodes: Vec<Judged>,
}

/// Changes what selected nodes are wanted to be; each is judged alone.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Invalid` when nothing was selected, `DuplicateRequest`.
pub async fn manage(
    ctx: &Ctx,
    which: &cluster::Selector,
    verb: Verb,
    selector: &Selector<'_>,
    key: Option<String>,
) -> Result<Managed> {
    let action = if verb == Verb::Remove {
        Action::Delete
    } else {
        Action::Update
    };
    let cluster = cluster::permitted(ctx, which, Resource::Node, action).await?;
    check_request_key(key.as_deref())?;
    if selector.is_empty() {
        return Err(Error::invalid(
            "names",
            "select nodes by name, id, host name, address or filter",
        ));
    }
    let quotas = quotas(ctx, cluster.id).await?;
    let view = cluster::status(ctx, &cluster::Selector::Id(cluster.id), selector.filter.is_some()).await?;
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
    let making = Making::open(ctx, &mut tx, cluster.id, &quotas).await?;
    let records = store::node::list(&mut tx, cluster.id)
        .await
        .map_err(stored("list nodes"))?;
    let mut change = Change {
        ctx,
        making,
        judged: Vec::new(),
        targets: Vec::new(),
        events: Vec::new(),
    };
    for full in records.iter().filter(|full| selector.takes(&view, full)) {
        change.one(&mut tx, verb, full).await?;
    }
    let Change {
        making,
        judged,
        targets,
        events,
        ..
    } = change;
    let (_, cluster) = making.write(&mut tx).await?;
    let operation = cluster::operate(ctx, &mut tx, &cluster, verb, key, &targets).await?;
    let detail = format!("{} of {} nodes", targets.len(), judged.len());
    record::done(ctx, &mut tx, &format!("{}-nodes", verb.word()), &cluster.name, detail).await?;
    store::ledger::events(&mut tx, &events)
        .await
        .map_err(stored("write events"))?;
    tx.notify("node", String::new());
    tx.commit().await.map_err(stored("commit"))?;
    ctx.core.nodes_due.notify_one();
    Ok(Managed {
        operation,
        nodes: judged,
    })
}

/// One management request under way.
struct Change<'a> {
    ctx: &'a Ctx,
    making: Making<'a>,
    judged: Vec<Judged>,
    targets: Vec<Target>,
    events: Vec<store::ledger::Event>,
}

impl Change<'_> {
    async fn one(&mut self, tx: &mut Tx, verb: Verb, full: &Full) -> Result<()> {
        let node = &full.node;
        let error = match verb::decide(verb, node) {
            Verdict::Refuse(text) => Some(text),
            Verdict::Nothing => {
                self.targets.push(Target {
                    node: node.id,
                    generation: node.generation,
                });
                None
            }
            Verdict::RemoveNow => {
                store::node::delete(tx, node.id, None)
                    .await
                    .map_err(stored("delete node"))?;
                self.targets.push(Target {
                    node: node.id,
                    generation: node.generation,
                });
                None
            }
            Verdict::Change(goal) => self.wish(tx, node, goal).await?,
        };
        self.judged.push(Judged {
            id: node.id,
            name: node.name.clone(),
            error,
        });
        Ok(())
    }

    async fn wish(&mut self, tx: &mut Tx, node: &Node, goal: Goal) -> Result<Option<String>> {
        let Some(pool) = self.making.pools.iter().find(|pool| pool.id == node.pool).cloned() else {
            return Err(Error::internal(format!("node {} has no pool", node.id)));
        };
        if goal == Goal::Started
            && node.goal != Goal::Started
            && let Some(why) = self.no_room(tx, node, &pool).await?
        {
            return Ok(Some(why));
        }
        let mut wished = node.clone();
        verb::wish(&mut wished, goal, self.ctx.now());
        store::node::wish(tx, &wished).await.map_err(stored("write wish"))?;
        let place = place(&self.ctx.core, &pool, &node.size);
        self.making.deltas.change(Some(node), Some(&wished), &place);
        tx.notify("goal", node.id.to_string());
        self.events.push(record::event(
            self.ctx,
            &self.making.cluster,
            "node",
            &node.name,
            format!("wanted {}", goal.word()),
        ));
        self.targets.push(Target {
            node: node.id,
            generation: wished.generation,
        });
        Ok(None)
    }

    /// Starting takes room like creating.
    async fn no_room(&self, tx: &mut Tx, node: &Node, pool: &Pool) -> Result<Option<String>> {
        let making = &self.making;
        if let Err(error) = budget::admit(self.ctx, tx, &making.cluster).await {
            return match error.kind {
                Kind::QuotaExceeded => Ok(Some(error.message)),
                _ => Err(error),
            };
        }
        let mut figures = figures(self.ctx, tx, &making.cluster, pool, &node.size, making.quotas).await?;
        figures.in_use = making.in_use(pool, &figures);
        if pool.kind == PoolKind::Single {
            figures.limits.pool_nodes = 1;
            figures.limits.pool_cores = u32::MAX;
            figures.in_use.pool = capacity::Totals::default();
            let room = capacity::available(&figures.limits, &figures.in_use, true);
            return Ok((room == 0).then(|| {
                format!(
                    "no room: limited by {}",
                    capacity::tightest(&figures.limits, &figures.in_use)
                )
            }));
        }
        let Some(bucket) = making
            .buckets
            .iter()
            .find(|bucket| bucket.pool == pool.id && bucket.size == node.size)
        else {
            return Ok(Some(format!("machine size {} is no longer declared", node.size)));
        };
        if available(self.ctx, &making.cluster, pool, bucket, &figures) == 0 {
            return Ok(Some(format!(
                "no room: limited by {}",
                making.why(pool, bucket, &figures)
            )));
        }
        if let Some(group) = &node.placement_group {
            let key = Key::group(pool.id, &node.size, group);
            let active = store::ledger::tally(tx, &key)
                .await
                .map_err(stored("load totals"))?
                .nodes
                + making.deltas.of(&key).nodes;
            if active >= i64::from(pool.group_size_max) {
                return Ok(Some(format!(
                    "no room: limited by the maximum size of placement group {group}"
                )));
            }
        }
        Ok(None)
    }
}
