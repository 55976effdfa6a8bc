//! The one place that names a database driver: connections, transactions, values, and errors.
//!
//! It deliberately knows no table but the migrations' own. Statements use `$1` placeholders and the types BIGINT, TEXT
//! and DOUBLE PRECISION, so that one text runs on SQLite and on PostgreSQL.

pub(crate) mod admin;
mod connection;
mod error;
mod postgres;
mod row;
mod sqlite;
mod value;

pub use connection::{Conn, Reader, Tx};
pub use error::{Error, Result};
pub use row::Row;
pub use value::Value;

use crate::migrate::{self, Migration};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::broadcast;

/// How many notifications a slow subscriber may fall behind before it misses some.
const BACKLOG: usize = 4096;

/// Which database, and where.
#[derive(Clone, Debug)]
pub enum Database {
    /// A file of this path; its folder is made when absent and is held by a file named `lock` beside it.
    Sqlite {
        /// Path of the database file.
        path: PathBuf,
    },
    /// A server, shared by any number of processes.
    Postgres {
        /// `postgres://user:password@host:port/database`.
        url: String,
    },
}

/// What [`Store::open`] needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which database.
    pub database: Database,
    /// How many reading connections at most; 0 counts as 1. PostgreSQL gets some more for writers.
    pub readers: u32,
}

/// An open database, migrated to the newest schema. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    driver: Driver,
    subscribers: broadcast::Sender<(String, String)>,
}

enum Driver {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

impl Store {
    /// Opens the database, brings its schema up to date, and starts the background work of its engine.
    /// Needs a running tokio runtime.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process holds the folder, [`Error::Newer`] when a newer program wrote the
    /// database, [`Error::Lost`] when the server cannot be reached.
    pub async fn open(settings: &Settings) -> Result<Self> {
        Self::open_with(settings, migrate::MIGRATIONS).await
    }

    /// As [`Store::open`] with a list of migrations of one's own: for tests.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_with(settings: &Settings, migrations: &[Migration]) -> Result<Self> {
        let (subscribers, _) = broadcast::channel(BACKLOG);
        let readers = settings.readers.max(1);
        let driver = match &settings.database {
            Database::Sqlite { path } => {
                Driver::Sqlite(sqlite::Sqlite::open(path, readers, subscribers.clone()).await?)
            }
            Database::Postgres { url } => {
                Driver::Postgres(postgres::Postgres::open(url, readers, subscribers.clone()).await?)
            }
        };
        let store = Self(Arc::new(Inner { driver, subscribers }));
        migrate::run(&store, migrations).await?;
        Ok(store)
    }

    /// Begins a write transaction. On SQLite it waits, in order of arrival, until the earlier ones ended.
    ///
    /// # Errors
    /// [`Error::Lost`] when the database is closed or gone, [`Error::Busy`] when no connection came free in time.
    pub async fn begin(&self) -> Result<Tx> {
        let conn = match &self.0.driver {
            Driver::Sqlite(sqlite) => Conn::writer(sqlite.begin().await?),
            Driver::Postgres(postgres) => Conn::postgres(postgres.begin().await?),
        };
        Ok(Tx::new(conn, self.clone()))
    }

    /// Begins a read transaction: all its statements see the database as it was at the first of them.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn read(&self) -> Result<Reader> {
        let conn = match &self.0.driver {
            Driver::Sqlite(sqlite) => Conn::reader(sqlite.read().await?),
            Driver::Postgres(postgres) => Conn::postgres(postgres.read().await?),
        };
        Ok(Reader::new(conn))
    }

    /// What is notified from now on: `(channel, payload)`, each after its transaction became durable. On PostgreSQL
    /// those of other processes too, except while the connection that listens is being made anew: a subscriber still
    /// has to look for itself from time to time.
    pub fn subscribe(&self) -> broadcast::Receiver<(String, String)> {
        self.0.subscribers.subscribe()
    }

    /// Ends the background work, makes durable what was promised, and closes all connections. Later calls fail.
    pub async fn close(&self) {
        match &self.0.driver {
            Driver::Sqlite(sqlite) => sqlite.close().await,
            Driver::Postgres(postgres) => postgres.close().await,
        }
    }

    /// `sqlite` or `postgres`.
    pub fn kind(&self) -> &'static str {
        match &self.0.driver {
            Driver::Sqlite(_) => "sqlite",
            Driver::Postgres(_) => "postgres",
        }
    }

    /// Does the database answer a read?
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn ping(&self) -> Result<()> {
        self.read().await?.first("select 1", Vec::new()).await.map(drop)
    }

    /// How many times this process made a batch of write transactions durable: on SQLite fewer than transactions, on
    /// PostgreSQL, which groups by itself, one each.
    pub fn commits(&self) -> u64 {
        match &self.0.driver {
            Driver::Sqlite(sqlite) => sqlite.commits(),
            Driver::Postgres(postgres) => postgres.commits(),
        }
    }
}
