//! Where providers get the time, so that a simulation can bring its own.
//!
//! Knows nothing of time zones, formats or timers.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Source of the present moment.
pub trait Clock: Send + Sync {
    /// Microseconds since 1970 UTC.
    fn now_us(&self) -> i64;
}

/// The host's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that providers are handed")]
    fn now_us(&self) -> i64 {
        // A host clock before 1970 is read as 1970 rather than refused: nothing here depends on the absolute date.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is moved; for simulations.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock showing `now_us`, microseconds since 1970 UTC.
    #[must_use]
    pub fn new(now_us: i64) -> Self {
        Self(AtomicI64::new(now_us))
    }

    /// Moves the clock on by `by_ms` milliseconds.
    pub fn advance_ms(&self, by_ms: u64) {
        let by_us = i64::try_from(by_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
        self.0.fetch_add(by_us, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}
