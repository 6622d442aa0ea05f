//! Makes an image out of a container: its image, and what it has changed as one more layer.

use std::sync::Arc;

use flate2::{Compression, write::GzEncoder};
use serde::Serialize;
use serde_json::Value;

use super::{
    config::{Defaults, HistoryEntry, ImageConfig},
    digest::Digest,
    manifest::{Descriptor, Platform},
    reference::Reference,
    store::{Image, ImageRecord, ImageStore, StoredLayer},
};
use crate::{
    error::{EngineError, Result},
    time,
};

/// What an image that is made of a container says of itself.
#[derive(Debug, Default)]
pub(crate) struct CommitSource {
    /// The container.
    pub(crate) container_id: String,
    /// The image it was made from.
    pub(crate) parent: Option<Digest>,
    /// What containers of the new image run with.
    pub(crate) config: Defaults,
    /// What the container ran.
    pub(crate) created_by: String,
    /// Of this step.
    pub(crate) comment: String,
    /// Who made it.
    pub(crate) author: String,
    /// Its name, if any.
    pub(crate) reference: Option<Reference>,
    /// The step of a build that this is, if it is one.
    pub(crate) step: Option<Digest>,
}

/// What an image that differs from another in its configuration alone says of itself.
#[derive(Debug)]
pub(crate) struct DeriveSource {
    /// The image it is made from; without one it is empty.
    pub(crate) parent: Option<Digest>,
    /// What containers of the new image run with.
    pub(crate) config: Defaults,
    /// The instruction.
    pub(crate) created_by: String,
    /// Who made it.
    pub(crate) author: String,
    /// Which step of a build it is.
    pub(crate) step: Digest,
    /// The platform of one that is made from nothing.
    pub(crate) platform: Platform,
}

impl ImageStore {
    /// Makes an image of a container that nobody writes to meanwhile. Blocks.
    ///
    /// # Errors
    /// `NotFound` when the container's image is gone, `Internal` when its files cannot be read or stored; nothing is left
    /// then.
    pub(crate) fn commit(&self, source: CommitSource) -> Result<Arc<Image>> {
        let committed = self.commit_from(source);
        // Whatever an error leaves has no record.
        if committed.is_err() {
            self.collect();
        }
        committed
    }

    fn commit_from(&self, source: CommitSource) -> Result<Arc<Image>> {
        let mut pins = self.pin(Vec::new());
        let (mut config, mut layers) = self.below(source.parent.as_ref(), &mut pins)?;
        let changed = !self.snapshots().changes(&source.container_id)?.is_empty();
        if changed {
            let layer = self.changes_as_layer(&source.container_id, &mut pins)?;
            config.rootfs.diff_ids.push(layer.diff_id.clone());
            layers.push(layer);
        }
        "layers".clone_into(&mut config.rootfs.kind);
        let created = time::rfc3339(Some(time::now_ns()));
        config.created = Some(created.clone());
        config.author.clone_from(&source.author);
        config.comment.clone_from(&source.comment);
        config.config = source.config;
        config.history.push(HistoryEntry {
            created: Some(created),
            created_by: source.created_by,
            author: source.author,
            comment: source.comment,
            empty_layer: !changed,
        });
        let reference = source.reference.as_slice();
        self.register_made(
            &config,
            layers,
            (source.parent, source.step),
            reference,
            &mut pins,
        )
    }

    /// Makes an image that differs from its parent in the configuration alone. Blocks.
    ///
    /// # Errors
    /// `NotFound` when the parent is gone, `Internal` when it cannot be stored; nothing is left then.
    pub(crate) fn derive(&self, source: DeriveSource) -> Result<Arc<Image>> {
        let mut pins = self.pin(Vec::new());
        let (mut config, layers) = self.below(source.parent.as_ref(), &mut pins)?;
        if source.parent.is_none() {
            config.architecture = source.platform.architecture;
            config.os = source.platform.os;
            config.variant = source.platform.variant;
        }
        "layers".clone_into(&mut config.rootfs.kind);
        let created = time::rfc3339(Some(time::now_ns()));
        config.created = Some(created.clone());
        config.author.clone_from(&source.author);
        config.config = source.config;
        if !source.created_by.is_empty() {
            config.history.push(HistoryEntry {
                created: Some(created),
                created_by: source.created_by,
                author: source.author,
                comment: String::new(),
                empty_layer: true,
            });
        }
        let made = (source.parent, Some(source.step));
        self.register_made(&config, layers, made, &[], &mut pins)
    }

    /// The configuration and layers of what an image is made from, held against collection.
    fn below(
        &self,
        parent: Option<&Digest>,
        pins: &mut crate::layer::Pins,
    ) -> Result<(ImageConfig, Vec<StoredLayer>)> {
        let Some(id) = parent else {
            return Ok((ImageConfig::default(), Vec::new()));
        };
        let image = self.resolve(id.as_str())?;
        let record = self
            .record(id)
            .ok_or_else(|| EngineError::no_such_image(id.as_str()))?;
        for layer in &record.layers {
            pins.add(layer.diff_id.clone());
            pins.add(layer.blob.digest.clone());
        }
        Ok((image.config.clone(), record.layers))
    }

    fn register_made(
        &self,
        config: &ImageConfig,
        layers: Vec<StoredLayer>,
        (parent, step): (Option<Digest>, Option<Digest>),
        references: &[Reference],
        pins: &mut crate::layer::Pins,
    ) -> Result<Arc<Image>> {
        let json = config_json(config)?;
        pins.add(Digest::of(&json));
        let id = self.blobs.put(&json)?;
        let record = ImageRecord {
            id,
            manifest: None,
            layers,
            added_ns: time::now_ns(),
            parent,
            step,
        };
        self.register(record, references)
    }

    /// Stores what a container has changed. Its digests depend on nothing else.
    fn changes_as_layer(
        &self,
        container_id: &str,
        pins: &mut crate::layer::Pins,
    ) -> Result<StoredLayer> {
        let ingest = self.blobs.ingest(None)?;
        // Without a name and a time in its header.
        let packed = GzEncoder::new(ingest, Compression::fast());
        let ingest = self
            .snapshots()
            .pack_changes(container_id, packed)?
            .finish()
            .map_err(EngineError::io("write", "layer"))?;
        pins.add(ingest.digest());
        let size = ingest.size_bytes();
        let digest = self.blobs.commit(ingest, None)?;
        let (diff_id, unpacked) = self.layers.add(self.blobs.open_blob(&digest)?, None)?;
        pins.add(diff_id.clone());
        drop(unpacked);
        Ok(StoredLayer {
            diff_id,
            blob: Descriptor {
                media_type: self.layer_media_type(&digest)?,
                digest,
                size,
                platform: None,
                annotations: None,
            },
        })
    }
}

/// JSON of something without its empty members: the same thing makes the same bytes, and so the same id.
pub(super) fn without_nothings(thing: &impl Serialize) -> Result<Value> {
    let mut json =
        serde_json::to_value(thing).map_err(EngineError::io("write", "configuration"))?;
    if let Value::Object(members) = &mut json {
        members.retain(|_key, value| !is_nothing(value));
    }
    Ok(json)
}

fn config_json(config: &ImageConfig) -> Result<Vec<u8>> {
    let mut json = without_nothings(config)?;
    json["config"] = without_nothings(&config.config)?;
    serde_json::to_vec(&json).map_err(EngineError::io("write", "configuration"))
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

impl Defaults {
    /// Puts in what `below` says where this says nothing, as Docker merges a container's configuration into a new one:
    /// variables, labels, ports and volumes are those of both, and a command goes along with its entry point.
    pub(crate) fn merge(&mut self, below: &Self) {
        if self.entrypoint.is_empty() {
            if self.cmd.is_empty() {
                self.cmd.clone_from(&below.cmd);
            }
            self.entrypoint.clone_from(&below.entrypoint);
        }
        let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
        for variable in &below.env {
            if !self.env.iter().any(|own| name(own) == name(variable)) {
                self.env.push(variable.clone());
            }
        }
        for (key, value) in &below.labels {
            self.labels
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
        for (own, other) in [
            (&mut self.exposed_ports, &below.exposed_ports),
            (&mut self.volumes, &below.volumes),
        ] {
            for (key, value) in other {
                own.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        for (own, other) in [
            (&mut self.user, &below.user),
            (&mut self.working_dir, &below.working_dir),
            (&mut self.stop_signal, &below.stop_signal),
        ] {
            if own.is_empty() {
                own.clone_from(other);
            }
        }
        if self.shell.is_empty() {
            self.shell.clone_from(&below.shell);
        }
        if self.stop_timeout.is_none() {
            self.stop_timeout = below.stop_timeout;
        }
        match (&mut self.healthcheck, &below.healthcheck) {
            (own @ None, other) => own.clone_from(other),
            (Some(own), Some(other)) => merge_health(own, other),
            (Some(_), None) => {}
        }
    }
}

fn merge_health(
    own: &mut bollard_stubs::models::HealthConfig,
    below: &bollard_stubs::models::HealthConfig,
) {
    if own.test.as_ref().is_none_or(Vec::is_empty) {
        own.test.clone_from(&below.test);
    }
    for (own, other) in [
        (&mut own.interval, below.interval),
        (&mut own.timeout, below.timeout),
        (&mut own.start_period, below.start_period),
        (&mut own.start_interval, below.start_interval),
        (&mut own.retries, below.retries),
    ] {
        if own.is_none_or(|value| value == 0) {
            *own = other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_open_comes_from_below() {
        let below = Defaults {
            user: "web".into(),
            env: vec!["A=1".into(), "B=1".into()],
            cmd: vec!["below".into()],
            entrypoint: vec!["run".into()],
            labels: [("x".into(), "below".into()), ("y".into(), "below".into())].into(),
            ..Defaults::default()
        };
        let mut merged = Defaults {
            env: vec!["A=2".into()],
            labels: [("x".into(), "own".into())].into(),
            ..Defaults::default()
        };
        merged.merge(&below);
        assert_eq!(merged.env, ["A=2", "B=1"]);
        assert_eq!(
            (merged.cmd, merged.entrypoint),
            (below.cmd.clone(), below.entrypoint.clone())
        );
        assert_eq!(
            (merged.labels["x"].as_str(), merged.labels["y"].as_str()),
            ("own", "below")
        );
        assert_eq!(merged.user, "web");
        // Another program does not get the command of the one below.
        let mut other = Defaults {
            entrypoint: vec!["other".into()],
            ..Defaults::default()
        };
        other.merge(&below);
        assert!(other.cmd.is_empty());
    }

    #[test]
    fn a_configuration_has_one_form() {
        let mut config = ImageConfig::default();
        config.config.labels = (0..20).map(|n| (n.to_string(), String::new())).collect();
        config.os = "linux".into();
        let json = config_json(&config).unwrap();
        let again: ImageConfig = serde_json::from_slice(&json).unwrap();
        assert_eq!(config_json(&again).unwrap(), json);
        let text = String::from_utf8(json).unwrap();
        assert!(
            !text.contains("null") && !text.contains("OnBuild"),
            "{text}"
        );
    }
}
