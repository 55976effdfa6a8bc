//! Running cargo and other programs to their end.

use crate::environment;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// Variables that `cargo run` sets for this program and that a nested cargo must not see: build scripts that watch
/// them would be run again each time cargo is started by hand and by us in turn.
fn is_leftover_of_cargo_run(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_PRIMARY_PACKAGE"
}

/// A cargo command in the workspace root, free of what the cargo that started us left in the environment.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(environment::variable("CARGO").unwrap_or_else(|| "cargo".to_owned()));
    command.current_dir(root).args(arguments);
    for name in environment::names()
        .iter()
        .filter(|name| is_leftover_of_cargo_run(name))
    {
        command.env_remove(name);
    }
    command
}

/// Runs a command with our own output streams.
///
/// # Errors
/// When it cannot be started or does not exit with 0.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let shown = show(&command);
    eprintln!("$ {shown}");
    let status = command.status().with_context(|| format!("start {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// Runs a command quietly and gives its standard output.
///
/// # Errors
/// When it cannot be started or does not exit with 0; what it wrote on standard error is in the message.
pub(crate) fn capture(mut command: Command) -> Result<String> {
    let shown = show(&command);
    let output = command.output().with_context(|| format!("start {shown}"))?;
    if !output.status.success() {
        bail!(
            "{shown}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Program name without its folder, then the arguments.
fn show(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy();
    let arguments = command
        .get_args()
        .map(|argument| format!(" {}", argument.to_string_lossy()));
    format!("{program}{}", arguments.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_named_with_its_complaint() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo broken >&2; exit 3"]);
        let error = capture(command).expect_err("exit 3 is a failure").to_string();
        assert!(
            error.starts_with("sh -c") && error.contains("exit status: 3") && error.ends_with("broken"),
            "{error}"
        );
    }

    #[test]
    fn the_package_variables_of_the_outer_cargo_are_not_passed_on() {
        assert!(is_leftover_of_cargo_run("CARGO_PKG_VERSION"));
        assert!(is_leftover_of_cargo_run("CARGO_MANIFEST_DIR"));
        assert!(!is_leftover_of_cargo_run("CARGO_TARGET_DIR"));
        assert!(!is_leftover_of_cargo_run("CARGO_HOME"));
    }
}
