//! SQLite: one writer with group commit, a pool of readers, and a lock on the folder.
//!
//! A flush costs far more than a small transaction, so transactions share them. Each is a savepoint inside one outer
//! transaction. `commit` wakes the committer, which queues for the writer behind all who wait already; when its turn comes
//! it commits once and answers all of them. It deliberately knows no table.

use super::{Error, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool, Transaction, raw_sql};
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard, broadcast, mpsc, oneshot};

/// How many transactions share one flush at most.
const BATCH: usize = 256;
/// Prepared statements kept per connection.
const STATEMENTS: usize = 512;
/// Rows that a query may be ahead of whoever reads them: each hand-over between the two threads costs a switch.
const AHEAD: usize = 1024;
/// A log longer than this is cut when it is started anew; up to it the file is reused, which flushes far faster.
const LOG_BYTES: &str = "67108864";

const BEGIN: [&str; 2] = ["begin immediate; savepoint even", "begin immediate; savepoint odd"];
/// Ends the savepoint before and opens the next in one round trip. The names alternate so that undoing one that was
/// never opened, because its caller was dropped too early, cannot hit the finished one before it.
const NEXT: [&str; 2] = ["release odd; savepoint even", "release even; savepoint odd"];
const UNDO: [&str; 2] = ["rollback to even", "rollback to odd"];

/// Channel and payload of what to tell subscribers.
type Notes = Vec<(&'static str, String)>;

pub(super) struct Sqlite {
    writer: Arc<Mutex<Writer>>,
    wake: mpsc::Sender<()>,
    readers: SqlitePool,
    commits: Arc<AtomicU64>,
}

/// The writing connection and what is known of its outer transaction.
struct Writer {
    /// `None` once closed.
    connection: Option<SqliteConnection>,
    /// Holds the folder; let go after the connection is gone.
    lock: Option<File>,
    /// An outer transaction may be open.
    open: bool,
    /// Which of the two names the last savepoint has.
    turn: usize,
    /// The last savepoint may be open and must be undone before anything else.
    abandoned: bool,
    /// The last thing that went wrong, to tell those whom a lost outer transaction takes along.
    fault: Option<Error>,
    /// Done, not yet durable.
    pending: Vec<Pending>,
    subscribers: broadcast::Sender<(String, String)>,
    commits: Arc<AtomicU64>,
}

struct Pending {
    answer: oneshot::Sender<Result<()>>,
    notes: Notes,
}

impl Sqlite {
    pub(super) async fn open(
        path: &Path,
        readers: u32,
        subscribers: broadcast::Sender<(String, String)>,
    ) -> Result<Self> {
        let lock = hold(path)?;
        let base = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(STATEMENTS)
            .row_buffer_size(AHEAD)
            .disable_statement_logging();
        let connection = base
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("journal_size_limit", LOG_BYTES)
            .connect()
            .await?;
        let pool = SqlitePoolOptions::new()
            .max_connections(readers)
            .test_before_acquire(false);
        let pool = pool
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(base.pragma("query_only", "on"));
        let commits = Arc::new(AtomicU64::new(0));
        let writer = Arc::new(Mutex::new(Writer {
            connection: Some(connection),
            lock: Some(lock),
            open: false,
            turn: 0,
            abandoned: false,
            fault: None,
            pending: Vec::new(),
            subscribers,
            commits: commits.clone(),
        }));
        let (wake, woken) = mpsc::channel(1);
        start_committer(writer.clone(), woken);
        Ok(Self {
            writer,
            wake,
            readers: pool,
            commits,
        })
    }

    /// Waits for the writer and opens a savepoint on it.
    pub(super) async fn begin(&self) -> Result<Writing> {
        loop {
            let mut guard = self.writer.clone().lock_owned().await;
            if guard.abandoned || guard.pending.len() >= BATCH {
                // The committer tidies up: a caller may be dropped at any await, the committer is not.
                drop(guard);
                wake(&self.wake);
                tokio::task::yield_now().await;
                continue;
            }
            let text = if guard.open { NEXT } else { BEGIN };
            guard.turn = 1 - guard.turn;
            guard.open = true;
            guard.abandoned = true;
            let mut writing = Writing {
                guard,
                wake: self.wake.clone(),
                done: false,
            };
            let text = text[writing.guard.turn];
            raw_sql(text).execute(writing.connection()?).await?;
            writing.guard.abandoned = false;
            return Ok(writing);
        }
    }

    pub(super) async fn read(&self) -> Result<Transaction<'static, sqlx::Sqlite>> {
        Ok(self.readers.begin().await?)
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        let mut writer = self.writer.lock().await;
        writer.finish().await;
        if let Some(connection) = writer.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "closing the database");
        }
        writer.lock = None;
    }
}

/// A write transaction: the writer, held, with an open savepoint.
pub(super) struct Writing {
    guard: OwnedMutexGuard<Writer>,
    wake: mpsc::Sender<()>,
    done: bool,
}

impl Writing {
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection> {
        self.guard.connection.as_mut().ok_or_else(closed)
    }

    /// Remembers what went wrong, should it turn out to have cost the outer transaction.
    pub(super) fn blame(&mut self, error: Error) {
        self.guard.fault = Some(error);
    }

    /// Hands the transaction to the committer and waits until it is durable.
    pub(super) async fn commit(mut self, notes: Notes) -> Result<()> {
        self.connection()?;
        let (answer, answered) = oneshot::channel();
        self.guard.pending.push(Pending { answer, notes });
        self.done = true;
        drop(self);
        answered.await.unwrap_or_else(|_| Err(closed()))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.done {
            self.guard.abandoned = true;
        }
        // Before the guard is dropped, so that the committer queues as early as it can.
        wake(&self.wake);
    }
}

impl Writer {
    /// Undoes what was abandoned, commits what is pending, answers, and leaves no outer transaction open.
    async fn finish(&mut self) {
        if !self.open {
            return;
        }
        let outcome = self.end().await;
        self.open = false;
        self.abandoned = false;
        self.fault = None;
        for pending in self.pending.drain(..) {
            if outcome.is_ok() {
                for (channel, payload) in pending.notes {
                    // Nobody listening is no error.
                    let _ = self.subscribers.send((channel.to_owned(), payload));
                }
            }
            // Whoever asked may have given up.
            let _ = pending.answer.send(outcome.clone());
        }
    }

    async fn end(&mut self) -> Result<()> {
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        if self.abandoned && raw_sql(UNDO[self.turn]).execute(&mut *connection).await.is_err() {
            // Either the savepoint was never opened, or SQLite gave up the whole outer transaction, as it does when
            // the disk is full. A second `begin` fails in the first case only.
            if raw_sql("begin").execute(&mut *connection).await.is_ok() {
                roll_back(connection).await;
                let fault = self.fault.take();
                return Err(fault.unwrap_or_else(|| Error::Other("the transaction was lost".to_owned())));
            }
        }
        if self.pending.is_empty() {
            roll_back(connection).await;
            return Ok(());
        }
        if let Err(error) = sqlx::query("commit").execute(&mut *connection).await {
            roll_back(connection).await;
            return Err(error.into());
        }
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

async fn roll_back(connection: &mut SqliteConnection) {
    // It fails when SQLite rolled back already, which is just as well.
    let _ = raw_sql("rollback").execute(connection).await;
}

fn wake(wake: &mpsc::Sender<()>) {
    // Full: it is awake already. Closed: the store is being dropped, and with it the committer does its last round.
    let _ = wake.try_send(());
}

fn closed() -> Error {
    Error::Lost("the store is closed".to_owned())
}

/// Starts the task that ends outer transactions. It lives until the store and all its transactions are dropped.
#[expect(
    clippy::disallowed_methods,
    reason = "this task ends with the store, which no supervisor outlives or knows"
)]
fn start_committer(writer: Arc<Mutex<Writer>>, mut woken: mpsc::Receiver<()>) {
    tokio::spawn(async move {
        while woken.recv().await.is_some() {
            let mut writer = writer.lock().await;
            // What others asked for until now is done in this round too.
            while woken.try_recv().is_ok() {}
            writer.finish().await;
        }
        writer.lock().await.finish().await;
    });
}

/// Takes the lock beside the database, and says in it who holds it.
fn hold(path: &Path) -> Result<File> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let other = |error: std::io::Error| Error::Other(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(other)?;
    let lock = folder.join("lock");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock)
        .map_err(other)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Without the text the message is still right.
            let _ = file.read_to_string(&mut holder);
            return Err(Error::InUse(format!(
                "{} is held by process {}",
                lock.display(),
                holder.trim()
            )));
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(other(error)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(other)?;
    Ok(file)
}
