//! Budgets of clusters, and where each stands.
//!
//! Two writers share a row and no column: verbs write what people set ([`put`]), the budget reconciler writes what it
//! reckoned ([`reckoned`]).

use reeve_model::{
    Timestamp,
    budget::{Budget, Level, Standing},
    id::{ClusterId, TenantId},
    usage::Money,
};

use crate::{
    args,
    codec::{at, at_opt, narrow_opt, parsed, word},
    engine::{Conn, Error, Result, Row, Tx},
};

/// A budget with its standing, which is not there before it was first reckoned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The tenant.
    pub tenant: TenantId,
    /// What people set.
    pub budget: Budget,
    /// What was reckoned.
    pub standing: Option<Standing>,
}

const COLUMNS: &str = "cluster, tenant, amount_micros, warn_percent, freeze_percent, drain_percent, month, \
    spent_micros, unpriced, level, since";

fn read(row: &Row) -> Result<Kept> {
    let listed = row.text(3)?;
    let warn = listed
        .split_whitespace()
        .map(|percent| {
            percent
                .parse()
                .map_err(|_| Error::Corrupt(format!("thresholds \"{listed}\"")))
        })
        .collect::<Result<Vec<u32>>>()?;
    let standing = match at_opt(row, 6)? {
        None => None,
        Some(month) => Some(Standing {
            month,
            spent: Money(row.int(7)?),
            unpriced: row.bool(8)?,
            level: word(row, 9, Level::parse)?,
            since: at(row, 10)?,
        }),
    };
    Ok(Kept {
        tenant: parsed(row, 1)?,
        budget: Budget {
            cluster: parsed(row, 0)?,
            amount: Money(row.int(2)?),
            warn,
            freeze: narrow_opt(row, 4)?,
            drain: narrow_opt(row, 5)?,
        },
        standing,
    })
}

/// Sets a budget; what was reckoned stays.
pub async fn put(tx: &mut Tx, tenant: TenantId, budget: &Budget, now: Timestamp) -> Result<()> {
    let warn: Vec<String> = budget.warn.iter().map(ToString::to_string).collect();
    tx.run(
        "insert into budget (cluster, tenant, amount_micros, warn_percent, freeze_percent, drain_percent, \
         spent_micros, unpriced, level, since) values ($1, $2, $3, $4, $5, $6, 0, 0, $7, $8) \
         on conflict (cluster) do update set amount_micros = excluded.amount_micros, \
         warn_percent = excluded.warn_percent, freeze_percent = excluded.freeze_percent, \
         drain_percent = excluded.drain_percent",
        args![
            budget.cluster.to_string(),
            tenant.to_string(),
            budget.amount.0,
            warn.join(" "),
            budget.freeze,
            budget.drain,
            Level::Within.text(),
            now.0
        ],
    )
    .await
    .map(|_| ())
}

/// Records where a cluster stands, unless that changed since `before` was read; `false`: nothing was written.
pub async fn reckoned(tx: &mut Tx, cluster: ClusterId, before: Option<&Standing>, standing: &Standing) -> Result<bool> {
    let level = before.map_or(Level::Within, |before| before.level);
    let changed = tx
        .run(
            "update budget set month = $1, spent_micros = $2, unpriced = $3, level = $4, since = $5 where cluster = $6 \
         and level = $7 and coalesce(month, -1) = $8",
            args![
                standing.month.0,
                standing.spent.0,
                standing.unpriced,
                standing.level.text(),
                standing.since.0,
                cluster.to_string(),
                level.text(),
                before.map_or(-1, |before| before.month.0)
            ],
        )
        .await?;
    Ok(changed > 0)
}

/// A cluster's budget.
pub async fn find(db: &mut Conn, cluster: ClusterId) -> Result<Option<Kept>> {
    let sql = format!("select {COLUMNS} from budget where cluster = $1");
    db.first(&sql, args![cluster.to_string()])
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// Budgets of a tenant, or of all of them.
pub async fn list(db: &mut Conn, tenant: Option<TenantId>) -> Result<Vec<Kept>> {
    let rows = match tenant {
        Some(tenant) => {
            let sql = format!("select {COLUMNS} from budget where tenant = $1 order by cluster");
            db.all(&sql, args![tenant.to_string()]).await?
        }
        None => {
            let sql = format!("select {COLUMNS} from budget order by cluster");
            db.all(&sql, args![]).await?
        }
    };
    rows.iter().map(read).collect()
}

/// Drops a budget; `false` when there was none.
pub async fn delete(tx: &mut Tx, cluster: ClusterId) -> Result<bool> {
    let dropped = tx
        .run("delete from budget where cluster = $1", args![cluster.to_string()])
        .await?;
    Ok(dropped > 0)
}
