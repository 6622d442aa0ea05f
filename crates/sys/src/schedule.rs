//! How a thread is scheduled, on processors and on block devices. `rustix` has neither call.

use std::io;

use crate::fd::check;

/// The attributes of `sched_setattr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// `SCHED_OTHER` and so on, by its number.
    pub policy: u32,
    /// `SCHED_FLAG_*` bits.
    pub flags: u64,
    /// From -20 to 19; of `SCHED_OTHER` and `SCHED_BATCH`.
    pub nice: i32,
    /// From 1 to 99; of `SCHED_FIFO` and `SCHED_RR`.
    pub priority: u32,
    /// Of `SCHED_DEADLINE`, nanoseconds.
    pub runtime_ns: u64,
    /// Of `SCHED_DEADLINE`, nanoseconds.
    pub deadline_ns: u64,
    /// Of `SCHED_DEADLINE`, nanoseconds.
    pub period_ns: u64,
}

/// The kernel's `struct sched_attr` in its first version, 48 bytes.
#[repr(C)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

const SCHED_ATTR_BYTES: u32 = 48;

/// Schedules this thread, and what it becomes by `execve`, as asked.
///
/// # Errors
/// The errno of `sched_setattr`: `EPERM` without `CAP_SYS_NICE`, or for `SCHED_DEADLINE` on fewer than all processors.
///
/// Source: `man 2 sched_setattr`.
pub fn set_scheduling(scheduling: Scheduling) -> io::Result<()> {
    let attr = SchedAttr {
        size: SCHED_ATTR_BYTES,
        policy: scheduling.policy,
        flags: scheduling.flags,
        nice: scheduling.nice,
        priority: scheduling.priority,
        runtime: scheduling.runtime_ns,
        deadline: scheduling.deadline_ns,
        period: scheduling.period_ns,
    };
    // SAFETY: `attr` is the kernel's struct of the size that it names, and lives through the call; 0 is this thread.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) })
}

/// Sets the I/O priority of this thread, and of what it becomes by `execve`: class from 1 (real time) to 3 (idle), and
/// level from 0 (first) to 7.
///
/// # Errors
/// The errno of `ioprio_set`: `EPERM` for real time without `CAP_SYS_NICE`.
///
/// Source: `man 2 ioprio_set`.
pub fn set_io_priority(class: u8, level: u8) -> io::Result<()> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    let value = (libc::c_int::from(class) << 13) | libc::c_int::from(level);
    // SAFETY: takes no pointer; 0 is this thread.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel says of this thread: on one of its own, since the others' must stay as it is.
    fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(work).join().unwrap())
    }

    #[test]
    fn the_struct_has_the_kernels_size() {
        assert_eq!(
            size_of::<SchedAttr>(),
            usize::try_from(SCHED_ATTR_BYTES).unwrap()
        );
    }

    #[test]
    fn kernel_a_batch_thread_is_one() {
        let policy = on_a_thread(|| {
            set_scheduling(Scheduling {
                policy: 3,
                nice: 5,
                ..Scheduling::default()
            })
            .unwrap();
            // SAFETY: takes no pointer.
            unsafe { libc::sched_getscheduler(0) }
        });
        assert_eq!(policy, libc::SCHED_BATCH);
        let error = on_a_thread(|| {
            set_scheduling(Scheduling {
                policy: 99,
                ..Scheduling::default()
            })
        });
        assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn kernel_an_io_priority_can_be_read_back() {
        let value = on_a_thread(|| {
            set_io_priority(2, 6).unwrap();
            // SAFETY: takes no pointer.
            unsafe { libc::syscall(libc::SYS_ioprio_get, 1, 0) }
        });
        assert_eq!(value, (2 << 13) | 6);
    }
}
