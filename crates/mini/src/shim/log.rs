//! The container's log: whole lines in the format of the Kubernetes CRI, rotated by size.
//!
//! `2026-01-31T10:00:00.123456789Z stdout F text`, or `P` for a part of a line longer than [`MAX_LINE_BYTES`].
//! Source: kubernetes/design-proposals, CRI log format.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use shim_protocol::LogConfig;

use crate::clock;

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

/// Writes output to the current log file.
#[derive(Debug)]
pub(crate) struct Log {
    config: LogConfig,
    file: File,
    size_bytes: u64,
    /// The beginning of a line whose end has not come yet, of each stream.
    rest: [Vec<u8>; 2],
    /// Lines on their way to the file; kept to save allocations.
    lines: Vec<u8>,
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

impl Log {
    /// Opens the log; what is there stays.
    ///
    /// # Errors
    /// Those of opening the file.
    pub(crate) fn open(config: LogConfig) -> io::Result<Self> {
        let (file, size_bytes) = open(Path::new(&config.path))?;
        Ok(Self {
            config,
            file,
            size_bytes,
            rest: [Vec::new(), Vec::new()],
            lines: Vec::new(),
        })
    }

    /// Takes output as it came; writes the lines that are whole.
    ///
    /// # Errors
    /// Those of the file; the lines are lost then.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let now = clock::rfc3339(clock::unix_ns());
        let mut result = Ok(());
        let mut left = bytes;
        while !left.is_empty() {
            let used = self.collect(stream, &now, left);
            left = left.get(used..).unwrap_or_default();
            result = result.and(self.flush());
        }
        result
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

    /// Writes what has no line end, when no more will come.
    ///
    /// # Errors
    /// Those of the file.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let now = clock::rfc3339(clock::unix_ns());
        for (rest, name) in self.rest.iter_mut().zip(["stdout", "stderr"]) {
            if !rest.is_empty() {
                // A last line without its end is a part: whoever reads it adds no newline.
                put(&mut self.lines, &now, name, 'P', rest, &[]);
                rest.clear();
            }
        }
        self.flush()
    }

    /// Writes the lines, each file up to its size. All are tried, and the first error is told.
    fn flush(&mut self) -> io::Result<()> {
        let lines = std::mem::take(&mut self.lines);
        let mut result = Ok(());
        let mut rest = lines.as_slice();
        while !rest.is_empty() {
            let mut fitting = self.fitting(rest);
            if fitting == 0 {
                result = result.and(self.rotate());
                // Also when it could not be rotated: a file that is too long is better than lines lost.
                fitting = self.fitting(rest).max(first_line(rest));
            }
            let (now, later) = rest.split_at_checked(fitting).unwrap_or((rest, &[]));
            result = result.and(self.append(now));
            rest = later;
        }
        self.lines = lines;
        self.lines.clear();
        // One flood must not keep its room for ever.
        self.lines.shrink_to(FLUSH_BYTES);
        result
    }

    /// How much of some lines has room in the current file, in whole lines. One line has always room in an empty file.
    fn fitting(&self, lines: &[u8]) -> usize {
        let max = self.config.max_size_bytes;
        if max == 0 {
            return lines.len();
        }
        let room = usize::try_from(max.saturating_sub(self.size_bytes)).unwrap_or(usize::MAX);
        let window = lines.get(..room).unwrap_or(lines);
        match window.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if self.size_bytes == 0 => first_line(lines),
            None => 0,
        }
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(lines);
        match &written {
            Ok(()) => self.size_bytes += lines.len() as u64,
            // The disk is full: no half of a line stays, so that the next whole one begins where it should.
            Err(_) => drop(self.file.set_len(self.size_bytes)),
        }
        written
    }

    /// `log` becomes `log.1`, that `log.2`, and so on; the oldest goes.
    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: u32| PathBuf::from(format!("{}.{number}", self.config.path));
        let kept = self.config.max_files.saturating_sub(1);
        let ignore_missing = |result: io::Result<()>| match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        for number in (1..kept).rev() {
            ignore_missing(std::fs::rename(numbered(number), numbered(number + 1)))?;
        }
        if kept == 0 {
            ignore_missing(std::fs::remove_file(&self.config.path))?;
        } else {
            ignore_missing(std::fs::rename(&self.config.path, numbered(1)))?;
        }
        (self.file, self.size_bytes) = open(Path::new(&self.config.path))?;
        Ok(())
    }
}

/// Length of the first line, with its end.
fn first_line(lines: &[u8]) -> usize {
    lines
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(lines.len(), |end| end + 1)
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

    fn log(max_size_bytes: u64, max_files: u32) -> (tempfile::TempDir, Log) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log").to_str().unwrap().to_owned();
        let log = Log::open(LogConfig {
            path,
            max_size_bytes,
            max_files,
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
        log.write(Stream::Stdout, b"one\ntw").unwrap();
        log.write(Stream::Stderr, b"bad\n").unwrap();
        log.write(Stream::Stdout, b"o\nlast").unwrap();
        log.finish().unwrap();
        assert_eq!(text(dir.path(), "stdout"), b"one\ntwo\nlast");
        assert_eq!(text(dir.path(), "stderr"), b"bad\n");
    }

    #[test]
    fn rotation_keeps_so_many_files_and_loses_no_line_in_between() {
        let (dir, mut log) = log(100, 3);
        for number in 0..10 {
            log.write(Stream::Stdout, format!("line {number}\n").as_bytes())
                .unwrap();
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
                log.write(Stream::Stdout, piece).unwrap();
                all.extend_from_slice(piece);
            }
            log.finish().unwrap();
            proptest::prop_assert_eq!(text(dir.path(), "stdout"), all);
        }
    }
}
