//! The machine's clock, and how far the server's is from it.
//!
//! The agent never sets a clock; it only says when the two differ so much that certificates, tokens and graphs
//! start to lie. It says so once per change, not once per beat.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Difference that is worth a warning.
const SKEW_MAX_US: i64 = 5_000_000;

/// Microseconds since 1970 UTC by this machine's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the agent reports its machine's own clock; this is the one place that reads it"
)]
pub(super) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Remembers whether a difference has been reported.
#[derive(Debug, Default)]
pub(super) struct Clock {
    skewed: AtomicBool,
}

impl Clock {
    /// Compares the server's clock with ours, taken at the middle of the call. Returns how far ours is ahead,
    /// microseconds.
    pub(super) fn compare(&self, server_us: i64, ours_us: i64) -> i64 {
        let ahead_us = ours_us.saturating_sub(server_us);
        let skewed = ahead_us.saturating_abs() > SKEW_MAX_US;
        if skewed != self.skewed.swap(skewed, Ordering::Relaxed) {
            let seconds = ahead_us as f64 / 1e6;
            if skewed {
                tracing::warn!(
                    clock.ahead_s = seconds,
                    "this machine's clock differs from the server's by {seconds:.1} s"
                );
            } else {
                tracing::info!(
                    clock.ahead_s = seconds,
                    "this machine's clock agrees with the server's again"
                );
            }
        }
        ahead_us
    }
}

/// Reads an HTTP `Date` header, microseconds since 1970 UTC. Its resolution is one second.
pub(super) fn parse_http_date(text: &str) -> Option<i64> {
    let moment = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    i64::try_from(moment.unix_timestamp_nanos() / 1000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_header_of_http_is_understood() {
        assert_eq!(
            parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777_000_000)
        );
        assert_eq!(parse_http_date("yesterday"), None);
    }

    #[test]
    fn a_clock_that_is_ahead_counts_positive() {
        let clock = Clock::default();
        assert_eq!(clock.compare(1_000_000, 8_000_000), 7_000_000);
        assert!(clock.skewed.load(Ordering::Relaxed));
        assert_eq!(clock.compare(9_000_000, 8_000_000), -1_000_000);
        assert!(!clock.skewed.load(Ordering::Relaxed));
    }
}
