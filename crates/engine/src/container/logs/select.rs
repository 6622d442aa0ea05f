//! Which records are wanted.

use super::record::{PerStream, Record, Stream};
use crate::time;

/// Which records are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selection {
    streams: PerStream<bool>,
    /// The last so many lines of them; all without a number.
    pub(super) tail: Option<u64>,
    since: Option<String>,
    until: Option<String>,
}

impl Selection {
    /// Makes a selection; times are nanoseconds since the Unix epoch, both included.
    pub(super) fn new(
        streams: PerStream<bool>,
        tail: Option<u64>,
        since_ns: Option<i64>,
        until_ns: Option<i64>,
    ) -> Self {
        Self {
            streams,
            tail,
            since: since_ns.map(|ns| time::rfc3339(Some(ns))),
            until: until_ns.map(|ns| time::rfc3339(Some(ns))),
        }
    }

    /// Whether it begins elsewhere than at the beginning.
    pub(super) fn has_beginning(&self) -> bool {
        self.tail.is_some() || self.since.is_some()
    }

    /// Whether the stream is wanted.
    pub(super) fn wants(&self, stream: Stream) -> bool {
        *self.streams.of(stream)
    }

    /// Whether a record is from before the time asked for.
    pub(super) fn is_before(&self, record: &Record<'_>) -> bool {
        self.since
            .as_ref()
            .is_some_and(|since| record.time < since.as_bytes())
    }

    /// Whether a record is from after the time asked for.
    pub(super) fn is_after(&self, record: &Record<'_>) -> bool {
        self.until
            .as_ref()
            .is_some_and(|until| record.time > until.as_bytes())
    }
}
