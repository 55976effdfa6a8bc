//! No test is switched off: assert today's wrong answer with a note saying what is wrong, and the day it is mended shows.
//!
//! Clippy guards the other attributes and macros we do without; for this one it only asks for a reason.

use super::{Finding, Tree, source};

/// Tests that are marked to be left out.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust_files()
        .flat_map(|(path, text)| check_file(path, text))
        .collect()
}

fn check_file(path: &str, text: &str) -> Vec<Finding> {
    let blanked = source::blank_comments_and_literals(text);
    let tokens = source::tokens(&blanked);
    let marked = tokens
        .windows(3)
        .filter(|found| found[0].1 == "#" && found[1].1 == "[" && found[2].1 == "ignore");
    marked
        .map(|found| Finding::new(path, found[0].0, "a test is not ignored; assert what it does today"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    #[test]
    fn an_ignored_test_is_reported_with_its_line() {
        let text = "//! `#[ignore]` in a comment is fine.\n#[test]\n#[ignore = \"slow\"]\nfn a() {}\n";
        let expected = ["crates/store/tests/it/main.rs:3: a test is not ignored; assert what it does today"];
        assert_eq!(
            shown(&check(&Tree::of(&[("crates/store/tests/it/main.rs", text)]))),
            expected
        );
    }
}
