//! Parameters: the given value, else the default, else undefined; and the names expressions can read.
//!
//! A default may be an expression over other parameters. They are resolved in the order they need each other.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use super::Notes;
use super::attributes;
use super::sections::{Attribute, Kind, Section};
use super::values::{self, Part, Resolved, Setting};
use crate::cyclecloud::expression::{self, Expression, Value, equal_ignoring_case};

/// Longest chain of defaults that need each other.
const DEPTH_MAX: usize = 100;

/// The values in reach of a template's expressions.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// By lower-case name. Undefined ones are listed too, so that they count as declared.
    parameters: HashMap<String, Resolved>,
    /// What expressions see: defined parameters and `ClusterName`.
    names: Map<String, Json>,
}

impl Scope {
    /// Resolves all parameters declared anywhere in the document or given.
    pub(super) fn new(roots: &[Section], cluster_name: &str, given: &Map<String, Json>, notes: &mut Notes) -> Self {
        let mut declared = HashMap::new();
        collect(roots, &mut declared);
        let mut scope = Self::default();
        scope.names.insert("clustername".to_owned(), Json::from(cluster_name));
        for (name, value) in given {
            if !declared.contains_key(&name.to_lowercase()) && !equal_ignoring_case(name, "ClusterName") {
                notes
                    .warnings
                    .push(format!("the parameter {name} is given but not declared"));
            }
            scope.define(&name.to_lowercase(), given_value(value));
        }
        let mut names: Vec<_> = declared
            .iter()
            .map(|(name, attribute)| (attribute.map(|a| a.line), name))
            .collect();
        names.sort();
        for (_, name) in names {
            scope.require(name, &declared, &mut Vec::new(), notes);
        }
        scope
    }

    /// The value of a parameter, or of the cluster's name; `None` if neither declared nor given.
    pub(super) fn parameter(&self, name: &str) -> Option<Resolved> {
        let name = name.to_lowercase();
        match self.parameters.get(&name) {
            Some(value) if name != "clustername" => Some(value.clone()),
            _ => self.names.get(&name).cloned().map(Resolved::Value),
        }
    }

    /// The value of an expression with the parameters as names.
    pub(super) fn evaluate(&self, expression: &Expression) -> Value {
        expression::evaluate(expression, &self.names)
    }

    fn define(&mut self, name: &str, value: Resolved) {
        let json = match &value {
            Resolved::Undefined => None,
            Resolved::Value(json) => Some(json.clone()),
            Resolved::Plain(text) => Some(attributes::plain(text)),
        };
        if let Some(json) = json.filter(|_| name != "clustername") {
            self.names.insert(name.to_owned(), json);
        }
        self.parameters.insert(name.to_owned(), value);
    }

    /// Resolves one default after those it needs. `waiting` are the names being resolved, outermost first.
    fn require(&mut self, name: &str, declared: &Declared<'_>, waiting: &mut Vec<String>, notes: &mut Notes) {
        if self.parameters.contains_key(name) {
            return;
        }
        let Some(default) = declared.get(name) else {
            return;
        };
        let Some(attribute) = default else {
            return self.define(name, Resolved::Undefined);
        };
        if waiting.iter().any(|other| other == name) || waiting.len() == DEPTH_MAX {
            let message = format!("the default of the parameter {name} depends on itself or on too many others");
            notes.problem(attribute.line, attribute.column, message);
            return self.define(name, Resolved::Undefined);
        }
        waiting.push(name.to_owned());
        for needed in names(&attribute.setting) {
            self.require(&needed.to_lowercase(), declared, waiting, notes);
        }
        waiting.pop();
        if !self.parameters.contains_key(name) {
            let value = values::resolve(&attribute.setting, self, (attribute.line, attribute.column), notes);
            self.define(name, value);
        }
    }
}

/// Declared parameters by lower-case name, with their defaults.
type Declared<'a> = HashMap<String, Option<&'a Attribute>>;

/// Finds the declarations; the later of two wins.
fn collect<'a>(sections: &'a [Section], declared: &mut Declared<'a>) {
    for section in sections {
        if section.kind == Kind::Parameter {
            declared.insert(section.name.to_lowercase(), section.attribute("DefaultValue"));
        }
        collect(&section.children, declared);
    }
}

/// A given string stays a string, null is undefined.
fn given_value(value: &Json) -> Resolved {
    match value {
        Json::Null => Resolved::Undefined,
        other => Resolved::Value(other.clone()),
    }
}

fn names(setting: &Setting) -> Vec<&str> {
    match setting {
        Setting::Undefined | Setting::Text(_) | Setting::Plain(_) => Vec::new(),
        Setting::Parameter(name) => vec![name],
        Setting::Expression(expression) => expression.names(),
        Setting::Mixed(parts) => {
            let expressions = parts.iter().filter_map(|part| match part {
                Part::Text(_) => None,
                Part::Expression(expression) => Some(expression.names()),
            });
            expressions.flatten().collect()
        }
    }
}
