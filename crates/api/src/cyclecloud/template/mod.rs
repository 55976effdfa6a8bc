//! The text format in which CycleCloud clusters are defined: template to effective attributes.
//!
//! Two steps. [`parse`] reads the text and knows no parameters; [`resolve`] picks one cluster of it, puts in
//! parameters and expressions, and applies inheritance. Both report every problem they find, with its place.
//! Nothing here knows machine sizes, providers or clusters that exist: whether a size is real, and what an
//! import does to a running cluster, is decided elsewhere.
//!
//! Start reading in `lines`, then `sections`, `values`, `inheritance`, `nodes`.

mod attributes;
mod inheritance;
mod lines;
mod nodes;
mod parameters;
mod record;
mod sections;
mod values;

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::{Map, Value as Json};

use parameters::Scope;
use sections::Section;

/// Something wrong in a template, and where. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line in the template.
    pub line: u32,
    /// Column in that line.
    pub column: u32,
    /// What is wrong, in a phrase for the person who wrote the template.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

/// A template that is well-formed but not yet resolved. May hold several clusters.
#[derive(Debug, Clone)]
pub struct Document {
    roots: Vec<Section>,
    warnings: Vec<String>,
}

impl Document {
    /// Names of the `[cluster NAME]` sections, in order.
    pub fn cluster_names(&self) -> impl Iterator<Item = &str> {
        self.roots
            .iter()
            .filter(|section| section.is_cluster())
            .map(|section| section.name.as_str())
    }
}

/// One cluster of a template, with everything inherited and computed.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterTemplate {
    /// Name of the cluster, as given to [`resolve`].
    pub name: String,
    /// Attributes of the `[cluster]` section itself.
    pub attributes: Map<String, Json>,
    /// `MaxCount`: most nodes in the cluster.
    pub max_count: Option<u32>,
    /// `MaxCoreCount`: most cores in the cluster.
    pub max_core_count: Option<u32>,
    /// Nodes and nodearrays that are not abstract, in declared order.
    pub nodes: Vec<NodeTemplate>,
    /// What was ignored or is suspicious, with line numbers; for the person who imports.
    pub warnings: Vec<String>,
}

/// Whether a section declares one node or an array of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// `[[node NAME]]`
    Standalone,
    /// `[[nodearray NAME]]`
    Array,
}

/// One node or nodearray.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeTemplate {
    /// Name of the section.
    pub name: String,
    /// Node or array.
    pub kind: NodeKind,
    /// Line of the section.
    pub line: u32,
    /// Machine sizes in declared order, without repetition; never empty, and exactly one for a standalone node.
    pub machine_types: Vec<String>,
    /// Line where `MachineType` was set, which may be in a section that this one inherits from.
    pub machine_type_line: u32,
    /// Effective attributes in declared order, ready to be a nodearray record: `Configuration` always there and
    /// nested, no null anywhere, `MachineType` a string for one size and an array for several, without
    /// `Extends`, `Abstract` and the init scripts. Name and cluster name are not added.
    pub attributes: Map<String, Json>,
    /// Init scripts in the order to run: name of the `cluster-init` section and text of its `Script`.
    pub scripts: Vec<(String, String)>,
}

/// Reads a template.
///
/// Fails with all problems of form: lines that are neither section, attribute nor comment, misplaced or repeated
/// sections, unclosed strings, expressions that do not parse. Sections of unknown kinds are warnings.
pub fn parse(text: &str) -> Result<Document, Vec<Problem>> {
    let mut notes = Notes::default();
    let lines = lines::lines(text, &mut notes);
    let roots = sections::sections(lines, &mut notes);
    let warnings = notes.finish()?;
    Ok(Document { roots, warnings })
}

/// Resolves one cluster of the document: the `[cluster]` section called `section`, or the only one.
///
/// `cluster_name` is the name the cluster gets, also in expressions; `parameters` are the given values, over the
/// declared defaults, with names that ignore case.
///
/// Fails with all problems of content: no or ambiguous cluster section, unknown or circular `Extends`, a node
/// without `MachineType`, attributes of a wrong type, expressions that are errors.
pub fn resolve(
    document: &Document,
    section: Option<&str>,
    cluster_name: &str,
    parameters: &Map<String, Json>,
) -> Result<ClusterTemplate, Vec<Problem>> {
    let mut notes = Notes {
        warnings: document.warnings.clone(),
        ..Notes::default()
    };
    let cluster = choose_cluster(document, section).map_err(|problem| vec![problem])?;
    let scope = Scope::new(&document.roots, cluster_name, parameters, &mut notes);
    let attributes = nodes::cluster_attributes(cluster, &scope, &mut notes);
    let nodes = nodes::nodes(cluster, &scope, &mut notes);
    let warnings = notes.finish()?;
    let count = |name: &str| {
        attributes
            .get(name)
            .and_then(Json::as_u64)
            .and_then(|count| u32::try_from(count).ok())
    };
    Ok(ClusterTemplate {
        name: cluster_name.to_owned(),
        max_count: count("MaxCount"),
        max_core_count: count("MaxCoreCount"),
        attributes,
        nodes,
        warnings,
    })
}

fn choose_cluster<'a>(document: &'a Document, wanted: Option<&str>) -> Result<&'a Section, Problem> {
    let mut clusters = document.roots.iter().filter(|section| section.is_cluster());
    let Some(wanted) = wanted else {
        let no_cluster = || problem(1, 1, "the template has no [cluster NAME] section");
        let only = clusters.next().ok_or_else(no_cluster)?;
        return match clusters.next() {
            None => Ok(only),
            Some(other) => Err(problem(
                other.line,
                1,
                "the template has several clusters; say which one to use",
            )),
        };
    };
    clusters
        .find(|section| section.is_named(wanted))
        .ok_or_else(|| problem(1, 1, format!("the template has no section [cluster {wanted}]")))
}

fn problem(line: u32, column: u32, message: impl Into<String>) -> Problem {
    Problem {
        line,
        column,
        message: message.into(),
    }
}

/// Most problems and warnings reported; a file that is no template at all has one per line.
const NOTES_MAX: usize = 100;

/// What the passes have to say, gathered so that one import tells everything that is wrong.
#[derive(Debug, Default)]
struct Notes {
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Notes {
    fn problem(&mut self, line: u32, column: u32, message: impl Into<String>) {
        self.problems.push(problem(line, column, message));
    }

    fn warn(&mut self, line: u32, message: impl fmt::Display) {
        let warning = format!("line {line}: {message}");
        if self.warnings.len() < NOTES_MAX && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// The warnings if nothing is wrong, else the problems in order. An inherited mistake is told once.
    fn finish(mut self) -> Result<Vec<String>, Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok(self.warnings);
        }
        self.problems.sort();
        self.problems.dedup();
        self.problems.truncate(NOTES_MAX);
        Err(self.problems)
    }
}
