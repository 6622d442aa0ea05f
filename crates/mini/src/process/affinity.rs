//! Which processors a process may run on: `process.execCPUAffinity`, and all that its cgroup has by default, whatever
//! the caller was bound to.
//!
//! Source: runtime-spec config.md, Linux Process, execCPUAffinity.

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::error::{Error, Result};
use crate::process::number_list;

/// Reads a list of processors; [`None`] for an empty one.
///
/// # Errors
/// `Invalid`.
pub fn parse(name: &str, list: &str) -> Result<Option<Vec<u32>>> {
    let invalid = |reason: &dyn std::fmt::Display| {
        Error::invalid(format!("process.execCPUAffinity.{name} {list:?}: {reason}"))
    };
    let numbers = number_list::parse(list).map_err(|error| invalid(&error))?;
    if let Some(number) = numbers.iter().find(|number| index(**number).is_none()) {
        return Err(invalid(&format!(
            "processor {number} is above {}",
            CpuSet::MAX_CPU - 1
        )));
    }
    Ok((!numbers.is_empty()).then_some(numbers))
}

/// A list as the number whose bits are its processors, as runtimes write it in their logs: `0x3`.
pub fn hexadecimal(numbers: &[u32]) -> String {
    let mut words = number_list::mask(numbers).into_iter().rev();
    let first = words.next().unwrap_or(0);
    words.fold(format!("{first:#x}"), |text, word| {
        format!("{text}{word:016x}")
    })
}

/// Binds this thread to processors.
///
/// # Errors
/// `Sys`, when none of them is there or in the cgroup.
pub fn bind(name: &str, numbers: &[u32]) -> Result<()> {
    let mut set = CpuSet::new();
    for number in numbers.iter().filter_map(|number| index(*number)) {
        set.set(number);
    }
    sched_setaffinity(None, &set).map_err(|errno| {
        Error::sys(
            "set",
            format!("process.execCPUAffinity.{name} to {numbers:?}"),
            errno,
        )
        .with_hint("none of these processors is online and in the container's cgroup")
    })
}

/// Lets this thread run on every processor of its cgroup.
///
/// # Errors
/// `Sys`.
pub fn unbind() -> Result<()> {
    let mut set = CpuSet::new();
    for number in 0..CpuSet::MAX_CPU {
        set.set(number);
    }
    sched_setaffinity(None, &set).map_err(|errno| Error::sys("reset the CPU affinity", "", errno))
}

fn index(number: u32) -> Option<usize> {
    usize::try_from(number)
        .ok()
        .filter(|number| *number < CpuSet::MAX_CPU)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_shown() {
        assert_eq!(parse("initial", "0-1").unwrap(), Some(vec![0, 1]));
        assert_eq!(parse("initial", "").unwrap(), None);
        assert_eq!(hexadecimal(&[0, 1]), "0x3");
        assert_eq!(hexadecimal(&[1, 64]), "0x10000000000000002");
        let error = parse("final", "5000").unwrap_err().to_string();
        assert!(error.contains("execCPUAffinity.final"), "{error}");
        assert!(parse("final", "x").is_err());
    }
}
