//! The object that a request is about.

use std::sync::Arc;

use api::{
    container::ContainerSummary,
    id::{ContainerId, EngineName},
    live::Position,
    revision::{Revision, Written},
};
use axum::Json;

use crate::{
    engines::{CallError, Engine},
    http::ApiError,
    state::AppState,
};

/// Returns the engine of this name.
pub(crate) fn engine_of(state: &AppState, name: &EngineName) -> Result<Arc<Engine>, ApiError> {
    state
        .engines
        .get(name)
        .cloned()
        .ok_or_else(|| ApiError::not_found(format!("engine: {name}")))
}

/// A container that is there.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) engine: Arc<Engine>,
    pub(crate) row: Arc<ContainerSummary>,
}

impl Target {
    /// Finds a container in the mirror; one that it does not know yet is asked of the engine.
    pub(crate) async fn find(
        state: &AppState,
        engine: &EngineName,
        id: &ContainerId,
    ) -> Result<Self, ApiError> {
        let engine = engine_of(state, engine)?;
        if let Some(row) = engine.mirror.container(id.as_str()) {
            return Ok(Self { engine, row });
        }
        let docker = engine.docker()?;
        engine
            .mirror
            .refresh_container(&docker, id.as_str())
            .await?;
        let row = engine
            .mirror
            .container(id.as_str())
            .ok_or_else(|| ApiError::not_found(format!("container: {id}")))?;
        Ok(Self { engine, row })
    }

    pub(crate) fn id(&self) -> &str {
        &self.row.id
    }

    /// Reads the container again after an act and tells where the live list shows it.
    pub(crate) async fn written(&self) -> Json<Written> {
        Json(Written {
            rev: self.revision().await,
            warnings: Vec::new(),
        })
    }

    pub(crate) async fn revision(&self) -> Option<Revision> {
        let docker = self.engine.docker().ok()?;
        match self
            .engine
            .mirror
            .refresh_container(&docker, self.id())
            .await
        {
            Ok(position) => position.map(|position| revision("containers", position)),
            Err(error) => {
                tracing::debug!(%error, "read a container after an act");
                None
            }
        }
    }
}

pub(crate) fn revision(topic: &str, position: Position) -> Revision {
    Revision {
        topic: topic.to_owned(),
        epoch: position.epoch,
        seq: position.seq,
    }
}

/// An act that changes nothing because it was so already has succeeded.
pub(crate) fn already_so(result: Result<(), CallError>) -> Result<(), CallError> {
    match result {
        Err(CallError::Refused { status: 304, .. }) => Ok(()),
        other => other,
    }
}
