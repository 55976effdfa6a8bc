//! `cargo xtask bench`: figures about the built binary, with the method and the bound or peer in the output.
//!
//! Method. Benchmarks drive the release binary from outside, as a user would, on the machine they run on. Each says in
//! one sentence how it measures, so that a figure can be disputed, and prints what it is held against: a bound of our
//! own, or a peer measured in the same run on the same machine. Ratios to a peer count; absolute figures are guides,
//! because machines differ. Nothing here is part of the test run, and a figure beyond its bound is an exit code, not a
//! panic.
//!
//! One benchmark is one file beside this one with one function that gives a [`Figure`], and one row in [`BENCHMARKS`].

mod size;

use crate::environment;
use anyhow::{Result, bail};
use std::fmt;
use std::path::{Path, PathBuf};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Release binary to measure; without it, the one cargo built last.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Benchmarks to run; without any, all of them. `--list` names them.
    names: Vec<String>,
    /// Name the benchmarks and how each measures, and run none.
    #[arg(long)]
    list: bool,
}

/// One thing that can be measured.
struct Benchmark {
    name: &'static str,
    method: &'static str,
    measure: fn(&Path) -> Result<Figure>,
}

const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "binary-size",
    method: size::METHOD,
    measure: size::measure,
}];

/// What was measured and what it is held against.
pub(crate) struct Figure {
    /// What we measured.
    measured: f64,
    /// The most it may be.
    bound: f64,
    /// Unit of both, for example `MB`.
    unit: &'static str,
    /// Where the bound comes from: our own target, or the peer and its figure.
    against: String,
}

impl Figure {
    fn holds(&self) -> bool {
        self.measured <= self.bound
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.holds() { "within" } else { "BEYOND" };
        write!(
            formatter,
            "{:.1} {}, {verdict} {:.1} {} ({})",
            self.measured, self.unit, self.bound, self.unit, self.against
        )
    }
}

/// Runs the chosen benchmarks and prints each figure with its method.
///
/// # Errors
/// For an unknown name, a benchmark that cannot run, and a figure beyond its bound.
pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let chosen = choose(&arguments.names)?;
    if arguments.list {
        chosen
            .iter()
            .for_each(|benchmark| println!("{}: {}", benchmark.name, benchmark.method));
        return Ok(());
    }
    let built = || environment::target_folder(root).join("release/reeve");
    let binary = arguments.binary.clone().unwrap_or_else(built);
    let mut beyond = Vec::new();
    for benchmark in chosen {
        let figure = (benchmark.measure)(&binary)?;
        println!("{}: {figure}\n  method: {}", benchmark.name, benchmark.method);
        if !figure.holds() {
            beyond.push(benchmark.name);
        }
    }
    if !beyond.is_empty() {
        bail!("beyond the bound: {}", beyond.join(", "));
    }
    Ok(())
}

fn choose(names: &[String]) -> Result<Vec<&'static Benchmark>> {
    if let Some(unknown) = names
        .iter()
        .find(|name| !BENCHMARKS.iter().any(|benchmark| benchmark.name == *name))
    {
        let known = BENCHMARKS
            .iter()
            .map(|benchmark| benchmark.name)
            .collect::<Vec<_>>()
            .join(", ");
        bail!("no benchmark is called {unknown}; there are: {known}");
    }
    Ok(BENCHMARKS
        .iter()
        .filter(|it| names.is_empty() || names.iter().any(|name| name == it.name))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_names_every_benchmark_is_chosen() {
        assert_eq!(choose(&[]).expect("no name is unknown").len(), BENCHMARKS.len());
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_that_exist() {
        let error = choose(&["speed".to_owned()])
            .err()
            .expect("speed does not exist")
            .to_string();
        assert!(
            error.starts_with("no benchmark is called speed; there are: binary-size"),
            "{error}"
        );
    }

    #[test]
    fn a_figure_beyond_its_bound_says_so() {
        let figure = Figure {
            measured: 41.0,
            bound: 40.0,
            unit: "MB",
            against: "our target".to_owned(),
        };
        assert_eq!(figure.to_string(), "41.0 MB, BEYOND 40.0 MB (our target)");
    }
}
