//! Making processes and becoming another program.
//!
//! `rustix` has no `clone3`, and its `execve` is in an unstable part: both duplicate or replace the whole process, which
//! safe code cannot vouch for. Here the one duty is checked: a process with one thread.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::raw::c_char;

use crate::namespace::Namespaces;

/// A child just made.
#[derive(Debug)]
pub struct Child {
    /// Its id as the caller sees it.
    pub pid: i32,
    /// A descriptor that names it even when it is gone, close-on-exec.
    pub pidfd: OwnedFd,
}

/// How a child differs from its parent.
#[derive(Clone, Copy, Debug, Default)]
pub struct CloneOptions<'fd> {
    /// New namespaces; [`None`] for none.
    pub namespaces: Option<Namespaces>,
    /// Directory of the cgroup v2 that the child is born in.
    pub cgroup: Option<BorrowedFd<'fd>>,
    /// The child becomes a child of the caller's parent.
    pub as_sibling: bool,
}

/// Forks the process as `fork` does, with namespaces and cgroup as asked: [`None`] in the child.
///
/// Only for processes with one thread: with more, a lock that another thread holds stays held in the child for ever.
///
/// # Errors
/// `EBUSY` when the process has more than one thread, else the errno of `clone3`.
///
/// Source: `man 2 clone3`.
pub fn clone3(options: CloneOptions<'_>) -> io::Result<Option<Child>> {
    if !has_one_thread()? {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    let mut pidfd: libc::c_int = -1;
    #[expect(clippy::as_conversions, reason = "an address for the kernel")]
    let mut args = Clone3Args {
        flags: u64::from(CLONE_PIDFD),
        pidfd: (&raw mut pidfd) as u64,
        ..Clone3Args::default()
    };
    if let Some(namespaces) = options.namespaces {
        args.flags |= u64::from(namespaces.bits());
    }
    if options.as_sibling {
        args.flags |= CLONE_PARENT;
    } else {
        args.exit_signal = SIGCHLD;
    }
    if let Some(cgroup) = options.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd())
            .map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    }
    // SAFETY: `args` and `pidfd` live through the call and are of the size given. Without CLONE_VM the child has its
    // own copy of all memory, and with one thread (checked above) no lock is held by a thread it lacks; without
    // a stack given it goes on on its copy of this one, as after fork.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<Clone3Args>()) };
    match i32::try_from(pid) {
        Ok(0) => Ok(None),
        Ok(pid) if pid > 0 => {
            // SAFETY: the kernel has just made this descriptor for us, and nobody else knows of it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Some(Child { pid, pidfd }))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Forks the process: the child's id, [`None`] in the child. For where a filter of system calls refuses [`clone3`], whose
/// arguments it cannot look at.
///
/// # Errors
/// `EBUSY` when the process has more than one thread, else the errno of `fork`.
///
/// Source: `man 2 fork`.
pub fn fork() -> io::Result<Option<i32>> {
    if !has_one_thread()? {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: with one thread (checked above) no lock is held by a thread that the child lacks.
    match unsafe { libc::fork() } {
        0 => Ok(None),
        pid if pid > 0 => Ok(Some(pid)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// As [`fork`], but of the descriptors the child has only 0, 1, 2 and those that are named here, under the same numbers.
///
/// Everything else that owns a descriptor owns nothing in the child any more: it is for one that goes its own way with what it was
/// given, and ends by [`exit_now`].
///
/// # Errors
/// As [`fork`]. In the child an error of `close_range` ends it with status 1.
///
/// Source: `man 2 close_range`.
pub fn fork_keeping(kept: &[BorrowedFd<'_>]) -> io::Result<Option<i32>> {
    let mut numbers: Vec<u32> = kept
        .iter()
        .filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok())
        .filter(|number| *number > 2)
        .collect();
    numbers.sort_unstable();
    if let Some(pid) = fork()? {
        return Ok(Some(pid));
    }
    let mut first = 3;
    for number in numbers {
        close_range(first, number - 1);
        first = number + 1;
    }
    close_range(first, u32::MAX);
    Ok(None)
}

/// In a child that goes its own way: closes descriptors, or ends it.
fn close_range(first: u32, last: u32) {
    if first > last {
        return;
    }
    // SAFETY: takes no pointer. The owners of what is closed are copies in the child, which its caller does not use.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if closed < 0 {
        exit_now(1);
    }
}

const CLONE_PIDFD: u32 = 0x1000;
const CLONE_PARENT: u64 = 0x8000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const SIGCHLD: u64 = 17;

#[repr(C)]
#[derive(Default)]
struct Clone3Args {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Whether this process has a single thread. Asked of the kernel without /proc, which may be another's here: leaving the
/// group of one's threads is permitted, and does nothing, where there is only one.
///
/// Source: `man 2 unshare`, `CLONE_THREAD`.
fn has_one_thread() -> io::Result<bool> {
    // SAFETY: takes no pointer; with one thread there is nothing to unshare, with more the kernel refuses.
    let result = unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_THREAD) };
    if result == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::EINVAL) => Ok(false),
        // A filter of system calls may know no unshare.
        _ => Ok(thread_count()? == 1),
    }
}

/// Number of threads of this process: the link count of its task directory, less the two of any directory.
fn thread_count() -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata("/proc/self/task")?
        .nlink()
        .saturating_sub(2))
}

/// A program with its arguments and environment, ready to replace this process without another allocation.
pub struct Program {
    path: CString,
    argv: Vec<CString>,
    envp: Vec<CString>,
    argv_pointers: Vec<*const c_char>,
    envp_pointers: Vec<*const c_char>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The environment may hold secrets.
        formatter
            .debug_struct("Program")
            .field("path", &self.path)
            .field("argv", &self.argv)
            .field("envp", &self.envp.len())
            .finish_non_exhaustive()
    }
}

impl Program {
    /// Prepares `path` with `argv` and `envp`.
    pub fn new(path: CString, argv: Vec<CString>, envp: Vec<CString>) -> Self {
        let pointers = |strings: &[CString]| {
            strings
                .iter()
                .map(|string| string.as_ptr())
                .chain([std::ptr::null()])
                .collect::<Vec<_>>()
        };
        Self {
            argv_pointers: pointers(&argv),
            envp_pointers: pointers(&envp),
            path,
            argv,
            envp,
        }
    }

    /// The path that will be executed.
    pub fn path(&self) -> &CStr {
        &self.path
    }

    /// Replaces this process by the program; returns only when that is not possible, with the errno of `execve`.
    pub fn execute(&self) -> io::Error {
        // SAFETY: both arrays end with a null pointer, their other elements point to terminated strings that `self`
        // owns (moving a CString does not move its bytes), and nothing frees them during the call.
        unsafe {
            libc::execve(
                self.path.as_ptr(),
                self.argv_pointers.as_ptr(),
                self.envp_pointers.as_ptr(),
            );
        }
        io::Error::last_os_error()
    }
}

/// What a process, and those it has waited for, has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// In user mode and in the kernel.
    pub cpu: std::time::Duration,
    /// The most memory that one of them had at a time.
    pub peak_bytes: u64,
}

impl Usage {
    /// Adds what another has used.
    pub fn add(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.peak_bytes = self.peak_bytes.max(other.peak_bytes);
    }
}

/// Waits for a child: its exit status, 128 + signal when one ended it, and what it has used.
///
/// # Errors
/// The errno of `wait4`.
///
/// Source: `man 2 wait4`, `man 2 getrusage`.
pub fn wait_with_usage(pid: i32) -> io::Result<(i32, Usage)> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: the kernel fills both, which are of their sizes and writable.
        let result = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
        if result >= 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: all its fields are integers, for which the zeros are valid, whatever the call did.
    let usage = unsafe { usage.assume_init() };
    let status = if libc::WIFSIGNALED(status) {
        128 + libc::WTERMSIG(status)
    } else {
        libc::WEXITSTATUS(status)
    };
    let peak_kib = u64::try_from(usage.ru_maxrss).unwrap_or(0);
    Ok((
        status,
        Usage {
            cpu: cpu_time(&usage),
            peak_bytes: peak_kib * 1024,
        },
    ))
}

fn cpu_time(usage: &libc::rusage) -> std::time::Duration {
    [usage.ru_utime, usage.ru_stime]
        .into_iter()
        .map(|time| {
            let seconds = std::time::Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
            seconds + std::time::Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
        })
        .sum()
}

/// Processor time of all children that have ended and been waited for, with their own.
///
/// Source: `man 2 getrusage`, `RUSAGE_CHILDREN`.
pub fn children_cpu_time() -> std::time::Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills the struct, which is of its size and writable.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) };
    // SAFETY: all its fields are integers, for which the zeros are valid, whatever the call did.
    let usage = unsafe { usage.assume_init() };
    cpu_time(&usage)
}

/// Sets the execution domain of this process and of what it becomes: `PER_*` with its flags; the domain before it.
///
/// # Errors
/// The errno of `personality`.
///
/// Source: `man 2 personality`.
pub fn set_personality(persona: u32) -> io::Result<u32> {
    // SAFETY: takes no pointer.
    let before = unsafe { libc::personality(libc::c_ulong::from(persona)) };
    u32::try_from(before).map_err(|_| io::Error::last_os_error())
}

/// Ends this process at once: no destructor, no buffer flushed. For a child that shares its parent's memory image.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: `_exit` takes no pointer and does not return.
    unsafe { libc::_exit(status) }
}
