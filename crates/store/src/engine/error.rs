//! What can go wrong in a database, told apart as far as callers act on it; it deliberately knows no rule of theirs.

/// A failure of the database. Its text says its own level only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A value that has to be unique is there already.
    #[error("already there: {constraint}")]
    Unique {
        /// PostgreSQL: the constraint's name; SQLite: `table.column, …`, or the index's name.
        constraint: String,
    },
    /// Another transaction was in the way; the same work may succeed when done again.
    #[error("the database is busy: {0}")]
    Busy(String),
    /// No room on the disk.
    #[error("the database's disk is full: {0}")]
    Full(String),
    /// A newer program wrote this database.
    #[error("the database has schema version {found}, this program knows {known}")]
    Newer {
        /// The database's version.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// Another process holds the data folder.
    #[error("the database is in use: {0}")]
    InUse(String),
    /// The connection is gone, or the store was closed.
    #[error("the database is gone: {0}")]
    Lost(String),
    /// A row, or the file, that cannot be read.
    #[error("the database holds what cannot be read: {0}")]
    Corrupt(String),
    /// All else: mostly a wrong statement.
    #[error("the database refused: {0}")]
    Other(String),
}

/// What every call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let text = error.to_string();
        match error {
            sqlx::Error::Database(error) => from_database(error.as_ref()),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => Self::Lost(text),
            sqlx::Error::PoolTimedOut => Self::Busy(text),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Corrupt(text),
            _ => Self::Other(text),
        }
    }
}

fn from_database(error: &dyn sqlx::error::DatabaseError) -> Error {
    let text = error.message().to_owned();
    if error.is_unique_violation() {
        let constraint = match error.constraint() {
            Some(name) => name.to_owned(),
            None => text.rsplit("failed: ").next().unwrap_or(&text).to_owned(),
        };
        return Error::Unique { constraint };
    }
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        return from_sqlite(code.parse().unwrap_or_default(), text);
    }
    from_postgres(&code, text)
}

/// By SQLite's primary result code, which is the low byte of the extended one.
fn from_sqlite(code: i32, text: String) -> Error {
    match code & 0xff {
        5 | 6 => Error::Busy(text),
        13 => Error::Full(text),
        11 | 26 => Error::Corrupt(text),
        10 => Error::Lost(text),
        _ => Error::Other(text),
    }
}

/// By SQLSTATE: serialization, deadlock and lock waits; disk; connection and shutdown; damaged data.
fn from_postgres(code: &str, text: String) -> Error {
    match code {
        "40001" | "40P01" | "55P03" | "53300" => Error::Busy(text),
        "53100" => Error::Full(text),
        "57P01" | "57P02" | "57P03" => Error::Lost(text),
        "XX001" | "XX002" => Error::Corrupt(text),
        _ if code.starts_with("08") => Error::Lost(text),
        _ => Error::Other(text),
    }
}
