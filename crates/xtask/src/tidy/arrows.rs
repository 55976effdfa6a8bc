//! Which crate may depend on which, and which outside crates a room must never see.
//!
//! Reads the manifests only. A crate that is not in the table is an error: a tenth room is a decision, not an accident.

use super::{Finding, Tree};
use toml::{Table, Value};

/// One room of the house.
struct Room {
    /// Folder below `crates/`; the package is `reeve-` and this.
    name: &'static str,
    /// Rooms its code may name.
    may_use: &'static [&'static str],
    /// Rooms its tests may name besides.
    tests_may_use: &'static [&'static str],
    /// Outside crates that would carry a foreign concern in.
    never: &'static [&'static str],
}

/// The picture in ARCHITECTURE.md, as data. Arrows point down only.
const ROOMS: &[Room] = &[
    Room {
        name: "model",
        may_use: &[],
        tests_may_use: &[],
        never: &[
            "axum",
            "hyper",
            "reqwest",
            "tower",
            "tower-http",
            "sqlx",
            "tokio",
            "futures",
            "rand",
        ],
    },
    Room {
        name: "wire",
        may_use: &[],
        tests_may_use: &[],
        never: &["axum", "hyper", "reqwest", "sqlx", "tokio"],
    },
    Room {
        name: "store",
        may_use: &["model"],
        tests_may_use: &[],
        never: &["axum", "hyper", "reqwest", "tower-http"],
    },
    Room {
        name: "provider",
        may_use: &["model"],
        tests_may_use: &[],
        never: &["axum", "sqlx", "tower-http"],
    },
    Room {
        name: "control",
        may_use: &["model", "store", "provider"],
        tests_may_use: &[],
        never: &["axum", "sqlx", "tower-http", "utoipa"],
    },
    Room {
        name: "api",
        may_use: &["model", "control", "wire"],
        tests_may_use: &["store", "provider"],
        never: &["sqlx", "reqwest"],
    },
    Room {
        name: "agent",
        may_use: &["wire"],
        tests_may_use: &[],
        never: &["axum", "sqlx", "tower-http"],
    },
    Room {
        name: "bin",
        may_use: &["model", "store", "provider", "control", "api", "agent", "wire"],
        tests_may_use: &[],
        never: &["sqlx"],
    },
    Room {
        name: "xtask",
        may_use: &[],
        tests_may_use: &[],
        never: &["sqlx", "axum"],
    },
];

/// Every manifest below `crates/`, held against the table.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.files(|path| path.starts_with("crates/") && path.ends_with("/Cargo.toml"));
    manifests.flat_map(|(path, text)| check_manifest(path, text)).collect()
}

fn check_manifest(path: &str, text: &str) -> Vec<Finding> {
    let name = path.trim_start_matches("crates/").trim_end_matches("/Cargo.toml");
    let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
        return vec![Finding::new(
            path,
            0,
            "is a room that tidy does not know; add it with its arrows, and say why",
        )];
    };
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(path, 0, format!("does not parse: {error}"))],
    };
    let mut findings = Vec::new();
    let inherits = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"))
        .and_then(Value::as_bool);
    if inherits != Some(true) {
        findings.push(Finding::new(
            path,
            0,
            "must say `[lints] workspace = true`, or the walls do not hold here",
        ));
    }
    for (section, dependency) in dependencies(&manifest) {
        findings.extend(check_dependency(room, section, &dependency).map(|message| Finding::new(path, 0, message)));
    }
    findings
}

fn check_dependency(room: &Room, section: &str, dependency: &str) -> Option<String> {
    if let Some(other) = dependency.strip_prefix("reeve-") {
        let in_tests = section == "dev-dependencies" && room.tests_may_use.contains(&other);
        let allowed = room.may_use.contains(&other) || in_tests || other == room.name;
        return (!allowed).then(|| format!("{} may not depend on {other} ({section})", room.name));
    }
    let foreign = section != "dev-dependencies" && room.never.contains(&dependency);
    foreign.then(|| format!("{} may not use {dependency} ({section})", room.name))
}

/// Section and package of every dependency, those for one target included.
fn dependencies(manifest: &Table) -> Vec<(&'static str, String)> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
    let tables = targets.filter_map(|(_, table)| table.as_table()).chain([manifest]);
    let mut found = Vec::new();
    for table in tables {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let entries = table.get(section).and_then(Value::as_table).into_iter().flatten();
            found.extend(entries.map(|(key, value)| (section, package(key, value))));
        }
    }
    found
}

/// A dependency can be renamed; its package is what counts.
fn package(key: &str, value: &Value) -> String {
    value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    fn check(room: &str, sections: &str, expected: &[&str]) {
        let path = format!("crates/{room}/Cargo.toml");
        let tree = Tree::of(&[(&path, &format!("[lints]\nworkspace = true\n{sections}"))]);
        let expected = expected
            .iter()
            .map(|message| format!("{path}: {message}"))
            .collect::<Vec<_>>();
        assert_eq!(shown(&super::check(&tree)), expected);
    }

    #[test]
    fn arrows_down_are_allowed() {
        check(
            "control",
            "[dependencies]\nreeve-store.workspace = true\nreeve-provider.workspace = true",
            &[],
        );
    }

    #[test]
    fn an_arrow_up_is_refused() {
        let expected = ["store may not depend on control (dependencies)"];
        check("store", "[dependencies]\nreeve-control.workspace = true", &expected);
    }

    #[test]
    fn store_and_provider_do_not_know_each_other_even_in_tests() {
        let expected = ["provider may not depend on store (dev-dependencies)"];
        check(
            "provider",
            "[dev-dependencies]\nreeve-store.workspace = true",
            &expected,
        );
    }

    #[test]
    fn tests_of_the_dialects_may_wire_a_whole_server() {
        check("api", "[dev-dependencies]\nreeve-store.workspace = true", &[]);
        check(
            "api",
            "[dependencies]\nreeve-store.workspace = true",
            &["api may not depend on store (dependencies)"],
        );
    }

    #[test]
    fn a_renamed_or_target_dependency_is_seen() {
        let sections = "[target.'cfg(unix)'.dependencies]\nsneaky = { package = \"reeve-api\", path = \"../api\" }";
        check("agent", sections, &["agent may not depend on api (dependencies)"]);
    }

    #[test]
    fn the_model_stays_free_of_async_and_sql() {
        let expected = [
            "model may not use sqlx (dependencies)",
            "model may not use tokio (dependencies)",
        ];
        check(
            "model",
            "[dependencies]\nsqlx.workspace = true\ntokio.workspace = true",
            &expected,
        );
    }

    #[test]
    fn a_tenth_room_is_reported() {
        let expected = ["is a room that tidy does not know; add it with its arrows, and say why"];
        check("attic", "", &expected);
    }

    #[test]
    fn a_room_without_the_lints_is_reported() {
        let tree = Tree::of(&[("crates/wire/Cargo.toml", "[package]\nname = \"reeve-wire\"\n")]);
        assert!(shown(&super::check(&tree))[0].contains("must say `[lints] workspace = true`"));
    }
}
