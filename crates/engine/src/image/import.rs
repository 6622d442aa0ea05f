//! Makes an image of one layer out of the archive of a root file system.

use std::{io::Read, sync::Arc};

use bytes::Bytes;
use futures_util::Stream;
use serde_json::json;

use super::{
    digest::Digest,
    manifest::{Descriptor, Platform},
    reference::Reference,
    store::{Image, ImageRecord, ImageStore, StoredLayer},
};
use crate::{
    error::{EngineError, Result},
    time,
    transfer::read_body,
};

/// What an imported image is to say of itself.
#[derive(Debug, Default)]
pub(crate) struct ImportSource {
    /// Its name, if any.
    pub(crate) reference: Option<Reference>,
    /// Of its only history entry.
    pub(crate) message: String,
    /// The platform it claims; this host's by default.
    pub(crate) platform: Option<Platform>,
    /// Instructions such as `CMD`, applied to an empty configuration.
    pub(crate) changes: Vec<String>,
}

impl ImageStore {
    /// Imports the archive in `body`, which may be compressed.
    ///
    /// # Errors
    /// `Invalid` for a malformed archive; nothing is left then.
    pub(crate) async fn import<S, E>(
        self: &Arc<Self>,
        body: S,
        source: ImportSource,
    ) -> Result<Arc<Image>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: std::fmt::Display,
    {
        let store = Arc::clone(self);
        read_body(body, move |reader| {
            let imported = store.import_from(reader, source);
            store.collect();
            imported
        })
        .await
    }

    /// Makes an image whose only layer is the archive `reader`. Blocks.
    fn import_from(
        &self,
        mut reader: impl Read + Send,
        source: ImportSource,
    ) -> Result<Arc<Image>> {
        let mut pins = self.pin(Vec::new());
        let mut ingest = self.blobs.ingest(None)?;
        std::io::copy(&mut reader, &mut ingest).map_err(EngineError::io("read", "archive"))?;
        pins.add(ingest.digest());
        let size = ingest.size_bytes();
        let blob = self.blobs.commit(ingest, None)?;
        let media_type = self.layer_media_type(&blob)?;
        let (diff_id, _layer) = self.layers.add(self.blobs.open_blob(&blob)?, None)?;
        let platform = source.platform.unwrap_or_else(Platform::host);
        let created = time::rfc3339(Some(time::now_ns()));
        let config = json!({
            "architecture": platform.architecture,
            "os": platform.os,
            "created": created,
            "config": changed_config(&source.changes)?,
            "rootfs": { "type": "layers", "diff_ids": [diff_id] },
            "history": [{ "created": created, "comment": source.message }],
        });
        let config =
            serde_json::to_vec(&config).map_err(EngineError::io("write", "configuration"))?;
        pins.add(Digest::of(&config));
        let id = self.blobs.put(&config)?;
        let record = ImageRecord {
            id,
            manifest: None,
            layers: vec![StoredLayer {
                diff_id,
                blob: Descriptor {
                    media_type,
                    digest: blob,
                    size,
                    platform: None,
                    annotations: None,
                },
            }],
            added_ns: time::now_ns(),
        };
        self.register(record, source.reference.as_slice())
    }
}

/// The configuration that the instructions of `--change` make.
fn changed_config(changes: &[String]) -> Result<serde_json::Value> {
    let mut config = json!({});
    for change in changes {
        let (instruction, rest) = change
            .trim()
            .split_once(char::is_whitespace)
            .unwrap_or((change, ""));
        let rest = rest.trim();
        let invalid = || EngineError::Invalid(format!("invalid change {change:?}"));
        match instruction.to_ascii_uppercase().as_str() {
            "CMD" => config["Cmd"] = command(rest),
            "ENTRYPOINT" => config["Entrypoint"] = command(rest),
            "WORKDIR" => config["WorkingDir"] = json!(rest),
            "USER" => config["User"] = json!(rest),
            "STOPSIGNAL" => config["StopSignal"] = json!(rest),
            "ENV" => {
                let (key, value) = rest
                    .split_once('=')
                    .or_else(|| rest.split_once(char::is_whitespace))
                    .ok_or_else(invalid)?;
                let mut env = config["Env"].as_array().cloned().unwrap_or_default();
                env.push(json!(format!("{key}={}", value.trim().trim_matches('"'))));
                config["Env"] = json!(env);
            }
            "LABEL" => {
                let (key, value) = rest.split_once('=').ok_or_else(invalid)?;
                config["Labels"][key.trim_matches('"')] = json!(value.trim_matches('"'));
            }
            "EXPOSE" => {
                for port in rest.split_whitespace() {
                    let port = if port.contains('/') {
                        port.into()
                    } else {
                        format!("{port}/tcp")
                    };
                    config["ExposedPorts"][port] = json!({});
                }
            }
            "VOLUME" => {
                let paths: Vec<String> = serde_json::from_str(rest)
                    .unwrap_or_else(|_plain| rest.split_whitespace().map(Into::into).collect());
                for path in paths {
                    config["Volumes"][path] = json!({});
                }
            }
            _ => {
                return Err(EngineError::Invalid(format!(
                    "{instruction} is not a valid change command"
                )));
            }
        }
    }
    Ok(config)
}

/// A command in its JSON form, or as a line for the shell.
fn command(text: &str) -> serde_json::Value {
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(words) => json!(words),
        Err(_) => json!(["/bin/sh", "-c", text]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_make_a_configuration() {
        let changes: Vec<String> = [
            "CMD [\"a\",\"b\"]",
            "ENV K=v",
            "EXPOSE 80",
            "LABEL x=y",
            "WORKDIR /w",
        ]
        .map(Into::into)
        .into();
        assert_eq!(
            changed_config(&changes).unwrap(),
            json!({
                "Cmd": ["a", "b"], "Env": ["K=v"], "ExposedPorts": {"80/tcp": {}}, "Labels": {"x": "y"}, "WorkingDir": "/w"
            })
        );
        assert!(changed_config(&["RUN x".into()]).is_err());
    }
}
