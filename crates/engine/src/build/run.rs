//! `RUN`: a command in a container of the image so far.

use std::sync::Arc;

use futures_util::StreamExt as _;
use serde_json::{Map, Value, json};

use super::BuildFailure;
use crate::{
    blocking,
    container::{self, Container, CreateRequest, LogRequest, RemoveRequest},
    engine::Engine,
    error::EngineError,
    id,
    image::{CommitSource, Image, Progress},
};

/// Names a container that goes with its build: left by a killed engine, the next one removes it.
const LABEL: &str = "io.containeros.build-step";

/// Removes the containers that builds which were cut short have left.
///
/// # Errors
/// `Internal` when one cannot be removed.
pub(super) async fn sweep(engine: &Arc<Engine>) -> Result<(), EngineError> {
    for container in engine.containers.all() {
        if container.record().labels().contains_key(LABEL) {
            remove(engine, &container).await?;
        }
    }
    Ok(())
}

/// A command to run.
#[derive(Debug)]
pub(super) struct Command {
    /// Its words.
    pub(super) words: Vec<String>,
    /// `NAME=value`, besides those of the image.
    pub(super) env: Vec<String>,
    /// What is mounted for it, as in `HostConfig.Mounts`.
    pub(super) mounts: Vec<Value>,
    /// Network and limits.
    pub(super) host_config: Map<String, Value>,
}

/// What becomes of containers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keeping {
    /// Of commands that were done.
    pub(super) done: bool,
    /// Of commands that failed.
    pub(super) failed: bool,
}

/// A container of a build. It is removed when this is dropped, unless it is kept.
struct Guard {
    engine: Arc<Engine>,
    container: Option<Arc<Container>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(container) = self.container.take() else {
            return;
        };
        let engine = Arc::clone(&self.engine);
        self.engine.tasks.spawn(async move {
            if let Err(error) = remove(&engine, &container).await {
                tracing::warn!(container = container.id(), %error, "remove a container of a build");
            }
        });
    }
}

async fn remove(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<(), EngineError> {
    let request = RemoveRequest {
        force: true,
        volumes: true,
    };
    container::remove(engine, container, request).await
}

/// Runs a command in a container of `image`, tells what it prints, and makes the next image of what it changed.
///
/// # Errors
/// When it cannot be started, or ends with another code than 0, which the failure names.
pub(super) async fn run(
    engine: &Arc<Engine>,
    image: &Image,
    command: Command,
    source: CommitSource,
    (keeping, progress): (Keeping, Option<&Progress>),
) -> Result<Arc<Image>, BuildFailure> {
    let shown = command.words.join(" ");
    let mut host_config = command.host_config;
    if !command.mounts.is_empty() {
        host_config.insert("Mounts".to_owned(), json!(command.mounts));
    }
    // All of the output is read, whatever it is.
    host_config.insert(
        "LogConfig".to_owned(),
        json!({"Type": "json-file", "Config": {}}),
    );
    let body = json!({
        "Image": image.id.to_string(),
        "Cmd": command.words,
        "Entrypoint": [""],
        "Env": command.env,
        "Healthcheck": {"Test": ["NONE"]},
        "AttachStdout": true,
        "AttachStderr": true,
        "Labels": if keeping.done { json!({}) } else { json!({LABEL: "1"}) },
        "HostConfig": host_config,
    });
    let creating = Arc::clone(engine);
    let created = blocking::run(move || {
        let request = CreateRequest {
            name: None,
            body,
            platform: None,
        };
        container::create(&creating, request)
    })
    .await?;
    let mut guard = Guard {
        engine: Arc::clone(engine),
        container: Some(Arc::clone(&created.container)),
    };
    let container = created.container;
    if let Some(progress) = progress {
        for warning in created.warnings {
            progress.text(format!(" ---> [Warning] {warning}\n"));
        }
        progress.text(format!(" ---> Running in {}\n", id::short(container.id())));
    }
    let exit_code = run_to_its_end(engine, &container, progress).await?;
    if exit_code != 0 {
        if keeping.failed {
            guard.container = None;
        }
        return Err(BuildFailure {
            message: format!("The command '{shown}' returned a non-zero code: {exit_code}"),
            code: Some(exit_code),
        });
    }
    let committing = Arc::clone(engine);
    let source = CommitSource {
        container_id: container.id().to_owned(),
        ..source
    };
    let made = blocking::run(move || committing.images.commit(source)).await?;
    guard.container = None;
    if !keeping.done {
        remove(engine, &container).await?;
        if let Some(progress) = progress {
            progress.text(format!(
                "Removing intermediate container {}\n",
                id::short(container.id())
            ));
        }
    }
    Ok(made)
}

async fn run_to_its_end(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    progress: Option<&Progress>,
) -> Result<i64, BuildFailure> {
    container::start(engine, container).await?;
    let request = LogRequest {
        stdout: true,
        stderr: true,
        follow: true,
        ..LogRequest::default()
    };
    let mut output = Box::pin(container.logs(request, &engine.log_watch)?);
    let mut pending = Vec::new();
    while let Some(piece) = output.next().await {
        let Some(progress) = progress else {
            piece?;
            continue;
        };
        pending.extend_from_slice(&piece?);
        let text = take_text(&mut pending);
        if !text.is_empty() {
            progress.room().await;
            progress.text(text);
        }
    }
    if let Some(progress) = progress
        && !pending.is_empty()
    {
        progress.text(String::from_utf8_lossy(&pending).into_owned());
    }
    let mut phases = container.phase();
    let ended = phases.wait_for(|phase| !phase.running).await;
    let ended = ended.map_err(EngineError::io("wait for", container.id()))?;
    Ok(ended.exit_code.into())
}

/// Takes the text off the beginning of `bytes`; a character that is not whole yet stays.
fn take_text(bytes: &mut Vec<u8>) -> String {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    };
    let rest = bytes.split_off(whole);
    let text = String::from_utf8_lossy(bytes).into_owned();
    *bytes = rest;
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_cut() {
        let mut bytes = "a€".as_bytes()[..3].to_vec();
        assert_eq!(take_text(&mut bytes), "a");
        bytes.push("€".as_bytes()[2]);
        assert_eq!(take_text(&mut bytes), "€");
        let mut broken = vec![b'x', 0xff, b'y'];
        assert_eq!(take_text(&mut broken), "x\u{fffd}y");
        assert!(broken.is_empty());
    }
}
