//! One figure: what several runs measured, and what that is held against.

use std::fmt;

/// Which side of the bound is good.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    AtMost,
    AtLeast,
}

/// What was measured and what it is held against. The median counts; the spread is shown beside it.
pub(crate) struct Figure {
    name: &'static str,
    /// One entry per run, ascending.
    runs: Vec<f64>,
    bound: Option<(Side, f64)>,
    unit: &'static str,
    against: String,
}

impl Figure {
    /// What was measured, without a bound: a peer or a part of another figure.
    pub(crate) fn new(name: &'static str, unit: &'static str, mut runs: Vec<f64>) -> Self {
        runs.sort_by(f64::total_cmp);
        Self {
            name,
            runs,
            bound: None,
            unit,
            against: String::new(),
        }
    }

    /// May be `bound` at most; `against` says where that comes from.
    pub(crate) fn at_most(mut self, bound: f64, against: impl Into<String>) -> Self {
        self.bound = Some((Side::AtMost, bound));
        self.against = against.into();
        self
    }

    /// Must be `bound` at least; `against` says where that comes from.
    pub(crate) fn at_least(mut self, bound: f64, against: impl Into<String>) -> Self {
        self.bound = Some((Side::AtLeast, bound));
        self.against = against.into();
        self
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.name
    }

    /// The middle run; of two, the smaller.
    pub(crate) fn median(&self) -> f64 {
        let middle = self.runs.len().saturating_sub(1) / 2;
        self.runs.get(middle).copied().unwrap_or(f64::NAN)
    }

    /// True without a bound, else whether the median keeps it.
    pub(crate) fn holds(&self) -> bool {
        match self.bound {
            None => true,
            Some((Side::AtMost, bound)) => self.median() <= bound,
            Some((Side::AtLeast, bound)) => self.median() >= bound,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.unit;
        write!(formatter, "{}: {:.1} {unit}", self.name, self.median())?;
        if let [first, .., last] = self.runs.as_slice() {
            write!(formatter, " ({first:.1} to {last:.1} in {} runs)", self.runs.len())?;
        }
        let Some((side, bound)) = self.bound else {
            return Ok(());
        };
        let verdict = if self.holds() { "keeps" } else { "MISSES" };
        let side = match side {
            Side::AtMost => "at most",
            Side::AtLeast => "at least",
        };
        write!(formatter, ", {verdict} {side} {bound:.1} {unit} ({})", self.against)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_beyond_its_bound_says_so() {
        let figure = Figure::new("size", "MB", vec![41.0]).at_most(40.0, "our target");
        assert_eq!(figure.to_string(), "size: 41.0 MB, MISSES at most 40.0 MB (our target)");
        assert!(!figure.holds());
    }

    #[test]
    fn the_median_of_several_runs_counts_and_their_spread_is_shown() {
        let figure = Figure::new("rate", "/s", vec![30.0, 10.0, 20.0]).at_least(15.0, "our target");
        assert_eq!(
            figure.to_string(),
            "rate: 20.0 /s (10.0 to 30.0 in 3 runs), keeps at least 15.0 /s (our target)"
        );
    }

    #[test]
    fn what_has_no_bound_always_holds() {
        assert!(Figure::new("peer", "/s", vec![1.0]).holds());
    }
}
