//! Attributes of mounts. `rustix` has no `mount_setattr`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::fd::check;

/// What to change on a mount: `MOUNT_ATTR_*` bits and one of `MS_SHARED`, `MS_PRIVATE`, `MS_SLAVE`, `MS_UNBINDABLE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountAttributes {
    /// Bits to set.
    pub set: u64,
    /// Bits to clear.
    pub clear: u64,
    /// The propagation type; 0 leaves it.
    pub propagation: u64,
}

/// Read-only.
pub const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
/// Set-user-id bits have no effect.
pub const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
/// Device files cannot be opened.
pub const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
/// No program can be executed.
pub const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;
/// Access times are updated when older than the file's change, or a day: the default, a value of [`ATIME_FIELD`].
pub const RELATIME: u64 = libc::MOUNT_ATTR_RELATIME;
/// Access times are not updated.
pub const NOATIME: u64 = libc::MOUNT_ATTR_NOATIME;
/// Access times are always updated.
pub const STRICTATIME: u64 = libc::MOUNT_ATTR_STRICTATIME;
/// Access times of directories are not updated.
pub const NODIRATIME: u64 = libc::MOUNT_ATTR_NODIRATIME;
/// The field of the access-time setting; must be cleared to set one.
pub const ATIME_FIELD: u64 = libc::MOUNT_ATTR__ATIME;
/// Symbolic links are not followed.
pub const NOSYMFOLLOW: u64 = libc::MOUNT_ATTR_NOSYMFOLLOW;

/// Propagation types.
pub mod propagation {
    /// Events go both ways.
    pub const SHARED: u64 = libc::MS_SHARED;
    /// No events.
    pub const PRIVATE: u64 = libc::MS_PRIVATE;
    /// Events come in only.
    pub const SLAVE: u64 = libc::MS_SLAVE;
    /// No events, and cannot be bind-mounted.
    pub const UNBINDABLE: u64 = libc::MS_UNBINDABLE;
}

/// Changes the attributes of the mount that `mount` is a descriptor of, and with `recursive` of all below it.
///
/// # Errors
/// The errno of `mount_setattr`.
///
/// Source: `man 2 mount_setattr`.
pub fn set_attributes(
    mount: BorrowedFd<'_>,
    attributes: MountAttributes,
    recursive: bool,
) -> io::Result<()> {
    let attr = libc::mount_attr {
        attr_set: attributes.set,
        attr_clr: attributes.clear,
        propagation: attributes.propagation,
        userns_fd: 0,
    };
    set(mount, attr, recursive)
}

/// Shows the owners of a detached mount's files as a user namespace maps them, and with `recursive` of all below it.
///
/// # Errors
/// The errno of `mount_setattr`: `EINVAL` for a file system that does not support it, or a mount that is attached.
///
/// Source: `man 2 mount_setattr`, ID-mapped mounts.
pub fn map_ids(
    mount: BorrowedFd<'_>,
    user_namespace: BorrowedFd<'_>,
    recursive: bool,
) -> io::Result<()> {
    let bad = || io::Error::from_raw_os_error(libc::EBADF);
    let attr = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::try_from(user_namespace.as_raw_fd()).map_err(|_| bad())?,
    };
    set(mount, attr, recursive)
}

fn set(mount: BorrowedFd<'_>, attr: libc::mount_attr, recursive: bool) -> io::Result<()> {
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is a terminated empty string, `attr` is the kernel's struct and lives through the call, and
    // its size is passed with it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result)
}
