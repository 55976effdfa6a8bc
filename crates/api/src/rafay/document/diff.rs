//! What a changed document asks for: nothing, a quiet change, a list of operations, or a refusal.
//!
//! Compares two normalised documents. Lists that are sets on the wire (nodes, roles, taints, tolerations, projects,
//! name servers) compare without order. Whether another taskset runs, and whether the last one failed, is for the
//! caller to weigh.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

use super::catalog::folded_system;
use super::validate::{quote, tagged_version};
use super::{Document, Problem};
use crate::rafay::status::vocabulary::OperationName;

/// What follows from a changed document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The same document, at most in another order; still store it, since lists are echoed in the order last sent.
    NoChange,
    /// Changes that need no taskset: store the document, move `modifiedAt` alone.
    QuietOnly,
    /// The operations of a new taskset in the order they run, each with its resource.
    Operations(Vec<(OperationName, String)>),
}

/// Compares the stored document with the one just sent.
///
/// `provisioning_started` says whether any node has ever entered `PROVISIONING`. Before that, everything may be
/// corrected, and a change gives a new creation that supersedes the waiting one. Let the sent document
/// [inherit](super::Secrets::inherit) the stored secrets either before or after; both give the same answer.
///
/// # Errors
///
/// The changes that are not allowed, each with its JSON path.
pub fn compare(old: &Document, new: &Document, provisioning_started: bool) -> Result<Difference, Vec<Problem>> {
    if canonical(&old.details) == canonical(&new.details) && !new.secrets.changes(&old.secrets) {
        return Ok(Difference::NoChange);
    }
    let mut changes = Changes::new(old, new);
    changes.collect();
    if !provisioning_started {
        // What would be forbidden later is a correction now, and a correction of anything that counts starts over.
        let counts = !changes.problems.is_empty() || !changes.operations.is_empty();
        let restart = [OperationName::ClusterCreation, OperationName::BlueprintSync];
        let restart = || restart.map(|name| (name, new.name.clone())).to_vec();
        return Ok(if counts {
            Difference::Operations(restart())
        } else {
            Difference::QuietOnly
        });
    }
    if !changes.problems.is_empty() {
        return Err(changes.problems);
    }
    Ok(if changes.operations.is_empty() {
        Difference::QuietOnly
    } else {
        Difference::Operations(changes.operations)
    })
}

struct Changes<'a> {
    old: &'a Document,
    new: &'a Document,
    operations: Vec<(OperationName, String)>,
    problems: Vec<Problem>,
}

impl<'a> Changes<'a> {
    fn new(old: &'a Document, new: &'a Document) -> Self {
        Self {
            old,
            new,
            operations: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The order of the steps is the order in which the operations run.
    fn collect(&mut self) {
        self.fixed_settings();
        let upgrade = self.version_change();
        self.removed_nodes();
        self.platform_change();
        if upgrade {
            self.cluster(OperationName::ClusterUpgrade);
        }
        if self.settings_changed() {
            self.cluster(OperationName::ClusterUpdation);
        }
        self.added_nodes();
        self.edited_nodes();
        let blueprint = self.blueprint_changed();
        if blueprint {
            self.cluster(OperationName::BlueprintUpdation);
        }
        if upgrade || blueprint {
            self.cluster(OperationName::BlueprintSync);
        }
    }

    fn cluster(&mut self, name: OperationName) {
        self.operations.push((name, self.new.name.clone()));
    }

    fn refuse(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem {
            path: path.into(),
            message: message.into(),
        });
    }

    /// Both documents' value at a pointer below `/spec`, in canonical form.
    fn pair(&self, pointer: &str) -> (Value, Value) {
        let at = |document: &Document| document.details["spec"].pointer(pointer).map_or(Value::Null, canonical);
        (at(self.old), at(self.new))
    }

    fn differs(&self, pointer: &str) -> bool {
        let (old, new) = self.pair(pointer);
        old != new
    }

    fn fixed_settings(&mut self) {
        let switches = ["/config/highAvailability", "/config/dedicatedControlPlane"];
        let network = ["podSubnet", "serviceSubnet", "ipv6", "cni/version", "nameservers"];
        let pointers = switches
            .map(str::to_owned)
            .into_iter()
            .chain(network.map(|key| format!("/config/network/{key}")));
        for pointer in pointers.filter(|pointer| self.differs(pointer)).collect::<Vec<_>>() {
            self.refuse(
                format!("spec{}", pointer.replace('/', ".")),
                "cannot change once provisioning has begun",
            );
        }
        let (old, new) = self.pair("/config/network/cni/name");
        let same = |old: &str, new: &str| old.eq_ignore_ascii_case(new);
        if !matches!((old.as_str(), new.as_str()), (Some(old), Some(new)) if same(old, new)) {
            self.refuse(
                "spec.config.network.cni.name",
                "cannot change once provisioning has begun",
            );
        }
    }

    /// Whether the Kubernetes version goes up; any other change of it is refused.
    fn version_change(&mut self) -> bool {
        let (old, new) = (&self.old.kubernetes_version, &self.new.kubernetes_version);
        if old == new {
            return false;
        }
        let allowed = match (tagged_version(old), tagged_version(new)) {
            (Some(from), Some(to)) => to > from && to[0] == from[0] && to[1] <= from[1].saturating_add(1),
            _ => false,
        };
        if !allowed {
            let message = format!(
                "{} does not follow {}: go up, one minor version at a time",
                quote(new),
                quote(old)
            );
            self.refuse("spec.config.kubernetesVersion", message);
        }
        allowed
    }

    /// An absent platform version keeps the running one.
    fn platform_change(&mut self) {
        let (old, new) = self.pair("/config/platformVersion");
        let numbers = |value: &Value| value.as_str().and_then(tagged_version);
        match (numbers(&old), numbers(&new)) {
            (Some(old), Some(new)) if new < old => {
                self.refuse("spec.config.platformVersion", "is lower than the present one");
            }
            (old, Some(new)) if old != Some(new) => self.cluster(OperationName::PlatformUpgrade),
            _ => {}
        }
    }

    fn settings_changed(&self) -> bool {
        let pointers = [
            "/config/kubeletExtraArgs",
            "/config/kubeletConfigurationOverrides",
            "/config/controlPlaneOverrides",
            "/proxy",
            "/systemComponentsPlacement",
        ];
        pointers.iter().any(|pointer| self.differs(pointer)) || self.new.secrets.changes_proxy(&self.old.secrets)
    }

    /// No version and `latest` mean the same.
    fn blueprint_changed(&self) -> bool {
        let (old, new) = self.pair("/blueprint");
        let version = |blueprint: &Value| blueprint["version"].as_str().unwrap_or("latest").to_owned();
        old["name"] != new["name"] || version(&old) != version(&new)
    }

    fn removed_nodes(&mut self) {
        let stays = |name: &str| self.new.nodes.iter().any(|node| node.hostname == name);
        let (control_planes, workers): (Vec<_>, Vec<_>) = self
            .old
            .nodes
            .iter()
            .filter(|node| !stays(&node.hostname))
            .partition(|node| node.control_plane);
        let survives = self
            .old
            .nodes
            .iter()
            .any(|node| node.control_plane && stays(&node.hostname));
        let leaving = workers.into_iter().chain(control_planes);
        self.operations
            .extend(leaving.map(|node| (OperationName::NodeDeletion, node.hostname.clone())));
        if !survives {
            self.refuse(
                "spec.config.nodes",
                "removes the last of the present control-plane nodes",
            );
        }
    }

    fn added_nodes(&mut self) {
        let known = |name: &str| self.old.nodes.iter().any(|node| node.hostname == name);
        let added = self.new.nodes.iter().filter(|node| !known(&node.hostname));
        self.operations
            .extend(added.map(|node| (OperationName::NodeAddition, node.hostname.clone())));
    }

    fn edited_nodes(&mut self) {
        let before = nodes_by_name(self.old);
        let nodes = self.new.details["spec"]["config"]["nodes"]
            .as_array()
            .into_iter()
            .flatten();
        for (index, node) in nodes.enumerate() {
            let hostname = node["hostname"].as_str().unwrap_or_default();
            let Some(earlier) = before.get(hostname) else { continue };
            for key in ["arch", "operatingSystem", "privateIP", "interface", "roles"] {
                if fixed(earlier, key) != fixed(node, key) {
                    let message = "cannot change on an existing node: remove the node and add it again";
                    self.refuse(format!("spec.config.nodes[{index}].{key}"), message);
                }
            }
            let edited = [
                "labels",
                "annotations",
                "taints",
                "kubeletExtraArgs",
                "kubeletConfigurationOverrides",
            ];
            if edited
                .iter()
                .any(|key| canonical_field(earlier, key) != canonical_field(node, key))
            {
                self.operations.push((OperationName::NodeUpdation, hostname.to_owned()));
            }
        }
    }
}

fn nodes_by_name(document: &Document) -> BTreeMap<&str, &Value> {
    let nodes = document.details["spec"]["config"]["nodes"]
        .as_array()
        .into_iter()
        .flatten();
    nodes
        .filter_map(|node| Some((node["hostname"].as_str()?, node)))
        .collect()
}

/// A field of a node that may not change, as it is compared.
fn fixed(node: &Value, key: &str) -> Value {
    match (key, node[key].as_str()) {
        ("operatingSystem", Some(token)) => folded_system(token).into(),
        _ => canonical_field(node, key),
    }
}

fn canonical_field(node: &Value, key: &str) -> Value {
    node.get(key).map_or(Value::Null, |value| canonical_list(key, value))
}

/// A value whose set-like lists are sorted; the order of keys never counts.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), canonical_list(key, value)))
            .collect(),
        Value::Array(_) => canonical_list("", value),
        _ => value.clone(),
    }
}

/// Every list of a cluster document is a set, so each is sorted by the text of its canonical entries.
fn canonical_list(key: &str, value: &Value) -> Value {
    let Value::Array(items) = value else {
        return canonical(value);
    };
    let mut items: Vec<Value> = items
        .iter()
        .map(canonical)
        .map(|item| {
            if key == "tolerations" {
                with_operator(item)
            } else {
                item
            }
        })
        .collect();
    items.sort_by_cached_key(sorted_text);
    Value::Array(items)
}

/// A toleration without operator means `Equal`.
fn with_operator(mut toleration: Value) -> Value {
    if let Some(fields) = toleration.as_object_mut() {
        fields.entry("operator").or_insert_with(|| "Equal".into());
    }
    toleration
}

/// A text that does not depend on the order of keys.
fn sorted_text(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, String> =
                fields.iter().map(|(key, value)| (key, sorted_text(value))).collect();
            format!("{sorted:?}")
        }
        Value::Array(items) => format!("{:?}", items.iter().map(sorted_text).collect::<Vec<_>>()),
        _ => value.to_string(),
    }
}
