//! Tallies, counters, facets, the audit trail and the event log: small tables with one or two statements each.

use reeve_model::{
    Timestamp,
    capacity::{Key, Totals},
    id::{ClusterId, FolderId, TenantId},
};

use crate::{
    args,
    codec::{at, parsed},
    engine::{Conn, Error, Result, Tx},
};

/// Changes running totals; keys must come in sorted order so that two transactions never wait for each other.
pub async fn change_tallies(tx: &mut Tx, changes: impl IntoIterator<Item = (Key, Totals)>) -> Result<()> {
    for (key, change) in changes {
        if change.nodes == 0 && change.cores == 0 {
            continue;
        }
        tx.run(
            "insert into tally (name, nodes, cores) values ($1, $2, $3) on conflict (name) do update set \
             nodes = tally.nodes + excluded.nodes, cores = tally.cores + excluded.cores",
            args![key.to_string(), change.nodes, change.cores],
        )
        .await?;
    }
    Ok(())
}

/// One running total; zero when nothing was counted yet.
pub async fn tally(db: &mut Conn, key: &Key) -> Result<Totals> {
    let row = db
        .first("select nodes, cores from tally where name = $1", args![key.to_string()])
        .await?;
    row.map_or(Ok(Totals::default()), |row| {
        Ok(Totals {
            nodes: row.int(0)?,
            cores: row.int(1)?,
        })
    })
}

/// All totals whose name begins with `prefix`.
pub async fn tallies(db: &mut Conn, prefix: &str) -> Result<Vec<(String, Totals)>> {
    let end = format!("{prefix}\u{7f}");
    let rows = db
        .all(
            "select name, nodes, cores from tally where name >= $1 and name < $2 order by name",
            args![prefix, end],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok((
                row.text(0)?,
                Totals {
                    nodes: row.int(1)?,
                    cores: row.int(2)?,
                },
            ))
        })
        .collect()
}

/// Takes `count` numbers from a counter; answers the first. Holds the counter's row until the transaction ends, so
/// it also serialises everything that takes from the same counter.
pub async fn take(tx: &mut Tx, counter: &str, count: i64) -> Result<i64> {
    let row = tx
        .first(
            "insert into counter (name, value) values ($1, $2) on conflict (name) do update set \
             value = counter.value + excluded.value returning value",
            args![counter, count],
        )
        .await?
        .ok_or_else(|| Error::Other(format!("counter {counter} answered nothing")))?;
    Ok(row.int(0)? - count + 1)
}

/// Serialises capacity decisions of one provider account and region.
pub async fn lock_region(tx: &mut Tx, account: &str, region: &str) -> Result<()> {
    take(tx, &format!("region:{account}:{region}"), 1).await.map(|_| ())
}

/// Keeps a dialect's document beside an entity.
pub async fn put_facet(tx: &mut Tx, entity: &str, dialect: &str, document: &str, now: Timestamp) -> Result<()> {
    tx.run(
        "insert into facet (entity, dialect, document, updated_at) values ($1, $2, $3, $4) \
         on conflict (entity, dialect) do update set document = excluded.document, updated_at = excluded.updated_at",
        args![entity, dialect, document, now.0],
    )
    .await
    .map(|_| ())
}

/// A dialect's document beside an entity.
pub async fn facet(db: &mut Conn, entity: &str, dialect: &str) -> Result<Option<String>> {
    let row = db
        .first(
            "select document from facet where entity = $1 and dialect = $2",
            args![entity, dialect],
        )
        .await?;
    row.map(|row| row.text(0)).transpose()
}

/// One line of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Place in the trail.
    pub sequence: i64,
    /// When.
    pub at: Timestamp,
    /// The tenant.
    pub tenant: TenantId,
    /// Id of who asked.
    pub actor: String,
    /// Name of who asked.
    pub actor_name: String,
    /// What was asked.
    pub verb: String,
    /// Of what.
    pub resource: String,
    /// `ok`, or the code of the refusal.
    pub outcome: String,
    /// Numbers and names, never secrets.
    pub detail: String,
    /// The request.
    pub request_id: String,
}

/// Writes a line of the audit trail; its `sequence` is taken here.
pub async fn audit(tx: &mut Tx, entry: &AuditEntry) -> Result<()> {
    let sequence = take(tx, "audit", 1).await?;
    tx.run(
        "insert into audit (sequence, at, tenant, actor, actor_name, verb, resource, outcome, detail, request_id) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        args![
            sequence,
            entry.at.0,
            entry.tenant.to_string(),
            entry.actor.as_str(),
            entry.actor_name.as_str(),
            entry.verb.as_str(),
            entry.resource.as_str(),
            entry.outcome.as_str(),
            entry.detail.as_str(),
            entry.request_id.as_str()
        ],
    )
    .await
    .map(|_| ())
}

/// The newest lines of the trail before `before`, newest first.
pub async fn audit_page(db: &mut Conn, tenant: TenantId, before: i64, limit: u32) -> Result<Vec<AuditEntry>> {
    let rows = db
        .all(
            "select sequence, at, tenant, actor, actor_name, verb, resource, outcome, detail, request_id from audit \
             where tenant = $1 and sequence < $2 order by sequence desc limit $3",
            args![tenant.to_string(), before, limit],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(AuditEntry {
                sequence: row.int(0)?,
                at: at(row, 1)?,
                tenant: parsed(row, 2)?,
                actor: row.text(3)?,
                actor_name: row.text(4)?,
                verb: row.text(5)?,
                resource: row.text(6)?,
                outcome: row.text(7)?,
                detail: row.text(8)?,
                request_id: row.text(9)?,
            })
        })
        .collect()
}

/// Something that happened, for those who watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Place in the log; the cursor of those who resume.
    pub sequence: i64,
    /// When.
    pub at: Timestamp,
    /// The tenant.
    pub tenant: TenantId,
    /// The folder it belongs to.
    pub folder: FolderId,
    /// The cluster it belongs to, if any.
    pub cluster: Option<ClusterId>,
    /// What kind of thing happened.
    pub kind: String,
    /// To what.
    pub subject: String,
    /// For people.
    pub text: String,
}

/// Writes events; their `sequence` is taken here.
pub async fn events(tx: &mut Tx, events: &[Event]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let first = take(tx, "event", count).await?;
    let mut values = Vec::with_capacity(events.len() * 8);
    for (sequence, event) in (first..).zip(events) {
        values.extend(args![
            sequence,
            event.at.0,
            event.tenant.to_string(),
            event.folder.to_string(),
            event.cluster.map(|id| id.to_string()),
            event.kind.as_str(),
            event.subject.as_str(),
            event.text.as_str(),
        ]);
    }
    tx.insert_many(
        "insert into event (sequence, at, tenant, folder, cluster, kind, subject, text) values",
        8,
        values,
        "",
    )
    .await?;
    tx.notify("event", (first + count - 1).to_string());
    Ok(())
}

/// Events after `after`, oldest first.
pub async fn events_after(db: &mut Conn, tenant: TenantId, after: i64, limit: u32) -> Result<Vec<Event>> {
    let rows = db
        .all(
            "select sequence, at, tenant, folder, cluster, kind, subject, text from event \
             where tenant = $1 and sequence > $2 order by sequence limit $3",
            args![tenant.to_string(), after, limit],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let cluster = match row.text_opt(4)? {
                None => None,
                Some(text) => Some(
                    text.parse()
                        .map_err(|_| Error::Corrupt(format!("event cluster \"{text}\"")))?,
                ),
            };
            Ok(Event {
                sequence: row.int(0)?,
                at: at(row, 1)?,
                tenant: parsed(row, 2)?,
                folder: parsed(row, 3)?,
                cluster,
                kind: row.text(5)?,
                subject: row.text(6)?,
                text: row.text(7)?,
            })
        })
        .collect()
}

/// Drops events older than `before`.
pub async fn forget_events(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    tx.run("delete from event where at < $1", args![before.0]).await
}
