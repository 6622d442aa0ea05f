//! eBPF programs that decide over device access of a cgroup v2. `rustix` has no `bpf` call.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::fd::check;

/// One instruction of eBPF, as the kernel's `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// Destination register in the low four bits, source register in the high four.
    pub registers: u8,
    /// Jump distance or memory offset.
    pub offset: i16,
    /// Operand.
    pub immediate: i32,
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;
const BPF_F_REPLACE: u32 = 4;

/// Loads a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`.
///
/// # Errors
/// `EINVAL` or `EACCES` when the verifier refuses it, `EPERM` without `CAP_BPF` and `CAP_SYS_ADMIN`.
pub fn load_device_program(instructions: &[Instruction]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let mut attr = ProgLoad {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(instructions.len())
            .map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?,
        insns: address(instructions.as_ptr()),
        license: address(license.as_ptr()),
        ..ProgLoad::default()
    };
    // SAFETY: `attr` describes a slice and a string that live through the call; the kernel copies both.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &mut attr)? };
    // SAFETY: just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a device program to a cgroup directory, beside those that are there (all must allow).
///
/// # Errors
/// The errno of `bpf`.
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = ProgAttach {
        target_fd: cgroup.as_raw_fd().cast_unsigned(),
        attach_bpf_fd: program.as_raw_fd().cast_unsigned(),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
        replace_bpf_fd: 0,
    };
    // SAFETY: `attr` holds no pointer.
    unsafe { bpf(BPF_PROG_ATTACH, &mut attr)? };
    Ok(())
}

/// Puts a device program in the place of one that is attached to a cgroup directory, in one step. Since Linux 5.6.
///
/// # Errors
/// `ENOENT` when `earlier` is not attached there; `EINVAL` before Linux 5.6.
pub fn replace_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    earlier: BorrowedFd<'_>,
) -> io::Result<()> {
    let mut attr = ProgAttach {
        target_fd: cgroup.as_raw_fd().cast_unsigned(),
        attach_bpf_fd: program.as_raw_fd().cast_unsigned(),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI | BPF_F_REPLACE,
        replace_bpf_fd: earlier.as_raw_fd().cast_unsigned(),
    };
    // SAFETY: `attr` holds no pointer.
    unsafe { bpf(BPF_PROG_ATTACH, &mut attr)? };
    Ok(())
}

/// The kernel's digest of a program's instructions: equal for programs that do the same in the same words.
///
/// # Errors
/// The errno of `bpf`.
pub fn program_tag(program: BorrowedFd<'_>) -> io::Result<[u8; 8]> {
    let mut info = ProgInfoHead::default();
    let mut attr = GetInfoByFd {
        bpf_fd: program.as_raw_fd().cast_unsigned(),
        // The kernel fills in as much of its structure as is asked for.
        info_len: u32::try_from(size_of::<ProgInfoHead>())
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        info: address(std::ptr::from_mut(&mut info).cast_const()),
    };
    // SAFETY: `info` points to `info_len` writable bytes that live through the call.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr)? };
    Ok(info.tag)
}

/// Detaches a device program from a cgroup directory.
///
/// # Errors
/// `ENOENT` when it is not attached there.
pub fn detach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = ProgAttach {
        target_fd: cgroup.as_raw_fd().cast_unsigned(),
        attach_bpf_fd: program.as_raw_fd().cast_unsigned(),
        attach_type: BPF_CGROUP_DEVICE,
        ..ProgAttach::default()
    };
    // SAFETY: `attr` holds no pointer.
    unsafe { bpf(BPF_PROG_DETACH, &mut attr)? };
    Ok(())
}

/// Returns the device programs that are attached to this cgroup directory itself, at most 64.
///
/// # Errors
/// The errno of `bpf`; `ENOSPC` when there are more.
pub fn device_programs(cgroup: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    let mut ids = [0u32; 64];
    let mut attr = ProgQuery {
        target_fd: cgroup.as_raw_fd().cast_unsigned(),
        attach_type: BPF_CGROUP_DEVICE,
        prog_ids: address(ids.as_mut_ptr()),
        prog_cnt: 64,
        ..ProgQuery::default()
    };
    // SAFETY: `prog_ids` points to `prog_cnt` words that live through the call.
    unsafe { bpf(BPF_PROG_QUERY, &mut attr)? };
    let count = usize::try_from(attr.prog_cnt).unwrap_or(ids.len());
    ids.iter()
        .take(count)
        .map(|&id| {
            let mut attr = GetFdById {
                id,
                ..GetFdById::default()
            };
            // SAFETY: `attr` holds no pointer.
            let fd = unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &mut attr)? };
            // SAFETY: just made for us.
            Ok(unsafe { OwnedFd::from_raw_fd(fd) })
        })
        .collect()
}

#[expect(clippy::as_conversions, reason = "an address for the kernel")]
fn address<T>(pointer: *const T) -> u64 {
    pointer as u64
}

/// # Safety
/// `attr` is the part of `union bpf_attr` that `command` takes, and its pointers are good through the call.
unsafe fn bpf<T>(command: libc::c_int, attr: &mut T) -> io::Result<i32> {
    // SAFETY: by the caller's promise; the size is that of `attr`, and the kernel takes the rest as zero.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attr),
            size_of::<T>(),
        )
    };
    check(result)?;
    i32::try_from(result).map_err(|_| io::ErrorKind::InvalidData.into())
}

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct ProgAttach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

#[repr(C)]
#[derive(Default)]
struct ProgQuery {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

#[repr(C)]
#[derive(Default)]
struct GetInfoByFd {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// The beginning of the kernel's `struct bpf_prog_info`.
#[repr(C)]
#[derive(Default)]
struct ProgInfoHead {
    kind: u32,
    id: u32,
    tag: [u8; 8],
}

#[repr(C)]
#[derive(Default)]
struct GetFdById {
    id: u32,
    next_id: u32,
    open_flags: u32,
    padding: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_a_program_that_allows_all_is_loaded() {
        // r0 = 1; exit
        let program = [
            Instruction {
                code: 0xb7,
                registers: 0,
                offset: 0,
                immediate: 1,
            },
            Instruction {
                code: 0x95,
                registers: 0,
                offset: 0,
                immediate: 0,
            },
        ];
        match load_device_program(&program) {
            Ok(loaded) => {
                use std::os::fd::AsFd as _;
                let again = load_device_program(&program).unwrap();
                let tag = program_tag(loaded.as_fd()).unwrap();
                assert_ne!(tag, [0; 8]);
                assert_eq!(tag, program_tag(again.as_fd()).unwrap());
            }
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                eprintln!("SKIPPED: no CAP_BPF");
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn kernel_a_program_without_an_end_is_refused() {
        let program = [Instruction {
            code: 0xb7,
            registers: 0,
            offset: 0,
            immediate: 1,
        }];
        assert!(load_device_program(&program).is_err());
    }
}
