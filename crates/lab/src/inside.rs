//! What a process can see of its own container.

use std::fs;

use crate::{Problem, output::say};

const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
/// A limit, its file on cgroup v2, and on v1.
const LIMITS: [(&str, &str, &str); 5] = [
    ("memory", "memory.max", "memory/memory.limit_in_bytes"),
    (
        "swap",
        "memory.swap.max",
        "memory/memory.memsw.limit_in_bytes",
    ),
    ("cpu", "cpu.max", "cpu/cpu.cfs_quota_us"),
    ("cpuset", "cpuset.cpus.effective", "cpuset/cpuset.cpus"),
    ("pids", "pids.max", "pids/pids.max"),
];

/// Facts with their names, in the order they are shown.
pub(crate) type Facts = Vec<(String, String)>;

/// Prints who this process is.
pub(crate) fn identity() -> Result<u8, Problem> {
    let status =
        fs::read_to_string("/proc/self/status").map_err(Problem::of("read /proc/self/status"))?;
    for key in [
        "Uid",
        "Gid",
        "Groups",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "NoNewPrivs",
        "Seccomp",
        "Seccomp_filters",
    ] {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        if let Some(value) = line {
            say(&format!(
                "{key:<16}{}",
                value.split_whitespace().collect::<Vec<_>>().join(" ")
            ))?;
        }
    }
    Ok(0)
}

/// Prints namespaces and limits.
pub(crate) fn namespaces() -> Result<u8, Problem> {
    for (name, value) in facts() {
        say(&format!("{name:<18}{value}"))?;
    }
    Ok(0)
}

/// Host name, process id, namespaces and limits, as far as they can be read.
pub(crate) fn facts() -> Facts {
    let mut facts = vec![
        ("hostname".to_owned(), hostname()),
        ("pid".to_owned(), std::process::id().to_string()),
    ];
    for name in NAMESPACES {
        if let Ok(target) = fs::read_link(format!("/proc/self/ns/{name}")) {
            facts.push((format!("{name} namespace"), target.display().to_string()));
        }
    }
    for (name, v2, v1) in LIMITS {
        let read = |path: &str| fs::read_to_string(format!("/sys/fs/cgroup/{path}")).ok();
        if let Some(value) = read(v2).or_else(|| read(v1)) {
            facts.push((format!("{name} limit"), value.trim().to_owned()));
        }
    }
    facts
}

/// The host name, as the kernel has it.
pub(crate) fn hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
