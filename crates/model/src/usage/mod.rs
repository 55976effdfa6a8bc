//! Usage: which machines ran when, what that makes in core-hours and money, and how it is split.
//!
//! All arithmetic is on integers: machine time in microseconds, money in millionths of a dollar, prices in those per
//! hour. A product of the two is kept exact until it is shown; [`report`] then rounds from the whole down to its parts,
//! so that parts always add up. [`frame`] knows the calendar, all of it UTC. Nothing here knows where intervals are
//! kept, or what a dialect calls any of this.

use crate::{
    cluster::words,
    condition::Reason,
    node::{Node, Phase},
};

pub mod frame;
pub mod report;

#[cfg(test)]
mod tests;

/// An amount of money: millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(pub i64);

/// The currency of every [`Money`] and [`Price`].
pub const CURRENCY: &str = "USD";

impl Money {
    /// An amount given in dollars; `None` when it is not a number, negative, or beyond nine billion.
    #[must_use]
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        let micros = (dollars * 1e6).round();
        // The bounds make the cast exact enough: below 2^53.
        (micros.is_finite() && (0.0..=9e15).contains(&micros)).then_some(Self(micros as i64))
    }

    /// In dollars, for showing; never to calculate with.
    #[must_use]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// The share of `percent` hundredths, rounded down.
    #[must_use]
    pub fn percent(self, percent: u32) -> Self {
        let share = i128::from(self.0) * i128::from(percent) / 100;
        Self(i64::try_from(share).unwrap_or(i64::MAX))
    }
}

impl std::fmt::Display for Money {
    /// Dollars and cents, rounded half up: `1234.50 USD`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cents = (self.0.unsigned_abs() + 5_000) / 10_000;
        let sign = if self.0 < 0 && cents > 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:02} {CURRENCY}", cents / 100, cents % 100)
    }
}

/// What one machine costs an hour: millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(pub i64);

impl Price {
    /// A price given in dollars per hour; `None` when it is no price.
    #[must_use]
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        Money::from_dollars(dollars).map(|money| Self(money.0))
    }
}

/// Operating system of a machine; its price may depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum System {
    /// Linux.
    Linux,
    /// Windows.
    Windows,
}

words!(System { Linux => "linux", Windows => "windows" });

/// What a price depends on, beside the day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Goods {
    /// Provider account: its catalog says the price.
    pub account: String,
    /// Machine size.
    pub size: String,
    /// Region.
    pub region: String,
    /// A spot machine.
    pub spot: bool,
    /// Operating system.
    pub system: System,
}

/// Everything that machine time is told apart by. Machines of one line are alike, so only their time is kept for each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line {
    /// Name of the cluster when the line was begun.
    pub cluster: String,
    /// `owner` is a node that stands alone; else it is a pool.
    pub single: bool,
    /// Name of the node or pool.
    pub owner: String,
    /// What was used.
    pub goods: Goods,
    /// Cores that one such machine counts for, at least 1.
    pub cores: u32,
}

/// Does the machine of the present incarnation run, as far as its node tells? `running` is what was held until now: it
/// stands in the phases that say nothing about it, as a machine told to stop runs until it is seen stopped.
#[must_use]
pub fn runs(node: &Node, running: bool) -> bool {
    let seen = &node.seen;
    if !seen.holds || seen.machine.is_none() {
        return false;
    }
    match seen.phase {
        Phase::Off | Phase::Stopped | Phase::Resuming => false,
        Phase::Booting | Phase::Initializing | Phase::Running | Phase::Draining => true,
        Phase::Failed | Phase::Releasing
            if matches!(seen.condition.reason, Reason::MachineVanished | Reason::Evicted) =>
        {
            false
        }
        Phase::Reserved | Phase::Stopping | Phase::Releasing | Phase::Failed => running,
    }
}

/// Is today's price to be written down? `newest` is the newest day that has one. The first price of a day stays that
/// day's price, and days that are over are never written to: what they cost does not change any more.
#[must_use]
pub fn fixes_price(newest: Option<i64>, today: i64) -> bool {
    newest.is_none_or(|newest| newest < today)
}
