//! Figures in the JSON of the Docker Engine API.
//!
//! Types of our own: Docker's clients tell a missing field from a null one and from zero, and the generated types write
//! only one of the three.
//! Source: moby `api/types/container/stats.go`, `daemon/daemon_unix.go` (`statsV1`, `statsV2`).

use std::collections::BTreeMap;

use cgroups::stats::DeviceIo;
use serde::Serialize;

use crate::{host::CpuTime, time};

/// One frame of `/containers/{id}/stats`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StatsFrame {
    read: String,
    preread: String,
    pids_stats: Pids,
    blkio_stats: BlockIo,
    num_procs: u32,
    storage_stats: BTreeMap<String, u64>,
    cpu_stats: Cpu,
    precpu_stats: Cpu,
    memory_stats: Memory,
    name: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    networks: Option<BTreeMap<String, Interface>>,
}

/// What a container used up to one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    /// Nanoseconds since the Unix epoch; `None` when it does not run.
    pub(super) read_ns: Option<i64>,
    cpu: Cpu,
    memory: Memory,
    block_io: BlockIo,
    pids: Pids,
    networks: Option<BTreeMap<String, Interface>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Pids {
    #[serde(skip_serializing_if = "is_zero")]
    current: u64,
    #[serde(skip_serializing_if = "is_zero")]
    limit: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are Docker's")]
struct BlockIo {
    io_service_bytes_recursive: Option<Vec<BlockIoEntry>>,
    io_serviced_recursive: Option<Vec<BlockIoEntry>>,
    io_queue_recursive: Option<Vec<BlockIoEntry>>,
    io_service_time_recursive: Option<Vec<BlockIoEntry>>,
    io_wait_time_recursive: Option<Vec<BlockIoEntry>>,
    io_merged_recursive: Option<Vec<BlockIoEntry>>,
    io_time_recursive: Option<Vec<BlockIoEntry>>,
    sectors_recursive: Option<Vec<BlockIoEntry>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct BlockIoEntry {
    major: u32,
    minor: u32,
    op: &'static str,
    value: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are Docker's")]
struct Cpu {
    cpu_usage: CpuUsage,
    #[serde(skip_serializing_if = "is_zero")]
    system_cpu_usage: u64,
    #[serde(skip_serializing_if = "is_zero")]
    online_cpus: u64,
    throttling_data: Throttling,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct CpuUsage {
    total_usage: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    percpu_usage: Vec<u64>,
    usage_in_kernelmode: u64,
    usage_in_usermode: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Throttling {
    periods: u64,
    throttled_periods: u64,
    throttled_time: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Memory {
    #[serde(skip_serializing_if = "is_zero")]
    usage: u64,
    #[serde(skip_serializing_if = "is_zero")]
    max_usage: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    stats: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "is_zero")]
    failcnt: u64,
    #[serde(skip_serializing_if = "is_zero")]
    limit: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Interface {
    rx_bytes: u64,
    rx_packets: u64,
    rx_errors: u64,
    rx_dropped: u64,
    tx_bytes: u64,
    tx_packets: u64,
    tx_errors: u64,
    tx_dropped: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// What is read beside the cgroup's own figures.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    /// Of the machine.
    pub(super) host_cpu: CpuTime,
    /// Of the machine, in bytes.
    pub(super) host_memory_bytes: u64,
    /// Block I/O is accounted by cgroup v2.
    pub(super) io_is_v2: bool,
    /// The container's interfaces; `None` when it has no network of its own.
    pub(super) networks: Option<BTreeMap<String, Interface>>,
}

impl Figures {
    /// Puts together what was read at a time.
    pub(super) fn new(read_ns: i64, stats: cgroups::Stats, around: Surroundings) -> Self {
        let cgroups::Stats {
            cpu,
            memory,
            io,
            pids,
            ..
        } = stats;
        let known = Option::unwrap_or_default;
        let limit = memory.limit_bytes.unwrap_or(u64::MAX);
        Self {
            read_ns: Some(read_ns),
            cpu: Cpu {
                cpu_usage: CpuUsage {
                    total_usage: known(cpu.usage_ns_total),
                    percpu_usage: cpu.per_cpu_ns_total,
                    usage_in_kernelmode: known(cpu.system_ns_total),
                    usage_in_usermode: known(cpu.user_ns_total),
                },
                system_cpu_usage: around.host_cpu.all_ns_total,
                online_cpus: around.host_cpu.online.into(),
                throttling_data: Throttling {
                    periods: known(cpu.periods_total),
                    throttled_periods: known(cpu.throttled_periods_total),
                    throttled_time: known(cpu.throttled_ns_total),
                },
            },
            memory: Memory {
                usage: known(memory.usage_bytes),
                max_usage: known(memory.peak_bytes),
                stats: memory.stat.into_iter().collect(),
                failcnt: known(memory.limit_hits_total),
                // What is more than there is, is no limit.
                limit: limit.min(around.host_memory_bytes),
            },
            block_io: BlockIo::new(&io, around.io_is_v2),
            pids: Pids {
                current: known(pids.current),
                limit: known(pids.limit),
            },
            networks: around.networks,
        }
    }

    /// Makes a frame of them and of those before.
    pub(super) fn frame(&self, before: &Self, id: &str, name: &str) -> StatsFrame {
        StatsFrame {
            read: time::rfc3339(self.read_ns),
            preread: time::rfc3339(before.read_ns),
            pids_stats: self.pids.clone(),
            blkio_stats: self.block_io.clone(),
            num_procs: 0,
            storage_stats: BTreeMap::new(),
            cpu_stats: self.cpu.clone(),
            precpu_stats: before.cpu.clone(),
            memory_stats: self.memory.clone(),
            name: format!("/{name}"),
            id: id.to_owned(),
            networks: self.networks.clone(),
        }
    }
}

impl BlockIo {
    fn new(devices: &[DeviceIo], v2: bool) -> Self {
        let entries = |read: fn(&DeviceIo) -> u64, write: fn(&DeviceIo) -> u64| {
            let mut entries = Vec::with_capacity(devices.len() * 3);
            for device in devices {
                let mut push = |op, value| {
                    entries.push(BlockIoEntry {
                        major: device.major,
                        minor: device.minor,
                        op,
                        value,
                    });
                };
                let (read, write) = (read(device), write(device));
                if v2 {
                    push("read", read);
                    push("write", write);
                } else {
                    push("Read", read);
                    push("Write", write);
                    push("Total", read.saturating_add(write));
                }
            }
            Some(entries)
        };
        // What only the gone CFQ scheduler counted is empty, as with Docker; v2 has never had it.
        let none = || (!v2).then(Vec::new);
        Self {
            io_service_bytes_recursive: entries(
                |io| io.read_bytes_total,
                |io| io.write_bytes_total,
            ),
            io_serviced_recursive: entries(
                |io| io.read_operations_total,
                |io| io.write_operations_total,
            ),
            io_queue_recursive: none(),
            io_service_time_recursive: none(),
            io_wait_time_recursive: none(),
            io_merged_recursive: none(),
            io_time_recursive: none(),
            sectors_recursive: none(),
        }
    }
}

/// Reads `/proc/PID/net/dev`: counters by interface, without the loopback.
pub(super) fn interfaces(content: &str) -> BTreeMap<String, Interface> {
    let mut all = BTreeMap::new();
    for line in content.lines() {
        let Some((name, rest)) = line.split_once(':') else {
            continue;
        };
        let numbers: Vec<u64> = rest
            .split_ascii_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let at = |index: usize| numbers.get(index).copied().unwrap_or_default();
        let name = name.trim();
        if name == "lo" || numbers.len() < 16 {
            continue;
        }
        let interface = Interface {
            rx_bytes: at(0),
            rx_packets: at(1),
            rx_errors: at(2),
            rx_dropped: at(3),
            tx_bytes: at(8),
            tx_packets: at(9),
            tx_errors: at(10),
            tx_dropped: at(11),
        };
        all.insert(name.to_owned(), interface);
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn stats() -> cgroups::Stats {
        let mut stats = cgroups::Stats::default();
        stats.cpu.usage_ns_total = Some(500);
        stats.cpu.user_ns_total = Some(300);
        stats.cpu.system_ns_total = Some(200);
        stats.cpu.per_cpu_ns_total = vec![400, 100];
        stats.cpu.periods_total = Some(3);
        stats.memory.usage_bytes = Some(1000);
        stats.memory.peak_bytes = Some(2000);
        stats.memory.stat = vec![("total_inactive_file".into(), 100)];
        stats.pids.current = Some(2);
        stats.io = vec![DeviceIo {
            major: 8,
            minor: 0,
            read_bytes_total: 10,
            write_bytes_total: 20,
            read_operations_total: 1,
            write_operations_total: 2,
        }];
        stats
    }

    fn around(io_is_v2: bool) -> Surroundings {
        Surroundings {
            host_cpu: CpuTime {
                all_ns_total: 9000,
                online: 2,
            },
            host_memory_bytes: 4000,
            io_is_v2,
            networks: Some(interfaces(
                "Inter-| Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 5 4 3 2 0 0 0 0 9 8 7 6 0 0 0 0\n",
            )),
        }
    }

    fn json(figures: &Figures, before: &Figures) -> Value {
        serde_json::to_value(figures.frame(before, "id", "name")).unwrap()
    }

    #[test]
    fn a_stopped_container_looks_as_dockers() {
        let figures = Figures::default();
        let zero = json!({
            "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
            "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
        });
        let expected = json!({
            "read": "0001-01-01T00:00:00Z", "preread": "0001-01-01T00:00:00Z", "pids_stats": {},
            "blkio_stats": {
                "io_service_bytes_recursive": null, "io_serviced_recursive": null, "io_queue_recursive": null,
                "io_service_time_recursive": null, "io_wait_time_recursive": null, "io_merged_recursive": null,
                "io_time_recursive": null, "sectors_recursive": null,
            },
            "num_procs": 0, "storage_stats": {}, "cpu_stats": zero, "precpu_stats": zero, "memory_stats": {},
            "name": "/name", "id": "id",
        });
        assert_eq!(json(&figures, &figures), expected);
    }

    #[test]
    fn a_running_container_looks_as_dockers() {
        let figures = Figures::new(1_000_000_000, stats(), around(false));
        let frame = json(&figures, &Figures::default());
        assert_eq!(frame["read"], "1970-01-01T00:00:01.000000000Z");
        assert_eq!(
            frame["cpu_stats"],
            json!({
                "cpu_usage": {"total_usage": 500, "percpu_usage": [400, 100], "usage_in_kernelmode": 200, "usage_in_usermode": 300},
                "system_cpu_usage": 9000, "online_cpus": 2,
                "throttling_data": {"periods": 3, "throttled_periods": 0, "throttled_time": 0},
            })
        );
        assert!(frame["precpu_stats"].get("system_cpu_usage").is_none());
        assert_eq!(
            frame["memory_stats"],
            json!({"usage": 1000, "max_usage": 2000, "stats": {"total_inactive_file": 100}, "limit": 4000})
        );
        assert_eq!(frame["pids_stats"], json!({"current": 2}));
        assert_eq!(
            frame["networks"],
            json!({"eth0": {"rx_bytes": 5, "rx_packets": 4, "rx_errors": 3, "rx_dropped": 2, "tx_bytes": 9, "tx_packets": 8, "tx_errors": 7, "tx_dropped": 6}})
        );
        assert_eq!(
            frame["blkio_stats"]["io_serviced_recursive"],
            json!([
                {"major": 8, "minor": 0, "op": "Read", "value": 1},
                {"major": 8, "minor": 0, "op": "Write", "value": 2},
                {"major": 8, "minor": 0, "op": "Total", "value": 3},
            ])
        );
        assert_eq!(frame["blkio_stats"]["sectors_recursive"], json!([]));
        let later = json(&figures, &figures);
        assert_eq!(later["precpu_stats"], later["cpu_stats"]);
        assert_eq!(later["preread"], later["read"]);
    }

    #[test]
    fn on_v2_operations_are_in_small_letters_and_nothing_else_is_counted() {
        let frame = json(&Figures::new(1, stats(), around(true)), &Figures::default());
        assert_eq!(
            frame["blkio_stats"]["io_service_bytes_recursive"],
            json!([
                {"major": 8, "minor": 0, "op": "read", "value": 10},
                {"major": 8, "minor": 0, "op": "write", "value": 20},
            ])
        );
        assert_eq!(frame["blkio_stats"]["sectors_recursive"], json!(null));
    }

    #[test]
    fn a_limit_above_the_machines_memory_is_none() {
        let limit = |bytes| {
            let mut stats = stats();
            stats.memory.limit_bytes = bytes;
            let frame = json(&Figures::new(1, stats, around(false)), &Figures::default());
            frame["memory_stats"]["limit"].as_u64().unwrap()
        };
        assert_eq!(
            [limit(Some(3000)), limit(Some(5000)), limit(None)],
            [3000, 4000, 4000]
        );
    }

    proptest::proptest! {
        #[test]
        fn no_content_panics(content in "\\PC*") {
            let _ = interfaces(&content);
        }
    }
}
