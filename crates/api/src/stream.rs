//! Live topics as Server-Sent Events.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{ContainerId, EngineName};

/// What is streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamTopic {
    /// All engines.
    Engines,
    /// Containers of an engine.
    Containers,
    /// Images of an engine.
    Images,
    /// Volumes of an engine.
    Volumes,
    /// Networks of an engine.
    Networks,
    /// Events of an engine.
    Events,
    /// Figures of containers.
    Stats,
    /// Figures of the host.
    Host,
    /// Lines of a container's log.
    Logs,
    /// Jobs.
    Jobs,
}

/// Streams a topic of the live socket: events `snap`, `delta`, `gap` and `end` with the same data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamQuery {
    /// Which.
    pub topic: StreamTopic,
    /// The engine, where it is about one.
    #[serde(default)]
    pub engine: Option<EngineName>,
    /// The container, for logs and stats.
    #[serde(default)]
    pub container: Option<ContainerId>,
    /// Times a second, 0.1–2, for figures; 1 when absent.
    #[serde(default)]
    pub hz: Option<f64>,
    /// The newest so many lines of a log first.
    #[serde(default)]
    pub tail: Option<u32>,
    /// Only lines of a log after this cursor or time.
    #[serde(default)]
    pub since: Option<String>,
}
