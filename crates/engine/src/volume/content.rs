//! What is inside a volume, reached by descriptors only: a container that shares the volume may swap any part of a path
//! while it is walked.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, openat, openat2, statat,
};
use rustix::io::Errno;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// Opens a directory of the host.
pub(super) fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
}

/// Opens a directory below `root`, following links as a process with this root would.
pub(super) fn open_in_root(root: impl AsFd, path: &str) -> Result<OwnedFd, Errno> {
    let path = match path.trim_start_matches('/') {
        "" => ".",
        path => path,
    };
    loop {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match openat2(root.as_fd(), path, DIRECTORY, Mode::empty(), resolve) {
            // A rename elsewhere got in between.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Whether nothing is in the directory.
pub(super) fn is_empty(directory: impl AsFd) -> Result<bool, Errno> {
    for entry in Dir::read_from(directory)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Bytes of all files below a directory, each counted once however many names it has. What vanishes on the way is left
/// out.
pub(super) fn size_bytes(directory: OwnedFd) -> Result<u64, Errno> {
    let mut counted = HashSet::new();
    let mut total = 0_u64;
    let mut open = vec![directory];
    while let Some(directory) = open.pop() {
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Some(meta) = vanished(statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW))? else {
                continue;
            };
            if is_directory(&meta) {
                let child = openat(
                    &directory,
                    name,
                    DIRECTORY | OFlags::NOFOLLOW,
                    Mode::empty(),
                );
                open.extend(vanished(child)?);
            } else if meta.st_nlink < 2 || counted.insert((meta.st_dev, meta.st_ino)) {
                total = total.saturating_add(u64::try_from(meta.st_size).unwrap_or(0));
            }
        }
    }
    Ok(total)
}

fn is_directory(meta: &Stat) -> bool {
    FileType::from_raw_mode(meta.st_mode) == FileType::Directory
}

/// `None` when the file is gone or has become something else.
fn vanished<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_counts_each_file_once_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("v");
        std::fs::create_dir_all(inside.join("a/b")).unwrap();
        std::fs::write(inside.join("a/b/one"), [0; 100]).unwrap();
        std::fs::hard_link(inside.join("a/b/one"), inside.join("two")).unwrap();
        std::fs::write(dir.path().join("outside"), [0; 1000]).unwrap();
        std::os::unix::fs::symlink("..", inside.join("up")).unwrap();
        let link_bytes = 2;
        assert_eq!(
            size_bytes(open_directory(&inside).unwrap()),
            Ok(100 + link_bytes)
        );
    }

    #[test]
    fn path_with_links_stays_inside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("root/etc")).unwrap();
        std::fs::create_dir_all(dir.path().join("secret")).unwrap();
        std::os::unix::fs::symlink("../../secret", dir.path().join("root/out")).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("root/in")).unwrap();
        let root = open_directory(&dir.path().join("root")).unwrap();
        assert_eq!(open_in_root(&root, "out").unwrap_err(), Errno::NOENT);
        open_in_root(&root, "/in").unwrap();
        open_in_root(&root, "../../etc").unwrap();
    }
}
