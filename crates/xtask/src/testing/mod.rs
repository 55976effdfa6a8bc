//! `cargo xtask test`: cargo test with everything around it that the tests rely on.
//!
//! Tests find what they need by environment variables, set here: `REEVE_BIN` (the built binary),
//! `REEVE_TEST_PYTHON` (an interpreter with the vendors' clients) and `REEVE_TEST_POSTGRES` (the URL of a private
//! server, superuser). Every test binary runs even when an earlier one failed, and the last line of all is
//! `N passed, M failed` over all of them. Whatever happens, Ctrl-C included, the tests are ended first and the
//! database after them.

mod database;
mod postgres;
mod results;
mod runner;

use crate::{environment, process};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What to test.
#[derive(clap::Args, Default)]
pub(crate) struct Arguments {
    /// Passed on to cargo test, for example `-p reeve-store deadline`; without any, the whole workspace is tested.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    cargo: Vec<String>,
}

/// Builds the binary, starts the database, runs the tests and says how many passed.
///
/// # Errors
/// When something the tests need cannot be had. Failing tests are not an error but an exit code.
pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<ExitCode> {
    let binary = build_binary(root)?;
    let python = environment::test_python()
        .context("find the Python environment of the acceptance tests: run scripts/test-setup first")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    // Before the database: a signal from here on is ours to handle.
    let mut signals = runtime.block_on(async { runner::Signals::listen() })?;
    let database = database::Database::get()?;
    let mut command = cargo_test(root, arguments);
    command
        .env("REEVE_BIN", &binary)
        .env("REEVE_TEST_PYTHON", &python)
        .env("REEVE_TEST_POSTGRES", database.url());
    let outcome = runtime.block_on(runner::run(command, signals.recv()));
    drop(database);
    report(outcome?)
}

fn build_binary(root: &Path) -> Result<PathBuf> {
    process::run(process::cargo(
        root,
        &["build", "--locked", "-p", "reeve-bin", "--bin", "reeve"],
    ))?;
    let binary = environment::target_folder(root).join("debug/reeve");
    if !binary.exists() {
        bail!("cargo built no {}", binary.display());
    }
    Ok(binary)
}

fn cargo_test(root: &Path, arguments: &Arguments) -> Command {
    let mut command = process::cargo(root, &["test", "--locked", "--no-fail-fast"]);
    if arguments.cargo.is_empty() {
        command.arg("--workspace");
    }
    command.args(&arguments.cargo);
    command
}

/// Prints the sum as the very last line; nothing may look like success that is not.
fn report(outcome: runner::Outcome) -> Result<ExitCode> {
    let results = outcome.results;
    let verdict = match outcome.end {
        runner::End::Interrupted => Some("interrupted; the sum below is incomplete"),
        runner::End::Failed if results.failed == 0 => Some("cargo test failed outside a test; see above"),
        runner::End::Passed if results.passed == 0 => Some("no test ran"),
        _ => None,
    };
    if let Some(verdict) = verdict {
        eprintln!("xtask: {verdict}");
    }
    println!("{results}");
    let good = outcome.end == runner::End::Passed && results.failed == 0 && results.passed > 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
