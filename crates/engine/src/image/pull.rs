//! Pulls an image from a registry.
//!
//! What the reference means is found out first, so that an image that does not exist is an error and no stream. Then
//! layers come several at a time, each resumed where a connection broke, and are unpacked while others still come. The
//! image appears in one step at the end; layers of a pull that was broken off stay until the next collection, so that a
//! second try goes on from there.

use std::{io, sync::Arc, time::Duration};

use bytes::BytesMut;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    config::ImageConfig,
    digest::Digest,
    load::{no_platform, parse_config},
    manifest::{Descriptor, Document, MAX_CONFIG_BYTES, Manifest, Platform},
    progress::Progress,
    reference::Reference,
    registry::{Credentials, Fetched, Repository},
    store::{Image, ImageRecord, ImageStore, StoredLayer},
};
use crate::{
    blocking,
    error::{EngineError, Result},
    layer::Pins,
    time,
};

/// Layers that are fetched at once; Docker's number.
const DOWNLOADS: usize = 3;
/// Layers that are fetched or unpacked at once.
const LAYERS: usize = 6;
/// A connection that brings nothing so many times is given up.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Bytes are handed to the disk in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;

/// A pull whose image is known to exist.
#[derive(Debug)]
pub(crate) struct Pull {
    store: Arc<ImageStore>,
    reference: Reference,
    repository: Repository,
    platform: Platform,
    fetched: Fetched,
}

impl Pull {
    /// Finds out what `reference` means in its registry.
    ///
    /// # Errors
    /// `NotFound` in Docker's words when it does not exist, `Unavailable` when the registry cannot be reached.
    pub(crate) async fn begin(
        store: Arc<ImageStore>,
        reference: Reference,
        platform: Option<Platform>,
        credentials: Credentials,
    ) -> Result<Self> {
        let reference = reference.with_default_tag();
        let (repository, fetched) = store.registry.find(&reference, &credentials).await?;
        Ok(Self {
            platform: platform.unwrap_or_else(Platform::host),
            store,
            reference,
            repository,
            fetched,
        })
    }

    /// Fetches what is missing and makes the image visible under its name.
    ///
    /// # Errors
    /// When the registry or the disk fails; the image is not visible then.
    pub(crate) async fn finish(self, progress: &Progress) -> Result<Arc<Image>> {
        let (repository, fetched) = (self.repository, self.fetched);
        let target = self
            .reference
            .tag()
            .map_or_else(|| fetched.digest.to_string(), str::to_owned);
        progress.status(
            Some(&target),
            format!("Pulling from {}", self.reference.path()),
        );
        let top = fetched.digest.clone();
        let (manifest_blob, manifest) =
            image_manifest(&repository, fetched, &self.platform).await?;

        let job = Job {
            store: &self.store,
            repository: &repository,
            progress,
            downloads: Semaphore::new(DOWNLOADS),
            cancelled: CancellationToken::new(),
        };
        // Ends unpacking on its threads when this future is dropped.
        let _cancel = job.cancelled.clone().drop_guard();
        let mut pins = self.store.pin(vec![
            manifest.config.digest.clone(),
            manifest_blob.digest.clone(),
        ]);
        let (config, layers) = job.configuration(&manifest, &mut pins).await?;
        job.layers(&layers).await?;

        let before = self
            .store
            .by_reference(&self.reference)
            .map(|image| image.id.clone());
        let record = ImageRecord {
            id: manifest.config.digest.clone(),
            manifest: Some(Descriptor {
                media_type: manifest_blob.media_type,
                digest: manifest_blob.digest,
                size: manifest_blob.bytes.len() as u64,
                platform: None,
                annotations: None,
            }),
            layers,
            added_ns: time::now_ns(),
            parent: None,
            step: None,
        };
        let mut names = vec![self.reference.at_digest(top.clone())];
        if let Some(tag) = self.reference.tag()
            && let Ok(tagged) = self.reference.at_tag(tag)
        {
            names.push(tagged);
        }
        let store = Arc::clone(&self.store);
        let image = blocking::run(move || {
            store.blobs.put(&manifest_blob.bytes)?;
            store.blobs.put(&config)?;
            store.register(record, &names)
        })
        .await?;
        drop(pins);
        progress.status(None, format!("Digest: {top}"));
        let name = self.reference.familiar();
        progress.status(
            None,
            if before.as_ref() == Some(&image.id) {
                format!("Status: Image is up to date for {name}")
            } else {
                format!("Status: Downloaded newer image for {name}")
            },
        );
        Ok(image)
    }
}

/// What a registry has under a name.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) descriptor: Descriptor,
    pub(crate) platforms: Vec<Platform>,
}

impl ImageStore {
    /// Asks the registry what it has under `reference`, without pulling it.
    ///
    /// # Errors
    /// As [`Pull::begin`].
    pub(crate) async fn look_up(
        &self,
        reference: &Reference,
        credentials: &Credentials,
    ) -> Result<Found> {
        let (repository, fetched) = self.registry.find(reference, credentials).await?;
        let descriptor = Descriptor {
            media_type: fetched.media_type.clone(),
            digest: fetched.digest.clone(),
            size: fetched.bytes.len() as u64,
            platform: None,
            annotations: None,
        };
        let platforms = match Document::parse(&fetched.bytes)? {
            Document::Index(index) => index
                .manifests
                .into_iter()
                .filter_map(|one| one.platform)
                .collect(),
            Document::Manifest(manifest) => {
                let config = repository
                    .small_blob(&manifest.config.digest, MAX_CONFIG_BYTES)
                    .await?;
                let config: ImageConfig = serde_json::from_slice(&config).map_err(|error| {
                    EngineError::Invalid(format!("read image configuration: {error}"))
                })?;
                vec![Platform {
                    architecture: config.architecture,
                    os: config.os,
                    variant: config.variant,
                }]
            }
        };
        Ok(Found {
            descriptor,
            platforms,
        })
    }
}

/// The manifest of the image for `platform`, through an index if need be.
async fn image_manifest(
    repository: &Repository,
    mut fetched: Fetched,
    platform: &Platform,
) -> Result<(Fetched, Manifest)> {
    for _ in 0..3 {
        match Document::parse(&fetched.bytes)? {
            Document::Manifest(manifest) => return Ok((fetched, manifest)),
            Document::Index(index) => {
                let chosen = index
                    .select(platform)
                    .ok_or_else(|| no_platform(&index, platform))?;
                fetched = repository.manifest(chosen.digest.as_str()).await?;
            }
        }
    }
    Err(EngineError::Invalid("indexes are nested too deeply".into()))
}

struct Job<'a> {
    store: &'a Arc<ImageStore>,
    repository: &'a Repository,
    progress: &'a Progress,
    downloads: Semaphore,
    cancelled: CancellationToken,
}

impl Job<'_> {
    /// The configuration, and the layers that it and the manifest speak of.
    async fn configuration(
        &self,
        manifest: &Manifest,
        pins: &mut Pins,
    ) -> Result<(Vec<u8>, Vec<StoredLayer>)> {
        if manifest.config.size > MAX_CONFIG_BYTES {
            return Err(EngineError::Invalid(
                "image configuration is too large".into(),
            ));
        }
        let bytes = self
            .repository
            .small_blob(&manifest.config.digest, MAX_CONFIG_BYTES)
            .await?;
        let config = parse_config(&bytes, manifest.layers.len())?;
        let layers: Vec<StoredLayer> = config
            .rootfs
            .diff_ids
            .into_iter()
            .zip(manifest.layers.clone())
            .map(|(diff_id, blob)| StoredLayer { diff_id, blob })
            .collect();
        for layer in &layers {
            pins.add(layer.diff_id.clone());
            pins.add(layer.blob.digest.clone());
        }
        Ok((bytes, layers))
    }

    async fn layers(&self, layers: &[StoredLayer]) -> Result<()> {
        for layer in layers {
            self.progress
                .layer(layer.blob.digest.short(), "Pulling fs layer");
        }
        // Collected first: borrowed iterators inside the stream would tie its lifetime to the closure.
        let work: Vec<_> = layers.iter().map(|layer| self.layer(layer)).collect();
        futures_util::stream::iter(work)
            .buffer_unordered(LAYERS)
            .try_collect::<()>()
            .await
    }

    async fn layer(&self, layer: &StoredLayer) -> Result<()> {
        let id = layer.blob.digest.short();
        let here = self.store.layers.size_bytes(&layer.diff_id).is_some();
        if here && self.store.blobs.size_bytes(&layer.blob.digest) == Some(layer.blob.size) {
            self.progress.layer(id, "Already exists");
            return Ok(());
        }
        {
            let _permit = self
                .downloads
                .acquire()
                .await
                .map_err(EngineError::io("wait for", "download"))?;
            self.download(&layer.blob).await?;
        }
        self.progress.layer(id, "Download complete");
        let (store, layer, progress) =
            (Arc::clone(self.store), layer.clone(), self.progress.clone());
        let cancelled = self.cancelled.clone();
        blocking::run(move || {
            let id = layer.blob.digest.short();
            store.unpack_layer(&layer, &|current| {
                if cancelled.is_cancelled() {
                    return Err(io::Error::new(
                        io::ErrorKind::ConnectionAborted,
                        "the pull was broken off",
                    ));
                }
                progress.figure(id, "Extracting", current, layer.blob.size);
                Ok(())
            })?;
            progress.layer(id, "Pull complete");
            Ok(())
        })
        .await
    }

    /// Fetches a blob into the store, going on where a broken connection left off.
    async fn download(&self, blob: &Descriptor) -> Result<()> {
        if self.store.blobs.size_bytes(&blob.digest) == Some(blob.size) {
            return Ok(());
        }
        let (store, digest) = (Arc::clone(self.store), blob.digest.clone());
        let mut ingest = Some(blocking::run(move || store.blobs.ingest(Some(&digest))).await?);
        let (mut attempt, mut pause) = (0, FIRST_PAUSE);
        loop {
            let before = ingest.as_ref().map_or(0, super::blobs::Ingest::size_bytes);
            match self.receive(blob, &mut ingest).await {
                Ok(()) => break,
                Err(EngineError::Unavailable(why)) => {
                    let after = ingest.as_ref().map_or(0, super::blobs::Ingest::size_bytes);
                    (attempt, pause) = if after > before {
                        (1, FIRST_PAUSE)
                    } else {
                        (attempt + 1, pause * 2)
                    };
                    if attempt >= ATTEMPTS {
                        return Err(EngineError::Internal(why));
                    }
                    tracing::info!(blob = %blob.digest, why, "retry a download");
                    self.progress.layer(blob.digest.short(), "Retrying");
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err(error),
            }
        }
        self.progress
            .layer(blob.digest.short(), "Verifying Checksum");
        let (store, digest) = (Arc::clone(self.store), blob.digest.clone());
        let ingest =
            ingest.ok_or_else(|| EngineError::internal("write blob", &digest, "it is gone"))?;
        blocking::run(move || store.blobs.commit(ingest, Some(&digest)))
            .await
            .map_err(|error| match error {
                EngineError::Invalid(why) => {
                    EngineError::Internal(format!("filesystem layer verification failed: {why}"))
                }
                other => other,
            })?;
        Ok(())
    }

    async fn receive(
        &self,
        blob: &Descriptor,
        ingest: &mut Option<super::blobs::Ingest>,
    ) -> Result<()> {
        let offset = ingest.as_ref().map_or(0, super::blobs::Ingest::size_bytes);
        if offset == blob.size {
            return Ok(());
        }
        let mut response = self.repository.blob(&blob.digest, offset).await?;
        if offset > 0 && response.status() != reqwest::StatusCode::PARTIAL_CONTENT {
            let digest = blob.digest.clone();
            on_disk(
                ingest,
                move |ingest| ingest.restart(Some(&digest)),
                &blob.digest,
            )
            .await?;
        }
        let id = blob.digest.short();
        let mut pending = BytesMut::new();
        let mut received = ingest.as_ref().map_or(0, super::blobs::Ingest::size_bytes);
        loop {
            let chunk = response.chunk().await;
            let ended = !matches!(chunk, Ok(Some(_)));
            if let Ok(Some(chunk)) = &chunk {
                received += chunk.len() as u64;
                if received > blob.size {
                    return Err(EngineError::Internal(format!(
                        "blob {} is longer than the {} bytes its manifest says",
                        blob.digest, blob.size
                    )));
                }
                pending.extend_from_slice(chunk);
            }
            if pending.len() >= PIECE_BYTES || (ended && !pending.is_empty()) {
                let piece = pending.split().freeze();
                on_disk(
                    ingest,
                    move |ingest| io::Write::write_all(ingest, &piece),
                    &blob.digest,
                )
                .await?;
                self.progress.figure(id, "Downloading", received, blob.size);
            }
            match chunk {
                Ok(Some(_)) => {}
                Ok(None) if received == blob.size => return Ok(()),
                Ok(None) => {
                    return Err(EngineError::Unavailable(format!(
                        "get blob {}: it was cut short",
                        blob.digest
                    )));
                }
                Err(error) => {
                    return Err(EngineError::Unavailable(format!(
                        "get blob {}: {error}",
                        blob.digest
                    )));
                }
            }
        }
    }
}

/// Does something that blocks with a blob that is being written.
async fn on_disk(
    ingest: &mut Option<super::blobs::Ingest>,
    work: impl FnOnce(&mut super::blobs::Ingest) -> io::Result<()> + Send + 'static,
    digest: &Digest,
) -> Result<()> {
    let Some(mut taken) = ingest.take() else {
        return Err(EngineError::internal("write blob", digest, "it is gone"));
    };
    let digest = digest.clone();
    let (taken, done) = blocking::run(move || {
        let done = work(&mut taken).map_err(EngineError::io("write blob", &digest));
        Ok((taken, done))
    })
    .await?;
    *ingest = Some(taken);
    done
}
