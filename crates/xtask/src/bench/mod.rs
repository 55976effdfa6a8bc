//! `cargo xtask bench`: figures about the built binary, with the method and the bound or peer in the output.
//!
//! Method. Benchmarks drive the release binary from outside, as a user would, on the machine they run on. Each says in
//! one sentence how it measures, so that a figure can be disputed, and prints what it is held against: a bound of our
//! own, or a peer measured in the same run on the same machine. Ratios to a peer count; absolute figures are guides,
//! because machines differ. Nothing here is part of the test run, and a figure beyond its bound is an exit code, not a
//! panic.
//!
//! One benchmark is one file beside this one with one function that gives [`Figure`]s, and one row in [`BENCHMARKS`].

mod figure;
mod fleet;
mod load;
mod memory;
mod rate;
mod size;
mod subject;

use crate::environment;
use anyhow::{Result, bail};
use figure::Figure;
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

/// Some things that are measured together.
struct Benchmark {
    name: &'static str,
    method: &'static str,
    measure: fn(&Path) -> Result<Vec<Figure>>,
}

const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "binary-size",
        method: size::METHOD,
        measure: size::measure,
    },
    Benchmark {
        name: "get-rate",
        method: rate::METHOD,
        measure: rate::measure,
    },
    Benchmark {
        name: "fleet",
        method: fleet::METHOD,
        measure: fleet::measure,
    },
    Benchmark {
        name: "idle-memory",
        method: memory::METHOD,
        measure: memory::measure,
    },
];

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
        println!("{}\n  method: {}", benchmark.name, benchmark.method);
        for figure in (benchmark.measure)(&binary)? {
            println!("  {figure}");
            if !figure.holds() {
                beyond.push(figure.name().to_owned());
            }
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
}
