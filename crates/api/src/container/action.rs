//! Acting on containers, one or many.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{id::ContainerId, problem::Problem, revision::Revision};

/// What can be done to containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContainerAction {
    /// Start.
    Start,
    /// Ask to stop, then kill.
    Stop,
    /// Stop and start.
    Restart,
    /// Send a signal.
    Kill,
    /// Freeze.
    Pause,
    /// Go on.
    Unpause,
    /// Remove; needs a preview.
    Remove,
}

/// How a container is stopped or restarted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StopRequest {
    /// How long it has before it is killed, in seconds; its own setting when absent, at most 3600.
    pub timeout_s: Option<u32>,
}

/// Which signal is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KillRequest {
    /// Such as `SIGTERM` or `15`; `SIGKILL` when absent.
    pub signal: Option<String>,
}

/// The same act on several containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkRequest {
    /// What to do.
    pub action: ContainerAction,
    /// To which, at most 500.
    #[serde(default)]
    pub ids: Vec<ContainerId>,
    /// For stop and restart: as in [`StopRequest`].
    #[serde(default)]
    pub timeout_s: Option<u32>,
    /// For kill: as in [`KillRequest`].
    #[serde(default)]
    pub signal: Option<String>,
    /// For remove: the preview's token; its set is what is removed.
    #[serde(default)]
    pub preview_token: Option<String>,
}

/// What came of it for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkResult {
    /// In the order asked.
    pub results: Vec<BulkItemResult>,
    /// When the live list shows it.
    pub rev: Option<Revision>,
}

/// What came of it for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkItemResult {
    /// The object's id as asked.
    pub id: String,
    /// Its name.
    pub name: String,
    /// It worked.
    pub ok: bool,
    /// Why it did not.
    pub problem: Option<Problem>,
}

/// Asks what removing containers would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerPreviewRequest {
    /// Which.
    pub ids: Vec<ContainerId>,
    /// Kill those that run.
    #[serde(default)]
    pub force: bool,
    /// Remove their anonymous volumes, too.
    #[serde(default)]
    pub volumes: bool,
}

/// Removes the container that was previewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerRemoveRequest {
    /// The preview's token.
    pub preview_token: String,
}
