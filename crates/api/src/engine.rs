//! The engines and how they are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::EngineName;

/// What kind of engine it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// Docker Engine.
    Docker,
    /// Our own engine.
    Mini,
}

/// How an engine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineState {
    /// It answers.
    Connected,
    /// The server tries for the first time.
    Starting,
    /// It should be there and does not answer; the server keeps trying.
    Unreachable,
    /// It is not on this machine or not possible here; `reason` says why and `hint` how to add it.
    Absent,
}

/// An engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EngineInfo {
    /// Its name in URLs.
    pub name: EngineName,
    /// What it is.
    pub kind: EngineKind,
    /// Its name for people.
    pub title: String,
    /// How it is now.
    pub state: EngineState,
    /// Why it is not connected, in one sentence.
    pub reason: Option<String>,
    /// What would make it work, in one line.
    pub hint: Option<String>,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// Where it is reached, without credentials.
    pub endpoint: String,
    /// Where the endpoint comes from, such as `DOCKER_HOST` or `docker context "default"`.
    pub endpoint_source: String,
    /// The engine runs on this machine, so its containers' kernel objects can be read.
    pub local: bool,
    /// What it said of itself when it connected.
    pub details: Option<EngineDetails>,
    /// Figures of the state mirror.
    pub counts: EngineCounts,
    /// What works on it and what does not.
    pub capabilities: Vec<crate::capability::Capability>,
}

/// What an engine says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EngineDetails {
    /// The engine's version.
    pub version: String,
    /// The API version both sides agreed on.
    pub api_version: String,
    /// Name of the operating system.
    pub operating_system: String,
    /// Kernel release.
    pub kernel_version: String,
    /// Such as `x86_64`.
    pub architecture: String,
    /// Such as `overlay2`.
    pub storage_driver: String,
    /// `1`, `2` or empty when not told.
    pub cgroup_version: String,
    /// Such as `cgroupfs` or `systemd`.
    pub cgroup_driver: String,
    /// The runtime that containers get by default.
    pub default_runtime: String,
    /// Where its data is.
    pub root_directory: String,
    /// Processors that it may use.
    pub cpus: u64,
    /// Memory of its machine, in bytes.
    pub memory_total_bytes: u64,
    /// The engine's own id.
    pub engine_id: String,
    /// Name of its machine.
    pub host_name: String,
    /// Security features it names, such as `seccomp`.
    pub security_options: Vec<String>,
    /// What it warns of.
    pub warnings: Vec<String>,
}

/// How many objects the mirror of an engine holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EngineCounts {
    /// All containers.
    pub containers: u64,
    /// Those that run.
    pub containers_running: u64,
    /// Those that are paused.
    pub containers_paused: u64,
    /// Images.
    pub images: u64,
    /// Volumes.
    pub volumes: u64,
    /// Networks.
    pub networks: u64,
}

/// Something that happened on an engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EngineEvent {
    /// The engine.
    pub engine: EngineName,
    /// When.
    pub time: Timestamp,
    /// What kind of object: `container`, `image`, `volume`, `network`.
    pub kind: String,
    /// What happened: `start`, `die`, `oom`, …
    pub action: String,
    /// The object's id or name.
    pub id: String,
    /// The object's name, when the engine told it.
    pub name: Option<String>,
    /// Exit code of a `die`.
    pub exit_code: Option<i64>,
}

/// The disk that an engine uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskUsage {
    /// Layers of images, each counted once, in bytes.
    pub layers_bytes: u64,
    /// Writable layers of containers, in bytes.
    pub containers_bytes: u64,
    /// Volumes, in bytes.
    pub volumes_bytes: u64,
    /// Build cache, in bytes.
    pub build_cache_bytes: u64,
    /// What pruning images, stopped containers and unused volumes could free, in bytes.
    pub reclaimable_bytes: u64,
}
