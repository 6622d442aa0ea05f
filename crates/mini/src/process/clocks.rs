//! A time namespace whose clocks differ from the machine's by given offsets.
//!
//! The kernel takes offsets only until the first process is in the namespace. `unshare` puts only later children there, and
//! since Linux 6.1 also the next program of the process itself.
//!
//! Source: `man 7 time_namespaces`; kernel/time/namespace.c; fs/exec.c, `exec_task_namespaces`.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sys::namespace::Namespaces;
use sys::process::Child;

use crate::error::{Error, Result};
use crate::spec::TimeOffset;

/// Offsets by the name of the clock.
pub(crate) type Offsets = BTreeMap<String, TimeOffset>;

const FILE: &str = "/proc/self/timens_offsets";

/// Checks the offsets of a spec.
///
/// # Errors
/// `Invalid`.
pub(crate) fn check(offsets: &Offsets) -> Result<()> {
    for (clock, offset) in offsets {
        if !matches!(clock.as_str(), "monotonic" | "boottime") {
            return Err(Error::invalid(format!(
                "linux.timeOffsets: {clock:?} is not monotonic or boottime"
            ))
            .with_hint("these two clocks alone have offsets"));
        }
        if offset.nanosecs > 999_999_999 {
            return Err(Error::invalid(format!(
                "linux.timeOffsets.{clock}: {} nanosecs are a second or more",
                offset.nanosecs
            ))
            .with_hint("put whole seconds into secs"));
        }
    }
    Ok(())
}

/// Makes a time namespace with these offsets for the next children and the next program of this process.
///
/// # Errors
/// `Sys`.
pub(crate) fn unshare(offsets: &Offsets) -> Result<()> {
    sys::namespace::unshare(Namespaces::TIME)
        .map_err(|error| Error::sys("unshare", "the time namespace", error))?;
    let text: String = offsets
        .iter()
        .map(|(clock, offset)| format!("{clock} {} {}\n", offset.secs, offset.nanosecs))
        .collect::<Vec<_>>()
        .concat();
    let error = |errno| {
        let error = Error::sys("write", format!("{FILE} ({})", text.trim_end()), errno);
        match errno {
            Errno::RANGE => error.with_hint("a clock would be below zero, or beyond its end"),
            _ => error,
        }
    };
    let file =
        rustix::fs::open(FILE, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(error)?;
    rustix::io::write(&file, text.as_bytes())
        .map(drop)
        .map_err(error)
}

/// Makes a child in a time namespace with these offsets, and leaves this process in its own.
///
/// # Errors
/// `Sys`, and those of `clone`.
pub(crate) fn clone_with(
    offsets: &Offsets,
    clone: impl FnOnce() -> Result<Option<Child>>,
) -> Result<Option<Child>> {
    let own = rustix::fs::open(
        "/proc/self/ns/time",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| {
        Error::sys("open", "/proc/self/ns/time", errno)
            .with_hint("time namespaces need Linux 5.6 with CONFIG_TIME_NS")
    })?;
    let child = unshare(offsets).and_then(|()| clone());
    if !matches!(child, Ok(None)) {
        sys::namespace::enter(own.as_fd(), Namespaces::TIME)
            .map_err(|error| Error::sys("leave", "the time namespace", error))?;
    }
    child
}

/// Makes sure that `execve` enters the time namespace that [`unshare`] has made.
///
/// # Errors
/// `Unsupported` on an older kernel.
pub(crate) fn require_entry_by_program() -> Result<()> {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    if enters_by_program(&release) {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "linux.timeOffsets in a new user namespace: Linux 6.1 or newer is needed, this is {release}"
    ))
    .with_hint("use offsets without a user namespace, or a user namespace without offsets"))
}

fn enters_by_program(release: &str) -> bool {
    let mut numbers = release
        .split(|letter: char| !letter.is_ascii_digit())
        .map_while(|word| word.parse::<u32>().ok());
    let major = numbers.next().unwrap_or_default();
    let minor = numbers.next().unwrap_or_default();
    (major, minor) >= (6, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_that_enter_by_program_are_known_by_their_number() {
        for release in ["6.1.0", "6.18.44-fc", "7.0", "6.10-rc1"] {
            assert!(enters_by_program(release), "{release}");
        }
        for release in ["6.0.19", "5.15.0-91-generic", "", "x"] {
            assert!(!enters_by_program(release), "{release}");
        }
    }

    #[test]
    fn clocks_and_nanoseconds_are_checked() {
        let offsets = |clock: &str, nanosecs| {
            BTreeMap::from([(clock.to_owned(), TimeOffset { secs: -1, nanosecs })])
        };
        check(&offsets("monotonic", 999_999_999)).unwrap();
        check(&offsets("boottime", 0)).unwrap();
        assert!(check(&offsets("realtime", 0)).is_err());
        assert!(check(&offsets("boottime", 1_000_000_000)).is_err());
    }
}
