//! What a terminal wrote last, by offset from its beginning.

use std::collections::VecDeque;

/// Kept at most, in bytes; also how far the client may be behind before the program waits.
pub(super) const KEPT: usize = 256 * 1024;

/// The newest [`KEPT`] bytes.
#[derive(Debug, Default)]
pub(super) struct Ring {
    bytes: VecDeque<u8>,
    /// Offset after the last byte.
    end: u64,
}

impl Ring {
    /// Appends; the oldest bytes go.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let over = self.bytes.len().saturating_sub(KEPT);
        self.bytes.drain(..over);
        self.end += bytes.len() as u64;
    }

    /// Offset after the last byte.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Offset of the first byte that is kept.
    pub(super) fn begin(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    /// At most `most` bytes from `offset` on, with the offset that they really begin at: later when older ones are gone,
    /// the end when it is not reached yet.
    pub(super) fn read(&self, offset: u64, most: usize) -> (u64, Vec<u8>) {
        let from = offset.clamp(self.begin(), self.end);
        let skip = usize::try_from(from - self.begin()).unwrap_or(usize::MAX);
        (
            from,
            self.bytes.iter().skip(skip).take(most).copied().collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_bytes_are_kept_with_their_offsets() {
        let mut ring = Ring::default();
        ring.push(b"hello");
        assert_eq!(ring.read(1, 3), (1, b"ell".to_vec()));
        ring.push(&vec![b'x'; KEPT]);
        assert_eq!((ring.begin(), ring.end()), (5, 5 + KEPT as u64));
        assert_eq!(ring.read(0, 2), (5, b"xx".to_vec()));
        assert_eq!(ring.read(u64::MAX, 2), (ring.end(), Vec::new()));
    }

    proptest::proptest! {
        #[test]
        fn reading_in_pieces_gives_what_was_written(pieces in proptest::collection::vec(proptest::collection::vec(0_u8..255, 0..50), 0..20)) {
            let mut ring = Ring::default();
            for piece in &pieces {
                ring.push(piece);
            }
            let mut read = Vec::new();
            while (read.len() as u64) < ring.end() {
                let (at, bytes) = ring.read(read.len() as u64, 7);
                proptest::prop_assert_eq!(at, read.len() as u64);
                read.extend(bytes);
            }
            proptest::prop_assert_eq!(read, pieces.concat());
        }
    }
}
