//! Usage, cost and budgets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What was used in a time, and what it cost. At every level the parts add up to the whole, to six decimals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Beginning of the time, inclusive.
    pub from: String,
    /// End of the time, exclusive.
    pub to: String,
    /// `hour`, `day` or `total`: how `intervals` are split.
    pub by: String,
    /// Currency of every cost, `USD`.
    pub currency: String,
    /// Cores times hours of the whole time.
    pub core_hours: f64,
    /// What the whole time cost; absent when the price of some of it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Oldest first, without gaps.
    pub intervals: Vec<UsageInterval>,
}

/// What was used in one interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageInterval {
    /// Its beginning, inclusive.
    pub from: String,
    /// Its end, exclusive.
    pub to: String,
    /// Cores times hours.
    pub core_hours: f64,
    /// What it cost; absent when the price of some of it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Who used it; those who used nothing are not listed.
    pub items: Vec<UsageItem>,
}

/// What one node, pool or cluster used in an interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageItem {
    /// `node` for one that stands alone, `pool`, or `cluster`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Cores times hours.
    pub core_hours: f64,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// The same by kind of machine.
    pub machines: Vec<UsageMachines>,
}

/// What machines of one kind were used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageMachines {
    /// Machine size.
    pub size: String,
    /// Cores of one machine.
    pub cores: u32,
    /// Region.
    pub region: String,
    /// Spot machines.
    pub spot: bool,
    /// `linux` or `windows`.
    pub system: String,
    /// Cores times hours.
    pub core_hours: f64,
    /// What they cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

/// What a cluster may cost in a calendar month, UTC, and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Name of the cluster.
    pub cluster: String,
    /// The amount of a month.
    pub amount: f64,
    /// Currency of every amount, `USD`.
    pub currency: String,
    /// Percent of the amount at which people are told by an event.
    pub warn_percent: Vec<u32>,
    /// Percent from which the cluster must not grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze_percent: Option<u32>,
    /// Percent from which nodes of its pools are shut down, protected ones excepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_percent: Option<u32>,
    /// Where the cluster stands; absent until it was first reckoned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<BudgetStanding>,
}

/// Where a cluster stands, reckoned about twice a minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetStanding {
    /// The month, as `2026-03`.
    pub month: String,
    /// What it has cost so far, as far as prices are known.
    pub spent: f64,
    /// The same in percent of the amount, rounded down.
    pub spent_percent: i64,
    /// Some of it has no known price, so it cost more.
    pub unpriced: bool,
    /// `within`, `warned-80`, `frozen` or `draining`.
    pub level: String,
    /// Since when.
    pub since: String,
}

/// Sets a budget; one that was there is replaced.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BudgetSet {
    /// The amount of a month in US dollars, more than nothing.
    pub amount: f64,
    /// Percent of the amount at which people are told by an event, 1 to 1000, at most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warn_percent: Vec<u32>,
    /// Percent from which the cluster must not grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze_percent: Option<u32>,
    /// Percent from which nodes of its pools are shut down; not less than `freezePercent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_percent: Option<u32>,
}
