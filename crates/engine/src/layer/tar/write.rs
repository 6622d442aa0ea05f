//! A tar writer whose bytes depend on nothing but what it is given.
//!
//! Members are ustar where that can hold them; what it cannot (long names, large numbers, attributes) goes before them as
//! pax records, as Go's writer does. Times are whole seconds, as in every layer that dockerd writes.

use std::io::{self, Read, Write};

use super::{Kind, header::BLOCK};

/// One member of an archive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'a> {
    /// A directory's may end with a slash or not.
    pub(crate) path: &'a [u8],
    pub(crate) kind: Kind,
    /// Target of a link.
    pub(crate) link: &'a [u8],
    /// Permission bits, with set-uid, set-gid and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since the Unix epoch.
    pub(crate) mtime_seconds: i64,
    /// Bytes of data that follow; only files have some.
    pub(crate) size: u64,
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
    /// Extended attributes, in the order in which they are written.
    pub(crate) xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

/// Writes an archive.
#[derive(Debug)]
pub(crate) struct TarWriter<W> {
    inner: W,
}

impl<W: Write> TarWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner }
    }

    /// Writes what precedes a member's data. For a file, [`TarWriter::data`] must follow.
    pub(crate) fn member(&mut self, member: &Member<'_>) -> io::Result<()> {
        let mut path = member.path.to_vec();
        if member.kind == Kind::Directory && !path.ends_with(b"/") {
            path.push(b'/');
        }
        let mut pax = Vec::new();
        let mut block = [0; BLOCK];
        if let Some((prefix, name)) = split(&path) {
            put(&mut block, 0, name);
            put(&mut block, 345, prefix);
        } else {
            record(&mut pax, b"path", &path);
            put(&mut block, 0, &path[..100]);
        }
        if member.link.len() > 100 {
            record(&mut pax, b"linkpath", member.link);
        }
        put(&mut block, 157, &member.link[..member.link.len().min(100)]);
        octal(&mut block, 100, 8, u64::from(member.mode & 0o7777));
        for (offset, width, key, value) in [
            (108, 8, "uid", u64::from(member.uid)),
            (116, 8, "gid", u64::from(member.gid)),
            (124, 12, "size", member.size),
        ] {
            if !octal(&mut block, offset, width, value) {
                record(&mut pax, key.as_bytes(), value.to_string().as_bytes());
            }
        }
        let mtime = u64::try_from(member.mtime_seconds).ok();
        if !mtime.is_some_and(|mtime| octal(&mut block, 136, 12, mtime)) {
            octal(&mut block, 136, 12, 0);
            let text = member.mtime_seconds.to_string();
            record(&mut pax, b"mtime", text.as_bytes());
        }
        octal(&mut block, 329, 8, u64::from(member.device.0));
        octal(&mut block, 337, 8, u64::from(member.device.1));
        for (name, value) in member.xattrs {
            record(
                &mut pax,
                &[b"SCHILY.xattr.", name.as_slice()].concat(),
                value,
            );
        }
        block[156] = match member.kind {
            Kind::File => b'0',
            Kind::HardLink => b'1',
            Kind::Symlink => b'2',
            Kind::CharDevice => b'3',
            Kind::BlockDevice => b'4',
            Kind::Directory => b'5',
            Kind::Fifo => b'6',
        };
        if !pax.is_empty() {
            self.extended(&path, &pax)?;
        }
        self.header(&mut block)
    }

    /// Writes a file's data from `source`. What has become shorter since its size was taken is filled up with zeros, and
    /// what has become longer is cut: an archive must be what its headers say.
    pub(crate) fn data(
        &mut self,
        source: &mut impl Read,
        size: u64,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let mut remaining = size;
        while remaining > 0 {
            let most = usize::try_from(remaining)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let count = match source.read(&mut buffer[..most]) {
                Ok(0) => {
                    buffer[..most].fill(0);
                    most
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.inner.write_all(&buffer[..count])?;
            remaining -= count as u64;
        }
        self.pad(size)
    }

    /// Writes the end of the archive.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&[0; 2 * BLOCK])?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn extended(&mut self, path: &[u8], records: &[u8]) -> io::Result<()> {
        let mut block = [0; BLOCK];
        // Readers that know no pax show a file of this name.
        let base = path.strip_suffix(b"/").unwrap_or(path);
        let base = base.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let name = [b"PaxHeaders.0/", &base[..base.len().min(80)]].concat();
        put(&mut block, 0, &name);
        octal(&mut block, 100, 8, 0o644);
        for (offset, width, value) in [(108, 8, 0), (116, 8, 0), (136, 12, 0)] {
            octal(&mut block, offset, width, value);
        }
        octal(&mut block, 124, 12, records.len() as u64);
        block[156] = b'x';
        self.header(&mut block)?;
        self.inner.write_all(records)?;
        self.pad(records.len() as u64)
    }

    fn header(&mut self, block: &mut [u8; BLOCK]) -> io::Result<()> {
        put(block, 257, b"ustar\x0000");
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        // Six digits, a zero byte, a space.
        put(block, 148, format!("{sum:06o}\0").as_bytes());
        self.inner.write_all(block.as_slice())
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
        match over {
            0 => Ok(()),
            over => self.inner.write_all(&[0; BLOCK][over..]),
        }
    }
}

/// The path as ustar's prefix and name; `None` when it does not fit.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((b"", path));
    }
    let earliest = path.len() - 101;
    // The slash itself is in neither; a directory's own one stays with its name.
    let slash = (earliest..path.len() - 1).find(|index| path[*index] == b'/')?;
    (slash <= 155 && slash > 0).then(|| (&path[..slash], &path[slash + 1..]))
}

fn put(block: &mut [u8; BLOCK], offset: usize, bytes: &[u8]) {
    block[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// Writes a number in octal with a zero byte behind it; `false` when it does not fit, with zero in its place.
fn octal(block: &mut [u8; BLOCK], offset: usize, width: usize, value: u64) -> bool {
    let digits = width - 1;
    let fits = value < 1 << (3 * digits);
    let value = if fits { value } else { 0 };
    put(block, offset, format!("{value:0digits$o}\0").as_bytes());
    fits
}

/// Appends `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} ").as_bytes());
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layer::tar::TarReader;

    fn member(path: &[u8], kind: Kind) -> Member<'_> {
        Member {
            path,
            kind,
            link: b"",
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime_seconds: 0,
            size: 0,
            device: (0, 0),
            xattrs: &[],
        }
    }

    fn written(member: &Member<'_>, data: &[u8]) -> Vec<u8> {
        let mut writer = TarWriter::new(Vec::new());
        writer.member(member).unwrap();
        if member.kind == Kind::File {
            writer
                .data(&mut &data[..], member.size, &mut [0; 100])
                .unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn a_plain_file_is_one_header_and_its_data() {
        let file = Member {
            size: 3,
            ..member(b"a", Kind::File)
        };
        let archive = written(&file, b"xyz");
        assert_eq!(archive.len(), 4 * BLOCK);
        assert_eq!(&archive[BLOCK..BLOCK + 4], b"xyz\0");
        // The reader that others use agrees.
        let mut other = tar::Archive::new(archive.as_slice());
        let entry = other.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("a"));
        assert_eq!(entry.header().mode().unwrap(), 0o644);
    }

    #[test]
    fn names_of_every_length_come_back() {
        for length in 1..600 {
            for slash in [0, 1, 50, 100, 150, 154, 155, 156] {
                let mut path = vec![b'n'; length];
                if slash > 0 && slash + 1 < length {
                    path[slash] = b'/';
                }
                for kind in [Kind::File, Kind::Directory] {
                    let archive = written(&member(&path, kind), b"");
                    let entry = TarReader::new(archive.as_slice())
                        .next_entry()
                        .unwrap()
                        .unwrap();
                    assert_eq!(entry.path.strip_suffix(b"/").unwrap_or(&entry.path), path);
                    assert_eq!(entry.kind, kind);
                }
            }
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_spoils_nothing() {
        let five = Member {
            size: 5,
            ..member(b"a", Kind::File)
        };
        assert_eq!(&written(&five, b"abc")[BLOCK..BLOCK + 6], b"abc\0\0\0");
        assert_eq!(&written(&five, b"abcdefgh")[BLOCK..BLOCK + 6], b"abcde\0");
    }

    proptest! {
        #[test]
        fn the_reader_gives_back_what_was_written(
            path in "[a-zA-Zäß0-9._-]{1,60}(/[a-zA-Z0-9._ -]{1,60}){0,6}", link in "[^\0]{1,200}",
            mode in 0..=0o7777_u32, uid in 0..u32::MAX, gid in 0..u32::MAX, mtime_seconds: i64,
            data in proptest::collection::vec(any::<u8>(), 0..1200),
            xattrs in proptest::collection::vec(("user\\.[a-z]{1,9}", proptest::collection::vec(any::<u8>(), 0..40)), 0..3),
            symlink: bool,
        ) {
            let xattrs: std::collections::BTreeMap<_, _> =
                xattrs.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
            let xattrs: Vec<_> = xattrs.into_iter().collect();
            let member = Member {
                path: path.as_bytes(),
                kind: if symlink { Kind::Symlink } else { Kind::File },
                link: if symlink { link.as_bytes() } else { b"" },
                mode, uid, gid, mtime_seconds,
                size: if symlink { 0 } else { data.len() as u64 },
                device: (0, 0),
                xattrs: &xattrs,
            };
            let archive = written(&member, &data);
            prop_assert_eq!(archive.len() % BLOCK, 0);
            let mut reader = TarReader::new(archive.as_slice());
            let entry = reader.next_entry().unwrap().unwrap();
            prop_assert_eq!(&entry.path, member.path);
            prop_assert_eq!(&entry.link, member.link);
            prop_assert_eq!((entry.kind, entry.mode, entry.uid, entry.gid), (member.kind, mode, uid, gid));
            prop_assert_eq!((entry.mtime_seconds, entry.mtime_nanoseconds), (mtime_seconds, 0));
            prop_assert_eq!(&entry.xattrs, &xattrs);
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            prop_assert_eq!(read, if symlink { Vec::new() } else { data });
            prop_assert!(reader.next_entry().unwrap().is_none());
        }
    }
}
