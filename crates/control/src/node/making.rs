//! Nodes being made in one transaction: names, room and totals as that transaction sees them.

use std::collections::HashSet;

use reeve_model::{
    Error, Kind, Result,
    capacity::{self, Deltas, InUse, Key},
    cluster::{Cluster, Goal as ClusterGoal},
    id::{ClusterId, NodeId},
    naming::{self, Format},
    node::{AgentView, Goal, Node, Observation, verb},
    operation::Target,
    pool::{Bucket, Closed, Pool, PoolKind},
};
use reeve_store::{self as store, engine::Tx, node::Full};

use super::{Added, Quotas, Set, available, figures, place};
use crate::{cluster::Figures, core::stored, ctx::Ctx};

/// Nodes being made in one transaction.
pub(super) struct Making<'a> {
    ctx: &'a Ctx,
    pub(super) cluster: Cluster,
    pub(super) pools: Vec<Pool>,
    pub(super) buckets: Vec<Bucket>,
    pub(super) quotas: &'a Quotas,
    taken: HashSet<String>,
    pub(super) deltas: Deltas,
    made: Vec<Full>,
}

impl<'a> Making<'a> {
    /// Takes the locks, in an order that is the same for everybody, and loads what decisions need.
    pub(super) async fn open(ctx: &'a Ctx, tx: &mut Tx, id: ClusterId, quotas: &'a Quotas) -> Result<Self> {
        for (account, region) in quotas.keys() {
            store::ledger::lock_region(tx, account, region)
                .await
                .map_err(stored("lock region"))?;
        }
        store::cluster::take_sequence(tx, id, 0)
            .await
            .map_err(stored("lock cluster"))?;
        let cluster = store::cluster::find(tx, ctx.tenant(), id)
            .await
            .map_err(stored("load cluster"))?
            .ok_or_else(|| Error::not_found("cluster", id))?;
        Ok(Self {
            ctx,
            pools: store::pool::list(tx, id).await.map_err(stored("list pools"))?,
            buckets: store::pool::buckets(tx, id).await.map_err(stored("list buckets"))?,
            cluster,
            quotas,
            taken: HashSet::new(),
            deltas: Deltas::default(),
            made: Vec::new(),
        })
    }

    /// Loads the names in use; the first step of whoever gives names.
    pub(super) async fn load_names(&mut self, tx: &mut Tx) -> Result<()> {
        let names = store::node::names(tx, self.cluster.id)
            .await
            .map_err(stored("list names"))?;
        self.taken = names.into_iter().collect();
        Ok(())
    }

    /// Everything that may be wrong with a set, before anything is made.
    pub(super) fn check(&self, set: &Set) -> Result<(Pool, Format)> {
        let pool = self
            .pools
            .iter()
            .find(|pool| pool.kind == PoolKind::Many && !pool.removed && pool.name == set.pool)
            .ok_or_else(|| {
                Error::invalid(
                    "pool",
                    format!("there is no pool \"{}\" in cluster \"{}\"", set.pool, self.cluster.name),
                )
            })?;
        if set.count == 0 {
            return Err(Error::invalid("count", "a set makes at least one node"));
        }
        if let Some(size) = &set.size
            && !self
                .buckets
                .iter()
                .any(|bucket| bucket.pool == pool.id && bucket.size.eq_ignore_ascii_case(size))
        {
            return Err(Error::invalid(
                "size",
                format!(
                    "\"{size}\" is none of the machine sizes of \"{}\": {}",
                    pool.name,
                    pool.sizes.join(", ")
                ),
            ));
        }
        let legal = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
        if let Some(group) = &set.placement_group
            && (group.is_empty() || group.len() > 64 || !group.chars().all(legal))
        {
            return Err(Error::invalid(
                "placementGroupId",
                format!("\"{group}\" is no placement group name"),
            ));
        }
        let escaped = pool.name.replace('%', "%%");
        let default = || pool.name_format.clone().unwrap_or_else(|| format!("{escaped}-%d"));
        let format = Format::parse(&set.name_format.clone().unwrap_or_else(default))?;
        if !format.indexed() {
            if set.count > 1 {
                return Err(Error::invalid(
                    "nameFormat",
                    "a name format without an index makes exactly one node",
                ));
            }
            let name = format.name(0);
            if self.taken.contains(&naming::key(&name)) {
                return Err(Error::new(
                    Kind::AlreadyExists,
                    format!("a node named \"{name}\" already exists"),
                ));
            }
        }
        naming::check_node_name(&format.name(set.name_offset.unwrap_or(pool.name_offset)))?;
        Ok((pool.clone(), format))
    }

    /// What is in use, with the nodes of this transaction counted.
    pub(super) fn in_use(&self, pool: &Pool, figures: &Figures) -> InUse {
        let mut in_use = figures.in_use.clone();
        for (key, total) in [
            (Key::cluster(self.cluster.id), &mut in_use.cluster),
            (Key::pool(pool.id), &mut in_use.pool),
            (Key::bucket(pool.id, &figures.size.name), &mut in_use.bucket),
        ] {
            let change = self.deltas.of(&key);
            total.nodes += change.nodes;
            total.cores += change.cores;
        }
        in_use.family_cores += self
            .deltas
            .of(&Key::family(&pool.account, &pool.region, &figures.size.family))
            .cores;
        in_use.region_cores += self
            .deltas
            .of(&Key::region(&pool.account, &pool.region, pool.interruptible))
            .cores;
        in_use
    }

    /// Makes as many nodes of a set as fit.
    pub(super) async fn add(&mut self, tx: &mut Tx, set: &Set, pool: &Pool, format: &Format) -> Result<Added> {
        let starts = set.differences.start_automatically.unwrap_or(pool.start_automatically);
        let (bucket, figures, room) = self.choose(tx, set, pool).await?;
        let group = set.placement_group.clone().or_else(|| pool.placement_group.clone());
        let mut fits = if starts { set.count.min(room) } else { set.count };
        let mut why = self.why(pool, &bucket, &figures);
        if let Some(group) = group.as_ref().filter(|_| starts) {
            let key = Key::group(pool.id, &bucket.size, group);
            let stored_total = store::ledger::tally(tx, &key).await.map_err(stored("load totals"))?;
            let active = stored_total.nodes + self.deltas.of(&key).nodes;
            let left = u32::try_from(i64::from(pool.group_size_max) - active).unwrap_or(0);
            if left < fits {
                fits = left;
                why = format!("the maximum size of placement group {group}");
            }
        }
        let offset = set.name_offset.unwrap_or(pool.name_offset);
        let names = naming::allocate(format, offset, fits, &mut self.taken)?;
        let first = store::cluster::take_sequence(tx, self.cluster.id, i64::from(fits))
            .await
            .map_err(stored("number nodes"))?;
        let place = place(&self.ctx.core, pool, &bucket.size);
        for (sequence, name) in (first..).zip(&names) {
            let mut node = fresh(self.ctx, &self.cluster, pool, name.clone(), sequence, &figures);
            node.spot = set.differences.interruptible.unwrap_or(node.spot);
            node.fixed = set.differences.fixed.unwrap_or(node.fixed);
            node.keep_alive = set.differences.keep_alive.unwrap_or(node.keep_alive);
            node.shutdown_policy = set.differences.shutdown_policy.unwrap_or(node.shutdown_policy);
            node.placement_group.clone_from(&group);
            if starts {
                verb::wish(&mut node, Goal::Started, self.ctx.now());
            }
            self.deltas.change(None, Some(&node), &place);
            self.made.push(Full {
                node,
                overrides: set.overrides.clone(),
            });
        }
        let message = (fits < set.count).then(|| {
            format!(
                "Only {fits} of {} requested nodes were added, limited by {why}",
                set.count
            )
        });
        Ok(Added { names, message })
    }

    /// The first open bucket that takes the whole set, else the first with any room, else the first.
    async fn choose(&self, tx: &mut Tx, set: &Set, pool: &Pool) -> Result<(Bucket, Figures, u32)> {
        let mut some: Option<(Bucket, Figures, u32)> = None;
        let candidates = self.buckets.iter().filter(|bucket| {
            bucket.pool == pool.id
                && set
                    .size
                    .as_ref()
                    .is_none_or(|size| bucket.size.eq_ignore_ascii_case(size))
        });
        for bucket in candidates {
            let mut figures = figures(self.ctx, tx, &self.cluster, pool, &bucket.size, self.quotas).await?;
            figures.in_use = self.in_use(pool, &figures);
            let room = available(self.ctx, &self.cluster, pool, bucket, &figures);
            if room >= set.count {
                return Ok((bucket.clone(), figures, room));
            }
            if some.as_ref().is_none_or(|(_, _, before)| *before == 0 && room > 0) {
                some = Some((bucket.clone(), figures, room));
            }
        }
        some.ok_or_else(|| Error::invalid("pool", format!("pool \"{}\" has no machine size", pool.name)))
    }

    pub(super) fn why(&self, pool: &Pool, bucket: &Bucket, figures: &Figures) -> String {
        match bucket.closed(self.cluster.goal == ClusterGoal::Started) {
            Some(Closed::NotActivated) => {
                "NotActivated: the cluster has not been started since this size was declared".into()
            }
            Some(Closed::Disabled) => "DisabledMachineType: the size is no longer declared".into(),
            None if bucket.exhausted(pool.throttle, self.ctx.now()) => {
                format!("the provider having had no capacity for {} recently", bucket.size)
            }
            None => capacity::tightest(&figures.limits, &self.in_use(pool, figures)),
        }
    }

    /// Writes everything that was made.
    pub(super) async fn write(self, tx: &mut Tx) -> Result<(Vec<Target>, Cluster)> {
        store::node::insert(tx, &self.made)
            .await
            .map_err(stored("insert nodes"))?;
        store::ledger::change_tallies(tx, self.deltas.into_changes())
            .await
            .map_err(stored("change totals"))?;
        let targets = self
            .made
            .iter()
            .map(|full| Target {
                node: full.node.id,
                generation: full.node.generation,
            })
            .collect();
        Ok((targets, self.cluster))
    }
}

/// A node record at rest.
pub(super) fn fresh(ctx: &Ctx, cluster: &Cluster, pool: &Pool, name: String, sequence: i64, figures: &Figures) -> Node {
    Node {
        id: NodeId(ctx.core.id()),
        tenant: cluster.tenant,
        cluster: cluster.id,
        pool: pool.id,
        pool_revision: pool.revision,
        name,
        sequence,
        size: figures.size.name.clone(),
        cores: figures.limits.cores,
        quota_cores: figures.limits.quota_cores,
        spot: pool.interruptible,
        placement_group: pool.placement_group.clone(),
        single: pool.kind == PoolKind::Single,
        fixed: pool.fixed,
        keep_alive: pool.keep_alive,
        shutdown_policy: pool.shutdown_policy,
        start_timeout: pool.start_timeout,
        goal: Goal::Off,
        generation: 0,
        seen: Observation::off(ctx.now()),
        agent: AgentView::default(),
        created_at: ctx.now(),
        ready_at: None,
    }
}
