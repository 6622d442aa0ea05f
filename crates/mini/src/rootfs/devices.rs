//! Device nodes and the usual links in /dev.
//!
//! Source: runtime-spec config-linux.md, default devices and default filesystem links.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, makedev};
use rustix::io::Errno;
use sys::mount::{MountAttributes, NOEXEC, NOSUID, propagation, set_attributes};

use crate::error::{Error, Result};
use crate::rootfs::bind::clone_tree;
use crate::rootfs::mounts::{attach, proc_path};
use crate::rootfs::resolve::RootFd;
use crate::spec::Device;

const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

const LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// The multiplexer is that of the container's own devpts, by a link.
const PTMX: &str = "/dev/ptmx";

/// Where the devices are that every container has.
pub fn default_paths<'p>() -> impl Iterator<Item = &'p str> {
    DEFAULT.iter().map(|(path, ..)| *path)
}

/// Makes the devices that every container has, those of the spec, and the links.
/// In a user namespace nodes cannot be made: there the host's are bound.
///
/// # Errors
/// `Sys`, `Invalid`.
pub fn create(root: &RootFd, devices: &[Device], bind_instead: bool) -> Result<()> {
    for (path, major, minor) in DEFAULT {
        if devices
            .iter()
            .any(|device| Path::new(&device.path) == Path::new(path))
        {
            continue;
        }
        let device = Device {
            path: path.into(),
            kind: "c".into(),
            major,
            minor,
            file_mode: Some(0o666),
            ..Device::default()
        };
        node(root, &device, bind_instead)?;
    }
    for device in devices {
        // Without a path it is there for the cgroup's rules only.
        if !device.path.is_empty() && Path::new(&device.path) != Path::new(PTMX) {
            node(root, device, bind_instead)?;
        }
    }
    for (path, target) in LINKS {
        link(root, path, target)?;
    }
    if rustix::fs::access("/proc/kcore", rustix::fs::Access::EXISTS).is_ok() {
        link(root, "/dev/core", "/proc/kcore")?;
    }
    link_ptmx(root)
}

/// A link; what an image's own /dev has by that name is left as it is.
fn link(root: &RootFd, path: &str, target: &str) -> Result<()> {
    let (parent, name) = root.parent_of(Path::new(path))?;
    match rustix::fs::symlinkat(target, &parent, name) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(Error::sys("link", path, errno)),
    }
}

/// The link to the multiplexer, in place of what the image has there: another's would give terminals of another devpts.
fn link_ptmx(root: &RootFd) -> Result<()> {
    let error = |errno| Error::sys("link", PTMX, errno);
    let target = c"pts/ptmx";
    let (parent, name) = root.parent_of(Path::new(PTMX))?;
    match rustix::fs::symlinkat(target, &parent, name) {
        Err(Errno::EXIST) => {}
        other => return other.map_err(error),
    }
    // Docker links by the same words.
    if let Ok(found) = rustix::fs::readlinkat(&parent, name, Vec::new())
        && found.as_c_str() == target
    {
        return Ok(());
    }
    rustix::fs::unlinkat(&parent, name, AtFlags::empty()).map_err(error)?;
    rustix::fs::symlinkat(target, &parent, name).map_err(error)
}

fn node(root: &RootFd, device: &Device, bind_instead: bool) -> Result<()> {
    let error = |errno| Error::sys("mknod", &device.path, errno);
    let kind = match device.kind.as_str() {
        "c" | "u" => FileType::CharacterDevice,
        "b" => FileType::BlockDevice,
        "p" => FileType::Fifo,
        other => {
            return Err(Error::invalid(format!(
                "linux.devices {}: unknown type {other:?}",
                device.path
            ))
            .with_hint("the types are c, b, u and p"));
        }
    };
    let path = Path::new(&device.path);
    if bind_instead && kind != FileType::Fifo {
        return bind(root, device);
    }
    let (parent, name) = root.parent_of(path)?;
    let mode = Mode::from_raw_mode(device.file_mode.unwrap_or(0o666) & 0o7777);
    match rustix::fs::mknodat(
        &parent,
        name,
        kind,
        mode,
        makedev(device.major, device.minor),
    ) {
        Ok(()) => {}
        // A runtime that runs in a container itself, without CAP_MKNOD or with a cgroup's rules against it.
        Err(Errno::PERM) if kind != FileType::Fifo => return bind(root, device),
        // The image or a volume has something there: right only if it is the very device.
        Err(Errno::EXIST) => {
            let found = rustix::fs::openat(
                &parent,
                name,
                OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .map_err(error)?;
            return check_number(&found, device);
        }
        Err(errno) => return Err(error(errno)),
    }
    // The umask has been cleared by the caller; the owner is changed only when it is not root.
    if device.uid.unwrap_or(0) != 0 || device.gid.unwrap_or(0) != 0 {
        rustix::fs::chownat(
            &parent,
            name,
            Some(Uid::from_raw(device.uid.unwrap_or(0))),
            Some(Gid::from_raw(device.gid.unwrap_or(0))),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(error)?;
    }
    Ok(())
}

/// Shows the host's device of the same path, if it is the very one.
fn bind(root: &RootFd, device: &Device) -> Result<()> {
    let path = Path::new(&device.path);
    let error = |errno| Error::sys("bind the device", &device.path, errno);
    let source = clone_tree(path, false)?;
    check_number(&source, device)?;
    let attributes = MountAttributes {
        set: NOSUID | NOEXEC,
        propagation: propagation::PRIVATE,
        ..MountAttributes::default()
    };
    set_attributes(source.as_fd(), attributes, false)
        .map_err(|error| Error::sys("bind the device", &device.path, error))?;
    let (parent, name) = root.parent_of(path)?;
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(
        &parent,
        name,
        flags | OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY,
        Mode::empty(),
    ) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(error(errno)),
    }
    let target =
        rustix::fs::openat(&parent, name, flags | OFlags::PATH, Mode::empty()).map_err(error)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&target).map_err(error)?.st_mode)
        == FileType::Symlink
    {
        return Err(Error::invalid(format!(
            "bind the device {}: there is a symbolic link",
            device.path
        ))
        .with_hint("the image has a link where the device belongs: take it away"));
    }
    attach(&source, &target).map_err(error)
}

fn check_number(found: impl AsFd, device: &Device) -> Result<()> {
    let stat = rustix::fs::fstat(found).map_err(|errno| Error::sys("stat", &device.path, errno))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let right = match device.kind.as_str() {
        "p" => kind == FileType::Fifo,
        "b" => kind == FileType::BlockDevice && stat.st_rdev == makedev(device.major, device.minor),
        _ => {
            kind == FileType::CharacterDevice && stat.st_rdev == makedev(device.major, device.minor)
        }
    };
    if right {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "{} is not the device {}:{}",
            device.path, device.major, device.minor
        ))
        .with_hint("the image, a mount or the host has something else by that name: take it away, or correct linux.devices"))
    }
}

/// Opens the container's /dev/null, or without one the host's, and makes sure that it is what its name says: whoever
/// shares the container's /dev may put something else there (CVE-2025-31133).
///
/// # Errors
/// `Sys`, `Invalid`.
pub fn null_device(root: &RootFd) -> Result<rustix::fd::OwnedFd> {
    let path = Path::new("/dev/null");
    let error = |errno| Error::sys("open", "/dev/null", errno);
    let null = match root.look_up(path, OFlags::PATH | OFlags::NOFOLLOW) {
        Err(Errno::NOENT) => {
            rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        }
        other => other,
    }
    .map_err(error)?;
    let device = Device {
        path: "/dev/null".into(),
        kind: "c".into(),
        major: 1,
        minor: 3,
        ..Device::default()
    };
    check_number(&null, &device)?;
    Ok(null)
}

/// Puts the container's /dev/null where standard streams are the host's, which would be a way to look at the host's /dev. A
/// container without one keeps them.
///
/// # Errors
/// `Sys`; `Invalid` when the container's is another device (runc's CVE-2025-31133, crun's CVE-2026-88265).
pub fn reopen_null(root: &RootFd) -> Result<()> {
    let is_null = |stream: rustix::fd::BorrowedFd<'_>| {
        rustix::fs::fstat(stream).is_ok_and(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
                && stat.st_rdev == makedev(1, 3)
        })
    };
    let streams = [
        is_null(rustix::stdio::stdin()),
        is_null(rustix::stdio::stdout()),
        is_null(rustix::stdio::stderr()),
    ];
    if streams == [false; 3] {
        return Ok(());
    }
    let error = |errno| Error::sys("reopen", "/dev/null", errno);
    // Looked at before it is opened, which alone has an effect on some devices.
    let found = match root.look_up(Path::new("/dev/null"), OFlags::PATH | OFlags::NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        other => other.map_err(error)?,
    };
    if !is_null(found.as_fd()) {
        return Err(Error::invalid("/dev/null is not the device 1:3").with_hint("some mount or another container has put something else there: give the container its own /dev"));
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let null = match rustix::fs::open(proc_path(&found), flags, Mode::empty()) {
        // Devices cannot be opened on the file system that the image's /dev is on.
        Err(Errno::ACCESS) => return Ok(()),
        other => other.map_err(error)?,
    };
    let [input, output, errors] = streams;
    if input {
        rustix::stdio::dup2_stdin(&null).map_err(error)?;
    }
    if output {
        rustix::stdio::dup2_stdout(&null).map_err(error)?;
    }
    if errors {
        rustix::stdio::dup2_stderr(&null).map_err(error)?;
    }
    Ok(())
}
