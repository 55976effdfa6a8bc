//! The one place in this program that reads the process environment.
//!
//! Knows where the workspace, the cache and the tools are; decides nothing from it.

use std::path::{Path, PathBuf};

/// Value of an environment variable; `None` when unset, empty or not UTF-8.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask is a program of its own and this is where it reads its environment"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Names of every variable that is set, for [`crate::process`] to decide what a child may inherit.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask is a program of its own and this is where it reads its environment"
)]
pub(crate) fn names() -> Vec<String> {
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .collect()
}

/// Root folder of the workspace this program was built from.
pub(crate) fn workspace_root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder).to_path_buf()
}

/// Where cargo puts what it builds: `CARGO_TARGET_DIR`, else `target` in the workspace.
pub(crate) fn target_folder(root: &Path) -> PathBuf {
    variable("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

/// Interpreter with the vendors' clients installed; `None` when `scripts/test-setup` has not run.
pub(crate) fn test_python() -> Option<PathBuf> {
    if let Some(python) = variable("REEVE_TEST_PYTHON") {
        return Some(PathBuf::from(python)).filter(|path| path.exists());
    }
    let cache = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache")))?;
    Some(cache.join("reeve/test-venv/bin/python")).filter(|path| path.exists())
}
