//! Making a directory the root of the mount namespace: by `pivot_root`, which lets go of the host's; or, where the host's
//! root is a file system that cannot be moved (an initramfs), by moving the new one over it (`--no-pivot`).

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount, unmount};
use sys::mount::{MountAttributes, RDONLY, propagation, set_attributes};

use crate::error::{Error, Result};
use crate::rootfs::bind::clone_tree;
use crate::rootfs::filesystem::NewFilesystem;
use crate::rootfs::mountinfo;
use crate::rootfs::mounts::attach;
use crate::rootfs::resolve::{RootFd, is_mount_point};

/// A propagation type, `MS_SHARED` and so on, and whether it is for all mounts below too.
pub type Propagation = (u64, bool);

/// Cuts the new mount namespace off from the host's, and makes sure that the root file system is a mount of its own.
///
/// Slaves by default: a file system that is unmounted on the host leaves us too, and nothing of ours shows there. With
/// `shared`, volumes stay peers of the host's mounts, as asked for; then only the root file system is cut off.
///
/// `locked` says that the mounts are locked together, as they are in a mount namespace of a new user namespace: then only a
/// mount of our own can become the root.
///
/// # Errors
/// `Sys`.
pub fn detach_from_host(rootfs: &Path, (kind, _): Propagation, locked: bool) -> Result<()> {
    let error = |errno| Error::sys("prepare root", rootfs.display(), errno);
    let is_mount = is_mount_point(rootfs).map_err(error)?;
    if kind == propagation::SLAVE || kind == propagation::PRIVATE {
        set_propagation_of(Path::new("/"), (kind, true))?;
        if is_mount && !locked {
            return Ok(());
        }
    } else {
        // pivot_root demands that neither the new root nor what it is mounted on is shared.
        set_propagation_of(&mount_point_of(rootfs)?, (propagation::PRIVATE, false))?;
    }
    let copy = clone_tree(rootfs, true)?;
    attach(&copy, open(rootfs).map_err(error)?).map_err(error)
}

/// Without a mount namespace: makes the root file system a mount of its own among the host's, private, so that what is
/// mounted in it shows nowhere else. It stays until [`remove_from_host`].
///
/// # Errors
/// `Sys`.
pub fn attach_to_host(rootfs: &Path) -> Result<()> {
    let error = |errno| Error::sys("prepare root", rootfs.display(), errno);
    let copy = clone_tree(rootfs, true)?;
    let attributes = MountAttributes {
        propagation: propagation::PRIVATE,
        ..MountAttributes::default()
    };
    set_attributes(copy.as_fd(), attributes, true)
        .map_err(|error| Error::sys("prepare root", rootfs.display(), error))?;
    attach(&copy, open(rootfs).map_err(error)?).map_err(error)
}

/// Takes away what [`attach_to_host`] has put there, with all below: a mount of the given number, and no other.
///
/// # Errors
/// `Sys`.
pub fn remove_from_host(rootfs: &Path, mount: u64) -> Result<()> {
    if mount_number(rootfs) != Some(mount) {
        return Ok(());
    }
    match unmount(rootfs, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::sys("unmount", rootfs.display(), errno)),
    }
}

/// The number of the mount at a path; [`None`] where there is none.
pub fn mount_number(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statx(
        rustix::fs::CWD,
        path,
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        rustix::fs::StatxFlags::MNT_ID,
    )
    .ok()?;
    Some(stat.stx_mnt_id)
}

/// Without a mount namespace: enters the root by `chroot`, which a privileged process leaves again.
///
/// # Errors
/// `Sys`.
pub fn enter_by_chroot(root: impl AsFd) -> Result<()> {
    let error = |errno| Error::sys("chroot", "", errno);
    rustix::process::fchdir(root).map_err(error)?;
    rustix::process::chroot(".").map_err(error)?;
    rustix::process::chdir("/").map_err(error)
}

/// The mount that a path is on.
fn mount_point_of(path: &Path) -> Result<PathBuf> {
    let error = |errno| Error::sys("find the mount of", path.display(), errno);
    let whole = std::fs::canonicalize(path)
        .map_err(|found| Error::sys("find the mount of", path.display(), found))?;
    for ancestor in whole.ancestors() {
        if is_mount_point(ancestor).map_err(error)? {
            return Ok(ancestor.to_owned());
        }
    }
    Ok("/".into())
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

fn set_propagation_of(path: &Path, (kind, recursive): Propagation) -> Result<()> {
    let attributes = MountAttributes {
        propagation: kind,
        ..MountAttributes::default()
    };
    let mount = open(path).map_err(|errno| Error::sys("open", path.display(), errno))?;
    set_attributes(mount.as_fd(), attributes, recursive)
        .map_err(|error| Error::sys("set the propagation of", path.display(), error))
}

/// Makes `root` the root of this mount namespace and lets go of the host's.
///
/// The old root is stacked on the new one and taken off at once, so no directory is needed for it (`man 2 pivot_root`).
///
/// # Errors
/// `Sys`.
pub fn pivot(root: impl AsFd, (kind, _): Propagation) -> Result<()> {
    let error = |errno| Error::sys("pivot_root", "", errno);
    let old_root = rustix::fs::open(
        "/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(error)?;
    rustix::process::fchdir(root).map_err(error)?;
    rustix::process::pivot_root(".", ".").map_err(|errno| {
        error(errno).with_hint(
            "where the host's root is an initramfs it cannot be exchanged: use --no-pivot (Docker: DOCKER_RAMDISK=1)",
        )
    })?;
    rustix::process::fchdir(&old_root).map_err(error)?;
    if kind != propagation::SLAVE && kind != propagation::PRIVATE {
        // What is taken off here would else be taken off the host.
        let attributes = MountAttributes {
            propagation: propagation::SLAVE,
            ..MountAttributes::default()
        };
        set_attributes(old_root.as_fd(), attributes, true)
            .map_err(|error| Error::sys("cut off", "the host's root", error))?;
    }
    unmount(".", UnmountFlags::DETACH)
        .map_err(|errno| Error::sys("unmount", "the host's root", errno))?;
    rustix::process::chdir("/").map_err(error)
}

/// Moves `root` over the root of this mount namespace and enters it: `--no-pivot`.
///
/// The host's mounts stay below, out of reach but for the kernel, which lets whoever sees a whole proc or sysfs mount
/// another without the masks: those of the host are taken away first.
///
/// # Errors
/// `Sys`.
pub fn move_over(root: &RootFd, rootfs: &Path) -> Result<()> {
    let error = |errno| Error::sys("move the root over", "/", errno);
    // What is taken away here would else be taken away on the host, should its root be shared with ours.
    set_propagation_of(Path::new("/"), (propagation::SLAVE, true))?;
    let table = std::fs::read("/proc/self/mountinfo")
        .map_err(|error| Error::sys("read", "/proc/self/mountinfo", error))?;
    for mount in mountinfo::parse(&table) {
        let whole = mount.root == Path::new("/") && matches!(mount.kind.as_str(), "proc" | "sysfs");
        if whole && !mount.mount_point.starts_with(rootfs) {
            take_away(&mount.mount_point)?;
        }
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(root.fd(), "", CWD, "/", flags).map_err(error)?;
    rustix::process::fchdir(root.fd()).map_err(error)?;
    rustix::process::chroot(".").map_err(error)?;
    rustix::process::chdir("/").map_err(error)
}

fn take_away(mount_point: &Path) -> Result<()> {
    let error = |errno| Error::sys("take away", mount_point.display(), errno);
    match unmount(mount_point, UnmountFlags::DETACH) {
        // Or gone with one that it was in.
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        // Not ours to unmount: covered.
        Err(Errno::INVAL | Errno::PERM) => {
            let destination = mount_point.to_string_lossy();
            let new = NewFilesystem {
                kind: "tmpfs",
                source: "tmpfs",
                superblock: &[],
                data: &[],
                attributes: 0,
                destination: &destination,
            };
            let cover = new.detached()?.ok_or_else(|| error(Errno::INVAL))?;
            attach(&cover, open(mount_point).map_err(error)?).map_err(error)
        }
        Err(errno) => Err(error(errno)),
    }
}

/// After [`pivot`]: sets the propagation type of the container's root as asked for. Slaves and private ones are so already.
///
/// # Errors
/// `Sys`.
pub fn set_root_propagation((kind, recursive): Propagation) -> Result<()> {
    if kind == propagation::SLAVE || kind == propagation::PRIVATE {
        return Ok(());
    }
    let attributes = MountAttributes {
        propagation: kind,
        ..MountAttributes::default()
    };
    change_root(attributes, recursive)
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
