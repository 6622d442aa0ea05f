//! `tmpcopyup`: a tmpfs that begins with what the image has at its place.
//!
//! Everything goes by descriptors below the two directories, and no link is followed: whoever changes the image's side
//! meanwhile changes what is copied, not from where. Owners, modes, extended attributes, times and hard links are kept.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, chownat, fchmod,
    fstat, futimens, linkat, mkdirat, mknodat, openat, readlinkat, statat, symlinkat, utimensat,
};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Directories within directories; more than any image has, and less than descriptors there are.
const MAX_DEPTH: usize = 256;

/// Copies what is in one directory, opened in any way, into another, and gives that one the first's owner and mode.
///
/// # Errors
/// `Sys` with the path below the directory.
pub fn copy(from: &OwnedFd, to: &OwnedFd, place: &Path) -> Result<()> {
    let error = |errno| Error::sys("copy up", place.display(), errno);
    let from = open_directory(from.as_fd(), c".").map_err(error)?;
    let to = open_directory(to.as_fd(), c".").map_err(error)?;
    let mut copy = Copy {
        links: HashMap::new(),
        root: &to,
        place,
        path: PathBuf::new(),
    };
    copy.directory(&from, &to, 0)
}

struct Copy<'a> {
    /// Where a file of several names was put first, by its device and number.
    links: HashMap<(u64, u64), PathBuf>,
    root: &'a OwnedFd,
    /// Where both are in the container, for what is said.
    place: &'a Path,
    /// Below both.
    path: PathBuf,
}

impl Copy<'_> {
    fn error(&self, errno: Errno) -> Error {
        let error = Error::sys("copy up", self.place.join(&self.path).display(), errno);
        if errno == Errno::NOSPC {
            error.with_hint(
                "the tmpfs is smaller than what the image has there: raise its size option",
            )
        } else {
            error
        }
    }

    fn directory(&mut self, from: &OwnedFd, to: &OwnedFd, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(self.error(Errno::NAMETOOLONG));
        }
        let entries = Dir::read_from(from).map_err(|errno| self.error(errno))?;
        for entry in entries {
            let entry = entry.map_err(|errno| self.error(errno))?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            self.path.push(OsStr::from_bytes(name.to_bytes()));
            self.entry(from, to, name, depth)?;
            self.path.pop();
        }
        // Last, since entries change its time.
        let stat = fstat(from).map_err(|errno| self.error(errno))?;
        self.finish(from.as_fd(), to.as_fd(), &stat)
    }

    fn entry(&mut self, from: &OwnedFd, to: &OwnedFd, name: &CStr, depth: usize) -> Result<()> {
        let stat =
            statat(from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| self.error(errno))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            let below = open_directory(from.as_fd(), name).map_err(|errno| self.error(errno))?;
            mkdirat(to, name, Mode::RWXU).map_err(|errno| self.error(errno))?;
            let made = open_directory(to.as_fd(), name).map_err(|errno| self.error(errno))?;
            return self.directory(&below, &made, depth + 1);
        }
        if stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                return linkat(self.root, first, to, name, AtFlags::empty())
                    .map_err(|errno| self.error(errno));
            }
            self.links.insert(key, self.path.clone());
        }
        let copied = match kind {
            FileType::RegularFile => return self.file(from, to, name),
            FileType::Symlink => readlinkat(from, name, Vec::new())
                .and_then(|target| symlinkat(target.as_c_str(), to, name)),
            _ => mknodat(
                to,
                name,
                kind,
                Mode::from_raw_mode(stat.st_mode),
                stat.st_rdev,
            ),
        };
        copied
            .and_then(|()| owner(to.as_fd(), name, &stat))
            .and_then(|()| utimensat(to, name, &times(&stat), AtFlags::SYMLINK_NOFOLLOW))
            .map_err(|errno| self.error(errno))
    }

    fn file(&self, from: &OwnedFd, to: &OwnedFd, name: &CStr) -> Result<()> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let source = openat(from, name, flags | OFlags::RDONLY, Mode::empty())
            .map_err(|errno| self.error(errno))?;
        let stat = fstat(&source).map_err(|errno| self.error(errno))?;
        // Between the look and the opening it may have become a fifo that never ends.
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.error(Errno::INVAL));
        }
        let made = openat(
            to,
            name,
            flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL,
            Mode::RUSR | Mode::WUSR,
        )
        .map_err(|errno| self.error(errno))?;
        loop {
            match rustix::fs::sendfile(&made, &source, None, 1 << 20) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(self.error(errno)),
            }
        }
        self.finish(source.as_fd(), made.as_fd(), &stat)
    }

    /// Owner before mode, since a change of owner takes set-user-id bits away; attributes behind both, since a file's
    /// capabilities go the same way; the time last.
    fn finish(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, stat: &Stat) -> Result<()> {
        owner(to, c"", stat)
            .and_then(|()| fchmod(to, Mode::from_raw_mode(stat.st_mode)))
            .and_then(|()| attributes(from, to))
            .and_then(|()| futimens(to, &times(stat)))
            .map_err(|errno| self.error(errno))
    }
}

fn open_directory(at: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    openat(
        at,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn owner(at: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<(), Errno> {
    let flags = if name.is_empty() {
        AtFlags::EMPTY_PATH
    } else {
        AtFlags::SYMLINK_NOFOLLOW
    };
    chownat(
        at,
        name,
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
        flags,
    )
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.try_into().unwrap_or(0),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// Copies extended attributes. A file system that has none, or does not take one of a kind, is no error: the target is a
/// tmpfs, whose set of kinds depends on the kernel.
fn attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut names = vec![0u8; 4096];
    let length = loop {
        match rustix::fs::flistxattr(from, names.as_mut_slice()) {
            Ok(length) => break length,
            Err(Errno::RANGE) if names.len() < 1 << 20 => names.resize(names.len() * 4, 0),
            Err(Errno::OPNOTSUPP) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    };
    let mut value = vec![0u8; 65536];
    for name in names
        .get(..length)
        .unwrap_or_default()
        .split(|byte| *byte == 0)
    {
        if name.is_empty() {
            continue;
        }
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        let length = match rustix::fs::fgetxattr(from, &name, value.as_mut_slice()) {
            Ok(length) => length,
            Err(Errno::NODATA | Errno::OPNOTSUPP) => continue,
            Err(errno) => return Err(errno),
        };
        let value = value.get(..length).unwrap_or_default();
        match rustix::fs::fsetxattr(to, &name, value, rustix::fs::XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
