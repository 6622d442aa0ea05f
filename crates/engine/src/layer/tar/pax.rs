//! Records of a pax extended header.

use super::{MAX_SEGMENTS, Segment, TarError};

/// The records of one extended header, in order; a later one of the same key wins.
#[derive(Debug, Default)]
pub(crate) struct PaxRecords(Vec<(Vec<u8>, Vec<u8>)>);

impl PaxRecords {
    /// Reads `LENGTH KEY=VALUE\n` records.
    pub(super) fn parse(mut data: &[u8]) -> Result<Self, TarError> {
        let bad = || TarError::malformed("an extended header is malformed");
        let mut records = Vec::new();
        while !data.is_empty() {
            let space = data.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
            let length = decimal(&data[..space]).ok_or_else(bad)?;
            let length = usize::try_from(length).map_err(|_range| bad())?;
            if length <= space + 1 || length > data.len() || data[length - 1] != b'\n' {
                return Err(bad());
            }
            let record = &data[space + 1..length - 1];
            let equals = record
                .iter()
                .position(|byte| *byte == b'=')
                .ok_or_else(bad)?;
            if equals == 0 {
                return Err(bad());
            }
            records.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
            data = &data[length..];
        }
        Ok(Self(records))
    }

    /// The last value of `key`; an empty one takes the record back.
    fn text(&self, key: &str) -> Option<&[u8]> {
        self.0
            .iter()
            .rev()
            .find(|(name, _)| name == key.as_bytes())
            .map(|(_, value)| value.as_slice())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, TarError> {
        self.text(key)
            .map(|value| {
                decimal(value).ok_or_else(|| TarError::malformed(format!("{key} is no number")))
            })
            .transpose()
    }

    fn name(&self, key: &str) -> Result<Option<Vec<u8>>, TarError> {
        match self.text(key) {
            Some(value) if value.contains(&0) => {
                Err(TarError::malformed(format!("{key} contains a zero byte")))
            }
            value => Ok(value.map(<[u8]>::to_vec)),
        }
    }

    pub(super) fn path(&self) -> Result<Option<Vec<u8>>, TarError> {
        match self.name("GNU.sparse.name")? {
            Some(name) => Ok(Some(name)),
            None => self.name("path"),
        }
    }

    pub(super) fn link(&self) -> Result<Option<Vec<u8>>, TarError> {
        self.name("linkpath")
    }

    pub(super) fn size(&self) -> Result<Option<u64>, TarError> {
        self.number("size")
    }

    /// Seconds and nanoseconds; a time before 1970 has a sign.
    pub(super) fn mtime(&self) -> Result<Option<(i64, u32)>, TarError> {
        let Some(value) = self.text("mtime") else {
            return Ok(None);
        };
        let bad = || TarError::malformed("mtime is no number");
        let text = std::str::from_utf8(value).map_err(|_bytes| bad())?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        let seconds: i64 = whole.parse().map_err(|_digits| bad())?;
        let digits: String = fraction
            .chars()
            .chain("000000000".chars())
            .take(9)
            .collect();
        let nanoseconds: u32 = digits.parse().map_err(|_digits| bad())?;
        Ok(Some(if whole.starts_with('-') && nanoseconds > 0 {
            (seconds.saturating_sub(1), 1_000_000_000 - nanoseconds)
        } else {
            (seconds, nanoseconds)
        }))
    }

    pub(super) fn xattrs(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.0
            .iter()
            .filter_map(|(key, value)| {
                let name = key.strip_prefix(b"SCHILY.xattr.")?;
                let usable = !name.is_empty() && !name.contains(&0);
                usable.then(|| (name.to_vec(), value.clone()))
            })
            .collect()
    }

    /// Real size of a sparse file, in any of the three pax forms; `None` when it is not one.
    pub(super) fn sparse_size(&self) -> Result<Option<u64>, TarError> {
        match self.number("GNU.sparse.realsize")? {
            Some(size) => Ok(Some(size)),
            None => self.number("GNU.sparse.size"),
        }
    }

    /// The map of forms 0.0 and 0.1; `None` for form 1.0, which keeps it in the data.
    pub(super) fn sparse_map(&self) -> Result<Option<Vec<Segment>>, TarError> {
        let bad = || TarError::malformed("a sparse map has no number");
        if self.text("GNU.sparse.major") == Some(b"1") {
            return Ok(None);
        }
        let mut numbers = Vec::new();
        if let Some(map) = self.text("GNU.sparse.map") {
            for number in map.split(|byte| *byte == b',') {
                numbers.push(decimal(number).ok_or_else(bad)?);
            }
        } else {
            for (key, value) in &self.0 {
                if key == b"GNU.sparse.offset" || key == b"GNU.sparse.numbytes" {
                    numbers.push(decimal(value).ok_or_else(bad)?);
                }
            }
        }
        if numbers.len() % 2 != 0 || numbers.len() / 2 > MAX_SEGMENTS {
            return Err(TarError::malformed("a sparse map is malformed"));
        }
        Ok(Some(
            numbers
                .chunks_exact(2)
                .map(|pair| Segment {
                    offset: pair[0],
                    length: pair[1],
                })
                .collect(),
        ))
    }
}

/// The complete lines of `text`, each a decimal number.
pub(super) fn decimal_lines(text: &[u8]) -> Result<Vec<u64>, TarError> {
    let complete = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    text[..complete]
        .split(|byte| *byte == b'\n')
        .map(|line| decimal(line).ok_or_else(|| TarError::malformed("a sparse map has no number")))
        .collect()
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}
