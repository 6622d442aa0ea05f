//! The newest part of one container's log, in memory, for every reader of it.
//!
//! Lines are kept in chunks: what came within one tick, at most 32 KiB. A chunk has a number and is one `delta` to every
//! reader. The ring forgets the oldest chunks beyond 4 MiB; a reader that was not quick enough sees how much it missed.

use std::{collections::VecDeque, sync::Arc};

use super::{cursor::Cursor, line::Line};
use crate::live::{Pulse, new_epoch};

/// Text kept per container.
pub(super) const RING_BYTES: usize = 4 * 1024 * 1024;
/// Text of one chunk.
const CHUNK_BYTES: usize = 32 * 1024;
/// What a line costs beside its text.
const LINE_OVERHEAD: usize = 64;

/// What came within one tick.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) seq: u64,
    batch: u64,
    /// Number of its first line.
    pub(super) first: u64,
    pub(super) lines: Vec<Line>,
    pub(super) bytes: usize,
    /// The container started anew after these lines.
    pub(super) restarted: bool,
    /// A reader of everything up to here stands at this place.
    pub(super) cursor: Cursor,
}

/// The newest chunks of one log.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) epoch: Arc<str>,
    pulse: Pulse,
    pub(super) chunks: VecDeque<Chunk>,
    seq: u64,
    next_line: u64,
    bytes: usize,
    pub(super) cursor: Cursor,
    /// Place before the first chunk, and whether lines before it exist.
    pub(super) base: Cursor,
    pub(super) older: bool,
    /// Time of the last line that was forgotten.
    pub(super) forgotten: Option<i64>,
}

impl Ring {
    /// An empty ring that continues after `base`.
    pub(super) fn new(pulse: Pulse, base: Cursor) -> Self {
        Self {
            epoch: new_epoch(),
            pulse,
            chunks: VecDeque::new(),
            seq: 0,
            next_line: 0,
            bytes: 0,
            cursor: base,
            base,
            older: false,
            forgotten: None,
        }
    }

    /// Adds a line.
    pub(super) fn push(&mut self, line: Line) {
        self.cursor.advance(line.at_ns, line.stream);
        let cost = line.text.len() + LINE_OVERHEAD;
        let number = self.next_line;
        self.next_line += 1;
        self.bytes += cost;
        let cursor = self.cursor;
        let chunk = self.open_chunk(number);
        chunk.bytes += cost;
        chunk.lines.push(line);
        chunk.cursor = cursor;
        while self.bytes > RING_BYTES && self.chunks.len() > 1 {
            self.forget();
        }
        self.pulse.mark();
    }

    /// The container started anew after what is here.
    pub(super) fn mark_restart(&mut self) {
        let number = self.next_line;
        self.open_chunk(number).restarted = true;
        self.pulse.mark();
    }

    /// Something beside the lines changed: let readers look.
    pub(super) fn stir(&self) {
        self.pulse.mark();
    }

    fn open_chunk(&mut self, number: u64) -> &mut Chunk {
        let batch = self.pulse.batch();
        let open =
            |chunk: &Chunk| chunk.batch == batch && chunk.bytes < CHUNK_BYTES && !chunk.restarted;
        if !self.chunks.back().is_some_and(open) {
            self.seq += 1;
            let (seq, cursor) = (self.seq, self.cursor);
            self.chunks.push_back(Chunk {
                seq,
                batch,
                first: number,
                lines: Vec::new(),
                bytes: 0,
                restarted: false,
                cursor,
            });
        }
        let last = self.chunks.len() - 1;
        &mut self.chunks[last]
    }

    fn forget(&mut self) {
        if let Some(chunk) = self.chunks.pop_front() {
            self.bytes -= chunk.bytes;
            self.base = chunk.cursor;
            self.older = true;
            self.forgotten = chunk.lines.last().map(|line| line.at_ns).or(self.forgotten);
        }
    }

    /// Number of the newest chunk that will not grow any more.
    pub(super) fn told(&self) -> u64 {
        match self.chunks.back() {
            Some(chunk) if chunk.batch == self.pulse.batch() => chunk.seq - 1,
            _ => self.seq,
        }
    }

    /// Chunks after number `last` that will not grow any more.
    pub(super) fn after(&self, last: u64) -> impl Iterator<Item = &Chunk> {
        let told = self.told();
        let skip = self
            .chunks
            .front()
            .map_or(0, |first| (last + 1).saturating_sub(first.seq));
        self.chunks
            .iter()
            .skip(usize::try_from(skip).unwrap_or(usize::MAX))
            .take_while(move |c| c.seq <= told)
    }

    /// Number before the first chunk kept.
    pub(super) fn floor(&self) -> u64 {
        self.chunks.front().map_or(self.seq, |first| first.seq - 1)
    }

    /// Text after chunk `last`, in bytes.
    pub(super) fn bytes_after(&self, last: u64) -> usize {
        self.chunks
            .iter()
            .rev()
            .take_while(|chunk| chunk.seq > last)
            .map(|chunk| chunk.bytes)
            .sum()
    }

    /// Number of the line that comes next.
    pub(super) fn next_line(&self) -> u64 {
        self.next_line
    }
}
