//! Device nodes and the usual links in /dev.
//!
//! Source: runtime-spec config-linux.md, default devices and default filesystem links.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, makedev};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::rootfs::mounts::{attach, clone_tree};
use crate::rootfs::resolve::{Leaf, RootFd};
use crate::spec::Device;

const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

const LINKS: [(&str, &str); 6] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
    ("/dev/ptmx", "pts/ptmx"),
];

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
        node(root, device, bind_instead)?;
    }
    for (path, target) in LINKS {
        let (parent, name) = root.parent_of(Path::new(path))?;
        match rustix::fs::symlinkat(target, &parent, name) {
            // Docker links /dev/ptmx by the same words; an image's own /dev is left as it is.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::sys("link", path, errno)),
        }
    }
    Ok(())
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
            )));
        }
    };
    let path = Path::new(&device.path);
    if bind_instead {
        let source = clone_tree(path, false)?;
        check_number(&source, device)?;
        let target = root.open_or_create(path, Leaf::File)?;
        return attach(&source, &target).map_err(error);
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
        )))
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
