//! Budgets: how much a cluster may cost in a month, and what follows from how much it has.
//!
//! Pure. It deliberately does not know how costs come about ([`crate::usage`]) nor who ends the nodes of a cluster that
//! went too far.

use crate::{
    error::{Error, Kind, Result},
    id::ClusterId,
    node::{Goal, Node},
    timestamp::Timestamp,
    usage::{Money, frame},
};

/// Most thresholds that warn.
pub const WARNINGS_MAX: usize = 8;
/// Highest threshold, percent of the amount.
pub const PERCENT_MAX: u32 = 1_000;
/// Code with which growth is refused.
pub const EXCEEDED: &str = "BudgetExceeded";

/// What a cluster may cost in a calendar month, UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// The cluster.
    pub cluster: ClusterId,
    /// The amount of a month.
    pub amount: Money,
    /// Percent of the amount at which people are told, ascending.
    pub warn: Vec<u32>,
    /// Percent from which the cluster must not grow.
    pub freeze: Option<u32>,
    /// Percent from which its nodes are ended, each after finishing its work as far as its agent manages to.
    pub drain: Option<u32>,
}

/// How far a cluster has gone, from nothing to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Below every threshold.
    Within,
    /// At or beyond the threshold of this many percent.
    Warned(u32),
    /// It must not grow.
    Frozen,
    /// Its nodes are ended, and it must not grow.
    Draining,
}

impl Level {
    /// Stable text for storage and for showing: `within`, `warned-80`, `frozen`, `draining`.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Within => "within".into(),
            Self::Warned(percent) => format!("warned-{percent}"),
            Self::Frozen => "frozen".into(),
            Self::Draining => "draining".into(),
        }
    }

    /// Reads [`Self::text`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "within" => Some(Self::Within),
            "frozen" => Some(Self::Frozen),
            "draining" => Some(Self::Draining),
            _ => text.strip_prefix("warned-")?.parse().ok().map(Self::Warned),
        }
    }
}

/// Where a cluster stands, as last reckoned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Beginning of the month that was reckoned.
    pub month: Timestamp,
    /// What it has cost so far, as far as prices are known.
    pub spent: Money,
    /// Some of it has no known price, so it cost more.
    pub unpriced: bool,
    /// What follows.
    pub level: Level,
    /// Since when.
    pub since: Timestamp,
}

impl Budget {
    /// A budget that makes sense.
    ///
    /// # Errors
    /// `Invalid` with the field that does not.
    pub fn checked(mut self) -> Result<Self> {
        let percents = |field: &str, percents: &[u32]| {
            let wrong = percents.iter().find(|percent| !(1..=PERCENT_MAX).contains(*percent));
            wrong.map_or(Ok(()), |wrong| {
                Err(Error::invalid(
                    field,
                    format!("a threshold is 1 to {PERCENT_MAX} percent, not {wrong}"),
                ))
            })
        };
        if self.amount.0 <= 0 {
            return Err(Error::invalid("amount", "a budget is more than nothing"));
        }
        if self.warn.len() > WARNINGS_MAX {
            let text = format!("at most {WARNINGS_MAX} thresholds warn");
            return Err(Error::invalid("warnPercent", text));
        }
        percents("warnPercent", &self.warn)?;
        percents("freezePercent", self.freeze.as_slice())?;
        percents("drainPercent", self.drain.as_slice())?;
        if let (Some(freeze), Some(drain)) = (self.freeze, self.drain)
            && drain < freeze
        {
            return Err(Error::invalid(
                "drainPercent",
                format!("a cluster that is drained at {drain} % can not be frozen later, at {freeze} %"),
            ));
        }
        self.warn.sort_unstable();
        self.warn.dedup();
        Ok(self)
    }

    /// What follows from having spent so much this month.
    #[must_use]
    pub fn level(&self, spent: Money) -> Level {
        let reached = |percent: &u32| spent >= self.amount.percent(*percent);
        if self.drain.as_ref().is_some_and(reached) {
            Level::Draining
        } else if self.freeze.as_ref().is_some_and(reached) {
            Level::Frozen
        } else {
            let warned = self.warn.iter().copied().filter(|percent| reached(percent)).max();
            warned.map_or(Level::Within, Level::Warned)
        }
    }

    /// What part of the amount is spent, in percent, rounded down.
    #[must_use]
    pub fn share(&self, spent: Money) -> i64 {
        let share = i128::from(spent.0) * 100 / i128::from(self.amount.0.max(1));
        i64::try_from(share).unwrap_or(i64::MAX)
    }

    /// Percent from which the cluster must not grow; draining one does not let it grow either.
    #[must_use]
    pub fn growth_ends(&self) -> Option<u32> {
        self.freeze.or(self.drain)
    }

    /// May the cluster grow?
    ///
    /// # Errors
    /// `QuotaExceeded` with the budget, what is spent, and the limit. A standing of a month that is over refuses
    /// nothing.
    pub fn admit(&self, standing: Option<&Standing>, cluster: &str, now: Timestamp) -> Result<()> {
        let (Some(standing), Some(percent)) = (standing, self.growth_ends()) else {
            return Ok(());
        };
        // Reckoned anew, as the budget may have been changed since.
        if standing.month != frame::month_start(now) || self.level(standing.spent) < Level::Frozen {
            return Ok(());
        }
        let message = format!(
            "{EXCEEDED}: cluster \"{cluster}\" has spent {} of its budget of {} for {}; growth ends at {} ({percent} %). \
             Raise the budget, or wait for the next month",
            standing.spent,
            self.amount,
            frame::month_name(now),
            self.amount.percent(percent),
        );
        Err(Error::new(Kind::QuotaExceeded, message))
    }

    /// The standing after reckoning `spent` at `now`; `before` is the one until then.
    #[must_use]
    pub fn reckon(&self, before: Option<&Standing>, spent: Money, unpriced: bool, now: Timestamp) -> Standing {
        let (month, level) = (frame::month_start(now), self.level(spent));
        let unchanged = before.filter(|before| before.level == level && before.month == month);
        Standing {
            month,
            spent,
            unpriced,
            level,
            since: unchanged.map_or(now, |before| before.since),
        }
    }

    /// What people should hear when a standing becomes another; nothing when nothing new follows from it.
    #[must_use]
    pub fn news(&self, before: Option<&Standing>, after: &Standing) -> Option<String> {
        let known = before.filter(|before| before.month == after.month);
        let known = known.map_or(Level::Within, |before| before.level);
        if known == after.level {
            return None;
        }
        let share = self.share(after.spent);
        let numbers = format!("{} of {} spent ({share} %)", after.spent, self.amount);
        Some(match after.level {
            Level::Within => format!("within budget again: {numbers}"),
            Level::Warned(percent) => format!("beyond {percent} % of the budget: {numbers}"),
            Level::Frozen => format!("{EXCEEDED}: growth is refused: {numbers}"),
            Level::Draining => format!("{EXCEEDED}: nodes are drained: {numbers}"),
        })
    }
}

/// Does draining a cluster end this node? Nodes that stand alone stay, as the work of the others hangs on them, and so
/// do those that somebody protects.
#[must_use]
pub fn drains(node: &Node) -> bool {
    node.goal == Goal::Started && !node.single && !node.keep_alive
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        Budget {
            cluster: ClusterId(uuid::Uuid::nil()),
            amount: Money(100_000_000),
            warn: vec![80, 50, 80],
            freeze: Some(100),
            drain: Some(120),
        }
        .checked()
        .expect("a budget")
    }

    fn dollars(dollars: i64) -> Money {
        Money(dollars * 1_000_000)
    }

    #[test]
    fn levels_rise_with_what_is_spent_and_change_exactly_at_their_threshold() {
        let cases = [
            (0, Level::Within),
            (49, Level::Within),
            (50, Level::Warned(50)),
            (99, Level::Warned(80)),
            (100, Level::Frozen),
            (119, Level::Frozen),
            (120, Level::Draining),
        ];
        for (spent, level) in cases {
            assert_eq!(budget().level(dollars(spent)), level, "{spent}");
            assert_eq!(Level::parse(&level.text()), Some(level));
        }
    }

    #[test]
    fn growth_is_refused_with_all_the_numbers_and_only_in_the_month_that_was_reckoned() {
        let march = Timestamp::parse_rfc3339("2026-03-20T10:00:00Z").expect("a time");
        let budget = budget();
        let standing = budget.reckon(None, dollars(105), false, march);
        let error = budget.admit(Some(&standing), "demo", march).expect_err("refused");
        assert_eq!(error.kind, Kind::QuotaExceeded);
        for part in [
            "BudgetExceeded",
            "\"demo\"",
            "105.00 USD",
            "100.00 USD",
            "2026-03",
            "100 %",
        ] {
            assert!(error.message.contains(part), "{part}: {}", error.message);
        }
        let april = Timestamp::parse_rfc3339("2026-04-01T00:00:00Z").expect("a time");
        assert!(budget.admit(Some(&standing), "demo", april).is_ok());
        let raised = Budget {
            amount: dollars(1000),
            ..budget
        };
        assert!(raised.admit(Some(&standing), "demo", march).is_ok());
    }

    #[test]
    fn news_come_once_for_each_level_and_month() {
        let (now, budget) = (Timestamp(1_773_000_000_000_000), budget());
        let quiet = budget.reckon(None, dollars(1), false, now);
        assert_eq!(budget.news(None, &quiet), None);
        let warned = budget.reckon(Some(&quiet), dollars(60), false, now);
        assert!(
            budget
                .news(Some(&quiet), &warned)
                .is_some_and(|text| text.contains("50 %"))
        );
        let still = budget.reckon(Some(&warned), dollars(61), false, now);
        assert_eq!((budget.news(Some(&warned), &still), still.since), (None, warned.since));
    }

    #[test]
    fn a_budget_that_makes_no_sense_is_refused_by_field() {
        let refused = |change: fn(&mut Budget)| {
            let mut wrong = budget();
            change(&mut wrong);
            match wrong.checked().expect_err("refused").kind {
                Kind::Invalid { field } => field,
                kind => panic!("{kind:?}"),
            }
        };
        assert_eq!(refused(|budget| budget.amount = Money(0)), "amount");
        assert_eq!(refused(|budget| budget.warn = vec![0]), "warnPercent");
        assert_eq!(refused(|budget| budget.freeze = Some(1001)), "freezePercent");
        assert_eq!(refused(|budget| budget.drain = Some(90)), "drainPercent");
    }
}
