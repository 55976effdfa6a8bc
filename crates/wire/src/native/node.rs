//! Nodes, and what can be asked of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Its id, never used again.
    pub id: String,
    /// Its name, unique in the cluster without case.
    pub name: String,
    /// Name of its cluster.
    pub cluster: String,
    /// Name of its pool.
    pub pool: String,
    /// Machine size; empty for hosts that were there before.
    pub size: String,
    /// Cores it counts for.
    pub cores: u32,
    /// What it is wanted to be: `absent`, `off`, `deallocated` or `started`.
    pub goal: String,
    /// What it is, e.g. `booting`, `running`, `failed`.
    pub phase: String,
    /// Rises with every change of the goal.
    pub generation: i64,
    /// The newest generation that came true or was given up.
    pub settled_generation: i64,
    /// Why it is in this phase, one word.
    pub reason: String,
    /// The same in words with numbers.
    pub message: String,
    /// Since when.
    pub since: String,
    /// When the phase must have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// The provider's name of its machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Host name as the machine reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Placement group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement_group: Option<String>,
    /// A spot machine.
    pub spot: bool,
    /// Protected from being stopped.
    pub keep_alive: bool,
    /// Its record survives its machine.
    pub fixed: bool,
    /// Its machine only exists on paper.
    pub simulated: bool,
    /// When the record was made.
    pub created_at: String,
    /// When it last became running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<String>,
    /// What its agent said.
    pub agent: NodeAgent,
    /// What the machine is, as its agent reported; only where a single node is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub facts: Option<serde_json::Value>,
    /// The newest measurements of its agent; only where a single node is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub sample: Option<serde_json::Value>,
}

/// What a node's agent said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeAgent {
    /// Its last call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// How far initialisation is: `pending`, `running`, `done` or `failed`.
    pub init: String,
    /// Why it failed, or what runs.
    pub message: String,
}

/// Makes alike nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeCreate {
    /// Name of the pool.
    pub pool: String,
    /// How many.
    pub count: u32,
    /// Machine size; the first of the pool that has room when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Name format with `%d`, e.g. `gpu-%03d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_format: Option<String>,
    /// First index of the names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_offset: Option<u32>,
    /// Placement group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement_group: Option<String>,
    /// Token against doing it twice: 1 to 255 characters, never used before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_key: Option<String>,
}

/// What became of a request to make nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeCreated {
    /// Id of the operation.
    pub operation: String,
    /// How many were made.
    pub added: u32,
    /// Why fewer than asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Their names.
    pub names: Vec<String>,
}

/// Selects nodes to change: the union of names and ids, never *all* when empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeVerb {
    /// Exact names.
    #[serde(default)]
    pub names: Vec<String>,
    /// Ids.
    #[serde(default)]
    pub ids: Vec<String>,
    /// Token against doing it twice: 1 to 255 characters, never used before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_key: Option<String>,
}

/// What became of a request to change nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeVerbResult {
    /// Id of the operation.
    pub operation: String,
    /// One entry per selected node; unknown names have none.
    pub nodes: Vec<NodeJudged>,
}

/// What became of one node of such a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeJudged {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// It was accepted.
    pub ok: bool,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
