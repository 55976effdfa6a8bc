//! The sum over the result lines of all test binaries.

use std::fmt;

/// How many tests did what.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Results {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
}

impl Results {
    /// Adds what a line of a test binary's output says; other lines change nothing.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(found) = parse(line) {
            self.passed += found.passed;
            self.failed += found.failed;
        }
    }
}

impl fmt::Display for Results {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Reads `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
fn parse(line: &str) -> Option<Results> {
    let rest = line.strip_prefix("test result: ")?;
    let (_verdict, counts) = rest.split_once(". ")?;
    let mut counts = counts.split("; ");
    let passed = counts.next()?.strip_suffix(" passed")?.parse().ok()?;
    let failed = counts.next()?.strip_suffix(" failed")?.parse().ok()?;
    Some(Results { passed, failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_several_binaries_are_summed() {
        let mut results = Results::default();
        for line in [
            "running 4 tests",
            "test a ... ok",
            "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 1 filtered out; finished in 1.20s",
        ] {
            results.read(line);
        }
        assert_eq!(results.to_string(), "14 passed, 2 failed");
    }

    #[test]
    fn a_line_that_only_resembles_a_result_changes_nothing() {
        let mut results = Results::default();
        for line in [
            "test result: ok.",
            "test result: ok. many passed; 0 failed;",
            " test result: ok. 1 passed; 0 failed;",
        ] {
            results.read(line);
        }
        assert_eq!(results, Results::default());
    }
}
