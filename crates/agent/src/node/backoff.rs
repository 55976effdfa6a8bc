//! Pauses between tries, and the jitter that keeps a fleet from calling in step.
//!
//! Randomness here only spreads load, so the system's generator through `ring` is more than good enough, and no
//! further crate is needed for it.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// Growing pauses after failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Pause before the next try: doubles from 0.2 s up to 15 s, the upper half of it random.
    pub(super) fn pause(&mut self) -> Duration {
        let ceiling = PAUSE_MIN
            .saturating_mul(2u32.saturating_pow(self.failures.saturating_add(1)))
            .min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1).min(16);
        ceiling.mul_f64(0.5 + 0.5 * fraction()).max(PAUSE_MIN)
    }

    /// Forgets the failures; returns how many there were.
    pub(super) fn reset(&mut self) -> u32 {
        std::mem::take(&mut self.failures)
    }

    /// Failures in a row so far.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}

/// `duration`, longer or shorter by up to 20 %.
pub(super) fn jitter(duration: Duration) -> Duration {
    duration.mul_f64(0.8 + 0.4 * fraction())
}

/// A random number from 0 to 1.
fn fraction() -> f64 {
    let mut bytes = [0u8; 4];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_within_their_limits() {
        let mut backoff = Backoff::default();
        for _ in 0..100 {
            let pause = backoff.pause();
            assert!((PAUSE_MIN..=PAUSE_MAX).contains(&pause), "{pause:?}");
        }
        assert!(backoff.pause() >= PAUSE_MAX / 2);
        assert!(backoff.reset() > 0);
        assert!(backoff.pause() <= PAUSE_MIN * 2);
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        for _ in 0..100 {
            let spread = jitter(Duration::from_secs(10));
            assert!((8.0..=12.0).contains(&spread.as_secs_f64()), "{spread:?}");
        }
    }
}
