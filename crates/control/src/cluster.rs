//! Clusters: making, importing, starting, ending and showing them.

use std::collections::BTreeMap;

use reeve_model::{
    Error, Kind, Result, Timestamp,
    capacity::{self, InUse, Key, Limits, Totals},
    cluster::{Aspects, Cluster, Goal, MAX_CORES_DEFAULT, MAX_COUNT_DEFAULT, Phase},
    id::{ClusterId, FolderId, OperationId, PoolId},
    node,
    operation::{Operation, Target, Verb},
    permission::{Action, Resource},
    pool::{Bucket, Pool, PoolKind},
    scope::Scope,
    size::MachineSize,
};
use reeve_store::{
    self as store,
    cluster::Folder,
    engine::{Conn, Reader, Tx},
    node::Full,
};

use crate::{
    budget,
    core::{Core, stored},
    ctx::Ctx,
    node as nodes, record,
};

/// Name of the folder that every tenant starts with.
pub const FOLDER_DEFAULT: &str = "defaultproject";

/// Which cluster.
#[derive(Debug, Clone)]
pub enum Selector {
    /// By id.
    Id(ClusterId),
    /// By name, anywhere in the tenant.
    Name(String),
    /// By name in a folder.
    InFolder(String, String),
}

impl Selector {
    fn text(&self) -> String {
        match self {
            Self::Id(id) => id.to_string(),
            Self::Name(name) | Self::InFolder(_, name) => name.clone(),
        }
    }
}

/// A declared pool of a cluster to import.
#[derive(Debug, Clone)]
pub struct PoolSpec {
    /// The pool; ids, position and revision are filled in here.
    pub pool: Pool,
    /// JSON object of the attributes as declared.
    pub attributes: String,
    /// Line of the declaration that names its machine sizes, for errors.
    pub size_line: u32,
}

/// A declared elastic cluster.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// Most nodes.
    pub max_count: Option<u32>,
    /// Most cores.
    pub max_cores: Option<u32>,
    /// Its pools in declared order.
    pub pools: Vec<PoolSpec>,
}

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

/// A consistent view of the database with a cluster whose `resource` the caller may see; the first step of every read.
pub(crate) async fn view(ctx: &Ctx, which: &Selector, resource: Resource) -> Result<(Reader, Cluster)> {
    let folder = match which {
        Selector::InFolder(folder, _) => Some(folder_named(ctx, folder).await?),
        Selector::Id(_) | Selector::Name(_) => None,
    };
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let found = match which {
        Selector::Id(id) => store::cluster::find(&mut db, ctx.tenant(), *id).await,
        Selector::Name(name) | Selector::InFolder(_, name) => {
            let named = store::cluster::find_by_name(&mut db, ctx.tenant(), name).await;
            let here = |cluster: &Cluster| folder.as_ref().is_none_or(|folder| folder.id == cluster.folder);
            named.map(|all| all.into_iter().find(here))
        }
    };
    let Some(cluster) = found.map_err(stored("load cluster"))? else {
        return Err(Error::not_found("cluster", which.text()));
    };
    let sees = |resource| ctx.sees(resource, &cluster.scope());
    if sees(Resource::Cluster) && sees(resource) {
        return Ok((db, cluster));
    }
    // The refusal is written on a connection of its own.
    drop(db);
    Err(ctx.refused(Action::Read, "cluster", &which.text(), false).await)
}

/// Finds a cluster and checks the permission; the first step of every verb on one.
pub(crate) async fn permitted(ctx: &Ctx, which: &Selector, resource: Resource, action: Action) -> Result<Cluster> {
    let (db, cluster) = view(ctx, which, Resource::Cluster).await?;
    drop(db);
    ctx.check(resource, action, &cluster.scope(), "cluster", &cluster.name)
        .await?;
    Ok(cluster)
}

async fn folder_named(ctx: &Ctx, name: &str) -> Result<Folder> {
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let folders = store::cluster::folders(&mut db, ctx.tenant())
        .await
        .map_err(stored("list folders"))?;
    drop(db);
    let Some(folder) = folders.into_iter().find(|folder| folder.name == name) else {
        return Err(Error::not_found("project", name));
    };
    let scope = Scope::folder(ctx.tenant(), folder.id);
    if reeve_model::permission::allows_somewhere(&ctx.actor, Resource::Cluster, Action::Read, &scope) {
        return Ok(folder);
    }
    Err(ctx.refused(Action::Read, "project", name, false).await)
}

/// Folders the caller may see, oldest first.
///
/// # Errors
/// `Unavailable` when the database does not answer.
pub async fn folders(ctx: &Ctx) -> Result<Vec<Folder>> {
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let folders = store::cluster::folders(&mut db, ctx.tenant())
        .await
        .map_err(stored("list folders"))?;
    Ok(folders
        .into_iter()
        .filter(|folder| {
            let scope = Scope::folder(ctx.tenant(), folder.id);
            reeve_model::permission::allows_somewhere(&ctx.actor, Resource::Folder, Action::Read, &scope)
        })
        .collect())
}

/// Makes a folder.
///
/// # Errors
/// `Forbidden`, `AlreadyExists`, `Invalid`.
pub async fn create_folder(ctx: &Ctx, name: &str) -> Result<Folder> {
    ctx.check_root(Resource::Folder, Action::Create, "folders").await?;
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if name.is_empty() || name.len() > 63 || !name.chars().all(legal) {
        return Err(Error::invalid(
            "name",
            format!("\"{name}\" is no folder name: 1 to 63 of A-Z a-z 0-9 - _ ."),
        ));
    }
    let folder = Folder {
        id: FolderId(ctx.core.id()),
        name: name.to_owned(),
        created_at: ctx.now(),
    };
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    store::cluster::insert_folder(&mut tx, ctx.tenant(), &folder)
        .await
        .map_err(stored("insert folder"))?;
    record::done(ctx, &mut tx, "create-folder", name, String::new()).await?;
    tx.commit().await.map_err(stored("commit"))?;
    Ok(folder)
}

/// Clusters the caller may see, oldest first.
///
/// # Errors
/// `Unavailable` when the database does not answer, `Forbidden` as [`Ctx::check_list`] says.
pub async fn list(ctx: &Ctx) -> Result<Vec<Cluster>> {
    ctx.check_list(Resource::Cluster, "clusters").await?;
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let clusters = store::cluster::list(&mut db, ctx.tenant())
        .await
        .map_err(stored("list clusters"))?;
    Ok(clusters
        .into_iter()
        .filter(|cluster| ctx.sees(Resource::Cluster, &cluster.scope()))
        .collect())
}

/// Clusters of one folder, by name.
///
/// # Errors
/// `NotFound` for an unknown folder.
pub async fn list_folder(ctx: &Ctx, folder: &str) -> Result<Vec<Cluster>> {
    let folder = folder_named(ctx, folder).await?;
    let mut clusters = list(ctx).await?;
    clusters.retain(|cluster| cluster.folder == folder.id);
    clusters.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(clusters)
}

/// One cluster.
///
/// # Errors
/// `NotFound`.
pub async fn get(ctx: &Ctx, which: &Selector) -> Result<Cluster> {
    Ok(view(ctx, which, Resource::Cluster).await?.1)
}

/// Counts of nodes by what they are wanted to be and are.
///
/// # Errors
/// `NotFound`.
pub async fn census(ctx: &Ctx, cluster: ClusterId) -> Result<Vec<(node::Goal, node::Phase, i64)>> {
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    store::node::census(&mut db, Some(cluster))
        .await
        .map_err(stored("count nodes"))
}

/// The id of a folder that a new cluster is to lie in, with the permission checked.
pub(crate) async fn home(ctx: &Ctx, folder: Option<&str>) -> Result<FolderId> {
    let folder = folder_named(ctx, folder.unwrap_or(FOLDER_DEFAULT)).await?;
    let scope = Scope::folder(ctx.tenant(), folder.id);
    if !reeve_model::permission::allows(&ctx.actor, Resource::Cluster, Action::Create, &scope) {
        record::denied(ctx, "create-cluster", &folder.name).await;
        return Err(Error::new(
            Kind::Forbidden,
            format!("{} may not create clusters in \"{}\"", ctx.actor.name, folder.name),
        ));
    }
    Ok(folder.id)
}

/// May the caller make clusters in this folder? For those who must know before they look at what was sent.
///
/// # Errors
/// `NotFound` for an unknown folder, `Forbidden`.
pub async fn may_create(ctx: &Ctx, folder: &str) -> Result<()> {
    home(ctx, Some(folder)).await.map(drop)
}

/// A fresh record.
pub(crate) fn blank(ctx: &Ctx, folder: FolderId, name: &str, aspects: Aspects) -> Cluster {
    Cluster {
        id: ClusterId(ctx.core.id()),
        tenant: ctx.tenant(),
        folder,
        name: name.to_owned(),
        aspects,
        goal: Goal::Idle,
        generation: 0,
        phase: Phase::Idle,
        max_count: MAX_COUNT_DEFAULT,
        max_cores: MAX_CORES_DEFAULT,
        domain: None,
        version: None,
        created_at: ctx.now(),
        updated_at: ctx.now(),
        last_seen: None,
        delete_requested_at: None,
        simulated: false,
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.chars().count() > 253 || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "name",
            "a cluster's name has 1 to 253 characters and no control characters",
        ));
    }
    Ok(())
}

/// Refuses a name that another cluster of the tenant has.
async fn check_free(ctx: &Ctx, db: &mut Conn, name: &str, except: Option<ClusterId>) -> Result<()> {
    let same = store::cluster::find_by_name(db, ctx.tenant(), name)
        .await
        .map_err(stored("load cluster"))?;
    if same.iter().any(|cluster| Some(cluster.id) != except) {
        return Err(Error::new(
            Kind::AlreadyExists,
            format!("a cluster named \"{name}\" already exists"),
        ));
    }
    Ok(())
}

/// Makes the record of a cluster that an agent will report.
///
/// # Errors
/// `Invalid`, `AlreadyExists`, `Forbidden`.
pub async fn create(ctx: &Ctx, name: &str, domain: Option<String>, version: Option<String>) -> Result<Cluster> {
    let folder = home(ctx, None).await?;
    check_name(name)?;
    let mut cluster = blank(
        ctx,
        folder,
        name,
        Aspects {
            attached: true,
            ..Aspects::default()
        },
    );
    cluster.domain = domain;
    cluster.version = version;
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    check_free(ctx, &mut tx, name, None).await?;
    store::cluster::insert(&mut tx, &cluster)
        .await
        .map_err(stored("insert cluster"))?;
    record::done(ctx, &mut tx, "create-cluster", name, String::new()).await?;
    let event = record::event(ctx, &cluster, "cluster", name, "created".into());
    store::ledger::events(&mut tx, &[event])
        .await
        .map_err(stored("write event"))?;
    tx.commit().await.map_err(stored("commit"))?;
    Ok(cluster)
}

/// Renames a cluster; to its present name is fine.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Invalid`, `AlreadyExists`.
pub async fn rename(ctx: &Ctx, which: &Selector, name: &str) -> Result<()> {
    let mut cluster = permitted(ctx, which, Resource::Cluster, Action::Update).await?;
    check_name(name)?;
    if cluster.name == name {
        return Ok(());
    }
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    check_free(ctx, &mut tx, name, Some(cluster.id)).await?;
    let before = std::mem::replace(&mut cluster.name, name.to_owned());
    cluster.updated_at = ctx.now();
    store::cluster::update(&mut tx, &cluster)
        .await
        .map_err(stored("update cluster"))?;
    record::done(ctx, &mut tx, "rename-cluster", name, format!("was \"{before}\"")).await?;
    tx.commit().await.map_err(stored("commit"))
}

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

/// Defines an elastic cluster, or with `force` replaces its definition; starts nothing.
///
/// # Errors
/// `Invalid` with every problem and its line, `AlreadyExists` without `force`, `Forbidden`.
pub async fn import(ctx: &Ctx, spec: Spec, force: bool) -> Result<Cluster> {
    let folder = home(ctx, None).await?;
    check_name(&spec.name)?;
    let simulated = check_sizes(&ctx.core, &spec)?;
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    let existing = store::cluster::find_by_name(&mut tx, ctx.tenant(), &spec.name)
        .await
        .map_err(stored("load cluster"))?
        .into_iter()
        .next();
    let mut cluster = match existing {
        Some(cluster) if force && cluster.aspects.elastic => cluster,
        Some(_) => {
            return Err(Error::new(
                Kind::AlreadyExists,
                format!("a cluster named \"{}\" already exists", spec.name),
            ));
        }
        None => {
            let cluster = blank(
                ctx,
                folder,
                &spec.name,
                Aspects {
                    elastic: true,
                    ..Aspects::default()
                },
            );
            store::cluster::insert(&mut tx, &cluster)
                .await
                .map_err(stored("insert cluster"))?;
            cluster
        }
    };
    cluster.max_count = spec.max_count.unwrap_or(MAX_COUNT_DEFAULT);
    cluster.max_cores = spec.max_cores.unwrap_or(MAX_CORES_DEFAULT);
    cluster.simulated = simulated;
    cluster.updated_at = ctx.now();
    store::cluster::update(&mut tx, &cluster)
        .await
        .map_err(stored("update cluster"))?;
    declare_pools(ctx, &mut tx, &cluster, spec.pools).await?;
    record::done(ctx, &mut tx, "import-cluster", &cluster.name, String::new()).await?;
    let event = record::event(ctx, &cluster, "cluster", &cluster.name, "imported".into());
    store::ledger::events(&mut tx, &[event])
        .await
        .map_err(stored("write event"))?;
    tx.commit().await.map_err(stored("commit"))?;
    Ok(cluster)
}

/// Every size must be in its account's catalogue; answers whether any account is simulated.
fn check_sizes(core: &Core, spec: &Spec) -> Result<bool> {
    let mut problems = Vec::new();
    let mut simulated = false;
    for declared in &spec.pools {
        let account = match core.account(&declared.pool.account) {
            Ok(account) => account,
            Err(error) => {
                problems.push(format!("line {}: {}", declared.size_line, error.message));
                continue;
            }
        };
        simulated |= account.machines.capabilities().simulated;
        for size in &declared.pool.sizes {
            if Core::size(account, size).is_none() {
                problems.push(format!(
                    "line {}: machine size \"{size}\" is not in the catalogue of provider account \"{}\"",
                    declared.size_line, account.name
                ));
            }
        }
    }
    if problems.is_empty() {
        return Ok(simulated);
    }
    Err(Error::invalid("template", problems.join("\n")))
}

async fn declare_pools(ctx: &Ctx, tx: &mut Tx, cluster: &Cluster, declared: Vec<PoolSpec>) -> Result<()> {
    let old = store::pool::list(tx, cluster.id).await.map_err(stored("list pools"))?;
    let buckets = store::pool::buckets(tx, cluster.id)
        .await
        .map_err(stored("list buckets"))?;
    let attributes = store::pool::attributes(tx, cluster.id)
        .await
        .map_err(stored("load attributes"))?;
    let mut kept = Vec::new();
    for (
        position,
        PoolSpec {
            mut pool,
            attributes: declared,
            ..
        },
    ) in (0i64..).zip(declared)
    {
        let account = ctx.core.account(&pool.account)?;
        let canonical = |name: &String| Core::size(account, name).map_or_else(|| name.clone(), |size| size.name);
        pool.sizes = pool.sizes.iter().map(canonical).collect();
        let before = old.iter().find(|before| before.name.eq_ignore_ascii_case(&pool.name));
        pool.id = before.map_or_else(|| PoolId(ctx.core.id()), |before| before.id);
        pool.revision = before.map_or(1, |before| before.revision + 1);
        pool.cluster = cluster.id;
        pool.position = position;
        store::pool::put(tx, &pool, &declared)
            .await
            .map_err(stored("write pool"))?;
        if pool.kind == PoolKind::Many {
            declare_buckets(ctx, tx, &pool, &buckets).await?;
        }
        if pool.kind == PoolKind::Single && before.is_none() {
            nodes::insert_single(ctx, tx, cluster, &pool).await?;
        }
        kept.push(pool.id);
    }
    for mut gone in old.into_iter().filter(|before| !kept.contains(&before.id)) {
        gone.removed = true;
        let declared = attributes
            .get(&(gone.id, gone.revision))
            .map_or("{}", String::as_str)
            .to_owned();
        store::pool::put(tx, &gone, &declared)
            .await
            .map_err(stored("write pool"))?;
        for mut bucket in buckets.iter().filter(|bucket| bucket.pool == gone.id).cloned() {
            bucket.disabled = true;
            store::pool::put_bucket(tx, &bucket)
                .await
                .map_err(stored("write bucket"))?;
        }
    }
    Ok(())
}

async fn declare_buckets(ctx: &Ctx, tx: &mut Tx, pool: &Pool, old: &[Bucket]) -> Result<()> {
    for (position, size) in (0i64..).zip(&pool.sizes) {
        let before = old.iter().find(|bucket| bucket.pool == pool.id && bucket.size == *size);
        let bucket = Bucket {
            id: before.map_or_else(|| ctx.core.id(), |before| before.id),
            pool: pool.id,
            size: size.clone(),
            position,
            activated: before.is_some_and(|before| before.activated && !before.disabled),
            disabled: false,
            exhausted_at: before.and_then(|before| before.exhausted_at),
        };
        store::pool::put_bucket(tx, &bucket)
            .await
            .map_err(stored("write bucket"))?;
    }
    for mut gone in old
        .iter()
        .filter(|bucket| bucket.pool == pool.id && !pool.sizes.contains(&bucket.size))
        .cloned()
    {
        gone.disabled = true;
        store::pool::put_bucket(tx, &gone)
            .await
            .map_err(stored("write bucket"))?;
    }
    Ok(())
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
