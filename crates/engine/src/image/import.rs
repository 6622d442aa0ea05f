//! Makes an image of one layer out of the archive of a root file system.

use std::{io::Read, sync::Arc};

use bytes::Bytes;
use futures_util::Stream;
use serde_json::json;

use super::{
    commit::without_nothings,
    config::Defaults,
    digest::Digest,
    instruction,
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
        let mut defaults = Defaults::default();
        instruction::apply(&mut defaults, &source.changes)?;
        let platform = source.platform.unwrap_or_else(Platform::host);
        let created = time::rfc3339(Some(time::now_ns()));
        let config = json!({
            "architecture": platform.architecture,
            "os": platform.os,
            "created": created,
            "config": without_nothings(&defaults)?,
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
            parent: None,
            step: None,
        };
        self.register(record, source.reference.as_slice())
    }
}
