//! The mounts of `config.json`.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use sys::mount::{MountAttributes, set_attributes};

use crate::error::{Error, Result};
use crate::rootfs::options::{self, MountOptions};
use crate::rootfs::resolve::{Leaf, RootFd, is_directory};
use crate::spec::Mount;

/// A cgroup's directory, as the container shall see it under its cgroup mount.
#[derive(Clone, Debug)]
pub struct CgroupView {
    /// Name below the mount (`memory`, `cpu,cpuacct`); [`None`] when the mount is the unified hierarchy itself.
    pub name: Option<String>,
    /// The directory on the host.
    pub directory: PathBuf,
}

/// What mounting needs to know beyond the mount itself.
#[derive(Clone, Copy, Debug)]
pub struct MountContext<'a> {
    /// The container's root.
    pub root: &'a RootFd,
    /// Relative sources are relative to it.
    pub bundle: &'a Path,
    /// The container's cgroup in each hierarchy.
    pub cgroups: &'a [CgroupView],
    /// The source of this bind mount when it is open already, see [`open_source`].
    pub source: Option<&'a OwnedFd>,
}

/// Whether a mount shows what is mounted elsewhere already.
pub fn is_bind(mount: &Mount) -> bool {
    let asks = |word: &str| mount.kind == word || mount.options.iter().any(|option| option == word);
    mount.kind != "cgroup" && mount.kind != "cgroup2" && (asks("bind") || asks("rbind"))
}

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
        Errno::ACCESS => error.with_hint("we are not let through to it: look at the rights of the directories above"),
        Errno::INVAL => error.with_hint("in a user namespace, what has mounts below is bound with them or not at all: use rbind"),
        _ => error,
    }
}

/// Makes one mount.
///
/// # Errors
/// `Sys`, `Invalid`, `Unsupported`.
pub fn mount(context: MountContext<'_>, mount: &Mount) -> Result<()> {
    let options = options::parse(&mount.options)?;
    if mount.kind == "cgroup" || mount.kind == "cgroup2" {
        return mount_cgroups(context, mount, &options);
    }
    let bind = options.bind || mount.kind == "bind" || mount.kind == "rbind";
    let detached = if bind {
        if let Some(word) = options.data.first() {
            return Err(Error::invalid(format!(
                "mount {}: option {word:?} has no meaning for a bind mount",
                mount.destination
            )));
        }
        match context.source {
            Some(source) => source
                .try_clone()
                .map_err(|error| Error::sys("duplicate", "the source of a mount", error))?,
            None => open_source(context.bundle, mount)
                .map_err(|errno| source_error(context.bundle, mount, errno))?,
        }
    } else {
        new_filesystem(&mount.kind, &mount.source, &options.data).map_err(|errno| {
            Error::sys(
                "mount",
                format!("{} on {}", mount.kind, mount.destination),
                errno,
            )
        })?
    };
    let leaf = if is_directory(&detached).map_err(|errno| sys(mount, errno))? {
        Leaf::Directory
    } else {
        Leaf::File
    };
    apply(&detached, &options).map_err(|error| sys_io(mount, error))?;
    let destination = Path::new(&mount.destination);
    let target = if matches!(mount.kind.as_str(), "proc" | "sysfs") {
        // A link here would let the image choose what the masks protect (CVE-2025-31133).
        context.root.open_or_create(destination, leaf)?;
        context
            .root
            .look_up_without_links(destination, OFlags::PATH)
            .map_err(|errno| {
                sys(mount, errno).with_hint(
                    "the image has a symbolic link where the kernel's file system belongs",
                )
            })?
    } else {
        context.root.open_or_create(destination, leaf)?
    };
    refuse_inside_proc(&target, destination)?;
    attach(&detached, &target).map_err(|errno| sys(mount, errno))
}

fn sys(mount: &Mount, errno: Errno) -> Error {
    Error::sys("mount", &mount.destination, errno)
}

fn sys_io(mount: &Mount, error: std::io::Error) -> Error {
    Error::sys("mount", &mount.destination, error)
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

/// A detached copy of what an open file is, with all below it.
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

/// A detached new file system.
///
/// # Errors
/// The errno of the call that the kernel refused.
pub fn new_filesystem(kind: &str, source: &str, data: &[String]) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    if !source.is_empty() {
        fsconfig_set_string(context.as_fd(), "source", source)?;
    }
    for option in data {
        match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(context.as_fd(), key, value)?,
            None => fsconfig_set_flag(context.as_fd(), option.as_str())?,
        }
    }
    fsconfig_create(context.as_fd())?;
    fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
}

/// Attaches a detached mount to an open file.
///
/// # Errors
/// The errno of `move_mount`.
pub fn attach(detached: impl AsFd, target: impl AsFd) -> Result<(), Errno> {
    move_mount(
        detached,
        "",
        target,
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
}

fn apply(detached: &OwnedFd, options: &MountOptions) -> Result<(), std::io::Error> {
    if options.recursive_attributes != MountAttributes::default() {
        set_attributes(detached.as_fd(), options.recursive_attributes, true)?;
    }
    if options.attributes != MountAttributes::default() {
        set_attributes(detached.as_fd(), options.attributes, false)?;
    }
    // A copy of a shared mount is its peer: what the container mounts below would show on the host. Private unless asked for.
    let (kind, recursive) = options
        .propagation
        .unwrap_or((sys::mount::propagation::PRIVATE, true));
    let attributes = MountAttributes {
        propagation: kind,
        ..MountAttributes::default()
    };
    set_attributes(detached.as_fd(), attributes, recursive)
}

/// Files below /proc that may be covered, as runc has them (lxcfs covers most).
const ALLOWED_IN_PROC: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// A mount inside /proc could replace what security modules and we ourselves are told through it.
fn refuse_inside_proc(target: &OwnedFd, destination: &Path) -> Result<()> {
    let stat = rustix::fs::fstatfs(target)
        .map_err(|errno| Error::sys("statfs", destination.display(), errno))?;
    let inside = stat.f_type == rustix::fs::PROC_SUPER_MAGIC
        && !ALLOWED_IN_PROC
            .iter()
            .any(|path| destination == Path::new(path))
        && destination != Path::new("/proc");
    if inside {
        return Err(Error::invalid(format!(
            "mount {}: a mount inside /proc is not permitted",
            destination.display()
        )));
    }
    Ok(())
}

/// Shows the container its own cgroup: of the unified hierarchy directly, of several hierarchies each in a directory
/// of a tmpfs, as the host has them. Binds of the directories instead of new mounts of the hierarchies, so that they can be
/// made before the process has been moved into the cgroup.
fn mount_cgroups(context: MountContext<'_>, mount: &Mount, options: &MountOptions) -> Result<()> {
    let target = context
        .root
        .open_or_create(Path::new(&mount.destination), Leaf::Directory)?;
    let mut attributes = MountAttributes {
        set: sys::mount::NOSUID | sys::mount::NODEV | sys::mount::NOEXEC,
        ..MountAttributes::default()
    };
    attributes.set |= options.attributes.set & sys::mount::RDONLY;
    attributes.propagation = sys::mount::propagation::PRIVATE;
    if let [
        CgroupView {
            name: None,
            directory,
        },
    ] = context.cgroups
    {
        let detached = clone_tree(directory, false)?;
        set_attributes(detached.as_fd(), attributes, false)
            .map_err(|error| sys_io(mount, error))?;
        return attach(&detached, &target).map_err(|errno| sys(mount, errno));
    }
    let top = new_filesystem("tmpfs", "cgroup", &["mode=755".into(), "size=64k".into()])
        .map_err(|errno| sys(mount, errno))?;
    attach(&top, &target).map_err(|errno| sys(mount, errno))?;
    for view in context.cgroups {
        let name = view.name.as_deref().unwrap_or("unified");
        rustix::fs::mkdirat(&top, name, rustix::fs::Mode::from_raw_mode(0o755))
            .map_err(|errno| sys(mount, errno))?;
        let directory = rustix::fs::openat(
            &top,
            name,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )
        .map_err(|errno| sys(mount, errno))?;
        let detached = clone_tree(&view.directory, false)?;
        set_attributes(detached.as_fd(), attributes, false)
            .map_err(|error| sys_io(mount, error))?;
        attach(&detached, &directory).map_err(|errno| sys(mount, errno))?;
        // `cpu,cpuacct` is known by each of its names.
        if name.contains(',') {
            for part in name.split(',') {
                rustix::fs::symlinkat(name, &top, part).map_err(|errno| sys(mount, errno))?;
            }
        }
    }
    set_attributes(top.as_fd(), attributes, false).map_err(|error| sys_io(mount, error))
}

/// A short path of the host to an open file, for the few calls that take no descriptor.
pub fn proc_path(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}
