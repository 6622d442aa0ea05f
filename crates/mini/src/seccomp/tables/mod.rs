//! Numbers of system calls, one table for each family of architectures.
//!
//! The names are one text without pointers into it: a program that is loaded anywhere would have to write thousands of them at
//! each start, into memory of its own.

pub(super) mod arm;
pub(super) mod x86;

/// No such call.
const NONE: u16 = u16::MAX;
/// 32-bit ARM's own calls begin here in the table, and at 0xf0000 in the kernel.
const PRIVATE: u16 = 0xf000;

/// A call's name and numbers.
#[derive(Debug)]
pub(super) struct Row<const ARCHS: usize> {
    start: u16,
    length: u8,
    numbers: [u16; ARCHS],
}

impl<const ARCHS: usize> Row<ARCHS> {
    const fn new(start: u16, length: u8, numbers: [u16; ARCHS]) -> Self {
        Self {
            start,
            length,
            numbers,
        }
    }

    fn number(&self, column: usize) -> Option<u32> {
        match *self.numbers.get(column)? {
            NONE => None,
            private if private >= PRIVATE => Some(0xf0000 | u32::from(private - PRIVATE)),
            number => Some(u32::from(number)),
        }
    }
}

/// The calls of a family, sorted by name.
#[derive(Debug)]
pub(super) struct Table<const ARCHS: usize> {
    names: &'static str,
    rows: &'static [Row<ARCHS>],
}

impl<const ARCHS: usize> Table<ARCHS> {
    fn name(&self, row: &Row<ARCHS>) -> &'static str {
        let start = usize::from(row.start);
        self.names
            .get(start..start + usize::from(row.length))
            .unwrap_or_default()
    }

    /// A call's number in each architecture of the family.
    pub(super) fn find(&self, name: &str) -> [Option<u32>; ARCHS] {
        let found = self.rows.binary_search_by_key(&name, |row| self.name(row));
        let row = found.ok().and_then(|index| self.rows.get(index));
        std::array::from_fn(|column| row.and_then(|row| row.number(column)))
    }

    /// All calls of one architecture of the family.
    pub(super) fn calls(&self, column: usize) -> impl Iterator<Item = (&'static str, u32)> {
        self.rows
            .iter()
            .filter_map(move |row| Some((self.name(row), row.number(column)?)))
    }
}
