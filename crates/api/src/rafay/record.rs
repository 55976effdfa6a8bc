//! What is kept of a cluster document between requests, and what follows from it and the hosts' present state.
//!
//! The record holds the normalised document and its tasksets. The outcome of the newest taskset is not written: it
//! follows from the hosts, so that it can never disagree with them.

use reeve_control::host::Managed;
use reeve_model::{Error, Result, cluster::Goal, condition::Reason, node::Node};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{
    document::{self, Document, diff::Difference},
    status::{
        Condition, NodeStatus, Operation, OperationName, OperationState, OperationStatus, Outcome, Provision,
        StatusInput, Stored, Taskset,
    },
};

/// Most tasksets that are kept.
const KEPT: usize = 10;
/// What this version can not do, told to whoever waits for it.
const NOT_OFFERED: &str = "installing Kubernetes is not offered by this version of Reeve";

/// What is kept of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// The normalised document.
    pub details: Value,
    /// When it was last changed, microseconds since 1970 UTC.
    pub modified_at_us: i64,
    /// Tasksets, newest first.
    pub tasksets: Vec<Kept>,
}

/// A taskset as kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kept {
    /// Its public id.
    pub id: String,
    /// When it was opened, microseconds since 1970 UTC.
    pub created_at_us: i64,
    /// Names of operations with their resources.
    pub operations: Vec<(String, String)>,
    /// How it failed, once a newer one took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// Seven characters of `[0-9a-z]` from an id.
#[must_use]
pub(super) fn short(id: Uuid) -> String {
    let mut rest = id.as_u128();
    let mut text = String::with_capacity(7);
    for _ in 0..7 {
        let digit = u32::try_from(rest % 36).unwrap_or(0);
        text.push(char::from_digit(digit, 36).unwrap_or('0'));
        rest /= 36;
    }
    text
}

impl Record {
    /// Reads what is kept.
    ///
    /// # Errors
    /// `Internal` when it is not what this module wrote.
    pub(super) fn read(managed: &Managed) -> Result<Self> {
        serde_json::from_str(&managed.document)
            .map_err(|error| Error::internal(format!("document of cluster {}: {error}", managed.cluster.id)))
    }

    /// Writes it down.
    ///
    /// # Errors
    /// `Internal`.
    pub(super) fn write(&self) -> Result<String> {
        serde_json::to_string(self).map_err(Error::internal)
    }

    /// The record after `document` was applied over `before`, with the hosts as they are.
    ///
    /// A waiting taskset gives way to the new one; a failed one is kept as history. `taskset` is the id of a new one.
    ///
    /// # Errors
    /// The problems of a forbidden change, joined.
    pub(super) fn apply(
        before: Option<&Managed>,
        project: &str,
        document: &Document,
        taskset: Uuid,
        now_us: i64,
    ) -> Result<Self> {
        let Some(managed) = before else {
            let first = Kept::creation(document, taskset, now_us);
            return Ok(Self {
                details: document.details.clone(),
                modified_at_us: now_us,
                tasksets: vec![first],
            });
        };
        let mut record = Self::read(managed)?;
        let stored = document::restore(project, &record.details)
            .ok_or_else(|| Error::internal(format!("document of cluster {} is unreadable", managed.cluster.id)))?;
        // No host is ever provisioned here, so every change is still a correction.
        let difference = document::diff::compare(&stored, document, false).map_err(|problems| {
            Error::invalid(
                "",
                problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            )
        })?;
        let failed = record.failure(managed);
        record.details = document.details.clone();
        let renew = match difference {
            Difference::NoChange => failed.is_some(),
            Difference::QuietOnly => {
                record.modified_at_us = now_us;
                false
            }
            Difference::Operations(_) => true,
        };
        if renew {
            let newest = if record.tasksets.is_empty() {
                None
            } else {
                Some(record.tasksets.remove(0))
            };
            if let (Some(newest), Some((text, _))) = (newest, failed) {
                record.tasksets.insert(
                    0,
                    Kept {
                        failed: Some(text),
                        ..newest
                    },
                );
            }
            record.tasksets.insert(0, Kept::creation(document, taskset, now_us));
            record.tasksets.truncate(KEPT);
            record.modified_at_us = now_us;
        }
        Ok(record)
    }

    /// Why the newest taskset failed and since when, if it did: once the whole control plane is approved, the next
    /// step would be one that this version does not have.
    fn failure(&self, managed: &Managed) -> Option<(String, i64)> {
        let control = self.control_plane();
        let hosts: Option<Vec<&Node>> = control
            .iter()
            .map(|name| managed.hosts.iter().find(|host| host.name.eq_ignore_ascii_case(name)))
            .collect();
        let hosts = hosts.filter(|hosts| !hosts.is_empty())?;
        if !hosts.iter().all(|host| host.seen.condition.reason == Reason::Approved) {
            return None;
        }
        let since = hosts
            .iter()
            .map(|host| host.seen.condition.since.0)
            .max()
            .unwrap_or_default();
        let text = match control.as_slice() {
            [only] => format!("node {only}: {NOT_OFFERED}; the host is registered and approved"),
            several => format!(
                "nodes {}: {NOT_OFFERED}; the hosts are registered and approved",
                several.join(", ")
            ),
        };
        let opened = self.tasksets.first().map_or(0, |newest| newest.created_at_us);
        Some((text, since.max(opened)))
    }

    /// Host names of the declared control plane.
    fn control_plane(&self) -> Vec<&str> {
        let nodes = self.details["spec"]["config"]["nodes"].as_array().into_iter().flatten();
        let controls = |node: &&Value| {
            node["roles"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|role| role == "ControlPlane")
        };
        nodes
            .filter(controls)
            .filter_map(|node| node["hostname"].as_str())
            .collect()
    }

    /// The declared configuration, as the renderers take it.
    #[must_use]
    pub(super) fn stored(&self, project: &str, managed: Option<&Managed>) -> Stored {
        let failed = managed
            .and_then(|managed| self.failure(managed))
            .map_or(0, |(_, at)| at);
        Stored {
            project: project.to_owned(),
            modified_at_us: self.modified_at_us.max(failed),
            details: self.details.clone(),
        }
    }

    /// The status, all from the one view in `managed`.
    #[must_use]
    pub(super) fn status(&self, managed: &Managed) -> StatusInput {
        let ending = managed.cluster.goal == Goal::Absent;
        let failure = self.failure(managed);
        let updated_at_us = match &failure {
            Some((_, at)) => *at,
            None => self
                .tasksets
                .first()
                .map_or(self.modified_at_us, |newest| newest.created_at_us),
        };
        let node = |host: &Node| {
            let word = if ending {
                NodeStatus::Deleting
            } else {
                node_status(host.seen.condition.reason)
            };
            (host.name.clone(), word)
        };
        let (provision, state) = match &failure {
            _ if ending => (Provision::DeletionInProgress, Outcome::Submitted),
            Some((text, _)) => (Provision::Failed, Outcome::Failed(text.clone())),
            None => (Provision::InProgress, Outcome::Submitted),
        };
        let came = managed.hosts.iter().any(|host| host.seen.machine.is_some());
        let waiting = if came {
            OperationState::InProgress
        } else {
            OperationState::Pending
        };
        let current = failure.as_ref().map(|(text, _)| text.as_str());
        let tasksets = self.tasksets.iter().enumerate().map(|(index, kept)| {
            let failed = kept.failed.as_deref().or(if index == 0 { current } else { None });
            kept.taskset(failed, waiting)
        });
        StatusInput {
            short_id: short(managed.cluster.id.0),
            created_at_us: managed.cluster.created_at.0,
            conditions: std::array::from_fn(|_| Condition::pending()),
            provision,
            operation: OperationStatus { state, updated_at_us },
            tasksets: tasksets.collect(),
            nodes: managed.hosts.iter().map(node).collect(),
        }
    }
}

impl Kept {
    fn creation(document: &Document, id: Uuid, now_us: i64) -> Self {
        let names = [OperationName::ClusterCreation, OperationName::BlueprintSync];
        let operations = names
            .map(|name| (name.as_str().to_owned(), document.name.clone()))
            .to_vec();
        Self {
            id: short(id),
            created_at_us: now_us,
            operations,
            failed: None,
        }
    }

    /// As it is shown: failed with this reason, or with its creation in the state `waiting`.
    #[must_use]
    pub(super) fn taskset(&self, failed: Option<&str>, waiting: OperationState) -> Taskset {
        let operation = |(name, resource): &(String, String)| {
            let name = OperationName::from_wire(name)?;
            let main = name != OperationName::BlueprintSync;
            let state = match failed {
                _ if !main => OperationState::Pending,
                Some(_) => OperationState::Failed,
                None => waiting,
            };
            let error = failed.filter(|_| main).map(str::to_owned);
            Some(Operation {
                name,
                resource: resource.clone(),
                state,
                error,
            })
        };
        Taskset {
            id: self.id.clone(),
            operations: self.operations.iter().filter_map(operation).collect(),
        }
    }
}

/// The word for a host by why it is as it is.
pub(super) fn node_status(reason: Reason) -> NodeStatus {
    match reason {
        Reason::PrecheckFailed => NodeStatus::PretestFailed,
        Reason::Discovered => NodeStatus::Discovered,
        Reason::Approved => NodeStatus::Approved,
        // Hosts that people bring are never in these; should one be, nothing has been done to it yet.
        Reason::WaitingForHost
        | Reason::AsWished
        | Reason::Reserved
        | Reason::MachineRequested
        | Reason::WaitingForAgent
        | Reason::Initializing
        | Reason::Draining
        | Reason::Stopping
        | Reason::Releasing
        | Reason::NoCapacity
        | Reason::ProviderQuota
        | Reason::Throttled
        | Reason::ProviderUnanswered
        | Reason::ProviderRefused
        | Reason::LaunchTimeout
        | Reason::BootTimeout
        | Reason::InitFailed
        | Reason::InitTimeout
        | Reason::MachineVanished
        | Reason::Evicted => NodeStatus::Pending,
    }
}
