//! PostgreSQL: a pool, and one connection that listens for what other processes notify.
//!
//! It deliberately groups no commits, which the server does by itself.

use super::{Error, Result};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgPool, Transaction};
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{broadcast, watch};

/// Prepared statements kept per connection.
const STATEMENTS: usize = 512;
/// Connections beside those for readers: one listens, the others write.
const WRITERS: u32 = 17;
/// The one channel of the server; ours are named inside the payload.
const CHANNEL: &str = "reeve";
/// A connection idle for longer is tried before it is used.
const FRESH: Duration = Duration::from_secs(2);
/// Between two tries to listen.
const RETRY: Duration = Duration::from_secs(1);
const READ: &str = "begin isolation level repeatable read read only";

/// Channel and payload of what to tell subscribers.
type Notes = Vec<(&'static str, String)>;

pub(super) struct Postgres {
    pool: PgPool,
    subscribers: broadcast::Sender<(String, String)>,
    /// Names this process among those that notify: its own subscribers are told directly.
    own: String,
    /// Dropped, or set, it ends the listener.
    stop: watch::Sender<bool>,
    commits: AtomicU64,
}

impl Postgres {
    pub(super) async fn open(
        url: &str,
        readers: u32,
        subscribers: broadcast::Sender<(String, String)>,
    ) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)?
            .statement_cache_capacity(STATEMENTS)
            .application_name("reeve")
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(readers.saturating_add(WRITERS))
            .acquire_timeout(Duration::from_secs(10))
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > FRESH {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(options)
            .await?;
        let own: String = sqlx::query_scalar("select cast(gen_random_uuid() as text)")
            .fetch_one(&pool)
            .await?;
        let (stop, stopped) = watch::channel(false);
        let ear = Ear {
            pool: pool.clone(),
            subscribers: subscribers.clone(),
            own: own.clone(),
        };
        // The first try is awaited, so that nothing said after `open` is missed.
        let first = ear.listener().await;
        start_listener(ear, first, stopped);
        Ok(Self {
            pool,
            subscribers,
            own,
            stop,
            commits: AtomicU64::new(0),
        })
    }

    pub(super) async fn begin(&self) -> Result<Transaction<'static, sqlx::Postgres>> {
        Ok(self.pool.begin().await?)
    }

    pub(super) async fn read(&self) -> Result<Transaction<'static, sqlx::Postgres>> {
        Ok(self.pool.begin_with(READ).await?)
    }

    pub(super) async fn commit(
        &self,
        mut transaction: Transaction<'static, sqlx::Postgres>,
        notes: Notes,
    ) -> Result<()> {
        for (channel, payload) in &notes {
            let text = format!("{}\n{channel}\n{payload}", self.own);
            let query = sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(text);
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        for (channel, payload) in notes {
            // Nobody listening is no error.
            let _ = self.subscribers.send((channel.to_owned(), payload));
        }
        Ok(())
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(super) async fn close(&self) {
        self.stop.send_replace(true);
        self.stop.closed().await;
        self.pool.close().await;
    }
}

/// What the listening task needs.
struct Ear {
    pool: PgPool,
    subscribers: broadcast::Sender<(String, String)>,
    own: String,
}

impl Ear {
    async fn listener(&self) -> Result<PgListener, sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(CHANNEL).await?;
        Ok(listener)
    }

    /// Forwards what others say, until the connection cannot be had again.
    async fn forward(&self, mut listener: PgListener) -> sqlx::Error {
        loop {
            match listener.recv().await {
                Ok(said) => self.pass_on(said.payload()),
                Err(error) => return error,
            }
        }
    }

    fn pass_on(&self, text: &str) {
        let mut parts = text.splitn(3, '\n');
        let (Some(from), Some(channel), Some(payload)) = (parts.next(), parts.next(), parts.next()) else {
            tracing::warn!(text, "a notification that is not ours");
            return;
        };
        if from != self.own {
            // Nobody listening is no error.
            let _ = self.subscribers.send((channel.to_owned(), payload.to_owned()));
        }
    }

    async fn run(&self, mut next: Result<PgListener, sqlx::Error>) -> Error {
        loop {
            let error = match next {
                Ok(listener) => self.forward(listener).await,
                Err(error) => error,
            };
            if matches!(error, sqlx::Error::PoolClosed) {
                return error.into();
            }
            tracing::warn!(%error, "not listening for notifications, trying again");
            let mut pause = tokio::time::interval(RETRY);
            pause.tick().await;
            pause.tick().await;
            next = self.listener().await;
        }
    }
}

/// Starts the task that listens. It ends when the store is closed or dropped.
#[expect(
    clippy::disallowed_methods,
    reason = "this task ends with the store, which no supervisor outlives or knows"
)]
fn start_listener(ear: Ear, first: Result<PgListener, sqlx::Error>, mut stopped: watch::Receiver<bool>) {
    tokio::spawn(async move {
        tokio::select! {
            error = ear.run(first) => tracing::debug!(%error, "no longer listening"),
            _ = stopped.changed() => {}
        }
    });
}
