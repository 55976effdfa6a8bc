//! Hosts that people bring: declared by name in a managed cluster, enrolled by their own agent, approved, and then
//! waiting for what provisions them.

use std::time::Duration;

use reeve_model::{
    Error, Kind, Result, Timestamp,
    cluster::{Aspects, Cluster},
    condition::{Condition, Reason},
    id::{NodeId, PoolId},
    node::{AgentView, Goal, Node, Observation, Phase},
    permission::{Action, Resource},
    pool::{Pool, PoolKind, ShutdownPolicy},
};
use reeve_store::{self as store, engine::Tx, identity::JoinToken, node::Full};

use crate::{
    agent::{Enrolment, Failure, Refused},
    cluster::{self, Selector},
    core::{Core, stored},
    ctx::Ctx,
    record,
    secret::token,
};

/// A host as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Host name, short or full.
    pub hostname: String,
    /// Address it must hold.
    pub address: String,
}

/// A managed cluster as declared.
#[derive(Debug, Clone)]
pub struct Declaration {
    /// Its name, unique in the folder.
    pub name: String,
    /// Hosts in declared order.
    pub hosts: Vec<Declared>,
    /// Hosts are approved as soon as they enrol.
    pub auto_approve: bool,
    /// Version of Kubernetes wanted.
    pub version: String,
    /// The dialect's own document, kept beside the cluster under `dialect`.
    pub document: String,
    /// Name of that dialect.
    pub dialect: &'static str,
}

/// Name of the one pool of declared hosts.
pub const POOL: &str = "hosts";

/// A managed cluster with its hosts.
#[derive(Debug, Clone)]
pub struct Managed {
    /// The cluster.
    pub cluster: Cluster,
    /// Its hosts in declared order.
    pub hosts: Vec<Node>,
    /// The dialect's document.
    pub document: String,
}

/// Declares a managed cluster, new or changed: hosts that appear are recorded, hosts that vanish are dropped.
///
/// # Errors
/// `NotFound` for an unknown folder, `Forbidden`, `AlreadyExists` when another kind of cluster has the name.
pub async fn declare(ctx: &Ctx, folder: &str, declaration: &Declaration) -> Result<Managed> {
    let existing = match cluster::get(ctx, &Selector::InFolder(folder.into(), declaration.name.clone())).await {
        Ok(cluster) => Some(cluster),
        Err(error) if error.kind == Kind::NotFound => None,
        Err(error) => return Err(error),
    };
    let home = match &existing {
        Some(cluster) => {
            ctx.check(
                Resource::Cluster,
                Action::Update,
                &cluster.scope(),
                "cluster",
                &cluster.name,
            )
            .await?;
            cluster.folder
        }
        None => cluster::home(ctx, Some(folder)).await?,
    };
    if existing.as_ref().is_some_and(|cluster| !cluster.aspects.managed) {
        let text = format!(
            "a cluster named \"{}\" of another kind already exists",
            declaration.name
        );
        return Err(Error::new(Kind::AlreadyExists, text));
    }
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    let fresh = existing.is_none();
    let mut cluster = existing.unwrap_or_else(|| {
        cluster::blank(
            ctx,
            home,
            &declaration.name,
            Aspects {
                managed: true,
                ..Aspects::default()
            },
        )
    });
    cluster.version = Some(declaration.version.clone());
    cluster.updated_at = ctx.now();
    let pool = if fresh {
        store::cluster::insert(&mut tx, &cluster)
            .await
            .map_err(stored("insert cluster"))?;
        let pool = hosts_pool(ctx, &cluster);
        store::pool::put(&mut tx, &pool, "{}")
            .await
            .map_err(stored("write pool"))?;
        pool
    } else {
        store::cluster::update(&mut tx, &cluster)
            .await
            .map_err(stored("update cluster"))?;
        let pools = store::pool::list(&mut tx, cluster.id)
            .await
            .map_err(stored("list pools"))?;
        pools
            .into_iter()
            .next()
            .ok_or_else(|| Error::internal("a managed cluster has no pool"))?
    };
    declare_hosts(ctx, &mut tx, &cluster, &pool, declaration).await?;
    store::ledger::put_facet(
        &mut tx,
        &cluster.id.to_string(),
        declaration.dialect,
        &declaration.document,
        ctx.now(),
    )
    .await
    .map_err(stored("keep document"))?;
    store::ledger::put_facet(
        &mut tx,
        &cluster.id.to_string(),
        AUTO_APPROVE,
        &declaration.auto_approve.to_string(),
        ctx.now(),
    )
    .await
    .map_err(stored("keep approval rule"))?;
    let detail = format!("{} hosts", declaration.hosts.len());
    record::done(ctx, &mut tx, "apply-cluster", &cluster.name, detail.clone()).await?;
    let event = record::event(
        ctx,
        &cluster,
        "cluster",
        &cluster.name,
        format!("declared with {detail}"),
    );
    store::ledger::events(&mut tx, &[event])
        .await
        .map_err(stored("write event"))?;
    let hosts = store::node::list(&mut tx, cluster.id)
        .await
        .map_err(stored("list hosts"))?;
    tx.commit().await.map_err(stored("commit"))?;
    let hosts = hosts.into_iter().map(|full| full.node).collect();
    Ok(Managed {
        cluster,
        hosts,
        document: declaration.document.clone(),
    })
}

async fn declare_hosts(ctx: &Ctx, tx: &mut Tx, cluster: &Cluster, pool: &Pool, wanted: &Declaration) -> Result<()> {
    let known = store::node::list(tx, cluster.id).await.map_err(stored("list hosts"))?;
    for full in &known {
        if !wanted
            .hosts
            .iter()
            .any(|host| host.hostname.eq_ignore_ascii_case(&full.node.name))
        {
            store::node::delete(tx, full.node.id, None)
                .await
                .map_err(stored("drop host"))?;
        } else if wanted.auto_approve && full.node.seen.condition.reason == Reason::Discovered {
            let mut node = full.node.clone();
            set(&mut node, Reason::Approved, APPROVED, ctx.now());
            store::node::wish(tx, &node).await.map_err(stored("approve host"))?;
        }
    }
    for host in &wanted.hosts {
        if known
            .iter()
            .any(|full| full.node.name.eq_ignore_ascii_case(&host.hostname))
        {
            continue;
        }
        let sequence = store::cluster::take_sequence(tx, cluster.id, 1)
            .await
            .map_err(stored("number host"))?;
        let node = host_node(ctx, cluster, pool, host, sequence);
        store::node::insert(tx, &[Full { node, overrides: None }])
            .await
            .map_err(stored("insert host"))?;
    }
    Ok(())
}

fn hosts_pool(ctx: &Ctx, cluster: &Cluster) -> Pool {
    Pool {
        id: PoolId(ctx.core.id()),
        cluster: cluster.id,
        name: POOL.into(),
        kind: PoolKind::Hosts,
        position: 0,
        revision: 1,
        account: String::new(),
        region: String::new(),
        zone: None,
        sizes: Vec::new(),
        max_count: None,
        max_cores: None,
        core_count: None,
        interruptible: false,
        max_price: None,
        placement_group: None,
        group_size_max: reeve_model::pool::GROUP_SIZE_DEFAULT,
        initial_count: 0,
        initial_cores: 0,
        keep_alive: false,
        fixed: true,
        shutdown_policy: ShutdownPolicy::Terminate,
        start_automatically: false,
        name_format: None,
        name_offset: 1,
        start_timeout: reeve_model::pool::START_TIMEOUT_DEFAULT,
        throttle: Duration::ZERO,
        scripts: Vec::new(),
        removed: false,
    }
}

fn host_node(ctx: &Ctx, cluster: &Cluster, pool: &Pool, host: &Declared, sequence: i64) -> Node {
    let now = ctx.now();
    let mut node = Node {
        id: NodeId(ctx.core.id()),
        tenant: cluster.tenant,
        cluster: cluster.id,
        pool: pool.id,
        pool_revision: pool.revision,
        name: host.hostname.clone(),
        sequence,
        size: String::new(),
        cores: 0,
        quota_cores: 0,
        spot: false,
        placement_group: None,
        single: false,
        fixed: true,
        keep_alive: false,
        shutdown_policy: ShutdownPolicy::Terminate,
        start_timeout: pool.start_timeout,
        goal: Goal::Started,
        generation: 1,
        seen: Observation::off(now),
        agent: AgentView::default(),
        created_at: now,
        ready_at: None,
    };
    node.seen.incarnation = 1;
    set(
        &mut node,
        Reason::WaitingForHost,
        "the installer command has not run on this host",
        now,
    );
    node
}

const APPROVED: &str = "approved; installing Kubernetes on hosts is not offered by this version of Reeve";

fn set(node: &mut Node, reason: Reason, message: &str, now: Timestamp) {
    node.seen.condition = Condition {
        reason,
        message: message.to_owned(),
        since: now,
    };
}

/// Finds the declared host that an agent stands for, and records that it came.
pub(crate) async fn admit(core: &Core, tx: &mut Tx, token: &JoinToken, ask: &Enrolment) -> Result<Node, Failure> {
    let now = core.now();
    let hosts = store::node::list(tx, token.cluster)
        .await
        .map_err(stored("list hosts"))?;
    let short = |name: &str| name.split('.').next().unwrap_or(name).to_lowercase();
    let found = hosts
        .into_iter()
        .map(|full| full.node)
        .find(|node| short(&node.name) == short(&ask.hostname));
    let Some(mut node) = found else {
        let text = format!(
            "host \"{}\" is not declared in this cluster; add it to the document first",
            ask.hostname
        );
        return Err(Failure::Refused(Refused::NotDeclared, text));
    };
    let before = store::node::find_report(tx, node.id)
        .await
        .map_err(stored("load report"))?;
    if let (Some(before), Some(machine)) = (&before, &node.seen.machine)
        && before.instance != ask.instance
        && *machine != ask.machine_id
    {
        let text = format!(
            "host \"{}\" is registered with another machine; remove it first",
            node.name
        );
        return Err(Failure::Refused(Refused::NameHeld, text));
    }
    node.seen.machine = Some(ask.machine_id.clone());
    node.seen.hostname = Some(ask.hostname.clone());
    node.seen.address = ask
        .addresses
        .iter()
        .find_map(|text| text.parse().ok().filter(|ip: &std::net::Ipv4Addr| !ip.is_loopback()));
    if let Some(why) = &ask.failed_precheck {
        // The host is not let in, but people are to see why: the caller commits and refuses.
        set(&mut node, Reason::PrecheckFailed, why, now);
        store::node::wish(tx, &node).await.map_err(stored("write host"))?;
        return Ok(node);
    }
    let known = matches!(node.seen.condition.reason, Reason::Discovered | Reason::Approved);
    if !known {
        let automatic = store::ledger::facet(tx, &token.cluster.to_string(), AUTO_APPROVE)
            .await
            .map_err(stored("load"))?;
        if automatic.as_deref() == Some("true") {
            set(&mut node, Reason::Approved, APPROVED, now);
        } else {
            set(&mut node, Reason::Discovered, "registered; waiting for approval", now);
        }
    }
    node.seen.phase = Phase::Off;
    store::node::wish(tx, &node).await.map_err(stored("write host"))?;
    Ok(node)
}

/// Where a managed cluster keeps whether hosts are approved as they come.
const AUTO_APPROVE: &str = "host.auto-approve";

/// A managed cluster with its hosts and document.
///
/// # Errors
/// `NotFound`.
pub async fn get(ctx: &Ctx, folder: &str, name: &str, dialect: &str) -> Result<Managed> {
    let cluster = cluster::get(ctx, &Selector::InFolder(folder.into(), name.into())).await?;
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let document = store::ledger::facet(&mut db, &cluster.id.to_string(), dialect)
        .await
        .map_err(stored("load"))?;
    let hosts = store::node::list(&mut db, cluster.id)
        .await
        .map_err(stored("list hosts"))?;
    match document {
        Some(document) => Ok(Managed {
            cluster,
            hosts: hosts.into_iter().map(|full| full.node).collect(),
            document,
        }),
        None => Err(Error::not_found("cluster", name)),
    }
}

/// Approves a discovered host.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Conflict` when it is not waiting for approval.
pub async fn approve(ctx: &Ctx, which: &Selector, hostname: &str) -> Result<()> {
    let cluster = cluster::permitted(ctx, which, Resource::Node, Action::Update).await?;
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    let full = store::node::find_by_name(&mut tx, cluster.id, hostname)
        .await
        .map_err(stored("load host"))?
        .ok_or_else(|| Error::not_found("node", hostname))?;
    let mut node = full.node;
    if node.seen.condition.reason != Reason::Discovered {
        return Err(Error::conflict(format!(
            "host \"{hostname}\" is not waiting for approval"
        )));
    }
    set(&mut node, Reason::Approved, APPROVED, ctx.now());
    store::node::wish(&mut tx, &node)
        .await
        .map_err(stored("approve host"))?;
    record::done(ctx, &mut tx, "approve-host", hostname, String::new()).await?;
    tx.commit().await.map_err(stored("commit"))
}

/// The join token of a managed cluster: the same for all its hosts, valid `life` from `issued`.
///
/// # Errors
/// `Forbidden`, `NotFound`.
pub async fn join_token(ctx: &Ctx, which: &Selector, life: Duration) -> Result<(Cluster, String, Timestamp)> {
    let cluster = cluster::permitted(ctx, which, Resource::Cluster, Action::Join).await?;
    let now = ctx.now();
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    // The token changes only when its life is over, so that commands already handed out keep working.
    let period = now.since(cluster.created_at).as_secs() / life.as_secs().max(1);
    let launch = format!("cluster-{}-{}-{period}", cluster.id, life.as_secs());
    let token = token::join_token(&ctx.core.key, &launch).into_exposed();
    let created = cluster.created_at + Duration::from_secs(life.as_secs() * period);
    let kept = JoinToken {
        hash: ctx.core.key.keyed_hash("join", &token),
        tenant: cluster.tenant,
        cluster: cluster.id,
        node: None,
        incarnation: 1,
        used_by: None,
        single_use: false,
        created_at: created,
        expires_at: created + life,
    };
    store::identity::add_join_tokens(&mut tx, std::slice::from_ref(&kept))
        .await
        .map_err(stored("keep join token"))?;
    record::done(ctx, &mut tx, "read-join-token", &cluster.name, String::new()).await?;
    tx.commit().await.map_err(stored("commit"))?;
    Ok((cluster, token, kept.expires_at))
}
