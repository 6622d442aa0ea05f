//! Reading and writing the kernel's one-value files: one open, one write.

use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::Error;

/// The whole content of a small kernel file.
pub(crate) fn read(path: &Path) -> Result<String, Errno> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut content = Vec::with_capacity(4096);
    let mut chunk = [0_u8; 4096];
    loop {
        let n = rustix::io::read(&file, &mut chunk)?;
        if n == 0 {
            break;
        }
        content.extend_from_slice(chunk.get(..n).unwrap_or_default());
    }
    String::from_utf8(content).map_err(|_not_text| Errno::ILSEQ)
}

/// The whole content of a small kernel file, with an error that names it.
pub(crate) fn read_named(path: &Path) -> Result<String, Error> {
    read(path).map_err(|errno| Error::sys("read", path, errno))
}

/// Writes `value` with one `write`, as cgroup files want it. Never creates: in a cgroup file system that would turn
/// "no such file" into "permission denied".
pub(crate) fn write(path: &Path, value: &str) -> Result<(), Errno> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    loop {
        match rustix::io::write(&file, value.as_bytes()) {
            Ok(n) if n == value.len() => return Ok(()),
            Ok(_) => return Err(Errno::IO),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// As [`write`], with an error that names file and value.
pub(crate) fn write_named(path: &Path, value: &str) -> Result<(), Error> {
    write(path, value).map_err(|errno| Error::Sys {
        operation: "write",
        path: path.to_owned(),
        value: Some(value.to_owned()),
        errno,
        hint: None,
    })
}

/// Whether the path exists (and may be looked at).
pub(crate) fn exists(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXISTS).is_ok()
}

/// Writes several values to one file, each with its own `write`.
pub(crate) fn write_all_named(
    path: &Path,
    values: impl Iterator<Item = String>,
) -> Result<(), Error> {
    let mut values = values.peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::sys("open", path, errno))?;
    for value in values {
        rustix::io::write(&file, value.as_bytes()).map_err(|errno| Error::Sys {
            operation: "write",
            path: path.to_owned(),
            value: Some(value),
            errno,
            hint: None,
        })?;
    }
    Ok(())
}
