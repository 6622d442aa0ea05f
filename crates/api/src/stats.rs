//! Figures of a container.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{host::Pressure, id::EngineName};

/// A container at one moment; rates are over the time since the sample before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsPoint {
    /// When, milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// 100 is one processor in full use.
    pub cpu_percent: f64,
    /// Share of scheduling periods in which the quota stopped it, 0–100; absent without a quota.
    pub cpu_throttled_percent: Option<f64>,
    /// What it may use: 100 for each processor, or its quota.
    pub cpu_limit_percent: Option<f64>,
    /// Memory that cannot be dropped: usage less inactive file pages, in bytes.
    pub memory_working_set_bytes: u64,
    /// All memory charged to it, page cache included, in bytes.
    pub memory_usage_bytes: u64,
    /// Page cache, in bytes.
    pub memory_cache_bytes: u64,
    /// Its limit in bytes; absent without one.
    pub memory_limit_bytes: Option<u64>,
    /// Swap in use, in bytes.
    pub swap_bytes: Option<u64>,
    /// Received on all interfaces; absent when it shares the host's network.
    pub network_receive_bytes_per_s: Option<f64>,
    /// Sent on all interfaces.
    pub network_transmit_bytes_per_s: Option<f64>,
    /// Read from disks.
    pub block_read_bytes_per_s: f64,
    /// Written to disks.
    pub block_write_bytes_per_s: f64,
    /// Processes and threads.
    pub pids: u64,
    /// Its limit; absent without one.
    pub pids_limit: Option<u64>,
    /// Out-of-memory kills since the start.
    pub oom_kills_total: Option<u64>,
    /// Pressure stall information, where the kernel has it.
    pub pressure: Option<Pressure>,
}

/// Where figures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FigureSource {
    /// Read from the container's control groups on this machine.
    Cgroup,
    /// From the engine's stats stream.
    Engine,
}

/// The newest figures of one container, as the `stats` topic and the list carry them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContainerStats {
    /// The engine.
    pub engine: EngineName,
    /// The container's id.
    pub id: String,
    /// Where they come from.
    pub source: FigureSource,
    /// The figures.
    pub point: StatsPoint,
}

/// A container over a time range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsHistory {
    /// Where the figures come from.
    pub source: FigureSource,
    /// Distance between points in milliseconds.
    pub resolution_ms: u64,
    /// Oldest first.
    pub points: Vec<StatsPoint>,
}

/// Which part of the past.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// How far back, in seconds; 300 when absent, at most 86,400.
    pub range_s: Option<u64>,
    /// At most so many points; 300 when absent, at most 600.
    pub points: Option<u32>,
}
