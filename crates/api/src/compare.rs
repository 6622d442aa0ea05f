//! The same work on each engine, side by side.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{EngineName, ImageId, JobId};

/// Runs one image and command several times on each engine, taking turns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareRequest {
    /// The image; the starter image when absent. Each engine must have it.
    pub image: Option<ImageId>,
    /// The command; `/bin/true` when empty.
    #[serde(default)]
    pub command: Vec<String>,
    /// Runs on each engine: 1–100.
    pub runs: u32,
    /// Pause between two runs in milliseconds; 100 when absent, at most 10,000.
    pub pause_ms: Option<u32>,
}

/// The answer to a [`CompareRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CompareStarted {
    /// The job that runs it; its `result` is the comparison's id.
    pub job: JobId,
    /// The comparison's id.
    pub id: JobId,
}

/// A comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CompareResult {
    /// Its id.
    pub id: JobId,
    /// The job that runs or ran it.
    pub job: JobId,
    /// It is finished.
    pub finished: bool,
    /// When it was started.
    pub started_at: Timestamp,
    /// The image.
    pub image: String,
    /// The command.
    pub command: Vec<String>,
    /// Runs on each engine that were asked for.
    pub runs: u32,
    /// The machine: kernel, processors, cgroup mode, in words.
    pub machine: String,
    /// One entry an engine.
    pub engines: Vec<CompareEngine>,
    /// Isolation facts, one row each.
    pub isolation: Vec<IsolationRow>,
    /// What the figures say, in plain sentences; also when they say nothing.
    pub summary: Vec<String>,
}

/// The runs on one engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CompareEngine {
    /// The engine.
    pub engine: EngineName,
    /// Its version.
    pub version: String,
    /// Why it could not take part.
    pub excluded: Option<String>,
    /// Each run, in order.
    pub samples: Vec<CompareSample>,
    /// From create until the engine answered.
    pub create_ms: Option<Spread>,
    /// From start until the engine answered.
    pub start_ms: Option<Spread>,
    /// From the start request until the exit was told.
    pub run_ms: Option<Spread>,
    /// Until it was removed.
    pub remove_ms: Option<Spread>,
    /// From create until removed.
    pub total_ms: Option<Spread>,
    /// Peak memory of the container, where the kernel tells.
    pub memory_peak_bytes: Option<Spread>,
    /// Resident memory of the engine's own processes afterwards, in bytes.
    pub engine_memory_bytes: Option<u64>,
    /// What belongs to the engine in that figure.
    pub engine_memory_note: Option<String>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CompareSample {
    /// Counts the runs on this engine, from 0.
    pub run: u32,
    /// Create, in milliseconds.
    pub create_ms: f64,
    /// Start, in milliseconds.
    pub start_ms: f64,
    /// Start request until exit, in milliseconds.
    pub run_ms: f64,
    /// Remove, in milliseconds.
    pub remove_ms: f64,
    /// All of it, in milliseconds.
    pub total_ms: f64,
    /// Peak memory, where the kernel tells, in bytes.
    pub memory_peak_bytes: Option<u64>,
    /// Its exit code.
    pub exit_code: i64,
}

/// The middle and the spread of samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Spread {
    /// Least.
    pub minimum: f64,
    /// Median.
    pub median: f64,
    /// 95th percentile.
    pub p95: f64,
    /// Greatest.
    pub maximum: f64,
}

/// One fact about isolation, as each engine has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IsolationRow {
    /// What it is about: `user namespace`.
    pub fact: String,
    /// What it means, in a sentence.
    pub sentence: String,
    /// One value for each of [`CompareResult::engines`], in that order.
    pub values: Vec<String>,
    /// The engines differ here.
    pub differs: bool,
}
