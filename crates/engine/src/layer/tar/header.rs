//! The 512-byte header block of a tar archive.

use super::{Segment, TarError};

/// Everything in a tar archive is a multiple of this, in bytes.
pub(super) const BLOCK: usize = 512;

/// A header block whose checksum is right.
pub(super) struct Header([u8; BLOCK]);

impl Header {
    pub(super) fn checked(block: &[u8; BLOCK]) -> Result<Self, TarError> {
        let header = Self(*block);
        let written = header.number(148, 8, "checksum")?;
        let (mut unsigned, mut signed) = (0_u64, 0_i64);
        for (index, byte) in header.0.iter().enumerate() {
            let byte = if (148..156).contains(&index) {
                b' '
            } else {
                *byte
            };
            unsigned += u64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        // Some old writers summed signed bytes.
        if written == unsigned || i64::try_from(written) == Ok(signed) {
            Ok(header)
        } else {
            Err(TarError::malformed("a header's checksum is wrong"))
        }
    }

    pub(super) fn kind_byte(&self) -> u8 {
        self.0[156]
    }

    /// Name with the ustar prefix; only ustar and star have one, GNU keeps other things there.
    pub(super) fn path(&self) -> Vec<u8> {
        let name = self.text(0, 100);
        let prefix: &[u8] = if &self.0[257..263] != b"ustar\0" {
            b""
        } else if &self.0[508..512] == b"tar\0" {
            self.text(345, 131)
        } else {
            self.text(345, 155)
        };
        if prefix.is_empty() {
            name.to_vec()
        } else {
            [prefix, b"/", name].concat()
        }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        self.text(157, 100).to_vec()
    }

    pub(super) fn mode(&self) -> Result<u32, TarError> {
        let mode = self.number(100, 8, "mode")? & 0o7777;
        Ok(u32::try_from(mode).unwrap_or_default())
    }

    pub(super) fn uid(&self) -> Result<u64, TarError> {
        self.number(108, 8, "owner")
    }

    pub(super) fn gid(&self) -> Result<u64, TarError> {
        self.number(116, 8, "group")
    }

    pub(super) fn size(&self) -> Result<u64, TarError> {
        self.number(124, 12, "size")
    }

    pub(super) fn mtime(&self) -> Result<i64, TarError> {
        let field = &self.0[136..148];
        if field[0] & 0xc0 == 0xc0 {
            // Base 256, two's complement: a time before 1970. Only its low 8 bytes can be meant.
            let mut low = [0; 8];
            low.copy_from_slice(&field[4..12]);
            return Ok(i64::from_be_bytes(low));
        }
        i64::try_from(self.number(136, 12, "time")?)
            .map_err(|_range| TarError::malformed("a time is out of range"))
    }

    /// Real size of an old GNU sparse file.
    pub(super) fn real_size(&self) -> Result<u64, TarError> {
        self.number(483, 12, "real size")
    }

    /// The four segments in the header of an old GNU sparse file, and whether more blocks follow.
    pub(super) fn sparse_map(&self) -> Result<(Vec<Segment>, bool), TarError> {
        let mut map = Vec::new();
        segments(&self.0[386..482], &mut map)?;
        Ok((map, self.0[482] != 0))
    }

    fn text(&self, start: usize, length: usize) -> &[u8] {
        let field = &self.0[start..start + length];
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(length);
        &field[..end]
    }

    fn number(&self, start: usize, length: usize, what: &str) -> Result<u64, TarError> {
        number(&self.0[start..start + length])
            .ok_or_else(|| TarError::malformed(format!("a header's {what} is no number")))
    }
}

/// The 21 segments of a block that continues an old GNU sparse map; whether one more follows.
pub(super) fn extended_sparse_map(
    block: &[u8; BLOCK],
    map: &mut Vec<Segment>,
) -> Result<bool, TarError> {
    segments(&block[..504], map)?;
    Ok(block[504] != 0)
}

fn segments(fields: &[u8], map: &mut Vec<Segment>) -> Result<(), TarError> {
    for field in fields.chunks_exact(24) {
        if field[0] == 0 {
            break;
        }
        match (number(&field[..12]), number(&field[12..])) {
            (Some(offset), Some(length)) => map.push(Segment { offset, length }),
            _ => return Err(TarError::malformed("a sparse map has no number")),
        }
    }
    Ok(())
}

/// Octal digits among spaces and zeros, or base 256 when the first bit is set. Negative numbers are none.
fn number(field: &[u8]) -> Option<u64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        if first & 0x40 != 0 {
            return None;
        }
        return field[1..]
            .iter()
            .try_fold(u64::from(first & 0x3f), |value, byte| {
                value.checked_mul(256)?.checked_add(u64::from(*byte))
            });
    }
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    field[..end]
        .trim_ascii()
        .iter()
        .try_fold(0_u64, |value, byte| match byte {
            b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(byte - b'0')),
            _ => None,
        })
}
