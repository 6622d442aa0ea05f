//! Paths that the container must not see or not change: `linux.maskedPaths` and `linux.readonlyPaths`.
//!
//! Each is verified after it is made: the path is looked up again and must lead to the mask (CVE-2025-31133).

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use sys::mount::{MountAttributes, RDONLY, set_attributes};

use crate::error::{Error, Result};
use crate::rootfs::bind::clone_open;
use crate::rootfs::devices::null_device;
use crate::rootfs::filesystem::NewFilesystem;
use crate::rootfs::label;
use crate::rootfs::mounts::attach;
use crate::rootfs::resolve::{RootFd, is_directory, mount_id};

/// Covers a path each: a file by /dev/null, a directory by an empty read-only one. What does not exist is left.
///
/// It is the container's own /dev/null where there is one, and it is bound read-only: of the host's, the container's root
/// could otherwise change the mode or the owner.
///
/// # Errors
/// `Sys`, `Invalid` when a path does not lead to its mask afterwards.
pub fn mask(root: &RootFd, paths: &[String], label: &str) -> Result<()> {
    let null = null_device(root)?;
    let mut empty: Option<OwnedFd> = None;
    for path in once_each(paths) {
        let error = |errno| Error::sys("mask", path, errno);
        let Some(target) = look_up(root, path)? else {
            continue;
        };
        let cover = if is_directory(&target).map_err(error)? {
            match &empty {
                Some(first) => clone_open(first, false).map_err(error)?,
                None => empty_directory(path, label)?,
            }
        } else {
            let cover = clone_open(&null, false).map_err(error)?;
            set_attributes(cover.as_fd(), NULL_ATTRIBUTES, false)
                .map_err(|error| Error::sys("mask", path, error))?;
            cover
        };
        attach(&cover, &target).map_err(error)?;
        verify(root, path, &cover)?;
        if empty.is_none() && is_directory(&cover).map_err(error)? {
            empty = Some(cover);
        }
    }
    Ok(())
}

/// A device on a read-only mount can still be read and written.
const NULL_ATTRIBUTES: MountAttributes = MountAttributes {
    set: RDONLY | sys::mount::NOSUID | sys::mount::NOEXEC,
    clear: 0,
    propagation: sys::mount::propagation::PRIVATE,
};

/// Makes a path each read-only, with all that is mounted below. What does not exist is left.
///
/// # Errors
/// `Sys`, `Invalid` when a path does not lead to the read-only mount afterwards.
pub fn make_readonly(root: &RootFd, paths: &[String]) -> Result<()> {
    for path in once_each(paths) {
        let error = |errno| Error::sys("make read-only", path, errno);
        let Some(target) = look_up(root, path)? else {
            continue;
        };
        let cover = clone_open(&target, true).map_err(error)?;
        let attributes = MountAttributes {
            set: RDONLY,
            ..MountAttributes::default()
        };
        set_attributes(cover.as_fd(), attributes, true)
            .map_err(|error| Error::sys("make read-only", path, error))?;
        attach(&cover, &target).map_err(error)?;
        verify(root, path, &cover)?;
    }
    Ok(())
}

/// Paths without those that were there before: engines merge lists, and one mount on another says nothing more.
fn once_each(paths: &[String]) -> impl Iterator<Item = &String> {
    paths.iter().enumerate().filter_map(|(place, path)| {
        let before = paths.get(..place).unwrap_or_default();
        let seen = before
            .iter()
            .any(|other| Path::new(other) == Path::new(path));
        (!seen).then_some(path)
    })
}

fn look_up(root: &RootFd, path: &str) -> Result<Option<OwnedFd>> {
    match root.look_up(Path::new(path), OFlags::PATH) {
        Ok(target) => Ok(Some(target)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(Error::sys("open in the container", path, errno)),
    }
}

fn empty_directory(path: &str, label: &str) -> Result<OwnedFd> {
    let data = ["nr_blocks=1", "nr_inodes=1", "mode=555"].map(str::to_owned);
    let data = label::with_context(&data, label, "tmpfs");
    let new = NewFilesystem {
        kind: "tmpfs",
        source: "tmpfs",
        superblock: &[],
        data: &data,
        attributes: RDONLY | sys::mount::NOSUID | sys::mount::NODEV | sys::mount::NOEXEC,
        destination: path,
    };
    new.detached()?
        .ok_or_else(|| Error::sys("mask", path, Errno::INVAL))
}

/// The path must lead to this very mount now.
fn verify(root: &RootFd, path: &str, cover: &OwnedFd) -> Result<()> {
    let error = |errno| Error::sys("verify the mask of", path, errno);
    let found = root.look_up(Path::new(path), OFlags::PATH).map_err(error)?;
    if mount_id(&found).map_err(error)? == mount_id(cover).map_err(error)? {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "verify the mask of {path}: the path leads elsewhere"
        ))
        .with_hint("the image or a mount changed it meanwhile: mount nothing over what is masked"))
    }
}
