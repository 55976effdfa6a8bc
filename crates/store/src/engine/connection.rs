//! One connection inside a transaction, and the two kinds of transaction; it deliberately knows no statement text.

use super::sqlite::Writing;
use super::{Driver, Error, Result, Row, Store, Value, value};
use futures::TryStreamExt as _;
use sqlx::{AssertSqlSafe, PgConnection, SqliteConnection, Transaction};
use std::ops::{Deref, DerefMut};

/// Binds per statement of [`Conn::insert_many`]. SQLite gains nothing from longer statements and pays for parsing them.
const POSTGRES_BINDS: usize = 20_000;
const SQLITE_BINDS: usize = 2_000;

/// A connection, inside a transaction of either kind. After a statement failed, the transaction can only be dropped:
/// PostgreSQL is made so, and SQLite is held to the same, so that code proven on one is right on the other.
pub struct Conn {
    link: Option<Link>,
    failed: bool,
}

enum Link {
    Writer(Writing),
    Reader(Transaction<'static, sqlx::Sqlite>),
    Postgres(Transaction<'static, sqlx::Postgres>),
}

enum Driving<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

impl Conn {
    pub(super) fn writer(writing: Writing) -> Self {
        Self {
            link: Some(Link::Writer(writing)),
            failed: false,
        }
    }

    pub(super) fn reader(transaction: Transaction<'static, sqlx::Sqlite>) -> Self {
        Self {
            link: Some(Link::Reader(transaction)),
            failed: false,
        }
    }

    pub(super) fn postgres(transaction: Transaction<'static, sqlx::Postgres>) -> Self {
        Self {
            link: Some(Link::Postgres(transaction)),
            failed: false,
        }
    }

    /// All rows of the answer.
    ///
    /// # Errors
    /// What the database says of the statement.
    pub async fn all(&mut self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let outcome = match self.driving()? {
            Driving::Sqlite(on) => {
                let mut stream = sqlx::query_with(AssertSqlSafe(sql), value::for_sqlite(args)?).fetch(on);
                collect(&mut stream, &mut rows).await
            }
            Driving::Postgres(on) => {
                let mut stream = sqlx::query_with(AssertSqlSafe(sql), value::for_postgres(args)?).fetch(on);
                collect(&mut stream, &mut rows).await
            }
        };
        self.keep(outcome)?;
        Ok(rows)
    }

    /// The first row of the answer, if there is any.
    ///
    /// # Errors
    /// What the database says of the statement.
    pub async fn first(&mut self, sql: &str, args: Vec<Value>) -> Result<Option<Row>> {
        let outcome = match self.driving()? {
            Driving::Sqlite(on) => {
                let query = sqlx::query_with(AssertSqlSafe(sql), value::for_sqlite(args)?);
                query.fetch_optional(on).await.map(|row| row.map(Row::from))
            }
            Driving::Postgres(on) => {
                let query = sqlx::query_with(AssertSqlSafe(sql), value::for_postgres(args)?);
                query.fetch_optional(on).await.map(|row| row.map(Row::from))
            }
        };
        self.keep(outcome)
    }

    /// Runs a statement; how many rows it touched.
    ///
    /// # Errors
    /// What the database says of the statement.
    pub async fn run(&mut self, sql: &str, args: Vec<Value>) -> Result<u64> {
        let outcome = match self.driving()? {
            Driving::Sqlite(on) => {
                let query = sqlx::query_with(AssertSqlSafe(sql), value::for_sqlite(args)?);
                query.execute(on).await.map(|done| done.rows_affected())
            }
            Driving::Postgres(on) => {
                let query = sqlx::query_with(AssertSqlSafe(sql), value::for_postgres(args)?);
                query.execute(on).await.map(|done| done.rows_affected())
            }
        };
        self.keep(outcome)
    }

    /// Hands each row of the answer to `f` as it arrives; stops at its first error.
    ///
    /// # Errors
    /// What the database says of the statement, or what `f` returned.
    pub async fn each(
        &mut self,
        sql: &str,
        args: Vec<Value>,
        f: &mut (dyn FnMut(&Row) -> Result<()> + Send),
    ) -> Result<()> {
        let outcome = match self.driving()? {
            Driving::Sqlite(on) => {
                let mut rows = sqlx::query_with(AssertSqlSafe(sql), value::for_sqlite(args)?).fetch(on);
                loop {
                    match rows.try_next().await {
                        Ok(Some(row)) => f(&Row::from(row))?,
                        Ok(None) => break Ok(()),
                        Err(error) => break Err(error),
                    }
                }
            }
            Driving::Postgres(on) => {
                let mut rows = sqlx::query_with(AssertSqlSafe(sql), value::for_postgres(args)?).fetch(on);
                loop {
                    match rows.try_next().await {
                        Ok(Some(row)) => f(&Row::from(row))?,
                        Ok(None) => break Ok(()),
                        Err(error) => break Err(error),
                    }
                }
            }
        };
        self.keep(outcome)
    }

    /// Inserts many rows with few statements: `prefix` ends in `values `, `rows` holds `columns` values a row one after
    /// another, `suffix` may be empty or an `on conflict` clause without placeholders. How many rows were touched.
    ///
    /// # Errors
    /// What the database says; [`Error::Other`] when `rows` is not a whole number of rows.
    pub async fn insert_many(&mut self, prefix: &str, columns: usize, rows: Vec<Value>, suffix: &str) -> Result<u64> {
        if columns == 0 || !rows.len().is_multiple_of(columns) {
            return Err(Error::Other(format!(
                "{} values do not make rows of {columns}",
                rows.len()
            )));
        }
        let numbered = matches!(self.driving()?, Driving::Postgres(_));
        let most = (if numbered { POSTGRES_BINDS } else { SQLITE_BINDS } / columns).max(1);
        let mut left = rows.len() / columns;
        let mut rows = rows.into_iter();
        let mut touched = 0;
        while left > 0 {
            // Powers of two, so that a table has a dozen cached statements and not one for every length.
            let height = 1_usize << left.min(most).ilog2();
            let sql = format!("{prefix} {} {suffix}", placeholders(height, columns, numbered));
            touched += self.run(&sql, rows.by_ref().take(height * columns).collect()).await?;
            left -= height;
        }
        Ok(touched)
    }

    /// Runs a text of several statements without placeholders, each parsed anew.
    pub(crate) async fn script(&mut self, sql: &str) -> Result<()> {
        let outcome = match self.driving()? {
            Driving::Sqlite(on) => sqlx::raw_sql(AssertSqlSafe(sql)).execute(on).await.map(drop),
            Driving::Postgres(on) => sqlx::raw_sql(AssertSqlSafe(sql)).execute(on).await.map(drop),
        };
        self.keep(outcome)
    }

    fn driving(&mut self) -> Result<Driving<'_>> {
        if self.failed {
            return Err(Error::Other(
                "an earlier statement of this transaction failed".to_owned(),
            ));
        }
        match &mut self.link {
            Some(Link::Writer(writing)) => Ok(Driving::Sqlite(writing.connection()?)),
            Some(Link::Reader(transaction)) => Ok(Driving::Sqlite(transaction)),
            Some(Link::Postgres(transaction)) => Ok(Driving::Postgres(transaction)),
            None => Err(Error::Lost("the transaction ended".to_owned())),
        }
    }

    fn keep<T>(&mut self, outcome: sqlx::Result<T>) -> Result<T> {
        outcome.map_err(|error| {
            self.failed = true;
            let error = Error::from(error);
            if let Some(Link::Writer(writing)) = &mut self.link {
                writing.blame(error.clone());
            }
            error
        })
    }
}

async fn collect<R: Into<Row>>(
    stream: &mut futures::stream::BoxStream<'_, sqlx::Result<R>>,
    rows: &mut Vec<Row>,
) -> sqlx::Result<()> {
    while let Some(row) = stream.try_next().await? {
        rows.push(row.into());
    }
    Ok(())
}

/// `($1,$2),($3,$4)`; with bare `?` for SQLite, which looks a numbered one up in a list and so needs quadratic time.
fn placeholders(height: usize, columns: usize, numbered: bool) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(height * columns * 6);
    for at in 0..height * columns {
        text.push_str(match at % columns {
            0 if at == 0 => "(",
            0 => "),(",
            _ => ",",
        });
        if numbered {
            // Writing to a string cannot fail.
            let _ = write!(text, "${}", at + 1);
        } else {
            text.push('?');
        }
    }
    text.push(')');
    text
}

/// A read transaction; the connection goes back when this is dropped.
pub struct Reader(Conn);

impl Reader {
    pub(super) fn new(conn: Conn) -> Self {
        Self(conn)
    }
}

impl Deref for Reader {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        &self.0
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.0
    }
}

/// A write transaction. Dropped without [`Tx::commit`], nothing of it remains.
pub struct Tx {
    conn: Conn,
    store: Store,
    notes: Vec<(&'static str, String)>,
}

impl Tx {
    pub(super) fn new(conn: Conn, store: Store) -> Self {
        Self {
            conn,
            store,
            notes: Vec::new(),
        }
    }

    /// Tells subscribers, once the transaction is durable. PostgreSQL carries payloads of some 7,900 bytes at most: a
    /// longer one fails the commit there, so send ids, not documents.
    pub fn notify(&mut self, channel: &'static str, payload: String) {
        self.notes.push((channel, payload));
    }

    /// Makes the transaction durable: when this returns `Ok`, it is flushed to disk. When the returned future is
    /// dropped before it is done, the transaction may or may not have become durable.
    ///
    /// # Errors
    /// What the database says; the transaction then is rolled back, unless it is [`Error::Lost`], after which nobody
    /// knows.
    pub async fn commit(mut self) -> Result<()> {
        self.conn.driving()?;
        let Self { mut conn, store, notes } = self;
        match (conn.link.take(), &store.0.driver) {
            (Some(Link::Writer(writing)), _) => writing.commit(notes).await,
            (Some(Link::Postgres(transaction)), Driver::Postgres(postgres)) => {
                postgres.commit(transaction, notes).await
            }
            _ => Err(Error::Lost("the transaction ended".to_owned())),
        }
    }
}

impl Deref for Tx {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}
