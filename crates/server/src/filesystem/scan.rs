//! A tar archive as it streams by: entries and their content, without holding more than one header.
//!
//! Source: POSIX pax and ustar interchange formats; GNU's long names (`L`, `K`) and base-256 numbers.

use bytes::Bytes;

const BLOCK: usize = 512;
/// Longest extended header, in bytes.
const LONGEST_EXTENDED: u64 = 1024 * 1024;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    HardLink,
    Link,
    Directory,
    Special,
}

/// An entry's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: EntryKind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    /// Seconds since 1970.
    pub(crate) mtime: i64,
    pub(crate) link: String,
}

/// What comes out of the stream.
#[derive(Debug)]
pub(crate) enum Item {
    Entry(Entry),
    /// Content of the entry before.
    Data(Bytes),
}

/// It is no tar archive.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("read the archive: {0}")]
pub(crate) struct NotTar(pub(crate) &'static str);

/// Reads an archive piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    block: Vec<u8>,
    /// Content of the present entry that is still to come, and the padding after it.
    content: u64,
    padding: u64,
    /// The content is an extended header.
    extended: Option<Extended>,
    gathered: Vec<u8>,
    next: Overrides,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extended {
    Pax,
    /// For all that follows; nothing in it concerns us.
    PaxGlobal,
    LongName,
    LongLink,
}

/// What an extended header says of the entry after it.
#[derive(Debug, Default)]
struct Overrides {
    name: Option<String>,
    link: Option<String>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<i64>,
}

impl Scan {
    /// Takes the next piece and appends what it holds to `out`.
    ///
    /// # Errors
    /// [`NotTar`]
    pub(crate) fn push(&mut self, mut piece: Bytes, out: &mut Vec<Item>) -> Result<(), NotTar> {
        while !piece.is_empty() && !self.ended {
            if self.content > 0 {
                let count = usize::try_from(self.content)
                    .unwrap_or(usize::MAX)
                    .min(piece.len());
                let data = piece.split_to(count);
                self.content -= count as u64;
                if self.extended.is_some() {
                    self.gathered.extend_from_slice(&data);
                    if self.content == 0 {
                        self.take_extended()?;
                    }
                } else {
                    out.push(Item::Data(data));
                }
                continue;
            }
            if self.padding > 0 {
                let count = usize::try_from(self.padding)
                    .unwrap_or(usize::MAX)
                    .min(piece.len());
                drop(piece.split_to(count));
                self.padding -= count as u64;
                continue;
            }
            let count = (BLOCK - self.block.len()).min(piece.len());
            self.block.extend_from_slice(&piece.split_to(count));
            if self.block.len() == BLOCK {
                let block = std::mem::take(&mut self.block);
                self.take_header(&block, out)?;
            }
        }
        Ok(())
    }

    fn take_header(&mut self, block: &[u8], out: &mut Vec<Item>) -> Result<(), NotTar> {
        if block.iter().all(|byte| *byte == 0) {
            self.ended = true;
            return Ok(());
        }
        let field = |from: usize, length: usize| block.get(from..from + length).unwrap_or_default();
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| {
                if (148..156).contains(&at) {
                    32
                } else {
                    u64::from(*byte)
                }
            })
            .sum();
        if number(field(148, 8)) != Some(sum) {
            return Err(NotTar("a header's check sum is wrong"));
        }
        let size = number(field(124, 12)).ok_or(NotTar("a size is no number"))?;
        let flag = block.get(156).copied().unwrap_or_default();
        self.extended = match flag {
            b'x' => Some(Extended::Pax),
            b'g' => Some(Extended::PaxGlobal),
            b'L' => Some(Extended::LongName),
            b'K' => Some(Extended::LongLink),
            _ => None,
        };
        if self.extended.is_some() {
            if size > LONGEST_EXTENDED {
                return Err(NotTar("an extended header is too long"));
            }
            self.set_content(size);
            if size == 0 {
                self.extended = None;
            }
            return Ok(());
        }
        let over = std::mem::take(&mut self.next);
        let kind = match flag {
            b'0' | 0 | b'7' => EntryKind::File,
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Link,
            b'5' => EntryKind::Directory,
            b'3' | b'4' | b'6' => EntryKind::Special,
            _ => return Err(NotTar("an entry is of an unknown kind")),
        };
        let prefix = if field(257, 6) == b"ustar\0" {
            text(field(345, 155))
        } else {
            String::new()
        };
        let name = text(field(0, 100));
        let name = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}/{name}")
        };
        let size = if kind == EntryKind::File {
            over.size.unwrap_or(size)
        } else {
            0
        };
        let small = |value: Option<u64>| {
            value
                .and_then(|value| u32::try_from(value).ok())
                .unwrap_or_default()
        };
        out.push(Item::Entry(Entry {
            name: over.name.unwrap_or(name),
            kind,
            mode: small(number(field(100, 8))) & 0o7777,
            uid: over.uid.unwrap_or_else(|| small(number(field(108, 8)))),
            gid: over.gid.unwrap_or_else(|| small(number(field(116, 8)))),
            size,
            mtime: over.mtime.unwrap_or_else(|| {
                number(field(136, 12))
                    .and_then(|time| i64::try_from(time).ok())
                    .unwrap_or_default()
            }),
            link: over.link.unwrap_or_else(|| text(field(157, 100))),
        }));
        self.set_content(size);
        Ok(())
    }

    fn set_content(&mut self, size: u64) {
        self.content = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
    }

    fn take_extended(&mut self) -> Result<(), NotTar> {
        let gathered = std::mem::take(&mut self.gathered);
        match self.extended.take() {
            Some(Extended::LongName) => self.next.name = Some(text(&gathered)),
            Some(Extended::LongLink) => self.next.link = Some(text(&gathered)),
            Some(Extended::Pax) => self.take_pax(&gathered)?,
            Some(Extended::PaxGlobal) | None => {}
        }
        Ok(())
    }

    /// Records `LENGTH KEY=VALUE\n`.
    fn take_pax(&mut self, mut records: &[u8]) -> Result<(), NotTar> {
        const WRONG: NotTar = NotTar("an extended header is damaged");
        while !records.is_empty() {
            let space = records.iter().position(|byte| *byte == b' ').ok_or(WRONG)?;
            let length: usize = std::str::from_utf8(records.get(..space).unwrap_or_default())
                .ok()
                .and_then(|digits| digits.parse().ok())
                .ok_or(WRONG)?;
            let record = records
                .get(space + 1..length.saturating_sub(1))
                .ok_or(WRONG)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or(WRONG)?;
            let (key, value) = record.split_at(equals);
            let value = String::from_utf8_lossy(value.get(1..).unwrap_or_default()).into_owned();
            match key {
                b"path" => self.next.name = Some(value),
                b"linkpath" => self.next.link = Some(value),
                b"size" => self.next.size = value.parse().ok(),
                b"uid" => self.next.uid = value.parse().ok(),
                b"gid" => self.next.gid = value.parse().ok(),
                b"mtime" => {
                    self.next.mtime = value
                        .split('.')
                        .next()
                        .and_then(|seconds| seconds.parse().ok());
                }
                _ => {}
            }
            records = records.get(length..).ok_or(WRONG)?;
        }
        Ok(())
    }
}

/// Text up to the first zero byte.
fn text(field: &[u8]) -> String {
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
}

/// An octal number, or one in base 256.
fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        return rest.iter().try_fold(u64::from(first & 0x7f), |sum, byte| {
            sum.checked_mul(256)?.checked_add(u64::from(*byte))
        });
    }
    let digits = field
        .iter()
        .skip_while(|byte| **byte == b' ')
        .take_while(|byte| !matches!(**byte, 0 | b' '));
    let mut value = 0_u64;
    for digit in digits {
        if !(b'0'..=b'7').contains(digit) {
            return None;
        }
        value = value.checked_mul(8)?.checked_add(u64::from(digit - b'0'))?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(archive: &[u8], piece: usize) -> (Vec<Entry>, Vec<u8>) {
        let (mut scan, mut out) = (Scan::default(), Vec::new());
        for piece in archive.chunks(piece) {
            scan.push(Bytes::copy_from_slice(piece), &mut out).unwrap();
        }
        let (mut found, mut data) = (Vec::new(), Vec::new());
        for item in out {
            match item {
                Item::Entry(entry) => found.push(entry),
                Item::Data(bytes) => data.extend(bytes),
            }
        }
        (found, data)
    }

    #[test]
    fn what_another_program_packs_is_read_in_any_pieces() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut add = |name: &str, kind: tar::EntryType, content: &[u8], link: &str| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o640);
            header.set_uid(1000);
            header.set_gid(70_000);
            header.set_mtime(1_700_000_000);
            header.set_size(content.len() as u64);
            if link.is_empty() {
                builder.append_data(&mut header, name, content).unwrap();
            } else {
                builder.append_link(&mut header, name, link).unwrap();
            }
        };
        let long = "d/".repeat(80) + "file";
        add("dir/", tar::EntryType::Directory, b"", "");
        add(&long, tar::EntryType::Regular, &[7; 1000], "");
        add("dir/link", tar::EntryType::Symlink, b"", &"t".repeat(150));
        add("empty", tar::EntryType::Regular, b"", "");
        let archive = builder.into_inner().unwrap();
        for piece in [1, 100, 512, 10_000] {
            let (found, data) = entries(&archive, piece);
            let told: Vec<_> = found
                .iter()
                .map(|e| (e.name.as_str(), e.kind, e.size))
                .collect();
            assert_eq!(
                told,
                [
                    ("dir/", EntryKind::Directory, 0),
                    (long.as_str(), EntryKind::File, 1000),
                    ("dir/link", EntryKind::Link, 0),
                    ("empty", EntryKind::File, 0)
                ]
            );
            assert_eq!(found.get(2).unwrap().link, "t".repeat(150));
            let one = found.get(1).unwrap();
            assert_eq!(
                (one.mode, one.uid, one.gid, one.mtime),
                (0o640, 1000, 70_000, 1_700_000_000)
            );
            assert_eq!(data, vec![7; 1000]);
        }
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let mut out = Vec::new();
        let rubbish = Bytes::from(vec![b'x'; 1024]);
        assert!(Scan::default().push(rubbish, &mut out).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(blocks in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2000)) {
            let mut out = Vec::new();
            drop(Scan::default().push(Bytes::from(blocks), &mut out));
        }
    }
}
