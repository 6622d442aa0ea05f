//! What containers and the machine use.
//!
//! Fields that end in `_total` only rise; rates are made by who keeps two of them.

use serde::{Deserialize, Serialize};

/// Figures of one container at one moment. Absent: the kernel does not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// When they were read, milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// The same moment on a clock that never jumps, in nanoseconds: for rates.
    pub monotonic_ns: u64,
    /// CPU time of all its processes, in nanoseconds.
    pub cpu_ns_total: Option<u64>,
    /// Scheduling periods in which its quota was looked at.
    pub cpu_periods_total: Option<u64>,
    /// Those of them in which it was stopped by its quota.
    pub cpu_throttled_periods_total: Option<u64>,
    /// How long it was stopped, in nanoseconds.
    pub cpu_throttled_ns_total: Option<u64>,
    /// All memory charged to it, page cache included.
    pub memory_usage_bytes: Option<u64>,
    /// Usage less inactive file pages: what `docker stats` shows.
    pub memory_working_set_bytes: Option<u64>,
    /// Page cache.
    pub memory_cache_bytes: Option<u64>,
    /// Memory limit; absent without one.
    pub memory_limit_bytes: Option<u64>,
    /// Swap in use.
    pub swap_bytes: Option<u64>,
    /// Processes killed for lack of memory.
    pub oom_kills_total: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// The most there may be; absent without a limit.
    pub pids_limit: Option<u64>,
    /// Read from block devices.
    pub block_read_bytes_total: Option<u64>,
    /// Written to block devices.
    pub block_write_bytes_total: Option<u64>,
    /// Its network interfaces, loopback left out; empty when it shares the host's network.
    pub interfaces: Vec<InterfaceCounters>,
    /// It shares the host's network, so traffic cannot be told apart.
    pub shares_host_network: bool,
}

/// Counters of a network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct InterfaceCounters {
    pub name: String,
    pub received_bytes_total: u64,
    pub received_packets_total: u64,
    pub receive_errors_total: u64,
    pub receive_drops_total: u64,
    pub sent_bytes_total: u64,
    pub sent_packets_total: u64,
    pub send_errors_total: u64,
    pub send_drops_total: u64,
}

/// Figures of the machine at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostFigures {
    /// When they were read, milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// The same moment on a clock that never jumps, in nanoseconds: for rates.
    pub monotonic_ns: u64,
    /// All CPUs together.
    pub cpu: CpuTime,
    /// Each CPU that is online.
    pub cpus: Vec<CpuTime>,
    /// Load of 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// Memory of the machine.
    pub memory_total_bytes: u64,
    /// What programs could still have without swapping.
    pub memory_available_bytes: u64,
    /// Used by nothing at all.
    pub memory_free_bytes: u64,
    /// Page cache and buffers.
    pub memory_cache_bytes: u64,
    /// Swap space.
    pub swap_total_bytes: u64,
    /// Swap space not in use.
    pub swap_free_bytes: u64,
    /// File systems on disks, each device once.
    pub disks: Vec<DiskFigures>,
    /// Interfaces of the host's network, loopback left out.
    pub interfaces: Vec<InterfaceCounters>,
    /// How long tasks waited, where the kernel measures it.
    pub pressure: HostPressure,
    /// Since the machine started.
    pub uptime_seconds: u64,
    /// The kernel's release, as `uname -r` says.
    pub kernel_release: String,
    /// `v1`, `v2`, `hybrid`, or `none`.
    pub cgroup_mode: String,
}

/// Where a CPU's time went, in nanoseconds since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CpuTime {
    pub busy_ns_total: u64,
    pub idle_ns_total: u64,
    /// Idle, with a task that waits for a disk; part of idle.
    pub iowait_ns_total: u64,
    /// Taken by other machines on the same hardware.
    pub steal_ns_total: u64,
}

/// A file system on a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DiskFigures {
    pub mount_point: String,
    pub device: String,
    pub file_system: String,
    pub total_bytes: u64,
    /// In use.
    pub used_bytes: u64,
    /// Free for programs without root's reserve.
    pub available_bytes: u64,
    /// Of the device; absent for a file system without one.
    pub read_bytes_total: Option<u64>,
    pub write_bytes_total: Option<u64>,
}

/// Share of the last ten seconds in which tasks waited, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct HostPressure {
    pub cpu_some_percent: Option<f64>,
    pub memory_some_percent: Option<f64>,
    pub memory_full_percent: Option<f64>,
    pub io_some_percent: Option<f64>,
    pub io_full_percent: Option<f64>,
}
