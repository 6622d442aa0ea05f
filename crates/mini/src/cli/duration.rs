//! Durations as Go's programs take them: `5s`, `100ms`, `1m30s`, `1.5h`.

use std::time::Duration;

use crate::error::{Error, Result};

/// The units, in nanoseconds; the longer name of two with the same beginning first.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration.
///
/// # Errors
/// `Invalid` for what is none.
///
/// Source: Go, package time, `ParseDuration`.
pub(crate) fn parse(text: &str) -> Result<Duration> {
    read(text).ok_or_else(|| {
        Error::invalid(format!("{text:?} is not a duration")).with_hint("write 5s, 100ms or 1m30s")
    })
}

fn read(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, tail) = rest.split_at_checked(end)?;
        let (name, unit) = UNITS.iter().find(|(name, _)| tail.starts_with(name))?;
        rest = tail.strip_prefix(name)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() {
            return None;
        }
        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        let mut ns = whole.checked_mul(*unit)?;
        let mut digit_unit = *unit;
        for digit in part.chars() {
            digit_unit /= 10;
            ns = ns.checked_add(u64::from(digit.to_digit(10)?).checked_mul(digit_unit)?)?;
        }
        total = total.checked_add(Duration::from_nanos(ns))?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_by_go() {
        for (text, ms) in [
            ("5s", 5_000),
            ("100ms", 100),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("1500us", 1),
            ("0", 0),
        ] {
            assert_eq!(parse(text).unwrap().as_millis(), ms, "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "-1s",
            "1x",
            ".s",
            "1.2.3s",
            "99999999999999h",
            "1s5",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_duration_or_an_error(text in "\\PC*") {
            drop(parse(&text));
        }

        #[test]
        fn what_is_written_is_read(seconds in 0_u64..100_000, ms in 0_u64..1000) {
            let text = format!("{seconds}s{ms}ms");
            let wanted = Duration::from_secs(seconds) + Duration::from_millis(ms);
            proptest::prop_assert_eq!(parse(&text).unwrap(), wanted);
        }
    }
}
