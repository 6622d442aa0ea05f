//! Loading a seccomp filter. `rustix` has no call for it, since a filter can take any system call away.

use std::io;

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

/// `SECCOMP_FILTER_FLAG_TSYNC`: all threads of the process.
pub const FLAG_TSYNC: u32 = 1;
/// `SECCOMP_FILTER_FLAG_LOG`: actions other than allow are logged.
pub const FLAG_LOG: u32 = 2;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`: no speculative store bypass mitigation.
pub const FLAG_SPEC_ALLOW: u32 = 4;

/// Puts the process under the filter, for ever and with all its children.
///
/// # Errors
/// `EINVAL` for a program that the kernel refuses or that is longer than 4096 instructions, `EACCES` without
/// `no_new_privs` and `CAP_SYS_ADMIN`.
///
/// Source: `man 2 seccomp`, `SECCOMP_SET_MODE_FILTER`.
pub fn load(program: &[Instruction], flags: u32) -> io::Result<()> {
    const SECCOMP_SET_MODE_FILTER: libc::c_uint = 1;
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
    check(result)
}

#[repr(C)]
struct FilterProgram {
    length: u16,
    filter: *const Instruction,
}
