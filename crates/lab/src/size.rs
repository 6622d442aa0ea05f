//! Sizes as people write them: `64m`, `1.5g`, `4096`.

use crate::Problem;

/// Bytes of a size with an optional suffix `k`, `m`, `g` (powers of 1024).
pub(crate) fn parse(text: &str) -> Result<u64, Problem> {
    let bad = || Problem::Usage(format!("{text:?} is not a size such as 64m"));
    let lower = text.to_ascii_lowercase();
    let lower = lower
        .strip_suffix("ib")
        .or_else(|| lower.strip_suffix('b'))
        .unwrap_or(&lower);
    let (digits, shift) = match lower.as_bytes().last() {
        Some(b'k') => (&lower[..lower.len() - 1], 10),
        Some(b'm') => (&lower[..lower.len() - 1], 20),
        Some(b'g') => (&lower[..lower.len() - 1], 30),
        _ => (lower, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole: u64 = whole.parse().map_err(|_digits| bad())?;
    let unit = 1_u64 << shift;
    let mut bytes = whole.checked_mul(unit).ok_or_else(bad)?;
    let mut place = unit;
    for digit in fraction.chars() {
        place /= 10;
        bytes += u64::from(digit.to_digit(10).ok_or_else(bad)?) * place;
    }
    Ok(bytes)
}

/// A size for people: `64.0 MiB`.
pub(crate) fn show(bytes: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >= 1 << shift {
            let tenths = (u128::from(bytes) * 10) >> shift;
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64m", 64 << 20),
            ("64MiB", 64 << 20),
            ("1.5k", 1534),
            ("2g", 2 << 30),
        ] {
            assert_eq!(parse(text).ok(), Some(bytes), "{text}");
        }
        for text in [
            "",
            "m",
            "-1",
            "1x",
            "1.x",
            "99999999999999999999",
            "20000000000g",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(show(64 << 20), "64.0 MiB");
        assert_eq!(show(100), "100 bytes");
    }
}
