//! Figures of the machine that the server runs on.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The machine at one moment; rates are over the time since the sample before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostFigures {
    /// When, milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// All processors together, 0–100.
    pub cpu_percent: f64,
    /// Each processor, 0–100.
    pub cpu_per_core_percent: Vec<f64>,
    /// Runnable and waiting tasks, mean of one minute.
    pub load_1m: f64,
    /// Mean of five minutes.
    pub load_5m: f64,
    /// Mean of fifteen minutes.
    pub load_15m: f64,
    /// Memory in bytes.
    pub memory_total_bytes: u64,
    /// Total less available, in bytes.
    pub memory_used_bytes: u64,
    /// What programs could still get without swapping, in bytes.
    pub memory_available_bytes: u64,
    /// Page cache and buffers, in bytes.
    pub memory_cache_bytes: u64,
    /// Swap in bytes.
    pub swap_total_bytes: u64,
    /// Swap in use, in bytes.
    pub swap_used_bytes: u64,
    /// File systems on disks.
    pub disks: Vec<DiskFigures>,
    /// Network interfaces other than loopback and those of containers.
    pub networks: Vec<InterfaceFigures>,
    /// Pressure stall information, where the kernel has it.
    pub pressure: Option<Pressure>,
    /// Seconds since boot.
    pub uptime_s: u64,
    /// Resident memory of this server, in bytes.
    pub server_memory_bytes: u64,
}

/// A file system on a disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DiskFigures {
    /// Where it is mounted.
    pub mount_point: String,
    /// Its device.
    pub device: String,
    /// Such as `ext4`.
    pub file_system: String,
    /// Size in bytes.
    pub total_bytes: u64,
    /// In use, in bytes.
    pub used_bytes: u64,
    /// Free for programs without root's reserve, in bytes.
    pub available_bytes: u64,
    /// Read from the device.
    pub read_bytes_per_s: f64,
    /// Written to the device.
    pub write_bytes_per_s: f64,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InterfaceFigures {
    /// Its name.
    pub name: String,
    /// Received.
    pub receive_bytes_per_s: f64,
    /// Sent.
    pub transmit_bytes_per_s: f64,
}

/// Share of time in which tasks waited for a resource (kernel accounting/psi.rst), in percent over 10 s.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pressure {
    /// Some task waited for a processor.
    pub cpu_some_percent: Option<f64>,
    /// Some task waited for memory.
    pub memory_some_percent: Option<f64>,
    /// All tasks waited for memory.
    pub memory_full_percent: Option<f64>,
    /// Some task waited for disks.
    pub io_some_percent: Option<f64>,
    /// All tasks waited for disks.
    pub io_full_percent: Option<f64>,
}

/// The machine over a time range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostHistory {
    /// Distance between points in milliseconds.
    pub resolution_ms: u64,
    /// Oldest first.
    pub points: Vec<HostFigures>,
}
