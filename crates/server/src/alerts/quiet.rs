//! Hours in which a channel is silent.

use api::alert::{QuietHours, Severity};
use jiff::Timestamp;

/// Minutes of a day.
const DAY: i64 = 24 * 60;

/// Returns what is wrong with quiet hours, by field.
pub(super) fn check(hours: &QuietHours) -> Result<(), (&'static str, &'static str)> {
    const WRONG: &str = "must be a time of day such as 22:00";
    let from = minutes(&hours.from).ok_or(("quiet_hours.from", WRONG))?;
    let until = minutes(&hours.until).ok_or(("quiet_hours.until", WRONG))?;
    if from == until {
        return Err(("quiet_hours.until", "must be another time than from"));
    }
    if !(-14 * 60..=14 * 60).contains(&hours.utc_offset_min) {
        return Err((
            "quiet_hours.utc_offset_min",
            "must be -840 to 840, in minutes",
        ));
    }
    Ok(())
}

/// A message of this severity waits now.
pub(super) fn waits(hours: Option<&QuietHours>, severity: Severity, now: Timestamp) -> bool {
    let Some(hours) = hours else { return false };
    if hours.critical_passes && severity == Severity::Critical {
        return false;
    }
    let (Some(from), Some(until)) = (minutes(&hours.from), minutes(&hours.until)) else {
        return false;
    };
    let local = (now.as_second().div_euclid(60) + i64::from(hours.utc_offset_min)).rem_euclid(DAY);
    if from < until {
        (from..until).contains(&local)
    } else {
        local >= from || local < until
    }
}

fn minutes(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, below: i64| {
        (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()))
            .then(|| text.parse::<i64>().ok())
            .flatten()
            .filter(|number| *number < below)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(from: &str, until: &str, utc_offset_min: i16) -> QuietHours {
        QuietHours {
            from: from.into(),
            until: until.into(),
            utc_offset_min,
            critical_passes: true,
        }
    }

    #[test]
    fn a_night_goes_over_midnight_and_critical_passes() {
        let night = hours("22:00", "07:00", 60);
        let at = |time: &str| waits(Some(&night), Severity::Warning, time.parse().unwrap());
        assert!(at("2026-01-01T21:00:00Z"));
        assert!(!at("2026-01-01T20:59:59Z"));
        assert!(at("2026-01-01T05:59:59Z"));
        assert!(!at("2026-01-01T06:00:00Z"));
        let now = "2026-01-01T23:00:00Z".parse().unwrap();
        assert!(!waits(Some(&night), Severity::Critical, now));
        assert!(!waits(None, Severity::Info, now));
        let noon = hours("12:00", "13:00", 0);
        assert!(!waits(Some(&noon), Severity::Info, now));
    }

    #[test]
    fn times_of_day_are_read_strictly() {
        assert!(check(&hours("22:00", "07:00", -300)).is_ok());
        for (from, until, offset) in [
            ("24:00", "07:00", 0),
            ("22:60", "07:00", 0),
            ("2:00", "07:00", 0),
            ("22:00", "+7:00", 0),
            ("22:00", "22:00", 0),
            ("22", "07:00", 0),
            ("22:00", "07:00", 900),
        ] {
            assert!(
                check(&hours(from, until, offset)).is_err(),
                "{from} {until}"
            );
        }
    }
}
