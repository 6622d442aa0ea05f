//! One line of a log file: `2026-01-31T10:00:00.123456789Z stdout F text`.

/// Length of a time as the shim writes it. All have it, in UTC: they compare as texts.
const TIME_BYTES: usize = 30;

/// What a program wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The number in the frames of a multiplexed stream.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }
}

/// One value for each of the two streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PerStream<T> {
    stdout: T,
    stderr: T,
}

impl<T> PerStream<T> {
    /// Makes the pair.
    pub(super) fn new(stdout: T, stderr: T) -> Self {
        Self { stdout, stderr }
    }

    /// That of one stream.
    pub(super) fn of(&self, stream: Stream) -> &T {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    /// That of one stream, to change it.
    pub(super) fn of_mut(&mut self, stream: Stream) -> &mut T {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

/// A line of the program's output, or a part of a long one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// When it was written, RFC 3339 with nanoseconds in UTC.
    pub(super) time: &'a [u8],
    /// Where it was written to.
    pub(super) stream: Stream,
    /// The line ends with it. If not, the stream's next record goes on with the same line.
    pub(super) ends_line: bool,
    /// What was written, without the line's end.
    pub(super) text: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads a line of the file, given without its end; `None` for one that a crash has damaged.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let (time, rest) = line.split_at_checked(TIME_BYTES)?;
        let time_is_one = time.ends_with(b"Z") && time.get(10) == Some(&b'T');
        let (stream, rest) = if let Some(rest) = rest.strip_prefix(b" stdout ") {
            (Stream::Stdout, rest)
        } else {
            (Stream::Stderr, rest.strip_prefix(b" stderr ")?)
        };
        let (ends_line, text) = if let Some(text) = rest.strip_prefix(b"F ") {
            (true, text)
        } else {
            (false, rest.strip_prefix(b"P ")?)
        };
        time_is_one.then_some(Self {
            time,
            stream,
            ends_line,
            text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-01-31T10:00:00.123456789Z";

    #[test]
    fn lines_and_parts_are_read() {
        let line = format!("{TIME} stdout F a b ");
        let record = Record::parse(line.as_bytes()).unwrap();
        assert_eq!(record.time, TIME.as_bytes());
        assert_eq!((record.stream, record.ends_line), (Stream::Stdout, true));
        assert_eq!(record.text, b"a b ");
        let line = format!("{TIME} stderr P ");
        let record = Record::parse(line.as_bytes()).unwrap();
        assert_eq!((record.stream, record.ends_line), (Stream::Stderr, false));
        assert!(record.text.is_empty());
    }

    #[test]
    fn damaged_lines_are_none() {
        for line in [
            "",
            "text",
            TIME,
            &format!("{TIME} stdout"),
            &format!("{TIME} stdout F"),
            &format!("{TIME} stdin F x"),
            &format!("{TIME} stdout X x"),
            &format!("x{TIME} stdout F x"),
            &format!("{} stdout F x", &TIME[1..]),
        ] {
            assert_eq!(Record::parse(line.as_bytes()), None, "{line:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(line: Vec<u8>) {
            let _ = Record::parse(&line);
        }
    }
}
