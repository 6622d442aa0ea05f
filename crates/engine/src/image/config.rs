//! The configuration of an image, as its JSON says.
//!
//! Read leniently: builders of fifteen years have written `null` for what they meant to leave out. The raw bytes stay in
//! the blob store, since the image's id is their digest.
//!
//! Source: OCI image-spec config.md; moby image/spec v1.2.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Deserializer, Serialize};

use super::digest::Digest;

/// An image's configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ImageConfig {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) author: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) comment: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) architecture: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) variant: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) os: String,
    /// What a container of the image runs with, where its creator says nothing else.
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) config: Defaults,
    /// Its layers.
    pub(crate) rootfs: RootFs,
    /// How it was built, the oldest step first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) history: Vec<HistoryEntry>,
}

/// What a container runs with by default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Defaults {
    #[serde(deserialize_with = "null_as_default")]
    pub(crate) user: String,
    /// Keys such as `80/tcp`.
    #[serde(deserialize_with = "null_as_default")]
    pub(crate) exposed_ports: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "null_as_default")]
    pub(crate) env: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    pub(crate) entrypoint: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    pub(crate) cmd: Vec<String>,
    /// Keys are paths.
    #[serde(deserialize_with = "null_as_default")]
    pub(crate) volumes: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "null_as_default")]
    pub(crate) working_dir: String,
    #[serde(deserialize_with = "null_as_default")]
    pub(crate) labels: HashMap<String, String>,
    #[serde(deserialize_with = "null_as_default")]
    pub(crate) stop_signal: String,
    /// Seconds.
    pub(crate) stop_timeout: Option<i64>,
    pub(crate) healthcheck: Option<bollard_stubs::models::HealthConfig>,
    #[serde(deserialize_with = "null_as_default")]
    pub(crate) shell: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    pub(crate) on_build: Vec<String>,
}

/// The layers of an image.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RootFs {
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    /// Digests of the unpacked layers, the lowest first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) diff_ids: Vec<Digest>,
}

/// One step of an image's build.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct HistoryEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub(crate) created_by: String,
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub(crate) author: String,
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub(crate) comment: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) empty_layer: bool,
}

pub(super) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_of_old_builders_are_nothing() {
        let json = r#"{"architecture":"amd64","os":"linux","created":null,"history":null,
            "config":{"Env":null,"Cmd":["sh"],"Labels":null,"Volumes":null,"ExposedPorts":{"80/tcp":{}},"OnBuild":null,
            "Healthcheck":{"Test":["CMD","true"],"Interval":1000000000}},
            "rootfs":{"type":"layers","diff_ids":null}}"#;
        let config: ImageConfig = serde_json::from_str(json).unwrap();
        assert_eq!(config.config.cmd, ["sh"]);
        assert!(config.config.env.is_empty());
        assert!(config.config.exposed_ports.contains_key("80/tcp"));
        assert_eq!(
            config.config.healthcheck.unwrap().interval,
            Some(1_000_000_000)
        );
        assert!(serde_json::from_str::<ImageConfig>("{}").is_err());
    }
}
