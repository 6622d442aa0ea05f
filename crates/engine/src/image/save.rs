//! Saves images as one archive that is an OCI layout and a Docker archive at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::Stream;
use serde_json::json;

use super::{
    archive::DockerManifest,
    digest::Digest,
    manifest::{
        DOCKER_LAYER_GZIP, Descriptor, Manifest, OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP,
        OCI_MANIFEST,
    },
    reference::Reference,
    store::{Image, ImageRecord, ImageStore},
};
use crate::{
    error::{EngineError, Result},
    transfer::write_body,
};

/// One image to save, with the names it is saved under.
#[derive(Debug)]
struct Saved {
    image: Arc<Image>,
    tags: Vec<Reference>,
}

impl ImageStore {
    /// The archive of the named images, as a stream. A repository without tag means all its tags.
    ///
    /// # Errors
    /// `NotFound` before the first byte.
    pub(crate) fn save(
        self: &Arc<Self>,
        names: &[String],
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + 'static> {
        if names.is_empty() {
            return Err(EngineError::Invalid("missing parameter names".into()));
        }
        let mut saved: BTreeMap<Digest, Saved> = BTreeMap::new();
        for name in names {
            let image = self.resolve(name)?;
            let entry = saved.entry(image.id.clone()).or_insert_with(|| Saved {
                image: Arc::clone(&image),
                tags: Vec::new(),
            });
            if let Ok(reference) = name.parse::<Reference>()
                && reference.digest().is_none()
            {
                let reference = reference.with_default_tag();
                if image.repo_tags.contains(&reference.familiar())
                    && !entry.tags.contains(&reference)
                {
                    entry.tags.push(reference);
                }
            }
        }
        let store = Arc::clone(self);
        let mut held = Vec::new();
        for id in saved.keys() {
            if let Some(record) = self.record(id) {
                held.push(record.id);
                held.extend(record.manifest.map(|manifest| manifest.digest));
                held.extend(record.layers.into_iter().map(|layer| layer.blob.digest));
            }
        }
        let pins = self.pin(held);
        Ok(write_body(move |writer| {
            let done = store.write_archive(saved.into_values().collect(), writer);
            drop(pins);
            done
        }))
    }

    fn write_archive(&self, saved: Vec<Saved>, writer: &mut impl Write) -> Result<()> {
        let mut archive = Archive {
            builder: tar::Builder::new(writer),
            written: BTreeSet::new(),
        };
        archive.directory("blobs/")?;
        archive.directory("blobs/sha256/")?;
        let (mut manifests, mut docker) = (Vec::new(), Vec::new());
        for Saved { image, tags } in saved {
            let record = self
                .record(&image.id)
                .ok_or_else(|| EngineError::no_such_image(image.id.as_str()))?;
            let (mut descriptor, manifest) = self.manifest_of(&record)?;
            for layer in &record.layers {
                archive.blob(self, &layer.blob.digest)?;
            }
            archive.blob(self, &record.id)?;
            archive.file(&blob_path(&descriptor.digest), &manifest)?;
            descriptor.platform = None;
            if tags.is_empty() {
                manifests.push(descriptor.clone());
            }
            for tag in &tags {
                let mut named = descriptor.clone();
                named.annotations = Some(BTreeMap::from([
                    ("io.containerd.image.name".into(), tag.to_string()),
                    (
                        "org.opencontainers.image.ref.name".into(),
                        tag.tag().unwrap_or_default().into(),
                    ),
                ]));
                manifests.push(named);
            }
            docker.push(DockerManifest {
                config: blob_path(&record.id),
                repo_tags: tags.iter().map(Reference::familiar).collect(),
                layers: record
                    .layers
                    .iter()
                    .map(|layer| blob_path(&layer.blob.digest))
                    .collect(),
            });
        }
        let json = |value: serde_json::Value| {
            serde_json::to_vec(&value).map_err(EngineError::io("write", "index"))
        };
        archive.file(
            "index.json",
            &json(json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests }))?,
        )?;
        archive.file("manifest.json", &json(json!(docker))?)?;
        archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        archive
            .builder
            .finish()
            .map_err(EngineError::io("write", "archive"))
    }
}

impl ImageStore {
    /// The manifest that an image came with, or one that is made for it.
    pub(super) fn manifest_of(&self, record: &ImageRecord) -> Result<(Descriptor, Vec<u8>)> {
        let kept = record.manifest.as_ref().and_then(|manifest| {
            let bytes = self
                .blobs
                .read(&manifest.digest, super::manifest::MAX_MANIFEST_BYTES)
                .ok()?;
            Some((manifest.clone(), bytes))
        });
        match kept {
            Some(kept) => Ok(kept),
            None => new_manifest(
                record,
                self.blobs.size_bytes(&record.id).unwrap_or_default(),
            ),
        }
    }
}

/// A manifest for an image that came without one.
fn new_manifest(record: &ImageRecord, config_size: u64) -> Result<(Descriptor, Vec<u8>)> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: OCI_MANIFEST.into(),
        config: plain(OCI_CONFIG, record.id.clone(), config_size),
        layers: record
            .layers
            .iter()
            .map(|layer| Descriptor {
                // One document speaks one language.
                media_type: match layer.blob.media_type.as_str() {
                    DOCKER_LAYER_GZIP => OCI_LAYER_GZIP.to_owned(),
                    other => other.to_owned(),
                },
                ..layer.blob.clone()
            })
            .collect(),
    };
    let bytes = serde_json::to_vec(&manifest).map_err(EngineError::io("write", "manifest"))?;
    let descriptor = plain(OCI_MANIFEST, Digest::of(&bytes), bytes.len() as u64);
    Ok((descriptor, bytes))
}

struct Archive<W: Write> {
    builder: tar::Builder<W>,
    written: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    fn directory(&mut self, path: &str) -> Result<()> {
        let mut header = header(0);
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        self.builder
            .append_data(&mut header, path, std::io::empty())
            .map_err(EngineError::io("write", path))
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        if !self.written.insert(path.to_owned()) {
            return Ok(());
        }
        let mut header = header(bytes.len() as u64);
        self.builder
            .append_data(&mut header, path, bytes)
            .map_err(EngineError::io("write", path))
    }

    fn blob(&mut self, store: &ImageStore, digest: &Digest) -> Result<()> {
        let path = blob_path(digest);
        if !self.written.insert(path.clone()) {
            return Ok(());
        }
        let blob = store.blobs.open_blob(digest)?;
        let size = blob
            .metadata()
            .map_err(EngineError::io("stat blob", digest))?
            .len();
        let mut header = header(size);
        self.builder
            .append_data(&mut header, &path, blob)
            .map_err(EngineError::io("write", path))
    }
}

/// The same image gives the same archive, whenever it is saved.
fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn plain(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.into(),
        digest,
        size,
        platform: None,
        annotations: None,
    }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}
