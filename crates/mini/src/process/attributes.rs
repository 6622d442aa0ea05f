//! What a process keeps over `execve` besides its user: processors, scheduling, I/O priority, execution domain, memory
//! policy. Of the container's first process and of each that joins it.

use crate::error::Result;
use crate::process::{affinity, memory_policy, personality, scheduler};
use crate::spec::{CpuAffinity, IoPriority, Linux, MemoryPolicy, Personality, Process};
use crate::spec::{Scheduler, Spec};

/// Checks what a process asks for.
///
/// # Errors
/// `Invalid`.
pub fn validate(process: &Process) -> Result<()> {
    if let Some(asked) = &process.scheduler {
        scheduler::parse(asked)?;
    }
    if let Some(asked) = &process.io_priority {
        scheduler::parse_io(asked)?;
    }
    if let Some(asked) = &process.exec_cpu_affinity {
        affinity::parse("initial", &asked.initial)?;
        affinity::parse("final", &asked.last)?;
    }
    Ok(())
}

/// Checks what a container asks for all its processes.
///
/// # Errors
/// `Invalid`.
pub fn validate_linux(linux: &Linux) -> Result<()> {
    if let Some(asked) = &linux.personality {
        personality::parse(asked)?;
    }
    if let Some(asked) = &linux.memory_policy {
        memory_policy::parse(asked)?;
    }
    Ok(())
}

/// What a container's processes have, the first and those that join it: all of them what is the container's, and each
/// what the first has unless it asks for something else.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    personality: Option<Personality>,
    memory_policy: Option<MemoryPolicy>,
    has_cpuset: bool,
    scheduler: Option<Scheduler>,
    io_priority: Option<IoPriority>,
    affinity: Option<CpuAffinity>,
}

impl Attributes {
    /// Those of a container.
    pub fn of(spec: &Spec) -> Self {
        let linux = spec.linux.as_ref();
        let process = spec.process();
        Self {
            personality: linux.and_then(|linux| linux.personality.clone()),
            memory_policy: linux.and_then(|linux| linux.memory_policy.clone()),
            has_cpuset: linux
                .and_then(|linux| linux.resources.as_ref()?.cpu.as_ref())
                .is_some_and(|cpu| !cpu.cpus.is_empty()),
            scheduler: process.and_then(|process| process.scheduler.clone()),
            io_priority: process.and_then(|process| process.io_priority.clone()),
            affinity: process.and_then(|process| process.exec_cpu_affinity.clone()),
        }
    }

    /// The processors of a process that joins, if any are asked for.
    pub fn affinity_of<'a>(&'a self, process: &'a Process) -> Option<&'a CpuAffinity> {
        process
            .exec_cpu_affinity
            .as_ref()
            .or(self.affinity.as_ref())
    }

    /// Binds a process that joins to the processors that it shall have until it is in the container's cgroup.
    ///
    /// # Errors
    /// `Invalid`, `Sys`.
    pub fn bind_first(&self, process: &Process) -> Result<()> {
        let list = self
            .affinity_of(process)
            .map_or("", |affinity| affinity.initial.as_str());
        match affinity::parse("initial", list)? {
            Some(numbers) => affinity::bind("initial", &numbers),
            None => Ok(()),
        }
    }

    /// The processors of [`Self::bind_first`] as runtimes write them in their logs: `0x3`.
    pub fn show_first(&self, process: &Process) -> String {
        let list = self
            .affinity_of(process)
            .map_or("", |affinity| affinity.initial.as_str());
        match affinity::parse("initial", list) {
            Ok(Some(numbers)) => affinity::hexadecimal(&numbers),
            _ => "unchanged".into(),
        }
    }

    /// Gives this thread, and what it becomes, what is asked for. In the container's cgroup, while we are root, and
    /// before a filter could forbid the calls. `affinity` is that of a process that joins.
    ///
    /// # Errors
    /// `Invalid`, `Sys`.
    pub fn apply(&self, process: &Process, affinity: Option<&CpuAffinity>) -> Result<()> {
        bind_last(affinity)?;
        if let Some(asked) = process.scheduler.as_ref().or(self.scheduler.as_ref()) {
            scheduler::apply(asked, self.has_cpuset)?;
        }
        if let Some(asked) = process.io_priority.as_ref().or(self.io_priority.as_ref()) {
            scheduler::apply_io(asked)?;
        }
        if let Some(asked) = &self.personality {
            personality::apply(asked)?;
        }
        if let Some(asked) = &self.memory_policy {
            memory_policy::apply(asked)?;
        }
        Ok(())
    }
}

/// The processors of a process that is in the container's cgroup: those asked for; with only the first ones asked for,
/// what the kernel has made of them (runtime-spec config.md); else all, whatever our caller was bound to.
fn bind_last(affinity: Option<&CpuAffinity>) -> Result<()> {
    let list = affinity.map_or("", |affinity| affinity.last.as_str());
    match affinity::parse("final", list)? {
        Some(numbers) => affinity::bind("final", &numbers),
        None if affinity.is_some_and(|affinity| !affinity.initial.is_empty()) => Ok(()),
        None => affinity::unbind(),
    }
}
