//! What concerns an engine as a whole.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{image::ImagePrune, preview::PreviewItem, problem::Problem};

/// Asks what pruning would take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PruneRequest {
    /// Containers that do not run.
    pub containers: bool,
    /// Networks that no container has.
    pub networks: bool,
    /// Images: dangling ones, or all that no container uses.
    pub images: Option<ImagePrune>,
    /// Volumes that no container uses; everything in them is lost.
    pub volumes: bool,
    /// What builds kept for the next time.
    pub build_cache: bool,
}

/// Prunes as previewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PruneRun {
    /// The preview's token.
    pub preview_token: String,
}

/// What pruning did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PruneResult {
    /// What is gone.
    pub removed: Vec<PreviewItem>,
    /// What the engine refused, and why.
    pub problems: Vec<Problem>,
}
