//! A container as lists show it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::EngineName;

/// How a container is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Runs.
    Running,
    /// Frozen.
    Paused,
    /// Between two runs by its restart policy.
    Restarting,
    /// Being removed.
    Removing,
    /// Ended.
    Exited,
    /// Could not be removed, or the engine lost it.
    Dead,
}

/// What its health check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Not checked often enough yet.
    Starting,
    /// The last check was good.
    Healthy,
    /// Too many checks in a row were not.
    Unhealthy,
}

/// A container in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContainerSummary {
    /// The engine that has it.
    pub engine: EngineName,
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name, without a slash.
    pub name: String,
    /// The image as it was asked for.
    pub image: String,
    /// The image's id.
    pub image_id: String,
    /// Program and arguments in one line. Untrusted.
    pub command: String,
    /// How it is.
    pub state: ContainerState,
    /// Its health, when it has a check.
    pub health: Option<Health>,
    /// Exit code of its last run, once it ended.
    pub exit_code: Option<i64>,
    /// The kernel killed it for lack of memory in its last run.
    pub oom_killed: bool,
    /// What its end or state means, in a few words: `Killed: out of memory, limit 256 MiB`.
    pub state_text: String,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When its last run began.
    pub started_at: Option<Timestamp>,
    /// When its last run ended.
    pub finished_at: Option<Timestamp>,
    /// How often its restart policy started it again.
    pub restart_count: u64,
    /// The first process as the engine's machine sees it; absent when it does not run.
    pub pid: Option<u32>,
    /// Ports.
    pub ports: Vec<Port>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Its Compose project.
    pub project: Option<String>,
    /// Its service in that project.
    pub service: Option<String>,
    /// Names of its networks.
    pub networks: Vec<String>,
    /// Names of its volumes.
    pub volumes: Vec<String>,
    /// Its memory limit in bytes.
    pub memory_limit_bytes: Option<u64>,
    /// What it may use of processors; 1 is one of them.
    pub cpu_limit_cores: Option<f64>,
}

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Port {
    /// The port inside.
    pub container_port: u16,
    /// The port on the host, when published.
    pub host_port: Option<u16>,
    /// The address on the host, when published.
    pub host_ip: Option<String>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}
