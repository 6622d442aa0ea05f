//! `linux.memoryPolicy`: the NUMA nodes that the container's memory is on.
//!
//! Source: runtime-spec config-linux.md, Memory Policy; `man 2 set_mempolicy`.

use crate::error::{Error, Result};
use crate::process::number_list;
use crate::process::scheduler::value_of;
use crate::spec::MemoryPolicy;

/// Modes, in the kernel's order of their numbers.
pub const MODES: [(&str, i32); 7] = [
    ("MPOL_DEFAULT", 0),
    ("MPOL_PREFERRED", 1),
    ("MPOL_BIND", 2),
    ("MPOL_INTERLEAVE", 3),
    ("MPOL_LOCAL", 4),
    ("MPOL_PREFERRED_MANY", 5),
    ("MPOL_WEIGHTED_INTERLEAVE", 6),
];

/// Flags of a mode.
pub const FLAGS: [(&str, i32); 3] = [
    ("MPOL_F_STATIC_NODES", 1 << 15),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
];

/// Reads a policy: the mode with its flags, and the nodes as bits.
///
/// # Errors
/// `Invalid`.
pub fn parse(policy: &MemoryPolicy) -> Result<(i32, Vec<u64>)> {
    let mode = value_of(&MODES, &policy.mode).ok_or_else(|| {
        Error::invalid(format!("invalid memory policy mode {:?}", policy.mode))
            .with_hint("the modes are those of set_mempolicy(2), such as MPOL_BIND")
    })?;
    let nodes = number_list::parse(&policy.nodes).map_err(|error| {
        Error::invalid(format!(
            "invalid memory policy nodes {:?}: {error}",
            policy.nodes
        ))
    })?;
    let mut flags = 0;
    for flag in &policy.flags {
        flags |= value_of(&FLAGS, flag).ok_or_else(|| {
            Error::invalid(format!("invalid memory policy flag {flag:?}"))
                .with_hint("the flags are those of set_mempolicy(2), such as MPOL_F_STATIC_NODES")
        })?;
    }
    match policy.mode.as_str() {
        "MPOL_DEFAULT" | "MPOL_LOCAL" if !nodes.is_empty() => Err(Error::invalid(format!(
            "memory policy mode requires 0 nodes but got {}",
            nodes.len()
        ))
        .with_hint("leave linux.memoryPolicy.nodes out")),
        "MPOL_BIND" | "MPOL_INTERLEAVE" | "MPOL_PREFERRED_MANY" | "MPOL_WEIGHTED_INTERLEAVE"
            if nodes.is_empty() =>
        {
            Err(
                Error::invalid("memory policy mode requires at least one node but got 0")
                    .with_hint("name nodes in linux.memoryPolicy.nodes: numactl -H lists them"),
            )
        }
        _ => Ok((mode | flags, number_list::mask(&nodes))),
    }
}

/// Gives this thread and what it becomes the policy.
///
/// # Errors
/// As [`parse`]; `Sys`.
pub fn apply(policy: &MemoryPolicy) -> Result<()> {
    let (mode, nodes) = parse(policy)?;
    sys::memory::set_policy(mode, &nodes).map_err(|error| {
        Error::sys(
            "set the memory policy",
            format!("{} of nodes {:?}", policy.mode, policy.nodes),
            error,
        )
        .with_hint(
            "the nodes must be there (/sys/devices/system/node/online) and in the cgroup's cpuset.mems",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(mode: &str, nodes: &str, flags: &[&str]) -> MemoryPolicy {
        MemoryPolicy {
            mode: mode.into(),
            nodes: nodes.into(),
            flags: flags.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn modes_flags_and_nodes_are_read() {
        assert_eq!(
            parse(&policy("MPOL_BIND", "0,2", &["MPOL_F_STATIC_NODES"])).unwrap(),
            (2 | 1 << 15, vec![5])
        );
        assert_eq!(
            parse(&policy("MPOL_DEFAULT", "", &[])).unwrap(),
            (0, vec![])
        );
        assert_eq!(
            parse(&policy("MPOL_PREFERRED", "", &[])).unwrap(),
            (1, vec![])
        );
    }

    #[test]
    fn wrong_words_are_named() {
        for (policy, words) in [
            (policy("", "", &[]), "invalid memory policy mode"),
            (policy("INTERLEAVE", "0", &[]), "invalid memory policy mode"),
            (
                policy("MPOL_BIND", "0", &["badflag"]),
                "invalid memory policy flag",
            ),
            (
                policy("MPOL_BIND", "0-9876543210", &[]),
                "invalid memory policy node",
            ),
            (
                policy("MPOL_DEFAULT", "0-7", &[]),
                "mode requires 0 nodes but got 8",
            ),
            (
                policy("MPOL_BIND", "", &[]),
                "requires at least one node but got 0",
            ),
        ] {
            let error = parse(&policy).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
