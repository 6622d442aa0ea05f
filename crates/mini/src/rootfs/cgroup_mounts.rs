//! The container's view of its cgroup, below a mount of type `cgroup` or `cgroup2`.
//!
//! As Docker expects it: with v2 alone the unified hierarchy, else each hierarchy in a directory of a tmpfs, as the host has
//! them. Binds of the directories instead of new mounts of the hierarchies, so that they can be made before the process
//! has been moved into the cgroup; seen from its cgroup namespace, each is the root.

use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, mkdirat, openat, symlinkat};
use sys::mount::{MountAttributes, RDONLY, set_attributes};

use crate::error::{Error, Result};
use crate::rootfs::bind::clone_tree;
use crate::rootfs::filesystem::NewFilesystem;
use crate::rootfs::mounts::{attach, set_propagation};
use crate::rootfs::options::MountOptions;
use crate::spec::Mount;

/// A cgroup's directory, as the container shall see it under its cgroup mount.
#[derive(Clone, Debug)]
pub struct CgroupView {
    /// Name below the mount (`memory`, `cpu,cpuacct`); [`None`] when the mount is the unified hierarchy itself.
    pub name: Option<String>,
    /// Whether it is of the unified hierarchy.
    pub is_v2: bool,
    /// The directory on the host.
    pub directory: PathBuf,
    /// Where the whole hierarchy is on the host.
    pub mount_point: PathBuf,
}

/// Mounts the views on an open directory. Without a cgroup namespace of its own the container sees the unified hierarchy
/// whole, since `/proc/self/cgroup` names its place in there.
///
/// # Errors
/// `Sys`; `Unsupported` for `cgroup2` where none is mounted.
pub fn mount(
    views: &[CgroupView],
    own_namespace: bool,
    target: &OwnedFd,
    mount: &Mount,
    options: &MountOptions,
) -> Result<()> {
    let attributes = MountAttributes {
        set: sys::mount::NOSUID | sys::mount::NODEV | sys::mount::NOEXEC | options.on & RDONLY,
        ..MountAttributes::default()
    };
    let only_v2 = views.iter().all(|view| view.name.is_none());
    let unified = views.iter().find(|view| view.is_v2);
    match unified {
        Some(view) if only_v2 || mount.kind == "cgroup2" => {
            let source = if own_namespace {
                &view.directory
            } else {
                &view.mount_point
            };
            let detached = clone_tree(source, false)?;
            finish(&detached, attributes, mount, options)?;
            attach(&detached, target)
                .map_err(|errno| Error::sys("mount", &mount.destination, errno))
        }
        None if mount.kind == "cgroup2" => Err(Error::unsupported(format!(
            "mount {}: no cgroup v2 hierarchy is mounted on this machine",
            mount.destination
        ))
        .with_hint("mount type cgroup, or boot with systemd.unified_cgroup_hierarchy=1")),
        _ => mount_all(views, target, attributes, mount, options),
    }
}

fn mount_all(
    views: &[CgroupView],
    target: &OwnedFd,
    attributes: MountAttributes,
    mount: &Mount,
    options: &MountOptions,
) -> Result<()> {
    let error = |errno| Error::sys("mount", &mount.destination, errno);
    let data = ["mode=755".to_owned(), "size=64k".to_owned()];
    let new = NewFilesystem {
        kind: "tmpfs",
        source: "cgroup",
        superblock: &[],
        data: &data,
        attributes: 0,
        destination: &mount.destination,
    };
    let top = new
        .detached()?
        .ok_or_else(|| error(rustix::io::Errno::INVAL))?;
    attach(&top, target).map_err(error)?;
    for view in views {
        let name = view.name.as_deref().unwrap_or("unified");
        mkdirat(&top, name, Mode::from_raw_mode(0o755)).map_err(error)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(&top, name, flags, Mode::empty()).map_err(error)?;
        let detached = clone_tree(&view.directory, false)?;
        finish(&detached, attributes, mount, options)?;
        attach(&detached, &directory).map_err(error)?;
        // `cpu,cpuacct` is known by each of its names.
        if name.contains(',') {
            for part in name.split(',') {
                symlinkat(name, &top, part).map_err(error)?;
            }
        }
    }
    finish(&top, attributes, mount, options)
}

fn finish(
    mounted: &OwnedFd,
    attributes: MountAttributes,
    mount: &Mount,
    options: &MountOptions,
) -> Result<()> {
    set_attributes(mounted.as_fd(), attributes, false)
        .map_err(|error| Error::sys("set the flags of", &mount.destination, error))?;
    set_propagation(mounted, options, &mount.destination)
}
