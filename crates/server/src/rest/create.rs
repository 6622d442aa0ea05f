//! Making a container: check, policy, create, start; what could not be started is not left behind.

use api::{
    container::{ContainerCreateRequest, ContainerCreated, MountRequestKind},
    id::EngineName,
};
use axum::{Json, extract::State, http::StatusCode};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
    StartContainerOptions,
};

use super::{
    create_body, create_refusal, engine_of, policy,
    target::{already_so, revision},
};
use crate::{
    engines::{CallError, Deadline, Engine},
    http::{ApiError, Body, Caller, Params},
    mirror::Refresh,
    state::AppState,
};

/// `POST /engines/{engine}/containers`
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Params(name): Params<EngineName>,
    Body(request): Body<ContainerCreateRequest>,
) -> Result<(StatusCode, Json<ContainerCreated>), ApiError> {
    let engine = engine_of(&state, &name)?;
    let errors = create_body::check(&request);
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    policy::may_create(&caller, &request)?;
    let body = create_body::body(&request);
    let options = CreateContainerOptionsBuilder::default();
    let options = match &request.name {
        Some(name) => options.name(name).build(),
        None => options.build(),
    };
    let fresh_volumes = volumes_to_be_made(&engine, &request).await?;
    let made = match engine
        .call(Deadline::Write, |docker| async move {
            docker.create_container(Some(options), body).await
        })
        .await
    {
        Ok(made) => made,
        Err(error) => {
            remove_volumes(&engine, &fresh_volumes).await;
            return Err(create_refusal::of_create(error, &request));
        }
    };
    if request.start
        && let Err(error) = start(&engine, &made.id).await
    {
        undo(&engine, &made.id, &fresh_volumes).await;
        return Err(create_refusal::of_start(error, &request));
    }
    let docker = engine.docker()?;
    let position = engine
        .mirror
        .refresh_container(&docker, &made.id)
        .await
        .unwrap_or_default();
    let name = engine
        .mirror
        .container(&made.id)
        .map(|row| row.name.clone())
        .or(request.name)
        .unwrap_or_default();
    let created = ContainerCreated {
        id: made.id,
        name,
        started: request.start,
        warnings: made.warnings,
        rev: position.map(|position| revision("containers", position)),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

async fn start(engine: &Engine, id: &str) -> Result<(), CallError> {
    already_so(
        engine
            .call(Deadline::Write, |docker| async move {
                docker
                    .start_container(id, None::<StartContainerOptions>)
                    .await
            })
            .await,
    )
}

/// Takes away a container that could not be started, and what was made for it: trying again with the same name must work.
async fn undo(engine: &Engine, id: &str, fresh_volumes: &[String]) {
    let options = RemoveContainerOptionsBuilder::default()
        .force(true)
        .v(true)
        .build();
    if let Err(error) = engine
        .call(Deadline::Write, |docker| async move {
            docker.remove_container(id, Some(options)).await
        })
        .await
    {
        tracing::warn!(%error, id, "remove a container that could not be started");
    }
    engine.mirror.forget_container(id);
    remove_volumes(engine, fresh_volumes).await;
}

/// The named volumes of a request that the engine does not have yet, so that creation makes them.
async fn volumes_to_be_made(
    engine: &Engine,
    request: &ContainerCreateRequest,
) -> Result<Vec<String>, ApiError> {
    let mut fresh = Vec::new();
    for mount in &request.mounts {
        let Some(name) = mount.source.as_deref().filter(|name| !name.is_empty()) else {
            continue;
        };
        if mount.kind != MountRequestKind::Volume {
            continue;
        }
        let found = engine
            .call(Deadline::Read, |docker| async move {
                docker.inspect_volume(name).await
            })
            .await;
        match found {
            Ok(_) => {}
            Err(error) if error.is_not_found() => fresh.push(name.to_owned()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(fresh)
}

/// Removes volumes that were made for a container that did not come to be; nothing has been written to them. One that another
/// container has come to use meanwhile is kept: the engine refuses.
async fn remove_volumes(engine: &Engine, names: &[String]) {
    for name in names {
        let removed = engine
            .call(Deadline::Write, |docker| async move {
                docker
                    .remove_volume(name, None::<RemoveVolumeOptions>)
                    .await
            })
            .await;
        if let Err(error) = removed
            && !error.is_not_found()
        {
            tracing::debug!(%error, name, "remove a volume that was made for a container");
        }
    }
    if !names.is_empty()
        && let Ok(docker) = engine.docker()
        && let Err(error) = engine.mirror.refresh_list(&docker, &Refresh::Volumes).await
    {
        tracing::debug!(%error, "list volumes");
    }
}
