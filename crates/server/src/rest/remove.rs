//! Removing containers: a preview first, and then exactly what it showed.

use std::sync::Arc;

use api::{
    container::{
        ContainerPreviewRequest, ContainerRemoveRequest, ContainerState, ContainerSummary,
        RevisionReason,
    },
    id::{ContainerId, EngineName},
    preview::{Preview, PreviewItem},
    problem::ProblemCode,
    revision::{Revision, Written},
};
use axum::{Json, extract::State, http::StatusCode};
use bollard::query_parameters::{InspectContainerOptionsBuilder, RemoveContainerOptionsBuilder};

use super::{Target, containers::gone_is_fine, edit, engine_of, target::revision};
use crate::{
    engines::{Deadline, Engine},
    http::{ApiError, Body, Caller, Params},
    mirror::positive,
    preview::{Found, Plan},
    state::AppState,
};

/// Containers in one act.
pub(super) const MOST: usize = 500;

/// `POST /engines/{engine}/containers/preview`
pub(crate) async fn preview(
    State(state): State<AppState>,
    caller: Caller,
    Params(name): Params<EngineName>,
    Body(request): Body<ContainerPreviewRequest>,
) -> Result<Json<Preview>, ApiError> {
    if request.ids.is_empty() || request.ids.len() > MOST {
        return Err(ApiError::invalid_field(
            "ids",
            format!("must name 1 to {MOST} containers"),
        ));
    }
    let mut ids = Vec::new();
    for id in &request.ids {
        ids.push(Target::find(&state, &name, id).await?.row.id.clone());
    }
    ids.sort_unstable();
    ids.dedup();
    let engine = engine_of(&state, &name)?;
    let found = find(&engine, ids, request.force, request.volumes).await?;
    state.previews.keep(caller.user(), &name, found).map(Json)
}

/// `POST /engines/{engine}/containers/{container}/remove`
pub(crate) async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Params((name, id)): Params<(EngineName, ContainerId)>,
    Body(request): Body<ContainerRemoveRequest>,
) -> Result<Json<Written>, ApiError> {
    let target = Target::find(&state, &name, &id).await?;
    let confirmed = confirm(
        &state,
        caller.user(),
        &target.engine,
        &request.preview_token,
    )
    .await?;
    if confirmed.ids != [target.id()] {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            ProblemCode::PreviewRequired,
            "the preview was of other containers",
        ));
    }
    edit::keep(
        &state,
        &target.engine,
        target.id(),
        RevisionReason::Removed,
        caller.user(),
    )
    .await?;
    let rev = remove_one(
        &target.engine,
        target.id(),
        confirmed.force,
        confirmed.volumes,
    )
    .await?;
    Ok(Json(Written {
        rev,
        warnings: Vec::new(),
    }))
}

/// What a user agreed to remove.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) ids: Vec<String>,
    pub(super) force: bool,
    pub(super) volumes: bool,
}

/// Takes the plan of a token and looks whether it still holds.
pub(super) async fn confirm(
    state: &AppState,
    user: &str,
    engine: &Engine,
    token: &str,
) -> Result<Agreed, ApiError> {
    let confirmed = state.previews.take(token, user, &engine.name)?;
    let Plan::Containers {
        ids,
        force,
        volumes,
    } = confirmed.plan.clone()
    else {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            ProblemCode::PreviewRequired,
            "the preview was not of containers",
        ));
    };
    confirmed.still_holds(&find(engine, ids.clone(), force, volumes).await?)?;
    Ok(Agreed {
        ids,
        force,
        volumes,
    })
}

/// Removes one container.
pub(super) async fn remove_one(
    engine: &Engine,
    id: &str,
    force: bool,
    volumes: bool,
) -> Result<Option<Revision>, ApiError> {
    let options = RemoveContainerOptionsBuilder::default()
        .force(force)
        .v(volumes)
        .build();
    gone_is_fine(
        engine
            .call(Deadline::Write, |docker| async move {
                docker.remove_container(id, Some(options)).await
            })
            .await,
    )?;
    Ok(engine
        .mirror
        .forget_container(id)
        .map(|position| revision("containers", position)))
}

/// Finds out what removal would do; the same for the preview and for its confirmation.
async fn find(
    engine: &Engine,
    ids: Vec<String>,
    force: bool,
    volumes: bool,
) -> Result<Found, ApiError> {
    let mut items = Vec::new();
    let mut warnings = Vec::new();
    let mut freed: Option<u64> = Some(0);
    for id in &ids {
        let Some(row) = engine.mirror.container(id) else {
            continue;
        };
        let bytes = writable_bytes(engine, id).await;
        freed = freed
            .zip(bytes)
            .map(|(sum, bytes)| sum.saturating_add(bytes));
        warnings.extend(warnings_of(engine, &row, volumes));
        items.push(item(&row, force, bytes));
    }
    let undo = "Its settings are kept for 30 days and the container can be put back; what it wrote outside of volumes is lost.".to_owned();
    Ok(Found {
        plan: Plan::Containers {
            ids,
            force,
            volumes,
        },
        items,
        freed_bytes: freed,
        warnings,
        undo,
    })
}

fn item(row: &Arc<ContainerSummary>, force: bool, bytes: Option<u64>) -> PreviewItem {
    let runs = matches!(
        row.state,
        ContainerState::Running | ContainerState::Paused | ContainerState::Restarting
    );
    let note = match (runs, force) {
        (true, true) => Some("it runs and will be killed".to_owned()),
        (true, false) => Some("it runs: the engine will refuse without force".to_owned()),
        (false, _) => None,
    };
    PreviewItem {
        kind: "container".to_owned(),
        id: row.id.clone(),
        name: row.name.clone(),
        bytes,
        used_by: Vec::new(),
        note,
    }
}

fn warnings_of(engine: &Engine, row: &ContainerSummary, volumes: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if row.state == ContainerState::Running {
        for port in row.ports.iter().filter_map(|port| port.host_port) {
            warnings.push(format!(
                "Port {port} of the host is no longer served by {}.",
                row.name
            ));
        }
    }
    let all = engine.mirror.volumes();
    for name in &row.volumes {
        let Some(volume) = all.iter().find(|volume| volume.name == *name) else {
            continue;
        };
        let others = volume
            .used_by
            .iter()
            .filter(|user| **user != row.name)
            .count();
        let label = if volume.anonymous {
            "The anonymous volume"
        } else {
            "The volume"
        };
        let short: String = name.chars().take(24).collect();
        warnings.push(if volumes && volume.anonymous && others == 0 {
            format!(
                "{label} {short} of {} is removed with everything in it.",
                row.name
            )
        } else {
            format!("{label} {short} of {} stays.", row.name)
        });
    }
    warnings
}

/// What the container wrote over its image; `None` when the engine does not tell in time.
async fn writable_bytes(engine: &Engine, id: &str) -> Option<u64> {
    let options = InspectContainerOptionsBuilder::default().size(true).build();
    let seen = engine
        .call(Deadline::Read, |docker| async move {
            docker.inspect_container(id, Some(options)).await
        })
        .await
        .ok()?;
    Some(positive(seen.size_rw).unwrap_or_default())
}
