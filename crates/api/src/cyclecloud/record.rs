//! Node and nodearray records: declared attributes, what a create request set over them, and what is so.
//!
//! A cluster has up to ten thousand nodes and its autoscaler lists them every few seconds. So what all nodes of one
//! pool revision and size share is merged and serialised once, and a node without attributes of its own is written as
//! that text plus its few own keys, without a tree in between.

use std::collections::HashMap;

use reeve_control::{Core, cluster::Status};
use reeve_model::{
    id::PoolId,
    node::Node,
    pool::{Pool, ShutdownPolicy},
};
use serde_json::{Map, Value as Json, json};

use super::{expression::equal_ignoring_case, states};
use crate::App;

/// A record.
pub type Record = Map<String, Json>;

/// Attributes of a nodearray that make no sense on one node.
const ARRAY_ONLY: [&str; 4] = ["MaxCount", "MaxCoreCount", "InitialCount", "InitialCoreCount"];

/// Attributes that every node has for itself, so that declared ones would be shown twice.
const OWN: [&str; 22] = [
    "Name",
    "NodeId",
    "ClusterName",
    "Template",
    "MachineType",
    "Status",
    "TargetState",
    "State",
    "Hostname",
    "PrivateIp",
    "PlacementGroupId",
    "InstanceId",
    "Instance",
    "KeepAlive",
    "Interruptible",
    "Fixed",
    "ShutdownPolicy",
    "CoreCount",
    "StatusMessage",
    "PhaseFailed",
    "CreateTime",
    "StartTime",
];

/// Attributes of a create request that are ignored.
const IGNORED: [&str; 13] = [
    "Name",
    "NodeId",
    "ClusterName",
    "Template",
    "State",
    "TargetState",
    "Status",
    "MachineType",
    "PlacementGroupId",
    "Hostname",
    "PrivateIp",
    "InstanceId",
    "Instance",
];

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|other| equal_ignoring_case(name, other))
}

/// The value called `name`, whatever its case.
fn slot<'a>(record: &'a mut Record, name: &str) -> Option<(String, &'a mut Json)> {
    let key = if record.contains_key(name) {
        name.to_owned()
    } else {
        record.keys().find(|key| equal_ignoring_case(key, name))?.clone()
    };
    let value = record.get_mut(&key)?;
    Some((key, value))
}

/// Puts `over` over `base`: names ignore case and keep their first spelling, objects are merged, null removes.
pub fn merge(base: &mut Record, over: &Record) {
    for (name, value) in over {
        match (slot(base, name), value) {
            (Some((key, _)), Json::Null) => {
                base.shift_remove(&key);
            }
            (None, Json::Null) => {}
            (Some((_, Json::Object(inner))), Json::Object(value)) => merge(inner, value),
            (Some((_, old)), value) => *old = without_nulls(value),
            (None, value) => {
                base.insert(name.clone(), without_nulls(value));
            }
        }
    }
}

fn without_nulls(value: &Json) -> Json {
    match value {
        Json::Object(inner) => {
            let mut clean = Record::new();
            merge(&mut clean, inner);
            Json::Object(clean)
        }
        Json::Array(items) => Json::Array(items.iter().filter(|item| !item.is_null()).map(without_nulls).collect()),
        plain @ (Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_)) => plain.clone(),
    }
}

/// Attributes of a create request as they are kept with each node; `None` when nothing is left of them.
#[must_use]
pub fn overrides(attributes: &Record) -> Option<String> {
    let kept: Record = attributes
        .iter()
        .filter(|(name, _)| !is_one_of(name, &IGNORED))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    (!kept.is_empty()).then(|| Json::Object(kept).to_string())
}

/// The record of a nodearray: its attributes as declared, and what is wanted of it.
#[must_use]
pub fn of_nodearray(status: &Status, pool: &Pool) -> Record {
    let mut record = declared(status, pool.id, pool.revision);
    record.insert("Name".into(), json!(pool.name));
    record.insert("ClusterName".into(), json!(status.cluster.name));
    // An array has no goal of its own: it is wanted when its cluster is.
    if let Some((_, target)) = states::of_cluster(&status.cluster) {
        record.insert("TargetState".into(), json!(target));
    }
    record
}

fn declared(status: &Status, pool: PoolId, revision: i64) -> Record {
    let text = status.attributes.get(&(pool, revision)).map_or("{}", String::as_str);
    let mut record: Record = serde_json::from_str(text).unwrap_or_default();
    record.entry("Configuration").or_insert_with(|| json!({}));
    record
}

/// What nodes of one pool revision and size share.
struct Base {
    template: String,
    shared: Record,
    /// `shared` without its closing brace.
    text: Vec<u8>,
}

/// Writes the records of one view's nodes.
pub struct Records {
    core: App,
    bases: HashMap<(PoolId, i64, String), Base>,
}

impl Records {
    /// For the nodes of one view.
    #[must_use]
    pub fn new(core: &App) -> Self {
        Self {
            core: App::clone(core),
            bases: HashMap::new(),
        }
    }

    fn base(&mut self, status: &Status, node: &Node) -> &Base {
        let key = (node.pool, node.pool_revision, node.size.clone());
        let core = &self.core;
        self.bases.entry(key).or_insert_with(|| base(core, status, node))
    }

    /// The record as a tree, for filters and for nodes with attributes of their own.
    pub fn record(&mut self, status: &Status, node: &Node, overrides: Option<&str>) -> Record {
        let base = self.base(status, node);
        let mut record = base.shared.clone();
        if let Some(over) = overrides.and_then(|text| serde_json::from_str::<Record>(text).ok()) {
            let over: Record = over.into_iter().filter(|(name, _)| !is_one_of(name, &OWN)).collect();
            merge(&mut record, &over);
            record.entry("Configuration").or_insert_with(|| json!({}));
            record.entry("Region").or_insert_with(|| json!(""));
        }
        let mut keep = |name: &str, value: Json| {
            record.insert(name.to_owned(), value);
        };
        own(node, &base.template, &mut |name, value| keep(name, value.to_json()));
        record
    }

    /// Appends the record to `out` as JSON.
    pub fn write(&mut self, status: &Status, node: &Node, overrides: Option<&str>, out: &mut Vec<u8>) {
        if overrides.is_some() {
            let record = Json::Object(self.record(status, node, overrides));
            out.extend_from_slice(record.to_string().as_bytes());
            return;
        }
        let base = self.base(status, node);
        out.extend_from_slice(&base.text);
        own(node, &base.template, &mut |name, value| {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            value.write(out);
        });
        out.push(b'}');
    }

    /// Appends the records of the view's nodes that `shown` lets through to `out`, as a JSON array.
    pub fn write_all(&mut self, status: &Status, shown: impl Fn(&Node) -> bool, out: &mut Vec<u8>) {
        out.push(b'[');
        let mut first = true;
        for full in status.nodes.iter().filter(|full| shown(&full.node)) {
            if !first {
                out.push(b',');
            }
            first = false;
            self.write(status, &full.node, full.overrides.as_deref(), out);
        }
        out.push(b']');
    }
}

fn base(core: &Core, status: &Status, node: &Node) -> Base {
    let mut shared = Record::new();
    shared.insert("ClusterName".into(), json!(status.cluster.name));
    for (name, value) in declared(status, node.pool, node.pool_revision) {
        if !is_one_of(&name, &OWN) && !is_one_of(&name, &ARRAY_ONLY) {
            shared.insert(name, value);
        }
    }
    let pool = status
        .pools
        .iter()
        .map(|row| &row.pool)
        .find(|pool| pool.id == node.pool);
    if slot(&mut shared, "Region").is_none() {
        shared.insert("Region".into(), json!(pool.map_or("", |pool| pool.region.as_str())));
    }
    let size = pool.and_then(|pool| Core::size(core.accounts.get(&pool.account)?, &node.size));
    if let Some(size) = size
        && slot(&mut shared, "Memory").is_none()
    {
        shared.insert("Memory".into(), json!(gigabytes(size.memory_bytes)));
    }
    let template = pool.map_or_else(|| node.name.clone(), |pool| pool.name.clone());
    let mut text = Json::Object(shared.clone()).to_string().into_bytes();
    text.pop();
    Base { template, shared, text }
}

/// Memory in GiB, which this dialect calls GB.
#[expect(clippy::cast_precision_loss, reason = "sizes of memory are far below 2^53 bytes")]
#[must_use]
pub fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1u32 << 30)
}

/// The value of one of a node's own attributes.
enum Own<'a> {
    Text(&'a str),
    Shown(String),
    Flag(bool),
    Number(u32),
    Null,
    Tree(Json),
}

impl Own<'_> {
    fn to_json(&self) -> Json {
        match self {
            Self::Text(text) => json!(text),
            Self::Shown(text) => json!(text),
            Self::Flag(flag) => json!(flag),
            Self::Number(number) => json!(number),
            Self::Null => Json::Null,
            Self::Tree(tree) => tree.clone(),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => quote(text, out),
            Self::Shown(text) => quote(text, out),
            Self::Flag(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
            Self::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Self::Null => out.extend_from_slice(b"null"),
            Self::Tree(tree) => out.extend_from_slice(tree.to_string().as_bytes()),
        }
    }
}

/// Appends `text` as a JSON string.
pub fn quote(text: &str, out: &mut Vec<u8>) {
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        out.extend_from_slice(json!(text).to_string().as_bytes());
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

/// Tells what a node has for itself, in the order in which it is shown.
fn own(node: &Node, template: &str, tell: &mut dyn FnMut(&'static str, Own<'_>)) {
    let words = states::of_node(node);
    let seen = &node.seen;
    let on = words.status != "Off";
    let address = seen.address.filter(|_| on).map(|address| address.to_string());
    let hostname = seen.hostname.as_deref().filter(|_| on);
    let machine = seen.machine.as_deref().filter(|_| on);
    tell("Name", Own::Text(&node.name));
    tell("NodeId", Own::Shown(node.id.to_string()));
    tell("Template", Own::Text(template));
    tell("MachineType", Own::Text(&node.size));
    tell("CoreCount", Own::Number(node.cores));
    if let Some(state) = words.state {
        tell("State", Own::Text(state));
    }
    tell("TargetState", Own::Text(words.target));
    tell("Status", Own::Text(words.status));
    tell("Hostname", hostname.map_or(Own::Null, Own::Text));
    tell("PrivateIp", address.as_deref().map_or(Own::Null, Own::Text));
    if let Some(group) = &node.placement_group {
        tell("PlacementGroupId", Own::Text(group));
    }
    for (name, flag) in [
        ("KeepAlive", node.keep_alive),
        ("Interruptible", node.spot),
        ("Fixed", node.fixed),
    ] {
        if flag {
            tell(name, Own::Flag(true));
        }
    }
    match node.shutdown_policy {
        ShutdownPolicy::Terminate => {}
        ShutdownPolicy::Deallocate => tell("ShutdownPolicy", Own::Text("Deallocate")),
    }
    if words.status == "Failed" {
        tell("PhaseFailed", Own::Flag(true));
    }
    if !seen.condition.message.is_empty() {
        tell("StatusMessage", Own::Text(&seen.condition.message));
    } else if words.status == "Failed" {
        tell("StatusMessage", Own::Text("failed; the server's log has the details"));
    }
    if let Some(machine) = machine {
        tell("InstanceId", Own::Text(machine));
        let instance = json!({
            "InstanceId": machine, "PrivateIp": address, "Hostname": hostname, "MachineType": node.size,
        });
        tell("Instance", Own::Tree(instance));
    }
    tell("CreateTime", Own::Shown(node.created_at.rfc3339_seconds()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: Json) -> Record {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn merging_ignores_case_keeps_spelling_and_goes_deep() {
        let mut base = record(json!({"Tags": {"Job": "1", "b": "2"}, "KeepAlive": false}));
        merge(
            &mut base,
            &record(json!({"tags": {"job": "4711", "new": "x"}, "KEEPALIVE": true})),
        );
        assert_eq!(
            Json::Object(base),
            json!({"Tags": {"Job": "4711", "b": "2", "new": "x"}, "KeepAlive": true})
        );
    }

    #[test]
    fn null_removes_and_never_stays() {
        let mut base = record(json!({"A": 1, "Configuration": {"x": {"y": 1}}}));
        merge(
            &mut base,
            &record(json!({"a": null, "b": null, "Configuration": {"x": {"y": null}, "z": {"n": null}}})),
        );
        assert_eq!(Json::Object(base), json!({"Configuration": {"x": {}, "z": {}}}));
    }

    #[test]
    fn attributes_that_a_request_can_not_set_are_dropped() {
        let kept = overrides(&record(json!({"name": "evil", "NODEID": "x", "Site": 1})));
        assert_eq!(kept.as_deref(), Some("{\"Site\":1}"));
        assert_eq!(overrides(&record(json!({"Status": "Ready"}))), None);
    }

    #[test]
    fn strings_are_quoted_as_json() {
        for text in ["plain", "with \"quotes\"", "line\nbreak", "Zürich", "back\\slash"] {
            let mut out = Vec::new();
            quote(text, &mut out);
            assert_eq!(serde_json::from_slice::<String>(&out).ok().as_deref(), Some(text));
        }
    }
}
