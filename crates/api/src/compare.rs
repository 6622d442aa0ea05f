//! The same workload on both engines, side by side.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareRequest {
    /// Image reference; copied to the engine that lacks it.
    pub image: String,
    /// Command; empty: the image's own.
    #[serde(default)]
    pub command: Vec<String>,
    /// Runs on each engine, 1 to 100 (default 10).
    #[serde(default = "default_runs")]
    pub runs: u32,
    /// Memory limit of each run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// CPU quota of each run, in cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
}

fn default_runs() -> u32 {
    10
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CompareSample {
    /// Engine name.
    pub engine: String,
    /// Round, from 1; both engines run in each round, the order alternates.
    pub round: u32,
    /// The run that warmed caches (round 0) is not part of the statistics.
    pub warm_up: bool,
    /// `create` call, milliseconds.
    pub create_ms: f64,
    /// `start` call: from the request to the answer that the container runs.
    pub start_ms: f64,
    /// From the start request to the first byte of output; none: it wrote nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_output_ms: Option<f64>,
    /// From the start request to the exit.
    pub run_ms: f64,
    /// `remove` call.
    pub remove_ms: f64,
    /// create + run + remove.
    pub total_ms: f64,
    /// Highest memory seen in its cgroup; none: not readable, or it was gone too soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
    /// Exit code.
    pub exit_code: i64,
}

/// Statistics of one figure on one engine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// How many values.
    pub count: u32,
    /// Smallest.
    pub min: f64,
    /// Quarter of values are below.
    pub p25: f64,
    /// Half of values are below.
    pub median: f64,
    /// Three quarters of values are below.
    pub p75: f64,
    /// 95 of 100 values are below.
    pub p95: f64,
    /// Largest.
    pub max: f64,
}

/// What one figure says about the two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CompareFigure {
    /// `create`, `start`, `first_output`, `run`, `remove`, `total`, `memory`.
    pub name: String,
    /// What people read.
    pub label: String,
    /// `ms` or `bytes`.
    pub unit: String,
    /// By engine.
    pub engines: BTreeMap<String, Summary>,
    /// The judgement.
    pub verdict: Verdict,
}

/// Judgement of one figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// Engine with the lower median; none: no difference beyond noise, or not measured on both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<String>,
    /// Higher median over lower median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// Probability of so clear a difference between two engines that are in truth equal (Mann-Whitney).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    /// One sentence.
    pub text: String,
}

/// One engine in a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CompareEngine {
    /// Engine name.
    pub name: String,
    /// Engine version.
    pub version: String,
    /// OCI runtime it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Storage driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_driver: Option<String>,
    /// Image id it ran.
    pub image_id: String,
    /// Resident memory of the engine's own processes during a run of one idle container; none: not readable from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overhead: Option<EngineOverhead>,
    /// Why `overhead` is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overhead_note: Option<String>,
}

/// What an engine itself takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EngineOverhead {
    /// Resident memory of the processes that stay with one container (shim).
    pub per_container_bytes: u64,
    /// Their names.
    pub per_container_processes: Vec<String>,
    /// Resident memory of the daemon; none: not found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daemon_bytes: Option<u64>,
    /// Its processes' names.
    pub daemon_processes: Vec<String>,
}

/// One row of the isolation table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IsolationRow {
    /// `Network namespace`, `Capabilities`.
    pub fact: String,
    /// One sentence on what it means.
    pub meaning: String,
    /// By engine: what its container has.
    pub engines: BTreeMap<String, String>,
    /// They differ.
    pub differs: bool,
}

/// The host a comparison ran on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CompareHost {
    /// Operating system.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// Processor model.
    pub cpu_model: String,
    /// Processors.
    pub cpus: u32,
    /// Memory.
    pub memory_bytes: u64,
}

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CompareResult {
    /// What was asked.
    pub request: CompareRequest,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub at: jiff::Timestamp,
    /// The host.
    pub host: CompareHost,
    /// Version of this program.
    pub server_version: String,
    /// The engines.
    pub engines: Vec<CompareEngine>,
    /// Every run, in the order they ran.
    pub samples: Vec<CompareSample>,
    /// Statistics and judgement by figure.
    pub figures: Vec<CompareFigure>,
    /// Isolation facts.
    pub isolation: Vec<IsolationRow>,
    /// Why the isolation table is empty or part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation_note: Option<String>,
}
