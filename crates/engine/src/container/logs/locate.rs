//! Where in a log to begin: found backwards from its end, so that the last lines of a long log cost what they are long.

use std::io;

use super::{
    files::LogFile,
    record::{PerStream, Record},
    select::Selection,
};

/// How much is read at once.
const BLOCK_BYTES: u64 = 64 * 1024;

/// A search for the first record to deliver.
#[derive(Debug)]
pub(super) struct Locator {
    /// The newest first.
    files: Vec<LogFile>,
    /// Which of them is looked at, and up to where it has not been yet.
    current: usize,
    unread: Option<u64>,
    /// Its last line's end has been seen.
    aligned: bool,
    /// The end of a record that begins further back.
    fragment: Vec<u8>,
    lines: u64,
    /// A later part of a line of the stream has been seen.
    seen: PerStream<bool>,
}

/// Where to begin.
#[derive(Debug)]
pub(super) struct Located {
    /// The files to read, the oldest first.
    pub(super) files: Vec<LogFile>,
    /// Where in the oldest.
    pub(super) position: u64,
}

enum Seen {
    Before,
    Wanted,
}

impl Locator {
    /// Begins at the end of these files, which come newest first.
    pub(super) fn new(files: Vec<LogFile>) -> Self {
        Self {
            files,
            current: 0,
            unread: None,
            aligned: false,
            fragment: Vec::new(),
            lines: 0,
            seen: PerStream::default(),
        }
    }

    /// Looks at one more block. Returns where to begin once that is found.
    pub(super) fn step(&mut self, selection: &Selection) -> io::Result<Option<Located>> {
        if !selection.has_beginning() {
            self.current = self.files.len();
        }
        let Some(file) = self.files.get(self.current) else {
            return Ok(Some(self.located(0)));
        };
        let end = self.unread.unwrap_or(file.length);
        let start = end.saturating_sub(BLOCK_BYTES);
        let mut block = vec![0; usize::try_from(end - start).unwrap_or(0)];
        let read = file.read_at(&mut block, start)?;
        block.truncate(read);
        if self.aligned {
            block.append(&mut self.fragment);
        } else {
            // What follows the last line's end is being written right now: it is read going forward.
            let whole = block.iter().rposition(|byte| *byte == b'\n');
            block.truncate(whole.map_or(0, |at| at + 1));
            self.aligned = whole.is_some();
        }
        let first = if start == 0 {
            0
        } else {
            // The record that this block begins in the middle of is looked at with the block before.
            let end_of_first = block.iter().position(|byte| *byte == b'\n');
            end_of_first.map_or(block.len(), |at| at + 1)
        };
        let end_of_wanted = self.scan(block.get(first..).unwrap_or_default(), selection);
        if let Some(offset) = end_of_wanted {
            return Ok(Some(self.located(start + (first + offset) as u64)));
        }
        if start == 0 {
            self.current += 1;
            self.unread = None;
            self.aligned = false;
            self.fragment.clear();
        } else {
            self.unread = Some(start);
            block.truncate(first);
            if block.len() as u64 > 2 * BLOCK_BYTES {
                // No record is as long: the file is damaged here. Its end alone stands for it.
                block.drain(..block.len() - 1);
            }
            self.fragment = block;
        }
        Ok(None)
    }

    /// Goes through whole records backwards. Returns the end of the first one that is not to be delivered.
    fn scan(&mut self, records: &[u8], selection: &Selection) -> Option<usize> {
        let mut end = records.len();
        if selection.tail == Some(0) {
            return Some(end);
        }
        while end > 0 {
            let line = records.get(..end - 1).unwrap_or_default();
            let start = line
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            if let Some(record) = line.get(start..).and_then(Record::parse)
                && let Seen::Before = self.look_at(&record, selection)
            {
                return Some(end);
            }
            end = start;
        }
        None
    }

    fn look_at(&mut self, record: &Record<'_>, selection: &Selection) -> Seen {
        if selection.is_before(record) {
            return Seen::Before;
        }
        if !selection.wants(record.stream) || selection.is_after(record) {
            return Seen::Wanted;
        }
        let seen = self.seen.of_mut(record.stream);
        // A part belongs to the line of the record that follows it in its stream.
        if record.ends_line || !*seen {
            if selection.tail.is_some_and(|most| self.lines >= most) {
                return Seen::Before;
            }
            self.lines += 1;
        }
        *seen = true;
        Seen::Wanted
    }

    fn located(&mut self, position: u64) -> Located {
        let mut files = std::mem::take(&mut self.files);
        files.truncate(self.current + 1);
        files.reverse();
        Located { files, position }
    }
}
