//! Nodes: making them, changing what they are wanted to be, and showing them.
//!
//! Every verb here writes rows and wakes the reconciler; none waits for a cloud.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use reeve_model::{
    Error, Kind, Result, Timestamp,
    capacity::{self, Deltas, InUse, Key, Limits, Place},
    cluster::{Cluster, Goal as ClusterGoal},
    id::{ClusterId, NodeId, OperationId},
    naming::{self, Format},
    node::{
        AgentView, Goal, Node, Observation,
        verb::{self, Verdict},
    },
    operation::{REQUEST_KEY_MAX, Target, Verb},
    permission::{Action, Resource},
    pool::{Bucket, Closed, Pool, PoolKind, ShutdownPolicy},
};
use reeve_provider::Quota;
use reeve_store::{
    self as store,
    engine::{Conn, Tx},
    node::Full,
};

use crate::{
    budget,
    cluster::{self, Figures},
    core::{Core, stored},
    ctx::Ctx,
    operation, record,
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

/// Which nodes of a cluster: the union of everything given.
#[derive(Default)]
pub struct Selector<'a> {
    /// Exact names.
    pub names: Vec<String>,
    /// Ids.
    pub ids: Vec<String>,
    /// Host names without domain, without case.
    pub hostnames: Vec<String>,
    /// Addresses.
    pub addresses: Vec<String>,
    /// A dialect's own test.
    pub filter: Option<Filter<'a>>,
}

/// A dialect's own test of a node, on one consistent view of the cluster.
pub type Filter<'a> = Box<dyn Fn(&cluster::Status, &Full) -> bool + Send + Sync + 'a>;

impl Selector<'_> {
    /// Nothing was selected; never to be read as *everything*.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
            && self.ids.is_empty()
            && self.hostnames.is_empty()
            && self.addresses.is_empty()
            && self.filter.is_none()
    }

    fn takes(&self, status: &cluster::Status, full: &Full) -> bool {
        let node = &full.node;
        self.names.contains(&node.name)
            || (!self.ids.is_empty() && self.ids.iter().any(|id| id.eq_ignore_ascii_case(&node.id.to_string())))
            || node.seen.hostname.as_deref().is_some_and(|hostname| {
                let short = hostname.split('.').next().unwrap_or(hostname);
                self.hostnames.iter().any(|wanted| wanted.eq_ignore_ascii_case(short))
            })
            || node
                .seen
                .address
                .is_some_and(|address| self.addresses.contains(&address.to_string()))
            || self.filter.as_ref().is_some_and(|filter| filter(status, full))
    }
}

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

/// Quotas by (account, region), read before a transaction opens.
pub(crate) type Quotas = BTreeMap<(String, String), Arc<Quota>>;

/// Quotas that bear on a cluster.
pub(crate) async fn quotas(ctx: &Ctx, cluster: ClusterId) -> Result<Quotas> {
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let pools = store::pool::list(&mut db, cluster)
        .await
        .map_err(stored("list pools"))?;
    drop(db);
    let mut quotas = Quotas::new();
    for pool in pools.into_iter().filter(|pool| pool.kind != PoolKind::Hosts) {
        let quota = ctx.core.quota(ctx.core.account(&pool.account)?, &pool.region).await?;
        quotas.insert((pool.account, pool.region), quota);
    }
    Ok(quotas)
}

/// Limits and use of one bucket, as the transaction sees them.
pub(crate) async fn figures(
    ctx: &Ctx,
    db: &mut Conn,
    cluster: &Cluster,
    pool: &Pool,
    size: &str,
    quotas: &Quotas,
) -> Result<Figures> {
    let account = ctx.core.account(&pool.account)?;
    let size = Core::size(account, size)
        .ok_or_else(|| Error::internal(format!("size {size} left the catalogue of {}", pool.account)))?;
    let quota = quotas
        .get(&(pool.account.clone(), pool.region.clone()))
        .ok_or_else(|| Error::internal(format!("no quota was read for {}", pool.account)))?;
    let family = quota
        .family_cores
        .get(&size.family)
        .copied()
        .unwrap_or(quota.regional_cores);
    let limits = Limits {
        cluster_nodes: cluster.max_count,
        cluster_cores: cluster.max_cores,
        pool_nodes: pool.max_count.unwrap_or(reeve_model::cluster::MAX_COUNT_DEFAULT),
        pool_cores: pool.max_cores.unwrap_or(reeve_model::cluster::MAX_CORES_DEFAULT),
        cores: pool.core_count.unwrap_or(size.vcpus),
        quota_cores: size.quota_vcpus,
        family_quota: family,
        region_quota: if pool.interruptible {
            quota.spot_cores
        } else {
            quota.regional_cores
        },
        spot: pool.interruptible,
        group_size: pool.group_size_max,
    };
    let region = Key::region(&pool.account, &pool.region, pool.interruptible);
    let others = &quota.used_by_others;
    let total = |error| stored("load totals")(error);
    let mut family_use = store::ledger::tally(db, &Key::family(&pool.account, &pool.region, &size.family))
        .await
        .map_err(total)?;
    let mut region_use = store::ledger::tally(db, &region).await.map_err(total)?;
    let other_family = others.family_cores.get(&size.family).copied().unwrap_or(0);
    let other_region = if pool.interruptible {
        others.spot_cores
    } else {
        others.regional_cores
    };
    family_use.cores += i64::try_from(other_family).unwrap_or(i64::MAX);
    region_use.cores += i64::try_from(other_region).unwrap_or(i64::MAX);
    let in_use = InUse {
        cluster: store::ledger::tally(db, &Key::cluster(cluster.id))
            .await
            .map_err(total)?,
        pool: store::ledger::tally(db, &Key::pool(pool.id)).await.map_err(total)?,
        bucket: store::ledger::tally(db, &Key::bucket(pool.id, &size.name))
            .await
            .map_err(total)?,
        family_cores: family_use.cores,
        region_cores: region_use.cores,
    };
    Ok(Figures { size, limits, in_use })
}

/// More nodes that a bucket takes now.
pub(crate) fn available(ctx: &Ctx, cluster: &Cluster, pool: &Pool, bucket: &Bucket, figures: &Figures) -> u32 {
    let open =
        bucket.closed(cluster.goal == ClusterGoal::Started).is_none() && !bucket.exhausted(pool.throttle, ctx.now());
    capacity::available(&figures.limits, &figures.in_use, open)
}

/// Where a pool's machines count.
pub(crate) fn place(core: &Core, pool: &Pool, size: &str) -> Place {
    let family = core
        .accounts
        .get(&pool.account)
        .and_then(|account| Core::size(account, size));
    Place {
        account: pool.account.clone(),
        region: pool.region.clone(),
        family: family.map(|size| size.family).unwrap_or_default(),
    }
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

/// Raises a pool to a total of nodes or cores; never lowers it.
///
/// # Errors
/// As [`create`].
pub async fn scale(
    ctx: &Ctx,
    which: &cluster::Selector,
    pool: &str,
    nodes: Option<u32>,
    cores: Option<u32>,
) -> Result<Created> {
    let cluster = cluster::permitted(ctx, which, Resource::Node, Action::Create).await?;
    let quotas = quotas(ctx, cluster.id).await?;
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    budget::admit(ctx, &mut tx, &cluster).await?;
    let mut making = Making::open(ctx, &mut tx, cluster.id, &quotas).await?;
    making.load_names(&mut tx).await?;
    let set = Set {
        pool: pool.to_owned(),
        count: 1,
        size: None,
        name_format: None,
        name_offset: None,
        placement_group: None,
        differences: Differences::default(),
        overrides: None,
    };
    let (pool, format) = making.check(&set)?;
    let mut names = Vec::new();
    let mut short = 0;
    for size in pool.sizes.clone() {
        let figures = figures(ctx, &mut tx, &making.cluster, &pool, &size, &quotas).await?;
        let in_use = making.in_use(&pool, &figures);
        short = match (nodes, cores) {
            (Some(total), _) => u32::try_from(i64::from(total) - in_use.pool.nodes).unwrap_or(0),
            (None, Some(total)) => u32::try_from(i64::from(total) - in_use.pool.cores)
                .unwrap_or(0)
                .div_ceil(figures.limits.cores.max(1)),
            (None, None) => return Err(Error::invalid("totalNodeCount", "give a total of nodes or of cores")),
        };
        if short == 0 {
            break;
        }
        let set = Set {
            count: short,
            size: Some(size),
            ..set.clone()
        };
        let added = making.add(&mut tx, &set, &pool, &format).await?;
        short -= u32::try_from(added.names.len()).unwrap_or(short);
        names.extend(added.names);
    }
    let message = (short > 0).then(|| format!("{short} more nodes were wanted than there is room for"));
    let (targets, cluster) = making.write(&mut tx).await?;
    let operation = cluster::operate(ctx, &mut tx, &cluster, Verb::Create, None, &targets).await?;
    record::done(
        ctx,
        &mut tx,
        "scale-pool",
        &pool.name,
        format!("{} nodes", targets.len()),
    )
    .await?;
    tx.notify("node", String::new());
    tx.commit().await.map_err(stored("commit"))?;
    ctx.core.nodes_due.notify_one();
    Ok(Created {
        operation,
        sets: vec![Added { names, message }],
    })
}

/// Nodes being made in one transaction.
struct Making<'a> {
    ctx: &'a Ctx,
    cluster: Cluster,
    pools: Vec<Pool>,
    buckets: Vec<Bucket>,
    quotas: &'a Quotas,
    taken: HashSet<String>,
    deltas: Deltas,
    made: Vec<Full>,
}

impl<'a> Making<'a> {
    /// Takes the locks, in an order that is the same for everybody, and loads what decisions need.
    async fn open(ctx: &'a Ctx, tx: &mut Tx, id: ClusterId, quotas: &'a Quotas) -> Result<Self> {
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
    async fn load_names(&mut self, tx: &mut Tx) -> Result<()> {
        let names = store::node::names(tx, self.cluster.id)
            .await
            .map_err(stored("list names"))?;
        self.taken = names.into_iter().collect();
        Ok(())
    }

    /// Everything that may be wrong with a set, before anything is made.
    fn check(&self, set: &Set) -> Result<(Pool, Format)> {
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
    fn in_use(&self, pool: &Pool, figures: &Figures) -> InUse {
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
    async fn add(&mut self, tx: &mut Tx, set: &Set, pool: &Pool, format: &Format) -> Result<Added> {
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

    fn why(&self, pool: &Pool, bucket: &Bucket, figures: &Figures) -> String {
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
    async fn write(self, tx: &mut Tx) -> Result<(Vec<Target>, Cluster)> {
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
fn fresh(ctx: &Ctx, cluster: &Cluster, pool: &Pool, name: String, sequence: i64, figures: &Figures) -> Node {
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
