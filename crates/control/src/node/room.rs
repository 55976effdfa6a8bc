//! How many more nodes there is room for, and where each counts.

use std::{collections::BTreeMap, sync::Arc};

use reeve_model::{
    Error, Result,
    capacity::{self, InUse, Key, Limits, Place},
    cluster::{Cluster, Goal as ClusterGoal},
    id::ClusterId,
    pool::{Bucket, Pool, PoolKind},
};
use reeve_provider::Quota;
use reeve_store::{self as store, engine::Conn};

use crate::{
    cluster::Figures,
    core::{Core, stored},
    ctx::Ctx,
};

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
