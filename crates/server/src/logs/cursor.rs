//! A place in a container's log that outlives connections, engines and this server.
//!
//! The Docker API has no line numbers, only times. Within one stream (stdout, stderr) times never go back, but two
//! streams are written by two readers, so lines of *different* streams may stand in the log in another order than their times.
//! Hence one place per stream: the time of the last line seen, and how many lines of exactly that time were seen. Replaying
//! the log from a little before the latest of these times and dropping what is covered loses nothing and doubles nothing, as
//! long as the two readers are not further apart than [`SKEW_NS`] (in engines they are microseconds apart). (A host clock set back
//! while the container writes can hide lines from a resumed reader; Docker's own `since` has the same limit.)

use std::{fmt, str::FromStr};

use api::log::LogStream;

use super::line::{Line, index};

/// A line may stand in the log behind one of the other stream that is so much younger.
const SKEW_NS: i64 = 2_000_000_000;

/// Where a reader stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    places: [Option<Place>; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    at_ns: i64,
    /// Lines of exactly this time that were seen.
    seen: u32,
}

impl Cursor {
    /// Covers every line up to and with `at_ns`.
    pub(crate) fn at(at_ns: i64) -> Self {
        Self {
            places: [Some(Place {
                at_ns,
                seen: u32::MAX,
            }); 2],
        }
    }

    /// The reader has seen this line.
    pub(crate) fn advance(&mut self, at_ns: i64, stream: LogStream) {
        match &mut self.places[index(stream)] {
            Some(place) if place.at_ns == at_ns => place.seen = place.seen.saturating_add(1),
            // Never back: a line of an earlier time is covered by what was seen after it.
            Some(place) if place.at_ns > at_ns => {}
            place => *place = Some(Place { at_ns, seen: 1 }),
        }
    }

    /// The streams of which nothing was seen are taken as seen up to `at_ns`.
    pub(crate) fn assume_before(&mut self, at_ns: i64) {
        for place in &mut self.places {
            place.get_or_insert(Place { at_ns, seen: 0 });
        }
    }

    /// Where to read from so that everything not covered is included, in whole seconds since 1970 (the engine's `since`).
    pub(crate) fn since_seconds(&self) -> i64 {
        let latest = self
            .places
            .iter()
            .flatten()
            .map(|place| place.at_ns)
            .max()
            .unwrap_or(0);
        latest
            .saturating_sub(SKEW_NS)
            .max(0)
            .div_euclid(1_000_000_000)
    }

    /// Whether everything `other` has seen, this one has seen.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        self.places
            .iter()
            .zip(&other.places)
            .all(|(own, other)| match (own, other) {
                (_, None) => true,
                (None, Some(other)) => other.seen == 0,
                (Some(own), Some(other)) => (own.at_ns, own.seen) >= (other.at_ns, other.seen),
            })
    }
}

/// Drops, from a log read again, what a cursor covers.
#[derive(Debug)]
pub(crate) struct Replay {
    from: Cursor,
    counted: [u32; 2],
}

impl Replay {
    /// Continues after `from`.
    pub(crate) fn after(from: Cursor) -> Self {
        Self {
            from,
            counted: [0; 2],
        }
    }

    /// Whether this line is new. Call once per line, in the log's order.
    pub(crate) fn is_new(&mut self, line: &Line) -> bool {
        self.is_new_at(line.at_ns, line.stream)
    }

    /// As [`Replay::is_new`].
    pub(crate) fn is_new_at(&mut self, at_ns: i64, stream: LogStream) -> bool {
        let i = index(stream);
        match self.from.places[i] {
            Some(place) if at_ns < place.at_ns => false,
            Some(place) if at_ns == place.at_ns => {
                self.counted[i] = self.counted[i].saturating_add(1);
                self.counted[i] > place.seen
            }
            _ => true,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, place) in ["o", "e"].into_iter().zip(&self.places) {
            if let Some(place) = place {
                write!(f, "{name}{}.{}", place.at_ns, place.seen)?;
            }
        }
        Ok(())
    }
}

/// The text is no place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("read the place in the log: neither a time (RFC 3339) nor a cursor of this server")]
pub(crate) struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;

    /// Reads a cursor's text, or a time: then everything up to and with it is covered.
    fn from_str(text: &str) -> Result<Self, BadCursor> {
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::at(
                i64::try_from(time.as_nanosecond()).or(Err(BadCursor))?,
            ));
        }
        let mut cursor = Self::default();
        let mut rest = text;
        while let Some(name) = rest.chars().next() {
            let i = ["o", "e"]
                .iter()
                .position(|n| n.starts_with(name))
                .ok_or(BadCursor)?;
            rest = &rest[1..];
            let end = rest.find(['o', 'e']).unwrap_or(rest.len());
            let (at, seen) = rest[..end].split_once('.').ok_or(BadCursor)?;
            let at_ns = at.parse().or(Err(BadCursor))?;
            let seen = seen.parse().or(Err(BadCursor))?;
            cursor.places[i] = Some(Place { at_ns, seen });
            rest = &rest[end..];
        }
        Ok(cursor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAMS: [LogStream; 2] = [LogStream::Stdout, LogStream::Stderr];

    /// A log as an engine writes it: times within a stream never go back, streams are mixed, times repeat.
    fn log() -> impl Strategy<Value = Vec<(LogStream, i64)>> {
        proptest::collection::vec((0usize..2, 0i64..3, 0i64..3), 0..60).prop_map(|steps| {
            let mut clocks = [0_i64; 2];
            let mut now = 10_000_000_000_i64;
            steps
                .into_iter()
                .map(|(s, step, late)| {
                    now += step * 400_000_000;
                    clocks[s] = clocks[s].max(now - late * 900_000_000);
                    (STREAMS[s], clocks[s])
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn resuming_anywhere_loses_and_doubles_nothing(log in log(), cuts in proptest::collection::vec(0usize..60, 0..5)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut seen = Vec::new();
            let mut cursor = Cursor::default();
            // At each cut the stream breaks; reading starts again at `since` and goes on to the next cut.
            for end in cuts.into_iter().chain([log.len()]) {
                let since = cursor.since_seconds() * 1_000_000_000;
                let mut replay = Replay::after(cursor);
                for (number, (stream, at)) in log.iter().enumerate().take(end) {
                    if *at >= since && replay.is_new_at(*at, *stream) {
                        seen.push(number);
                        cursor.advance(*at, *stream);
                    }
                }
                cursor = cursor.to_string().parse().unwrap();
            }
            prop_assert_eq!(seen, (0..log.len()).collect::<Vec<_>>());
        }

        #[test]
        fn any_text_is_taken_or_refused(text in ".{0,40}") {
            // Either answer is right; a panic is not.
            prop_assert!(text.parse::<Cursor>().is_ok() || text.parse::<Cursor>().is_err());
        }
    }

    #[test]
    fn text_round_trips() {
        let mut cursor = Cursor::default();
        cursor.advance(5, LogStream::Stdout);
        cursor.advance(5, LogStream::Stdout);
        cursor.advance(7, LogStream::Stderr);
        assert_eq!(cursor.to_string(), "o5.2e7.1");
        assert_eq!("o5.2e7.1".parse::<Cursor>().unwrap(), cursor);
    }
}
