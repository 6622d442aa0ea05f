//! The list of images in a Docker archive.

use serde::{Deserialize, Serialize};

/// One image in `manifest.json` of a Docker archive.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockerManifest {
    pub(super) config: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(super) repo_tags: Vec<String>,
    pub(super) layers: Vec<String>,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
