//! A directory that nothing named by a stranger leads out of.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};

use super::error::LayerError;

/// Links that are followed before it counts as a circle, as in moby.
const MAX_LINKS: usize = 255;
/// Longest path, in bytes, as the kernel has it.
const MAX_PATH_BYTES: usize = 4096;

/// The root of a tree that a stranger has shaped. All paths given to it are resolved beneath it by the kernel.
#[derive(Debug)]
pub(crate) struct RootFd(OwnedFd);

impl RootFd {
    /// The tree below an open directory.
    pub(crate) fn new(directory: OwnedFd) -> Self {
        Self(directory)
    }

    /// The tree below a directory of ours.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(fs::open(path, flags, Mode::empty())?))
    }

    /// Opens a directory. Links are followed as a process with this root would follow them.
    pub(crate) fn directory(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.open_in_root(
            path,
            OFlags::PATH | OFlags::DIRECTORY,
            ResolveFlags::IN_ROOT,
        )
    }

    /// Opens what is at a path, following all links; a link at its end is opened itself with `NOFOLLOW`.
    pub(crate) fn open_path(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        self.open_in_root(path, OFlags::PATH | flags, ResolveFlags::IN_ROOT)
    }

    fn open_in_root(
        &self,
        path: &[u8],
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        loop {
            match fs::openat2(
                &self.0,
                path,
                flags | OFlags::CLOEXEC,
                Mode::empty(),
                resolve | ResolveFlags::NO_MAGICLINKS,
            ) {
                // The kernel could not prove that no rename elsewhere moved a `..` out of the root.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// The path without links that `path` leads to, as far as there is something; what is missing is taken as it is
    /// written.
    ///
    /// # Errors
    /// `LOOP` for links that lead in a circle.
    pub(crate) fn real_path(&self, path: &[u8]) -> Result<Vec<u8>, Errno> {
        let mut pending: Vec<Vec<u8>> = components(path).rev().collect();
        let mut done: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        while let Some(component) = pending.pop() {
            if component == b".." {
                done.pop();
                continue;
            }
            done.push(component);
            let here = done.join(&b'/');
            // All that is in `done` has been found to be no link, but for its last part.
            let Ok(opened) = self.open_path(&here, OFlags::NOFOLLOW) else {
                continue;
            };
            let Ok(target) = fs::readlinkat(&opened, c"", Vec::new()) else {
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP);
            }
            let target = target.to_bytes();
            done.pop();
            if target.starts_with(b"/") {
                done.clear();
            }
            pending.extend(components(target).rev());
        }
        Ok(done.join(&b'/'))
    }

    /// Opens a directory, making what is missing on the way with mode 0755.
    pub(crate) fn make_directories(&self, path: &[u8]) -> Result<OwnedFd, LayerError> {
        let name = || String::from_utf8_lossy(path).into_owned();
        match self.directory(path) {
            Ok(directory) => return Ok(directory),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(LayerError::io("open", name())(errno)),
        }
        let (parent, last) = split(path);
        let parent = self.make_directories(parent)?;
        match fs::mkdirat(&parent, last, Mode::from(0o755)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                // A link to nowhere: there is no directory that this could mean.
                return Err(LayerError::Invalid(format!(
                    "{} leads through a link that points to nothing",
                    name()
                )));
            }
            Err(errno) => return Err(LayerError::io("create", name())(errno)),
        }
        let made = open_directory(&parent, last).map_err(LayerError::io("open", name()))?;
        fs::fchmod(&made, Mode::from(0o755)).map_err(LayerError::io("chmod", name()))?;
        self.directory(path).map_err(LayerError::io("open", name()))
    }
}

impl AsFd for RootFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Opens a directory by name, readable; never through a link.
pub(super) fn open_directory(parent: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(parent, name, flags, Mode::empty())
}

/// What is under this name; `None` when nothing is. A link is not followed.
pub(super) fn stat(parent: impl AsFd, name: &[u8]) -> Result<Option<Stat>, Errno> {
    match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The parts of a path that lead somewhere.
fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> + '_ {
    path.split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
        .map(<[u8]>::to_vec)
}

pub(super) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether this is overlayfs' mark for a removed file.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    file_type(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// The directory part and the last component of a clean path.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// The path without leading slashes, `.` and inner `..`; empty for the root itself.
///
/// # Errors
/// `Invalid` when it leads out of the root or is longer than the kernel takes.
pub(crate) fn clean(path: &[u8]) -> Result<Vec<u8>, LayerError> {
    let invalid = |why: &str| {
        let shown = String::from_utf8_lossy(&path[..path.len().min(200)]);
        LayerError::Invalid(format!("invalid path {shown:?}: {why}"))
    };
    if path.contains(&0) {
        return Err(invalid("contains a zero byte"));
    }
    let mut components: Vec<&[u8]> = Vec::new();
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                if components.pop().is_none() {
                    return Err(invalid("leads out of the root"));
                }
            }
            name => components.push(name),
        }
    }
    let clean = components.join(&b'/');
    if clean.len() >= MAX_PATH_BYTES {
        return Err(invalid("is too long"));
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_lexically_and_never_leave_the_root() {
        for (path, expected) in [
            ("./a//b/", "a/b"),
            ("/etc/passwd", "etc/passwd"),
            ("a/../b", "b"),
            (".", ""),
            ("/", ""),
        ] {
            assert_eq!(clean(path.as_bytes()).unwrap(), expected.as_bytes());
        }
        for path in ["..", "../x", "a/../../x", "/../x", "a\0b"] {
            assert!(clean(path.as_bytes()).is_err(), "{path}");
        }
        assert!(clean(&[b'a'; 5000]).is_err());
    }
}
