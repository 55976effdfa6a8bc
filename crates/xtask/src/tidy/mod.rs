//! `cargo xtask tidy`: guards what the compiler cannot.
//!
//! Each check is a pure function from a [`Tree`] (paths and texts) to [`Finding`]s, so each is tested on small trees
//! written out in the test. This module reads the tree from disk, runs them all and prints what they say; it does not
//! know what they look for. Sizes are reported and never fail.

mod arrows;
mod dialects;
mod headers;
mod ignored;
mod places;
mod sizes;
mod source;
mod words;

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Folders and files that are not ours to check: build output, data, and the lock file cargo writes.
const SKIPPED: &[&str] = &[
    "target",
    "reeve-data",
    "node_modules",
    "shared",
    "Cargo.lock",
    "package-lock.json",
];
/// Names beginning with a dot that are ours nevertheless.
const DOTTED: &[&str] = &[".cargo", ".ci", ".gitignore"];

/// The text files of a checkout: path from the root, with `/` between folders, to content.
#[derive(Default)]
pub(crate) struct Tree(BTreeMap<String, String>);

/// One breach of one rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Path from the root.
    path: String,
    /// Line from 1, or 0 for the file as a whole.
    line: usize,
    /// What is wrong and what to do instead.
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.path, self.message),
            line => write!(formatter, "{}:{line}: {}", self.path, self.message),
        }
    }
}

impl Tree {
    /// Reads every text file below `root`; files that are not UTF-8 are left out.
    ///
    /// # Errors
    /// When a folder or file cannot be read.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.read_folder(root, "")?;
        Ok(tree)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
            let entry = entry.with_context(|| format!("list {}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if SKIPPED.contains(&name.as_str()) || (name.starts_with('.') && !DOTTED.contains(&name.as_str())) {
                continue;
            }
            let kind = entry
                .file_type()
                .with_context(|| format!("look at {}", entry.path().display()))?;
            if kind.is_dir() {
                self.read_folder(&entry.path(), &format!("{prefix}{name}/"))?;
            } else if kind.is_file() {
                let bytes = std::fs::read(entry.path()).with_context(|| format!("read {}", entry.path().display()))?;
                if let Ok(text) = String::from_utf8(bytes) {
                    self.0.insert(format!("{prefix}{name}"), text);
                }
            }
        }
        Ok(())
    }

    /// Files whose path satisfies `wanted`, in the order of their paths.
    fn files(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .filter(move |(path, _)| wanted(path))
    }

    fn rust_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files(|path| path.ends_with(".rs"))
    }
}

/// Runs every check on the checkout at `root`.
///
/// # Errors
/// When the tree cannot be read or a rule is broken; every breach is printed.
pub(crate) fn run(root: &Path) -> Result<()> {
    let tree = Tree::read(root)?;
    let findings = check(&tree, &root.to_string_lossy());
    for line in sizes::report(&tree) {
        println!("tidy: {line}");
    }
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    if !findings.is_empty() {
        bail!("{} tidy rule(s) broken", findings.len());
    }
    println!("tidy: ok, {} files", tree.0.len());
    Ok(())
}

fn check(tree: &Tree, root: &str) -> Vec<Finding> {
    let mut findings = arrows::check(tree);
    findings.extend(dialects::check(tree));
    findings.extend(words::check(tree));
    findings.extend(headers::check(tree));
    findings.extend(ignored::check(tree));
    findings.extend(places::check(tree, root));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Tree {
        /// A tree written out in a test.
        pub(super) fn of(files: &[(&str, &str)]) -> Self {
            Self(
                files
                    .iter()
                    .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
                    .collect(),
            )
        }
    }

    /// What a check's findings look like to a person, one per line.
    pub(super) fn shown(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_check_is_run() {
        let tree = Tree::of(&[
            (
                "crates/model/Cargo.toml",
                "[lints]\nworkspace = true\n[dependencies]\nreeve-store.workspace = true\n",
            ),
            ("crates/model/src/node.rs", "pub struct NodeArray;\n"),
            ("crates/api/src/runai/node.rs", "//! Nodes.\nuse crate::rafay;\n"),
            ("crates/wire/tests/it/main.rs", "//! Tests.\n#[ignore]\nfn a() {}\n"),
            ("docs/try.md", "cd /checkouts/reeve\n"),
        ]);
        let paths = check(&tree, "/checkouts/reeve")
            .into_iter()
            .map(|finding| finding.path)
            .collect::<Vec<_>>();
        let expected = [
            "crates/model/Cargo.toml",
            "crates/api/src/runai/node.rs",
            "crates/api/src/runai/node.rs",
            "crates/model/src/node.rs",
            "crates/model/src/node.rs",
            "crates/wire/tests/it/main.rs",
            "docs/try.md",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn this_checkout_is_read_without_build_output() {
        let tree = Tree::read(&crate::environment::workspace_root()).expect("the checkout can be read");
        assert!(tree.0.contains_key("crates/xtask/src/tidy/mod.rs"));
        assert!(!tree.0.contains_key("Cargo.lock"));
        assert!(
            !tree
                .0
                .keys()
                .any(|path| path.starts_with(".git/") || path.starts_with("target/"))
        );
    }
}
