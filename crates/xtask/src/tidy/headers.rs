//! Every source file opens with a `//!` header: what it is for and what it deliberately does not know.

use super::{Finding, Tree};

/// Rust files that do not begin with a module header.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let bare = tree.rust_files().filter(|(_, text)| !has_header(text));
    bare.map(|(path, _)| Finding::new(path, 1, "must begin with a `//!` header that says what it is for"))
        .collect()
}

fn has_header(text: &str) -> bool {
    text.lines()
        .next()
        .and_then(|line| line.strip_prefix("//!"))
        .is_some_and(|said| !said.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    #[test]
    fn a_file_without_a_header_or_with_an_empty_one_is_reported() {
        let tree = Tree::of(&[
            ("crates/model/src/a.rs", "//! Nodes.\n"),
            ("crates/model/src/b.rs", "use std::fmt;\n//! Late.\n"),
            ("crates/model/src/c.rs", "//!\n//! Empty first line.\n"),
            ("crates/model/src/d.rs", ""),
            ("docs/notes.md", "No Rust.\n"),
        ]);
        let message = "must begin with a `//!` header that says what it is for";
        let expected = ["b", "c", "d"].map(|name| format!("crates/model/src/{name}.rs:1: {message}"));
        assert_eq!(shown(&check(&tree)), expected);
    }
}
