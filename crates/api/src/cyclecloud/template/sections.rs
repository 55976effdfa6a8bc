//! The tree of sections: which belongs to which, what kind each is, and which of their values matter.
//!
//! The attributes of forms and of sections that are ignored are not read at all: they may use functions that
//! only the forms know.

use super::Notes;
use super::lines::{Content, Line, PARTS_MAX};
use super::values::{self, Setting};
use crate::cyclecloud::expression::equal_ignoring_case;

/// A section with its attributes and the sections inside it.
#[derive(Debug, Clone)]
pub(super) struct Section {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) attributes: Vec<Attribute>,
    pub(super) children: Vec<Section>,
}

/// An attribute that was read.
#[derive(Debug, Clone)]
pub(super) struct Attribute {
    /// The parts of its dotted name; never empty.
    pub(super) path: Vec<String>,
    pub(super) line: u32,
    /// Column of the value.
    pub(super) column: u32,
    pub(super) setting: Setting,
}

/// What a section is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Cluster,
    Node,
    NodeArray,
    Configuration,
    ClusterInit,
    Volume,
    NetworkInterface,
    InputEndpoint,
    /// A group of parameters.
    Parameters,
    Parameter,
    /// Known or not, it says nothing to the server.
    Ignored,
}

impl Section {
    pub(super) fn is_cluster(&self) -> bool {
        self.kind == Kind::Cluster
    }

    pub(super) fn is_named(&self, name: &str) -> bool {
        equal_ignoring_case(&self.name, name)
    }

    /// The last setting of an attribute with a simple name.
    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().rev().find(|attribute| attribute.is_named(name))
    }
}

impl Attribute {
    /// Whether the name is this one, without dots.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.path.len() == 1 && equal_ignoring_case(&self.path[0], name)
    }
}

/// A section that is still open, with its rank.
type Open = (usize, Section);

/// Builds the tree. Misplaced, repeated and unnamed sections are problems, unknown kinds warnings.
pub(super) fn sections(lines: Vec<Line>, notes: &mut Notes) -> Vec<Section> {
    let mut roots = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for line in lines {
        match line.content {
            Content::Header { rank, kind, name } => {
                close(&mut open, rank, &mut roots);
                let kind = kind_of(rank, &kind, &name, open.last(), line.number, notes);
                check_name(kind, &name, &open, &roots, line.number, notes);
                let section = Section {
                    kind,
                    name,
                    line: line.number,
                    attributes: Vec::new(),
                    children: Vec::new(),
                };
                open.push((rank, section));
            }
            Content::Attribute {
                path,
                operator,
                text,
                column,
            } => match open.last_mut() {
                None => notes.problem(line.number, line.column, "the attribute is in no section"),
                Some((_, section)) if is_read(section.kind, &path) => {
                    match values::parse(operator, text) {
                        Ok(setting) => section.attributes.push(Attribute {
                            path,
                            line: line.number,
                            column,
                            setting,
                        }),
                        Err(error) => notes.problem(line.number, column.saturating_add(error.offset), error.message),
                    };
                }
                Some(_) => {}
            },
        }
    }
    close(&mut open, 0, &mut roots);
    roots
}

/// Closes the open sections of that rank and higher, and gives each to the one it belongs to.
fn close(open: &mut Vec<Open>, rank: usize, roots: &mut Vec<Section>) {
    while open.last().is_some_and(|(last, _)| *last >= rank) {
        let Some((_, section)) = open.pop() else {
            return;
        };
        match open.last_mut() {
            Some((_, parent)) => parent.children.push(section),
            None => roots.push(section),
        }
    }
}

fn kind_of(rank: usize, word: &str, name: &str, parent: Option<&Open>, line: u32, notes: &mut Notes) -> Kind {
    let parent = parent.map(|(_, section)| section.kind);
    let in_node = matches!(parent, Some(Kind::Node | Kind::NodeArray));
    if rank > 1 && parent.is_none() {
        notes.problem(
            line,
            1,
            format!("the section {word:?} of rank {rank} belongs to no section"),
        );
        return Kind::Ignored;
    }
    match (rank, word) {
        (1, "cluster") => Kind::Cluster,
        (2, "node") if parent == Some(Kind::Cluster) => Kind::Node,
        (2, "nodearray") if parent == Some(Kind::Cluster) => Kind::NodeArray,
        (3, "configuration") if in_node => Kind::Configuration,
        (3, "cluster-init" | "volume" | "network-interface" | "input-endpoint") if in_node && name.is_empty() => {
            notes.warn(line, format_args!("the section {word} has no name and is ignored"));
            Kind::Ignored
        }
        (3, "cluster-init") if in_node => Kind::ClusterInit,
        (3, "volume") if in_node => Kind::Volume,
        (3, "network-interface") if in_node => Kind::NetworkInterface,
        (3, "input-endpoint") if in_node => Kind::InputEndpoint,
        (_, "parameters") => Kind::Parameters,
        (_, "parameter") => Kind::Parameter,
        (1, "environment" | "noderef") | (4, "list" | "record") => Kind::Ignored,
        _ => {
            if parent != Some(Kind::Ignored) {
                let brackets = ("[".repeat(rank), "]".repeat(rank));
                let header = format!("{}{}{}", brackets.0, format!("{word} {name}").trim(), brackets.1);
                notes.warn(
                    line,
                    format_args!("the section {header} is unknown here and is ignored"),
                );
            }
            Kind::Ignored
        }
    }
}

fn check_name(kind: Kind, name: &str, open: &[Open], roots: &[Section], line: u32, notes: &mut Notes) {
    let siblings = open.last().map_or(roots, |(_, parent)| &parent.children);
    let alike: fn(Kind) -> bool = match kind {
        Kind::Cluster => |kind| kind == Kind::Cluster,
        Kind::Node | Kind::NodeArray => |kind| matches!(kind, Kind::Node | Kind::NodeArray),
        Kind::Configuration if name.split('.').count() > PARTS_MAX => {
            return notes.problem(line, 1, format!("the prefix has more than {PARTS_MAX} parts"));
        }
        _ => return,
    };
    if name.is_empty() {
        return notes.problem(line, 1, "the section has no name");
    }
    let earlier = siblings
        .iter()
        .find(|section| alike(section.kind) && section.is_named(name));
    if let Some(earlier) = earlier {
        notes.problem(
            line,
            1,
            format!("the name {name:?} is already used in line {}", earlier.line),
        );
    }
}

/// Whether the server reads this attribute of a section of this kind.
fn is_read(kind: Kind, path: &[String]) -> bool {
    match kind {
        Kind::Ignored | Kind::Parameters => false,
        Kind::Parameter => path.len() == 1 && equal_ignoring_case(&path[0], "DefaultValue"),
        _ => true,
    }
}
