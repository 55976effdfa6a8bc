//! How answers look: tables for people, JSON and YAML for programs, bare names for shells.
//!
//! Knows formats and nothing of nouns: those say through [`Record`] which cells they have. Text of the server is
//! stripped of control characters before it reaches a terminal, as some of it was written by machines of the fleet.

use clap::ValueEnum;
use serde::Serialize;

use super::failure::{Failure, Kind};

/// How answers are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table of what matters most
    #[default]
    Table,
    /// A table of everything that fits a line
    Wide,
    /// JSON
    Json,
    /// YAML
    Yaml,
    /// Names only, one a line
    Name,
}

impl Format {
    /// Meant for people, not for programs.
    pub(super) fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// Something that has a line in a table.
pub(super) trait Record: Serialize {
    /// Headings of the columns.
    const COLUMNS: &'static [&'static str];
    /// Headings of the columns that only a wide table has.
    const MORE: &'static [&'static str];

    /// What tells it from its like.
    fn name(&self) -> String;

    /// One cell per heading.
    fn cells(&self) -> Vec<String>;

    /// One cell per heading of a wide table.
    fn more(&self) -> Vec<String>;
}

/// The cell that marks what only exists on paper.
pub(super) fn simulated(is: bool) -> String {
    if is { "simulated".to_owned() } else { String::new() }
}

/// The cell of something that may be unknown.
pub(super) fn or_dash(text: Option<&str>) -> String {
    match text {
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => "-".to_owned(),
    }
}

/// Headings of the columns in this format.
pub(super) fn headings<T: Record>(format: Format) -> Vec<&'static str> {
    match format {
        Format::Wide => T::COLUMNS.iter().chain(T::MORE).copied().collect(),
        _ => T::COLUMNS.to_vec(),
    }
}

/// The cells of one line in this format, fit for a terminal.
pub(super) fn line<T: Record>(item: &T, format: Format) -> Vec<String> {
    let mut cells = item.cells();
    if format == Format::Wide {
        cells.extend(item.more());
    }
    cells.iter().map(|cell| clean(cell)).collect()
}

/// A list in this format, ending in a line feed.
///
/// # Errors
/// When the items cannot be written as JSON or YAML.
pub(super) fn list<T: Record>(items: &[T], format: Format) -> Result<String, Failure> {
    match format {
        Format::Json | Format::Yaml => document(&items, format),
        Format::Name => Ok(items.iter().map(|item| format!("{}\n", clean(&item.name()))).collect()),
        Format::Table | Format::Wide => {
            let heading = headings::<T>(format).into_iter().map(str::to_owned).collect();
            let lines: Vec<Vec<String>> = std::iter::once(heading)
                .chain(items.iter().map(|item| line(item, format)))
                .collect();
            Ok(aligned(&lines))
        }
    }
}

/// One thing in this format, ending in a line feed: one line per property where a list has one column.
///
/// # Errors
/// As [`list`].
pub(super) fn one<T: Record>(item: &T, format: Format) -> Result<String, Failure> {
    match format {
        Format::Json | Format::Yaml => document(item, format),
        Format::Name => Ok(format!("{}\n", clean(&item.name()))),
        Format::Table | Format::Wide => {
            let cells = headings::<T>(Format::Wide).into_iter().zip(line(item, Format::Wide));
            let lines: Vec<Vec<String>> = cells
                .filter(|(_, cell)| !cell.is_empty())
                .map(|(heading, cell)| vec![heading.to_owned(), cell])
                .collect();
            Ok(aligned(&lines))
        }
    }
}

/// Anything as JSON or YAML, ending in a line feed.
///
/// # Errors
/// When it cannot be written so.
pub(super) fn document(item: &impl Serialize, format: Format) -> Result<String, Failure> {
    let wrong = |why: String| Failure::new(Kind::Server, "print the answer", why, "choose another output with -o");
    let mut text = match format {
        Format::Yaml => serde_saphyr::to_string(item).map_err(|error| wrong(error.to_string()))?,
        _ => serde_json::to_string_pretty(item).map_err(|error| wrong(error.to_string()))?,
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// Text without anything a terminal would obey.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// Lines of cells as text whose columns are as wide as their widest cell. A grid of lines would only be in the way of
/// `awk` and `grep`, so there is none.
pub(super) fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|cells| cells.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for cells in lines {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}", width = *width))
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Thing {
        name: &'static str,
        size: u32,
    }

    impl Record for Thing {
        const COLUMNS: &'static [&'static str] = &["NAME", "SIZE"];
        const MORE: &'static [&'static str] = &["TWICE"];

        fn name(&self) -> String {
            self.name.to_owned()
        }

        fn cells(&self) -> Vec<String> {
            vec![self.name.to_owned(), self.size.to_string()]
        }

        fn more(&self) -> Vec<String> {
            vec![(self.size * 2).to_string()]
        }
    }

    fn things() -> Vec<Thing> {
        vec![
            Thing { name: "short", size: 1 },
            Thing {
                name: "much-longer",
                size: 20,
            },
        ]
    }

    #[test]
    fn a_table_aligns_its_columns_and_leaves_no_trailing_space() {
        let text = list(&things(), Format::Table).unwrap();
        assert_eq!(text, "NAME         SIZE\nshort        1\nmuch-longer  20\n");
    }

    #[test]
    fn a_wide_table_has_more_columns() {
        let text = list(&things(), Format::Wide).unwrap();
        assert_eq!(text.lines().next().unwrap(), "NAME         SIZE  TWICE");
    }

    #[test]
    fn names_stand_alone_one_a_line() {
        assert_eq!(list(&things(), Format::Name).unwrap(), "short\nmuch-longer\n");
    }

    #[test]
    fn json_and_yaml_read_back_as_what_was_printed() {
        let json: serde_json::Value = serde_json::from_str(&list(&things(), Format::Json).unwrap()).unwrap();
        let yaml: serde_json::Value = serde_saphyr::from_str(&list(&things(), Format::Yaml).unwrap()).unwrap();
        assert_eq!(json[1]["size"], 20);
        assert_eq!(json, yaml);
    }

    #[test]
    fn an_empty_list_still_shows_its_headings() {
        assert_eq!(list::<Thing>(&[], Format::Table).unwrap(), "NAME  SIZE\n");
        assert_eq!(list::<Thing>(&[], Format::Json).unwrap(), "[]\n");
    }

    #[test]
    fn one_thing_has_a_line_per_property() {
        assert_eq!(
            one(&things()[0], Format::Table).unwrap(),
            "NAME   short\nSIZE   1\nTWICE  2\n"
        );
    }

    #[test]
    fn words_of_machines_cannot_command_the_terminal() {
        let hostile = Thing {
            name: "a\u{1b}[2Jb\nc",
            size: 1,
        };
        let text = list(&[hostile], Format::Table).unwrap();
        assert!(!text.contains('\u{1b}'));
        assert_eq!(text.lines().count(), 2);
    }
}
