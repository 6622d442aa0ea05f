//! Signals by name and number, as Docker takes them: `SIGTERM`, `term`, `15`, `SIGRTMIN+3`.

use crate::error::{EngineError, Result};

/// SIGKILL.
pub(crate) const KILL: i32 = 9;
/// SIGTERM, which asks a program to end.
pub(crate) const TERM: i32 = 15;

const NAMES: [(&str, i32); 37] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("UNUSED", 31),
    ("RTMIN", 34),
    ("RTMAX", 64),
];

/// Returns the number of a signal.
///
/// # Errors
/// `Invalid` in Docker's words when there is no such signal.
pub(crate) fn parse(text: &str) -> Result<i32> {
    let unknown = || EngineError::Invalid(format!("Invalid signal: {text}"));
    if let Ok(number) = text.parse::<i32>() {
        return Some(number)
            .filter(|n| (1..=64).contains(n))
            .ok_or_else(unknown);
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let offset = |rest: &str| rest.parse::<i32>().ok();
    let number = if let Some(rest) = name.strip_prefix("RTMIN+") {
        offset(rest).map(|n| 34 + n)
    } else if let Some(rest) = name.strip_prefix("RTMAX-") {
        offset(rest).map(|n| 64 - n)
    } else {
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, n)| *n)
    };
    number.filter(|n| (1..=64).contains(n)).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("term", 15),
            ("9", 9),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("sigint", 2),
        ] {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for bad in [
            "",
            "0",
            "65",
            "-1",
            "SIG",
            "SIGNOPE",
            "RTMIN+99",
            "SIGRTMIN+-1000",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
