//! Usage of a cluster: core-hours and cost by node, nodearray and machine type.
//!
//! What ran and what it cost is the core's to say; here its answer only gets CycleCloud's names. Figures have six
//! decimals, so that parts add up to wholes to the last one of them.

use axum::{Json as Body, extract::RawQuery};
use reeve_control::{
    cluster::Selector,
    usage::{self, Question},
};
use reeve_model::{
    Kind as ErrorKind,
    usage::{
        Money, System,
        frame::{Frame, Granularity, parse_time},
        report::{Figures, Group, Interval, Item, Kind, Report, Resolution},
    },
};
use serde::Serialize;

use super::{
    auth::Caller,
    error::{Answer, Failure},
    extract::Path,
    query::Query,
};

/// `ClusterUsage`
#[derive(Debug, Serialize)]
pub struct ClusterUsage {
    usage: Vec<UsageInterval>,
}

#[derive(Debug, Serialize)]
struct UsageInterval {
    start: String,
    end: String,
    breakdown: Vec<UsageItem>,
    total: UsageItem,
}

/// `ClusterUsageItem`
#[derive(Debug, Serialize)]
struct UsageItem {
    category: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    hours: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Vec<UsageDetail>>,
}

#[derive(Debug, Serialize)]
struct UsageDetail {
    vm_size: String,
    core_count: u32,
    hours: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    region: String,
    priority: &'static str,
    os: &'static str,
}

/// What a query asks, and whether with details.
///
/// # Errors
/// 400 for a word that is none, and for a custom time frame without its ends.
fn parse(query: &Query) -> Answer<(Question, bool)> {
    let word = |name: &str, default: &str| query.get(name).unwrap_or(default).to_ascii_lowercase();
    let granularity = match word("granularity", "daily").as_str() {
        "total" => Granularity::Total,
        "daily" => Granularity::Daily,
        "hourly" => Granularity::Hourly,
        other => return Err(unknown("granularity", other, "total, daily or hourly")),
    };
    let frame = match word("timeframe", "monthToDate").as_str() {
        "monthtodate" => Frame::MonthToDate,
        "lastmonth" => Frame::LastMonth,
        "weektodate" => Frame::WeekToDate,
        "custom" => Frame::Custom {
            from: end(query, "from")?,
            until: end(query, "to")?,
        },
        other => {
            let known = "monthToDate, lastMonth, weekToDate or custom";
            return Err(unknown("timeframe", other, known));
        }
    };
    let details = query.list("expand").any(|item| item.eq_ignore_ascii_case("details"));
    let question = Question {
        frame,
        granularity,
        resolution: Resolution::SIX_DECIMALS,
    };
    Ok((question, details))
}

fn unknown(name: &str, value: &str, known: &str) -> Failure {
    Failure::malformed(format!("{name} is {known}, not \"{value}\""))
}

fn end(query: &Query, name: &str) -> Answer<reeve_model::Timestamp> {
    let text = query
        .get(name)
        .ok_or_else(|| Failure::malformed(format!("timeframe custom needs {name}")))?;
    parse_time(text).ok_or_else(|| Failure::malformed(format!("{name} is a time in ISO 8601, not \"{text}\"")))
}

/// `GET /clusters/{cluster}/usage`
///
/// # Errors
/// 400 for parameters that make no sense, 404 for an unknown cluster.
pub async fn usage(
    Caller(ctx): Caller,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer<Body<ClusterUsage>> {
    let (question, details) = parse(&Query::of(query))?;
    match usage::of_cluster(&ctx, &Selector::Name(name), question).await {
        Ok((_, report)) => Ok(Body(render(&report, details))),
        // Only the time asked for can be wrong here, and that is the query's fault.
        Err(error) if matches!(error.kind, ErrorKind::Invalid { .. }) => Err(Failure::malformed(error.message)),
        Err(error) => Err(error.into()),
    }
}

fn render(report: &Report, details: bool) -> ClusterUsage {
    ClusterUsage {
        usage: report
            .intervals
            .iter()
            .map(|interval| render_interval(interval, details))
            .collect(),
    }
}

fn render_interval(interval: &Interval, details: bool) -> UsageInterval {
    let mut breakdown: Vec<UsageItem> = interval.items.iter().map(|item| render_item(item, details)).collect();
    breakdown.sort_by(|one, other| (one.category, &one.node).cmp(&(other.category, &other.node)));
    UsageInterval {
        start: interval.from.rfc3339_seconds(),
        end: interval.until.rfc3339_seconds(),
        breakdown,
        total: UsageItem {
            category: "cluster",
            node: None,
            hours: interval.total.core_hours(),
            cost: cost(interval.total),
            details: None,
        },
    }
}

fn render_item(item: &Item, details: bool) -> UsageItem {
    let (category, node) = match &item.group {
        Group::Cluster(_) => ("cluster", None),
        Group::Node(name) => ("node", Some(name.clone())),
        Group::Pool(name) => ("nodearray", Some(name.clone())),
    };
    let kinds = || item.details.iter().map(|(kind, figures)| render_kind(kind, *figures));
    UsageItem {
        category,
        node,
        hours: item.figures.core_hours(),
        cost: cost(item.figures),
        details: details.then(|| kinds().collect()),
    }
}

fn render_kind(kind: &Kind, figures: Figures) -> UsageDetail {
    UsageDetail {
        vm_size: kind.size.clone(),
        core_count: kind.cores,
        hours: figures.core_hours(),
        cost: cost(figures),
        region: kind.region.clone(),
        priority: if kind.spot { "Spot" } else { "Regular" },
        os: match kind.system {
            System::Linux => "Linux",
            System::Windows => "Windows",
        },
    }
}

fn cost(figures: Figures) -> Option<f64> {
    figures.cost.map(Money::dollars)
}

#[cfg(test)]
#[path = "usage_tests.rs"]
mod tests;
