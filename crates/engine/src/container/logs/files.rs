//! The files of a log: `log`, and the rotated `log.1` (newest), `log.2`, …
//!
//! The shim renames them at any time. A file is therefore known by its inode, and opened files are kept open: what has
//! been opened can be read to its end whatever becomes of its name.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

/// While a rotation is under way one name is missing; two in a row are the end.
const MISSING_AT_THE_END: u32 = 2;

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// An open file of a log.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    /// Which.
    pub(super) id: FileId,
    /// Its length when it was opened.
    pub(super) length: u64,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        Ok(Some(Self {
            file,
            id: FileId::of(&metadata),
            length: metadata.len(),
        }))
    }

    /// Reads at a position; fewer bytes than asked for only at the end.
    pub(super) fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, position + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// Returns which file is written to now; `None` when there is none.
pub(super) fn current(log: &Path) -> io::Result<Option<FileId>> {
    match log.metadata() {
        Ok(metadata) => Ok(Some(FileId::of(&metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens the files of a log, the newest first, up to `known`, which is left out; all of them without one.
///
/// Files move to higher numbers only, and this goes from low to high: none is passed by, and one that moves while this
/// runs is seen twice and taken once.
pub(super) fn open_newer_than(log: &Path, known: Option<FileId>) -> io::Result<Vec<LogFile>> {
    let mut files: Vec<LogFile> = Vec::new();
    let mut missing = 0;
    for number in 0_u32.. {
        let Some(file) = LogFile::open(&numbered(log, number))? else {
            missing += 1;
            if missing == MISSING_AT_THE_END {
                break;
            }
            continue;
        };
        missing = 0;
        if known == Some(file.id) {
            break;
        }
        if files.iter().all(|other| other.id != file.id) {
            files.push(file);
        }
    }
    Ok(files)
}

fn numbered(log: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return log.to_owned();
    }
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn lengths(log: &Path, known: Option<FileId>) -> Vec<u64> {
        let files = open_newer_than(log, known).unwrap();
        files.iter().map(|file| file.length).collect()
    }

    #[test]
    fn files_come_newest_first_over_the_gap_of_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        assert!(lengths(&log, None).is_empty());
        fs::write(&log, "1").unwrap();
        fs::write(dir.path().join("log.1"), "22").unwrap();
        fs::write(dir.path().join("log.3"), "333").unwrap();
        assert_eq!(lengths(&log, None), [1, 2, 3]);
        fs::remove_file(&log).unwrap();
        assert_eq!(lengths(&log, None), [2, 3]);
    }

    #[test]
    fn newer_files_end_at_the_known_one_wherever_it_is_now() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        fs::write(&log, "1").unwrap();
        let known = LogFile::open(&log).unwrap().unwrap();
        assert!(lengths(&log, Some(known.id)).is_empty());
        fs::rename(&log, dir.path().join("log.1")).unwrap();
        assert!(lengths(&log, Some(known.id)).is_empty());
        fs::write(&log, "22").unwrap();
        assert_eq!(lengths(&log, Some(known.id)), [2]);
        fs::remove_file(dir.path().join("log.1")).unwrap();
        fs::rename(&log, dir.path().join("log.1")).unwrap();
        fs::write(&log, "333").unwrap();
        assert_eq!(lengths(&log, Some(known.id)), [3, 2]);
    }
}
