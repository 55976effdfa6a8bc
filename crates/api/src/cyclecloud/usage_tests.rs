//! Answers as the published examples show them, and queries that are refused.

use std::collections::BTreeMap;

use reeve_model::{
    Timestamp,
    usage::{
        Goods, Line, Price,
        frame::Window,
        report::{Prices, Tally},
    },
};
use serde_json::Value as Json;

use super::*;

/// What ran on the day of the examples: whose, size, cores, price in millionths, from, until.
const RUNS: [(&str, &str, u32, i64, &str, &str); 11] = [
    ("scheduler", "Standard_D8s_v5", 8, 384_000, "08:30:00", "12:29:59"),
    ("hpc", "Standard_HC44rs", 44, 3_168_000, "08:30:00", "12:29:59"),
    ("hpc", "Standard_HC44rs", 44, 3_168_000, "08:30:00", "12:29:59"),
    ("hpc", "Standard_HC44rs", 44, 3_168_000, "10:00:00", "12:00:00"),
    ("hpc", "Standard_HC44rs", 44, 3_168_000, "10:31:42.45", "12:00:00"),
    ("htc", "Standard_F16s_v2", 16, 677_000, "10:30:31", "12:00:00"),
    ("htc", "Standard_F4s_v2", 4, 169_000, "08:30:00", "12:29:59"),
    ("htc", "Standard_F4s_v2", 4, 169_000, "08:30:00", "11:59:58"),
    ("htc", "Standard_F4s_v2", 4, 169_000, "09:00:00", "10:00:01"),
    ("login", "Standard_D4s_v5", 4, 192_000, "08:30:00", "12:29:59"),
    ("spot", "Standard_F8s_v2", 8, 68_000, "10:00:02", "13:00:00"),
];

fn at(text: &str) -> Timestamp {
    parse_time(text).unwrap_or_else(|| panic!("{text} is a time"))
}

/// The body that answers `query` on the evening of that day.
fn answer(query: &str) -> Json {
    let (question, details) = parse(&Query::parse(query)).unwrap_or_else(|failure| panic!("{failure:?}"));
    let window = Window::of(question.frame, question.granularity, at("2026-03-10T18:00:00Z"))
        .unwrap_or_else(|error| panic!("{error}"));
    let (mut tally, mut lines, mut prices) = (Tally::new(window), BTreeMap::new(), Prices::default());
    for (number, (owner, size, cores, price, from, until)) in (1..).zip(RUNS) {
        let goods = Goods {
            account: "cloud".into(),
            size: size.into(),
            region: "westus2".into(),
            spot: owner == "spot",
            system: System::Linux,
        };
        prices.add(goods.clone(), 0, Some(Price(price)));
        let line = Line {
            cluster: "demo".into(),
            single: owner == "scheduler",
            owner: owner.into(),
            goods,
            cores,
        };
        lines.insert(number, line);
        let on = |time: &str| at(&format!("2026-03-10T{time}Z"));
        tally.add(number, on(from), on(until));
    }
    let report = tally
        .priced(&lines, &prices, Group::in_cluster)
        .rounded(question.resolution);
    serde_json::to_value(render(&report, details)).unwrap_or_default()
}

/// The examples give four decimals, and round each figure by itself.
fn to_four_decimals(value: &mut Json) {
    match value {
        Json::Array(items) => items.iter_mut().for_each(to_four_decimals),
        Json::Object(members) => members.values_mut().for_each(to_four_decimals),
        Json::Number(number) if number.is_f64() => {
            let rounded = number.as_f64().map(|number| (number * 1e4).round() / 1e4);
            *value = Json::from(rounded);
        }
        _ => {}
    }
}

fn check(query: &str, example: &str) {
    let mut found = answer(query);
    to_four_decimals(&mut found);
    let mut expected: Json = serde_json::from_str(example).unwrap_or_default();
    to_four_decimals(&mut expected);
    assert_eq!(
        serde_json::to_string_pretty(&found).unwrap_or_default(),
        serde_json::to_string_pretty(&expected).unwrap_or_default(),
        "{query}"
    );
}

#[test]
fn a_day_in_one_with_details_is_the_published_example() {
    check(
        "timeframe=custom&from=2026-03-10T00:00:00&to=2026-03-10T23:59:59&granularity=total&expand=details",
        include_str!("../../tests/data/cyclecloud/usage_total_details.json"),
    );
}

#[test]
fn a_week_by_day_is_the_published_example() {
    check(
        "timeframe=WEEKTODATE",
        include_str!("../../tests/data/cyclecloud/usage_daily.json"),
    );
}

#[test]
fn two_hours_by_hour_are_the_published_example() {
    check(
        "timeframe=custom&from=2026-03-10T09:00:00Z&to=2026-03-10T11:00:00Z&granularity=hourly",
        include_str!("../../tests/data/cyclecloud/usage_hourly.json"),
    );
}

#[test]
fn members_come_in_the_order_of_the_examples() {
    let (question, _) = parse(&Query::parse("granularity=total")).unwrap_or_else(|failure| panic!("{failure:?}"));
    let window =
        Window::of(question.frame, Granularity::Total, at("2026-03-10")).unwrap_or_else(|error| panic!("{error}"));
    let lines = BTreeMap::from([(
        1,
        Line {
            cluster: "demo".into(),
            single: false,
            owner: "htc".into(),
            goods: Goods {
                account: "cloud".into(),
                size: "a".into(),
                region: "r".into(),
                spot: true,
                system: System::Windows,
            },
            cores: 4,
        },
    )]);
    let mut tally = Tally::new(window);
    tally.add(1, at("2026-03-01"), at("2026-03-02"));
    let report = tally.priced(&lines, &Prices::default(), Group::in_cluster);
    let body = serde_json::to_string(&render(&report.rounded(question.resolution), true)).unwrap_or_default();
    // No price is known, so no cost is named anywhere.
    assert_eq!(
        body,
        r#"{"usage":[{"start":"2026-03-01T00:00:00Z","end":"2026-03-10T00:00:00Z","breakdown":[{"category":"nodearray","node":"htc","hours":96.0,"details":[{"vm_size":"a","core_count":4,"hours":96.0,"region":"r","priority":"Spot","os":"Windows"}]}],"total":{"category":"cluster","hours":96.0}}]}"#
    );
}

#[test]
fn the_words_of_a_query_have_no_case_and_the_ends_count_only_for_a_custom_frame() {
    let read = |query: &str| parse(&Query::parse(query)).unwrap_or_else(|failure| panic!("{failure:?}"));
    let (question, details) = read("");
    assert_eq!(
        (question.frame, question.granularity, details),
        (Frame::MonthToDate, Granularity::Daily, false)
    );
    let (question, details) = read("timeframe=LastMonth&granularity=HOURLY&from=never&expand=other,Details");
    assert_eq!(
        (question.frame, question.granularity, details),
        (Frame::LastMonth, Granularity::Hourly, true)
    );
}

#[test]
fn queries_that_make_no_sense_are_refused_with_400() {
    for query in [
        "timeframe=yesterday",
        "timeframe=",
        "granularity=weekly",
        "timeframe=custom",
        "timeframe=custom&from=2026-03-10",
        "timeframe=custom&to=2026-03-10",
        "timeframe=custom&from=soon&to=2026-03-10",
    ] {
        let failure = parse(&Query::parse(query)).map(|_| ()).expect_err(query);
        assert_eq!(failure.status.as_u16(), 400, "{query}");
        assert!(!failure.message.is_empty(), "{query}");
    }
}
