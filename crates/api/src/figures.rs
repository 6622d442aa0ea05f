//! Figures over time: containers and the host. Rates are per second over the last interval; percentages of CPU are of one core (200 = two cores busy).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a container's figures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FigureSource {
    /// Read from the container's cgroup files by this server.
    Cgroup,
    /// The engine's own stats stream (remote engine, or the files are not readable from here).
    Engine,
}

/// Figures of one container at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsPoint {
    /// Unix time in milliseconds.
    pub at_ms: i64,
    /// CPU used, percent of one core.
    pub cpu_percent: f64,
    /// CPU allowed by the quota, percent of one core; none: no quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit_percent: Option<f64>,
    /// Share of scheduler periods in which the quota stopped the container, 0 to 100.
    pub throttled_percent: f64,
    /// Memory that cannot simply be dropped (usage without inactive file cache).
    pub memory_bytes: u64,
    /// File cache charged to the container.
    pub memory_cache_bytes: u64,
    /// Memory limit; none: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
    /// Received from all its networks.
    pub rx_bytes_per_second: f64,
    /// Sent to all its networks.
    pub tx_bytes_per_second: f64,
    /// Read from block devices.
    pub read_bytes_per_second: f64,
    /// Written to block devices.
    pub write_bytes_per_second: f64,
    /// Processes and threads.
    pub pids: u64,
    /// Most of them allowed; none: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<u64>,
}

/// The newest figures of one container and a short past for a sparkline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsItem {
    /// Engine name.
    pub engine: String,
    /// Container id.
    pub id: String,
    /// Where they come from.
    pub source: FigureSource,
    /// The newest figures.
    pub latest: StatsPoint,
    /// CPU percent of the last seconds (at most 60), oldest first, one a second.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent_cpu_percent: Vec<f32>,
    /// Memory of the same seconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent_memory_bytes: Vec<u64>,
}

/// Topic `stats` without `cid`: every running container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsOverview {
    /// One per running container.
    pub items: Vec<StatsItem>,
}

/// The newest figures of those that have new ones, without the `recent_*` arrays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsOverviewDelta {
    /// Newest figures; append `latest` to the sparkline.
    pub items: Vec<StatsItem>,
    /// Containers that no longer run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<crate::live::ObjectKey>,
}

/// Topic `stats` with `cid`, and the REST range query: one container's series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsSeries {
    /// Where the newest come from; none before the first point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<FigureSource>,
    /// Seconds between points.
    pub step_seconds: f64,
    /// Oldest first.
    pub points: Vec<StatsPoint>,
}

/// New points of one container's series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsSeriesDelta {
    /// Oldest first.
    pub points: Vec<StatsPoint>,
}

/// Figures of the host at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostPoint {
    /// Unix time in milliseconds.
    pub at_ms: i64,
    /// CPU used by everything, percent of the whole host (0 to 100).
    pub cpu_percent: f64,
    /// CPU used per core, 0 to 100 each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpu_per_core_percent: Vec<f32>,
    /// Installed memory.
    pub memory_total_bytes: u64,
    /// Total less available.
    pub memory_used_bytes: u64,
    /// Page cache and buffers.
    pub memory_cache_bytes: u64,
    /// Swap space.
    pub swap_total_bytes: u64,
    /// Swap in use.
    pub swap_used_bytes: u64,
    /// Load average over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// Read from all block devices.
    pub read_bytes_per_second: f64,
    /// Written to all block devices.
    pub write_bytes_per_second: f64,
    /// Received on all links but loopback and container links.
    pub rx_bytes_per_second: f64,
    /// Sent on them.
    pub tx_bytes_per_second: f64,
    /// Block devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<DiskFigures>,
    /// File systems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filesystems: Vec<FilesystemFigures>,
    /// Network links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkFigures>,
    /// Share of the last 10 s in which some work waited; none where the kernel does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<HostPressure>,
}

/// One block device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DiskFigures {
    /// Kernel name, `sda`.
    pub name: String,
    /// Read.
    pub read_bytes_per_second: f64,
    /// Written.
    pub write_bytes_per_second: f64,
    /// Share of time with a request in flight, 0 to 100.
    pub busy_percent: f64,
}

/// One mounted file system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FilesystemFigures {
    /// Where it is mounted.
    pub path: String,
    /// Size.
    pub total_bytes: u64,
    /// In use.
    pub used_bytes: u64,
}

/// One network link.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LinkFigures {
    /// Interface name.
    pub name: String,
    /// Received.
    pub rx_bytes_per_second: f64,
    /// Sent.
    pub tx_bytes_per_second: f64,
}

/// `some avg10` of `/proc/pressure`, percent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostPressure {
    /// CPU.
    pub cpu_percent: f64,
    /// Memory.
    pub memory_percent: f64,
    /// Block devices.
    pub io_percent: f64,
}

/// The host's series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostSeries {
    /// False where the server cannot read the host (not Linux); then `points` is empty and `reason` says why.
    pub available: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Seconds between points.
    pub step_seconds: f64,
    /// Oldest first.
    pub points: Vec<HostPoint>,
}

/// New points of the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostSeriesDelta {
    /// Oldest first.
    pub points: Vec<HostPoint>,
}
