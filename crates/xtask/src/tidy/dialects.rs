//! No dialect imports another: each could be deleted without the others noticing.
//!
//! A dialect is a folder below `crates/api/src/`, or a file there of the same name. What they share stands beside them
//! in files of `api` itself.

use super::{Finding, Tree, source};

/// The dialects of `api`, by module name.
pub(crate) const DIALECTS: &[&str] = &["runai", "rafay", "cyclecloud", "native", "agents", "console"];

/// Paths that lead from one dialect into another.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust_files()
        .filter_map(|(path, text)| Some((path, text, dialect_of(path)?)))
        .flat_map(check_file)
        .collect()
}

/// The dialect a source file belongs to.
pub(crate) fn dialect_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("crates/api/src/")?;
    let first = inside.split('/').next()?.trim_end_matches(".rs");
    DIALECTS.contains(&first).then_some(first)
}

fn check_file((path, text, own): (&str, &str, &str)) -> Vec<Finding> {
    let blanked = source::blank_comments_and_literals(text);
    let tokens = source::tokens(&blanked);
    let starts = (0..tokens.len()).filter(|at| is_root(&tokens, *at));
    let named = starts.flat_map(|at| first_names(&tokens[at + 2..]));
    let foreign = named.filter(|(_, name)| *name != own && DIALECTS.contains(name));
    foreign
        .map(|(line, name)| {
            Finding::new(
                path,
                line,
                format!("{own} may not know {name}; share through control or api"),
            )
        })
        .collect()
}

/// Does a path from the crate's root, or from a parent, begin here?
fn is_root(tokens: &[(usize, &str)], at: usize) -> bool {
    matches!(tokens[at].1, "crate" | "super") && tokens.get(at + 1).is_some_and(|token| token.1 == "::")
}

/// The names that may follow the root of a path: one, or those of a group.
fn first_names<'a>(rest: &[(usize, &'a str)]) -> Vec<(usize, &'a str)> {
    let Some(first) = rest.first() else { return Vec::new() };
    if first.1 != "{" {
        return vec![*first];
    }
    let mut names = Vec::new();
    let mut depth = 0usize;
    let mut expected = false;
    for token in rest {
        match token.1 {
            "{" => {
                depth += 1;
                expected = depth == 1;
            }
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "," => expected = depth == 1,
            _ if expected => {
                names.push(*token);
                expected = false;
            }
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        assert_eq!(shown(&super::check(&Tree::of(&[(path, text)]))), expected);
    }

    #[test]
    fn a_dialect_may_use_itself_the_shared_files_and_the_core() {
        let text = "use crate::runai::error;\nuse crate::{page, runai::{auth, native}};\nuse reeve_control::node;\n";
        check("crates/api/src/runai/node.rs", text, &[]);
    }

    #[test]
    fn an_import_of_another_dialect_is_reported_with_its_line() {
        let expected = ["crates/api/src/runai/node.rs:2: runai may not know rafay; share through control or api"];
        check(
            "crates/api/src/runai/node.rs",
            "//! Nodes.\nuse crate::rafay::error;\n",
            &expected,
        );
    }

    #[test]
    fn an_import_in_a_group_is_found() {
        let text = "use crate::{\n    page,\n    cyclecloud::{node, error},\n};\n";
        let expected = ["crates/api/src/rafay/mod.rs:3: rafay may not know cyclecloud; share through control or api"];
        check("crates/api/src/rafay/mod.rs", text, &expected);
    }

    #[test]
    fn a_path_in_code_through_the_parent_is_found() {
        let text = "fn f() { super::super::native::list(); }\n";
        let expected = ["crates/api/src/console/page.rs:1: console may not know native; share through control or api"];
        check("crates/api/src/console/page.rs", text, &expected);
    }

    #[test]
    fn comments_and_strings_do_not_count() {
        check(
            "crates/api/src/runai.rs",
            "// like crate::rafay\nconst A: &str = \"crate::rafay\";\n",
            &[],
        );
    }

    #[test]
    fn the_crate_root_mounts_them_all() {
        check("crates/api/src/lib.rs", "use crate::{rafay, runai};\n", &[]);
    }
}
