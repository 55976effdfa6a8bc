//! What answers look like: tables for people, JSON, YAML and names for programs.

use std::io::Write as _;

use clap::ValueEnum;
use serde_json::Value;

use super::{Failure, SERVER};

/// Shape of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns
    #[default]
    Table,
    /// More columns
    Wide,
    /// JSON as the server said it
    Json,
    /// The same as YAML
    Yaml,
    /// Names alone
    Name,
}

/// A column: its title, the JSON pointer to its value, and whether it shows in the narrow table.
pub(super) type Column = (&'static str, &'static str, bool);

/// Columns of clusters.
pub(super) const CLUSTERS: &[Column] = &[
    ("NAME", "/name", true),
    ("PHASE", "/phase", true),
    ("GOAL", "/goal", true),
    ("NODES", "/nodes/total", true),
    ("RUNNING", "/nodes/running", true),
    ("FAILED", "/nodes/failed", true),
    ("SIMULATED", "/simulated", true),
    ("CREATED", "/createdAt", false),
    ("ID", "/id", false),
];
/// Columns of nodes.
pub(super) const NODES: &[Column] = &[
    ("NAME", "/name", true),
    ("POOL", "/pool", true),
    ("SIZE", "/size", true),
    ("PHASE", "/phase", true),
    ("GOAL", "/goal", true),
    ("ADDRESS", "/address", true),
    ("MESSAGE", "/message", true),
    ("HOSTNAME", "/hostname", false),
    ("MACHINE", "/machine", false),
    ("GROUP", "/placementGroup", false),
    ("LAST SEEN", "/agent/lastSeen", false),
    ("SINCE", "/since", false),
    ("ID", "/id", false),
];
/// Columns of operations.
pub(super) const OPERATIONS: &[Column] = &[
    ("ID", "/id", true),
    ("CLUSTER", "/cluster", true),
    ("VERB", "/verb", true),
    ("STATE", "/state", true),
    ("DONE", "/progress/done", true),
    ("FAILED", "/progress/failed", true),
    ("TOTAL", "/progress/total", true),
    ("BY", "/actor", false),
    ("CREATED", "/createdAt", false),
];
/// Columns of credentials.
pub(super) const CREDENTIALS: &[Column] = &[
    ("NAME", "/name", true),
    ("KIND", "/kind", true),
    ("ROLE", "/roles/0/role", true),
    ("SCOPE", "/roles/0/scope", true),
    ("ID", "/id", true),
    ("CREATED", "/createdAt", false),
    ("EXPIRES", "/expiresAt", false),
    ("REVOKED", "/revokedAt", false),
];

/// The text of a list.
pub(super) fn list(format: Format, columns: &[Column], items: &[Value]) -> Result<String, Failure> {
    match format {
        Format::Table | Format::Wide => Ok(table(columns, items, format == Format::Wide)),
        Format::Name => Ok(items.iter().map(|item| name(item) + "\n").collect()),
        Format::Json | Format::Yaml => one(format, &Value::Array(items.to_vec())),
    }
}

/// The text of one thing: in tables, a line for each of its fields.
pub(super) fn one(format: Format, item: &Value) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(SERVER, format!("can not show the answer: {error}"));
    match format {
        Format::Json => serde_json::to_string_pretty(item)
            .map(|text| text + "\n")
            .map_err(|error| failed(&error)),
        Format::Yaml => serde_saphyr::to_string(item)
            .map(|text| text.trim_end().to_owned() + "\n")
            .map_err(|error| failed(&error)),
        Format::Name => Ok(name(item) + "\n"),
        Format::Table | Format::Wide => {
            let mut rows = Vec::new();
            fields("", item, &mut rows);
            Ok(aligned(&rows))
        }
    }
}

/// Writes to standard output. A reader that has seen enough is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(SERVER, format!("can not write the answer: {error}")))
        }
        _ => Ok(()),
    }
}

fn name(item: &Value) -> String {
    ["/name", "/id", "/operation", "/cluster/name"]
        .iter()
        .find_map(|at| item.pointer(at))
        .map_or_else(String::new, text)
}

fn table(columns: &[Column], items: &[Value], wide: bool) -> String {
    let shown: Vec<&Column> = columns.iter().filter(|(_, _, narrow)| wide || *narrow).collect();
    let mut rows = vec![shown.iter().map(|(title, ..)| (*title).to_owned()).collect::<Vec<_>>()];
    rows.extend(items.iter().map(|item| {
        shown
            .iter()
            .map(|(_, at, _)| item.pointer(at).map_or_else(|| "-".to_owned(), text))
            .collect()
    }));
    aligned(&rows)
}

/// Rows with every column as wide as its widest cell.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let line: String = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}   "))
            .collect();
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Name and value of every leaf, depth first.
fn fields(prefix: &str, value: &Value, rows: &mut Vec<Vec<String>>) {
    let under = |key: &str| {
        if prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{prefix}.{key}")
        }
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| fields(&under(key), inner, rows)),
        Value::Array(list) if list.iter().any(|inner| inner.is_object() || inner.is_array()) => {
            list.iter()
                .enumerate()
                .for_each(|(at, inner)| fields(&under(&at.to_string()), inner, rows));
        }
        other => rows.push(vec![prefix.to_owned(), text(other)]),
    }
}

/// A value on one line. What servers and machines say can not steer the terminal.
fn text(value: &Value) -> String {
    let plain = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    plain
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Format, NODES, list, one};
    use serde_json::json;

    #[test]
    fn a_table_has_a_line_per_item_and_a_dash_for_what_is_unknown() {
        let items = [json!({"name": "execute-1", "pool": "execute", "phase": "running", "message": "a\u{1b}[2Jb"})];
        let table = list(Format::Table, NODES, &items).expect("shown");
        let mut lines = table.lines();
        assert!(lines.next().expect("a head").starts_with("NAME        POOL"), "{table}");
        let line = lines.next().expect("a row");
        assert!(line.starts_with("execute-1   execute   -"), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn names_alone_come_one_a_line() {
        let items = [json!({"name": "a"}), json!({"id": "7"})];
        assert_eq!(list(Format::Name, NODES, &items).expect("shown"), "a\n7\n");
    }

    #[test]
    fn one_thing_is_shown_field_by_field() {
        let shown = one(
            Format::Table,
            &json!({"name": "a", "nodes": {"total": 3}, "tags": ["x", "y"]}),
        );
        assert_eq!(
            shown.expect("shown"),
            "name          a\nnodes.total   3\ntags          x, y\n"
        );
    }
}
