//! Pushes an image to a registry: what it does not have of the layers, the configuration, and last the manifest under its
//! name, so that nobody sees half an image.
//!
//! Source: OCI distribution-spec, "Push"; moby distribution/push_v2.go (the lines that clients draw).

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _};
use reqwest::{Method, Response, StatusCode, Url, header};
use tokio_util::io::ReaderStream;

use super::{
    digest::Digest,
    manifest::Descriptor,
    progress::Progress,
    reference::Reference,
    registry::{Credentials, Repository},
    store::{Image, ImageRecord, ImageStore},
};
use crate::{
    blocking,
    error::{EngineError, Result},
};

/// Blobs that are sent at once; Docker's number.
const UPLOADS: usize = 5;
/// A blob that was broken off so many times is given up.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Most bytes of an answer that is read.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;
const CHUNK_BYTES: usize = 256 * 1024;

/// How one blob came to be in the registry.
enum Sent {
    /// It was there.
    There,
    /// The registry had it in another repository.
    Mounted(String),
    /// All of it was sent.
    Whole,
}

impl ImageStore {
    /// The names that `docker push NAME` means: that one, or without a tag (and `all`) every tag of the repository.
    ///
    /// # Errors
    /// `NotFound` in Docker's words when there is no such name here.
    pub(crate) fn names_to_push(&self, reference: &Reference, all: bool) -> Result<Vec<Reference>> {
        if !all {
            let reference = reference.clone().with_default_tag();
            if self.by_reference(&reference).is_none() {
                return Err(EngineError::NotFound(format!(
                    "An image does not exist locally with the tag: {}",
                    reference.familiar_name()
                )));
            }
            return Ok(vec![reference]);
        }
        let names: Vec<Reference> = self
            .list()
            .iter()
            .flat_map(|image| self.references_of(&image.id))
            .filter(|name| name.tag().is_some() && name.name() == reference.name())
            .collect();
        if names.is_empty() {
            return Err(EngineError::NotFound(format!(
                "An image does not exist locally with the tag: {}",
                reference.familiar_name()
            )));
        }
        Ok(names)
    }

    /// Pushes the image that has the name `reference`; the manifest's digest.
    ///
    /// # Errors
    /// `Unauthorized` in Docker's words when the registry does not let these credentials write, `Unavailable` when it
    /// cannot be reached.
    pub(crate) async fn push(
        self: &Arc<Self>,
        reference: &Reference,
        credentials: &Credentials,
        progress: &Progress,
    ) -> Result<(Arc<Image>, Digest)> {
        let image = self
            .by_reference(reference)
            .ok_or_else(|| EngineError::no_such_image(&reference.familiar()))?;
        let record = self
            .record(&image.id)
            .ok_or_else(|| EngineError::no_such_image(&reference.familiar()))?;
        let mut held = vec![record.id.clone()];
        held.extend(record.layers.iter().map(|layer| layer.blob.digest.clone()));
        let _pins = self.pin(held);
        progress.status(
            None,
            format!("The push refers to repository [{}]", reference.name()),
        );
        let mut problem = None;
        for repository in self.registry.repositories(reference, credentials)? {
            let job = Job {
                store: self,
                repository: &repository,
                reference,
                progress,
            };
            match job.run(&record).await {
                Ok(digest) => {
                    let (store, named, pushed) = (
                        Arc::clone(self),
                        reference.at_digest(digest.clone()),
                        Arc::clone(&image),
                    );
                    blocking::run(move || store.tag(&pushed, &named)).await?;
                    return Ok((image, digest));
                }
                // Another way to the same registry may work; the first answer is told.
                Err(error @ EngineError::Unavailable(_)) => {
                    problem.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(problem.unwrap_or_else(|| EngineError::Invalid("no registry to push to".into())))
    }

    /// Repositories of the same registry that are known to have had a blob.
    fn elsewhere(&self, reference: &Reference, blob: &Digest) -> Option<Reference> {
        self.list()
            .iter()
            .filter(|image| {
                self.record(&image.id).is_some_and(|record| {
                    record.layers.iter().any(|layer| layer.blob.digest == *blob)
                })
            })
            .flat_map(|image| self.references_of(&image.id))
            // A name with a digest was pulled from there, or pushed to there.
            .find(|name| {
                name.digest().is_some()
                    && name.domain() == reference.domain()
                    && name.path() != reference.path()
            })
    }
}

struct Job<'a> {
    store: &'a Arc<ImageStore>,
    repository: &'a Repository,
    reference: &'a Reference,
    progress: &'a Progress,
}

impl Job<'_> {
    async fn run(&self, record: &ImageRecord) -> Result<Digest> {
        // Before anything is said of layers: whether it may be written to at all.
        let (descriptor, manifest) = self.store.manifest_of(record)?;
        for layer in record.layers.iter().rev() {
            self.progress.layer(layer.diff_id.short(), "Preparing");
        }
        let layers: Vec<_> = record
            .layers
            .iter()
            .rev()
            .map(|layer| self.layer(layer.diff_id.short(), &layer.blob))
            .collect();
        futures_util::stream::iter(layers)
            .buffer_unordered(UPLOADS)
            .try_collect::<()>()
            .await?;
        let config_size = self.store.blobs.size_bytes(&record.id).unwrap_or_default();
        self.blob(&record.id, config_size, None).await?;
        let tag = self.reference.tag().unwrap_or("latest");
        let url = self.repository.url(&format!("manifests/{tag}"))?;
        let response = self
            .repository
            .send(Method::PUT, &url, |request| {
                request
                    .header(header::CONTENT_TYPE, descriptor.media_type.as_str())
                    .body(manifest.clone())
            })
            .await?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        self.progress.status(
            None,
            format!(
                "{tag}: digest: {} size: {}",
                descriptor.digest,
                manifest.len()
            ),
        );
        self.progress
            .pushed(tag, descriptor.digest.as_str(), manifest.len());
        Ok(descriptor.digest)
    }

    async fn layer(&self, id: &str, blob: &Descriptor) -> Result<()> {
        let sent = self.blob(&blob.digest, blob.size, Some(id)).await?;
        self.progress.layer(
            id,
            &match sent {
                Sent::There => "Layer already exists".to_owned(),
                Sent::Mounted(from) => format!("Mounted from {from}"),
                Sent::Whole => "Pushed".to_owned(),
            },
        );
        Ok(())
    }

    async fn blob(&self, digest: &Digest, size: u64, shown: Option<&str>) -> Result<Sent> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match self.try_blob(digest, size, shown).await {
                Err(EngineError::Unavailable(_)) if attempt < ATTEMPTS => {}
                other => return other,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(EngineError::Unavailable(format!("push {digest}")))
    }

    async fn try_blob(&self, digest: &Digest, size: u64, shown: Option<&str>) -> Result<Sent> {
        let url = self.repository.url(&format!("blobs/{digest}"))?;
        let there = self.repository.send(Method::HEAD, &url, |request| request);
        if there.await?.status().is_success() {
            return Ok(Sent::There);
        }
        let from = shown.and_then(|_| self.store.elsewhere(self.reference, digest));
        let mut url = self.repository.url("blobs/uploads/")?;
        if let Some(from) = &from {
            url.query_pairs_mut()
                .append_pair("mount", digest.as_str())
                .append_pair("from", from.path());
        }
        let begun = self
            .repository
            .send(Method::POST, &url, |request| {
                request.header(header::CONTENT_LENGTH, 0)
            })
            .await?;
        match (begun.status(), from) {
            (StatusCode::CREATED, Some(from)) => return Ok(Sent::Mounted(from.path().to_owned())),
            (StatusCode::ACCEPTED | StatusCode::CREATED, _) => {}
            _ => return Err(self.refusal(begun).await),
        }
        let location = begun
            .headers()
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|location| url.join(location).ok())
            .ok_or_else(|| {
                EngineError::Internal("the registry does not say where to send a blob".to_owned())
            })?;
        self.upload(location, digest, size, shown).await?;
        Ok(Sent::Whole)
    }

    async fn upload(
        &self,
        mut location: Url,
        digest: &Digest,
        size: u64,
        shown: Option<&str>,
    ) -> Result<()> {
        location
            .query_pairs_mut()
            .append_pair("digest", digest.as_str());
        let path = self.store.blobs.path(digest);
        let prepare = |request: reqwest::RequestBuilder| {
            let progress = self.progress.clone();
            let shown = shown.map(str::to_owned);
            let mut sent = 0;
            let opening = tokio::fs::File::open(path.clone());
            let body = futures_util::stream::once(opening)
                .map_ok(|file| ReaderStream::with_capacity(file, CHUNK_BYTES))
                .try_flatten()
                .inspect_ok(move |chunk| {
                    sent += chunk.len() as u64;
                    if let Some(id) = &shown {
                        progress.figure(id, "Pushing", sent, size);
                    }
                });
            request
                .header(header::CONTENT_TYPE, "application/octet-stream")
                .header(header::CONTENT_LENGTH, size)
                .body(reqwest::Body::wrap_stream(body))
        };
        let response = self
            .repository
            .send(Method::PUT, &location, prepare)
            .await?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(self.refusal(response).await)
        }
    }

    /// What a refusal means, in the words Docker's clients know.
    async fn refusal(&self, response: Response) -> EngineError {
        let status = response.status();
        let body = self
            .repository
            .body(response, MAX_ANSWER_BYTES)
            .await
            .unwrap_or_default();
        let told = serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default();
        let told = told["errors"][0]["message"].as_str().unwrap_or_default();
        match status {
            StatusCode::UNAUTHORIZED => EngineError::Unauthorized(format!(
                "unauthorized: {}",
                if told.is_empty() {
                    "authentication required"
                } else {
                    told
                }
            )),
            StatusCode::FORBIDDEN => EngineError::Unauthorized(format!(
                "denied: {}",
                if told.is_empty() {
                    "requested access to the resource is denied"
                } else {
                    told
                }
            )),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                EngineError::Unavailable(format!("the registry answers {status}: {told}"))
            }
            status => EngineError::Internal(format!("the registry answers {status}: {told}")),
        }
    }
}
