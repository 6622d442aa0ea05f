//! An image out of a container, while nothing in it moves.

use std::{path::PathBuf, sync::Arc};

use bollard_stubs::models::ContainerConfig;
use serde_json::json;

use super::{
    handle::Container,
    stop::{mark_paused, publish, set_frozen},
};
use crate::{
    blocking,
    engine::Engine,
    error::{EngineError, Result},
    events::EventKind,
    image::{CommitSource, Defaults, Image, Reference, apply_changes},
};

/// Says, in a container's bundle, that it is frozen for an image and not because someone wants it so.
const FROZEN_FILE: &str = "frozen-for-commit";

/// What an image of a container is to be.
#[derive(Debug, Default)]
pub(crate) struct CommitRequest {
    /// In the place of the container's own configuration.
    pub(crate) config: Option<ContainerConfig>,
    /// Instructions such as `CMD`.
    pub(crate) changes: Vec<String>,
    /// Of this step.
    pub(crate) comment: String,
    /// Who made it.
    pub(crate) author: String,
    /// Freeze the container meanwhile.
    pub(crate) pause: bool,
    /// Its name, if any.
    pub(crate) reference: Option<Reference>,
}

/// Makes an image out of a container. It is neither started, stopped nor removed meanwhile.
///
/// # Errors
/// `Invalid` for an instruction that may not be a change, `NotFound` when its image is gone, `Conflict` when it is being
/// removed.
pub(crate) async fn commit(
    engine: Arc<Engine>,
    container: Arc<Container>,
    request: CommitRequest,
) -> Result<Arc<Image>> {
    let _lifecycle = container.lifecycle.lock().await;
    if container.is_removing() || container.phase().borrow().removed {
        return Err(EngineError::Conflict(format!(
            "You cannot commit container {} which is being removed",
            container.id()
        )));
    }
    let record = container.record();
    let own = defaults(&record.config);
    let mut config = request
        .config
        .as_ref()
        .map_or_else(|| own.clone(), defaults);
    apply_changes(&mut config, &request.changes)?;
    config.merge(&own);
    let source = CommitSource {
        container_id: container.id().to_owned(),
        parent: Some(record.image.clone()),
        config,
        created_by: record.config.cmd.clone().unwrap_or_default().join(" "),
        comment: request.comment.clone(),
        author: request.author,
        reference: request.reference.clone(),
        step: None,
    };
    let freeze = request.pause && container.running().is_some_and(|running| !running.paused);
    if freeze {
        set_still(&engine, &container, true).await?;
    }
    let images = Arc::clone(&engine.images);
    let committed = blocking::run(move || images.commit(source)).await;
    let thawed = if freeze && container.running().is_some() {
        set_still(&engine, &container, false).await
    } else {
        Ok(())
    };
    let image = committed?;
    thawed?;
    let mut attributes = container.event_attributes();
    attributes.insert("comment".to_owned(), request.comment);
    attributes.insert("imageID".to_owned(), image.id.to_string());
    let reference = request.reference.map(|reference| reference.familiar());
    attributes.insert("imageRef".to_owned(), reference.unwrap_or_default());
    engine
        .events
        .publish(EventKind::Container, "commit", container.id(), attributes);
    Ok(image)
}

/// Freezes a container, or lets it go on, so that an engine that is killed meanwhile leaves no frozen one behind.
async fn set_still(engine: &Arc<Engine>, container: &Arc<Container>, still: bool) -> Result<()> {
    let mark = mark(container);
    let write = || EngineError::io::<std::io::Error>("write", mark.display().to_string());
    if still {
        tokio::fs::write(&mark, "").await.map_err(write())?;
    }
    let changed = set_frozen(container, still).await;
    if changed.is_ok() {
        mark_paused(container, still);
        publish(engine, container, if still { "pause" } else { "unpause" });
    }
    let is_still = still == changed.is_ok();
    if !is_still {
        tokio::fs::remove_file(&mark).await.map_err(write())?;
    }
    changed
}

fn mark(container: &Container) -> PathBuf {
    container.bundle_dir().join(FROZEN_FILE)
}

/// Lets a container go on that an earlier engine froze for an image and did not live to thaw.
pub(super) async fn thaw_leftover(container: &Arc<Container>) {
    let mark = mark(container);
    if !mark.exists() {
        return;
    }
    let thawed = set_frozen(container, false).await;
    let forgotten = match thawed {
        Ok(()) => std::fs::remove_file(&mark).map_err(EngineError::io("remove", mark.display())),
        Err(error) => Err(error),
    };
    if let Err(error) = forgotten {
        tracing::error!(container = container.id(), %error, "thaw a container");
    }
}

/// What of a container's configuration an image keeps.
fn defaults(config: &ContainerConfig) -> Defaults {
    let set = |keys: &Option<Vec<String>>| {
        let keys = keys.iter().flatten().cloned();
        keys.map(|key| (key, json!({}))).collect()
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    Defaults {
        user: text(&config.user),
        exposed_ports: set(&config.exposed_ports),
        env: list(&config.env),
        entrypoint: list(&config.entrypoint),
        cmd: list(&config.cmd),
        volumes: set(&config.volumes),
        working_dir: text(&config.working_dir),
        labels: config.labels.clone().unwrap_or_default(),
        stop_signal: text(&config.stop_signal),
        stop_timeout: config.stop_timeout,
        healthcheck: config.healthcheck.clone(),
        shell: list(&config.shell),
        on_build: list(&config.on_build),
    }
}

#[cfg(test)]
mod tests;
