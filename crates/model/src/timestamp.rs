//! Instants as microseconds since 1970 UTC: the one form in which time is stored and compared.

use std::{fmt, ops, time::Duration};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

/// An instant, microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Later than anything that will be stored: "nothing is due".
    pub const NEVER: Self = Self(i64::MAX);

    /// RFC 3339 in UTC with whole seconds, e.g. `2026-03-10T08:30:00Z`.
    #[must_use]
    pub fn rfc3339_seconds(self) -> String {
        self.render(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z"))
    }

    /// RFC 3339 in UTC with exactly three fraction digits.
    #[must_use]
    pub fn rfc3339_millis(self) -> String {
        self.render(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        ))
    }

    /// RFC 3339 in UTC with exactly six fraction digits.
    #[must_use]
    pub fn rfc3339_micros(self) -> String {
        self.render(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z"
        ))
    }

    fn render(self, format: &(impl time::formatting::Formattable + ?Sized)) -> String {
        let clamped = self.0.clamp(-62_167_219_200_000_000, 253_402_300_799_999_999);
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(clamped) * 1000)
            .ok()
            .and_then(|at| at.format(format).ok())
            .unwrap_or_default()
    }

    /// Reads RFC 3339 with any offset; `None` for anything else.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(at.unix_timestamp_nanos() / 1000).ok().map(Self)
    }

    /// Time from `earlier` to `self`, zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl ops::Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

impl ops::Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339_seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_render_with_the_digits_asked_for() {
        let at = Timestamp(1_719_240_117_051_572);
        assert_eq!(at.rfc3339_seconds(), "2024-06-24T14:41:57Z");
        assert_eq!(at.rfc3339_millis(), "2024-06-24T14:41:57.051Z");
        assert_eq!(at.rfc3339_micros(), "2024-06-24T14:41:57.051572Z");
        assert_eq!(Timestamp::NEVER.rfc3339_seconds(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn parsing_takes_any_offset_and_nothing_else() {
        assert_eq!(
            Timestamp::parse_rfc3339("1970-01-01T01:00:00+01:00"),
            Some(Timestamp(0))
        );
        assert_eq!(Timestamp::parse_rfc3339("yesterday"), None);
    }
}
