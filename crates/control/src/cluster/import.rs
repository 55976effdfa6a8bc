//! Declaring an elastic cluster and its pools, the first time and again.

use reeve_model::{
    Error, Kind, Result,
    cluster::{Aspects, Cluster, MAX_CORES_DEFAULT, MAX_COUNT_DEFAULT},
    id::PoolId,
    pool::{Bucket, Pool, PoolKind},
};
use reeve_store::{self as store, engine::Tx};

use super::{blank, create::check_name, home};
use crate::{
    core::{Core, stored},
    ctx::Ctx,
    node as nodes, record,
};

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
