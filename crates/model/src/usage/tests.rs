//! That parts add up, whatever they are; and the calendar's corners.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    frame::{DAY_US, Frame, Granularity, HOUR_US, Window, day, month_name, parse_time},
    report::{Exact, Figures, Group, Prices, Resolution, Tally},
    *,
};
use crate::{Timestamp, node::tests::node};

fn at(text: &str) -> Timestamp {
    parse_time(text).unwrap_or_else(|| panic!("{text} is a time"))
}

fn line(owner: &str, size: &str, cores: u32) -> Line {
    Line {
        cluster: "demo".into(),
        single: owner == "scheduler",
        owner: owner.into(),
        goods: Goods {
            account: "cloud".into(),
            size: size.into(),
            region: "westus2".into(),
            spot: false,
            system: System::Linux,
        },
        cores,
    }
}

fn ends(frame: Frame, granularity: Granularity, now: &str) -> (String, String) {
    let window = Window::of(frame, granularity, at(now)).expect("a window");
    (window.from.rfc3339_seconds(), window.until.rfc3339_seconds())
}

#[test]
fn frames_begin_and_end_where_the_calendar_says() {
    use Frame::{LastMonth, MonthToDate, WeekToDate};
    use Granularity::{Daily, Hourly, Total};
    let cases = [
        (
            MonthToDate,
            Daily,
            "2026-03-10T10:30:00Z",
            "2026-03-01",
            "2026-03-11T00",
        ),
        (
            MonthToDate,
            Hourly,
            "2026-03-10T10:30:00Z",
            "2026-03-01",
            "2026-03-10T11",
        ),
        (
            MonthToDate,
            Total,
            "2026-03-10T10:00:00Z",
            "2026-03-01",
            "2026-03-10T10",
        ),
        (
            MonthToDate,
            Total,
            "2026-03-01T00:00:00Z",
            "2026-03-01",
            "2026-03-01T01",
        ),
        (LastMonth, Daily, "2026-03-31T23:59:59Z", "2026-02-01", "2026-03-01"),
        (LastMonth, Total, "2028-03-01T00:00:00Z", "2028-02-01", "2028-03-01"),
        (LastMonth, Total, "2026-01-15T00:00:00Z", "2025-12-01", "2026-01-01"),
        (WeekToDate, Daily, "2026-03-10T10:30:00Z", "2026-03-08", "2026-03-11"),
        (
            WeekToDate,
            Hourly,
            "2026-03-08T00:30:00Z",
            "2026-03-08",
            "2026-03-08T01",
        ),
        (WeekToDate, Daily, "2026-03-07T23:59:59Z", "2026-03-01", "2026-03-08"),
    ];
    for (frame, granularity, now, from, until) in cases {
        let (begins, ended) = ends(frame, granularity, now);
        assert!(
            begins.starts_with(from) && ended.starts_with(until),
            "{frame:?} {now}: {begins} {ended}"
        );
    }
}

#[test]
fn a_custom_frame_is_widened_to_whole_units_and_may_not_be_empty() {
    let custom = |from: &str, until: &str| Frame::Custom {
        from: at(from),
        until: at(until),
    };
    // A client sends whole days like this.
    let day = ends(
        custom("2026-03-10T00:00:00", "2026-03-10T23:59:59"),
        Granularity::Total,
        "2026-03-10",
    );
    assert_eq!(day, ("2026-03-10T00:00:00Z".into(), "2026-03-11T00:00:00Z".into()));
    let whole = ends(
        custom("2026-03-10T05:00:00Z", "2026-03-11T00:00:00Z"),
        Granularity::Daily,
        "2026-03-10",
    );
    assert_eq!(whole, ("2026-03-10T00:00:00Z".into(), "2026-03-11T00:00:00Z".into()));
    for (from, until) in [
        ("2026-03-10", "2026-03-10"),
        ("2026-03-10", "2026-03-09"),
        ("2026-01-01", "2028-01-01"),
    ] {
        assert!(
            Window::of(custom(from, until), Granularity::Hourly, at("2026-03-10")).is_err(),
            "{from} {until}"
        );
    }
}

#[test]
fn times_are_read_with_and_without_zone_and_as_dates() {
    let same = [
        "2026-03-10T08:30:00Z",
        "2026-03-10T08:30:00",
        "2026-03-10T09:30:00+01:00",
        "2026-03-10T09:30:00 01:00",
    ];
    for text in same {
        assert_eq!(at(text), at("2026-03-10T08:30:00.000Z"), "{text}");
    }
    assert_eq!(at("2026-03-10"), at("2026-03-10T00:00"));
    for text in ["", "now", "2026-13-01", "2026-03-10T25:00:00Z", "10/03/2026"] {
        assert_eq!(parse_time(text), None, "{text}");
    }
    assert_eq!(month_name(at("2026-03-31T23:59:59Z")), "2026-03");
}

#[test]
fn a_day_s_first_price_stays_and_days_that_are_over_are_not_written_to() {
    assert!(fixes_price(None, 5));
    assert!(fixes_price(Some(4), 5));
    assert!(!fixes_price(Some(5), 5));
    assert!(!fixes_price(Some(6), 5));
}

#[test]
fn a_price_counts_from_its_day_on() {
    let lines = BTreeMap::from([(1, line("htc", "a", 4))]);
    let mut prices = Prices::default();
    let goods = lines[&1].goods.clone();
    prices.add(goods.clone(), day(at("2026-03-01")), Some(Price(1_000_000)));
    prices.add(goods.clone(), day(at("2026-03-03")), Some(Price(2_000_000)));
    let exact = |prices: &Prices| {
        let frame = Frame::Custom {
            from: at("2026-03-01"),
            until: at("2026-03-05"),
        };
        let window = Window::of(frame, Granularity::Total, at("2026-03-09")).expect("a window");
        let mut tally = Tally::new(window);
        tally.add(1, at("2026-03-01T12:00:00Z"), at("2026-03-04T12:00:00Z"));
        tally.priced(&lines, prices, Group::in_cluster)
    };
    // 12 h + 24 h at one, 24 h + 12 h at two.
    assert_eq!(exact(&prices).known_cost(), (Money(108_000_000), false));
    prices.add(goods, day(at("2026-03-02")), None);
    assert_eq!(exact(&prices).known_cost(), (Money(84_000_000), true));
    assert_eq!(exact(&prices).rounded(Resolution::FOUR_DECIMALS).total.cost, None);
}

#[test]
fn a_machine_runs_from_when_it_exists_until_it_is_seen_stopped_or_gone() {
    let with = |phase: Phase, reason: Reason, machine: bool| {
        let mut node = node();
        node.seen.phase = phase;
        node.seen.condition.reason = reason;
        node.seen.holds = true;
        node.seen.machine = machine.then(|| "m-1".into());
        node
    };
    for phase in [Phase::Booting, Phase::Initializing, Phase::Running, Phase::Draining] {
        assert!(runs(&with(phase, Reason::AsWished, true), false), "{phase:?}");
    }
    for phase in [Phase::Off, Phase::Stopped, Phase::Resuming] {
        assert!(!runs(&with(phase, Reason::AsWished, true), true), "{phase:?}");
    }
    for phase in [Phase::Reserved, Phase::Stopping, Phase::Releasing, Phase::Failed] {
        for before in [false, true] {
            assert_eq!(
                runs(&with(phase, Reason::InitFailed, true), before),
                before,
                "{phase:?}"
            );
            assert!(!runs(&with(phase, Reason::InitFailed, false), before), "{phase:?}");
        }
    }
    for reason in [Reason::Evicted, Reason::MachineVanished] {
        assert!(!runs(&with(Phase::Releasing, reason, true), true));
        assert!(!runs(&with(Phase::Failed, reason, true), true));
    }
}

#[test]
fn money_is_shown_in_cents() {
    assert_eq!(Money(1_234_565_000).to_string(), "1234.57 USD");
    assert_eq!(Money(4_999).to_string(), "0.00 USD");
    assert_eq!(Money::from_dollars(0.3041).map(|money| money.0), Some(304_100));
    assert_eq!(Money::from_dollars(f64::NAN), None);
    assert_eq!(Money::from_dollars(-1.0), None);
}

/// Fails unless every level of the report is the sum of the one below.
fn check_sums(exact: &Exact, to: Resolution) -> Figures {
    let report = exact.rounded(to);
    let sum = |parts: &mut dyn Iterator<Item = Figures>| {
        parts.fold(
            Figures {
                core_us: 0,
                cost: Some(Money(0)),
            },
            |sum, part| Figures {
                core_us: sum.core_us + part.core_us,
                cost: sum.cost.zip(part.cost).map(|(sum, part)| Money(sum.0 + part.0)),
            },
        )
    };
    assert_eq!(
        sum(&mut report.intervals.iter().map(|interval| interval.total)),
        report.total
    );
    for interval in &report.intervals {
        assert_eq!(sum(&mut interval.items.iter().map(|item| item.figures)), interval.total);
        for item in &interval.items {
            assert_eq!(sum(&mut item.details.iter().map(|(_, figures)| *figures)), item.figures);
        }
    }
    report.total
}

proptest! {
    #[test]
    fn the_sum_of_the_parts_is_the_whole_for_any_intervals_and_any_granularity(
        runs in proptest::collection::vec((1i64..=4, 0i64..10 * DAY_US, 1i64..3 * DAY_US), 0..60),
        prices in proptest::collection::vec((1i64..=4, 0i64..10, proptest::option::weighted(0.95, 0i64..50_000_000)), 0..20),
        cut in (0i64..10 * 24, 1i64..10 * 24),
    ) {
        let lines = BTreeMap::from([
            (1, line("scheduler", "a", 8)),
            (2, line("htc", "a", 4)),
            (3, line("htc", "b", 16)),
            (4, line("hpc", "c", 44)),
        ]);
        let base = at("2026-02-24").0;
        let mut listed = Prices::default();
        for (id, line) in &lines {
            listed.add(line.goods.clone(), day(Timestamp(base)), Some(Price(100_000 * id + 333)));
        }
        for (id, offset, price) in prices {
            listed.add(lines[&id].goods.clone(), day(Timestamp(base)) + offset, price.map(Price));
        }
        let frame = Frame::Custom {
            from: Timestamp(base + cut.0 * HOUR_US),
            until: Timestamp(base + (cut.0 + cut.1) * HOUR_US),
        };
        let mut totals = Vec::new();
        for granularity in [Granularity::Total, Granularity::Hourly] {
            let window = Window::of(frame, granularity, Timestamp(base)).expect("a window");
            let mut tally = Tally::new(window);
            for (line, from, length) in &runs {
                tally.add(*line, Timestamp(base + from), Timestamp(base + from + length));
            }
            let exact = tally.priced(&lines, &listed, Group::in_cluster);
            check_sums(&exact, Resolution::SIX_DECIMALS);
            totals.push(check_sums(&exact, Resolution::FOUR_DECIMALS));
        }
        // However finely it is split, the whole is the same.
        prop_assert_eq!(totals[0], totals[1]);
        // And it is what counting one by one gives, to half a step.
        let (from, until) = (base + cut.0 * HOUR_US, base + (cut.0 + cut.1) * HOUR_US);
        let by_hand: i128 = runs.iter().map(|(id, start, length)| {
            let ran = (base + start + length).min(until) - (base + start).max(from);
            i128::from(ran.max(0)) * i128::from(lines[id].cores)
        }).sum();
        prop_assert!((by_hand - i128::from(totals[0].core_us)).abs() <= i128::from(HOUR_US / 20_000));
    }

    #[test]
    fn a_daily_answer_is_its_hours_and_a_month_is_its_days(
        runs in proptest::collection::vec((0i64..4 * DAY_US, 1i64..2 * DAY_US), 1..30),
    ) {
        let lines = BTreeMap::from([(1, line("htc", "a", 4))]);
        let mut prices = Prices::default();
        prices.add(lines[&1].goods.clone(), 0, Some(Price(169_000)));
        let base = at("2026-03-01").0;
        let frame = Frame::Custom { from: Timestamp(base), until: Timestamp(base + 4 * DAY_US) };
        let mut totals = Vec::new();
        for granularity in [Granularity::Total, Granularity::Daily, Granularity::Hourly] {
            let mut tally = Tally::new(Window::of(frame, granularity, Timestamp(base)).expect("a window"));
            for (from, length) in &runs {
                tally.add(1, Timestamp(base + from), Timestamp(base + from + length));
            }
            totals.push(check_sums(&tally.priced(&lines, &prices, Group::in_cluster), Resolution::FOUR_DECIMALS));
        }
        prop_assert!(totals.iter().all(|total| *total == totals[0]));
    }
}
