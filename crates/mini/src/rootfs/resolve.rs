//! Paths inside a container's root file system.
//!
//! Whatever the image or a neighbour with a shared volume puts there (links, `..`, swaps while we work), the kernel
//! itself keeps each look-up inside (`openat2` with `RESOLVE_IN_ROOT`), and afterwards only descriptors are used.
//! CVE-2025-31133, CVE-2025-52565, CVE-2026-41579.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// What is made where a path ends in nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// A directory.
    Directory,
    /// An empty file.
    File,
}

/// The root directory of a container.
#[derive(Debug)]
pub struct RootFd {
    root: OwnedFd,
}

impl RootFd {
    /// Opens the root at a path of the host.
    ///
    /// # Errors
    /// `Sys`.
    pub fn open(path: &Path) -> Result<Self> {
        let root = rustix::fs::open(
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|errno| Error::sys("open root", path.display(), errno))?;
        Ok(Self { root })
    }

    /// The root itself.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Whether an open file is the root itself.
    ///
    /// # Errors
    /// The errno of `statx`.
    pub fn is_root(&self, file: &OwnedFd) -> Result<bool, Errno> {
        let (root, other) = (rustix::fs::fstat(&self.root)?, rustix::fs::fstat(file)?);
        let same = (root.st_dev, root.st_ino) == (other.st_dev, other.st_ino);
        Ok(same && mount_id(&self.root)? == mount_id(file)?)
    }

    /// Opens what a path names in the container, following links inside of it.
    ///
    /// # Errors
    /// The errno of `openat2`: `ENOENT` when there is nothing, `EXDEV` or `ELOOP` for a link that leads elsewhere.
    pub fn look_up(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.open_with(path, flags, ResolveFlags::empty())
    }

    /// As [`RootFd::look_up`], but any symbolic link on the way is `ELOOP`.
    ///
    /// # Errors
    /// The errno of `openat2`.
    pub fn look_up_without_links(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.open_with(path, flags, ResolveFlags::NO_SYMLINKS)
    }

    fn open_with(
        &self,
        path: &Path,
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> Result<OwnedFd, Errno> {
        let resolve = resolve | ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            match openat2(
                &self.root,
                if path.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    path
                },
                flags | OFlags::CLOEXEC,
                Mode::empty(),
                resolve,
            ) {
                // A rename somewhere raced with the look-up of "..".
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// Opens what a path names (`O_PATH`), making what is missing: directories on the way, `leaf` at the end.
    ///
    /// # Errors
    /// `Sys`, `Invalid` for too many links.
    pub fn open_or_create(&self, path: &Path, leaf: Leaf) -> Result<OwnedFd> {
        match self.look_up(path, OFlags::PATH) {
            Err(Errno::NOENT) => self.create(path, leaf),
            other => {
                other.map_err(|errno| Error::sys("open in the container", path.display(), errno))
            }
        }
    }

    /// Walks the path part by part, since a link may point at what does not exist yet (`/etc/resolv.conf` in images
    /// made for systemd); each part is looked up from the root again, so a swap cannot lead outside.
    fn create(&self, path: &Path, leaf: Leaf) -> Result<OwnedFd> {
        let mut links = 0;
        let mut resolved = PathBuf::new();
        let mut rest = parts(path);
        while let Some(part) = rest.pop_front() {
            if part == ".." {
                resolved.pop();
                continue;
            }
            let next = resolved.join(&part);
            let error = |errno| Error::sys("make in the container", path.display(), errno);
            match self.look_up(&next, OFlags::PATH | OFlags::NOFOLLOW) {
                Ok(found) => {
                    let kind =
                        FileType::from_raw_mode(rustix::fs::fstat(&found).map_err(error)?.st_mode);
                    if kind != FileType::Symlink {
                        resolved = next;
                        continue;
                    }
                    links += 1;
                    if links > 40 {
                        return Err(Error::invalid(format!(
                            "make in the container {}: too many links",
                            path.display()
                        ))
                        .with_hint("links of the image lead in a circle"));
                    }
                    let target = rustix::fs::readlinkat(&found, "", Vec::new()).map_err(error)?;
                    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                    if target.is_absolute() {
                        resolved = PathBuf::new();
                    }
                    for part in parts(&target).into_iter().rev() {
                        rest.push_front(part);
                    }
                }
                Err(Errno::NOENT) => {
                    let kind = if rest.is_empty() {
                        leaf
                    } else {
                        Leaf::Directory
                    };
                    self.make(&resolved, &part, kind).map_err(error)?;
                    resolved = next;
                }
                Err(errno) => return Err(error(errno)),
            }
        }
        self.look_up(&resolved, OFlags::PATH)
            .map_err(|errno| Error::sys("open in the container", path.display(), errno))
    }

    fn make(&self, parent: &Path, name: &OsStr, leaf: Leaf) -> Result<(), Errno> {
        let parent = self.look_up(parent, OFlags::PATH | OFlags::DIRECTORY)?;
        let outcome = match leaf {
            Leaf::Directory => rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)),
            Leaf::File => rustix::fs::openat(
                &parent,
                name,
                OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::from_raw_mode(0o644),
            )
            .map(drop),
        };
        match outcome {
            Err(Errno::EXIST) => Ok(()),
            other => other,
        }
    }

    /// Opens the directory that a path's last part is in, making it if need be, and returns it with that last part.
    ///
    /// # Errors
    /// `Sys`; `Invalid` for a path without a last part.
    pub fn parent_of<'path>(&self, path: &'path Path) -> Result<(OwnedFd, &'path OsStr)> {
        let invalid = || Error::invalid(format!("{:?} names no file", path.display()));
        let name = path.file_name().ok_or_else(invalid)?;
        let parent = path.parent().ok_or_else(invalid)?;
        Ok((self.open_or_create(parent, Leaf::Directory)?, name))
    }
}

/// Whether a descriptor is of a directory.
///
/// # Errors
/// The errno of `fstat`.
pub fn is_directory(fd: impl AsFd) -> Result<bool, Errno> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) == FileType::Directory)
}

/// The number of the mount that an open file is on.
///
/// # Errors
/// The errno of `statx`.
pub fn mount_id(file: impl AsFd) -> Result<u64, Errno> {
    let stat = rustix::fs::statx(
        file,
        "",
        AtFlags::EMPTY_PATH,
        rustix::fs::StatxFlags::MNT_ID,
    )?;
    Ok(stat.stx_mnt_id)
}

/// Whether a path (of the host) is the root of a mount.
///
/// # Errors
/// The errno of `statx`.
pub fn is_mount_point(path: &Path) -> Result<bool, Errno> {
    let stat = rustix::fs::statx(
        rustix::fs::CWD,
        path,
        AtFlags::NO_AUTOMOUNT,
        rustix::fs::StatxFlags::BASIC_STATS,
    )?;
    Ok(stat
        .stx_attributes
        .contains(rustix::fs::StatxAttributes::MOUNT_ROOT))
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(part) => Some(part.to_owned()),
            Component::ParentDir => Some(OsStr::from_bytes(b"..").to_owned()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn root() -> (tempfile::TempDir, RootFd) {
        let temporary = tempfile::tempdir().unwrap();
        std::fs::create_dir(temporary.path().join("root")).unwrap();
        let root = RootFd::open(&temporary.path().join("root")).unwrap();
        (temporary, root)
    }

    #[test]
    fn an_absolute_link_stays_inside() {
        let (temporary, root) = root();
        symlink("/etc", temporary.path().join("root/link")).unwrap();
        root.open_or_create(Path::new("/link/made"), Leaf::File)
            .unwrap();
        assert!(temporary.path().join("root/etc/made").is_file());
    }

    #[test]
    fn a_relative_link_with_many_parents_stays_inside() {
        let (temporary, root) = root();
        symlink("../../../../outside", temporary.path().join("root/link")).unwrap();
        root.open_or_create(Path::new("link/made"), Leaf::Directory)
            .unwrap();
        assert!(temporary.path().join("root/outside/made").is_dir());
        assert!(!temporary.path().join("outside").exists());
    }

    #[test]
    fn a_link_to_nothing_is_followed_and_its_target_made() {
        let (temporary, root) = root();
        std::fs::create_dir(temporary.path().join("root/etc")).unwrap();
        symlink(
            "../run/systemd/stub.conf",
            temporary.path().join("root/etc/resolv.conf"),
        )
        .unwrap();
        root.open_or_create(Path::new("/etc/resolv.conf"), Leaf::File)
            .unwrap();
        assert!(
            temporary
                .path()
                .join("root/run/systemd/stub.conf")
                .is_file()
        );
    }

    #[test]
    fn a_loop_of_links_is_refused() {
        let (temporary, root) = root();
        symlink("b", temporary.path().join("root/a")).unwrap();
        symlink("a", temporary.path().join("root/b")).unwrap();
        assert!(root.open_or_create(Path::new("/a/x"), Leaf::File).is_err());
    }

    #[test]
    fn without_links_means_without_links() {
        let (temporary, root) = root();
        std::fs::create_dir(temporary.path().join("root/real")).unwrap();
        symlink("real", temporary.path().join("root/proc")).unwrap();
        assert_eq!(
            root.look_up_without_links(Path::new("/proc"), OFlags::PATH)
                .unwrap_err(),
            Errno::LOOP
        );
    }
}
