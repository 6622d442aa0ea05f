//! Puts layers together by copying, for hosts where overlayfs does not work.

use std::{
    fs, io,
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};

use super::{
    changes::is_opaque,
    error::LayerError,
    remove::remove_tree_at,
    root::{RootFd, file_type, is_whiteout, open_directory, stat},
};

/// Copies `layers`, the lowest first, over each other into the new directory `target`.
pub(super) fn flatten(layers: &[PathBuf], target: &Path) -> Result<(), LayerError> {
    fs::create_dir(target).map_err(LayerError::path("create", target))?;
    let root = RootFd::open(target).map_err(LayerError::path("open", target))?;
    for layer in layers {
        let from = RootFd::open(layer).map_err(LayerError::path("open", layer))?;
        let mut links = std::collections::HashMap::new();
        let mut copy = Copy {
            root: &root,
            links: &mut links,
        };
        let mut path = Vec::new();
        copy.directory(
            &open_directory(&from, b".").map_err(LayerError::path("open", layer))?,
            &open_directory(&root, b".").map_err(LayerError::path("open", target))?,
            &mut path,
        )?;
    }
    Ok(())
}

/// Copies what is in the directory `from` into the directory `to`, which gets the attributes of `from`. What is there
/// under the same name is replaced.
pub(crate) fn copy_tree(from: &OwnedFd, to: &OwnedFd) -> Result<(), LayerError> {
    let root = RootFd::open(&in_proc(to, b".")).map_err(LayerError::io("open", "target"))?;
    let mut links = std::collections::HashMap::new();
    let mut copy = Copy {
        root: &root,
        links: &mut links,
    };
    copy.directory(from, to, &mut Vec::new())
}

struct Copy<'a> {
    root: &'a RootFd,
    /// Where a file with several names has been copied to, by inode.
    links: &'a mut std::collections::HashMap<u64, Vec<u8>>,
}

impl Copy<'_> {
    fn directory(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        path: &mut Vec<u8>,
    ) -> Result<(), LayerError> {
        let shown = String::from_utf8_lossy(path).into_owned();
        for entry in Dir::read_from(from).map_err(LayerError::io("read", &shown))? {
            let entry = entry.map_err(LayerError::io("read", &shown))?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let length = path.len();
            path.push(b'/');
            path.extend_from_slice(name);
            self.entry(from, to, name, path)?;
            path.truncate(length);
        }
        let meta = rustix::fs::fstat(from).map_err(LayerError::io("stat", &shown))?;
        metadata(from, to, b".", &meta).map_err(LayerError::io("copy attributes of", &shown))
    }

    fn entry(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &[u8],
        path: &mut Vec<u8>,
    ) -> Result<(), LayerError> {
        let shown = String::from_utf8_lossy(path).into_owned();
        let io = |operation| LayerError::io::<Errno>(operation, &shown);
        let Some(meta) = stat(from, name).map_err(io("stat"))? else {
            return Ok(());
        };
        let kind = file_type(&meta);
        let existing = stat(to, name).map_err(io("stat"))?;
        if is_whiteout(&meta) {
            return remove_tree_at(to, name).map_err(io("remove"));
        }
        if kind == FileType::Directory {
            let source = open_directory(from, name).map_err(io("open"))?;
            let keep = existing
                .as_ref()
                .is_some_and(|there| file_type(there) == FileType::Directory)
                && !is_opaque(&source);
            if !keep {
                remove_tree_at(to, name).map_err(io("replace"))?;
                rustix::fs::mkdirat(to, name, Mode::from(0o700)).map_err(io("create"))?;
            }
            let target = open_directory(to, name).map_err(io("open"))?;
            return self.directory(&source, &target, path);
        }
        remove_tree_at(to, name).map_err(io("replace"))?;
        if meta.st_nlink > 1 {
            if let Some(first) = self.links.get(&meta.st_ino) {
                let first = first.strip_prefix(b"/").unwrap_or(first);
                return rustix::fs::linkat(self.root, first, to, name, AtFlags::empty())
                    .map_err(io("link"));
            }
            self.links.insert(meta.st_ino, path.clone());
        }
        match kind {
            FileType::RegularFile => {
                file(from, to, name).map_err(LayerError::io("copy", &shown))?;
            }
            FileType::Symlink => {
                let target =
                    rustix::fs::readlinkat(from, name, Vec::new()).map_err(io("read link"))?;
                rustix::fs::symlinkat(target, to, name).map_err(io("create"))?;
            }
            FileType::Fifo => {
                rustix::fs::mknodat(to, name, FileType::Fifo, Mode::from(0o600), 0)
                    .map_err(io("create"))?;
            }
            _ => return Ok(()),
        }
        metadata(from, to, name, &meta).map_err(io("copy attributes of"))
    }
}

fn file(from: &OwnedFd, to: &OwnedFd, name: &[u8]) -> io::Result<()> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut source = fs::File::from(rustix::fs::openat(from, name, read, Mode::empty())?);
    let mut target = fs::File::from(rustix::fs::openat(to, name, create, Mode::from(0o600))?);
    // Shares the blocks where the file system can.
    if rustix::fs::ioctl_ficlone(&target, &source).is_err() {
        io::copy(&mut source, &mut target)?;
    }
    Ok(())
}

/// Owner, mode, attributes and times, in the order in which none undoes another.
fn metadata(from: &OwnedFd, to: &OwnedFd, name: &[u8], meta: &Stat) -> Result<(), Errno> {
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    let owner = (Uid::from_raw(meta.st_uid), Gid::from_raw(meta.st_gid));
    rustix::fs::chownat(to, name, Some(owner.0), Some(owner.1), nofollow)?;
    if file_type(meta) != FileType::Symlink {
        let mode = Mode::from_raw_mode(meta.st_mode & 0o7777);
        rustix::fs::chmodat(to, name, mode, AtFlags::empty())?;
    }
    attributes(&in_proc(from, name), &in_proc(to, name))?;
    let time = Timespec {
        tv_sec: meta.st_mtime,
        tv_nsec: i64::try_from(meta.st_mtime_nsec).unwrap_or_default(),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(to, name, &times, nofollow)
}

fn attributes(from: &Path, to: &Path) -> Result<(), Errno> {
    let mut names = vec![0; rustix::fs::llistxattr_query(from)?];
    let length = rustix::fs::llistxattr(from, names.as_mut_slice())?;
    for name in names[..length].split(|byte| *byte == 0) {
        if name.is_empty() || name.starts_with(b"trusted.overlay.") {
            continue;
        }
        let mut value = vec![0; rustix::fs::lgetxattr_query(from, name)?];
        let length = rustix::fs::lgetxattr(from, name, value.as_mut_slice())?;
        match rustix::fs::lsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// A path to a name in an open directory, for calls that take no descriptor. The last component is not followed.
fn in_proc(directory: impl AsFd, name: &[u8]) -> PathBuf {
    Path::new("/proc/self/fd")
        .join(directory.as_fd().as_raw_fd().to_string())
        .join(std::ffi::OsStr::from_bytes(name))
}
