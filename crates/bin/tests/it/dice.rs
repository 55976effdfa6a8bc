//! Chance that can be had again: the same seed gives the same throws.

use std::time::Duration;

/// A source of chance.
pub(crate) struct Dice(u64);

impl Dice {
    /// Chance from a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Chance from the seed that `REEVE_TEST_SEED` holds, else from a new one; either is printed.
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever repeats a test says by the environment which run"
    )]
    pub(crate) fn seeded() -> Self {
        let given = std::env::var("REEVE_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| {
            std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id()) % 1_000_000
        });
        eprintln!("REEVE_TEST_SEED={seed}");
        Self::new(seed)
    }

    /// Another source that goes its own way from here.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to below `end`, which is above 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("smaller than a usize")
    }

    /// A time from `least` to below `most`.
    pub(crate) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from((most - least).as_micros()).expect("short").max(1);
        least + Duration::from_micros(self.next() % span)
    }

    /// Takes up to `count` items out, at random.
    pub(crate) fn take<T>(&mut self, items: &mut Vec<T>, count: usize) -> Vec<T> {
        let count = count.min(items.len());
        (0..count)
            .map(|_| {
                let index = self.below(items.len());
                items.swap_remove(index)
            })
            .collect()
    }
}
