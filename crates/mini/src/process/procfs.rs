//! Writing the kernel's files below /proc: only when they are the kernel's (CVE-2019-16884, CVE-2025-52881).
//!
//! /proc must be the root of a procfs, and what is opened below it must be on that very mount, by no link that the kernel
//! jumps by: a file system or a file that somebody has put over a part of it is `EXDEV`.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    CWD, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstat, fstatfs, openat, openat2,
};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// The number of the root of every procfs, and of nothing else in it.
const ROOT_INODE: u64 = 1;

/// Sets a value of this process: `oom_score_adj`, `attr/exec`.
///
/// # Errors
/// `Sys`; `Invalid` when /proc is not the kernel's.
pub(crate) fn write_self(path: &str, value: &str) -> Result<()> {
    write(&Path::new("self").join(path), value)
}

/// The same of another process.
///
/// # Errors
/// As [`write_self`].
pub(crate) fn write_process(pid: i32, path: &str, value: &str) -> Result<()> {
    write(&Path::new(&pid.to_string()).join(path), value)
}

/// Sets a kernel parameter.
///
/// # Errors
/// As [`write_self`].
pub(crate) fn write_sysctl(path: &str, value: &str) -> Result<()> {
    write(&Path::new("sys").join(path), value)
}

fn write(path: &Path, value: &str) -> Result<()> {
    let object = || format!("/proc/{} to {value:?}", path.display());
    let error = |errno| Error::sys("set", object(), errno);
    let proc = open_root()?;
    let file = openat2(
        &proc,
        path,
        OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV,
    )
    .map_err(|errno| match errno {
        Errno::XDEV => error(errno).with_hint("something is mounted over this file of the kernel"),
        Errno::NOENT if path.starts_with("sys") => error(errno).with_hint(
            "this kernel has no such parameter: correct linux.sysctl, or load the module that has it",
        ),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => {
            error(errno).with_hint("it is read-only here, or not for the container's root to set")
        }
        _ => error(errno),
    })?;
    if fstatfs(&file).map_err(error)?.f_type != PROC_SUPER_MAGIC {
        return Err(Error::invalid(format!(
            "set {}: not a file of the kernel",
            object()
        )));
    }
    // In one write: the kernel takes no second.
    let written = rustix::io::write(&file, value.as_bytes()).map_err(|errno| match errno {
        Errno::INVAL | Errno::RANGE => {
            error(errno).with_hint("the kernel does not take this value")
        }
        Errno::ACCESS | Errno::PERM => error(errno).with_hint("we have not the right to set it"),
        _ => error(errno),
    });
    match written? {
        length if length == value.len() => Ok(()),
        _ => Err(error(Errno::IO)),
    }
}

fn open_root() -> Result<OwnedFd> {
    let error = |errno| Error::sys("open", "/proc", errno);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let proc = openat(CWD, "/proc", flags, Mode::empty()).map_err(error)?;
    let is_proc = fstatfs(&proc).map_err(error)?.f_type == PROC_SUPER_MAGIC;
    if is_proc && fstat(&proc).map_err(error)?.st_ino == ROOT_INODE {
        Ok(proc)
    } else {
        Err(Error::invalid("/proc is not the kernel's procfs")
            .with_hint("mount proc on /proc of the host"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_this_process_is_set_and_a_missing_file_is_said() {
        let now = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
        write_self("oom_score_adj", now.trim()).unwrap();
        let error = write_self("no/such", "1").unwrap_err().to_string();
        assert!(error.contains("/proc/self/no/such to \"1\""), "{error}");
        // By a link that the kernel jumps by, which would lead anywhere.
        assert!(write_self("root/proc/self/oom_score_adj", now.trim()).is_err());
        assert!(write_sysctl("../self/oom_score_adj", now.trim()).is_ok());
        assert!(write_sysctl("../../etc/passwd", "").is_err());
    }
}
