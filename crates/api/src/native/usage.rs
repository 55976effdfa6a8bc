//! Usage, cost and budgets.

use axum::{Json, http::StatusCode, response::Response};
use reeve_control::{
    budget::{self, Wish},
    cluster::Selector,
    usage::{self, Question},
};
use reeve_model::{
    Error, Result, Timestamp,
    usage::{
        CURRENCY, Money,
        frame::{Frame, Granularity, month_name, month_start, parse_time},
        report::{Figures, Group, Interval, Item, Report, Resolution},
    },
};
use reeve_wire::native as wire;
use utoipa::IntoParams;

use super::{
    auth::Caller,
    error::answer,
    input::{Body, Query, Segments},
    render,
};

/// Which time, and how finely split.
#[derive(Debug, Default, serde::Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// `hour`, `day` or `total`; `day` when absent.
    pub by: Option<String>,
    /// Beginning, RFC 3339 or a date, rounded down to the hour, or to the day when split by day; the first of this
    /// month when absent.
    pub from: Option<String>,
    /// End, exclusive, rounded up likewise; now when absent.
    pub to: Option<String>,
    /// Name of a folder: only what its clusters used. Not for the usage of one cluster.
    pub folder: Option<String>,
}

impl Asked {
    fn question(&self, now: Timestamp) -> Result<Question> {
        let granularity = match self.by.as_deref() {
            Some("hour") => Granularity::Hourly,
            None | Some("day") => Granularity::Daily,
            Some("total") => Granularity::Total,
            Some(other) => {
                let text = format!("usage is split by hour, day or total, not \"{other}\"");
                return Err(Error::invalid("by", text));
            }
        };
        let time = |field: &str, text: &str| {
            parse_time(text).ok_or_else(|| Error::invalid(field, format!("\"{text}\" is not a time in RFC 3339")))
        };
        let frame = match (&self.from, &self.to) {
            (None, None) => Frame::MonthToDate,
            (from, to) => {
                let until = to.as_deref().map_or(Ok(now), |text| time("to", text))?;
                let from = from
                    .as_deref()
                    .map_or(Ok(month_start(now)), |text| time("from", text))?;
                Frame::Custom { from, until }
            }
        };
        Ok(Question {
            frame,
            granularity,
            resolution: Resolution::SIX_DECIMALS,
        })
    }
}

/// What a cluster used and what it cost, by node that stands alone and by pool.
#[utoipa::path(get, path = "/reeve/v1/clusters/{cluster}/usage", tag = "usage", params(Asked),
    responses((status = 200, body = wire::Usage)))]
pub async fn of_cluster(Caller(ctx): Caller, Segments(name): Segments<String>, Query(asked): Query<Asked>) -> Response {
    answer(&ctx, async {
        if asked.folder.is_some() {
            return Err(Error::invalid("folder", "a cluster is in one folder only"));
        }
        let question = asked.question(ctx.now())?;
        let (_, report) = usage::of_cluster(&ctx, &Selector::Name(name), question).await?;
        Ok(Json(shown(&report, question.granularity)))
    })
    .await
}

/// What all clusters used and what it cost, by cluster; clusters that are gone too.
#[utoipa::path(get, path = "/reeve/v1/usage", tag = "usage", params(Asked),
    responses((status = 200, body = wire::Usage)))]
pub async fn of_all(Caller(ctx): Caller, Query(asked): Query<Asked>) -> Response {
    answer(&ctx, async {
        let question = asked.question(ctx.now())?;
        let report = usage::of_folder(&ctx, asked.folder.as_deref(), question).await?;
        Ok(Json(shown(&report, question.granularity)))
    })
    .await
}

fn shown(report: &Report, granularity: Granularity) -> wire::Usage {
    let by = match granularity {
        Granularity::Hourly => "hour",
        Granularity::Daily => "day",
        Granularity::Total => "total",
    };
    let edge = |at: Option<Timestamp>| at.map(Timestamp::rfc3339_seconds).unwrap_or_default();
    wire::Usage {
        from: edge(report.intervals.first().map(|interval| interval.from)),
        to: edge(report.intervals.last().map(|interval| interval.until)),
        by: by.to_owned(),
        currency: CURRENCY.to_owned(),
        core_hours: report.total.core_hours(),
        cost: cost(report.total),
        intervals: report.intervals.iter().map(interval).collect(),
    }
}

fn interval(interval: &Interval) -> wire::UsageInterval {
    wire::UsageInterval {
        from: interval.from.rfc3339_seconds(),
        to: interval.until.rfc3339_seconds(),
        core_hours: interval.total.core_hours(),
        cost: cost(interval.total),
        items: interval.items.iter().map(item).collect(),
    }
}

fn item(item: &Item) -> wire::UsageItem {
    let kind = match &item.group {
        Group::Cluster(_) => "cluster",
        Group::Node(_) => "node",
        Group::Pool(_) => "pool",
    };
    let machines = item.details.iter().map(|(kind, figures)| wire::UsageMachines {
        size: kind.size.clone(),
        cores: kind.cores,
        region: kind.region.clone(),
        spot: kind.spot,
        system: kind.system.word().to_owned(),
        core_hours: figures.core_hours(),
        cost: cost(*figures),
    });
    wire::UsageItem {
        kind: kind.to_owned(),
        name: item.group.name().to_owned(),
        core_hours: item.figures.core_hours(),
        cost: cost(item.figures),
        machines: machines.collect(),
    }
}

fn cost(figures: Figures) -> Option<f64> {
    figures.cost.map(Money::dollars)
}

/// Budgets of the clusters whose usage the caller may see.
#[utoipa::path(get, path = "/reeve/v1/budgets", tag = "budgets",
    responses((status = 200, body = wire::Page<wire::Budget>)))]
pub async fn budgets(Caller(ctx): Caller) -> Response {
    answer(&ctx, async {
        let items = budget::list(&ctx).await?;
        Ok(Json(wire::Page {
            items: items.iter().map(shown_budget).collect(),
            next: None,
        }))
    })
    .await
}

/// A cluster's budget and where the cluster stands.
#[utoipa::path(get, path = "/reeve/v1/clusters/{cluster}/budget", tag = "budgets",
    responses((status = 200, body = wire::Budget)))]
pub async fn budget(Caller(ctx): Caller, Segments(name): Segments<String>) -> Response {
    answer(&ctx, async {
        let found = budget::get(&ctx, &Selector::Name(name)).await?;
        Ok(Json(shown_budget(&found)))
    })
    .await
}

/// Sets what a cluster may cost in a month, and what follows when it does.
#[utoipa::path(put, path = "/reeve/v1/clusters/{cluster}/budget", tag = "budgets", request_body = wire::BudgetSet,
    responses((status = 200, body = wire::Budget)))]
pub async fn set_budget(
    Caller(ctx): Caller,
    Segments(name): Segments<String>,
    Body(body): Body<wire::BudgetSet>,
) -> Response {
    answer(&ctx, async {
        let amount = Money::from_dollars(body.amount)
            .ok_or_else(|| Error::invalid("amount", format!("{} is no amount of money", body.amount)))?;
        let wish = Wish {
            amount,
            warn: body.warn_percent,
            freeze: body.freeze_percent,
            drain: body.drain_percent,
        };
        let set = budget::set(&ctx, &Selector::Name(name), wish).await?;
        Ok(Json(shown_budget(&set)))
    })
    .await
}

/// Drops a cluster's budget; what it refused is allowed again.
#[utoipa::path(delete, path = "/reeve/v1/clusters/{cluster}/budget", tag = "budgets",
    responses((status = 204)))]
pub async fn drop_budget(Caller(ctx): Caller, Segments(name): Segments<String>) -> Response {
    answer(&ctx, async {
        budget::delete(&ctx, &Selector::Name(name)).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

fn shown_budget(found: &budget::Shown) -> wire::Budget {
    let set = &found.budget;
    wire::Budget {
        cluster: found.cluster.name.clone(),
        amount: set.amount.dollars(),
        currency: CURRENCY.to_owned(),
        warn_percent: set.warn.clone(),
        freeze_percent: set.freeze,
        drain_percent: set.drain,
        standing: found.standing.as_ref().map(|standing| wire::BudgetStanding {
            month: month_name(standing.month),
            spent: standing.spent.dollars(),
            spent_percent: set.share(standing.spent),
            unpriced: standing.unpriced,
            level: standing.level.text(),
            since: render::time(standing.since),
        }),
    }
}
