//! Time frames of usage: which instants a question covers and into which intervals its answer falls, all in UTC.

use time::{Date, OffsetDateTime, PrimitiveDateTime, format_description::well_known::Rfc3339};

use crate::{error::Error, timestamp::Timestamp};

/// Microseconds of an hour.
pub const HOUR_US: i64 = 3_600_000_000;
/// Microseconds of a day.
pub const DAY_US: i64 = 24 * HOUR_US;

/// Most days of an answer by hour.
pub const HOURLY_DAYS_MAX: i64 = 366;
/// Most days of an answer by day.
pub const DAILY_DAYS_MAX: i64 = 3_660;
/// Most days of an answer in one.
pub const TOTAL_DAYS_MAX: i64 = 36_600;

/// How finely usage is split by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// Not at all.
    Total,
    /// By UTC day.
    Daily,
    /// By hour.
    Hourly,
}

impl Granularity {
    /// What the ends of a frame are rounded to.
    fn unit_us(self) -> i64 {
        match self {
            Self::Daily => DAY_US,
            Self::Total | Self::Hourly => HOUR_US,
        }
    }

    fn days_max(self) -> i64 {
        match self {
            Self::Total => TOTAL_DAYS_MAX,
            Self::Daily => DAILY_DAYS_MAX,
            Self::Hourly => HOURLY_DAYS_MAX,
        }
    }
}

/// Which time is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// This month until now.
    MonthToDate,
    /// The month before this one.
    LastMonth,
    /// Since last Sunday, which may be today, until now.
    WeekToDate,
    /// From an instant to another.
    Custom {
        /// Rounded down.
        from: Timestamp,
        /// Rounded up.
        until: Timestamp,
    },
}

/// From an instant, inclusive, to a later one, exclusive; split at every multiple of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its beginning, on an hour.
    pub from: Timestamp,
    /// Its end, on an hour, later than `from`.
    pub until: Timestamp,
    /// How an answer is split.
    pub granularity: Granularity,
}

impl Window {
    /// The time that `frame` means at `now`.
    ///
    /// # Errors
    /// `Invalid` at `to` when a custom frame is empty, or longer than its granularity allows.
    pub fn of(frame: Frame, granularity: Granularity, now: Timestamp) -> Result<Self, Error> {
        let unit = granularity.unit_us();
        let month = month_start(now);
        let until_now = |from: Timestamp| (from, Timestamp(up(now.0, unit).max(from.0 + unit)));
        let (from, until) = match frame {
            Frame::MonthToDate => until_now(month),
            Frame::LastMonth => (month_start(Timestamp(month.0 - 1)), month),
            Frame::WeekToDate => until_now(week_start(now)),
            Frame::Custom { from, until } => (Timestamp(down(from.0, unit)), Timestamp(up(until.0, unit))),
        };
        if until <= from {
            return Err(Error::invalid(
                "to",
                format!("the time from {from} to {until} is empty"),
            ));
        }
        let most = granularity.days_max();
        if until.0 - from.0 > most * DAY_US {
            return Err(Error::invalid(
                "to",
                format!("the time from {from} to {until} is longer than {most} days, the most at this granularity"),
            ));
        }
        Ok(Self {
            from,
            until,
            granularity,
        })
    }

    /// Length of a slot: the finest piece that has one price and one place in the answer.
    fn slot_us(&self) -> i64 {
        match self.granularity {
            Granularity::Hourly => HOUR_US,
            Granularity::Daily | Granularity::Total => DAY_US,
        }
    }

    /// Number of slots.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slot_of(self.until.0 - 1) + 1
    }

    /// The slot that holds an instant inside the window.
    pub(super) fn slot_of(&self, at_us: i64) -> usize {
        let slot = self.slot_us();
        usize::try_from(at_us.div_euclid(slot) - self.from.0.div_euclid(slot)).unwrap_or(0)
    }

    /// Beginning and end of a slot; the first and the last may be cut short by the window.
    #[must_use]
    pub fn slot(&self, index: usize) -> (Timestamp, Timestamp) {
        let slot = self.slot_us();
        let number = self.from.0.div_euclid(slot) + i64::try_from(index).unwrap_or(i64::MAX / slot);
        let from = (number * slot).max(self.from.0);
        let until = ((number + 1) * slot).min(self.until.0);
        (Timestamp(from), Timestamp(until))
    }

    /// Beginning and end of each interval of an answer, oldest first, without gaps.
    #[must_use]
    pub fn intervals(&self) -> Vec<(Timestamp, Timestamp)> {
        match self.granularity {
            Granularity::Total => vec![(self.from, self.until)],
            Granularity::Daily | Granularity::Hourly => (0..self.slots()).map(|index| self.slot(index)).collect(),
        }
    }

    /// The interval of the answer that a slot belongs to.
    pub(super) fn interval_of(&self, slot: usize) -> usize {
        match self.granularity {
            Granularity::Total => 0,
            Granularity::Daily | Granularity::Hourly => slot,
        }
    }
}

/// Day of an instant, counted from 1970-01-01.
#[must_use]
pub fn day(at: Timestamp) -> i64 {
    at.0.div_euclid(DAY_US)
}

/// Midnight at which the month of `at` began.
#[must_use]
pub fn month_start(at: Timestamp) -> Timestamp {
    let date = date(at);
    Timestamp(down(at.0, DAY_US) - i64::from(date.day() - 1) * DAY_US)
}

/// The month of `at` as people write it: `2026-03`.
#[must_use]
pub fn month_name(at: Timestamp) -> String {
    at.rfc3339_seconds().chars().take(7).collect()
}

/// Midnight of the last Sunday, today's if today is one.
fn week_start(at: Timestamp) -> Timestamp {
    let days = i64::from(date(at).weekday().number_days_from_sunday());
    Timestamp(down(at.0, DAY_US) - days * DAY_US)
}

fn date(at: Timestamp) -> Date {
    OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1_000_000)).map_or(Date::MIN, OffsetDateTime::date)
}

fn down(at_us: i64, unit: i64) -> i64 {
    at_us.div_euclid(unit) * unit
}

fn up(at_us: i64, unit: i64) -> i64 {
    down(at_us.saturating_add(unit - 1), unit)
}

/// Reads a time as people and clients write it: RFC 3339, the same without a zone (UTC), or a date (its midnight).
/// `None` for anything else.
#[must_use]
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let plain = time::macros::format_description!("[year]-[month]-[day]");
    if let Ok(date) = Date::parse(text, plain) {
        return instant(date.midnight().assume_utc());
    }
    // A plus sign that was not encoded arrives as a space.
    let mended = match text.char_indices().rev().find(|(_, letter)| *letter == ' ') {
        Some((index, _)) if index > 10 => format!("{}+{}", &text[..index], &text[index + 1..]),
        _ => text.replacen(' ', "T", 1),
    };
    if let Ok(at) = OffsetDateTime::parse(&mended, &Rfc3339) {
        return instant(at);
    }
    let at = OffsetDateTime::parse(&format!("{mended}Z"), &Rfc3339)
        .ok()
        .or_else(|| {
            let minutes = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]");
            PrimitiveDateTime::parse(&mended, minutes)
                .ok()
                .map(PrimitiveDateTime::assume_utc)
        })?;
    instant(at)
}

fn instant(at: OffsetDateTime) -> Option<Timestamp> {
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1000))
        .ok()
        .map(Timestamp)
}
