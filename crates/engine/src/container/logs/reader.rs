//! Reading a log forward, over rotated files, and putting it into the form that clients want.

use std::{collections::VecDeque, io, path::PathBuf};

use super::{
    files::{self, LogFile},
    locate::{Located, Locator},
    record::{PerStream, Record},
    select::Selection,
};

/// How much is read from a file at once; more than the longest record.
const BLOCK_BYTES: usize = 64 * 1024;
/// So much output is handed over at once.
const BATCH_BYTES: usize = 128 * 1024;
/// So much is read before control is given back, also when nothing of it is wanted.
const STEP_BYTES: usize = 8 * 1024 * 1024;

/// So many files are held open at most: a follower that is further behind than these, and than the shim keeps files,
/// loses what is between. Their room on the disk is free only when they are closed.
const MOST_HELD: usize = 8;

/// What the output looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Format {
    /// Each piece has a header that names its stream; without it both are one raw stream, as of a terminal.
    pub(crate) multiplexed: bool,
    /// Each line begins with its time.
    pub(crate) timestamps: bool,
}

/// What one reading brought.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// In the wanted form; may be empty.
    pub(super) output: Vec<u8>,
    /// Whether there is more.
    pub(super) then: Then,
}

/// What follows a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Then {
    /// There may be more at once.
    #[default]
    More,
    /// There is no more for now.
    Wait,
    /// There will never be more.
    End,
}

/// A place in a log. Everything blocks.
#[derive(Debug)]
pub(super) struct LogReader {
    log: PathBuf,
    selection: Selection,
    format: Format,
    follow: bool,
    locator: Option<Locator>,
    /// Those that are not read to their end, the oldest first.
    files: VecDeque<Open>,
    /// A line has begun and not ended.
    in_line: PerStream<bool>,
    block: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    file: LogFile,
    position: u64,
    /// What comes after it was written later than the reading began.
    end: u64,
    /// In the middle of a damaged record that is longer than any can be.
    skipping: bool,
}

impl LogReader {
    /// Opens a log as it is now; one that is not there is empty. With `follow` what is written later is read too.
    ///
    /// # Errors
    /// Those of the files.
    pub(super) fn open(
        log: PathBuf,
        selection: Selection,
        format: Format,
        follow: bool,
    ) -> io::Result<Self> {
        let files = files::open_newer_than(&log, None)?;
        Ok(Self {
            log,
            selection,
            format,
            follow,
            locator: Some(Locator::new(files)),
            files: VecDeque::new(),
            in_line: PerStream::default(),
            block: Vec::new(),
        })
    }

    /// Reads on.
    ///
    /// # Errors
    /// Those of the files.
    pub(super) fn read(&mut self) -> io::Result<Batch> {
        let mut batch = Batch::default();
        let mut budget = STEP_BYTES;
        while let Some(locator) = &mut self.locator {
            if let Some(located) = locator.step(&self.selection)? {
                self.begin_at(located);
            }
            budget = budget.saturating_sub(BLOCK_BYTES);
            if budget == 0 {
                return Ok(batch);
            }
        }
        // Before the shim removes them, however long the client takes with what is read now.
        self.hold_newer()?;
        while batch.output.len() < BATCH_BYTES && budget > 0 {
            let read = self.read_block()?;
            budget = budget.saturating_sub(read);
            if read > 0 {
                if self.take_records(read, &mut batch.output) {
                    batch.then = Then::End;
                    break;
                }
                continue;
            }
            if self.files.len() > 1 {
                self.files.pop_front();
            } else if !self.hold_newer()? {
                batch.then = if self.follow { Then::Wait } else { Then::End };
                break;
            }
        }
        Ok(batch)
    }

    fn begin_at(&mut self, located: Located) {
        self.locator = None;
        self.files = located.files.into_iter().map(Open::whole).collect();
        if let Some(first) = self.files.front_mut() {
            first.position = located.position;
        }
        if !self.follow {
            for open in &mut self.files {
                open.end = open.file.length;
            }
        }
    }

    /// Opens files that have come after the newest known one; returns whether there are any. Nothing more is written to
    /// the one before them then: what is read of it from here on is all of it.
    fn hold_newer(&mut self) -> io::Result<bool> {
        if !self.follow || self.files.len() >= MOST_HELD {
            return Ok(false);
        }
        let known = self.files.back().map(|open| open.file.id);
        if known.is_some() && known == files::current(&self.log)? {
            return Ok(false);
        }
        let newer = files::open_newer_than(&self.log, known)?;
        let any = !newer.is_empty();
        self.files.extend(newer.into_iter().rev().map(Open::whole));
        Ok(any)
    }

    /// Fills the block with whole records of the current file; returns how many bytes they are.
    fn read_block(&mut self) -> io::Result<usize> {
        let Some(open) = self.files.front_mut() else {
            return Ok(0);
        };
        self.block.resize(BLOCK_BYTES, 0);
        let left = usize::try_from(open.end.saturating_sub(open.position)).unwrap_or(usize::MAX);
        let room = self.block.len().min(left);
        let read = open.file.read_at(
            self.block.get_mut(..room).unwrap_or_default(),
            open.position,
        )?;
        let filled = self.block.get(..read).unwrap_or_default();
        let whole = match filled.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if read == BLOCK_BYTES => read,
            None => 0,
        };
        open.position += whole as u64;
        Ok(whole)
    }

    /// Puts the records of the block into the output. Returns whether one came that is later than what is wanted.
    fn take_records(&mut self, length: usize, output: &mut Vec<u8>) -> bool {
        let mut records = self.block.get(..length).unwrap_or_default();
        let Some(open) = self.files.front_mut() else {
            return false;
        };
        while !records.is_empty() {
            let end = records.iter().position(|byte| *byte == b'\n');
            let (line, rest) = records.split_at(end.map_or(records.len(), |end| end + 1));
            records = rest;
            let damaged = std::mem::replace(&mut open.skipping, end.is_none());
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let Some(record) = Record::parse(line).filter(|_| !damaged && end.is_some()) else {
                continue;
            };
            if self.selection.is_after(&record) {
                return true;
            }
            if self.selection.wants(record.stream) && !self.selection.is_before(&record) {
                let continues = self.in_line.of_mut(record.stream);
                put(output, &record, *continues, self.format);
                *continues = !record.ends_line;
            }
        }
        false
    }
}

impl Open {
    fn whole(file: LogFile) -> Self {
        Self {
            file,
            position: 0,
            end: u64::MAX,
            skipping: false,
        }
    }
}

/// Puts a record into the output.
fn put(output: &mut Vec<u8>, record: &Record<'_>, continues: bool, format: Format) {
    let time = if format.timestamps && !continues {
        record.time
    } else {
        b""
    };
    let space: &[u8] = if time.is_empty() { b"" } else { b" " };
    let line_end: &[u8] = if record.ends_line { b"\n" } else { b"" };
    let parts = [time, space, record.text, line_end];
    if format.multiplexed {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        // A record is never longer than a block.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        output.extend_from_slice(&[record.stream.number(), 0, 0, 0]);
        output.extend_from_slice(&length.to_be_bytes());
    }
    for part in parts {
        output.extend_from_slice(part);
    }
}
