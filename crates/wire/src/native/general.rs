//! What belongs to no noun: operations, the audit trail, events, pages, problems and the server's own state.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An accepted request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its id.
    pub id: String,
    /// Name of its cluster.
    pub cluster: String,
    /// What was asked.
    pub verb: String,
    /// Name of who asked.
    pub actor: String,
    /// The asker's token against doing it twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_key: Option<String>,
    /// When it was accepted.
    pub created_at: String,
    /// `running`, `succeeded`, `failed` or `superseded`.
    pub state: String,
    /// Counts of its nodes.
    pub progress: Progress,
}

/// Counts of an operation's nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// In all.
    pub total: u64,
    /// As wished.
    pub done: u64,
    /// Given up.
    pub failed: u64,
    /// Taken over by a later request.
    pub superseded: u64,
}

/// One line of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Place in the trail.
    pub sequence: i64,
    /// When.
    pub at: String,
    /// Id of who asked.
    pub actor: String,
    /// Name of who asked.
    pub actor_name: String,
    /// What was asked.
    pub verb: String,
    /// Of what.
    pub resource: String,
    /// `ok` or `denied`.
    pub outcome: String,
    /// Numbers and names, never secrets.
    pub detail: String,
    /// The request.
    pub request_id: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Place in the log, to resume after.
    pub sequence: i64,
    /// When.
    pub at: String,
    /// Id of the cluster it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What kind of thing it happened to, e.g. `cluster`, `node`.
    pub kind: String,
    /// To what.
    pub subject: String,
    /// What happened, in words.
    pub text: String,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// `cursor` of the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The body of every refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Stable word, e.g. `not_found`.
    pub code: String,
    /// What happened, why, what to do next.
    pub message: String,
    /// Path of the offending field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Id of the request, to find it in the server's log.
    pub request_id: String,
    /// Seconds to wait before trying again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

/// The server's own state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Time since its start, seconds.
    pub uptime_s: u64,
    /// `sqlite` or `postgres`.
    pub database: String,
    /// Clusters the caller may see.
    pub clusters: u64,
    /// Nodes in them.
    pub nodes: u64,
    /// Running ones of these.
    pub nodes_running: u64,
    /// Given-up ones of these.
    pub nodes_failed: u64,
    /// Operations under way; absent when not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations_running: Option<u64>,
    /// Background activities.
    pub activities: Vec<Activity>,
}

/// A background activity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    /// Its name.
    pub name: String,
    /// Activations so far.
    pub runs: u64,
    /// When the last one ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// What it did.
    pub did: String,
    /// What went wrong in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
