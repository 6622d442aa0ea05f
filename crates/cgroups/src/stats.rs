//! Figures of a cgroup, the same for v1 and v2 as far as they mean the same.
//!
//! Each field says where it comes from. What the kernel does not say is `None` or empty, never 0.
//! Source: kernel cgroup-v2.rst; cgroup-v1/{cpuacct,memory,blkio-controller,pids}.rst.

mod reader;
mod values;

pub use reader::{Detail, StatsReader};

use crate::parse::Pressure;
use crate::{Cgroup, Error};

/// What a cgroup used and uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// CPU time.
    pub cpu: CpuStats,
    /// Memory.
    pub memory: MemoryStats,
    /// Block devices, each once.
    pub io: Vec<DeviceIo>,
    /// Processes and threads.
    pub pids: PidsStats,
    /// How long tasks waited; only where the kernel measures it and v2 is mounted.
    pub pressure: PressureStats,
}

/// CPU time since the cgroup was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuStats {
    /// All of it, in nanoseconds. v1 `cpuacct.usage`, v2 `cpu.stat` `usage_usec`.
    pub usage_ns_total: Option<u64>,
    /// In user mode.
    pub user_ns_total: Option<u64>,
    /// In the kernel.
    pub system_ns_total: Option<u64>,
    /// Of each CPU, in nanoseconds. v1 `cpuacct.usage_percpu`; v2 does not say: empty.
    pub per_cpu_ns_total: Vec<u64>,
    /// Periods in which the quota was looked at (`nr_periods`).
    pub periods_total: Option<u64>,
    /// Periods in which it was used up (`nr_throttled`).
    pub throttled_periods_total: Option<u64>,
    /// Time spent waiting for the next period, in nanoseconds.
    pub throttled_ns_total: Option<u64>,
}

/// Memory of the cgroup and those below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// All memory charged, page cache too. v1 `memory.usage_in_bytes`, v2 `memory.current`.
    pub usage_bytes: Option<u64>,
    /// Usage without the page cache that is easily taken back (`inactive_file`): what `docker stats` shows.
    pub working_set_bytes: Option<u64>,
    /// Page cache. v1 `total_cache`, v2 `file`.
    pub cache_bytes: Option<u64>,
    /// Memory of programs themselves. v1 `total_rss`, v2 `anon`.
    pub anonymous_bytes: Option<u64>,
    /// Swap in use.
    pub swap_bytes: Option<u64>,
    /// The most that may be used; `None` without a limit.
    pub limit_bytes: Option<u64>,
    /// The most that was in use. v2: `memory.peak`, since Linux 5.19.
    pub peak_bytes: Option<u64>,
    /// How often the limit was hit. v1 `memory.failcnt`, v2 `memory.events` `max`.
    pub limit_hits_total: Option<u64>,
    /// Processes killed by the kernel for lack of memory.
    pub oom_kills_total: Option<u64>,
    /// `memory.stat` as it is; only with [`Detail::Full`].
    pub stat: Vec<(String, u64)>,
}

/// What went to and from one block device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DeviceIo {
    pub major: u32,
    pub minor: u32,
    pub read_bytes_total: u64,
    pub write_bytes_total: u64,
    pub read_operations_total: u64,
    pub write_operations_total: u64,
}

/// Processes and threads together, as the pids controller counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PidsStats {
    /// Now.
    pub current: Option<u64>,
    /// The most there may be; `None` without a limit.
    pub limit: Option<u64>,
}

/// Pressure of each resource.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PressureStats {
    pub cpu: Option<Pressure>,
    pub memory: Option<Pressure>,
    pub io: Option<Pressure>,
}

impl Cgroup {
    /// Everything once. For repeated reading keep a [`StatsReader`].
    ///
    /// # Errors
    /// [`Error::NotFound`] if the cgroup is gone.
    pub fn stats(&self) -> Result<Stats, Error> {
        StatsReader::open(self, Detail::Full).read()
    }
}
