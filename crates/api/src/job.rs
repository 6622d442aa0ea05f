//! Long work of the server: it survives a reload, a closed tab and a second browser.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    id::{EngineName, JobId},
    problem::Problem,
};

/// What kind of work it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Pulls an image.
    Pull,
    /// Loads the starter image.
    LoadStarter,
    /// Compares the engines.
    Compare,
    /// Pushes an image.
    Push,
    /// Builds an image.
    Build,
    /// Loads images.
    Load,
    /// Copies a volume.
    CloneVolume,
    /// Makes a container anew.
    Recreate,
    /// Puts a container back.
    Restore,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for its turn.
    Queued,
    /// Runs.
    Running,
    /// Done.
    Done,
    /// It did not work; `problem` says why.
    Failed,
    /// Stopped by a user or by the server's end.
    Cancelled,
}

/// A piece of long work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What it is.
    pub kind: JobKind,
    /// What it does, for people: `Pull busybox:1.36`.
    pub title: String,
    /// The engine it works on, when one.
    pub engine: Option<EngineName>,
    /// Who started it; absent for the server itself.
    pub started_by: Option<String>,
    /// How far it is.
    pub state: JobState,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// 0–100; absent when nobody knows.
    pub percent: Option<f64>,
    /// What it does now.
    pub message: String,
    /// Its parts: a row per layer, step or run.
    pub steps: Vec<JobStep>,
    /// It can be cancelled.
    pub cancellable: bool,
    /// Why it did not work.
    pub problem: Option<Problem>,
    /// What came of it: an image id, a comparison's id.
    pub result: Option<String>,
}

/// What a job did, line by line; kept while the server runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobLog {
    /// Its lines, the oldest first.
    pub lines: Vec<JobLine>,
    /// So many older lines are not kept any more.
    pub dropped: u64,
}

/// A line of a job's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobLine {
    /// When.
    pub time: Timestamp,
    /// What.
    pub text: String,
}

/// One part of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobStep {
    /// A layer's id, a step's name.
    pub id: String,
    /// What happens with it.
    pub status: String,
    /// Done so far, in bytes or pieces.
    pub current: Option<u64>,
    /// In all, in bytes or pieces.
    pub total: Option<u64>,
}
