//! A program that nobody can change through the processes that run it.
//!
//! `/proc/PID/exe` leads every process that sees another to the file that it runs, and lets root open it for writing: a
//! runtime that shows itself in a container's process namespace can be replaced on the host from in there (CVE-2019-5736).
//! What is executed is therefore the same file on a file system that cannot be written at all: an overlay without an
//! upper directory (no copy is made), or where that is not possible a copy in sealed memory.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

const SEALS: SealFlags = SealFlags::SEAL
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE);

/// An unwritable double of a program, close-on-exec. Execute it by [`path_of`].
///
/// # Errors
/// Those of reading the program, and of the copy in memory when an overlay is not possible.
pub fn double(program: &Path) -> io::Result<OwnedFd> {
    match on_overlay(program) {
        Ok(double) => Ok(double),
        // Not root, no overlay in this kernel, or a file system that cannot be below one.
        Err(_) => in_memory(program),
    }
}

/// The path by which a double is executed, good for as long as it is open.
pub fn path_of(double: impl AsFd) -> PathBuf {
    Path::new("/proc/self/fd").join(double.as_fd().as_raw_fd().to_string())
}

/// Whether the program of this process cannot be written through `/proc/PID/exe`.
///
/// # Errors
/// Those of opening `/proc/self/exe`.
pub fn is_sealed() -> io::Result<bool> {
    let program = rustix::fs::open(
        "/proc/self/exe",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let read_only = rustix::fs::fstatvfs(&program)?
        .f_flag
        .contains(StatVfsMountFlags::RDONLY);
    Ok(read_only || rustix::fs::fcntl_get_seals(&program).is_ok_and(|seals| seals.contains(SEALS)))
}

fn on_overlay(program: &Path) -> Result<OwnedFd, Errno> {
    let program = std::fs::canonicalize(program)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let directory = program.parent().ok_or(Errno::INVAL)?;
    let name = program.file_name().ok_or(Errno::INVAL)?;
    // Without an upper directory the kernel wants two lower ones; the second has no part in it.
    let lower = [escaped(directory.as_os_str()).as_slice(), b":/sys"].concat();
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "lowerdir", lower)?;
    fsconfig_create(context.as_fd())?;
    let mount = fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOSUID,
    )?;
    rustix::fs::openat(&mount, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// Colons separate directories in overlay's option.
fn escaped(path: &OsStr) -> Vec<u8> {
    path.as_bytes()
        .iter()
        .flat_map(|&byte| match byte {
            b':' | b'\\' => vec![b'\\', byte],
            _ => vec![byte],
        })
        .collect()
}

fn in_memory(program: &Path) -> io::Result<OwnedFd> {
    let source = File::open(program)?;
    let size = source.metadata()?.len();
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let copy = match rustix::fs::memfd_create("program", flags | MemfdFlags::EXEC) {
        // Before Linux 6.3 every memfd can be executed.
        Err(Errno::INVAL) => rustix::fs::memfd_create("program", flags)?,
        other => other?,
    };
    let mut offset = 0;
    while offset < size {
        let rest = usize::try_from(size - offset).unwrap_or(usize::MAX);
        if rustix::fs::sendfile(&copy, &source, Some(&mut offset), rest)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    rustix::fs::fcntl_add_seals(&copy, SEALS)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// A double runs as the program does, and opening it for writing through its process is refused.
    fn check(double: &OwnedFd, refused: Errno) {
        let child = Command::new(path_of(double)).arg("60").spawn().unwrap();
        let exe = format!("/proc/{}/exe", child.id());
        let written = rustix::fs::open(&exe, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        let shortened = rustix::fs::open(
            &exe,
            OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let mut child = child;
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(written.unwrap_err(), refused);
        assert_eq!(shortened.unwrap_err(), refused);
        // With no process left that runs it, only the seal is in the way.
        let again = rustix::fs::open(
            path_of(double),
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        match again {
            Err(errno) => assert_eq!(errno, refused),
            Ok(file) => assert_eq!(rustix::io::write(&file, b"x").unwrap_err(), Errno::PERM),
        }
    }

    #[test]
    fn a_copy_in_memory_cannot_be_written() {
        check(&in_memory(Path::new("/bin/sleep")).unwrap(), Errno::TXTBSY);
    }

    #[test]
    fn kernel_a_double_on_an_overlay_cannot_be_written() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return;
        }
        check(&on_overlay(Path::new("/bin/sleep")).unwrap(), Errno::ROFS);
    }

    #[test]
    fn a_program_on_a_writable_file_system_is_not_sealed() {
        // Test programs are built into a directory that can be written.
        assert!(!is_sealed().unwrap());
    }

    #[test]
    fn colons_in_a_directory_are_escaped() {
        assert_eq!(escaped(OsStr::new("/a:b\\c")), b"/a\\:b\\\\c");
    }
}
