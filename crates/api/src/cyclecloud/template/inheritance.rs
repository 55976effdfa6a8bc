//! Who inherits from whom: for each node of a cluster the sections to apply, one after the other.
//!
//! The order is the defaults, then what `Extends` names from left to right, each after its own ancestors, then
//! the node itself. An ancestor reached by two ways is applied twice, as the rule says.

use super::Notes;
use super::attributes;
use super::parameters::Scope;
use super::sections::{Kind, Section};
use super::values;

/// Name of the section that every node inherits from.
const DEFAULTS: &str = "defaults";

/// Most sections one node may inherit from, repetitions included; deeper or wider is a mistake or an attack.
const ANCESTORS_MAX: usize = 1000;

/// Deepest line of descent.
const DEPTH_MAX: usize = 100;

/// Whether the section is `[[node defaults]]`.
pub(super) fn is_defaults(section: &Section) -> bool {
    section.kind == Kind::Node && section.is_named(DEFAULTS)
}

/// The nodes and nodearrays of a cluster with their parents.
pub(super) struct Family<'a> {
    members: Vec<&'a Section>,
    parents: Vec<Vec<usize>>,
}

impl<'a> Family<'a> {
    /// Reads every `Extends`; names that do not exist are problems.
    pub(super) fn new(cluster: &'a Section, scope: &Scope, notes: &mut Notes) -> Self {
        let is_member = |section: &&Section| matches!(section.kind, Kind::Node | Kind::NodeArray);
        let members: Vec<&Section> = cluster.children.iter().filter(is_member).collect();
        let parents = members
            .iter()
            .map(|member| parents(member, &members, scope, notes))
            .collect();
        Self { members, parents }
    }

    /// The nodes with the sections to apply, in declared order. Nodes that inherit wrongly are left out.
    pub(super) fn lines(&self, notes: &mut Notes) -> Vec<(&'a Section, Vec<&'a Section>)> {
        let defaults = self.members.iter().position(|section| is_defaults(section));
        let base = defaults.map_or(Some(Vec::new()), |defaults| self.line(defaults, notes));
        let mut lines = Vec::new();
        for (index, member) in self
            .members
            .iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != defaults)
        {
            let own = self.line(index, notes);
            if let (Some(base), Some(own)) = (&base, own) {
                lines.push((*member, base.iter().copied().chain(own).collect()));
            }
        }
        lines
    }

    fn line(&self, index: usize, notes: &mut Notes) -> Option<Vec<&'a Section>> {
        let mut line = Vec::new();
        match self.descend(index, &mut Vec::new(), &mut line) {
            Ok(()) => Some(line),
            Err(Broken::Cycle(cycle)) => {
                self.report_cycle(cycle, notes);
                None
            }
            Err(Broken::TooLarge) => {
                let member = self.members[index];
                notes.problem(
                    member.line,
                    1,
                    format!("{} inherits from too many sections", member.name),
                );
                None
            }
        }
    }

    fn descend(&self, index: usize, path: &mut Vec<usize>, line: &mut Vec<&'a Section>) -> Result<(), Broken> {
        if let Some(start) = path.iter().position(|ancestor| *ancestor == index) {
            return Err(Broken::Cycle(path[start..].to_vec()));
        }
        if path.len() >= DEPTH_MAX || line.len() >= ANCESTORS_MAX {
            return Err(Broken::TooLarge);
        }
        path.push(index);
        for parent in &self.parents[index] {
            self.descend(*parent, path, line)?;
        }
        path.pop();
        line.push(self.members[index]);
        Ok(())
    }

    /// Tells a cycle from its first member on, so that it reads the same from whichever node it was found.
    fn report_cycle(&self, mut cycle: Vec<usize>, notes: &mut Notes) {
        let first = cycle
            .iter()
            .enumerate()
            .min_by_key(|(_, index)| **index)
            .map_or(0, |(at, _)| at);
        cycle.rotate_left(first);
        let start = self.members[cycle[0]];
        let names: Vec<&str> = cycle.iter().map(|index| self.members[*index].name.as_str()).collect();
        let message = format!(
            "{} extends itself: {} -> {}",
            start.name,
            names.join(" -> "),
            start.name
        );
        let place = start
            .attribute("Extends")
            .map_or((start.line, 1), |extends| (extends.line, extends.column));
        notes.problem(place.0, place.1, message);
    }
}

enum Broken {
    Cycle(Vec<usize>),
    TooLarge,
}

fn parents(member: &Section, members: &[&Section], scope: &Scope, notes: &mut Notes) -> Vec<usize> {
    let Some(extends) = member.attribute("Extends") else {
        return Vec::new();
    };
    let value = values::resolve(&extends.setting, scope, (extends.line, extends.column), notes);
    let names = match attributes::typed(&extends.path, value) {
        Ok(names) => names,
        Err(message) => {
            notes.problem(extends.line, extends.column, message);
            return Vec::new();
        }
    };
    let names = names
        .as_ref()
        .and_then(|names| names.as_array())
        .map_or(&[][..], Vec::as_slice);
    let mut parents = Vec::new();
    for name in names.iter().filter_map(|name| name.as_str()) {
        match members.iter().position(|candidate| candidate.is_named(name)) {
            Some(parent) => parents.push(parent),
            None => notes.problem(
                extends.line,
                extends.column,
                format!("{} extends {name}, which does not exist", member.name),
            ),
        }
    }
    parents
}
