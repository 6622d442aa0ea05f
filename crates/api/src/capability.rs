//! What works here, what does not, why, and what would make it work.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::engine::EngineInfo;

/// One thing that works or does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Capability {
    /// A stable word, such as `inside` or `pids_limit`.
    pub id: String,
    /// What it is, for people.
    pub title: String,
    /// It works.
    pub available: bool,
    /// It works with a difference that `reason` names.
    pub degraded: bool,
    /// Why it does not work or differs.
    pub reason: Option<String>,
    /// What would make it work, in one line.
    pub hint: Option<String>,
}

/// What the server, its host and each engine can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Capabilities {
    /// The server's version.
    pub server_version: String,
    /// The machine that the server runs on.
    pub host: HostInfo,
    /// What works on this host.
    pub features: Vec<Capability>,
    /// The engines, each with its own capabilities.
    pub engines: Vec<EngineInfo>,
}

/// The machine that the server runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostInfo {
    /// Its name.
    pub hostname: String,
    /// `linux`, `windows` or `macos`.
    pub platform: String,
    /// Name of the operating system.
    pub operating_system: String,
    /// Kernel release.
    pub kernel_version: String,
    /// Such as `x86_64`.
    pub architecture: String,
    /// Processors.
    pub cpus: u64,
    /// Memory in bytes.
    pub memory_total_bytes: u64,
    /// `v1`, `v2`, `hybrid` or `none`.
    pub cgroup_mode: String,
    /// The server runs as root.
    pub root: bool,
}
