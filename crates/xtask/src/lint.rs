//! Everything that reads the code without running it, in the order of what is quickest to mend.

use crate::{deps, process, tidy};
use anyhow::Result;
use std::path::Path;

/// Formatting, tidy, dependency rules, then clippy with every warning an error: of everything, and of the program
/// without the clouds that can be left out.
///
/// # Errors
/// At the first check that does not pass.
pub(crate) fn run(root: &Path) -> Result<()> {
    process::run(process::cargo(root, &["fmt", "--all", "--check"]))?;
    tidy::run(root)?;
    deps::run(root)?;
    process::run(process::cargo(
        root,
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
    ))?;
    process::run(process::cargo(
        root,
        &[
            "clippy",
            "-p",
            "reeve-bin",
            "--no-default-features",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
    ))
}
