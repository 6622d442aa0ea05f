//! Loads images from archives: of `docker save` in all its forms, and OCI layouts.
//!
//! The archive may list its content last, so every file goes into the blob store as it comes; what turns out to be no
//! part of an image is collected at the end.

use std::{
    collections::HashMap,
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::Stream;

use super::{
    archive::DockerManifest,
    config::ImageConfig,
    digest::Digest,
    manifest::{
        Descriptor, Document, Index, MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES, Manifest, OCI_LAYER,
        Platform,
    },
    progress::Progress,
    reference::Reference,
    store::{ImageRecord, ImageStore, StoredLayer},
};
use crate::{
    error::{EngineError, Result},
    layer::{LayerError, Pins, TarEntryKind, TarReader, clean_path, decompressed},
    time,
    transfer::read_body,
};

/// Most files in an archive: 500 layers need about 2,000.
const MAX_FILES: usize = 20_000;

/// An image that was loaded.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) id: Digest,
    /// The names it got.
    pub(crate) references: Vec<Reference>,
}

impl ImageStore {
    /// Loads every image of the archive in `body`. With `quiet`, only the results are told.
    ///
    /// # Errors
    /// `Invalid` for an archive that is malformed or lies; images before the fault stay, nothing half-made does.
    pub(crate) async fn load<S, E>(
        self: &Arc<Self>,
        body: S,
        progress: Progress,
        quiet: bool,
    ) -> Result<Vec<Loaded>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: std::fmt::Display,
    {
        let store = Arc::clone(self);
        read_body(body, move |reader| {
            store.load_from(reader, &progress, quiet)
        })
        .await
    }

    /// The same from a reader. Blocks.
    pub(crate) fn load_from(
        &self,
        reader: impl Read + Send,
        progress: &Progress,
        quiet: bool,
    ) -> Result<Vec<Loaded>> {
        let mut load = Load {
            store: self,
            files: HashMap::new(),
            pins: self.pin(Vec::new()),
            progress,
            quiet,
        };
        let loaded = load.run(reader);
        drop(load);
        self.collect();
        loaded
    }
}

enum File {
    Blob(Digest),
    /// A link to another file of the archive.
    Link(Vec<u8>),
}

struct Load<'a> {
    store: &'a ImageStore,
    files: HashMap<Vec<u8>, File>,
    pins: Pins,
    progress: &'a Progress,
    quiet: bool,
}

impl Load<'_> {
    fn run(&mut self, reader: impl Read + Send) -> Result<Vec<Loaded>> {
        self.stage(reader)?;
        let loaded = if let Some(list) = self.small_file("manifest.json")? {
            self.docker(&list)?
        } else if let Some(index) = self.small_file("index.json")? {
            self.oci(&index)?
        } else {
            return Err(EngineError::Invalid(
                "archive is no image: it has neither manifest.json nor index.json (for the files of a root file system use import)".into(),
            ));
        };
        for image in &loaded {
            for reference in &image.references {
                self.progress
                    .text(format!("Loaded image: {}\n", reference.familiar()));
            }
            if image.references.is_empty() {
                self.progress
                    .text(format!("Loaded image ID: {}\n", image.id));
            }
        }
        Ok(loaded)
    }

    /// Puts every file of the archive into the blob store.
    fn stage(&mut self, reader: impl Read + Send) -> Result<()> {
        let stream = decompressed(reader).map_err(EngineError::io("read", "archive"))?;
        let mut archive = TarReader::new(stream);
        while let Some(entry) = archive.next_entry().map_err(LayerError::from)? {
            let path = clean_path(&entry.path)?;
            if self.files.len() >= MAX_FILES {
                return Err(EngineError::Invalid(
                    "archive has too many files to be one of images".into(),
                ));
            }
            match entry.kind {
                TarEntryKind::File => {
                    let expected = blob_name(&path);
                    let mut ingest = self.store.blobs.ingest(expected.as_ref())?;
                    std::io::copy(&mut archive, &mut ingest).map_err(|error| {
                        match error.kind() {
                            std::io::ErrorKind::StorageFull => {
                                EngineError::internal("write", "blob", error)
                            }
                            _ => EngineError::Invalid(format!("read archive: {error}")),
                        }
                    })?;
                    // Pinned under the name it will have, before it has it.
                    let digest = ingest.digest();
                    self.pins.add(digest);
                    let digest = self.store.blobs.commit(ingest, expected.as_ref())?;
                    self.files.insert(path, File::Blob(digest));
                }
                TarEntryKind::HardLink => {
                    let target = clean_path(&entry.link)?;
                    self.files.insert(path, File::Link(target));
                }
                TarEntryKind::Symlink => {
                    // Older `docker save` links a repeated layer to its first copy.
                    let mut target = path.clone();
                    target.truncate(
                        target
                            .iter()
                            .rposition(|b| *b == b'/')
                            .map_or(0, |slash| slash + 1),
                    );
                    target.extend_from_slice(&entry.link);
                    if let Ok(target) = clean_path(&target) {
                        self.files.insert(path, File::Link(target));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn blob(&self, path: &[u8]) -> Option<&Digest> {
        let mut path = path;
        for _ in 0..8 {
            match self.files.get(path)? {
                File::Blob(digest) => return Some(digest),
                File::Link(target) => path = target,
            }
        }
        None
    }

    fn named(&self, name: &str) -> Result<Digest> {
        let path = clean_path(name.as_bytes())?;
        self.blob(&path).cloned().ok_or_else(|| {
            EngineError::Invalid(format!("archive is incomplete: it has no file {name:?}"))
        })
    }

    fn small_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.blob(name.as_bytes())
            .map(|digest| self.store.blobs.read(digest, MAX_MANIFEST_BYTES))
            .transpose()
    }

    fn docker(&mut self, list: &[u8]) -> Result<Vec<Loaded>> {
        let list: Vec<DockerManifest> = serde_json::from_slice(list)
            .map_err(|error| EngineError::Invalid(format!("read manifest.json: {error}")))?;
        let mut loaded = Vec::new();
        for image in list {
            let config = self.named(&image.config)?;
            let mut blobs = Vec::new();
            for layer in &image.layers {
                let digest = self.named(layer)?;
                blobs.push(self.descriptor(digest));
            }
            let references = image
                .repo_tags
                .iter()
                .map(|tag| {
                    tag.parse::<Reference>()
                        .map(Reference::with_default_tag)
                        .map_err(|error| EngineError::Invalid(format!("{error}: {tag:?}")))
                })
                .collect::<Result<Vec<_>>>()?;
            loaded.push(self.image(&config, blobs, None, references)?);
        }
        Ok(loaded)
    }

    fn oci(&mut self, index: &[u8]) -> Result<Vec<Loaded>> {
        let Document::Index(index) = Document::parse(index)? else {
            return Err(EngineError::Invalid(
                "read index.json: it is no index".into(),
            ));
        };
        let mut loaded = Vec::new();
        for descriptor in &index.manifests {
            let references = annotated_name(descriptor).into_iter().collect();
            let (descriptor, manifest) = self.manifest(descriptor, 0)?;
            let (config, layers) = (manifest.config.digest.clone(), manifest.layers);
            for blob in layers.iter().chain([&manifest.config]) {
                if self.store.blobs.size_bytes(&blob.digest) != Some(blob.size) {
                    return Err(EngineError::Invalid(format!(
                        "archive is incomplete: it has no blob {} of {} bytes",
                        blob.digest, blob.size
                    )));
                }
                self.pins.add(blob.digest.clone());
            }
            loaded.push(self.image(&config, layers, Some(descriptor), references)?);
        }
        Ok(loaded)
    }

    /// The manifest for this host, through an index if need be.
    fn manifest(&self, descriptor: &Descriptor, depth: u32) -> Result<(Descriptor, Manifest)> {
        let bytes = self
            .store
            .blobs
            .read(&descriptor.digest, MAX_MANIFEST_BYTES)
            .map_err(|error| EngineError::Invalid(format!("archive is incomplete: {error}")))?;
        match Document::parse(&bytes)? {
            Document::Manifest(manifest) => Ok((descriptor.clone(), manifest)),
            Document::Index(index) if depth < 2 => {
                let platform = Platform::host();
                let chosen = index
                    .select(&platform)
                    .ok_or_else(|| no_platform(&index, &platform))?;
                self.manifest(chosen, depth + 1)
            }
            Document::Index(_) => Err(EngineError::Invalid("indexes are nested too deeply".into())),
        }
    }

    fn descriptor(&self, digest: Digest) -> Descriptor {
        Descriptor {
            media_type: String::new(),
            size: self.store.blobs.size_bytes(&digest).unwrap_or_default(),
            digest,
            platform: None,
            annotations: None,
        }
    }

    fn image(
        &mut self,
        id: &Digest,
        blobs: Vec<Descriptor>,
        manifest: Option<Descriptor>,
        references: Vec<Reference>,
    ) -> Result<Loaded> {
        let config = parse_config(&self.store.blobs.read(id, MAX_CONFIG_BYTES)?, blobs.len())?;
        let mut layers: Vec<StoredLayer> = config
            .rootfs
            .diff_ids
            .into_iter()
            .zip(blobs)
            .map(|(diff_id, blob)| StoredLayer { diff_id, blob })
            .collect();
        for layer in &mut layers {
            self.pins.add(layer.diff_id.clone());
            if layer.blob.media_type.is_empty() {
                layer.blob.media_type = self.store.layer_media_type(&layer.blob.digest)?;
            }
        }
        self.store.unpack_layers(&layers, &|layer, current| {
            if !self.quiet {
                self.progress.figure(
                    layer.diff_id.short(),
                    "Loading layer",
                    current,
                    layer.blob.size,
                );
            }
            Ok(())
        })?;
        let record = ImageRecord {
            id: id.clone(),
            manifest,
            layers,
            added_ns: time::now_ns(),
            parent: None,
            step: None,
        };
        self.store.register(record, &references)?;
        Ok(Loaded {
            id: id.clone(),
            references,
        })
    }
}

/// Reads a configuration and checks that it speaks of as many layers as there are.
pub(super) fn parse_config(bytes: &[u8], layers: usize) -> Result<ImageConfig> {
    let config: ImageConfig = serde_json::from_slice(bytes)
        .map_err(|error| EngineError::Invalid(format!("read image configuration: {error}")))?;
    if !config.os.is_empty() && config.os != "linux" {
        return Err(EngineError::Invalid(format!(
            "cannot run an image of operating system {:?} on linux",
            config.os
        )));
    }
    if config.rootfs.diff_ids.len() != layers {
        return Err(EngineError::Invalid(format!(
            "invalid image: {layers} layers, but {} diff ids",
            config.rootfs.diff_ids.len()
        )));
    }
    Ok(config)
}

pub(super) fn no_platform(index: &Index, wanted: &Platform) -> EngineError {
    let mut offered: Vec<String> = index
        .manifests
        .iter()
        .filter_map(|descriptor| descriptor.platform.as_ref())
        .filter(|platform| platform.os != "unknown")
        .map(ToString::to_string)
        .collect();
    offered.dedup();
    EngineError::NotFound(format!(
        "no matching manifest for {wanted} in the manifest list entries: it has {}",
        offered.join(", ")
    ))
}

impl ImageStore {
    /// Unpacks the layers that are not there yet, several at a time, telling the bytes read; an error from there ends it. Blocks.
    pub(super) fn unpack_layers(
        &self,
        layers: &[StoredLayer],
        tell: &(dyn Fn(&StoredLayer, u64) -> std::io::Result<()> + Sync),
    ) -> Result<()> {
        let next = AtomicUsize::new(0);
        let work = || -> Result<()> {
            while let Some(layer) = layers.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.unpack_layer(layer, &|current| tell(layer, current))?;
            }
            Ok(())
        };
        let workers = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(layers.len())
            .min(4);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for thread in threads {
                let other = thread.join().unwrap_or_else(|_panic| {
                    Err(EngineError::internal(
                        "unpack",
                        "layer",
                        "a worker panicked",
                    ))
                });
                done = done.and(other);
            }
            done
        })
    }

    /// Unpacks one layer from its blob unless it is there, telling the bytes read so far; an error from there ends it. Blocks.
    pub(super) fn unpack_layer(
        &self,
        layer: &StoredLayer,
        tell: &(dyn Fn(u64) -> std::io::Result<()> + Sync),
    ) -> Result<()> {
        if self.layers.size_bytes(&layer.diff_id).is_some() {
            return Ok(());
        }
        let blob = self.blobs.open_blob(&layer.blob.digest)?;
        let counted = CountingReader {
            inner: blob,
            read_bytes: 0,
            told_bytes: 0,
            tell,
        };
        self.layers.add(counted, Some(&layer.diff_id))?;
        Ok(())
    }

    /// The media type of a layer's blob, by its first bytes.
    pub(super) fn layer_media_type(&self, digest: &Digest) -> Result<String> {
        let mut start = [0; 4];
        let mut blob = self.blobs.open_blob(digest)?;
        let count = blob
            .read(&mut start)
            .map_err(EngineError::io("read blob", digest))?;
        Ok(match &start[..count] {
            [0x1f, 0x8b, ..] => format!("{OCI_LAYER}+gzip"),
            [0x28, 0xb5, 0x2f, 0xfd] => format!("{OCI_LAYER}+zstd"),
            _ => OCI_LAYER.to_owned(),
        })
    }
}

/// Tells how much was read, each 512 KiB and at the end.
struct CountingReader<'a, R> {
    inner: R,
    read_bytes: u64,
    told_bytes: u64,
    tell: &'a (dyn Fn(u64) -> std::io::Result<()> + Sync),
}

impl<R: Read> Read for CountingReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read_bytes += count as u64;
        if self.read_bytes - self.told_bytes >= 512 * 1024
            || (count == 0 && self.told_bytes < self.read_bytes)
        {
            self.told_bytes = self.read_bytes;
            (self.tell)(self.read_bytes)?;
        }
        Ok(count)
    }
}

/// The digest that a file of an OCI layout is named by.
fn blob_name(path: &[u8]) -> Option<Digest> {
    let rest = std::str::from_utf8(path).ok()?.strip_prefix("blobs/")?;
    let (algorithm, hex) = rest.split_once('/')?;
    format!("{algorithm}:{hex}").parse().ok()
}

/// The name that the writer of an OCI layout gave an image, if it is a whole one.
fn annotated_name(descriptor: &Descriptor) -> Option<Reference> {
    let annotations = descriptor.annotations.as_ref()?;
    if let Some(name) = annotations.get("io.containerd.image.name") {
        return name
            .parse::<Reference>()
            .ok()
            .map(Reference::with_default_tag);
    }
    let name = annotations.get("org.opencontainers.image.ref.name")?;
    // A tag alone does not say of which repository.
    let whole = name.contains(['/', ':']);
    whole
        .then(|| name.parse::<Reference>().ok())
        .flatten()
        .map(Reference::with_default_tag)
}
