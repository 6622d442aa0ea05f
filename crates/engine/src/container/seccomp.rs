//! Which system calls a container's processes may make.
//!
//! Without a wish of its creator's a container gets Mini's own profile: everything is refused but what is listed here,
//! and what needs a capability is listed only for those who have it. In effect it is Docker's current profile, with one
//! thing less: `ioctl(TIOCSTI)`, with which a process types into the terminal it was started from. Neither lets through
//! io_uring, userfaultfd, the kernel's keyrings, or sockets of the families `AF_ALG` and `AF_VSOCK`.
//!
//! A refused call answers `EPERM`; one that is newer than all that are listed answers `ENOSYS` (the runtime sees to
//! that), and so does `clone3`, whose flags a filter cannot see: the C library then takes `clone`.
//!
//! Source: man 2 seccomp; moby's documentation of its default profile.

use std::collections::BTreeSet;

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompOperator, LinuxSyscall,
};

mod profile;

pub(crate) use profile::parse_profile;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Calls that any container may make, by what they are about. Names that an architecture does not have mean nothing there.
const ALLOWED: &[&str] = &[
    // Opening and making files.
    "access creat faccessat faccessat2 link linkat mkdir mkdirat mknod mknodat name_to_handle_at open openat openat2 \
     readlink readlinkat rename renameat renameat2 rmdir symlink symlinkat umask unlink unlinkat",
    // Open files.
    "close close_range copy_file_range dup dup2 dup3 fadvise64 fadvise64_64 fallocate fcntl fcntl64 fdatasync flock fsync \
     ftruncate ftruncate64 _llseek lseek pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readv sendfile \
     sendfile64 splice sync sync_file_range syncfs tee truncate truncate64 vmsplice write writev",
    // Metadata.
    "chmod chown chown32 fchmod fchmodat fchmodat2 fchown fchown32 fchownat fgetxattr flistxattr fremovexattr fsetxattr \
     fstat fstat64 fstatat64 fstatfs fstatfs64 futimesat getxattr getxattrat lchown lchown32 lgetxattr listxattr \
     listxattrat llistxattr lremovexattr lsetxattr lstat lstat64 newfstatat removexattr removexattrat setxattr setxattrat \
     stat stat64 statfs statfs64 statx utime utimensat utimensat_time64 utimes",
    // Directories, mounts seen from inside, watches.
    "chdir fanotify_mark fchdir getcwd getdents getdents64 inotify_add_watch inotify_init inotify_init1 inotify_rm_watch \
     listmount statmount",
    // Pipes, events, waiting for several things.
    "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd \
     eventfd2 _newselect pipe pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4",
    // Asynchronous I/O of the old kind.
    "io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioprio_get ioprio_set",
    // Memory.
    "brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 \
     mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages",
    // Processes and threads.
    "execve execveat exit exit_group fork getcpu getpgid getpgrp getpid getppid getpriority getrlimit getrusage getsid \
     gettid prctl prlimit64 process_mrelease rseq set_robust_list get_robust_list set_thread_area get_thread_area \
     set_tid_address setpgid setpriority setrlimit setsid times ugetrlimit uretprobe vfork wait4 waitid waitpid",
    "process_vm_readv process_vm_writev ptrace",
    // Scheduling.
    "sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler \
     sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler \
     sched_yield",
    // Locks.
    "futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake",
    // Signals.
    "alarm kill pause pidfd_open pidfd_send_signal restart_syscall rt_sigaction rt_sigpending rt_sigprocmask \
     rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack \
     sigprocmask sigreturn tgkill tkill",
    // Users and groups.
    "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 \
     getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 \
     setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32",
    // Giving up rights.
    "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp",
    // Time. Setting it takes a capability that the kernel itself asks for.
    "adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep \
     clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete timer_getoverrun \
     timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 \
     timerfd_settime timerfd_settime64",
    // Sockets. `socketcall` of 32-bit x86 hides its arguments behind a pointer: no filter can tell families apart there.
    "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg \
     send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair",
    // System V and POSIX interprocess communication.
    "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink \
     msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget",
    // The system.
    "getrandom sysinfo uname",
];

/// Calls of one machine.
const ALLOWED_NATIVE: &str = if cfg!(target_arch = "aarch64") {
    "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2"
} else {
    "arch_prctl modify_ldt"
};

/// Calls that the kernel lets through only with a capability: without it not even their entry is open.
const ALLOWED_WITH: &[(&str, &str)] = &[
    ("CAP_BPF", "bpf"),
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    ("CAP_PERFMON", "perf_event_open"),
    (
        "CAP_SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules \
         lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname \
         sethostname setns syslog umount umount2 unshare",
    ),
    ("CAP_SYS_BOOT", "reboot"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_MODULE", "delete_module finit_module init_module"),
    (
        "CAP_SYS_NICE",
        "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    ),
    ("CAP_SYS_PACCT", "acct"),
    (
        "CAP_SYS_PTRACE",
        "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    ),
    ("CAP_SYS_RAWIO", "ioperm iopl"),
    (
        "CAP_SYS_TIME",
        "clock_settime clock_settime64 settimeofday stime",
    ),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
    ("CAP_SYSLOG", "syslog"),
];

/// Families up to `AF_ROSE` (11) follow each other; `AF_UNSPEC` (0) makes no socket anyway.
const SOCKET_FAMILIES_BELOW: u64 = 12;
/// The other families of sockets. Left out are those that current kernels no longer have, `AF_ALG` (38: the kernel's
/// ciphers, a long list of holes) and `AF_VSOCK` (40: reaches virtual machines past every network namespace).
const SOCKET_FAMILIES: &[u64] = &[
    13, 14, 15, 16, 17, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44,
    45,
];

/// `PER_LINUX`, `PER_LINUX32`, `UNAME26`, both, and the question for the current one.
const PERSONALITIES: &[u64] = &[0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID` and `NEWNET`.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// Types into a terminal on behalf of whoever sits at it.
const TIOCSTI: u64 = 0x5412;
/// What kernels answer that have it switched off.
const EIO: u32 = 5;

/// Returns Mini's profile for a container with these capabilities.
pub(crate) fn default_profile(capabilities: &BTreeSet<String>) -> LinuxSeccomp {
    let has = |name: &str| capabilities.contains(name);
    let unconditional = ALLOWED
        .iter()
        .copied()
        .chain([ALLOWED_NATIVE])
        .chain(
            ALLOWED_WITH
                .iter()
                .filter(|(capability, _)| has(capability))
                .map(|(_, names)| *names),
        )
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect::<BTreeSet<_>>();
    let mut rules = vec![rule(
        unconditional.into_iter().collect(),
        LinuxSeccompAction::ScmpActAllow,
        None,
        None,
    )];
    let allow_if = |name: &str, argument| {
        rule(
            vec![name.to_owned()],
            LinuxSeccompAction::ScmpActAllow,
            None,
            Some(argument),
        )
    };
    let refuse = |name: &str, errno, argument| {
        let action = LinuxSeccompAction::ScmpActErrno;
        rule(vec![name.to_owned()], action, Some(errno), argument)
    };
    if !has("CAP_SYS_ADMIN") {
        rules.push(allow_if("clone", masked(0, NEW_NAMESPACES, 0)));
        rules.push(refuse("clone3", ENOSYS, None));
    }
    let below = compared(0, LinuxSeccompOperator::ScmpCmpLt, SOCKET_FAMILIES_BELOW);
    rules.push(allow_if("socket", below));
    for (name, values) in [("socket", SOCKET_FAMILIES), ("personality", PERSONALITIES)] {
        rules.extend(
            values
                .iter()
                .map(|value| allow_if(name, compared(0, LinuxSeccompOperator::ScmpCmpEq, *value))),
        );
    }
    // The kernel looks at the lower half of the request only. The second rule, whose condition always holds, is what
    // remains: a rule without condition would go before the first.
    rules.push(refuse(
        "ioctl",
        EIO,
        Some(masked(1, u64::from(u32::MAX), TIOCSTI)),
    ));
    rules.push(allow_if("ioctl", masked(1, 0, 0)));
    let mut profile = LinuxSeccomp::default();
    profile
        .set_default_action(LinuxSeccompAction::ScmpActErrno)
        .set_default_errno_ret(Some(EPERM))
        .set_architectures(Some(native_architectures()))
        .set_syscalls(Some(rules));
    profile
}

/// What programs a kernel of this machine can run: its own, and those of its predecessor.
fn native_architectures() -> Vec<Arch> {
    if cfg!(target_arch = "aarch64") {
        vec![Arch::ScmpArchAarch64, Arch::ScmpArchArm]
    } else {
        vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32]
    }
}

fn rule(
    names: Vec<String>,
    action: LinuxSeccompAction,
    errno: Option<u32>,
    argument: Option<LinuxSeccompArg>,
) -> LinuxSyscall {
    let mut rule = LinuxSyscall::default();
    rule.set_names(names)
        .set_action(action)
        .set_errno_ret(errno)
        .set_args(argument.map(|argument| vec![argument]));
    rule
}

fn compared(index: usize, operator: LinuxSeccompOperator, value: u64) -> LinuxSeccompArg {
    argument(index, operator, value, None)
}

fn masked(index: usize, mask: u64, value: u64) -> LinuxSeccompArg {
    let operator = LinuxSeccompOperator::ScmpCmpMaskedEq;
    argument(index, operator, mask, Some(value))
}

#[expect(clippy::expect_used, reason = "the type has no setters")]
fn argument(
    index: usize,
    operator: LinuxSeccompOperator,
    value: u64,
    value_two: Option<u64>,
) -> LinuxSeccompArg {
    let builder = LinuxSeccompArgBuilder::default()
        .index(index)
        .op(operator)
        .value(value);
    match value_two {
        Some(value_two) => builder.value_two(value_two),
        None => builder,
    }
    .build()
    .expect("every field has a default")
}

#[cfg(test)]
mod tests;
