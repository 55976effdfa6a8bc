//! Times in query strings and filters: every form that Run:ai's clients and its reference pages produce.
//!
//! Without a zone a time is UTC. It knows no clock.

use reeve_model::{Error, Result, Timestamp};

/// Reads a time: RFC 3339 with `Z` or an offset, without a zone, with a space for the `T`, a date alone, or with an offset
/// whose `+` a form decoder turned into a space. Up to nine fraction digits.
///
/// # Errors
/// `Invalid` for anything else.
pub fn parse(text: &str) -> Result<Timestamp> {
    normalize(text)
        .and_then(|whole| Timestamp::parse_rfc3339(&whole))
        .ok_or_else(|| {
            Error::invalid(
                "",
                format!("\"{text}\" is not a time: use for example 2026-03-02T08:00:00Z"),
            )
        })
}

/// Rewrites a time as RFC 3339, `None` when it has another shape.
fn normalize(text: &str) -> Option<String> {
    if !text.is_ascii() || text.len() < 10 {
        return None;
    }
    let (date, rest) = text.split_at(10);
    if rest.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let time = rest.strip_prefix(['T', 't', ' '])?;
    if time.len() < 8 {
        return None;
    }
    let (clock, rest) = time.split_at(8);
    let (fraction, zone) = split_fraction(rest)?;
    Some(format!("{date}T{clock}{fraction}{}", offset(zone)?))
}

/// Splits `.digits` off, none to nine of them.
fn split_fraction(rest: &str) -> Option<(&str, &str)> {
    let Some(digits) = rest.strip_prefix('.') else {
        return Some(("", rest));
    };
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    (1..=9).contains(&count).then(|| rest.split_at(count + 1))
}

fn offset(zone: &str) -> Option<String> {
    match zone {
        "" | "Z" | "z" => Some("Z".into()),
        _ if zone.len() == 6 && zone.starts_with(['+', '-']) => Some(zone.into()),
        _ if zone.len() == 6 => zone.strip_prefix(' ').map(|hours| format!("+{hours}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EIGHT: i64 = 1_772_438_400_000_000;

    #[test]
    fn every_form_of_eight_o_clock_is_the_same_instant() {
        for text in [
            "2026-03-02T08:00:00Z",
            "2026-03-02T08:00:00.000Z",
            "2026-03-02T08:00:00.000000000Z",
            "2026-03-02T08:00:00+00:00",
            "2026-03-02T09:30:00+01:30",
            "2026-03-02T08:00:00",
            "2026-03-02 08:00:00.000",
            "2026-03-02T08:00:00 00:00",
            "2026-03-02T10:00:00.0 02:00",
        ] {
            assert_eq!(parse(text).expect(text), Timestamp(EIGHT), "{text}");
        }
    }

    #[test]
    fn a_date_is_its_midnight_and_fractions_count() {
        assert_eq!(parse("2026-03-02").expect("date"), Timestamp(EIGHT - 8 * 3_600_000_000));
        assert_eq!(
            parse("2026-03-02T08:00:00.250000+00:00").expect("fraction"),
            Timestamp(EIGHT + 250_000)
        );
        assert_eq!(
            parse("2026-03-02T08:00:00.123456789").expect("nanoseconds"),
            Timestamp(EIGHT + 123_456)
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-3-2",
            "2026-02-30",
            "2026-03-02T08:00",
            "2026-03-02T25:00:00Z",
            "2026-03-02T08:00:00.Z",
            "2026-03-02T08:00:00.1234567890Z",
            "2026-03-02T08:00:00+0000",
            "2026-03-02T08:00:00Zz",
            "2026-03-02_08:00:00Z",
            "2026-03-02T08:00:00\u{e9}",
            "1772438400",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
