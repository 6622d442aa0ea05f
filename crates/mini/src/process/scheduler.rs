//! `process.scheduler` and `process.ioPriority`.
//!
//! Source: runtime-spec config.md, Linux Process; `man 2 sched_setattr`; `man 2 ioprio_set`.

use rustix::io::Errno;
use sys::schedule::{Scheduling, set_io_priority, set_scheduling};

use crate::error::{Error, Result};
use crate::spec::{IoPriority, Scheduler};

/// Policies with their numbers.
const POLICIES: [(&str, u32); 7] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];

const FLAGS: [(&str, u64); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

const IO_CLASSES: [(&str, u8); 3] = [
    ("IOPRIO_CLASS_RT", 1),
    ("IOPRIO_CLASS_BE", 2),
    ("IOPRIO_CLASS_IDLE", 3),
];

/// Reads a scheduler's words.
///
/// # Errors
/// `Invalid` for an unknown word, or a value that its policy does not have.
pub fn parse(scheduler: &Scheduler) -> Result<Scheduling> {
    let word = &scheduler.policy;
    if word.is_empty() {
        return Err(Error::invalid("scheduler policy is required")
            .with_hint("the policies are those of sched_setscheduler(2), such as SCHED_BATCH"));
    }
    let policy = value_of(&POLICIES, word).ok_or_else(|| {
        Error::invalid(format!("invalid scheduler.policy: {word:?}"))
            .with_hint("the policies are those of sched_setscheduler(2), such as SCHED_BATCH")
    })?;
    let mut flags = 0;
    for flag in &scheduler.flags {
        flags |= value_of(&FLAGS, flag).ok_or_else(|| {
            Error::invalid(format!("invalid scheduler.flags: {flag:?}")).with_hint(
                "the flags are those of sched_setattr(2), such as SCHED_FLAG_RESET_ON_FORK",
            )
        })?;
    }
    let fair = matches!(word.as_str(), "SCHED_OTHER" | "SCHED_BATCH");
    if fair && !(-20..=19).contains(&scheduler.nice) {
        return Err(Error::invalid(format!(
            "invalid scheduler.nice: {} when scheduler.policy is {word}",
            scheduler.nice
        ))
        .with_hint("a nice value is from -20 to 19"));
    }
    let real_time = matches!(word.as_str(), "SCHED_FIFO" | "SCHED_RR");
    let priority = u32::try_from(scheduler.priority).map_err(|_| {
        Error::invalid(format!(
            "invalid scheduler.priority: {}",
            scheduler.priority
        ))
    })?;
    if priority != 0 && !real_time {
        return Err(Error::invalid(
            "scheduler.priority can only be specified for SchedFIFO or SchedRR policy",
        ));
    }
    let has_times = scheduler.runtime != 0 || scheduler.deadline != 0 || scheduler.period != 0;
    if has_times && word != "SCHED_DEADLINE" {
        return Err(Error::invalid(
            "scheduler runtime/deadline/period can only be specified for SchedDeadline policy",
        ));
    }
    Ok(Scheduling {
        policy,
        flags,
        nice: scheduler.nice,
        priority,
        runtime_ns: scheduler.runtime,
        deadline_ns: scheduler.deadline,
        period_ns: scheduler.period,
    })
}

/// Schedules this thread and what it becomes.
///
/// # Errors
/// As [`parse`]; `Sys`.
pub fn apply(scheduler: &Scheduler, has_cpuset: bool) -> Result<()> {
    set_scheduling(parse(scheduler)?).map_err(|error| {
        let refused = error.raw_os_error() == Some(Errno::PERM.raw_os_error());
        let error = Error::sys("set the scheduler", &scheduler.policy, error);
        match (refused, scheduler.policy.as_str()) {
            // The kernel lets a deadline run on all processors or on none.
            (true, "SCHED_DEADLINE") if has_cpuset => {
                Error::invalid("process scheduler can't be used together with AllowedCPUs")
            }
            (true, "SCHED_FIFO" | "SCHED_RR") => error.with_hint(
                "needs CAP_SYS_NICE, and on cgroup v1 a cpu cgroup with cpu.rt_runtime_us above 0 (linux.resources.cpu.realtimeRuntime)",
            ),
            (true, _) => error.with_hint("needs CAP_SYS_NICE"),
            _ => error,
        }
    })
}

/// Reads an I/O priority: class and level.
///
/// # Errors
/// `Invalid`.
pub fn parse_io(priority: &IoPriority) -> Result<(u8, u8)> {
    let level = u8::try_from(priority.priority)
        .ok()
        .filter(|level| *level <= 7)
        .ok_or_else(|| {
            Error::invalid(format!(
                "invalid ioPriority.Priority: {}",
                priority.priority
            ))
            .with_hint("it is from 0 to 7")
        })?;
    let class = value_of(&IO_CLASSES, &priority.class).ok_or_else(|| {
        Error::invalid(format!("invalid ioPriority.Class: {:?}", priority.class))
            .with_hint("the classes are IOPRIO_CLASS_RT, IOPRIO_CLASS_BE and IOPRIO_CLASS_IDLE")
    })?;
    Ok((class, level))
}

/// Sets the I/O priority of this thread and of what it becomes.
///
/// # Errors
/// As [`parse_io`]; `Sys`.
pub fn apply_io(priority: &IoPriority) -> Result<()> {
    let (class, level) = parse_io(priority)?;
    set_io_priority(class, level).map_err(|error| {
        Error::sys(
            "set the I/O priority",
            format!("{} {level}", priority.class),
            error,
        )
        .with_hint("IOPRIO_CLASS_RT needs CAP_SYS_NICE or CAP_SYS_ADMIN on the host")
    })
}

/// The number of a word in a table.
pub(crate) fn value_of<T: Copy>(table: &[(&str, T)], word: &str) -> Option<T> {
    table
        .iter()
        .find(|(known, _)| *known == word)
        .map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheduler(policy: &str) -> Scheduler {
        Scheduler {
            policy: policy.into(),
            ..Scheduler::default()
        }
    }

    #[test]
    fn every_policy_has_its_number() {
        for (word, number) in POLICIES {
            assert_eq!(parse(&scheduler(word)).unwrap().policy, number);
        }
        let flags: Vec<String> = FLAGS.iter().map(|(word, _)| (*word).to_owned()).collect();
        let all = Scheduler {
            flags,
            ..scheduler("SCHED_OTHER")
        };
        assert_eq!(parse(&all).unwrap().flags, 0x7f);
    }

    #[test]
    fn values_that_a_policy_does_not_have_are_refused() {
        let wrong = [
            scheduler(""),
            scheduler("SCHED_FAST"),
            Scheduler {
                nice: 20,
                ..scheduler("SCHED_OTHER")
            },
            Scheduler {
                priority: 1,
                ..scheduler("SCHED_BATCH")
            },
            Scheduler {
                runtime: 1,
                ..scheduler("SCHED_FIFO")
            },
            Scheduler {
                flags: vec!["SCHED_FLAG_X".into()],
                ..scheduler("SCHED_OTHER")
            },
        ];
        for scheduler in wrong {
            assert!(parse(&scheduler).is_err(), "{scheduler:?}");
        }
    }

    #[test]
    fn io_priorities_have_three_classes_of_eight_levels() {
        let priority = |class: &str, priority| IoPriority {
            class: class.into(),
            priority,
        };
        assert_eq!(parse_io(&priority("IOPRIO_CLASS_BE", 7)).unwrap(), (2, 7));
        for wrong in [
            priority("IOPRIO_CLASS_BE", 8),
            priority("IOPRIO_CLASS_BE", -1),
            priority("", 0),
        ] {
            assert!(parse_io(&wrong).is_err(), "{wrong:?}");
        }
    }
}
