//! A volume as a whole: backup to a tar archive, restore from one, clone.

use api::{
    file::{VolumeCloneRequest, VolumeRestoreQuery},
    job::{Job, JobKind},
    problem::ProblemCode,
    revision::Written,
};
use axum::{
    Json,
    body::Body as HttpBody,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use bollard::{
    body_try_stream,
    query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder},
};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::files::{Place, VolumePath, attachment, must_be};
use crate::{
    engines::Deadline,
    filesystem::{CleanPath, MOUNTED_AT},
    http::{ApiError, Body, Caller, Params, QueryParams},
    jobs::{Failure, JobHandle, NewJob},
    mirror::Refresh,
    state::AppState,
};

/// What is in the volume, named from its root.
fn whole() -> bollard::query_parameters::DownloadFromContainerOptions {
    let path = format!("{MOUNTED_AT}/.");
    DownloadFromContainerOptionsBuilder::default()
        .path(&path)
        .build()
}

/// `GET /engines/{engine}/volumes/{volume}/backup`
pub(crate) async fn backup(
    State(state): State<AppState>,
    caller: Caller,
    at: VolumePath,
) -> Result<Response, ApiError> {
    let name = at.0.1.clone();
    let place = Place::volume(&state, &caller, at).await?;
    let docker = place.engine.docker()?;
    let archive = docker
        .download_from_container(&place.container, Some(whole()))
        .map_err(|error| std::io::Error::other(error.to_string()));
    // The place is held until the last byte is out.
    let archive = archive.inspect(move |_| {
        let _held = &place;
    });
    let mut response = HttpBody::from_stream(archive).into_response();
    attachment(&mut response, &format!("{name}.tar"), "application/x-tar");
    Ok(response)
}

/// `PUT /engines/{engine}/volumes/{volume}/restore`
pub(crate) async fn restore(
    State(state): State<AppState>,
    caller: Caller,
    at: VolumePath,
    QueryParams(query): QueryParams<VolumeRestoreQuery>,
    request: Request,
) -> Result<Json<Written>, ApiError> {
    must_be(request.headers(), &["application/x-tar"])?;
    let name = at.0.1.clone();
    let place = Place::volume(&state, &caller, at).await?;
    let running: Vec<String> = place
        .engine
        .mirror
        .containers()
        .iter()
        .filter(|one| {
            one.state == api::container::ContainerState::Running
                && one.volumes.iter().any(|volume| volume == name.as_str())
        })
        .map(|one| one.name.clone())
        .collect();
    if !running.is_empty() && query.force != Some(true) {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            ProblemCode::Conflict,
            format!("running containers use the volume: {}", running.join(", ")),
        )
        .hint("stop them first, or restore with force=true under their feet"));
    }
    let root = CleanPath::parse("path", "/")?;
    place.unpack(&root, request).await?;
    Ok(Json(Written {
        rev: None,
        warnings: Vec::new(),
    }))
}

/// `POST /engines/{engine}/volumes/{volume}/clone`
pub(crate) async fn clone(
    State(state): State<AppState>,
    caller: Caller,
    Params((engine, volume)): VolumePath,
    Body(request): Body<VolumeCloneRequest>,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    let from = Place::volume(&state, &caller, Params((engine.clone(), volume.clone()))).await?;
    let name = request.name;
    if from
        .engine
        .mirror
        .volumes()
        .iter()
        .any(|one| one.name == name.as_str())
    {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            ProblemCode::Conflict,
            format!("a volume {name} exists already"),
        )
        .fields(vec![api::problem::FieldError {
            field: "name".to_owned(),
            message: "is in use by another volume".to_owned(),
        }]));
    }
    let new = NewJob {
        kind: JobKind::CloneVolume,
        title: format!("Clone {volume} into {name}"),
        engine: Some(engine.clone()),
        started_by: Some(caller.user().to_owned()),
    };
    let size = from
        .engine
        .mirror
        .volumes()
        .into_iter()
        .find(|one| one.name == volume.as_str())
        .and_then(|one| one.size_bytes);
    let jobs = state.background.jobs.clone();
    let job = jobs
        .start(new, move |job| async move {
            let copied = copy(&state, &from, name.as_str(), size, &job).await;
            if copied.is_err() {
                take_away(&state, &from, name.as_str()).await;
            }
            if let Ok(docker) = from.engine.docker()
                && let Err(error) = from
                    .engine
                    .mirror
                    .refresh_list(&docker, &Refresh::Volumes)
                    .await
            {
                tracing::debug!(%error, "list volumes");
            }
            copied.map(|()| Some(name.to_string()))
        })
        .await?;
    Ok((StatusCode::ACCEPTED, Json(job)))
}

async fn copy(
    state: &AppState,
    from: &Place,
    name: &str,
    size: Option<u64>,
    job: &JobHandle,
) -> Result<(), Failure> {
    let docker = from
        .engine
        .docker()
        .map_err(|error| Failure::new(ProblemCode::EngineUnreachable, error.to_string()))?;
    let body = bollard::models::VolumeCreateRequest {
        name: Some(name.to_owned()),
        ..Default::default()
    };
    job.unless_cancelled(docker.create_volume(body)).await?;
    let lease = state
        .helpers
        .of(state, &from.engine, name)
        .await
        .map_err(|error| Failure::new(error.code(), error.detail()))?;
    let counted = job.clone();
    let mut sent = 0_u64;
    let source = docker.clone();
    let archive = source
        .download_from_container(&from.container, Some(whole()))
        .map(move |piece| {
            let piece = piece.map_err(|error| std::io::Error::other(error.to_string()))?;
            sent += piece.len() as u64;
            counted.step(
                "copy",
                "Copies files",
                Some(sent),
                size.map(|size| size.max(sent)),
            );
            Ok(piece)
        });
    let options = UploadToContainerOptionsBuilder::default()
        .path(MOUNTED_AT)
        .copy_uidgid("1")
        .build();
    let done = docker.upload_to_container(&lease.id, Some(options), body_try_stream(archive));
    job.unless_cancelled(done).await
}

/// A half copy is of no use to anybody.
async fn take_away(state: &AppState, from: &Place, name: &str) {
    state.helpers.release(&from.engine, name).await;
    let removed = from
        .engine
        .call(Deadline::Write, |docker| async move {
            docker
                .remove_volume(name, None::<bollard::query_parameters::RemoveVolumeOptions>)
                .await
        })
        .await;
    if let Err(error) = removed {
        tracing::debug!(%error, name, "remove a half copied volume");
    }
}
