//! Inside a container: what the kernel says it is, in facts with their source and plain sentences.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a fact is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Read from the live kernel.
    Measured,
    /// What the engine's record says; not checked against the kernel.
    Declared,
}

/// Whether a fact keeps the container apart from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Own, limited or filtered.
    Isolated,
    /// Shared with the host, unlimited or unfiltered.
    Shared,
    /// Says nothing about isolation.
    Neutral,
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InsideFact {
    /// Stable within its section: `pid`, `memory.limit`.
    pub id: String,
    /// `PID namespace`.
    pub label: String,
    /// `4026532573`, `64 MiB`.
    pub value: String,
    /// What it means, one plain sentence.
    pub meaning: String,
    /// Does it keep the container apart.
    pub isolation: Isolation,
    /// How it is known.
    pub evidence: Evidence,
    /// The file it was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// A command that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// With a limit: how much of it is in use now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gauge: Option<Gauge>,
    /// Parts of a long value: capabilities by name, mount options.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<String>,
}

/// A value against its limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Gauge {
    /// Now.
    pub current: f64,
    /// Limit; none: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Unit of both.
    pub unit: GaugeUnit,
}

impl Eq for Gauge {}

/// Unit of a gauge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GaugeUnit {
    /// Bytes.
    Bytes,
    /// Percent of one core.
    CpuPercent,
    /// A number of things.
    Count,
}

/// What a section is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SectionKind {
    /// Namespaces.
    Namespaces,
    /// Control groups: paths, limits, live values.
    Cgroups,
    /// Capabilities.
    Capabilities,
    /// seccomp, no_new_privs, LSM label, ids.
    Privileges,
    /// Mounts.
    Mounts,
    /// Image layers and the writable one.
    Layers,
    /// Processes.
    Processes,
    /// Interfaces, addresses, sockets.
    Network,
}

/// Facts of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InsideSection {
    /// Which.
    pub kind: SectionKind,
    /// `Namespaces`.
    pub title: String,
    /// One or two sentences: what this is for.
    pub summary: String,
    /// The facts.
    pub facts: Vec<InsideFact>,
    /// What could not be read, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A container's inside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InsideView {
    /// Engine name.
    pub engine: String,
    /// Container id.
    pub id: String,
    /// It runs: facts are measured where the kernel can be read.
    pub running: bool,
    /// Its first process on the host; none when it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// How most facts are known.
    pub evidence: Evidence,
    /// Why they are declared only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_note: Option<String>,
    /// Read at.
    #[schema(value_type = String, format = DateTime)]
    pub at: jiff::Timestamp,
    /// The facts.
    pub sections: Vec<InsideSection>,
    /// Why it ended, when it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<ExitExplanation>,
}

/// How sure an explanation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// The record proves it.
    Certain,
    /// The usual cause of what is seen.
    Likely,
    /// Not to be told from what is there.
    Unknown,
}

/// Why a container ended, in plain words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExitExplanation {
    /// `Killed: out of memory`.
    pub title: String,
    /// What happened, one or two sentences.
    pub detail: String,
    /// How sure.
    pub certainty: Certainty,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
}
