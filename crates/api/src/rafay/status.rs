//! Answers about a cluster: details, status, list, installer commands.
//!
//! Pure rendering: the caller gathers a consistent snapshot and this module writes it in the wire's key order and
//! encodings. It decides nothing about a cluster except what the published rules derive from the snapshot itself.

mod taskset;
#[cfg(test)]
mod tests;
pub mod vocabulary;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

pub use taskset::{Operation, Taskset};
pub use vocabulary::{NodeStatus, OperationName, OperationState, Provision, TasksetState, Truth};

use super::document::API_VERSION;

/// The longest failure reason that is sent, in bytes.
const LONGEST_REASON: usize = 4096;
/// How many tasksets an answer holds at most.
const MOST_TASKSETS: usize = 10;

/// A stored cluster.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Name of the project that owns the cluster.
    pub project: String,
    /// Microseconds since the Unix epoch.
    pub modified_at_us: i64,
    /// The normalised document, as [`super::document::Document::details`] gave it.
    pub details: Value,
}

/// One of the six conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it holds.
    pub truth: Truth,
    /// Why, from the closed set of reasons where one applies.
    pub reason: String,
}

impl Condition {
    /// False with the reason that stands before the control plane exists.
    pub fn pending() -> Self {
        Self::not_yet(vocabulary::PENDING)
    }

    /// False with a reason.
    pub fn not_yet(reason: impl Into<String>) -> Self {
        Self {
            truth: Truth::False,
            reason: reason.into(),
        }
    }

    /// True, with the reason that belongs to the condition at this index, 0 to 5.
    pub fn reached(index: usize) -> Self {
        Self {
            truth: Truth::True,
            reason: vocabulary::CONDITIONS
                .get(index)
                .map_or("", |(_, reason)| *reason)
                .into(),
        }
    }
}

/// How the current or last operation of a cluster stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Being applied; clients keep polling.
    Submitted,
    /// Applied; clients stop.
    Applied,
    /// Failed, with a summary shown to the user as it is; clients stop.
    Failed(String),
}

/// The current or last operation of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationStatus {
    /// How it stands.
    pub state: Outcome,
    /// When that changed last, in microseconds since the Unix epoch.
    pub updated_at_us: i64,
}

/// What the status object is made of, all from one instant.
#[derive(Clone, Debug)]
pub struct StatusInput {
    /// Public id: seven characters of `[0-9a-z]`.
    pub short_id: String,
    /// Microseconds since the Unix epoch; sent in whole seconds.
    pub created_at_us: i64,
    /// The six conditions in the order of [`vocabulary::CONDITIONS`].
    pub conditions: [Condition; 6],
    /// How far the cluster has come.
    pub provision: Provision,
    /// The current or last operation.
    pub operation: OperationStatus,
    /// Tasksets, newest first.
    pub tasksets: Vec<Taskset>,
    /// Host name and status: declared nodes, and those still being removed.
    pub nodes: Vec<(String, NodeStatus)>,
}

/// The installer command for one architecture; the operating system family is Linux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallerCommand {
    /// `arm64` or `amd64`.
    pub arch: String,
    /// One line for a shell.
    pub command: String,
    /// When its credential ends, in microseconds since the Unix epoch.
    pub expires_at_us: Option<i64>,
}

/// The declared configuration, without a status.
pub fn render_details(stored: &Stored) -> Value {
    let mut details = stored.details.clone();
    if let Some(metadata) = details.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("project".into(), stored.project.as_str().into());
        metadata.insert("modifiedAt".into(), micros(stored.modified_at_us).into());
    }
    details
}

/// The declared configuration together with the status object.
pub fn render(stored: &Stored, input: &StatusInput) -> Value {
    let mut answer = render_details(stored);
    let status = render_status(&stored.details, input);
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("status".into(), status);
    }
    answer
}

/// A page of clusters; `count` is the number of all matches, `limit` 0 means no limit.
pub fn render_list(items: Vec<Value>, count: u64, limit: u64, offset: u64) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "ClusterList",
        "metadata": { "count": count, "limit": limit, "offset": offset },
        "items": items,
    })
}

/// The commands that bring machines into a cluster, in the order given: arm64 first, as clients expect.
pub fn installer_commands(name: &str, project: &str, commands: &[InstallerCommand]) -> Value {
    let entries: Vec<Value> = commands.iter().map(render_command).collect();
    json!({
        "apiVersion": API_VERSION,
        "kind": "ClusterInstallerCmds",
        "metadata": { "name": name, "project": project },
        "installerCmds": entries,
    })
}

fn render_command(command: &InstallerCommand) -> Value {
    let mut fields = Map::new();
    fields.insert("arch".into(), command.arch.as_str().into());
    fields.insert("osFamily".into(), "linux".into());
    fields.insert("command".into(), command.command.as_str().into());
    if let Some(instant) = command.expires_at_us {
        fields.insert("expiresAt".into(), seconds(instant).into());
    }
    fields.into()
}

fn render_status(details: &Value, input: &StatusInput) -> Value {
    let metadata = |key: &str| details["metadata"].get(key).and_then(Value::as_str);
    let name = metadata("name").unwrap_or_default();
    let conditions = vocabulary::CONDITIONS.iter().zip(&input.conditions).map(|((kind, _), condition)| {
        json!({ "type": kind, "status": condition.truth.as_str(), "reason": condition.reason })
    });
    json!({
        "id": input.short_id,
        "name": name,
        "displayName": metadata("displayName").unwrap_or(name),
        "createdAt": seconds(input.created_at_us),
        "conditions": conditions.collect::<Vec<_>>(),
        "extra": { "vaultIntegration": {} },
        "blueprint": details["spec"]["blueprint"],
        "provisionStatus": input.provision.as_str(),
        "commonStatus": render_common(&input.operation),
        "lastTasksets": input.tasksets.iter().take(MOST_TASKSETS).map(Taskset::render).collect::<Vec<_>>(),
        "mks": { "nodes": render_nodes(details, &input.nodes) },
    })
}

fn render_common(operation: &OperationStatus) -> Value {
    let (kind, number, reason) = match &operation.state {
        Outcome::Submitted => ("ClusterOperationSubmitted", 1, "clusterOperation is being applied"),
        Outcome::Applied => ("ClusterOperationApplied", 2, "clusterOperation is applied"),
        Outcome::Failed(reason) => (
            "ClusterOperationFailed",
            3,
            &reason[..reason.floor_char_boundary(LONGEST_REASON)],
        ),
    };
    json!({
        "conditionType": kind,
        "conditionStatus": number,
        "lastUpdated": split_instant(operation.updated_at_us),
        "reason": reason,
    })
}

/// Every node of the document in its order, then those that are still being removed.
fn render_nodes(details: &Value, known: &[(String, NodeStatus)]) -> Value {
    let element = |hostname: &str, status: NodeStatus| json!({ "hostname": hostname, "status": status.as_str() });
    let entries = details["spec"]["config"]["nodes"].as_array().into_iter().flatten();
    let declared: Vec<&str> = entries.filter_map(|node| node["hostname"].as_str()).collect();
    let status_of = |hostname: &str| {
        known
            .iter()
            .find(|(name, _)| name == hostname)
            .map_or(NodeStatus::Pending, |(_, status)| *status)
    };
    let leaving = known.iter().filter(|(name, _)| !declared.contains(&name.as_str()));
    declared
        .iter()
        .map(|hostname| element(hostname, status_of(hostname)))
        .chain(leaving.map(|(hostname, status)| element(hostname, *status)))
        .collect()
}

/// The encoding of `lastUpdated`: `nanos` is left out when it is zero.
fn split_instant(instant_us: i64) -> Value {
    let mut fields = Map::new();
    fields.insert("seconds".into(), instant_us.div_euclid(1_000_000).into());
    let nanos = instant_us.rem_euclid(1_000_000) * 1000;
    if nanos > 0 {
        fields.insert("nanos".into(), nanos.into());
    }
    fields.into()
}

/// RFC 3339 in UTC with exactly six fraction digits.
fn micros(instant_us: i64) -> String {
    let layout = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    instant(instant_us).format(&layout).unwrap_or_default()
}

/// RFC 3339 in UTC with whole seconds.
fn seconds(instant_us: i64) -> String {
    let layout = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    instant(instant_us).format(&layout).unwrap_or_default()
}

/// Instants outside the calendar cannot come out of a store that this server filled; the epoch shows them up.
fn instant(instant_us: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(instant_us) * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
