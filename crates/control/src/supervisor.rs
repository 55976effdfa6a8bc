//! The supervisor: starts the background work, names it, keeps it going, and stops it.
//!
//! The only place in the server that spawns tasks.

use std::{future::Future, sync::Arc, time::Duration};

use reeve_model::Timestamp;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    agent,
    core::{Core, stored},
    reconcile,
};

/// Time between sweeps.
pub const SWEEP_EVERY: Duration = Duration::from_secs(20);
/// Time between writes of beats.
const BEATS_EVERY: Duration = Duration::from_secs(3);
/// Longest time a reconciler sleeps without being woken.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Time between looks at prices and budgets.
const BUDGETS_EVERY: Duration = Duration::from_secs(30);
/// How long events are kept.
const EVENTS_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Background work that can be stopped.
pub struct Supervisor {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Supervisor {
    /// Starts everything that a server does by itself.
    #[must_use]
    pub fn start(core: &Arc<Core>) -> Self {
        let supervisor = Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let stop = || supervisor.stop.clone();
        supervisor.run(nodes(Arc::clone(core), stop()));
        supervisor.run(clusters(Arc::clone(core), stop()));
        supervisor.run(sweeps(Arc::clone(core), stop()));
        supervisor.run(beats(Arc::clone(core), stop()));
        supervisor.run(bells(Arc::clone(core), stop()));
        supervisor.run(housekeeping(Arc::clone(core), stop()));
        supervisor.run(budgets(Arc::clone(core), stop()));
        supervisor
    }

    /// Runs one more task until it ends by itself; it should watch [`Self::stopping`].
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the supervisor that the others are told to use"
    )]
    pub fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.tracker.track_future(task));
    }

    /// Says when work is to end.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Ends all work and waits for it, at most ten seconds.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(Duration::from_secs(10), self.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!("background work did not end within 10 s");
        }
    }
}

/// Waits for a bell or the time, `false` when it is time to stop.
async fn rest(bell: &tokio::sync::Notify, span: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = bell.notified() => true,
        _ = tokio::time::timeout(span, std::future::pending::<()>()) => true,
    }
}

async fn nodes(core: Arc<Core>, stop: CancellationToken) {
    loop {
        let span = match reconcile::node::drain(&core).await {
            Ok(None) => LOOK_EVERY,
            Ok(Some(due)) => due.since(core.now()).clamp(Duration::from_millis(5), LOOK_EVERY),
            Err(error) => {
                tracing::warn!(%error, "node reconciler failed; it runs again");
                core.note("nodes", "failed".into(), Some(&error));
                Duration::from_secs(1)
            }
        };
        if !rest(&core.nodes_due, span, &stop).await {
            return;
        }
    }
}

async fn clusters(core: Arc<Core>, stop: CancellationToken) {
    loop {
        if let Err(error) = reconcile::cluster::activate(&core).await {
            tracing::warn!(%error, "cluster reconciler failed; it runs again");
            core.note("clusters", "failed".into(), Some(&error));
        }
        if !rest(&core.clusters_due, LOOK_EVERY, &stop).await {
            return;
        }
    }
}

async fn sweeps(core: Arc<Core>, stop: CancellationToken) {
    let never = tokio::sync::Notify::new();
    loop {
        if let Err(error) = reconcile::sweep::activate(&core).await {
            tracing::warn!(%error, "sweep failed; it runs again");
            core.note("sweep", "failed".into(), Some(&error));
        }
        if !rest(&never, SWEEP_EVERY, &stop).await {
            return;
        }
    }
}

async fn beats(core: Arc<Core>, stop: CancellationToken) {
    let never = tokio::sync::Notify::new();
    loop {
        let going = rest(&never, BEATS_EVERY, &stop).await;
        match agent::flush_beats(&core).await {
            Ok(count) => core.note("beats", format!("wrote {count} beats"), None),
            Err(error) => tracing::warn!(%error, "beats could not be written; they are kept"),
        }
        if !going {
            return;
        }
    }
}

/// Passes on what other servers on the same database, and this one, announce.
async fn bells(core: Arc<Core>, stop: CancellationToken) {
    let mut announced = core.store.subscribe();
    loop {
        let heard = tokio::select! {
            () = stop.cancelled() => return,
            heard = announced.recv() => heard,
        };
        match heard {
            Ok((channel, payload)) if channel == "goal" => {
                if let Ok(node) = payload.parse() {
                    core.ring_agent(node);
                }
            }
            Ok((channel, _)) if channel == "node" => core.nodes_due.notify_one(),
            Ok(_) => {}
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => core.nodes_due.notify_one(),
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        }
    }
}

async fn budgets(core: Arc<Core>, stop: CancellationToken) {
    let never = tokio::sync::Notify::new();
    loop {
        if let Err(error) = reconcile::budget::activate(&core).await {
            tracing::warn!(%error, "budget reconciler failed; it runs again");
            core.note("budgets", "failed".into(), Some(&error));
        }
        if !rest(&never, BUDGETS_EVERY, &stop).await {
            return;
        }
    }
}

async fn housekeeping(core: Arc<Core>, stop: CancellationToken) {
    let never = tokio::sync::Notify::new();
    loop {
        if let Err(error) = clean(&core).await {
            tracing::warn!(%error, "housekeeping failed; it runs again");
        }
        if !rest(&never, Duration::from_secs(60), &stop).await {
            return;
        }
    }
}

/// Ends what has outlived its time.
async fn clean(core: &Core) -> reeve_model::Result<()> {
    let now: Timestamp = core.now();
    let mut tx = core.store.begin().await.map_err(stored("begin"))?;
    let events = reeve_store::ledger::forget_events(&mut tx, now - EVENTS_KEPT)
        .await
        .map_err(stored("drop events"))?;
    let tokens = reeve_store::identity::drop_join_tokens(&mut tx, now - Duration::from_secs(3600))
        .await
        .map_err(stored("drop join tokens"))?;
    tx.commit().await.map_err(stored("commit"))?;
    core.note(
        "housekeeping",
        format!("dropped {events} events, {tokens} join tokens"),
        None,
    );
    Ok(())
}
