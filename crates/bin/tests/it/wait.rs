//! Waiting for a condition, with a bound and a report of what was last seen; nothing here sleeps and hopes.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// Generous for anything that should take moments, because test machines are busy.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// How often is looked.
const EVERY: Duration = Duration::from_millis(50);

/// Looks again and again until `look` answers a value; it answers in words what it saw as long as it does not.
///
/// # Panics
/// After `bound`, with what was last seen.
pub(crate) async fn until<T>(what: &str, bound: Duration, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + bound;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match look().await {
            Ok(value) => return value,
            Err(seen) => assert!(
                Instant::now() < deadline,
                "waited {} s for {what}; last seen: {seen}",
                bound.as_secs()
            ),
        }
    }
}

/// Lets time pass; for a load that comes over time and faults in the midst of it, never to wait for something.
pub(crate) async fn pass(time: Duration) {
    let mut ticks = interval(time.max(Duration::from_micros(1)));
    ticks.tick().await;
    ticks.tick().await;
}
