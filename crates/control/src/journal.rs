//! Reading what was written down: the audit trail, the event log, and the figures of the whole server.
//!
//! Writing happens in the transaction of each change, see [`crate::record`]. Nothing here changes anything.

use reeve_model::{
    Result,
    node::Phase,
    permission::{Action, Resource},
    scope::Scope,
};
use reeve_store::{self as store, engine::Store};
use tokio::sync::broadcast;

pub use reeve_store::ledger::{AuditEntry, Event};

use crate::{
    core::{Activity, Core, lock, stored},
    ctx::Ctx,
};

/// Events looked through in one query.
const BATCH: u32 = 500;

/// Lines of the audit trail before the cursor `before`, newest first.
///
/// # Errors
/// `Forbidden`.
pub async fn audit_page(ctx: &Ctx, before: i64, limit: u32) -> Result<Vec<AuditEntry>> {
    ctx.check_root(Resource::Audit, Action::Read, "the audit trail").await?;
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    store::ledger::audit_page(&mut db, ctx.tenant(), before, limit)
        .await
        .map_err(stored("list audit trail"))
}

/// Some events after the cursor `after` that the caller may see, oldest first, with the cursor to go on from; when that
/// is still `after`, there is nothing more for now.
///
/// # Errors
/// `Unavailable` when the database does not answer.
pub async fn events_after(ctx: &Ctx, after: i64) -> Result<(Vec<Event>, i64)> {
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let events = store::ledger::events_after(&mut db, ctx.tenant(), after, BATCH)
        .await
        .map_err(stored("list events"))?;
    let next = events.last().map_or(after, |event| event.sequence);
    Ok((events.into_iter().filter(|event| sees(ctx, event)).collect(), next))
}

fn sees(ctx: &Ctx, event: &Event) -> bool {
    match event.cluster {
        Some(cluster) => ctx.sees(Resource::Cluster, &Scope::cluster(event.tenant, event.folder, cluster)),
        None => ctx.sees(Resource::Folder, &Scope::folder(event.tenant, event.folder)),
    }
}

/// The cursor after everything that has happened so far.
///
/// # Errors
/// `Unavailable` when the database does not answer.
pub async fn events_end(ctx: &Ctx) -> Result<i64> {
    // Taking no number answers the one that comes next, and waits for writers of events that are under way.
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    let next = store::ledger::take(&mut tx, "event", 0)
        .await
        .map_err(stored("read event counter"))?;
    tx.commit().await.map_err(stored("commit"))?;
    Ok(next - 1)
}

/// Tells when events may have been written.
pub struct Bell(broadcast::Receiver<(String, String)>);

impl Bell {
    /// A bell of this server that hears everything written from now on.
    #[must_use]
    pub fn hang(store: &Store) -> Self {
        Self(store.subscribe())
    }

    /// Waits until events may have been written; `false` when there will be none any more.
    pub async fn rang(&mut self) -> bool {
        loop {
            match self.0.recv().await {
                Ok((channel, _)) if channel != "event" => {}
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return true,
                Err(broadcast::error::RecvError::Closed) => return false,
            }
        }
    }
}

/// Does the database answer?
///
/// # Errors
/// `Unavailable` when not.
pub async fn ping(core: &Core) -> Result<()> {
    core.store.ping().await.map_err(stored("ping"))
}

/// Nodes of all tenants by phase: figures only, for operators.
///
/// # Errors
/// `Unavailable` when the database does not answer.
pub async fn phases(core: &Core) -> Result<Vec<(Phase, u64)>> {
    let mut db = core.store.read().await.map_err(stored("read"))?;
    let census = store::node::census(&mut db, None)
        .await
        .map_err(stored("count nodes"))?;
    let count = |phase: Phase| {
        let counted = census.iter().filter(|row| row.1 == phase);
        counted.map(|row| u64::try_from(row.2).unwrap_or(0)).sum()
    };
    Ok(Phase::EVERY.iter().map(|phase| (*phase, count(*phase))).collect())
}

/// What the background activities did, by name.
#[must_use]
pub fn activities(core: &Core) -> Vec<(&'static str, Activity)> {
    lock(&core.activity)
        .iter()
        .map(|(name, activity)| (*name, activity.clone()))
        .collect()
}
