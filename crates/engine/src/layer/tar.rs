//! A tar reader for bytes from strangers.
//!
//! Reads ustar, pax, GNU (long names, both sparse forms) and V7. It is our own because a layer is hostile input: extended
//! headers are bounded, numbers and sparse maps are checked, and nothing is guessed. Where formats leave room it follows
//! Go's `archive/tar`, the reader behind dockerd and containerd, so that both engines see the same tree.
//!
//! Source: POSIX.1-2024 pax; GNU tar manual, "Basic Tar Format" and "Storing Sparse Files".

use std::io::{self, Read};

mod header;
mod pax;
mod write;

use header::{BLOCK, Header};
pub(crate) use pax::PaxRecords;
pub(crate) use write::{Member, TarWriter};

/// Most bytes of one extended header or long name; the same bound as Go's reader.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;
/// Most segments of one sparse file.
const MAX_SEGMENTS: usize = 1 << 16;

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TarError {
    /// The stream itself could not be read.
    #[error("read archive: {0}")]
    Read(#[source] io::Error),
    /// The bytes are no tar archive, or one that lies.
    #[error("read archive: {0}")]
    Malformed(String),
}

impl TarError {
    fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed(what.into())
    }
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    Fifo,
    CharDevice,
    BlockDevice,
}

/// A run of data in a sparse file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// One member of the archive, its extended headers applied.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    /// Target of a link, as written.
    pub(crate) link: Vec<u8>,
    /// Permission bits, with set-uid, set-gid and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime_seconds: i64,
    pub(crate) mtime_nanoseconds: u32,
    /// Length of the file as the reader of the file sees it, holes included.
    pub(crate) size: u64,
    /// Where the data belongs, for a sparse file.
    pub(crate) segments: Option<Vec<Segment>>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads entries one after the other; the data of the current one is read through `Read`.
pub(crate) struct TarReader<R> {
    inner: R,
    /// Unread bytes of the current entry's data.
    remaining: u64,
    /// Zero bytes between that data and the next header.
    padding: u64,
    finished: bool,
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            remaining: 0,
            padding: 0,
            finished: false,
        }
    }

    pub(crate) fn into_inner(self) -> R {
        self.inner
    }

    /// The next entry, or `None` at the end of the archive. Skips what is left of the current entry.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let mut pax = PaxRecords::default();
        let (mut long_path, mut long_link) = (None, None);
        loop {
            let Some(header) = self.next_header()? else {
                return Ok(None);
            };
            match header.kind_byte() {
                b'x' | b'X' => pax = PaxRecords::parse(&self.extension(&header)?)?,
                // Go and dockerd do not apply global headers; neither do we.
                b'g' | b'V' => {
                    let size = header.size()?;
                    self.set_data(size);
                    self.skip_data()?;
                }
                b'L' => long_path = Some(until_nul(self.extension(&header)?)),
                b'K' => long_link = Some(until_nul(self.extension(&header)?)),
                _ => return self.entry(&header, &pax, long_path, long_link).map(Some),
            }
        }
    }

    fn entry(
        &mut self,
        header: &Header,
        pax: &PaxRecords,
        long_path: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry, TarError> {
        let path = pax.path()?.or(long_path).unwrap_or_else(|| header.path());
        let link = pax.link()?.or(long_link).unwrap_or_else(|| header.link());
        let kind = match header.kind_byte() {
            b'0' | 0 | b'7' if path.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharDevice,
            b'4' => Kind::BlockDevice,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => {
                return Err(TarError::malformed(format!(
                    "entry type {:?} is not supported",
                    char::from(other)
                )));
            }
        };
        if path.is_empty() {
            return Err(TarError::malformed("an entry has no name"));
        }
        let stored = match pax.size()? {
            Some(size) => size,
            None => header.size()?,
        };
        // Only files have data, whatever the size field says.
        self.set_data(if kind == Kind::File { stored } else { 0 });
        let (segments, size) = self.sparse(header, pax, stored)?;
        let (mtime_seconds, mtime_nanoseconds) = match pax.mtime()? {
            Some(time) => time,
            None => (header.mtime()?, 0),
        };
        Ok(Entry {
            path,
            kind,
            link,
            mode: header.mode()?,
            uid: identity(pax.number("uid")?, header.uid()?)?,
            gid: identity(pax.number("gid")?, header.gid()?)?,
            mtime_seconds,
            mtime_nanoseconds,
            size: if kind == Kind::File { size } else { 0 },
            segments,
            xattrs: pax.xattrs(),
        })
    }

    /// The map of a sparse file and its real size; for any other file no map and `stored`.
    fn sparse(
        &mut self,
        header: &Header,
        pax: &PaxRecords,
        stored: u64,
    ) -> Result<(Option<Vec<Segment>>, u64), TarError> {
        let (map, size) = if header.kind_byte() == b'S' {
            let (mut map, mut extended) = header.sparse_map()?;
            while extended {
                let block = self.raw_block()?;
                extended = header::extended_sparse_map(&block, &mut map)?;
                if map.len() > MAX_SEGMENTS {
                    return Err(TarError::malformed("a sparse file has too many segments"));
                }
            }
            (map, header.real_size()?)
        } else if let Some(size) = pax.sparse_size()? {
            let map = match pax.sparse_map()? {
                Some(map) => map,
                None => self.sparse_map_in_data()?,
            };
            (map, size)
        } else {
            return Ok((None, stored));
        };
        let mut end = 0_u64;
        let mut data = 0_u64;
        for segment in &map {
            let segment_end = segment.offset.checked_add(segment.length);
            match segment_end {
                Some(segment_end) if segment.offset >= end && segment_end <= size => {
                    end = segment_end;
                    data += segment.length;
                }
                _ => return Err(TarError::malformed("a sparse file's map is not in order")),
            }
        }
        if data != self.remaining {
            return Err(TarError::malformed(
                "a sparse file's map does not fit its data",
            ));
        }
        Ok((Some(map), size))
    }

    /// The pax 1.0 form: decimal numbers, one a line, at the start of the data, filled up to a block.
    fn sparse_map_in_data(&mut self) -> Result<Vec<Segment>, TarError> {
        let mut text = Vec::new();
        let count = self.lines(&mut text, 1)?.first().copied().unwrap_or(0);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > MAX_SEGMENTS {
            return Err(TarError::malformed("a sparse file has too many segments"));
        }
        let numbers = self.lines(&mut text, 1 + 2 * count)?;
        Ok(numbers
            .get(1..=2 * count)
            .unwrap_or_default()
            .chunks_exact(2)
            .map(|pair| Segment {
                offset: pair[0],
                length: pair[1],
            })
            .collect())
    }

    /// Reads blocks of data to the end of `text` until it has so many lines; their numbers.
    fn lines(&mut self, text: &mut Vec<u8>, wanted: usize) -> Result<Vec<u64>, TarError> {
        let line_ends = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').count() - 1;
        let mut lines = line_ends(text);
        while lines < wanted {
            let mut block = [0; BLOCK];
            self.read_exact(&mut block).map_err(TarError::Read)?;
            lines += line_ends(&block);
            text.extend_from_slice(&block);
        }
        pax::decimal_lines(text)
    }

    /// The data of an extended header or long name.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, TarError> {
        let size = header.size()?;
        if size > MAX_EXTENSION_BYTES {
            return Err(TarError::malformed(
                "an extended header is larger than 1 MiB",
            ));
        }
        self.set_data(size);
        let mut data = Vec::new();
        self.read_to_end(&mut data).map_err(TarError::Read)?;
        Ok(data)
    }

    fn next_header(&mut self) -> Result<Option<Header>, TarError> {
        if self.finished {
            return Ok(None);
        }
        self.skip_data()?;
        let Some(block) = self.block_or_end()? else {
            self.finished = true;
            return Ok(None);
        };
        if block.iter().any(|byte| *byte != 0) {
            return Header::checked(&block).map(Some);
        }
        // Two blocks of zeros end an archive; GNU tar also takes one before the end of the file.
        self.finished = true;
        match self.block_or_end()? {
            Some(second) if second.iter().any(|byte| *byte != 0) => {
                Err(TarError::malformed("a header follows a block of zeros"))
            }
            _ => Ok(None),
        }
    }

    fn block_or_end(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(TarError::malformed("the archive is cut short")),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(error)),
            }
        }
        Ok(Some(block))
    }

    fn raw_block(&mut self) -> Result<[u8; BLOCK], TarError> {
        self.block_or_end()?
            .ok_or_else(|| TarError::malformed("the archive is cut short"))
    }

    fn set_data(&mut self, size: u64) {
        self.remaining = size;
        let block = BLOCK as u64;
        self.padding = (block - size % block) % block;
    }

    fn skip_data(&mut self) -> Result<(), TarError> {
        let skip = self.remaining.saturating_add(self.padding);
        let skipped =
            io::copy(&mut (&mut self.inner).take(skip), &mut io::sink()).map_err(TarError::Read)?;
        (self.remaining, self.padding) = (0, 0);
        if skipped < skip {
            return Err(TarError::malformed("the archive is cut short"));
        }
        Ok(())
    }
}

impl<R: Read> Read for TarReader<R> {
    /// Reads the current entry's stored data; 0 at its end. A stream that ends before is an error.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.remaining)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the archive is cut short",
            ));
        }
        self.remaining -= count as u64;
        Ok(count)
    }
}

fn identity(pax: Option<u64>, header: u64) -> Result<u32, TarError> {
    // The largest value means "leave unchanged" to chown: never an owner.
    match u32::try_from(pax.unwrap_or(header)) {
        Ok(id) if id != u32::MAX => Ok(id),
        _ => Err(TarError::malformed("an owner is out of range")),
    }
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

#[cfg(test)]
mod tests;
