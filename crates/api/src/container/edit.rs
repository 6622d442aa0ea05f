//! Changing what a container was made with, cloning it, and putting back what was.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{EnvVar, Limits, MountRequest, PortRequest, RestartPolicy};
use crate::id::{ContainerId, EngineName, ImageId, RevisionId};

/// What shall be different; everything else stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ContainerChanges {
    /// Another name.
    pub name: Option<ContainerId>,
    /// Another image; what the container has from its old image alone comes from the new one.
    pub image: Option<ImageId>,
    /// Pull the image first: the way to a newer one of the same name.
    pub pull: bool,
    /// Another command.
    pub command: Option<Vec<String>>,
    /// Another entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Variables to set.
    pub env_set: Vec<EnvVar>,
    /// Variables to take away.
    pub env_remove: Vec<String>,
    /// Labels to set.
    pub labels_set: BTreeMap<String, String>,
    /// Labels to take away.
    pub labels_remove: Vec<String>,
    /// Another directory to start in.
    pub working_dir: Option<String>,
    /// Another user.
    pub user: Option<String>,
    /// All ports that are published.
    pub ports: Option<Vec<PortRequest>>,
    /// All mounts.
    pub mounts: Option<Vec<MountRequest>>,
    /// Other limits.
    pub limits: Option<Limits>,
    /// Another restart policy.
    pub restart_policy: Option<RestartPolicy>,
    /// Another network instead of its first.
    pub network: Option<String>,
    /// Whether the root file system cannot be written.
    pub read_only_rootfs: Option<bool>,
    /// Every privilege; administrators only.
    pub privileged: Option<bool>,
    /// All capabilities added; administrators only.
    pub cap_add: Option<Vec<String>>,
    /// All capabilities dropped.
    pub cap_drop: Option<Vec<String>>,
}

/// Makes the container anew as it was previewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerEditRequest {
    /// The preview's token.
    pub preview_token: String,
}

/// Makes another container of the same settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerCloneRequest {
    /// Its name.
    pub name: ContainerId,
    /// Start it, too.
    #[serde(default)]
    pub start: bool,
    /// Publish the same ports of the host; without it the engine chooses free ones.
    #[serde(default)]
    pub keep_ports: bool,
}

/// Why a revision was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevisionReason {
    /// The container was removed.
    Removed,
    /// It was made anew with other settings.
    Recreated,
    /// Its limits or restart policy were changed.
    Updated,
}

/// What a container was made with before it was changed or removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContainerRevision {
    /// Its id.
    pub id: RevisionId,
    /// The engine.
    pub engine: EngineName,
    /// The container's id then.
    pub container: String,
    /// The container's name then.
    pub name: String,
    /// The image's name.
    pub image: String,
    /// The image's id.
    pub image_id: String,
    /// It ran.
    pub was_running: bool,
    /// Why it was kept.
    pub reason: RevisionReason,
    /// Who did it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Until when it is kept.
    pub kept_until: Timestamp,
}

/// Puts back what was previewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreRequest {
    /// The preview's token.
    pub preview_token: String,
}
