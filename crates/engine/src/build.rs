//! Building images from Dockerfiles: the classic builder of the Docker API.
//!
//! A build is a chain of images: each instruction makes the next one of the one before, and the last gets the names. The
//! chain is the cache too: an instruction whose image is there already (same parent, same instruction, same content) is not
//! done again. What runs, runs in a container of the image before; what is copied goes into a snapshot of it.
//!
//! | module | holds |
//! | --- | --- |
//! | `dockerfile` | a Dockerfile's text, taken apart |
//! | `ignore` | `.dockerignore` |
//! | `area` | a build's own directory: its context |
//! | `stages` | the instructions, one after the other |
//! | `variables` | `ARG`, and what it may be called |
//! | `copy`, `download` | `COPY` and `ADD` |
//! | `run`, `mounts` | `RUN` and what is mounted for it |
//!
//! Source: Dockerfile reference; Docker Engine API, `POST /build`; moby builder/dockerfile.

mod area;
mod copy;
mod dockerfile;
mod download;
mod ignore;
mod mounts;
mod run;
mod stages;
#[cfg(test)]
mod tests;
mod variables;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures_util::Stream;
use serde_json::Value;

pub(crate) use mounts::prune_caches;

use self::{area::Area, dockerfile::Dockerfile, stages::Builder};
use crate::{
    blocking,
    engine::Engine,
    error::{EngineError, Result},
    events::EventKind,
    image::{Credentials, Image, Platform, Progress, Reference},
    transfer::read_body,
};

/// What is to be built.
#[derive(Debug, Default)]
pub(crate) struct BuildRequest {
    /// The Dockerfile's path in the context.
    pub(crate) dockerfile: String,
    /// Where the context is, when it is not in the request: the address of an archive or of a Dockerfile.
    pub(crate) remote: Option<String>,
    /// What the image shall be called.
    pub(crate) names: Vec<Reference>,
    /// The stage to stop at.
    pub(crate) target: Option<String>,
    /// Values of `ARG`.
    pub(crate) arguments: BTreeMap<String, Option<String>>,
    /// Labels of the image.
    pub(crate) labels: BTreeMap<String, String>,
    /// Do every instruction again.
    pub(crate) no_cache: bool,
    /// Ask the registry for every image that is built on.
    pub(crate) pull: bool,
    /// Keep the containers of instructions that were done.
    pub(crate) keep_containers: bool,
    /// Remove the container of an instruction that failed, too.
    pub(crate) remove_failed: bool,
    /// Tell the image's id alone.
    pub(crate) quiet: bool,
    /// What the image is for.
    pub(crate) platform: Option<Platform>,
    /// Limits, network and so on of the containers, as in `HostConfig`.
    pub(crate) host_config: serde_json::Map<String, Value>,
    /// Who asks registries, by the registry's name.
    pub(crate) credentials: BTreeMap<String, Credentials>,
}

/// Why an image was not built.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct BuildFailure {
    /// In Docker's words where it has some.
    pub(crate) message: String,
    /// Of the command that failed.
    pub(crate) code: Option<i64>,
}

impl From<EngineError> for BuildFailure {
    fn from(error: EngineError) -> Self {
        Self {
            message: error.to_string(),
            code: None,
        }
    }
}

impl BuildFailure {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: None,
        }
    }
}

/// Removes what builds that were cut short have left: containers, mounts, directories.
///
/// # Errors
/// `Internal` when something cannot be removed.
pub(crate) async fn sweep(engine: &Arc<Engine>) -> Result<()> {
    run::sweep(engine).await?;
    let engine = Arc::clone(engine);
    blocking::run(move || area::sweep(&engine)).await
}

/// Builds an image from the context in `body`. Dropping the future ends the build and removes what it has made, but for the
/// images of instructions that were done.
///
/// # Errors
/// What is wrong with the Dockerfile, which instruction failed and why.
pub(crate) async fn build<S, E>(
    engine: Arc<Engine>,
    request: BuildRequest,
    body: S,
    progress: Progress,
) -> Result<Arc<Image>, BuildFailure>
where
    S: Stream<Item = Result<Bytes, E>> + Send,
    E: std::fmt::Display,
{
    let made = Arc::clone(&engine);
    let area = blocking::run(move || Area::create(&made)).await?;
    if let Some(address) = &request.remote {
        download::context(&engine, &area, address, &request.dockerfile).await?;
    } else {
        let unpacked = Arc::clone(&area);
        read_body(body, move |archive| unpacked.unpack(archive)).await?;
    }
    let (read, name) = (Arc::clone(&area), request.dockerfile.clone());
    // Clients leave out what is to be ignored before they send the rest.
    let filtered = request.remote.is_none();
    let text = blocking::run(move || read.read_dockerfile(&name, filtered)).await?;
    let file = Dockerfile::parse(&text).map_err(BuildFailure::new)?;
    let builder = Builder::new(&engine, &request, area, &progress, file)?;
    let image = builder.run().await?;
    progress.made(image.id.to_string());
    let quiet = request.quiet;
    if quiet {
        progress.text(format!("{}\n", image.id));
    } else {
        progress.text(format!("Successfully built {}\n", image.id.short()));
    }
    for name in request.names {
        let (images, tagged, reference) = (Arc::clone(&engine), Arc::clone(&image), name.clone());
        blocking::run(move || images.images.tag(&tagged, &reference)).await?;
        let mut attributes: BTreeMap<String, String> =
            image.config.config.labels.clone().into_iter().collect();
        attributes.insert("name".to_owned(), name.familiar());
        engine
            .events
            .publish(EventKind::Image, "tag", image.id.as_str(), attributes);
        if !quiet {
            progress.text(format!("Successfully tagged {}\n", name.familiar()));
        }
    }
    Ok(image)
}
