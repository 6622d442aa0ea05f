//! Times as Docker writes and reads them: RFC 3339 with nanoseconds, Unix seconds with a fraction, Go durations.

use jiff::Timestamp;

use crate::error::{EngineError, Result};

/// Go's zero time, which Docker shows for "never".
pub(crate) const ZERO: &str = "0001-01-01T00:00:00Z";

/// Returns now, in nanoseconds since the Unix epoch.
pub(crate) fn now_ns() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// Returns a time as RFC 3339 in UTC with nanoseconds; [`ZERO`] for `None`.
pub(crate) fn rfc3339(unix_ns: Option<i64>) -> String {
    unix_ns
        .and_then(|ns| Timestamp::from_nanosecond(ns.into()).ok())
        .map_or_else(|| ZERO.to_owned(), |t| format!("{t:.9}"))
}

/// Reads the time of an HTTP header, in seconds since the Unix epoch.
pub(crate) fn parse_http_seconds(text: &str) -> Option<i64> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(zoned.timestamp().as_second())
}

/// Reads a time from a query: Unix seconds with an optional fraction, RFC 3339, or a Go duration (`10m`) before now.
/// Returns nanoseconds since the Unix epoch.
///
/// # Errors
/// `Invalid` when it is none of these.
pub(crate) fn parse(text: &str) -> Result<i64> {
    let invalid = || {
        EngineError::Invalid(format!(
            "failed to parse value as time or duration: {text:?}"
        ))
    };
    if let Some(ns) = parse_unix(text) {
        return Ok(ns);
    }
    if let Some(ns) = parse_go_duration_ns(text) {
        return Ok(now_ns().saturating_sub(ns));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return i64::try_from(time.as_nanosecond()).map_err(|_ignored| invalid());
    }
    // Docker also takes times without a zone; the engine's zone is UTC.
    let zoned = match text.len() {
        0..=10 => format!("{text}T00:00:00Z"),
        11..=16 => format!("{text}:00Z"),
        _ => format!("{text}Z"),
    };
    if let Ok(time) = zoned.parse::<Timestamp>() {
        return i64::try_from(time.as_nanosecond()).map_err(|_ignored| invalid());
    }
    Err(invalid())
}

fn parse_unix(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanos: i64 = digits.parse().ok()?;
    let sign = if text.starts_with('-') { -1 } else { 1 };
    seconds
        .checked_mul(1_000_000_000)?
        .checked_add(sign * nanos)
}

/// Reads a Go duration such as `1h30m`, `10s`, `1.5h`; returns nanoseconds.
pub(crate) fn parse_go_duration_ns(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 8] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 60e9),
        ("h", 3600e9),
        ("d", 86400e9),
    ];
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let number: f64 = number.parse().ok()?;
        let end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, next) = tail.split_at(end);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total += number * factor;
        rest = next;
    }
    if !total.is_finite() || total > 9.2e18 {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range is checked above"
    )]
    let ns = total as i64;
    Some(if negative { -ns } else { ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_http_are_read() {
        assert_eq!(
            parse_http_seconds("Wed, 21 Oct 2015 07:28:00 GMT"),
            Some(1_445_412_480)
        );
        assert_eq!(parse_http_seconds("yesterday"), None);
    }

    #[test]
    fn all_forms_are_read() {
        assert_eq!(parse("5").unwrap(), 5_000_000_000);
        assert_eq!(parse("1.5").unwrap(), 1_500_000_000);
        assert_eq!(parse("1.000000007").unwrap(), 1_000_000_007);
        assert_eq!(parse("1970-01-01T00:00:02Z").unwrap(), 2_000_000_000);
        assert_eq!(parse("1970-01-01T01:00:02+01:00").unwrap(), 2_000_000_000);
        assert_eq!(parse("1970-01-02").unwrap(), 86_400_000_000_000);
        let (before, then, after) = (now_ns(), parse("10m").unwrap(), now_ns());
        let ten_minutes_ago = before - 600_000_000_000..=after - 600_000_000_000;
        assert!(ten_minutes_ago.contains(&then), "{then}");
        assert!(parse("yesterday").is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn times_are_written_with_nanoseconds() {
        assert_eq!(rfc3339(Some(1)), "1970-01-01T00:00:00.000000001Z");
        assert_eq!(rfc3339(None), ZERO);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text: String) {
            parse(&text).ok();
        }
    }
}
