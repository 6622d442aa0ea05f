//! Volumes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{EngineName, VolumeName};

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeSummary {
    /// The engine that has it.
    pub engine: EngineName,
    /// Its name.
    pub name: String,
    /// Such as `local`.
    pub driver: String,
    /// Where its files are on the engine's machine.
    pub mount_point: String,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// `local` or `global`.
    pub scope: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Names of the containers that use it.
    pub used_by: Vec<String>,
    /// Its size in bytes; absent until measured.
    pub size_bytes: Option<u64>,
    /// Made without a name.
    pub anonymous: bool,
}

/// A volume in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeDetail {
    /// As in the list.
    pub summary: VolumeSummary,
    /// Options of its driver.
    pub options: BTreeMap<String, String>,
}

/// Makes a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeCreateRequest {
    /// Its name; the engine picks one when absent.
    pub name: Option<VolumeName>,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// `local` when absent. Another driver and options are given to administrators only.
    pub driver: Option<String>,
    /// Options of the driver; administrators only, for they can mount any path.
    #[serde(default)]
    pub driver_options: BTreeMap<String, String>,
}

/// Asks what removing volumes would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumePreviewRequest {
    /// These volumes.
    #[serde(default)]
    pub names: Vec<VolumeName>,
    /// Every volume that no container uses instead.
    #[serde(default)]
    pub prune: bool,
}

/// Removes volumes that were previewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeRemoveRequest {
    /// The preview's token.
    pub preview_token: String,
}
