//! The processes of a container.

use std::collections::HashMap;

use cgroups::Cgroup;

use crate::inside::{Fact, Process};
use crate::linux::proc;

/// The longest command line that is told; the rest is cut.
const MAX_COMMAND_BYTES: usize = 4096;

/// By its cgroup, or, if that is the root, by its pid namespace.
pub(super) fn processes(pid: u32, cgroup: Option<&Cgroup>) -> Fact<Vec<Process>> {
    let own = cgroup.filter(|cgroup| cgroup.path() != "/");
    let (pids, file) = match own {
        Some(cgroup) => {
            let directory = cgroup
                .v2_directory()
                .or_else(|| Some(cgroup.directories().first()?.path.as_path()));
            let file = directory
                .map(|path| path.join("cgroup.procs").to_string_lossy().into_owned())
                .unwrap_or_default();
            (cgroup.processes().map_err(|error| error.to_string()), file)
        }
        None => (same_pid_namespace(pid), format!("/proc/{pid}/ns/pid")),
    };
    let read = pids.map(|mut pids| {
        if !pids.contains(&pid) {
            pids.push(pid);
        }
        sorted(pids.into_iter().filter_map(process).collect())
    });
    Fact::of_file(file, read)
}

fn same_pid_namespace(pid: u32) -> Result<Vec<u32>, String> {
    let words = |error: std::io::Error| proc::words(&error);
    let wanted = proc::namespace_inode(&pid.to_string(), "pid").map_err(words)?;
    let entries = std::fs::read_dir("/proc").map_err(words)?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            proc::namespace_inode(&pid.to_string(), "pid").is_ok_and(|inode| inode == wanted)
        })
        .collect())
}

/// `None` for a process that ended meanwhile.
fn process(pid: u32) -> Option<Process> {
    let status = proc::read(pid, "status").ok()?;
    let number = |key| {
        proc::status_value(&status, key)?
            .split_ascii_whitespace()
            .next()?
            .parse()
            .ok()
    };
    let inner_pid = proc::status_value(&status, "NSpid")
        .and_then(|pids| pids.split_ascii_whitespace().next_back())
        .and_then(|pid| pid.parse().ok());
    Some(Process {
        pid,
        inner_pid,
        parent_pid: number("PPid").unwrap_or_default(),
        uid: number("Uid").unwrap_or_default(),
        state: proc::status_value(&status, "State")
            .and_then(|state| state.chars().next())
            .unwrap_or('?'),
        threads: number("Threads").unwrap_or_default(),
        memory_bytes: proc::status_kib(&status, "VmRSS").unwrap_or_default() * 1024,
        command: command(pid, proc::status_value(&status, "Name").unwrap_or_default()),
    })
}

fn command(pid: u32, name: &str) -> String {
    let line = std::fs::read(proc::path(pid, "cmdline")).unwrap_or_default();
    let line = line.get(..MAX_COMMAND_BYTES).unwrap_or(&line);
    let words: Vec<_> = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    if words.is_empty() {
        format!("[{name}]")
    } else {
        words.join(" ")
    }
}

/// Parents before their children, otherwise by number.
fn sorted(mut all: Vec<Process>) -> Vec<Process> {
    all.sort_by_key(|process| process.pid);
    let parents: HashMap<u32, u32> = all
        .iter()
        .map(|process| (process.pid, process.parent_pid))
        .collect();
    let depth = |pid: u32| {
        let mut depth = 0_u32;
        let mut at = pid;
        // Bounded: numbers that are used again meanwhile could make a ring.
        while let Some(parent) = parents.get(&at)
            && depth < 1000
        {
            at = *parent;
            depth += 1;
        }
        depth
    };
    all.sort_by_key(|process| (depth(process.pid), process.pid));
    all
}
