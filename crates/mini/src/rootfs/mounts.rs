//! The mounts of `config.json`, one after the other.
//!
//! Each is made detached, given its flags, and only then attached to the descriptor that its destination was found by.

use std::borrow::Cow;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::{MountFlags, MoveMountFlags, move_mount};
use sys::mount::{MountAttributes, set_attributes};

use crate::error::{Error, Result};
use crate::rootfs::bind::{self, clone_tree};
use crate::rootfs::cgroup_mounts::{self, CgroupView};
use crate::rootfs::filesystem::{self, NewFilesystem};
use crate::rootfs::options::{self, MountOptions};
use crate::rootfs::resolve::{Leaf, RootFd, is_directory, mount_id};
use crate::rootfs::sources::{self, Source};
use crate::rootfs::{copy_up, label};
use crate::spec::Mount;

/// What mounting needs to know beyond the mount itself.
#[derive(Clone, Copy)]
#[expect(
    missing_debug_implementations,
    reason = "a function has nothing to show"
)]
pub struct MountContext<'a> {
    /// The container's root.
    pub root: &'a RootFd,
    /// The same by its path on the host.
    pub rootfs: &'a Path,
    /// Relative sources are relative to it.
    pub bundle: &'a Path,
    /// The container's cgroup in each hierarchy.
    pub cgroups: &'a [CgroupView],
    /// Whether it is in a user namespace, its own or one that it joins.
    pub in_user_namespace: bool,
    /// Whether it has a cgroup namespace of its own.
    pub own_cgroup_namespace: bool,
    /// SELinux label of the files of new file systems; empty for none.
    pub label: &'a str,
    /// Has the parent make a copy of a bind mount's source, by the mount's place, where we have not the rights.
    pub ask: &'a dyn Fn(usize) -> Result<OwnedFd>,
}

/// Something that is to become read-only when all mounts are made, since later ones need directories in it.
#[derive(Debug)]
pub struct LateReadonly {
    mounted: OwnedFd,
    destination: String,
}

impl LateReadonly {
    /// Makes it read-only.
    ///
    /// # Errors
    /// `Sys`.
    pub fn apply(&self) -> Result<()> {
        let attributes = MountAttributes {
            set: sys::mount::RDONLY,
            ..MountAttributes::default()
        };
        set_attributes(self.mounted.as_fd(), attributes, false)
            .map_err(|error| Error::sys("make read-only", &self.destination, error))
    }
}

/// Makes one mount. What it returns is to be applied when all are made.
///
/// # Errors
/// `Sys`, `Invalid`, `Unsupported`.
pub fn mount(
    context: MountContext<'_>,
    mount: &Mount,
    source: Source,
) -> Result<Option<LateReadonly>> {
    let options = options::parse(&mount.options)?;
    let destination = within(context.rootfs, Path::new(&mount.destination));
    let made = Made {
        context,
        mount,
        options: &options,
        destination: &destination,
    };
    if mount.is_bind() {
        return made.bind(source).map(|()| None);
    }
    if options.copy_up && mount.kind != "tmpfs" {
        return Err(Error::invalid(format!(
            "mount {}: tmpcopyup is for a tmpfs",
            mount.destination
        )));
    }
    if options.remount {
        return made.remount().map(|()| None);
    }
    match mount.kind.as_str() {
        "cgroup" | "cgroup2" => made.cgroups().map(|()| None),
        "proc" | "sysfs" => made.of_the_kernel().map(|()| None),
        "tmpfs" => made.tmpfs(),
        _ => made.other().map(|()| None),
    }
}

/// A mount in the making.
struct Made<'a> {
    context: MountContext<'a>,
    mount: &'a Mount,
    options: &'a MountOptions,
    destination: &'a Path,
}

impl Made<'_> {
    fn error(&self, errno: impl Into<crate::error::SysErrno>) -> Error {
        Error::sys("mount", &self.mount.destination, errno)
    }

    fn attach(&self, detached: &OwnedFd, target: &OwnedFd) -> Result<()> {
        attach(detached, target).map_err(|errno| match errno {
            // As mount(2) says it, and as callers look for it: move_mount(2) has the same errno for much else.
            Errno::INVAL if is_directory(detached) != is_directory(target) => {
                self.error(Errno::NOTDIR)
            }
            _ => self.error(errno),
        })
    }

    fn invalid(&self, reason: &str) -> Error {
        Error::invalid(format!("mount {}: {reason}", self.mount.destination))
    }

    /// The place, made when it is missing.
    fn target(&self, leaf: Leaf) -> Result<OwnedFd> {
        let target = self.context.root.open_or_create(self.destination, leaf)?;
        self.check_target(&target)?;
        Ok(target)
    }

    fn check_target(&self, target: &OwnedFd) -> Result<()> {
        if self
            .context
            .root
            .is_root(target)
            .map_err(|errno| self.error(errno))?
        {
            return Err(self.invalid("the place is the container's root itself"));
        }
        refuse_inside_proc(target, self.destination)
    }

    fn bind(&self, source: Source) -> Result<()> {
        if let Some(word) = self.options.data.first() {
            return Err(self.invalid(&format!(
                "bind mounts cannot have any filesystem-specific options applied: {word:?}"
            )));
        }
        if self.options.copy_up {
            return Err(self.invalid("tmpcopyup is for a tmpfs"));
        }
        let path = self.context.bundle.join(&self.mount.source);
        if self.options.copy_symlink
            && let Ok(link) = rustix::fs::readlink(&path, Vec::new())
        {
            return self.copy_link(&link);
        }
        let detached = self.source(source, &path)?;
        let leaf = self.leaf(&detached)?;
        bind::set_flags(&detached, self.options, &self.mount.destination)?;
        self.finish(&detached, true)?;
        let target = self.target(leaf)?;
        if self.destination == Path::new("/proc") && !is_proc(&detached) {
            return Err(self.invalid("\"/proc\" cannot be mounted because it is not of type proc"));
        }
        self.attach(&detached, &target)
    }

    /// A detached copy of what it shows: one that has been made before; with mapped ids in a user namespace, one that the
    /// parent makes; else one that is made now, when all mounts before it are there.
    fn source(&self, source: Source, path: &Path) -> Result<OwnedFd> {
        if let Some(tree) = source.tree {
            return Ok(tree);
        }
        if source.ids.is_some() && self.context.in_user_namespace {
            return (self.context.ask)(source.place);
        }
        let tree = match bind::open_source(self.context.bundle, self.mount) {
            Err(Errno::ACCESS) if self.context.in_user_namespace => {
                (self.context.ask)(source.place)?
            }
            other => {
                other.map_err(|errno| bind::source_error(self.context.bundle, self.mount, errno))?
            }
        };
        if let Some(ids) = &source.ids {
            sources::map(&tree, ids, path)?;
        }
        Ok(tree)
    }

    /// A new link with the words of the source's. One that is there already must have the same.
    fn copy_link(&self, words: &std::ffi::CStr) -> Result<()> {
        let (parent, name) = self.context.root.parent_of(self.destination)?;
        match rustix::fs::symlinkat(words, &parent, name) {
            Err(Errno::EXIST) => match rustix::fs::readlinkat(&parent, name, Vec::new()) {
                Ok(found) if found.as_c_str() == words => Ok(()),
                _ => Err(self.error(Errno::EXIST)),
            },
            other => other.map_err(|errno| self.error(errno)),
        }
    }

    /// proc and sysfs: what the masks and we ourselves rely on. A link on the way would let the image choose where they
    /// are (CVE-2023-27561).
    fn of_the_kernel(&self) -> Result<()> {
        let (detached, is_copy) = match self.make(&self.options.data, self.options.of_new()) {
            // sysfs is of the network namespace's owner: a user namespace without one of its own gets the host's.
            Err(_) if self.mount.kind == "sysfs" && self.context.in_user_namespace => {
                let host = clone_tree(Path::new("/sys"), true)?;
                bind::set_flags(&host, self.options, &self.mount.destination)?;
                (host, true)
            }
            other => (other?.ok_or_else(|| self.error(Errno::INVAL))?, false),
        };
        self.finish(&detached, is_copy)?;
        // A directory is made, whatever the image has there; what is found must be one, by no link.
        self.context
            .root
            .open_or_create(self.destination, Leaf::Directory)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let target = self
            .context
            .root
            .look_up_without_links(self.destination, flags)
            .map_err(|errno| {
                let kind = &self.mount.kind;
                Error::sys(
                    &format!("filesystem {kind:?} must be mounted on ordinary directory:"),
                    &self.mount.destination,
                    errno,
                )
                .with_hint("the image has a symbolic link where the kernel's file system belongs")
            })?;
        self.check_target(&target)?;
        self.attach(&detached, &target)
    }

    /// A tmpfs has the mode of the directory that it covers, unless another is asked for, as with runc.
    fn tmpfs(&self) -> Result<Option<LateReadonly>> {
        let mut data = self.options.data.clone();
        let there = match self.context.root.look_up(self.destination, OFlags::PATH) {
            Ok(there) => Some(there),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(self.error(errno)),
        };
        if let Some(there) = &there
            && !data.iter().any(|option| option.starts_with("mode="))
        {
            let stat = rustix::fs::fstat(there).map_err(|errno| self.error(errno))?;
            data.push(format!("mode={:o}", stat.st_mode & 0o7777));
        }
        // Written by the copy, and by the mounts that come.
        let late = self.options.on & sys::mount::RDONLY != 0;
        let attributes = self.options.of_new() & !sys::mount::RDONLY;
        let detached = self
            .make(&data, attributes)?
            .ok_or_else(|| self.error(Errno::INVAL))?;
        if self.options.copy_up
            && let Some(there) = &there
        {
            copy_up::copy(there, &detached, self.destination)?;
        }
        self.finish(&detached, false)?;
        let target = self.target(Leaf::Directory)?;
        self.attach(&detached, &target)?;
        Ok(late.then(|| LateReadonly {
            mounted: detached,
            destination: self.mount.destination.clone(),
        }))
    }

    fn other(&self) -> Result<()> {
        let Some(detached) = self.make(&self.options.data, self.options.of_new())? else {
            return self.with_long_options();
        };
        let leaf = self.leaf(&detached)?;
        self.finish(&detached, false)?;
        if self.mount.kind == "mqueue" {
            label::set(&detached, self.context.label, &self.mount.destination)?;
        }
        let target = self.target(leaf)?;
        self.attach(&detached, &target)
    }

    /// By the old call, which mounts at once: what it made is found again by its place for what is left to do.
    fn with_long_options(&self) -> Result<()> {
        let target = self.target(Leaf::Directory)?;
        let before = mount_id(&target).map_err(|errno| self.error(errno))?;
        let data = label::with_context(&self.options.data, self.context.label, &self.mount.kind);
        self.filesystem(&data, &self.superblock(), 0)
            .mount_on(&target, old_flags(self.options.of_new()))?;
        let mounted = self
            .context
            .root
            .look_up(self.destination, OFlags::PATH)
            .map_err(|errno| self.error(errno))?;
        if mount_id(&mounted).map_err(|errno| self.error(errno))? == before {
            return Err(self.invalid("the place leads elsewhere"));
        }
        self.finish(&mounted, false)
    }

    fn remount(&self) -> Result<()> {
        let mounted = self
            .context
            .root
            .look_up(self.destination, OFlags::PATH)
            .map_err(|errno| self.error(errno))?;
        let superblock = self.superblock();
        filesystem::reconfigure(
            &mounted,
            &superblock,
            &self.options.data,
            &self.mount.destination,
        )?;
        bind::set_flags(&mounted, self.options, &self.mount.destination)?;
        self.finish(&mounted, false)
    }

    fn cgroups(&self) -> Result<()> {
        let target = self.target(Leaf::Directory)?;
        cgroup_mounts::mount(
            self.context.cgroups,
            self.context.own_cgroup_namespace,
            &target,
            self.mount,
            self.options,
        )
    }

    fn superblock(&self) -> Vec<&'static str> {
        let mut words = self.options.superblock.clone();
        if self.options.on & sys::mount::RDONLY != 0
            && filesystem::is_of_a_device(&self.mount.source)
        {
            words.push("ro");
        }
        words
    }

    fn filesystem<'b>(
        &'b self,
        data: &'b [String],
        superblock: &'b [&'static str],
        attributes: u64,
    ) -> NewFilesystem<'b> {
        NewFilesystem {
            kind: &self.mount.kind,
            source: &self.mount.source,
            superblock,
            data,
            attributes,
            destination: &self.mount.destination,
        }
    }

    fn make(&self, data: &[String], attributes: u64) -> Result<Option<OwnedFd>> {
        if self.mount.kind.is_empty() || self.mount.kind == "none" {
            return Err(self.invalid("has no type and is no bind mount"));
        }
        let data = label::with_context(data, self.context.label, &self.mount.kind);
        self.filesystem(&data, &self.superblock(), attributes)
            .detached()
    }

    fn leaf(&self, detached: &OwnedFd) -> Result<Leaf> {
        let directory = is_directory(detached).map_err(|errno| self.error(errno))?;
        Ok(if directory {
            Leaf::Directory
        } else {
            Leaf::File
        })
    }

    /// What comes last: flags for all below, and propagation. Only copies need the latter when none is asked for: a new mount
    /// is private.
    fn finish(&self, mounted: &OwnedFd, is_copy: bool) -> Result<()> {
        if self.options.recursive != MountAttributes::default() {
            set_attributes(mounted.as_fd(), self.options.recursive, true)
                .map_err(|error| self.error(error))?;
        }
        if is_copy || !self.options.propagation.is_empty() {
            set_propagation(mounted, self.options, &self.mount.destination)?;
        }
        Ok(())
    }
}

/// Sets the propagation types asked for. A copy of a shared mount is its peer: what the container mounts below would show on
/// the host; so it is private unless asked for.
///
/// # Errors
/// `Sys`.
pub(crate) fn set_propagation(
    mounted: &OwnedFd,
    options: &MountOptions,
    destination: &str,
) -> Result<()> {
    let default = [(sys::mount::propagation::PRIVATE, true)];
    let asked = if options.propagation.is_empty() {
        default.as_slice()
    } else {
        options.propagation.as_slice()
    };
    for &(propagation, recursive) in asked {
        let attributes = MountAttributes {
            propagation,
            ..MountAttributes::default()
        };
        set_attributes(mounted.as_fd(), attributes, recursive)
            .map_err(|error| Error::sys("set the propagation of", destination, error))?;
    }
    Ok(())
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

/// A destination as the container has it: absolute, and without the root's own path when it was given with that.
fn within<'a>(rootfs: &Path, destination: &'a Path) -> Cow<'a, Path> {
    let inside = match destination.strip_prefix(rootfs) {
        Ok(inside) if rootfs != Path::new("/") => inside,
        _ => destination,
    };
    if inside.is_absolute() && inside.components().all(|part| part != Component::CurDir) {
        Cow::Borrowed(inside)
    } else {
        Cow::Owned(Path::new("/").join(inside))
    }
}

/// Flags as the old call has them.
fn old_flags(attributes: u64) -> MountFlags {
    let mut flags = MountFlags::empty();
    for (attribute, flag) in [
        (sys::mount::RDONLY, MountFlags::RDONLY),
        (sys::mount::NOSUID, MountFlags::NOSUID),
        (sys::mount::NODEV, MountFlags::NODEV),
        (sys::mount::NOEXEC, MountFlags::NOEXEC),
        (sys::mount::NOATIME, MountFlags::NOATIME),
        (sys::mount::STRICTATIME, MountFlags::STRICTATIME),
        (sys::mount::NODIRATIME, MountFlags::NODIRATIME),
    ] {
        if attributes & attribute != 0 {
            flags |= flag;
        }
    }
    flags
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
    let inside = is_proc(target)
        && !ALLOWED_IN_PROC
            .iter()
            .any(|path| destination == Path::new(path))
        && destination != Path::new("/proc");
    if inside {
        return Err(Error::invalid(format!(
            "mount {}: a mount inside /proc is not permitted",
            destination.display()
        ))
        .with_hint("only the files that lxcfs shows can be covered there: leave this mount out"));
    }
    Ok(())
}

fn is_proc(file: &OwnedFd) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|stat| stat.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

/// A short path of the host to an open file, for the few calls that take no descriptor.
pub fn proc_path(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_inside() {
        for (destination, inside) in [
            ("/etc/hosts", "/etc/hosts"),
            ("tmp/x", "/tmp/x"),
            ("/bundle/rootfs/mnt", "/mnt"),
            ("/bundle/rootfs", "/"),
            ("/bundle/rootfsx", "/bundle/rootfsx"),
        ] {
            assert_eq!(
                within(Path::new("/bundle/rootfs"), Path::new(destination)),
                Path::new(inside)
            );
        }
        assert_eq!(within(Path::new("/"), Path::new("/etc")), Path::new("/etc"));
    }
}
