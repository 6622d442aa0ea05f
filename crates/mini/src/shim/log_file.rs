//! The file that a container's log is in: rotated by size, and what could not be written is counted and marked there.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use shim_protocol::LogConfig;

use crate::clock;
use crate::error::errno_words;
use crate::shim::message;

/// Writes whole lines to the current file.
#[derive(Debug)]
pub(crate) struct LogFile {
    config: LogConfig,
    file: File,
    size_bytes: u64,
    /// Output since the last line that could be written, and why it is not there.
    gap: Option<(u64, String)>,
    lost_bytes_total: u64,
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

impl LogFile {
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
            gap: None,
            lost_bytes_total: 0,
        })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Output that is in no log, in bytes as the program wrote them.
    pub(crate) fn lost_bytes_total(&self) -> u64 {
        self.lost_bytes_total
    }

    /// Writes lines, each file up to its size. What cannot be written is counted; the next line that can has a mark before it.
    pub(crate) fn write(&mut self, lines: &[u8]) {
        let mut rest = lines;
        while !rest.is_empty() {
            let mut fitting = self.fitting(rest);
            if fitting == 0 {
                if let Err(error) = self.rotate() {
                    message(&format!("rotate the container's log: {error}"));
                }
                // Also when it could not be rotated: a file that is too long is better than lines lost.
                fitting = self.fitting(rest).max(first_line(rest));
            }
            let (now, later) = rest.split_at_checked(fitting).unwrap_or((rest, &[]));
            self.append(now);
            rest = later;
        }
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

    fn append(&mut self, lines: &[u8]) {
        let marked = self
            .gap
            .as_ref()
            .map(|(bytes, reason)| [&gap_line(*bytes, reason), lines].concat());
        let all = marked.as_deref().unwrap_or(lines);
        match self.file.write_all(all) {
            Ok(()) => {
                self.size_bytes += all.len() as u64;
                if let Some((bytes, _)) = self.gap.take() {
                    message(&format!(
                        "the container's log goes on; {bytes} bytes are not in it"
                    ));
                }
            }
            Err(error) => {
                // The disk is full: no half of a line stays, so that the next whole one begins where it should.
                drop(self.file.set_len(self.size_bytes));
                let bytes = output_bytes(lines);
                self.lost_bytes_total += bytes;
                if let Some((gap, _)) = &mut self.gap {
                    *gap += bytes;
                    return;
                }
                let words = errno_words(Errno::from_io_error(&error).unwrap_or(Errno::IO));
                // Once: the file that this goes to has no bounds of its own.
                let path = &self.config.path;
                message(&format!("write the container's log {path}: {words}"));
                self.gap = Some((bytes, words));
            }
        }
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

/// The line that stands where output is missing.
pub(crate) fn gap_line(bytes: u64, reason: &str) -> Vec<u8> {
    let now = clock::rfc3339(clock::unix_ns());
    format!("{now} stderr F [mini: {bytes} bytes of output are missing here: {reason}]\n")
        .into_bytes()
}

/// How much of a program's output some lines of the log are.
pub(crate) fn output_bytes(lines: &[u8]) -> u64 {
    lines
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            let mut fields = line.splitn(4, |byte| *byte == b' ');
            let tag = fields.nth(2).unwrap_or_default();
            let text = fields.next().unwrap_or_default().len() as u64;
            // The newline of a part is ours.
            text.saturating_sub(u64::from(tag == b"P"))
        })
        .sum()
}

/// Length of the first line, with its end.
pub(crate) fn first_line(lines: &[u8]) -> usize {
    lines
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(lines.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_lines_is_what_is_counted() {
        let lines = b"2026-01-31T10:00:00.123456789Z stdout F one two\n2026-01-31T10:00:00.123456789Z stderr P half\n";
        assert_eq!(output_bytes(lines), 8 + 4);
        assert_eq!(output_bytes(b""), 0);
        assert_eq!(output_bytes(b"nonsense"), 0);
    }

    #[test]
    fn a_gap_is_a_line_like_others() {
        let line = String::from_utf8(gap_line(7, "no space left on device")).unwrap();
        assert!(
            line.ends_with(
                "Z stderr F [mini: 7 bytes of output are missing here: no space left on device]\n"
            ),
            "{line}"
        );
    }
}
