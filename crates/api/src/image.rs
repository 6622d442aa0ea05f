//! Images.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{EngineName, ImageId};

/// An image in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageSummary {
    /// The engine that has it.
    pub engine: EngineName,
    /// `sha256:…`
    pub id: String,
    /// Such as `busybox:latest`; empty for a dangling one.
    pub tags: Vec<String>,
    /// Such as `busybox@sha256:…`
    pub digests: Vec<String>,
    /// When it was built.
    pub created_at: Option<Timestamp>,
    /// Unpacked, in bytes.
    pub size_bytes: u64,
    /// Labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Names of the containers that use it.
    pub used_by: Vec<String>,
}

/// An image in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageDetail {
    /// As in the list.
    pub summary: ImageSummary,
    /// Such as `amd64`.
    pub architecture: String,
    /// Such as `linux`.
    pub os: String,
    /// Program and arguments that run before the command.
    pub entrypoint: Vec<String>,
    /// Arguments, or the program, when none are given.
    pub command: Vec<String>,
    /// Environment, with secrets masked.
    pub env: Vec<crate::container::EnvEntry>,
    /// Directory it starts in.
    pub working_dir: String,
    /// User it runs as.
    pub user: String,
    /// Ports it names, such as `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// Directories that get a volume.
    pub volumes: Vec<String>,
    /// Steps that made it, newest first.
    pub history: Vec<ImageStep>,
    /// Digests of its unpacked layers, base first.
    pub layers: Vec<String>,
}

/// One step that made an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageStep {
    /// What was done.
    pub created_by: String,
    /// When.
    pub created_at: Option<Timestamp>,
    /// What it added, in bytes.
    pub size_bytes: u64,
    /// A comment.
    pub comment: String,
    /// Tags of the image that ends with this step.
    pub tags: Vec<String>,
}

/// Pulls an image; the answer is a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PullRequest {
    /// What to pull, such as `busybox:1.36`.
    pub reference: ImageId,
    /// Such as `linux/arm64`; the engine's own when absent.
    pub platform: Option<String>,
}

/// Asks what removing images would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImagePreviewRequest {
    /// These images or tags; every unused dangling one when `prune` is set.
    #[serde(default)]
    pub images: Vec<ImageId>,
    /// What pruning would remove instead.
    #[serde(default)]
    pub prune: Option<ImagePrune>,
    /// Also those with several tags or used by stopped containers.
    #[serde(default)]
    pub force: bool,
}

/// Which images pruning takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImagePrune {
    /// Those without a tag that nobody uses.
    Dangling,
    /// Every image that no container uses.
    Unused,
}

/// Removes images that were previewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageRemoveRequest {
    /// The preview's token.
    pub preview_token: String,
}
