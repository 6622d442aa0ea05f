//! The container's log: whole lines in the format of the Kubernetes CRI, rotated by size.
//!
//! `2026-01-31T10:00:00.123456789Z stdout F text`, or `P` for a part of a line longer than [`MAX_LINE_BYTES`].
//! Source: kubernetes/design-proposals, CRI log format.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::event::PollFlags;
use shim_protocol::LogConfig;

use crate::clock;
use crate::shim::log_buffer::LogBuffer;
use crate::shim::log_file::LogFile;

/// A line longer than this is written in parts.
pub(crate) const MAX_LINE_BYTES: usize = 16 * 1024;

/// So much is written at once.
const FLUSH_BYTES: usize = 64 * 1024;

/// One of the two output streams; a terminal's output is standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// The number that Docker's frames have for it.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }
}

/// Takes output and logs it.
#[derive(Debug)]
pub(crate) struct Log {
    sink: Sink,
    /// The beginning of a line whose end has not come yet, of each stream.
    rest: [Vec<u8>; 2],
    /// Lines on their way to the file; kept to save allocations.
    lines: Vec<u8>,
}

/// Where lines go: into the file at once, for which the program waits if it must, or into a bounded buffer.
#[derive(Debug)]
enum Sink {
    File(LogFile),
    Buffer(LogBuffer),
}

impl Log {
    /// Opens the log; what is there stays.
    ///
    /// # Errors
    /// Those of opening the file.
    pub(crate) fn open(config: LogConfig) -> io::Result<Self> {
        let sink = match config.max_buffer_bytes {
            None => Sink::File(LogFile::open(config)?),
            Some(max_bytes) => Sink::Buffer(LogBuffer::open(config, max_bytes)?),
        };
        Ok(Self {
            sink,
            rest: [Vec::new(), Vec::new()],
            lines: Vec::new(),
        })
    }

    /// Output that did not get into the log, in bytes as the program wrote them.
    pub(crate) fn lost_bytes_total(&self) -> u64 {
        match &self.sink {
            Sink::File(file) => file.lost_bytes_total(),
            Sink::Buffer(buffer) => buffer.lost_bytes_total(),
        }
    }

    /// What to poll for [`Log::serve`].
    pub(crate) fn wanted(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match &self.sink {
            Sink::File(_) => None,
            Sink::Buffer(buffer) => buffer.wanted(),
        }
    }

    /// Something happened there.
    pub(crate) fn serve(&mut self) {
        if let Sink::Buffer(buffer) = &mut self.sink {
            buffer.serve();
        }
    }

    /// Whether a child that has ended was the log's.
    pub(crate) fn ended(&mut self, pid: i32) -> bool {
        match &mut self.sink {
            Sink::File(_) => false,
            Sink::Buffer(buffer) => buffer.ended(pid),
        }
    }

    /// Takes output as it came; logs the lines that are whole. What cannot be logged is counted.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let now = clock::rfc3339(clock::unix_ns());
        let mut left = bytes;
        while !left.is_empty() {
            let used = self.collect(stream, &now, left);
            left = left.get(used..).unwrap_or_default();
            self.flush();
        }
    }

    /// Makes lines of output until there are enough for one write: short ones grow many times by what stands before them.
    /// Returns how many bytes it has used.
    fn collect(&mut self, stream: Stream, now: &str, bytes: &[u8]) -> usize {
        let Self { rest, lines, .. } = self;
        let [out, err] = rest;
        let (rest, name) = match stream {
            Stream::Stdout => (out, "stdout"),
            Stream::Stderr => (err, "stderr"),
        };
        let mut position = 0;
        while lines.len() < FLUSH_BYTES {
            let left = bytes.get(position..).unwrap_or_default();
            let room = MAX_LINE_BYTES - rest.len();
            let window = left.get(..room).unwrap_or(left);
            let (line, tag, used) = match window.iter().position(|byte| *byte == b'\n') {
                Some(end) => (window.get(..end).unwrap_or_default(), 'F', end + 1),
                None if window.len() == room => (window, 'P', room),
                None => {
                    rest.extend_from_slice(window);
                    return bytes.len();
                }
            };
            put(lines, now, name, tag, rest, line);
            rest.clear();
            position += used;
        }
        position
    }

    /// Logs what has no line end, when no more will come, and waits until all is where it should be.
    pub(crate) fn finish(&mut self) {
        let now = clock::rfc3339(clock::unix_ns());
        for (rest, name) in self.rest.iter_mut().zip(["stdout", "stderr"]) {
            if !rest.is_empty() {
                // A last line without its end is a part: whoever reads it adds no newline.
                put(&mut self.lines, &now, name, 'P', rest, &[]);
                rest.clear();
            }
        }
        self.flush();
        if let Sink::Buffer(buffer) = &mut self.sink {
            buffer.finish();
        }
    }

    fn flush(&mut self) {
        match &mut self.sink {
            Sink::File(file) => file.write(&self.lines),
            Sink::Buffer(buffer) => buffer.write(&self.lines),
        }
        self.lines.clear();
        // One flood must not keep its room for ever.
        self.lines.shrink_to(FLUSH_BYTES);
    }
}

fn put(lines: &mut Vec<u8>, now: &str, stream: &str, tag: char, rest: &[u8], line: &[u8]) {
    for part in [now, " ", stream, if tag == 'F' { " F " } else { " P " }] {
        lines.extend_from_slice(part.as_bytes());
    }
    lines.extend_from_slice(rest);
    lines.extend_from_slice(line);
    lines.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn log(max_size_bytes: u64, max_files: u32) -> (tempfile::TempDir, Log) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log").to_str().unwrap().to_owned();
        let log = Log::open(LogConfig {
            path,
            max_size_bytes,
            max_files,
            max_buffer_bytes: None,
        })
        .unwrap();
        (dir, log)
    }

    /// The text that a reader gets back from all files, oldest first.
    fn text(dir: &Path, stream: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for name in ["log.3", "log.2", "log.1", "log"] {
            let Ok(content) = std::fs::read(dir.join(name)) else {
                continue;
            };
            for line in content.split_inclusive(|byte| *byte == b'\n') {
                let mut fields = line.splitn(4, |byte| *byte == b' ');
                let (_, of, tag, rest) = (
                    fields.next().unwrap(),
                    fields.next().unwrap(),
                    fields.next().unwrap(),
                    fields.next().unwrap(),
                );
                if of == stream.as_bytes() {
                    out.extend_from_slice(&rest[..rest.len() - 1]);
                    if tag == b"F" {
                        out.push(b'\n');
                    }
                }
            }
        }
        out
    }

    #[test]
    fn lines_are_whole_and_streams_apart() {
        let (dir, mut log) = log(0, 1);
        log.write(Stream::Stdout, b"one\ntw");
        log.write(Stream::Stderr, b"bad\n");
        log.write(Stream::Stdout, b"o\nlast");
        log.finish();
        assert_eq!(text(dir.path(), "stdout"), b"one\ntwo\nlast");
        assert_eq!(text(dir.path(), "stderr"), b"bad\n");
    }

    #[test]
    fn rotation_keeps_so_many_files_and_loses_no_line_in_between() {
        let (dir, mut log) = log(100, 3);
        for number in 0..10 {
            log.write(Stream::Stdout, format!("line {number}\n").as_bytes());
        }
        let names = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 3);
        let text = String::from_utf8(text(dir.path(), "stdout")).unwrap();
        let numbers: Vec<u32> = text
            .lines()
            .map(|line| line[5..].parse().unwrap())
            .collect();
        assert!(
            numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]) && numbers.last() == Some(&9),
            "{numbers:?}"
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
        #[test]
        fn any_output_in_any_pieces_comes_back(pieces in proptest::collection::vec(proptest::collection::vec(proptest::prelude::prop_oneof![proptest::prelude::Just(b'\n'), proptest::prelude::any::<u8>()], 0..30_000), 0..6)) {
            let (dir, mut log) = log(0, 1);
            let mut all = Vec::new();
            for piece in &pieces {
                log.write(Stream::Stdout, piece);
                all.extend_from_slice(piece);
            }
            log.finish();
            proptest::prop_assert_eq!(text(dir.path(), "stdout"), all);
        }
    }
}
