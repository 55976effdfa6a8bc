//! From intervals to an answer: machine time per line and slot, priced by day, rounded so that parts add up.
//!
//! Three moves. A [`Tally`] takes intervals one by one, in any number and order, in constant time each. It is priced
//! with [`Prices`], exactly. [`Exact::rounded`] rounds the whole once and hands the units down by largest remainder,
//! level by level, so at every level the parts are the whole.

use std::collections::{BTreeMap, HashMap};

use super::{
    Goods, Line, Money, Price, System,
    frame::{HOUR_US, Window, day},
};
use crate::timestamp::Timestamp;

/// Machine time per line and slot of a window.
#[derive(Debug)]
pub struct Tally {
    window: Window,
    lines: HashMap<i64, Time>,
}

/// Machine time of one line.
#[derive(Debug)]
struct Time {
    /// Time in slots that a machine did not fill, microseconds.
    partly_us: Vec<i64>,
    /// Changes of the number of machines that fill a slot, from this slot on.
    filling: Vec<i64>,
}

impl Tally {
    /// Nothing yet.
    #[must_use]
    pub fn new(window: Window) -> Self {
        Self {
            window,
            lines: HashMap::new(),
        }
    }

    /// Counts a machine of `line` that ran from `from` to `until`; what lies outside the window is not counted.
    pub fn add(&mut self, line: i64, from: Timestamp, until: Timestamp) {
        let from = from.max(self.window.from);
        let until = until.min(self.window.until);
        if until <= from {
            return;
        }
        let slots = self.window.slots();
        let time = self.lines.entry(line).or_insert_with(|| Time {
            partly_us: vec![0; slots],
            filling: vec![0; slots + 1],
        });
        let (first, last) = (self.window.slot_of(from.0), self.window.slot_of(until.0 - 1));
        if first == last {
            time.partly_us[first] += until.0 - from.0;
            return;
        }
        time.partly_us[first] += self.window.slot(first).1.0 - from.0;
        time.partly_us[last] += until.0 - self.window.slot(last).0.0;
        time.filling[first + 1] += 1;
        time.filling[last] -= 1;
    }

    /// Machine time of each line by slot, microseconds.
    fn by_slot(self) -> Vec<(i64, Vec<i64>)> {
        let window = self.window;
        let times = self.lines.into_iter().map(|(line, time)| {
            let mut filling = 0;
            let slots = time.partly_us.iter().enumerate().map(|(index, partly)| {
                filling += time.filling[index];
                let (from, until) = window.slot(index);
                partly + filling * (until.0 - from.0)
            });
            (line, slots.collect())
        });
        times.collect()
    }

    /// Prices what was counted and puts it in order. `groups` says under which name a line appears.
    #[must_use]
    pub fn priced(self, lines: &BTreeMap<i64, Line>, prices: &Prices, group: impl Fn(&Line) -> Group) -> Exact {
        let window = self.window;
        let mut exact = Exact {
            intervals: window
                .intervals()
                .into_iter()
                .map(|(from, until)| (from, until, BTreeMap::new()))
                .collect(),
        };
        for (id, slots) in self.by_slot() {
            let Some(line) = lines.get(&id) else { continue };
            let of_goods = prices.of(&line.goods);
            let (group, kind) = (group(line), Kind::of(line));
            for (slot, machine_us) in slots.into_iter().enumerate().filter(|(_, time)| *time > 0) {
                let price = of_goods.at(day(window.slot(slot).0));
                let sum = Sum {
                    core_us: i128::from(machine_us) * i128::from(line.cores),
                    charge: i128::from(machine_us) * price.map_or(0, |price| i128::from(price.0)),
                    priced: price.is_some(),
                };
                let (_, _, groups) = &mut exact.intervals[window.interval_of(slot)];
                groups
                    .entry(group.clone())
                    .or_default()
                    .entry(kind.clone())
                    .or_default()
                    .add(&sum);
            }
        }
        exact
    }
}

/// Prices by goods: each holds from its day to the day before the next one.
#[derive(Debug, Clone, Default)]
pub struct Prices(BTreeMap<Goods, History>);

/// Prices of one kind of goods, by first day.
#[derive(Debug, Clone, Default)]
struct History(BTreeMap<i64, Option<Price>>);

impl History {
    fn at(&self, day: i64) -> Option<Price> {
        self.0.range(..=day).next_back().and_then(|(_, price)| *price)
    }
}

impl Prices {
    /// Adds what `goods` cost from `day` on.
    pub fn add(&mut self, goods: Goods, day: i64, price: Option<Price>) {
        self.0.entry(goods).or_default().0.insert(day, price);
    }

    fn of(&self, goods: &Goods) -> History {
        self.0.get(goods).cloned().unwrap_or_default()
    }
}

/// What usage is listed under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// A cluster, by name.
    Cluster(String),
    /// A node that stands alone.
    Node(String),
    /// A pool.
    Pool(String),
}

impl Group {
    /// Where a line belongs within its cluster.
    #[must_use]
    pub fn in_cluster(line: &Line) -> Self {
        if line.single {
            Self::Node(line.owner.clone())
        } else {
            Self::Pool(line.owner.clone())
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Cluster(name) | Self::Node(name) | Self::Pool(name) => name,
        }
    }
}

/// Kind of machine as an answer tells them apart: the provider account is ours alone to know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Machine size.
    pub size: String,
    /// Region.
    pub region: String,
    /// A spot machine.
    pub spot: bool,
    /// Operating system.
    pub system: System,
    /// Cores of one machine.
    pub cores: u32,
}

impl Kind {
    fn of(line: &Line) -> Self {
        Self {
            size: line.goods.size.clone(),
            region: line.goods.region.clone(),
            spot: line.goods.spot,
            system: line.goods.system,
            cores: line.cores,
        }
    }
}

/// Exact figures: core-microseconds, and millionths of a dollar per hour times microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sum {
    core_us: i128,
    charge: i128,
    priced: bool,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            core_us: 0,
            charge: 0,
            priced: true,
        }
    }
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.core_us += other.core_us;
        self.charge += other.charge;
        self.priced &= other.priced;
    }

    fn of<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        parts.into_iter().for_each(|part| sum.add(part));
        sum
    }
}

/// Kinds of one group, with their exact figures.
type Kinds = BTreeMap<Kind, Sum>;

/// An answer before rounding.
#[derive(Debug, Clone)]
pub struct Exact {
    intervals: Vec<(Timestamp, Timestamp, BTreeMap<Group, Kinds>)>,
}

/// Smallest steps in which an answer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolution {
    /// Core-microseconds.
    pub core_us: i64,
    /// Millionths of a dollar.
    pub money: i64,
}

impl Resolution {
    /// Ten-thousandths of a core-hour and of a dollar.
    pub const FOUR_DECIMALS: Self = Self {
        core_us: HOUR_US / 10_000,
        money: 100,
    };
    /// Millionths of both.
    pub const SIX_DECIMALS: Self = Self {
        core_us: HOUR_US / 1_000_000,
        money: 1,
    };
}

/// Rounded figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Core-time, microseconds.
    pub core_us: i64,
    /// What it cost; `None` when the price of some of it is not known.
    pub cost: Option<Money>,
}

impl Figures {
    /// Core-hours, for showing.
    #[must_use]
    pub fn core_hours(&self) -> f64 {
        self.core_us as f64 / HOUR_US as f64
    }
}

/// One interval of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub until: Timestamp,
    /// What was used, by group.
    pub items: Vec<Item>,
    /// All of it.
    pub total: Figures,
}

/// What one group used in an interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Whose.
    pub group: Group,
    /// How much.
    pub figures: Figures,
    /// The same by kind of machine.
    pub details: Vec<(Kind, Figures)>,
}

/// An answer: everything adds up at every level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Oldest first, without gaps.
    pub intervals: Vec<Interval>,
    /// All of them.
    pub total: Figures,
}

impl Exact {
    /// What is known of the cost, rounded to a millionth; the flag tells that some of it is not known.
    #[must_use]
    pub fn known_cost(&self) -> (Money, bool) {
        let whole = self.whole();
        (Money(round(whole.charge, i128::from(HOUR_US))), !whole.priced)
    }

    fn whole(&self) -> Sum {
        let groups = self.intervals.iter().flat_map(|(_, _, groups)| groups.values());
        Sum::of(groups.flat_map(BTreeMap::values))
    }

    /// Rounds from the top down.
    #[must_use]
    pub fn rounded(&self, to: Resolution) -> Report {
        let whole = self.whole();
        let of_group = |kinds: &Kinds| Sum::of(kinds.values());
        let sums: Vec<Sum> = self
            .intervals
            .iter()
            .map(|(_, _, groups)| Sum::of(groups.values().map(of_group).collect::<Vec<_>>().iter()))
            .collect();
        let total = single(&whole, to);
        let intervals = self.intervals.iter().zip(share(total, &sums, to));
        let intervals = intervals.map(|((from, until, groups), total)| {
            let sums: Vec<Sum> = groups.values().map(of_group).collect();
            let items = groups.iter().zip(share(total, &sums, to));
            let items = items.map(|((group, kinds), figures)| {
                let sums: Vec<Sum> = kinds.values().copied().collect();
                Item {
                    group: group.clone(),
                    figures,
                    details: kinds.keys().cloned().zip(share(figures, &sums, to)).collect(),
                }
            });
            Interval {
                from: *from,
                until: *until,
                items: items.collect(),
                total,
            }
        });
        Report {
            intervals: intervals.collect(),
            total,
        }
    }
}

/// Core-microseconds of a step of `to`, and the charge of one.
fn steps(to: Resolution) -> (i128, i128) {
    (i128::from(to.core_us), i128::from(to.money) * i128::from(HOUR_US))
}

fn figures(hours: i64, cost: Option<i64>, to: Resolution) -> Figures {
    Figures {
        core_us: hours * to.core_us,
        cost: cost.map(|steps| Money(steps * to.money)),
    }
}

fn single(sum: &Sum, to: Resolution) -> Figures {
    let (hours, cost) = steps(to);
    let cost = sum.priced.then(|| round(sum.charge, cost));
    figures(round(sum.core_us, hours), cost, to)
}

/// Hands the steps of `whole` out to its parts. Without a cost of the whole, each part that has one rounds its own.
fn share(whole: Figures, parts: &[Sum], to: Resolution) -> Vec<Figures> {
    let (hour_step, cost_step) = steps(to);
    let column = |read: fn(&Sum) -> i128| parts.iter().map(read).collect::<Vec<_>>();
    let hours = apportion(whole.core_us / to.core_us, &column(|part| part.core_us), hour_step);
    let costs: Vec<Option<i64>> = match whole.cost {
        Some(cost) => apportion(cost.0 / to.money, &column(|part| part.charge), cost_step)
            .into_iter()
            .map(Some)
            .collect(),
        None => parts
            .iter()
            .map(|part| part.priced.then(|| round(part.charge, cost_step)))
            .collect(),
    };
    hours
        .into_iter()
        .zip(costs)
        .map(|(hours, cost)| figures(hours, cost, to))
        .collect()
}

fn round(exact: i128, step: i128) -> i64 {
    i64::try_from((exact + step / 2).div_euclid(step)).unwrap_or(i64::MAX)
}

/// Splits `whole` steps among `parts`: each gets its full steps, and the largest remainders one more each until none is
/// left; of equal remainders the earlier one comes first.
///
/// `whole` must be the sum of `parts` rounded down or up; then what is left never exceeds the number of remainders.
fn apportion(whole: i64, parts: &[i128], step: i128) -> Vec<i64> {
    let mut shares: Vec<i64> = parts
        .iter()
        .map(|part| i64::try_from(part.div_euclid(step)).unwrap_or(i64::MAX))
        .collect();
    let left = usize::try_from(whole - shares.iter().sum::<i64>()).unwrap_or(0);
    let mut order: Vec<usize> = (0..parts.len())
        .filter(|index| parts[*index].rem_euclid(step) > 0)
        .collect();
    order.sort_by_key(|index| std::cmp::Reverse(parts[*index].rem_euclid(step)));
    debug_assert!(left <= order.len(), "the whole is its parts, rounded");
    for index in order.into_iter().take(left) {
        shares[index] += 1;
    }
    shares
}
