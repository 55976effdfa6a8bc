//! Writing down what was done: audit lines and events, in the transaction of the change.

use reeve_model::{Result, cluster::Cluster};
use reeve_store::{
    engine::Tx,
    ledger::{self, AuditEntry, Event},
};

use crate::{core::stored, ctx::Ctx};

/// Writes the audit line of an accepted change.
pub(crate) async fn done(ctx: &Ctx, tx: &mut Tx, verb: &str, resource: &str, detail: String) -> Result<()> {
    ledger::audit(tx, &entry(ctx, verb, resource, "ok", detail))
        .await
        .map_err(stored("write audit entry"))
}

/// Writes the audit line of a refused one, in a transaction of its own; a failure is logged and refuses nothing more.
pub(crate) async fn denied(ctx: &Ctx, verb: &str, resource: &str) {
    let write = async {
        let mut tx = ctx.core.store.begin().await?;
        ledger::audit(&mut tx, &entry(ctx, verb, resource, "denied", String::new())).await?;
        tx.commit().await
    };
    if let Err(error) = write.await {
        tracing::warn!(request.id = ctx.request_id, %error, "denied call could not be audited");
    }
}

fn entry(ctx: &Ctx, verb: &str, resource: &str, outcome: &str, detail: String) -> AuditEntry {
    AuditEntry {
        sequence: 0,
        at: ctx.now(),
        tenant: ctx.tenant(),
        actor: ctx.actor.id.to_string(),
        actor_name: ctx.actor.name.clone(),
        verb: verb.to_owned(),
        resource: resource.to_owned(),
        outcome: outcome.to_owned(),
        detail,
        request_id: ctx.request_id.clone(),
    }
}

/// An event about something in `cluster`.
pub(crate) fn event(ctx: &Ctx, cluster: &Cluster, kind: &str, subject: &str, text: String) -> Event {
    Event {
        sequence: 0,
        at: ctx.now(),
        tenant: cluster.tenant,
        folder: cluster.folder,
        cluster: Some(cluster.id),
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        text,
    }
}
