//! Effective attributes: the sections a node inherits from, applied one after the other.

use serde_json::{Map, Value as Json};

use super::inheritance::Family;
use super::parameters::Scope;
use super::sections::{Attribute, Kind, Section};
use super::{NodeKind, NodeTemplate, Notes};
use super::{attributes, record, values};

/// Key of the init specifications in a record.
const CLUSTER_INIT: &str = "ClusterInitSpecs";

/// Our attribute of an init specification: a script the node agent runs.
const SCRIPT: &str = "Script";

/// The attributes of the cluster section itself.
pub(super) fn cluster_attributes(cluster: &Section, scope: &Scope, notes: &mut Notes) -> Map<String, Json> {
    let mut result = Map::new();
    for attribute in &cluster.attributes {
        let value = value(attribute, &attribute.path, scope, notes);
        record::set(&mut result, &attributes::canonical(&attribute.path), value);
    }
    result
}

/// All nodes and nodearrays that are not abstract, in declared order.
pub(super) fn nodes(cluster: &Section, scope: &Scope, notes: &mut Notes) -> Vec<NodeTemplate> {
    let lines = Family::new(cluster, scope, notes).lines(notes);
    let mut nodes = Vec::new();
    for (section, line) in lines {
        if !is_abstract(section, scope, notes) {
            nodes.extend(node(section, &line, scope, notes));
        }
    }
    nodes
}

/// Only a node's own `Abstract` counts; it is not inherited.
fn is_abstract(section: &Section, scope: &Scope, notes: &mut Notes) -> bool {
    let own = section
        .attribute("Abstract")
        .and_then(|attribute| value(attribute, &attribute.path, scope, notes));
    own == Some(Json::Bool(true))
}

fn node(section: &Section, line: &[&Section], scope: &Scope, notes: &mut Notes) -> Option<NodeTemplate> {
    let mut effective = Effective::default();
    for ancestor in line {
        effective.apply(ancestor, scope, notes);
    }
    let kind = if section.kind == Kind::Node {
        NodeKind::Standalone
    } else {
        NodeKind::Array
    };
    let scripts = effective.take_scripts();
    let (machine_types, machine_type_line) = effective.machine_types(section, kind, notes)?;
    record::ensure(&mut effective.record, &[attributes::CONFIGURATION.to_owned()]);
    let attributes = effective.record;
    let name = section.name.clone();
    Some(NodeTemplate {
        name,
        kind,
        line: section.line,
        machine_types,
        machine_type_line,
        attributes,
        scripts,
    })
}

/// A record in the making, and where its machine type came from.
#[derive(Default)]
struct Effective {
    record: Map<String, Json>,
    machine_type_place: Option<(u32, u32)>,
}

impl Effective {
    fn apply(&mut self, section: &Section, scope: &Scope, notes: &mut Notes) {
        for attribute in &section.attributes {
            if attribute.is_named("Extends") || attribute.is_named("Abstract") {
                continue;
            }
            if attribute.is_named("MachineType") {
                self.machine_type_place = Some((attribute.line, attribute.column));
            }
            let value = value(attribute, &attribute.path, scope, notes);
            record::set(&mut self.record, &attributes::canonical(&attribute.path), value);
        }
        for child in &section.children {
            self.apply_child(child, scope, notes);
        }
    }

    fn apply_child(&mut self, child: &Section, scope: &Scope, notes: &mut Notes) {
        let Some(prefix) = prefix(child) else { return };
        record::ensure(&mut self.record, &prefix);
        for attribute in &child.attributes {
            let path: Vec<String> = prefix.iter().chain(&attribute.path).cloned().collect();
            let is_script = child.kind == Kind::ClusterInit && attribute.is_named(SCRIPT);
            let typed_as = if is_script { &attribute.path } else { &path };
            let value = value(attribute, typed_as, scope, notes);
            record::set(&mut self.record, &path, value);
            // A specification, volume or interface stays declared when its last attribute is removed.
            record::ensure(&mut self.record, &prefix);
        }
    }

    /// Takes the scripts out of the record: they are for the agent, and long.
    fn take_scripts(&mut self) -> Vec<(String, String)> {
        let mut scripts = Vec::new();
        let Some(Json::Object(specifications)) = self.record.get_mut(CLUSTER_INIT) else {
            return scripts;
        };
        for (name, specification) in specifications {
            let Json::Object(members) = specification else {
                continue;
            };
            let key = members.keys().find(|key| key.eq_ignore_ascii_case(SCRIPT)).cloned();
            let script = key.and_then(|key| members.shift_remove(&key));
            if let Some(Json::String(text)) =
                script.filter(|script| script.as_str().is_some_and(|text| !text.trim().is_empty()))
            {
                scripts.push((name.clone(), dedent(&text)));
            }
        }
        scripts
    }

    /// The machine sizes, and the line that set them; makes the record's own attribute a string if it is one.
    fn machine_types(&mut self, section: &Section, kind: NodeKind, notes: &mut Notes) -> Option<(Vec<String>, u32)> {
        let place = self.machine_type_place.unwrap_or((section.line, 1));
        let member = self.record.get_mut("MachineType");
        let mut sizes: Vec<String> = match &member {
            Some(Json::Array(items)) => items.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        if sizes.is_empty() {
            let word = if kind == NodeKind::Array { "nodearray" } else { "node" };
            notes.problem(
                place.0,
                place.1,
                format!("the {word} {} has no MachineType", section.name),
            );
            return None;
        }
        if kind == NodeKind::Standalone && sizes.len() > 1 {
            sizes.truncate(1);
            notes.warn(
                place.0,
                format_args!("the node {} uses only the first size of several", section.name),
            );
        }
        if let (Some(value), [only]) = (member, sizes.as_slice()) {
            *value = Json::from(only.as_str());
        }
        Some((sizes, place.0))
    }
}

/// Where a section inside a node goes in the record. Names of sections are not split at dots.
fn prefix(section: &Section) -> Option<Vec<String>> {
    let key = match section.kind {
        Kind::Configuration => {
            let parts = section.name.split('.').map(str::trim).filter(|part| !part.is_empty());
            return Some(
                std::iter::once(attributes::CONFIGURATION)
                    .chain(parts)
                    .map(str::to_owned)
                    .collect(),
            );
        }
        Kind::ClusterInit => CLUSTER_INIT,
        Kind::Volume => "Volumes",
        Kind::NetworkInterface => "NetworkInterfaces",
        Kind::InputEndpoint => "InputEndpoints",
        _ => return None,
    };
    Some(vec![key.to_owned(), section.name.clone()])
}

/// The value of an attribute, typed by its full name; what is wrong is noted and gives undefined.
fn value(attribute: &Attribute, path: &[String], scope: &Scope, notes: &mut Notes) -> Option<Json> {
    let place = (attribute.line, attribute.column);
    let resolved = values::resolve(&attribute.setting, scope, place, notes);
    attributes::typed(path, resolved).unwrap_or_else(|message| {
        notes.problem(place.0, place.1, message);
        None
    })
}

/// Removes the indentation that all lines share: a script is written as far right as the section it is in, and
/// its first two characters must be what the kernel looks for.
fn dedent(text: &str) -> String {
    let indentation = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let shared = lines.map(indentation).min().unwrap_or(0);
    let cut: Vec<&str> = text.split('\n').map(|line| line.get(shared..).unwrap_or("")).collect();
    cut.join("\n").trim_end_matches([' ', '\t']).to_owned()
}
