//! Making a directory the root of the mount namespace. Not by `chroot`, which a privileged process leaves again, unless the
//! caller asks for it with `--no-pivot`.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{UnmountFlags, unmount};
use sys::mount::{MountAttributes, RDONLY, propagation, set_attributes};

use crate::error::{Error, Result};
use crate::rootfs::mounts::{attach, clone_tree};
use crate::rootfs::resolve::is_mount_point;

/// Cuts the new mount namespace off from the host's, and makes sure that the root file system is a mount of its own.
///
/// Slaves by default: a file system that is unmounted on the host leaves us too, and nothing of ours shows there. With
/// `shared`, volumes stay peers of the host's mounts, as asked for; then only the root file system is cut off.
///
/// `locked` says that the mounts are locked together, as they are in a mount namespace of a new user namespace: then only a
/// mount of our own can become the root.
///
/// # Errors
/// `Sys`; `Unsupported` for `shared` when the root file system is not a mount.
pub fn detach_from_host(rootfs: &Path, kind: u64, locked: bool) -> Result<()> {
    let error = |errno| Error::sys("prepare root", rootfs.display(), errno);
    let open = |path: &Path| rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let set = |path: &Path, kind: u64, recursive: bool| {
        let attributes = MountAttributes {
            propagation: kind,
            ..MountAttributes::default()
        };
        let fd = open(path).map_err(error)?;
        set_attributes(fd.as_fd(), attributes, recursive)
            .map_err(|error| Error::sys("set the propagation of", path.display(), error))
    };
    let is_mount = is_mount_point(rootfs).map_err(error)?;
    if kind == propagation::SLAVE || kind == propagation::PRIVATE {
        set(Path::new("/"), kind, true)?;
        if is_mount && !locked {
            return Ok(());
        }
    } else {
        if !is_mount {
            return Err(Error::unsupported(
                "linux.rootfsPropagation shared or unbindable, when root.path is not a mount point",
            )
            .with_hint("mount the root file system, or bind it on itself, first"));
        }
        set(rootfs, propagation::PRIVATE, false)?;
    }
    // pivot_root demands that neither the new root nor what it is mounted on is shared.
    let copy = clone_tree(rootfs, true)?;
    attach(&copy, open(rootfs).map_err(error)?).map_err(error)
}

/// Makes `root` the root of this mount namespace and lets go of the host's.
///
/// The old root is stacked on the new one and taken off at once, so no directory is needed for it (`man 2 pivot_root`).
///
/// # Errors
/// `Sys`.
pub fn pivot(root: impl AsFd) -> Result<()> {
    let error = |errno| Error::sys("pivot_root", "", errno);
    let old_root = rustix::fs::open(
        "/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(error)?;
    rustix::process::fchdir(root).map_err(error)?;
    rustix::process::pivot_root(".", ".").map_err(error)?;
    rustix::process::fchdir(&old_root).map_err(error)?;
    unmount(".", UnmountFlags::DETACH)
        .map_err(|errno| Error::sys("unmount", "the host's root", errno))?;
    rustix::process::chdir("/").map_err(error)
}

/// Puts `root` on top of the host's root and enters it by `chroot`: what `--no-pivot` asks for, where the host's root is
/// the initial ramdisk, which `pivot_root` does not let go of. A program with `CAP_SYS_CHROOT` can get below it.
///
/// # Errors
/// `Sys`.
///
/// Source: util-linux `switch_root`, kernel Documentation/filesystems/ramfs-rootfs-initramfs.rst.
pub fn move_over(root: impl AsFd) -> Result<()> {
    let error = |errno| Error::sys("move the root over", "/", errno);
    rustix::process::fchdir(root).map_err(error)?;
    rustix::mount::mount_move(".", "/").map_err(error)?;
    rustix::process::chroot(".").map_err(error)?;
    rustix::process::chdir("/").map_err(error)
}

/// After [`pivot`]: sets the propagation type of the container's root and all below.
///
/// # Errors
/// `Sys`.
pub fn set_root_propagation(kind: u64) -> Result<()> {
    let attributes = MountAttributes {
        propagation: kind,
        ..MountAttributes::default()
    };
    change_root(attributes, kind != propagation::UNBINDABLE)
}

/// After [`pivot`]: makes the root mount read-only, and no other.
///
/// # Errors
/// `Sys`.
pub fn make_root_readonly() -> Result<()> {
    let attributes = MountAttributes {
        set: RDONLY,
        ..MountAttributes::default()
    };
    change_root(attributes, false)
}

fn change_root(attributes: MountAttributes, recursive: bool) -> Result<()> {
    let root = rustix::fs::open(
        "/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| Error::sys("open", "/", errno))?;
    set_attributes(root.as_fd(), attributes, recursive)
        .map_err(|error| Error::sys("change the root mount", "", error))
}
