//! How tall the source files are: told, never enforced. At 500 lines a file deserves a look for its seam.

use super::Tree;

/// Lines from which a file is named in the report.
const TALL_LINES: usize = 500;

/// Lines of the report: a summary, then every tall file, tallest first.
pub(crate) fn report(tree: &Tree) -> Vec<String> {
    let mut sizes = tree
        .rust_files()
        .map(|(path, text)| (text.lines().count(), path))
        .collect::<Vec<_>>();
    sizes.sort_unstable_by(|left, right| right.cmp(left));
    let Some((tallest, _)) = sizes.first() else {
        return Vec::new();
    };
    let total = sizes.iter().map(|(lines, _)| lines).sum::<usize>();
    let median = sizes[sizes.len() / 2].0;
    let summary = format!(
        "{} Rust files, {total} lines, median {median}, tallest {tallest}",
        sizes.len()
    );
    let tall = sizes.iter().take_while(|(lines, _)| *lines >= TALL_LINES);
    let tall = tall.map(|(lines, path)| format!("{path} has {lines} lines; is there a seam?"));
    [summary].into_iter().chain(tall).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tall_files_are_named_after_the_summary() {
        let tree = Tree::of(&[
            ("a.rs", &"//\n".repeat(500)),
            ("b.rs", "//\n"),
            ("c.rs", "//\n//\n"),
            ("d.md", "x\n"),
        ]);
        let expected = [
            "3 Rust files, 503 lines, median 2, tallest 500",
            "a.rs has 500 lines; is there a seam?",
        ];
        assert_eq!(report(&tree), expected);
    }

    #[test]
    fn an_empty_tree_has_nothing_to_report() {
        assert!(report(&Tree::default()).is_empty());
    }
}
