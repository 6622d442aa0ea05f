//! From the frames of an engine's log stream to lines.
//!
//! With `timestamps` each frame begins with an RFC 3339 time. A frame that does not end a line is the beginning of a long one;
//! the next frame of the same stream (with its own time in front) continues it.

use api::log::{LogLine, LogStream};
use bollard::container::LogOutput;

/// Longest text kept of one line.
pub(crate) const MAX_LINE: usize = 16 * 1024;

/// A whole line as the engine has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// When the engine received its beginning, nanoseconds since 1970.
    pub(crate) at_ns: i64,
    pub(crate) stream: LogStream,
    pub(crate) text: String,
    /// The line was longer than [`MAX_LINE`].
    pub(crate) truncated: bool,
}

impl Line {
    /// As the API has it.
    pub(crate) fn to_api(&self, number: u64) -> LogLine {
        LogLine {
            number,
            time: format_time(self.at_ns),
            stream: self.stream,
            text: self.text.clone(),
            truncated: self.truncated,
        }
    }
}

/// Joins frames to lines, one unfinished line per stream.
#[derive(Debug)]
pub(crate) struct Assembler {
    open: [Option<Open>; 2],
    longest: usize,
}

impl Default for Assembler {
    fn default() -> Self {
        Self::with_longest(MAX_LINE)
    }
}

#[derive(Debug)]
struct Open {
    at_ns: i64,
    text: Vec<u8>,
    cut: bool,
}

impl Assembler {
    /// Keeps so much of a line, in bytes.
    pub(crate) fn with_longest(longest: usize) -> Self {
        Self {
            open: [None, None],
            longest,
        }
    }

    /// Takes a frame; returns the lines it completes.
    pub(crate) fn push(&mut self, frame: &LogOutput) -> Vec<Line> {
        let (stream, bytes) = match frame {
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                (LogStream::Stdout, message)
            }
            LogOutput::StdErr { message } => (LogStream::Stderr, message),
            LogOutput::StdIn { .. } => return Vec::new(),
        };
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let (ended, piece) = match piece.strip_suffix(b"\n") {
                Some(rest) => (true, rest),
                None => (false, piece),
            };
            let (at_ns, text) = split_timestamp(piece);
            let slot = &mut self.open[index(stream)];
            let open = slot.get_or_insert_with(|| Open {
                at_ns: at_ns.unwrap_or(0),
                text: Vec::new(),
                cut: false,
            });
            let room = self.longest - open.text.len();
            open.cut |= text.len() > room;
            open.text.extend_from_slice(&text[..text.len().min(room)]);
            if ended {
                lines.extend(slot.take().map(|open| open.finish(stream)));
            }
        }
        lines
    }

    /// The stream ended for good: what is unfinished is a line too.
    pub(crate) fn finish(&mut self) -> Vec<Line> {
        let streams = [LogStream::Stdout, LogStream::Stderr];
        streams
            .into_iter()
            .filter_map(|stream| Some(self.open[index(stream)].take()?.finish(stream)))
            .collect()
    }
}

impl Open {
    fn finish(self, stream: LogStream) -> Line {
        let mut bytes = self.text.as_slice();
        if self.cut {
            bytes = whole_characters(bytes);
        } else if let Some(rest) = bytes.strip_suffix(b"\r") {
            bytes = rest;
        }
        let text = String::from_utf8_lossy(bytes).into_owned();
        Line {
            at_ns: self.at_ns,
            stream,
            text,
            truncated: self.cut,
        }
    }
}

pub(crate) fn index(stream: LogStream) -> usize {
    match stream {
        LogStream::Stdout => 0,
        LogStream::Stderr => 1,
    }
}

/// Drops a character that the cut went through.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    for back in 1..=bytes.len().min(4) {
        let at = bytes.len() - back;
        if bytes[at] & 0b1100_0000 != 0b1000_0000 {
            let long = match bytes[at].leading_ones() {
                0 => 1,
                n => n as usize,
            };
            return if long > back { &bytes[..at] } else { bytes };
        }
    }
    bytes
}

fn split_timestamp(piece: &[u8]) -> (Option<i64>, &[u8]) {
    // 35 is the longest: 2026-01-31T10:00:00.123456789+00:00
    let Some(space) = piece.iter().take(36).position(|b| *b == b' ') else {
        return (None, piece);
    };
    let parsed = std::str::from_utf8(&piece[..space])
        .ok()
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .and_then(|at| i64::try_from(at.as_nanosecond()).ok());
    match parsed {
        Some(at) => (Some(at), &piece[space + 1..]),
        None => (None, piece),
    }
}

/// RFC 3339 with nine decimals, as Docker writes it.
pub(crate) fn format_time(at_ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at_ns))
        .map(|at| format!("{at:.9}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn out(text: &str) -> LogOutput {
        LogOutput::StdOut {
            message: text.to_owned().into(),
        }
    }

    #[test]
    fn a_frame_is_a_line_with_its_time() {
        let lines = Assembler::default().push(&out("2026-01-31T10:00:00.123456789Z hello world\n"));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].text, "hello world");
        assert_eq!(
            format_time(lines[0].at_ns),
            "2026-01-31T10:00:00.123456789Z"
        );
        assert!(!lines[0].truncated);
    }

    #[test]
    fn partial_frames_are_joined_and_streams_kept_apart() {
        let mut assembler = Assembler::default();
        assert!(
            assembler
                .push(&out("2026-01-31T10:00:00.1Z one "))
                .is_empty()
        );
        let err = LogOutput::StdErr {
            message: "2026-01-31T10:00:00.2Z err\n".into(),
        };
        assert_eq!(assembler.push(&err)[0].text, "err");
        let lines = assembler.push(&out("2026-01-31T10:00:00.1Z two\n"));
        assert_eq!(lines[0].text, "one two");
        assert_eq!(lines[0].stream, LogStream::Stdout);
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let mut assembler = Assembler::default();
        let half = "é".repeat(5000);
        assert!(
            assembler
                .push(&out(&format!("2026-01-31T10:00:00Z x{half}")))
                .is_empty()
        );
        let lines = assembler.push(&out(&format!("2026-01-31T10:00:00Z {half}\n")));
        assert!(lines[0].truncated);
        assert!(lines[0].text.len() <= MAX_LINE && lines[0].text.ends_with('é'));
    }

    #[test]
    fn an_unfinished_line_comes_with_the_end() {
        let mut assembler = Assembler::default();
        assembler.push(&out("2026-01-31T10:00:00Z no newline"));
        assert_eq!(assembler.finish()[0].text, "no newline");
        assert!(assembler.finish().is_empty());
    }

    #[test]
    fn a_terminal_line_loses_its_carriage_return_only() {
        let frame = LogOutput::Console {
            message: "2026-01-31T10:00:00Z a\rb\r\n".into(),
        };
        assert_eq!(Assembler::default().push(&frame)[0].text, "a\rb");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..20)) {
            let mut assembler = Assembler::default();
            for frame in frames {
                for line in assembler.push(&LogOutput::StdErr { message: frame.into() }) {
                    prop_assert!(!line.text.contains('\n'));
                }
            }
            assembler.finish();
        }
    }
}
