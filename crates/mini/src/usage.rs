//! What a container uses, in the shapes of `runc events`: Docker, containerd and Kubernetes read them.
//!
//! The crate `cgroups` has figures of its own for the engine, the same for v1 and v2. These here are what runc makes of
//! each version's files, field by field; a file that is not there leaves its figures at 0 or out, as there.
//! Source: runc `types/events.go`.

mod interfaces;
mod v1;
mod v2;

use std::collections::BTreeMap;
use std::path::Path;

use cgroups::{Cgroup, Controller, parse};
use serde::Serialize;

pub use interfaces::{NetworkInterface, of_process as interfaces_of, parse as parse_interfaces};

/// One line of `events`.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    /// `stats` or `oom`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The container's id.
    pub id: &'a str,
    /// What it uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Usage>,
}

/// All figures of a container.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "runc's names")]
pub struct Usage {
    pub cpu: Cpu,
    pub cpuset: CpuSet,
    pub memory: Memory,
    pub pids: Pids,
    pub blkio: BlockIo,
    pub hugetlb: BTreeMap<String, HugePages>,
    pub intel_rdt: NoRdt,
    pub network_interfaces: Option<Vec<NetworkInterface>>,
}

/// No container has an Intel RDT group.
#[derive(Debug, Default, Serialize)]
pub struct NoRdt {}

/// Processor time.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "runc's names")]
pub struct Cpu {
    pub usage: CpuUsage,
    pub throttling: Throttling,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// Nanoseconds.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "runc's names")]
pub struct CpuUsage {
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    pub kernel: u64,
    pub user: u64,
}

/// Periods of the quota, and nanoseconds of waiting for the next one.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "runc's names")]
pub struct Throttling {
    #[serde(skip_serializing_if = "is_zero")]
    pub periods: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_periods: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_time: u64,
}

/// The files of v1's cpuset.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the kernel's names")]
pub struct CpuSet {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u32>,
    pub cpu_exclusive: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u32>,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// Memory, in bytes.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "runc's names")]
pub struct Memory {
    #[serde(skip_serializing_if = "is_zero")]
    pub cache: u64,
    pub usage: MemoryEntry,
    /// Memory and swap together, in both versions.
    pub swap: MemoryEntry,
    pub kernel: MemoryEntry,
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryEntry,
    /// `memory.stat`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// One kind of memory.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "runc's names")]
pub struct MemoryEntry {
    pub limit: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    pub failcnt: u64,
}

/// Processes and threads.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "runc's names")]
pub struct Pids {
    #[serde(skip_serializing_if = "is_zero")]
    pub current: u64,
    /// Left out without a limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: u64,
}

/// Block devices.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "runc's names")]
pub struct BlockIo {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlockIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlockIoEntry>,
    #[serde(rename = "ioQueueRecursive", skip_serializing_if = "Vec::is_empty")]
    pub io_queued_recursive: Vec<BlockIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_time_recursive: Vec<BlockIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_wait_time_recursive: Vec<BlockIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_merged_recursive: Vec<BlockIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_time_recursive: Vec<BlockIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sectors_recursive: Vec<BlockIoEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// One figure of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "runc's names")]
pub struct BlockIoEntry {
    #[serde(skip_serializing_if = "is_zero")]
    pub major: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub minor: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "runc's names")]
pub struct HugePages {
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    pub failcnt: u64,
}

/// Time that tasks waited for a resource; v2 only.
#[derive(Clone, Copy, Debug, Serialize)]
#[expect(missing_docs, reason = "the kernel's names")]
pub struct Psi {
    pub some: PsiLine,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<PsiLine>,
}

/// Percents of the last 10, 60 and 300 s; microseconds in total.
#[derive(Clone, Copy, Debug, Serialize)]
#[expect(missing_docs, reason = "the kernel's names")]
pub struct PsiLine {
    pub avg10: f64,
    pub avg60: f64,
    pub avg300: f64,
    pub total: u64,
}

impl From<parse::PressureLine> for PsiLine {
    fn from(line: parse::PressureLine) -> Self {
        Self {
            avg10: line.avg10_percent,
            avg60: line.avg60_percent,
            avg300: line.avg300_percent,
            total: line.stalled_us_total,
        }
    }
}

/// Reads all figures of a cgroup and those of the network of a process in it.
pub fn read(cgroup: &Cgroup, pid: i32) -> Usage {
    let mut usage = Usage {
        network_interfaces: interfaces_of(pid),
        ..Usage::default()
    };
    for controller in [
        Controller::Cpuacct,
        Controller::Cpu,
        Controller::Cpuset,
        Controller::Memory,
        Controller::Pids,
        Controller::Io,
        Controller::Hugetlb,
    ] {
        if let Some(directory) = cgroup.directory_of(controller) {
            if directory.v2 {
                v2::take(&mut usage, controller, &directory.path);
            } else {
                v1::take(&mut usage, controller, &directory.path);
            }
        }
    }
    // v2's core counts processor time without its controller too; where v1 counts it, that is what is taken.
    let counted = |controller| cgroup.directory_of(controller).is_some();
    if let Some(directory) = cgroup.v2_directory()
        && !counted(Controller::Cpu)
        && !counted(Controller::Cpuacct)
    {
        v2::take(&mut usage, Controller::Cpu, directory);
    }
    usage
}

/// The content of a cgroup's file; nothing if it is not there.
fn content(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(name)).unwrap_or_default()
}

/// A file of one number; `max` is the greatest, and what is not there is 0.
fn number(directory: &Path, name: &str) -> u64 {
    match content(directory, name).trim() {
        "max" => u64::MAX,
        text => text.parse().unwrap_or_default(),
    }
}

/// Both versions write `max`, which runc tells as 0.
fn take_pids(usage: &mut Usage, directory: &Path) {
    usage.pids.current = number(directory, "pids.current");
    usage.pids.limit = content(directory, "pids.max")
        .trim()
        .parse()
        .unwrap_or_default();
}

/// The sizes of huge pages that this machine has, as the kernel names their files: `2MB`, `1GB`.
fn huge_page_sizes() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/sys/kernel/mm/hugepages") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| huge_page_size(entry.file_name().to_str()?))
        .collect()
}

/// `hugepages-2048kB` is `2MB`.
fn huge_page_size(name: &str) -> Option<String> {
    let kib: u64 = name
        .strip_prefix("hugepages-")?
        .strip_suffix("kB")?
        .parse()
        .ok()?;
    Some(match kib {
        1_048_576.. => format!("{}GB", kib >> 20),
        1024.. => format!("{}MB", kib >> 10),
        _ => format!("{kib}KB"),
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_begins_as_runcs_does() {
        let event = Event {
            kind: "stats",
            id: "x",
            data: Some(Usage::default()),
        };
        let json = serde_json::to_string(&event).unwrap();
        assert!(
            json.starts_with(r#"{"type":"stats","id":"x","data":{"cpu":{"#),
            "{json}"
        );
        assert!(json.contains(r#""intel_rdt":{},"network_interfaces":null"#));
        let oom = Event {
            kind: "oom",
            id: "x",
            data: None,
        };
        assert_eq!(
            serde_json::to_string(&oom).unwrap(),
            r#"{"type":"oom","id":"x"}"#
        );
    }

    #[test]
    fn huge_pages_are_named_as_the_kernels_files_are() {
        for (name, size) in [
            ("hugepages-2048kB", "2MB"),
            ("hugepages-1048576kB", "1GB"),
            ("hugepages-64kB", "64KB"),
        ] {
            assert_eq!(huge_page_size(name).unwrap(), size);
        }
        assert_eq!(huge_page_size("hugepages-x"), None);
    }
}
