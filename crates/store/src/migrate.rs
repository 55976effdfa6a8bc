//! Brings a database's schema up to date, step by step; it deliberately knows no table but its own.

use crate::args;
use crate::engine::{Error, Result, Store, Tx};

/// One step of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Counts from 1 without gaps.
    pub version: i64,
    /// Statements for both engines.
    pub sql: &'static str,
    /// Statements for PostgreSQL instead, where one text cannot serve both.
    pub postgres: Option<&'static str>,
}

/// All steps, oldest first. One that has landed is never edited.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        sql: include_str!("../migrations/0001_core.sql"),
        postgres: None,
    },
    Migration {
        version: 2,
        sql: include_str!("../migrations/0002_usage.sql"),
        postgres: None,
    },
    Migration {
        version: 3,
        sql: include_str!("../migrations/0003_reruns.sql"),
        postgres: None,
    },
];

/// Takes the steps that `store` has not taken yet, each in a transaction of its own. Any number of processes may do so
/// at once.
///
/// # Errors
/// [`Error::Newer`] when the database has taken steps that are not in the list; else what the database says.
pub async fn run(store: &Store, migrations: &[Migration]) -> Result<()> {
    let mut tx = locked(store).await?;
    tx.script("create table if not exists schema_version (version bigint primary key, applied_at bigint not null)")
        .await?;
    let found = version(&mut tx).await?;
    tx.commit().await?;
    let known = migrations.last().map_or(0, |newest| newest.version);
    if found > known {
        return Err(Error::Newer { found, known });
    }
    for migration in migrations.iter().filter(|migration| migration.version > found) {
        step(store, migration).await?;
    }
    Ok(())
}

/// Takes one step, unless another process just did.
async fn step(store: &Store, migration: &Migration) -> Result<()> {
    let mut tx = locked(store).await?;
    if version(&mut tx).await? >= migration.version {
        return Ok(());
    }
    let (text, now) = match (store.kind(), migration.postgres) {
        ("postgres", own) => (own.unwrap_or(migration.sql), "extract(epoch from now())"),
        _ => (migration.sql, "unixepoch('subsec')"),
    };
    tx.script(text).await?;
    let record =
        format!("insert into schema_version (version, applied_at) values ($1, cast({now} * 1000000 as bigint))");
    tx.run(&record, args![migration.version]).await?;
    tx.commit().await
}

/// A transaction that only one process has at a time: SQLite's is so anyway.
async fn locked(store: &Store) -> Result<Tx> {
    let mut tx = store.begin().await?;
    if store.kind() == "postgres" {
        // Any number, as long as it is always the same.
        tx.first("select pg_advisory_xact_lock($1)", args![7_233_382_i64])
            .await?;
    }
    Ok(tx)
}

async fn version(tx: &mut Tx) -> Result<i64> {
    let row = tx
        .first("select coalesce(max(version), 0) from schema_version", args![])
        .await?;
    row.map_or(Ok(0), |row| row.int(0))
}
