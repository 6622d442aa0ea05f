//! File descriptors by number: those that were inherited through `execve`, and all from a number on.
//!
//! Safe code cannot turn a number into an owned descriptor, since the number may belong to someone else.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// Marks every descriptor from `first` on as close-on-exec.
///
/// # Errors
/// The errno of `close_range`.
///
/// Source: `man 2 close_range`.
pub fn set_cloexec_from(first: u32) -> io::Result<()> {
    // SAFETY: takes no pointer, and marking a descriptor close-on-exec invalidates nobody's descriptor.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    check(result)
}

/// Lets `count` descriptors from `first` on through the next `execve`: those that the caller passes to the program.
///
/// # Errors
/// `EBADF` when one of them is not open.
pub fn keep_over_exec(first: RawFd, count: u32) -> io::Result<()> {
    let end = i64::from(first).saturating_add(i64::from(count));
    for number in i64::from(first)..end {
        let number =
            RawFd::try_from(number).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
        // SAFETY: F_SETFD reads nothing from memory, and closes nothing; a wrong number is answered with EBADF.
        check(libc::c_long::from(unsafe {
            libc::fcntl(number, libc::F_SETFD, 0)
        }))?;
    }
    Ok(())
}

/// Takes ownership of a descriptor that was inherited through `execve`, and marks it close-on-exec.
///
/// Each number from 0 to 63 is given out once in the life of the process, so that no two owners close it.
///
/// # Errors
/// `EBADF` when it is not open, is above 63, or was taken before.
pub fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    static TAKEN: AtomicU64 = AtomicU64::new(0);
    let bad = || io::Error::from_raw_os_error(libc::EBADF);
    let bit = u32::try_from(number)
        .ok()
        .and_then(|shift| 1u64.checked_shl(shift))
        .ok_or_else(bad)?;
    if TAKEN.fetch_or(bit, Ordering::SeqCst) & bit != 0 {
        return Err(bad());
    }
    // SAFETY: F_SETFD reads nothing from memory; a wrong number is answered with EBADF.
    let result = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open (fcntl just succeeded) and `TAKEN` gives it out only once; callers take
    // inherited numbers before they open anything of their own, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

pub(crate) fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn an_inherited_descriptor_is_taken_once() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let number = rustix::io::fcntl_dupfd_cloexec(&file, 50)
            .unwrap()
            .into_raw_fd();
        let owned = take_inherited(number).unwrap();
        assert!(take_inherited(number).is_err());
        let flags = rustix::io::fcntl_getfd(&owned).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[test]
    fn a_closed_or_absurd_number_is_refused() {
        assert!(take_inherited(63).is_err());
        assert!(take_inherited(64).is_err());
        assert!(take_inherited(-1).is_err());
    }
}
