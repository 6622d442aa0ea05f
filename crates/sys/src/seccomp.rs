//! Loading a seccomp filter, and answering for a process that one has stopped. `rustix` has no call for it, since a filter
//! can take any system call away.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use crate::fd::check;

/// One instruction of classic BPF.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How many instructions to skip when a condition holds.
    pub jump_true: u8,
    /// How many to skip when it does not.
    pub jump_false: u8,
    /// Operand.
    pub operand: u32,
}

/// `SECCOMP_FILTER_FLAG_LOG`: actions other than allow are logged.
pub const FLAG_LOG: u32 = 2;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`: no speculative store bypass mitigation.
pub const FLAG_SPEC_ALLOW: u32 = 4;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`: a descriptor to answer calls by.
pub const FLAG_NEW_LISTENER: u32 = 8;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`: a call that was received is broken off by fatal signals only. Linux 5.19.
pub const FLAG_WAIT_KILLABLE_RECV: u32 = 32;

const SECCOMP_SET_MODE_FILTER: libc::c_uint = 1;

/// Puts the process under the filter, for ever and with all its children; the listener, with [`FLAG_NEW_LISTENER`].
///
/// # Errors
/// `EINVAL` for a program that the kernel refuses or that is longer than 4096 instructions, `EACCES` without
/// `no_new_privs` and `CAP_SYS_ADMIN`.
///
/// Source: `man 2 seccomp`, `SECCOMP_SET_MODE_FILTER`.
pub fn load(program: &[Instruction], flags: u32) -> io::Result<Option<OwnedFd>> {
    let header = FilterProgram {
        length: u16::try_from(program.len())
            .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?,
        filter: program.as_ptr(),
    };
    // SAFETY: `header` is the kernel's `sock_fprog`, its pointer and length are those of a slice that lives through
    // the call; the kernel copies the program and verifies it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const header,
        )
    };
    check(result)?;
    if flags & FLAG_NEW_LISTENER == 0 {
        return Ok(None);
    }
    let number = RawFd::try_from(result).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: with this flag the kernel returns the number of a descriptor that it has just opened, which nobody else
    // knows of.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(number) }))
}

/// Whether this kernel knows all of these flags.
///
/// Source: `man 2 seccomp`: flags are looked at before the program, whose address is wrong here.
pub fn knows_flags(flags: u32) -> bool {
    // SAFETY: the kernel reads the program from address 0, where it cannot be, and changes nothing then.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SECCOMP_SET_MODE_FILTER,
            flags,
            std::ptr::null::<FilterProgram>(),
        )
    };
    result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

#[repr(C)]
struct FilterProgram {
    length: u16,
    filter: *const Instruction,
}

/// The kernel's `struct seccomp_data`: a system call.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemCall {
    /// Its number.
    pub number: i32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Where it was made.
    pub instruction_pointer: u64,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// The kernel's `struct seccomp_notif`: a system call that waits for an answer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// What the answer refers to.
    pub id: u64,
    /// Who made it, in the pid namespace of whoever reads this.
    pub pid: u32,
    flags: u32,
    /// The call.
    pub call: SystemCall,
}

/// What becomes of a call that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It goes on in the kernel.
    Continue,
    /// It is done, with this result.
    Result(i64),
    /// It is refused with this errno.
    Errno(i32),
}

#[repr(C)]
struct Response {
    id: u64,
    result: i64,
    error: i32,
    flags: u32,
}

// `_IOWR('!', 0, struct seccomp_notif)` and `_IOWR('!', 1, struct seccomp_notif_resp)`, the sizes in bits 16 to 29.
const RECEIVE: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;
const _: () = assert!(size_of::<Notification>() == 0x50 && size_of::<Response>() == 0x18);

/// Waits for the next call that a filter has stopped.
///
/// # Errors
/// `ENOENT` when the process was killed meanwhile; others as of the `ioctl`.
///
/// Source: `man 2 seccomp_unotify`, `SECCOMP_IOCTL_NOTIF_RECV`.
pub fn receive(listener: BorrowedFd<'_>) -> io::Result<Notification> {
    let mut notification = Notification::default();
    // SAFETY: the request's size is that of the structure, which lives through the call and is zeroed as the kernel asks.
    let result = unsafe {
        libc::syscall(
            libc::SYS_ioctl,
            listener.as_raw_fd(),
            RECEIVE,
            &raw mut notification,
        )
    };
    check(result)?;
    Ok(notification)
}

/// Answers a call.
///
/// # Errors
/// `ENOENT` when the process was killed meanwhile; others as of the `ioctl`.
///
/// Source: `man 2 seccomp_unotify`, `SECCOMP_IOCTL_NOTIF_SEND`.
pub fn answer(listener: BorrowedFd<'_>, id: u64, answer: Answer) -> io::Result<()> {
    const CONTINUE: u32 = 1;
    let (result, error, flags) = match answer {
        Answer::Continue => (0, 0, CONTINUE),
        Answer::Result(result) => (result, 0, 0),
        Answer::Errno(errno) => (0, -errno, 0),
    };
    let response = Response {
        id,
        result,
        error,
        flags,
    };
    // SAFETY: the request's size is that of the structure, which lives through the call; the kernel only reads it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_ioctl,
            listener.as_raw_fd(),
            SEND,
            &raw const response,
        )
    };
    check(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn flags_are_known_or_not() {
        assert!(knows_flags(FLAG_LOG | FLAG_SPEC_ALLOW));
        assert!(knows_flags(FLAG_NEW_LISTENER));
        assert!(!knows_flags(1 << 30));
    }

    #[test]
    fn a_stopped_call_gets_its_answer() {
        // uname, and nothing else, asks.
        let uname = u32::try_from(libc::SYS_uname).unwrap();
        let instruction = |code, jump_true, jump_false, operand| Instruction {
            code,
            jump_true,
            jump_false,
            operand,
        };
        let program = [
            instruction(0x20, 0, 0, 0),
            instruction(0x15, 0, 1, uname),
            instruction(0x06, 0, 0, 0x7fc0_0000),
            instruction(0x06, 0, 0, 0x7fff_0000),
        ];
        let (sender, receiver) = std::sync::mpsc::channel();
        let asks = std::thread::spawn(move || {
            // A filter is of one thread.
            rustix::thread::set_no_new_privs(true).unwrap();
            sender
                .send(load(&program, FLAG_NEW_LISTENER).unwrap().unwrap())
                .unwrap();
            let mut name = std::mem::MaybeUninit::<libc::utsname>::zeroed();
            let mut uname = || {
                // SAFETY: `name` is as large as the call's structure and outlives it.
                let result = unsafe { libc::syscall(libc::SYS_uname, name.as_mut_ptr()) };
                (result, io::Error::last_os_error().raw_os_error())
            };
            (uname(), uname().0, uname().0)
        });
        let listener = receiver.recv().unwrap();
        for reply in [
            Answer::Errno(libc::ENOMEDIUM),
            Answer::Result(7),
            Answer::Continue,
        ] {
            let stopped = receive(listener.as_fd()).unwrap();
            assert_eq!(i64::from(stopped.call.number), libc::SYS_uname);
            assert_eq!(stopped.pid, std::process::id().max(stopped.pid));
            answer(listener.as_fd(), stopped.id, reply).unwrap();
        }
        let (refused, done, went_on) = asks.join().unwrap();
        assert_eq!(refused, (-1, Some(libc::ENOMEDIUM)));
        assert_eq!((done, went_on), (7, 0));
    }
}
