//! The PostgreSQL the tests use: one that is given, or a private one for the time of the run.

use super::postgres::Postgres;
use crate::environment;
use anyhow::Result;

/// Where tests find a database; a private server ends when this is dropped.
pub(crate) enum Database {
    /// `REEVE_TEST_POSTGRES` was set: not ours to start or stop.
    Given(String),
    /// Started by us.
    Private(Postgres),
}

impl Database {
    /// The server named by `REEVE_TEST_POSTGRES`, else a fresh one.
    ///
    /// # Errors
    /// When none is given and none can be started.
    pub(crate) fn get() -> Result<Self> {
        match environment::variable("REEVE_TEST_POSTGRES") {
            Some(url) => Ok(Self::Given(url)),
            None => Ok(Self::Private(Postgres::start()?)),
        }
    }

    /// Connection URL of a superuser; tests make their own schema or database there.
    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Given(url) => url,
            Self::Private(server) => server.url(),
        }
    }
}
