//! Entering and leaving namespaces of this thread.
//!
//! `rustix` marks `unshare` unsafe since `CLONE_FILES` breaks descriptor ownership between threads; only
//! namespace flags are accepted here.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

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
