//! `cargo xtask`: the checks, generators and measurements of this house.
//!
//! Everything a script would do and that needs no more than a Rust toolchain is here, so that it is typed, tested and
//! the same on every machine. Nothing here is linked into the product, and nothing here knows how the product works
//! inside: it reads sources, runs cargo and drives the built binary from outside.
//! Start at [`Task`] for what can be asked.

mod bench;
mod deps;
mod environment;
mod lint;
mod process;
mod testing;
mod tidy;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Checks, tests and measurements of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

/// What can be asked of this program.
#[derive(Subcommand)]
enum Task {
    /// Guard what the compiler cannot: arrows between crates, vendor words, headers. Reports file sizes.
    Tidy,
    /// Check the lock file: one TLS stack, one runtime, one time crate, no unexplained duplicates.
    Deps,
    /// Formatting, clippy with warnings as errors, tidy and deps.
    Lint,
    /// Build `reeve`, start a private PostgreSQL, run cargo test, and print "N passed, M failed".
    Test(testing::Arguments),
    /// Lint, then test: what continuous integration runs.
    Ci,
    /// Measure the built binary and print the target or the peer beside each figure.
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let outcome = run(Arguments::parse().task);
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    let root = environment::workspace_root();
    match task {
        Task::Tidy => tidy::run(&root)?,
        Task::Deps => deps::run(&root)?,
        Task::Lint => lint::run(&root)?,
        Task::Test(arguments) => return testing::run(&root, &arguments),
        Task::Ci => {
            lint::run(&root)?;
            return testing::run(&root, &testing::Arguments::default());
        }
        Task::Bench(arguments) => bench::run(&root, &arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}
