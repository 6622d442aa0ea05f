//! Entering and leaving namespaces of this thread.
//!
//! `rustix` marks `unshare` unsafe since `CLONE_FILES` breaks descriptor ownership between threads; only
//! namespace flags are accepted here.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::fd::check;

/// A kind of namespace, as its `CLONE_NEW*` flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespaces(u32);

impl Namespaces {
    /// None.
    pub const NONE: Self = Self(0);
    /// Cgroup root.
    pub const CGROUP: Self = Self(0x0200_0000);
    /// Host name.
    pub const UTS: Self = Self(0x0400_0000);
    /// System V IPC and POSIX message queues.
    pub const IPC: Self = Self(0x0800_0000);
    /// User and group ids.
    pub const USER: Self = Self(0x1000_0000);
    /// Process ids.
    pub const PID: Self = Self(0x2000_0000);
    /// Network.
    pub const NET: Self = Self(0x4000_0000);
    /// Mounts.
    pub const MOUNT: Self = Self(0x0002_0000);
    /// Clocks.
    pub const TIME: Self = Self(0x0000_0080);

    /// The name of a single kind, as the kernel shows it in `/proc/PID/ns`; empty for none and for several.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CGROUP => "cgroup",
            Self::UTS => "uts",
            Self::IPC => "ipc",
            Self::USER => "user",
            Self::PID => "pid",
            Self::NET => "net",
            Self::MOUNT => "mnt",
            Self::TIME => "time",
            _ => "",
        }
    }

    /// The `CLONE_NEW*` bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` are in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Moves this thread into new namespaces of these kinds (for [`Namespaces::PID`]: its next children).
///
/// # Errors
/// The errno of `unshare`.
pub fn unshare(namespaces: Namespaces) -> io::Result<()> {
    // SAFETY: takes no pointer; only namespace flags can be in `namespaces`, so neither descriptors nor memory that
    // other threads rely on are unshared.
    let result = unsafe { libc::syscall(libc::SYS_unshare, namespaces.0) };
    check(result)
}

/// Moves this thread into a namespace by a descriptor of its file, or into several of a process by its pidfd.
///
/// # Errors
/// The errno of `setns`.
pub fn enter(target: BorrowedFd<'_>, namespaces: Namespaces) -> io::Result<()> {
    // SAFETY: takes no pointer; the descriptor is open for as long as it is borrowed.
    let result = unsafe { libc::syscall(libc::SYS_setns, target.as_raw_fd(), namespaces.0) };
    check(result)
}

/// The kind of namespace that an open file is; [`None`] for a file that is no namespace.
///
/// # Errors
/// The errno of `fstatfs` or `ioctl`.
///
/// Source: `man 2 ioctl_nsfs`, `NS_GET_NSTYPE`.
pub fn kind_of(file: BorrowedFd<'_>) -> io::Result<Option<Namespaces>> {
    // Other files could take the number for something else.
    if rustix::fs::fstatfs(file)?.f_type != NSFS_MAGIC {
        return Ok(None);
    }
    // SAFETY: this request takes no argument.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) };
    match u32::try_from(kind) {
        Ok(bits) => Ok(Some(Namespaces(bits))),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// The user namespace that an open namespace belongs to.
///
/// # Errors
/// The errno of `ioctl`; `EPERM` for one that is not this process's, nor one below it.
///
/// Source: `man 2 ioctl_nsfs`, `NS_GET_USERNS`.
pub fn owner_of(file: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: this request takes no argument.
    let owner = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_USERNS) };
    if owner < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, close-on-exec, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(owner) })
}

const NS_GET_USERNS: libc::c_ulong = 0xb701;
const NSFS_MAGIC: rustix::fs::FsWord = 0x6e73_6673;
const NS_GET_NSTYPE: libc::c_ulong = 0xb703;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_namespace_file_has_its_kind_and_another_file_has_none() {
        for kind in [
            Namespaces::CGROUP,
            Namespaces::UTS,
            Namespaces::IPC,
            Namespaces::USER,
            Namespaces::PID,
            Namespaces::NET,
            Namespaces::MOUNT,
            Namespaces::TIME,
        ] {
            let file = std::fs::File::open(format!("/proc/self/ns/{}", kind.name())).unwrap();
            assert_eq!(kind_of(file.as_fd()).unwrap(), Some(kind));
            if kind != Namespaces::USER {
                let owner = owner_of(file.as_fd()).unwrap();
                assert_eq!(kind_of(owner.as_fd()).unwrap(), Some(Namespaces::USER));
            }
        }
        let file = std::fs::File::open("/proc/self/status").unwrap();
        assert_eq!(kind_of(file.as_fd()).unwrap(), None);
        assert_eq!(Namespaces::NONE.name(), "");
    }
}
