//! Pools, their declared attributes by revision, and buckets.

use std::{collections::BTreeMap, time::Duration};

use reeve_model::{
    Timestamp,
    id::{ClusterId, PoolId},
    pool::{Bucket, Pool, PoolKind, Script, ShutdownPolicy},
};
use serde::{Deserialize, Serialize};

use crate::{
    args,
    codec::{at_opt, micros, narrow, narrow_opt, parsed, span, word},
    engine::{Conn, Error, Result, Row, Tx},
};

const COLUMNS: &str = "id, cluster, name, kind, position, revision, account, region, zone, sizes, max_count, max_cores, \
    core_count, interruptible, max_price, placement_group, group_size_max, initial_count, initial_cores, keep_alive, \
    fixed, shutdown_policy, start_automatically, name_format, name_offset, start_timeout_us, throttle_us, scripts, \
    removed";

#[derive(Serialize, Deserialize)]
struct ScriptRow {
    name: String,
    body: String,
    timeout_us: u64,
}

fn documents<T: for<'de> Deserialize<'de>>(row: &Row, index: usize) -> Result<T> {
    serde_json::from_str(&row.text(index)?).map_err(|error| Error::Corrupt(format!("column {index}: {error}")))
}

fn read(row: &Row) -> Result<Pool> {
    Ok(Pool {
        id: parsed(row, 0)?,
        cluster: parsed(row, 1)?,
        name: row.text(2)?,
        kind: word(row, 3, PoolKind::parse)?,
        position: row.int(4)?,
        revision: row.int(5)?,
        account: row.text(6)?,
        region: row.text(7)?,
        zone: row.text_opt(8)?,
        sizes: documents(row, 9)?,
        max_count: narrow_opt(row, 10)?,
        max_cores: narrow_opt(row, 11)?,
        core_count: narrow_opt(row, 12)?,
        interruptible: row.bool(13)?,
        max_price: row.real_opt(14)?,
        placement_group: row.text_opt(15)?,
        group_size_max: narrow(row, 16)?,
        initial_count: narrow(row, 17)?,
        initial_cores: narrow(row, 18)?,
        keep_alive: row.bool(19)?,
        fixed: row.bool(20)?,
        shutdown_policy: word(row, 21, ShutdownPolicy::parse)?,
        start_automatically: row.bool(22)?,
        name_format: row.text_opt(23)?,
        name_offset: narrow(row, 24)?,
        start_timeout: span(row, 25)?,
        throttle: span(row, 26)?,
        scripts: documents::<Vec<ScriptRow>>(row, 27)?
            .into_iter()
            .map(|ScriptRow { name, body, timeout_us }| Script {
                name,
                body,
                timeout: Duration::from_micros(timeout_us),
            })
            .collect(),
        removed: row.bool(28)?,
    })
}

/// Adds or replaces a pool with the attributes its dialect declared for this revision.
pub async fn put(tx: &mut Tx, pool: &Pool, attributes: &str) -> Result<()> {
    let scripts: Vec<ScriptRow> = pool
        .scripts
        .iter()
        .map(|Script { name, body, timeout }| ScriptRow {
            name: name.clone(),
            body: body.clone(),
            timeout_us: u64::try_from(micros(*timeout)).unwrap_or(u64::MAX),
        })
        .collect();
    let json = |error: serde_json::Error| Error::Other(format!("write pool {}: {error}", pool.name));
    let places = (1..=29).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
    let sets = COLUMNS
        .split(", ")
        .skip(1)
        .map(|c| format!("{0} = excluded.{0}", c.trim()))
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!("insert into pool ({COLUMNS}) values ({places}) on conflict (id) do update set {sets}");
    tx.run(
        &sql,
        args![
            pool.id.to_string(),
            pool.cluster.to_string(),
            pool.name.as_str(),
            pool.kind.word(),
            pool.position,
            pool.revision,
            pool.account.as_str(),
            pool.region.as_str(),
            pool.zone.clone(),
            serde_json::to_string(&pool.sizes).map_err(json)?,
            pool.max_count,
            pool.max_cores,
            pool.core_count,
            pool.interruptible,
            pool.max_price,
            pool.placement_group.clone(),
            pool.group_size_max,
            pool.initial_count,
            pool.initial_cores,
            pool.keep_alive,
            pool.fixed,
            pool.shutdown_policy.word(),
            pool.start_automatically,
            pool.name_format.clone(),
            pool.name_offset,
            micros(pool.start_timeout),
            micros(pool.throttle),
            serde_json::to_string(&scripts).map_err(json)?,
            pool.removed
        ],
    )
    .await?;
    tx.run(
        "insert into pool_revision (pool, revision, attributes) values ($1, $2, $3) \
         on conflict (pool, revision) do update set attributes = excluded.attributes",
        args![pool.id.to_string(), pool.revision, attributes],
    )
    .await
    .map(|_| ())
}

/// Pools of a cluster in declared order.
pub async fn list(db: &mut Conn, cluster: ClusterId) -> Result<Vec<Pool>> {
    let sql = format!("select {COLUMNS} from pool where cluster = $1 order by position, name");
    db.all(&sql, args![cluster.to_string()])
        .await?
        .iter()
        .map(read)
        .collect()
}

/// One pool by id.
pub async fn find(db: &mut Conn, id: PoolId) -> Result<Option<Pool>> {
    let sql = format!("select {COLUMNS} from pool where id = $1");
    db.first(&sql, args![id.to_string()])
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// Declared attributes (JSON objects) of a cluster's pools by pool and revision.
pub async fn attributes(db: &mut Conn, cluster: ClusterId) -> Result<BTreeMap<(PoolId, i64), String>> {
    let rows = db
        .all(
            "select r.pool, r.revision, r.attributes from pool_revision r join pool p on p.id = r.pool \
             where p.cluster = $1",
            args![cluster.to_string()],
        )
        .await?;
    rows.iter()
        .map(|row| Ok(((parsed(row, 0)?, row.int(1)?), row.text(2)?)))
        .collect()
}

/// Adds or replaces a bucket.
pub async fn put_bucket(tx: &mut Tx, bucket: &Bucket) -> Result<()> {
    tx.run(
        "insert into bucket (id, pool, size, position, activated, disabled, exhausted_at) \
         values ($1, $2, $3, $4, $5, $6, $7) on conflict (id) do update set position = excluded.position, \
         activated = excluded.activated, disabled = excluded.disabled, exhausted_at = excluded.exhausted_at",
        args![
            bucket.id.to_string(),
            bucket.pool.to_string(),
            bucket.size.as_str(),
            bucket.position,
            bucket.activated,
            bucket.disabled,
            bucket.exhausted_at.map(|at| at.0)
        ],
    )
    .await
    .map(|_| ())
}

/// Buckets of a cluster in order of pool and preference.
pub async fn buckets(db: &mut Conn, cluster: ClusterId) -> Result<Vec<Bucket>> {
    let rows = db
        .all(
            "select b.id, b.pool, b.size, b.position, b.activated, b.disabled, b.exhausted_at from bucket b \
             join pool p on p.id = b.pool where p.cluster = $1 order by p.position, b.position, b.size",
            args![cluster.to_string()],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Bucket {
                id: parsed(row, 0)?,
                pool: parsed(row, 1)?,
                size: row.text(2)?,
                position: row.int(3)?,
                activated: row.bool(4)?,
                disabled: row.bool(5)?,
                exhausted_at: at_opt(row, 6)?,
            })
        })
        .collect()
}

/// Records a stock-out of a bucket.
pub async fn exhausted(tx: &mut Tx, pool: PoolId, size: &str, at: Timestamp) -> Result<()> {
    tx.run(
        "update bucket set exhausted_at = $1 where pool = $2 and size = $3",
        args![at.0, pool.to_string(), size],
    )
    .await
    .map(|_| ())
}

/// A cluster start opens all its buckets that are still declared.
pub async fn activate(tx: &mut Tx, cluster: ClusterId) -> Result<()> {
    tx.run(
        "update bucket set activated = 1 where disabled = 0 and pool in (select id from pool where cluster = $1)",
        args![cluster.to_string()],
    )
    .await
    .map(|_| ())
}
