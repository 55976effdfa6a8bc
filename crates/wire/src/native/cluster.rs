//! Clusters, their pools, and the folders they lie in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Its id.
    pub id: String,
    /// Its name, unique in the tenant.
    pub name: String,
    /// Id of the folder it lies in.
    pub folder: String,
    /// What kind of cluster it is; several may hold.
    pub aspects: Aspects,
    /// What it was last asked to be: `idle`, `started`, `terminated` or `absent`.
    pub goal: String,
    /// How far it got: `idle`, `starting`, `started`, `terminating` or `terminated`.
    pub phase: String,
    /// Rises with every change of the goal.
    pub generation: i64,
    /// Most nodes.
    pub max_count: u32,
    /// Most cores.
    pub max_cores: u32,
    /// Version its agent reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Domain under which it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// When its record last changed.
    pub updated_at: String,
    /// When its agent was last heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// Some of its machines only exist on paper.
    pub simulated: bool,
    /// Counts of its nodes.
    pub nodes: NodeCounts,
}

/// What kind of cluster it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Aspects {
    /// An agent reports it.
    pub attached: bool,
    /// Its Kubernetes is installed and upgraded from here.
    pub managed: bool,
    /// Its machines are made and ended from here.
    pub elastic: bool,
}

/// Counts of nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeCounts {
    /// All records.
    pub total: u64,
    /// Running.
    pub running: u64,
    /// Given up.
    pub failed: u64,
    /// On their way to what they are wanted to be.
    pub waiting: u64,
}

/// Makes the record of a cluster that an agent will report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterCreate {
    /// Its name.
    pub name: String,
    /// Domain under which it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Version of its Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Defines an elastic cluster by a template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterImport {
    /// Name of the cluster.
    pub name: String,
    /// The template's text.
    pub template: String,
    /// Values of the template's parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<serde_json::Map<String, serde_json::Value>>,
    /// Replaces the definition of an existing cluster.
    #[serde(default)]
    pub force: bool,
    /// Starts the cluster at once.
    #[serde(default)]
    pub start: bool,
    /// Which of the template's clusters; the only one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
}

/// A cluster just imported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterImported {
    /// The cluster.
    pub cluster: Cluster,
    /// What the template says that has no effect here, one sentence each.
    pub warnings: Vec<String>,
}

/// What became of a request to delete a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterDeleted {
    /// The record is gone; else its machines are ending, and it goes with the last of them.
    pub gone: bool,
}

/// An accepted change to look after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Id of the operation.
    pub operation: String,
}

/// A pool of alike nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// Its id.
    pub id: String,
    /// Its name, unique in the cluster.
    pub name: String,
    /// `single`, `many` or `hosts`.
    pub kind: String,
    /// Provider account of its machines.
    pub account: String,
    /// Region of its machines.
    pub region: String,
    /// Zone inside the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Most nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_count: Option<u32>,
    /// Most cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cores: Option<u32>,
    /// Spot machines.
    pub spot: bool,
    /// Placement group every node goes into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement_group: Option<String>,
    /// Most nodes in one placement group.
    pub group_size_max: u32,
    /// No longer declared; goes with its last node.
    pub removed: bool,
    /// Its machine sizes in order of preference.
    pub buckets: Vec<Bucket>,
}

/// One machine size of one pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bucket {
    /// Stable id.
    pub id: String,
    /// Machine size.
    pub size: String,
    /// GPUs of one machine.
    pub gpus: u32,
    /// Cores that one node counts for.
    pub cores: u32,
    /// Nodes wanted started.
    pub active: u32,
    /// More nodes that can be made now.
    pub available: u32,
    /// Most nodes under all limits that do not move.
    pub max_count: u32,
    /// Why no node can be made: `notActivated` or `disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
    /// When the provider last had none of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exhausted_at: Option<String>,
}

/// A folder of clusters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Folder {
    /// Its id.
    pub id: String,
    /// Its name, unique in the tenant.
    pub name: String,
    /// When it was made.
    pub created_at: String,
}

/// Makes a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FolderCreate {
    /// Its name: 1 to 63 of `A-Z a-z 0-9 - _ .`.
    pub name: String,
}
