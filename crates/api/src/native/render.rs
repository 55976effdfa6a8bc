//! The nouns of the model as the native API writes them; it decides nothing.

use std::collections::BTreeMap;

use reeve_control::{Core, cluster::PoolStatus, journal, node, operation};
use reeve_model::{
    Timestamp, cluster,
    node::{Goal, Phase},
    pool,
};
use reeve_wire::native as wire;

/// A time.
#[must_use]
pub fn time(at: Timestamp) -> String {
    at.rfc3339_micros()
}

/// A cluster with the counts of its nodes.
#[must_use]
pub fn cluster(cluster: &cluster::Cluster, census: &[(Goal, Phase, i64)]) -> wire::Cluster {
    wire::Cluster {
        id: cluster.id.to_string(),
        name: cluster.name.clone(),
        folder: cluster.folder.to_string(),
        aspects: wire::Aspects {
            attached: cluster.aspects.attached,
            managed: cluster.aspects.managed,
            elastic: cluster.aspects.elastic,
        },
        goal: cluster.goal.word().to_owned(),
        phase: cluster.phase.word().to_owned(),
        generation: cluster.generation,
        max_count: cluster.max_count,
        max_cores: cluster.max_cores,
        version: cluster.version.clone(),
        domain: cluster.domain.clone(),
        created_at: time(cluster.created_at),
        updated_at: time(cluster.updated_at),
        last_seen: cluster.last_seen.map(time),
        simulated: cluster.simulated,
        nodes: counts(census),
    }
}

fn counts(census: &[(Goal, Phase, i64)]) -> wire::NodeCounts {
    let mut counts = wire::NodeCounts::default();
    for (goal, phase, count) in census {
        let count = u64::try_from(*count).unwrap_or(0);
        counts.total += count;
        match (goal, phase) {
            (Goal::Started, Phase::Running) => counts.running += count,
            (_, Phase::Failed) => counts.failed += count,
            (Goal::Deallocated, Phase::Stopped) | (Goal::Off, Phase::Off) => {}
            _ => counts.waiting += count,
        }
    }
    counts
}

/// A pool with its buckets; `started`: its cluster is.
#[must_use]
pub fn pool(status: &PoolStatus, started: bool) -> wire::Pool {
    let pool = &status.pool;
    wire::Pool {
        id: pool.id.to_string(),
        name: pool.name.clone(),
        kind: pool.kind.word().to_owned(),
        account: pool.account.clone(),
        region: pool.region.clone(),
        zone: pool.zone.clone(),
        max_count: pool.max_count,
        max_cores: pool.max_cores,
        spot: pool.interruptible,
        placement_group: pool.placement_group.clone(),
        group_size_max: pool.group_size_max,
        removed: pool.removed,
        buckets: status
            .buckets
            .iter()
            .map(|row| wire::Bucket {
                id: row.bucket.id.to_string(),
                size: row.bucket.size.clone(),
                gpus: row.size.gpus,
                cores: row.limits.cores,
                active: u32::try_from(row.in_use.bucket.nodes).unwrap_or(0),
                available: row.available,
                max_count: reeve_control::cluster::bucket_max(&row.limits),
                closed: row.bucket.closed(started).map(|why| match why {
                    pool::Closed::NotActivated => "notActivated".to_owned(),
                    pool::Closed::Disabled => "disabled".to_owned(),
                }),
                exhausted_at: row.bucket.exhausted_at.map(time),
            })
            .collect(),
    }
}

/// A node of `cluster` in `pool`, without its agent's report.
#[must_use]
pub fn node(core: &Core, cluster: &str, pool: &pool::Pool, node: &reeve_model::node::Node) -> wire::Node {
    let seen = &node.seen;
    let account = core.accounts.get(&pool.account);
    wire::Node {
        id: node.id.to_string(),
        name: node.name.clone(),
        cluster: cluster.to_owned(),
        pool: pool.name.clone(),
        size: node.size.clone(),
        cores: node.cores,
        goal: node.goal.word().to_owned(),
        phase: seen.phase.word().to_owned(),
        generation: node.generation,
        settled_generation: seen.generation,
        reason: seen.condition.reason.code().to_owned(),
        message: seen.condition.message.clone(),
        since: time(seen.condition.since),
        deadline: seen.deadline.map(time),
        machine: seen.machine.clone(),
        address: seen.address.map(|address| address.to_string()),
        hostname: seen.hostname.clone().or_else(|| node.agent.hostname.clone()),
        placement_group: node.placement_group.clone(),
        spot: node.spot,
        keep_alive: node.keep_alive,
        fixed: node.fixed,
        simulated: account.is_some_and(|account| account.machines.capabilities().simulated),
        created_at: time(node.created_at),
        ready_at: node.ready_at.map(time),
        agent: wire::NodeAgent {
            last_seen: node::last_heard(core, node).map(time),
            init: node.agent.init.word().to_owned(),
            message: node.agent.message.clone(),
        },
        facts: None,
        sample: None,
    }
}

/// A node with its agent's report.
#[must_use]
pub fn node_in_full(core: &Core, cluster: &str, detailed: &node::Detailed) -> wire::Node {
    let mut shown = node(core, cluster, &detailed.pool, &detailed.full.node);
    if let Some(report) = &detailed.report {
        shown.facts = serde_json::from_str(&report.facts).ok();
        shown.sample = report
            .sample
            .as_deref()
            .and_then(|sample| serde_json::from_str(sample).ok());
    }
    shown
}

/// An operation.
#[must_use]
pub fn operation(shown: &operation::Shown) -> wire::Operation {
    let operation = &shown.operation;
    wire::Operation {
        id: operation.id.to_string(),
        cluster: shown.cluster.clone(),
        verb: operation.verb.word().to_owned(),
        actor: operation.actor_name.clone(),
        request_key: operation.request_key.clone(),
        created_at: time(operation.created_at),
        state: shown.progress.state().to_owned(),
        progress: wire::Progress {
            total: shown.progress.total,
            done: shown.progress.done,
            failed: shown.progress.failed,
            superseded: shown.progress.superseded,
        },
    }
}

/// A line of the audit trail.
#[must_use]
pub fn audit(entry: journal::AuditEntry) -> wire::AuditEntry {
    wire::AuditEntry {
        sequence: entry.sequence,
        at: time(entry.at),
        actor: entry.actor,
        actor_name: entry.actor_name,
        verb: entry.verb,
        resource: entry.resource,
        outcome: entry.outcome,
        detail: entry.detail,
        request_id: entry.request_id,
    }
}

/// An event.
#[must_use]
pub fn event(event: journal::Event) -> wire::Event {
    wire::Event {
        sequence: event.sequence,
        at: time(event.at),
        cluster: event.cluster.map(|id| id.to_string()),
        kind: event.kind,
        subject: event.subject,
        text: event.text,
    }
}

/// Background activities.
#[must_use]
pub fn activities(core: &Core) -> Vec<wire::Activity> {
    journal::activities(core)
        .into_iter()
        .map(|(name, activity)| wire::Activity {
            name: name.to_owned(),
            runs: activity.runs,
            last: activity.last.map(time),
            did: activity.did,
            error: activity.error,
        })
        .collect()
}

/// A page: `rows` may hold one more than `limit`, which tells that there is another page.
#[must_use]
pub fn page<T, R>(mut rows: Vec<R>, limit: u32, cursor: impl Fn(&R) -> i64, show: impl Fn(R) -> T) -> wire::Page<T> {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| cursor(row).to_string());
    wire::Page {
        items: rows.into_iter().map(show).collect(),
        next,
    }
}

/// Names of folders and clusters by id, to write scopes with.
pub type Names = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_is_counted_once_among_all_and_at_most_once_beside() {
        let census = [
            (Goal::Started, Phase::Running, 3),
            (Goal::Started, Phase::Failed, 2),
            (Goal::Started, Phase::Booting, 1),
            (Goal::Absent, Phase::Running, 4),
            (Goal::Off, Phase::Off, 5),
        ];
        let counts = counts(&census);
        assert_eq!(
            (counts.total, counts.running, counts.failed, counts.waiting),
            (15, 3, 2, 5)
        );
    }

    #[test]
    fn a_page_names_the_next_one_only_when_there_is_one() {
        let full = page(vec![1, 2, 3], 2, |row| *row, |row| row);
        assert_eq!((full.items, full.next), (vec![1, 2], Some("2".into())));
        let last = page(vec![1, 2], 2, |row| *row, |row| row);
        assert_eq!((last.items, last.next), (vec![1, 2], None));
    }
}
