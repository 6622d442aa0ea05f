//! Bind mounts: detached copies of what is mounted, and their flags, some of which a user namespace may not take off.
//!
//! Source: `man 2 open_tree`, `man 2 mount_setattr`; kernel fs/namespace.c, `can_change_locked_flags`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, fstatvfs};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use sys::mount::{self, MountAttributes, set_attributes};

use crate::error::{Error, Result};
use crate::rootfs::options::{MountOptions, TIMES};
use crate::spec::Mount;

/// A detached copy of what a bind mount shows.
///
/// # Errors
/// The errno of `open_tree`; [`source_error`] says it in words.
pub fn open_source(bundle: &Path, mount: &Mount) -> Result<OwnedFd, Errno> {
    let recursive = mount.kind == "rbind" || mount.options.iter().any(|option| option == "rbind");
    open_copy(&bundle.join(&mount.source), recursive)
}

/// What it means that a bind mount's source cannot be opened.
pub fn source_error(bundle: &Path, mount: &Mount, errno: Errno) -> Error {
    let source = bundle.join(&mount.source);
    let error = Error::sys("bind mount of", source.display(), errno);
    match errno {
        Errno::ACCESS => error.with_hint(
            "we are not let through to it: look at the rights of the directories above",
        ),
        Errno::INVAL => error.with_hint(
            "in a user namespace, what has mounts below is bound with them or not at all: use rbind",
        ),
        _ => error,
    }
}

/// A detached copy of what is mounted at a path of the host.
///
/// # Errors
/// `Sys`.
pub fn clone_tree(source: &Path, recursive: bool) -> Result<OwnedFd> {
    open_copy(source, recursive)
        .map_err(|errno| Error::sys("bind mount of", source.display(), errno))
}

fn open_copy(source: &Path, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(CWD, source, flags)
}

/// A detached copy of what an open file is, with `recursive` with all that is mounted below.
///
/// # Errors
/// The errno of `open_tree`.
pub fn clone_open(file: impl AsFd, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(file, "", flags)
}

/// Gives a bind mount the flags asked for. Those that a user namespace may not take off stay, unless they were named.
///
/// # Errors
/// `Sys`; `Invalid` when a flag is to be taken off that may not be.
pub fn set_flags(bound: &OwnedFd, options: &MountOptions, destination: &str) -> Result<()> {
    let Some(asked) = options.of_bind() else {
        return Ok(());
    };
    let error = |error| Error::sys("set the flags of", destination, error);
    let refused = match set_attributes(bound.as_fd(), asked, false) {
        Err(refused) if Errno::from_io_error(&refused) == Some(Errno::PERM) => refused,
        other => return other.map_err(error),
    };
    let there = flags_of(bound).map_err(|errno| Error::sys("statvfs", destination, errno))?;
    let named = there & options.off & LOCKABLE;
    if named != 0 {
        return Err(error(refused).with_hint(format!(
            "cannot clear locked flags {}: the source's mount has them, and a user namespace may not take them off",
            words(named)
        )));
    }
    if asked.clear & TIMES != 0 && asked.set & TIMES != there & TIMES {
        return Err(error(refused).with_hint(format!(
            "cannot change locked atime flags {}: the source's mount has them, and a user namespace may not change them",
            words(there & TIMES)
        )));
    }
    let kept = MountAttributes {
        set: asked.set,
        clear: asked.clear & !(there & LOCKABLE) & !TIMES,
        propagation: 0,
    };
    set_attributes(bound.as_fd(), kept, false).map_err(error)
}

/// Flags that the kernel locks on mounts of another user namespace, besides those of access times.
const LOCKABLE: u64 = mount::RDONLY | mount::NOSUID | mount::NODEV | mount::NOEXEC;

/// The bits of `statvfs` for the flags of a mount.
const STATVFS: [(u64, u64, &str); 6] = [
    (0x0001, mount::RDONLY, "ro"),
    (0x0002, mount::NOSUID, "nosuid"),
    (0x0004, mount::NODEV, "nodev"),
    (0x0008, mount::NOEXEC, "noexec"),
    (0x0400, mount::NOATIME, "noatime"),
    (0x0800, mount::NODIRATIME, "nodiratime"),
];
const STATVFS_RELATIME: u64 = 0x1000;

/// The flags of a mount, as `MOUNT_ATTR_*`.
fn flags_of(mounted: &OwnedFd) -> Result<u64, Errno> {
    let flags = fstatvfs(mounted)?.f_flag.bits();
    let mut attributes = 0;
    for (bit, attribute, _) in STATVFS {
        if flags & bit != 0 {
            attributes |= attribute;
        }
    }
    if attributes & mount::NOATIME == 0 && flags & STATVFS_RELATIME == 0 {
        attributes |= mount::STRICTATIME;
    }
    Ok(attributes)
}

fn words(flags: u64) -> String {
    let mut words: Vec<&str> = STATVFS
        .iter()
        .filter(|(_, attribute, _)| flags & attribute != 0)
        .map(|(_, _, word)| *word)
        .collect();
    if flags & mount::STRICTATIME != 0 {
        words.push("strictatime");
    }
    if words.is_empty() {
        words.push("relatime");
    }
    words.join(",")
}
