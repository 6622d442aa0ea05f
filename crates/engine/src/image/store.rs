//! The images of one engine: which there are, what they are called, and what they need on disk.
//!
//! `images/<hex of id>.json` is an image, `references/<hash>.json` one of its names; an image is there when its record
//! is. Blobs and layers that no record needs are collected.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use serde::{Deserialize, Serialize};

use super::{
    blobs::Blobs,
    config::ImageConfig,
    digest::Digest,
    manifest::{Descriptor, MAX_CONFIG_BYTES},
    progress::Progress,
    reference::Reference,
    registry::{RegistryClient, RegistrySettings},
};
use crate::{
    error::{EngineError, Result},
    layer::{LayerStore, Pins, Snapshots},
    store::ObjectStore,
    time,
};

/// A layer of an image: what it is unpacked and the blob it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredLayer {
    pub(super) diff_id: Digest,
    pub(super) blob: Descriptor,
}

/// The durable record of an image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ImageRecord {
    /// Digest of the configuration.
    pub(super) id: Digest,
    /// The manifest it was pulled by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) manifest: Option<Descriptor>,
    /// The lowest first.
    pub(super) layers: Vec<StoredLayer>,
    /// When it came to this engine, nanoseconds since the Unix epoch.
    pub(super) added_ns: i64,
    /// What it was made from here, when it was: a container of that image, or a step of a build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<Digest>,
    /// Which step of a build made it of its parent: the same step need not be done again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<Digest>,
}

/// The durable record of a name.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ReferenceRecord {
    reference: Reference,
    image: Digest,
    /// When it was given, nanoseconds since the Unix epoch.
    tagged_ns: i64,
}

/// An image.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// Digest of its configuration.
    pub(crate) id: Digest,
    /// Its configuration.
    pub(crate) config: ImageConfig,
    /// Its names with a tag, as people write them, sorted.
    pub(crate) repo_tags: Vec<String>,
    /// Its names with a digest.
    pub(crate) repo_digests: Vec<String>,
    /// Bytes of all files of its layers.
    pub(crate) size_bytes: u64,
    /// When it was built, nanoseconds since the Unix epoch; `None` when it does not say.
    pub(crate) created_ns: Option<i64>,
    /// When it last got a name here, or came here, nanoseconds since the Unix epoch.
    pub(crate) tagged_ns: i64,
    /// Diff ids, the lowest layer first.
    pub(crate) layers: Vec<Digest>,
    /// What it was made from here, when it was.
    pub(crate) parent: Option<Digest>,
}

#[derive(Debug, Default)]
struct Index {
    records: HashMap<Digest, ImageRecord>,
    references: BTreeMap<Reference, ReferenceRecord>,
    images: BTreeMap<Digest, Arc<Image>>,
}

/// The images of one engine, with the layers and snapshots under them. Calls that change something block.
#[derive(Debug)]
pub(crate) struct ImageStore {
    records: ObjectStore<ImageRecord>,
    references: ObjectStore<ReferenceRecord>,
    pub(super) blobs: Arc<Blobs>,
    pub(super) layers: Arc<LayerStore>,
    snapshots: Arc<Snapshots>,
    pub(super) registry: Arc<RegistryClient>,
    index: RwLock<Index>,
    /// Held by whoever changes records, so that collection sees all or nothing of a change.
    writer: Mutex<()>,
}

impl ImageStore {
    /// Opens the images under `engine_dir`, removing what was cut short. Blocks.
    ///
    /// # Errors
    /// `Internal` when a directory cannot be used. A damaged record costs its image only.
    pub(crate) fn open(engine_dir: &Path, registries: RegistrySettings) -> Result<Arc<Self>> {
        let directory = |name: &str| engine_dir.join(name);
        let opened = |name: &'static str| {
            EngineError::io::<io::Error>("open", engine_dir.join(name).display().to_string())
        };
        let layers = LayerStore::open(directory("layers")).map_err(opened("layers"))?;
        let snapshots = Snapshots::open(directory("snapshots"), Arc::clone(&layers))
            .map_err(opened("snapshots"))?;
        let store = Self {
            records: ObjectStore::flat(directory("images")).map_err(opened("images"))?,
            references: ObjectStore::flat(directory("references")).map_err(opened("references"))?,
            blobs: Arc::new(Blobs::open(directory("blobs")).map_err(opened("blobs"))?),
            layers,
            snapshots,
            registry: Arc::new(RegistryClient::new(registries)?),
            index: RwLock::default(),
            writer: Mutex::new(()),
        };
        store.read_records()?;
        store.collect();
        Ok(Arc::new(store))
    }

    /// Opens the images like [`ImageStore::open`], and loads the archive `starter` when there is no image at all. That
    /// the archive cannot be loaded is no reason not to open. Blocks.
    ///
    /// # Errors
    /// As [`ImageStore::open`].
    pub(crate) fn open_with_starter(
        engine_dir: &Path,
        registries: RegistrySettings,
        starter: Option<&Path>,
    ) -> Result<Arc<Self>> {
        let store = Self::open(engine_dir, registries)?;
        if let Some(path) = starter.filter(|_| store.read().images.is_empty()) {
            let loaded = std::fs::File::open(path)
                .map_err(EngineError::io("open", path.display()))
                .and_then(|archive| store.load_from(archive, &Progress::default(), true));
            match loaded {
                Ok(loaded) => tracing::info!(images = loaded.len(), "loaded the starter image"),
                Err(error) => tracing::warn!(%error, "load the starter image"),
            }
        }
        Ok(store)
    }

    fn read_records(&self) -> Result<()> {
        let mut index = Index::default();
        for (_key, record) in self
            .records
            .load_all()
            .map_err(EngineError::io("read", "images"))?
        {
            match self.image_of(&record) {
                Ok(image) => {
                    index.images.insert(record.id.clone(), Arc::new(image));
                    index.records.insert(record.id.clone(), record);
                }
                Err(error) => tracing::error!(image = %record.id, %error, "leave out an image"),
            }
        }
        let references = self.references.load_all();
        for (_key, record) in references.map_err(EngineError::io("read", "references"))? {
            index.references.insert(record.reference.clone(), record);
        }
        let ids: Vec<Digest> = index.images.keys().cloned().collect();
        for id in ids {
            index.refresh(&id);
        }
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
        Ok(())
    }

    /// The image that a record describes, if all it needs is here.
    fn image_of(&self, record: &ImageRecord) -> Result<Image> {
        let config = self.blobs.read(&record.id, MAX_CONFIG_BYTES)?;
        let config: ImageConfig = serde_json::from_slice(&config)
            .map_err(EngineError::io("read configuration of", &record.id))?;
        let mut size_bytes = 0;
        for layer in &record.layers {
            size_bytes += self.layers.size_bytes(&layer.diff_id).ok_or_else(|| {
                EngineError::internal("find layer", &layer.diff_id, "it is missing on disk")
            })?;
        }
        Ok(Image {
            id: record.id.clone(),
            created_ns: config
                .created
                .as_deref()
                .and_then(|text| time::parse(text).ok()),
            config,
            repo_tags: Vec::new(),
            repo_digests: Vec::new(),
            size_bytes,
            tagged_ns: record.added_ns,
            layers: record
                .layers
                .iter()
                .map(|layer| layer.diff_id.clone())
                .collect(),
            parent: record.parent.clone(),
        })
    }

    /// The snapshots that stand on these images.
    pub(crate) fn snapshots(&self) -> &Arc<Snapshots> {
        &self.snapshots
    }

    /// All images.
    pub(crate) fn list(&self) -> Vec<Arc<Image>> {
        self.read().images.values().cloned().collect()
    }

    /// The image with this name, id, or unique beginning of an id.
    ///
    /// # Errors
    /// `NotFound` in Docker's words, `Invalid` when it could not be any image's name.
    pub(crate) fn resolve(&self, text: &str) -> Result<Arc<Image>> {
        let index = self.read();
        index
            .find(text)
            .cloned()
            .ok_or_else(|| match text.parse::<Reference>() {
                Ok(reference) => {
                    EngineError::no_such_image(&reference.with_default_tag().familiar())
                }
                Err(error) if is_id(text).is_none() => EngineError::Invalid(error.to_string()),
                Err(_) => EngineError::no_such_image(text),
            })
    }

    /// The image that has exactly this name.
    pub(crate) fn by_reference(&self, reference: &Reference) -> Option<Arc<Image>> {
        let index = self.read();
        let record = index.references.get(reference)?;
        index.images.get(&record.image).cloned()
    }

    /// All names of an image, tags before digests.
    pub(super) fn references_of(&self, id: &Digest) -> Vec<Reference> {
        let index = self.read();
        let mut names: Vec<Reference> = index
            .references
            .values()
            .filter(|record| record.image == *id)
            .map(|record| record.reference.clone())
            .collect();
        names.sort_by_key(|reference| reference.digest().is_some());
        names
    }

    pub(super) fn record(&self, id: &Digest) -> Option<ImageRecord> {
        self.read().records.get(id).cloned()
    }

    /// Holds blobs and layers against collection.
    pub(super) fn pin(&self, digests: Vec<Digest>) -> Pins {
        self.layers.pin(digests)
    }

    /// Makes an image visible under `references`, durably. Its blobs and layers must be here. Blocks.
    pub(super) fn register(
        &self,
        record: ImageRecord,
        references: &[Reference],
    ) -> Result<Arc<Image>> {
        let image = self.image_of(&record)?;
        // What the record promises must not be lost to a power cut that spares the record.
        if !self.has_layers_of(&record) {
            self.layers.sync()?;
        }
        let _writer = self.write_lock();
        if !self.read().records.contains_key(&record.id) {
            self.records
                .save(record.id.hex(), &record)
                .map_err(EngineError::io("record image", &record.id))?;
        } else if record.manifest.is_some() {
            // The same image by another way: it has a manifest now.
            self.records
                .save(record.id.hex(), &record)
                .map_err(EngineError::io("record image", &record.id))?;
        }
        let id = record.id.clone();
        {
            let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
            index.images.insert(id.clone(), Arc::new(image));
            index.records.insert(id.clone(), record);
            index.refresh(&id);
        }
        for reference in references {
            self.point(reference, &id)?;
        }
        self.read()
            .images
            .get(&id)
            .cloned()
            .ok_or_else(|| EngineError::internal("register image", &id, "it is gone"))
    }

    /// Whether an image stands on all layers of `record` already, so that they are on disk.
    fn has_layers_of(&self, record: &ImageRecord) -> bool {
        let index = self.read();
        record.layers.is_empty()
            || index
                .records
                .values()
                .any(|other| other.layers.starts_with(&record.layers))
    }

    /// The image that a step of a build made of `parent`; the newest of several.
    pub(crate) fn built(&self, parent: Option<&Digest>, step: &Digest) -> Option<Arc<Image>> {
        let index = self.read();
        let found = index
            .records
            .values()
            .filter(|record| record.step.as_ref() == Some(step) && record.parent.as_ref() == parent)
            .max_by_key(|record| record.added_ns)?;
        index.images.get(&found.id).cloned()
    }

    /// The images that another was made from here.
    pub(super) fn parents(&self) -> BTreeSet<Digest> {
        let index = self.read();
        let records = index.records.values();
        records.filter_map(|record| record.parent.clone()).collect()
    }

    /// Gives an image one more name, taking it from whichever image had it. Blocks.
    pub(crate) fn tag(&self, image: &Image, reference: &Reference) -> Result<()> {
        let _writer = self.write_lock();
        if !self.read().images.contains_key(&image.id) {
            return Err(EngineError::no_such_image(image.id.as_str()));
        }
        self.point(reference, &image.id)
    }

    fn point(&self, reference: &Reference, id: &Digest) -> Result<()> {
        let record = ReferenceRecord {
            reference: reference.clone(),
            image: id.clone(),
            tagged_ns: time::now_ns(),
        };
        self.references
            .save(&reference_key(reference), &record)
            .map_err(EngineError::io("record name", reference))?;
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let before = index.references.insert(reference.clone(), record);
        index.refresh(id);
        if let Some(before) = before {
            index.refresh(&before.image);
        }
        Ok(())
    }

    /// Takes a name away. Blocks.
    pub(super) fn untag(&self, reference: &Reference) -> Result<()> {
        let _writer = self.write_lock();
        self.references
            .remove(&reference_key(reference))
            .map_err(EngineError::io("remove name", reference))?;
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = index.references.remove(reference) {
            index.refresh(&record.image);
        }
        Ok(())
    }

    /// Removes an image's record; its names must be gone. Blocks.
    pub(super) fn forget(&self, id: &Digest) -> Result<()> {
        let _writer = self.write_lock();
        self.records
            .remove(id.hex())
            .map_err(EngineError::io("remove image", id))?;
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.records.remove(id);
        index.images.remove(id);
        Ok(())
    }

    /// Removes blobs and layers that nothing needs. Returns the bytes of the layers freed. Blocks.
    pub(crate) fn collect(&self) -> u64 {
        let _writer = self.write_lock();
        let mut used_layers = self.snapshots.used_layers();
        let mut used_blobs = BTreeSet::new();
        for record in self.read().records.values() {
            used_blobs.insert(record.id.clone());
            used_blobs.extend(
                record
                    .manifest
                    .iter()
                    .map(|manifest| manifest.digest.clone()),
            );
            for layer in &record.layers {
                used_blobs.insert(layer.blob.digest.clone());
                used_layers.insert(layer.diff_id.clone());
            }
        }
        match self.blobs.list() {
            Ok(blobs) => {
                for (digest, _size) in blobs {
                    if used_blobs.contains(&digest) || self.layers.is_pinned(&digest) {
                        continue;
                    }
                    if let Err(error) = self.blobs.remove(&digest) {
                        tracing::warn!(blob = %digest, %error, "remove a blob");
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "list blobs"),
        }
        self.layers.collect(&used_layers)
    }

    /// Bytes of all layers, each counted once, for `/system/df`.
    pub(crate) fn layers_size_bytes(&self) -> u64 {
        let index = self.read();
        let layers: BTreeSet<&Digest> = index
            .images
            .values()
            .flat_map(|image| &image.layers)
            .collect();
        layers
            .iter()
            .filter_map(|layer| self.layers.size_bytes(layer))
            .sum()
    }

    /// Bytes of the layers of `image` that other images have as well.
    pub(crate) fn shared_size_bytes(&self, image: &Image) -> u64 {
        let index = self.read();
        let elsewhere: BTreeSet<&Digest> = index
            .images
            .values()
            .filter(|other| other.id != image.id)
            .flat_map(|other| &other.layers)
            .collect();
        let own: BTreeSet<&Digest> = image.layers.iter().collect();
        own.intersection(&elsewhere)
            .filter_map(|layer| self.layers.size_bytes(layer))
            .sum()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        // Every change of the index is a few map operations that do not panic.
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lock(&self) -> MutexGuard<'_, ()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn find(&self, text: &str) -> Option<&Arc<Image>> {
        if let Some(image) = text
            .parse::<Digest>()
            .ok()
            .and_then(|id| self.images.get(&id))
        {
            return Some(image);
        }
        if let Ok(reference) = text.parse::<Reference>() {
            let exact = match reference.digest() {
                Some(digest) => reference.at_digest(digest.clone()),
                None => reference.with_default_tag(),
            };
            if let Some(record) = self.references.get(&exact) {
                return self.images.get(&record.image);
            }
        }
        let prefix = is_id(text)?;
        let mut fitting = self
            .images
            .iter()
            .filter(|(id, _)| id.hex().starts_with(prefix));
        match (fitting.next(), fitting.next()) {
            (Some((_, image)), None) => Some(image),
            _ => None,
        }
    }

    /// Brings the names in an image's view up to date.
    fn refresh(&mut self, id: &Digest) {
        let Some(record) = self.records.get(id) else {
            return;
        };
        let Some(image) = self.images.get(id) else {
            return;
        };
        let mut image = Image::clone(image);
        image.repo_tags.clear();
        image.repo_digests.clear();
        image.tagged_ns = record.added_ns;
        for name in self.references.values().filter(|name| name.image == *id) {
            image.tagged_ns = image.tagged_ns.max(name.tagged_ns);
            let names = if name.reference.digest().is_some() {
                &mut image.repo_digests
            } else {
                &mut image.repo_tags
            };
            names.push(name.reference.familiar());
        }
        image.repo_tags.sort();
        self.images.insert(id.clone(), Arc::new(image));
    }
}

/// The digits of what may be the beginning of an id.
fn is_id(text: &str) -> Option<&str> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let well_formed = !hex.is_empty()
        && hex.len() <= 64
        && hex
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    well_formed.then_some(hex)
}

fn reference_key(reference: &Reference) -> String {
    // A name may be longer than a file name, and has slashes.
    Digest::of(reference.to_string().as_bytes())
        .hex()
        .to_owned()
}
