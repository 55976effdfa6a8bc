//! Makes and drops whole databases on a PostgreSQL server, for tests; such statements cannot run in a transaction.
//!
//! It deliberately knows no names: the caller makes them up, of letters, digits and underscores.

use super::Result;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// A connection outside transactions.
pub(crate) struct Admin(PgConnection);

impl Admin {
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        Ok(Self(PgConnection::connect(url).await?))
    }

    /// Waits until no other holds the lock; it ends with the connection.
    pub(crate) async fn lock(&mut self) -> Result<()> {
        sqlx::query("select pg_advisory_lock(7233383)")
            .execute(&mut self.0)
            .await?;
        Ok(())
    }

    /// Is there a database of this name?
    pub(crate) async fn has(&mut self, name: &str) -> Result<bool> {
        let query = sqlx::query("select 1 from pg_database where datname = $1").bind(name);
        Ok(query.fetch_optional(&mut self.0).await?.is_some())
    }

    pub(crate) async fn run(&mut self, sql: &str) -> Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.0).await?;
        Ok(())
    }

    pub(crate) async fn close(self) -> Result<()> {
        Ok(self.0.close().await?)
    }
}
