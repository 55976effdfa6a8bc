//! Chance that can be repeated: a number from a seed and what it is asked for, never from a running stream.
//!
//! Because each roll depends only on its own inputs, two processes that share a world roll alike, and asking about
//! one machine does not change the fate of another.

use super::settings::Span;

/// FNV-1a over the parts, then a finalizer that spreads every input bit over the whole word.
fn mix(seed: u64, parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed.rotate_left(17);
    for part in parts {
        for byte in *part {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash = (hash ^ 0xff).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Chance about one subject (a token, a call) from one seed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dice<'a> {
    pub(super) seed: u64,
    pub(super) subject: &'a str,
    /// Tells repeated questions about one subject apart.
    pub(super) turn: u64,
}

impl Dice<'_> {
    /// 64 even bits for this purpose.
    pub(super) fn bits(&self, purpose: &str) -> u64 {
        mix(
            self.seed,
            &[purpose.as_bytes(), self.subject.as_bytes(), &self.turn.to_le_bytes()],
        )
    }

    /// An even number in 0..1.
    pub(super) fn unit(&self, purpose: &str) -> f64 {
        (self.bits(purpose) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability.
    pub(super) fn hits(&self, purpose: &str, probability: f64) -> bool {
        probability > 0.0 && self.unit(purpose) < probability
    }

    /// An even number within the span, microseconds.
    pub(super) fn span_us(&self, purpose: &str, span: Span) -> i64 {
        let width = span.1.saturating_sub(span.0) as f64 * 1000.0;
        to_us(span.0).saturating_add((self.unit(purpose) * width) as i64)
    }

    /// Time to the first event of a process with this many events per hour, microseconds; `None` for never.
    pub(super) fn first_us(&self, purpose: &str, per_hour: f64) -> Option<i64> {
        if per_hour <= 0.0 {
            return None;
        }
        let hours = -(1.0 - self.unit(purpose)).ln() / per_hour;
        Some((hours * 3_600_000_000.0) as i64)
    }
}

pub(super) fn to_us(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds.saturating_mul(1000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Dice, Span};

    #[test]
    fn rolls_are_even_and_repeatable() {
        let names: Vec<String> = (0..10_000).map(|number| format!("node-{number}")).collect();
        fn roll(subject: &str) -> Dice<'_> {
            Dice {
                seed: 7,
                subject,
                turn: 0,
            }
        }
        let hits = names.iter().filter(|name| roll(name).hits("lost", 0.1)).count();
        assert!((850..1150).contains(&hits), "{hits} of 10,000 at 10 %");
        let mean: i64 = names
            .iter()
            .map(|name| roll(name).span_us("boot", Span(1000, 3000)))
            .sum::<i64>()
            / 10_000;
        assert!((1_950_000..2_050_000).contains(&mean), "{mean}");
        assert_eq!(roll("a").bits("x"), roll("a").bits("x"));
        assert_ne!(roll("a").bits("x"), roll("a").bits("y"));
    }
}
