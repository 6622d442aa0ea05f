//! Signal masks, dispositions and signals as a descriptor.
//!
//! `rustix` leaves dispositions to the C library, and installing a handler is unsafe; only "default" and "ignore" are
//! offered here, which run no code.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A set of signals by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalSet(u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// Every signal.
    pub const ALL: Self = Self(u64::MAX);

    /// The set of these numbers; numbers outside 1–64 are left out.
    pub fn of(signals: &[i32]) -> Self {
        signals
            .iter()
            .fold(Self::EMPTY, |set, &signal| match u32::try_from(signal) {
                Ok(number @ 1..=64) => Self(set.0 | 1 << (number - 1)),
                _ => set,
            })
    }
}

/// Makes exactly these signals blocked in this thread.
///
/// Past the C library, which leaves out the two or three real-time signals that it keeps for itself: whoever passes signals
/// on gets these too.
///
/// # Errors
/// The errno of `sigprocmask`.
pub fn block_only(set: SignalSet) -> io::Result<()> {
    // SAFETY: the kernel reads a set of 64 signals, of the size given; the old mask is not asked for.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const set.0,
            std::ptr::null_mut::<u64>(),
            size_of::<u64>(),
        )
    };
    crate::fd::check(result)
}

/// Sends a signal, of any number from 1 to 64, by a descriptor of the process; 0 only asks whether it is there.
///
/// # Errors
/// `ESRCH` when the process has ended and was reaped, `EINVAL` for a number out of range, `EPERM`.
///
/// Source: `man 2 pidfd_send_signal`.
pub fn send(process: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open for the time of the call; no information is passed, so no memory is read.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    crate::fd::check(result)
}

/// Ignores a signal.
///
/// # Errors
/// `EINVAL` for a number that is no signal or cannot be ignored.
pub fn ignore(signal: i32) -> io::Result<()> {
    set_disposition(signal, libc::SIG_IGN)
}

/// Sets every signal to its default action, as a program expects that a shell starts.
/// The Rust runtime ignores `SIGPIPE`, and a parent may have ignored others; `execve` keeps what is ignored.
///
/// Past the C library, which refuses the two numbers that it keeps for itself: a parent may have ignored them too.
pub fn reset_dispositions() {
    #[repr(C)]
    struct KernelAction {
        handler: libc::sighandler_t,
        flags: libc::c_ulong,
        restorer: usize,
        mask: u64,
    }
    let default = KernelAction {
        handler: libc::SIG_DFL,
        flags: 0,
        restorer: 0,
        mask: 0,
    };
    for signal in 1..=64 {
        // SAFETY: the struct is the kernel's `sigaction` with a set of 64 signals, which it copies; with the default
        // action no code of ours runs. SIGKILL and SIGSTOP are refused, and need it not.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                &raw const default,
                std::ptr::null_mut::<KernelAction>(),
                size_of::<u64>(),
            )
        };
    }
}

/// Makes these signals end the process, with 128 and their number as its status, until it executes another program.
///
/// For the first process of a pid namespace, which the kernel sends no signal whose default would end it.
///
/// # Errors
/// `EINVAL` for a number that is no signal or cannot be handled.
pub fn exit_on(signals: &[i32]) -> io::Result<()> {
    extern "C" fn leave(signal: libc::c_int) {
        // SAFETY: `_exit` may be called in a handler (man 7 signal-safety); it runs no code of this process.
        unsafe { libc::_exit(128 + signal) }
    }
    for &signal in signals {
        #[expect(
            clippy::as_conversions,
            reason = "a function's address, as the C library wants it"
        )]
        let handler = leave as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the handler has the signature that `signal` wants, and does nothing but end the process.
        let previous = unsafe { libc::signal(signal, handler) };
        if previous == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn set_disposition(signal: i32, disposition: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: the dispositions used are SIG_DFL and SIG_IGN, so no code of ours runs in a handler.
    let previous = unsafe { libc::signal(signal, disposition) };
    if previous == libc::SIG_ERR {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// A descriptor, non-blocking and close-on-exec, from which these signals are read; block them first.
///
/// # Errors
/// The errno of `signalfd`.
pub fn descriptor(set: SignalSet) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads a set of 64 signals, of the size given; -1 asks for a new descriptor.
    let result = unsafe {
        libc::syscall(
            libc::SYS_signalfd4,
            -1,
            &raw const set.0,
            size_of::<u64>(),
            libc::SFD_NONBLOCK | libc::SFD_CLOEXEC,
        )
    };
    let fd = i32::try_from(result).unwrap_or(-1);
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Reads one signal number from a [`descriptor`]; [`None`] when none is pending.
///
/// # Errors
/// The errno of `read`.
pub fn read(descriptor: &OwnedFd) -> io::Result<Option<i32>> {
    let mut info = [0u8; 128];
    match rustix::io::read(descriptor, &mut info) {
        Ok(_) => {
            let [a, b, c, d, ..] = info;
            Ok(i32::try_from(u32::from_ne_bytes([a, b, c, d])).ok())
        }
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_exit_on_kill() {
        assert!(exit_on(&[libc::SIGKILL]).is_err());
    }

    #[test]
    fn a_blocked_signal_is_read_from_its_descriptor() {
        let set = SignalSet::of(&[libc::SIGUSR1]);
        block_only(set).unwrap();
        let descriptor = descriptor(set).unwrap();
        assert_eq!(read(&descriptor).unwrap(), None);
        // To this thread, so that tests in other threads are not ended by it.
        // SAFETY: takes no pointer.
        let result = unsafe {
            libc::syscall(
                libc::SYS_tgkill,
                rustix::process::getpid().as_raw_nonzero().get(),
                rustix::thread::gettid().as_raw_nonzero().get(),
                libc::SIGUSR1,
            )
        };
        assert_eq!(result, 0);
        assert_eq!(read(&descriptor).unwrap(), Some(libc::SIGUSR1));
        block_only(SignalSet::EMPTY).unwrap();
    }

    #[test]
    fn kill_cannot_be_ignored() {
        assert!(ignore(libc::SIGKILL).is_err());
    }
}
