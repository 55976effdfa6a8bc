//! `reeve usage`: what was used and what it cost, with bars on a terminal.

use clap::Args;
use reeve_wire::native::{Usage, UsageInterval};

use super::failure::Failure;
use super::output::{self, Format, clean};
use super::session::Session;

/// Cells of the longest bar.
const BAR_LENGTH: usize = 40;
/// Parts of a cell, from one eighth to seven.
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// Which usage.
#[derive(Debug, Clone, Args)]
pub(crate) struct Show {
    /// Name of the cluster; all of them when absent
    cluster: Option<String>,
    /// How to split it
    #[arg(long, value_enum, default_value = "day")]
    by: By,
    /// Beginning, e.g. 2026-03-01 or 2026-03-10T08:00:00Z [default: the first of this month]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// End, not included [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only the clusters of this folder
    #[arg(long, value_name = "NAME", conflicts_with = "cluster")]
    folder: Option<String>,
}

/// How usage is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// By hour
    Hour,
    /// By UTC day
    Day,
    /// Not at all
    Total,
}

impl By {
    fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Total => "total",
        }
    }
}

/// Shows usage.
///
/// # Errors
/// When the server refuses or cannot be reached.
pub(super) async fn run(session: &mut Session, show: &Show) -> Result<(), Failure> {
    let path: Vec<&str> = match &show.cluster {
        Some(name) => vec!["clusters", name, "usage"],
        None => vec!["usage"],
    };
    let filters = [
        ("by", Some(show.by.word())),
        ("from", show.from.as_deref()),
        ("to", show.to.as_deref()),
        ("folder", show.folder.as_deref()),
    ];
    let usage: Usage = session.client.find("show usage", &path, &filters).await?;
    let text = match session.format {
        Format::Json | Format::Yaml => output::document(&usage, session.format)?,
        Format::Name => names(&usage),
        Format::Table | Format::Wide if session.answers_on_terminal => chart(&usage),
        Format::Table | Format::Wide => table(&usage, session.format == Format::Wide),
    };
    session.print(&text)
}

/// Who used anything.
fn names(usage: &Usage) -> String {
    let items = usage.intervals.iter().flat_map(|interval| &interval.items);
    let names: std::collections::BTreeSet<String> = items.map(|item| clean(&item.name)).collect();
    names.into_iter().map(|name| format!("{name}\n")).collect()
}

/// Beginning of an interval as short as it can be told apart.
fn start(usage: &Usage, interval: &UsageInterval) -> String {
    let length = if usage.by == "hour" { 16 } else { 10 };
    clean(&interval.from).replace('T', " ").chars().take(length).collect()
}

fn cost(cost: Option<f64>) -> String {
    cost.map_or_else(|| "-".to_owned(), |cost| format!("{cost:.2}"))
}

/// Cents by largest remainder, so that the column adds up to its last line; nothing where a cost is not known.
fn costs(usage: &Usage) -> Vec<String> {
    let micros = |cost: f64| (cost * 1e6).round() as i64;
    let all: Option<Vec<i64>> = usage
        .intervals
        .iter()
        .map(|interval| interval.cost.map(micros))
        .collect();
    let Some((all, whole)) = all.zip(usage.cost.map(micros)) else {
        return usage.intervals.iter().map(|interval| cost(interval.cost)).collect();
    };
    let mut cents: Vec<i64> = all.iter().map(|micros| micros.div_euclid(10_000)).collect();
    let left = (whole + 5_000).div_euclid(10_000) - cents.iter().sum::<i64>();
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(all[*index].rem_euclid(10_000)));
    for index in order.into_iter().take(usize::try_from(left).unwrap_or(0)) {
        cents[index] += 1;
    }
    cents
        .into_iter()
        .map(|cents| format!("{}.{:02}", cents / 100, cents % 100))
        .collect()
}

/// A line for each interval and one for all of them; a wide one has a line for each kind of machine instead.
fn table(usage: &Usage, wide: bool) -> String {
    if wide {
        return wide_table(usage);
    }
    let currency = clean(&usage.currency);
    let mut lines = vec![vec!["FROM".to_owned(), "CORE-HOURS".into(), currency]];
    for (interval, cost) in usage.intervals.iter().zip(costs(usage)) {
        lines.push(vec![
            start(usage, interval),
            format!("{:.2}", interval.core_hours),
            cost,
        ]);
    }
    lines.push(vec![
        "total".into(),
        format!("{:.2}", usage.core_hours),
        cost(usage.cost),
    ]);
    output::aligned(&lines)
}

fn wide_table(usage: &Usage) -> String {
    let heading = [
        "FROM",
        "KIND",
        "NAME",
        "SIZE",
        "CORES",
        "REGION",
        "PURCHASE",
        "CORE-HOURS",
    ];
    let mut heading: Vec<String> = heading.map(str::to_owned).to_vec();
    heading.push(clean(&usage.currency));
    let mut lines = vec![heading];
    for interval in &usage.intervals {
        for item in &interval.items {
            for machines in &item.machines {
                lines.push(vec![
                    start(usage, interval),
                    clean(&item.kind),
                    clean(&item.name),
                    clean(&machines.size),
                    machines.cores.to_string(),
                    clean(&machines.region),
                    if machines.spot { "spot" } else { "regular" }.to_owned(),
                    format!("{:.4}", machines.core_hours),
                    machines
                        .cost
                        .map_or_else(|| "-".to_owned(), |cost| format!("{cost:.4}")),
                ]);
            }
        }
    }
    output::aligned(&lines)
}

/// Bars of cost where all prices are known, else of core-hours; below, who used how much.
fn chart(usage: &Usage) -> String {
    let priced = usage.cost.is_some();
    let value = |hours: f64, cost: Option<f64>| if priced { cost.unwrap_or(0.0) } else { hours };
    let most = usage
        .intervals
        .iter()
        .map(|interval| value(interval.core_hours, interval.cost))
        .fold(0.0, f64::max);
    let unit = if priced {
        clean(&usage.currency)
    } else {
        "core-hours".to_owned()
    };
    let mut lines = Vec::new();
    for (interval, cost) in usage.intervals.iter().zip(costs(usage)) {
        let shown = if priced {
            cost
        } else {
            format!("{:.2}", interval.core_hours)
        };
        let bar = bar(value(interval.core_hours, interval.cost), most);
        lines.push(vec![start(usage, interval), right(&shown, 12), bar]);
    }
    let mut text = output::aligned(&lines);
    text.push_str(&format!(
        "\n{} to {}: {:.2} core-hours, {} {unit}\n",
        clean(&usage.from),
        clean(&usage.to),
        usage.core_hours,
        if priced { cost(usage.cost) } else { "unknown".to_owned() },
    ));
    text.push_str(&shares(usage, priced));
    text
}

/// Who used how much of the whole time, most first.
fn shares(usage: &Usage, priced: bool) -> String {
    let mut sums: std::collections::BTreeMap<String, f64> = std::collections::BTreeMap::new();
    for item in usage.intervals.iter().flat_map(|interval| &interval.items) {
        let value = if priced {
            item.cost.unwrap_or(0.0)
        } else {
            item.core_hours
        };
        *sums.entry(clean(&item.name)).or_default() += value;
    }
    let mut sums: Vec<(String, f64)> = sums.into_iter().collect();
    sums.sort_by(|one, other| other.1.total_cmp(&one.1));
    let most = sums.first().map_or(0.0, |(_, sum)| *sum);
    let lines: Vec<Vec<String>> = sums
        .into_iter()
        .map(|(name, sum)| vec![name, right(&format!("{sum:.2}"), 12), bar(sum, most)])
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("\n{}", output::aligned(&lines))
}

fn right(text: &str, width: usize) -> String {
    format!("{text:>width$}")
}

/// A bar in eighths of a cell; anything at all shows.
fn bar(value: f64, most: f64) -> String {
    if value <= 0.0 || most <= 0.0 {
        return String::new();
    }
    let eighths = ((value / most * (BAR_LENGTH * 8) as f64).round() as usize).clamp(1, BAR_LENGTH * 8);
    let mut bar = "█".repeat(eighths / 8);
    if let Some(part) = (eighths % 8).checked_sub(1) {
        bar.push(EIGHTHS[part]);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(from: &str, hours: f64, cost: Option<f64>) -> UsageInterval {
        UsageInterval {
            from: from.into(),
            to: String::new(),
            core_hours: hours,
            cost,
            items: Vec::new(),
        }
    }

    fn usage(costs: &[Option<f64>], whole: Option<f64>) -> Usage {
        Usage {
            from: "2026-03-01T00:00:00Z".into(),
            to: "2026-03-04T00:00:00Z".into(),
            by: "day".into(),
            currency: "USD".into(),
            core_hours: 12.0,
            cost: whole,
            intervals: costs
                .iter()
                .zip(1..)
                .map(|(cost, day)| interval(&format!("2026-03-0{day}T00:00:00Z"), 4.0, *cost))
                .collect(),
        }
    }

    #[test]
    fn cents_add_up_to_the_last_line() {
        let third = usage(&[Some(0.333_333), Some(0.333_334), Some(0.333_333)], Some(1.0));
        assert_eq!(costs(&third), ["0.33", "0.34", "0.33"]);
        assert_eq!(
            table(&third, false),
            "FROM        CORE-HOURS  USD\n2026-03-01  4.00        0.33\n2026-03-02  4.00        0.34\n2026-03-03  4.00        0.33\ntotal       12.00       1.00\n"
        );
    }

    #[test]
    fn a_cost_that_is_not_known_is_a_dash_and_the_chart_shows_core_hours() {
        let unknown = usage(&[Some(0.5), None], None);
        assert_eq!(costs(&unknown), ["0.50", "-"]);
        let chart = chart(&unknown);
        assert!(chart.contains("4.00") && chart.contains("unknown"), "{chart}");
    }

    #[test]
    fn bars_are_as_long_as_what_they_show() {
        assert_eq!(bar(0.0, 10.0), "");
        assert_eq!(bar(10.0, 10.0), "█".repeat(BAR_LENGTH));
        assert_eq!(bar(5.0, 10.0), "█".repeat(BAR_LENGTH / 2));
        assert_eq!(bar(0.000_1, 10.0), "▏");
        assert_eq!(bar(1.0, 0.0), "");
    }
}
