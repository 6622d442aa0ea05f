//! Removing containers.

use std::sync::Arc;

use super::{handle::Container, mounts::MountSource, release, stop};
use crate::{
    blocking,
    engine::Engine,
    error::{EngineError, Result},
    events::EventKind,
};

/// How a container is to be removed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RemoveRequest {
    /// Also one that runs.
    pub(crate) force: bool,
    /// With the volumes that nobody named.
    pub(crate) volumes: bool,
}

/// Removes a container.
///
/// # Errors
/// `Conflict` when it runs and is not to be killed, or is being removed already.
pub(crate) async fn remove(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    request: RemoveRequest,
) -> Result<()> {
    mark(container)?;
    let outcome = remove_marked(engine, container, request).await;
    if outcome.is_err() {
        container.lock().removing = false;
    }
    outcome
}

/// Removes a container with `--rm` that has ended.
pub(super) async fn automatic(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<()> {
    let request = RemoveRequest {
        force: false,
        volumes: true,
    };
    match remove(engine, container, request).await {
        // Someone else removes it.
        Err(EngineError::Conflict(_)) => Ok(()),
        other => other,
    }
}

fn mark(container: &Container) -> Result<()> {
    let mut inner = container.lock();
    if inner.removing {
        return Err(EngineError::Conflict(format!(
            "removal of container {} is already in progress",
            container.id()
        )));
    }
    inner.removing = true;
    Ok(())
}

async fn remove_marked(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    request: RemoveRequest,
) -> Result<()> {
    if !request.force
        && let Some(what) = alive(container)
    {
        return Err(EngineError::Conflict(format!(
            "cannot remove container \"/{}\": container is {what}: stop the container before removing or force remove",
            container.name()
        )));
    }
    let _lifecycle = container.lifecycle.lock().await;
    if let Some(backoff) = container.lock().backoff.take() {
        backoff.cancel();
    }
    if let Some(running) = container.running() {
        if !request.force {
            return Err(EngineError::Conflict(format!(
                "cannot remove container \"/{}\": container is running: stop the container before removing or force remove",
                container.name()
            )));
        }
        stop::kill_and_wait(engine, container, &running).await?;
    }
    // The end of its last run may still be being tidied up.
    drop(container.phase().wait_for(|phase| !phase.running).await);
    {
        let (engine, container) = (Arc::clone(engine), Arc::clone(container));
        blocking::run(move || take_away(&engine, &container, request.volumes)).await?;
    }
    // Who waits for a next run waits in vain.
    container.lock().early.clear();
    engine.containers.forget(container);
    engine.execs.forget_container(container.id());
    engine.events.publish(
        EventKind::Container,
        "destroy",
        container.id(),
        container.event_attributes(),
    );
    container.set_phase(|phase| {
        phase.removed = true;
        phase.restarting = false;
    });
    Ok(())
}

fn alive(container: &Container) -> Option<&'static str> {
    let inner = container.lock();
    match &inner.running {
        Some(running) if running.paused => Some("paused"),
        Some(_) => Some("running"),
        None => inner.backoff.as_ref().map(|_| "restarting"),
    }
}

/// Takes away everything that a container has. The record goes first: what a kill leaves of the rest is removed when
/// the engine starts.
fn take_away(engine: &Engine, container: &Container, volumes: bool) -> Result<()> {
    if container.bundle_dir().exists() {
        release::everything(engine, container);
    }
    let record = container.record();
    engine
        .containers
        .records
        .remove(container.id())
        .map_err(EngineError::io("remove the record of", container.id()))?;
    engine.images.snapshots().remove(container.id())?;
    engine.volumes.let_go(container.id());
    let anonymous = record
        .mounts
        .iter()
        .filter_map(|mount| match &mount.source {
            MountSource::Volume {
                name,
                anonymous: true,
                ..
            } => Some(name),
            _ => None,
        });
    for name in anonymous.filter(|_| volumes) {
        match engine.volumes.remove(name, true) {
            // Another container has it from this one (`--volumes-from`).
            Ok(()) | Err(EngineError::Conflict(_)) => {}
            Err(error) => {
                tracing::warn!(volume = name, %error, "remove a volume that nobody named");
            }
        }
    }
    Ok(())
}
