//! Volumes: list, detail, making, removing with a preview.

use api::{
    container::{BulkItemResult, BulkResult},
    id::{EngineName, VolumeName},
    page::ListQuery,
    preview::{Preview, PreviewItem},
    problem::ProblemCode,
    volume::{
        VolumeCreateRequest, VolumeDetail, VolumePreviewRequest, VolumeRemoveRequest, VolumeSummary,
    },
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use bollard::{models, query_parameters::RemoveVolumeOptions};

use super::{engine_of, page, policy};
use crate::{
    engines::{Deadline, Engine},
    http::{ApiError, Body, Caller, Params, QueryParams},
    mask::{DOTS, is_secret},
    mirror::{Refresh, volume_row},
    preview::{Found, Plan},
    state::AppState,
};

/// A preview waits so long for sizes.
const PREVIEW_LIMIT: std::time::Duration = std::time::Duration::from_secs(5);

/// `GET /engines/{engine}/volumes`
pub(crate) async fn list(
    State(state): State<AppState>,
    Params(name): Params<EngineName>,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Response, ApiError> {
    let engine = engine_of(&state, &name)?;
    engine.show_volume_sizes(&state.tasks);
    page::answer(&query, engine.mirror.volumes())
}

/// `GET /engines/{engine}/volumes/{volume}`
pub(crate) async fn detail(
    State(state): State<AppState>,
    Params((engine, name)): Params<(EngineName, VolumeName)>,
) -> Result<Json<VolumeDetail>, ApiError> {
    let engine = engine_of(&state, &engine)?;
    let key = name.as_str();
    let volume = engine
        .call(Deadline::Read, |docker| async move {
            docker.inspect_volume(key).await
        })
        .await?;
    Ok(Json(whole(&engine, volume)))
}

/// `POST /engines/{engine}/volumes`
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Params(engine): Params<EngineName>,
    Body(request): Body<VolumeCreateRequest>,
) -> Result<(StatusCode, Json<VolumeDetail>), ApiError> {
    let engine = engine_of(&state, &engine)?;
    policy::may_create_volume(caller.role(), &request)?;
    // Docker answers an existing volume as if it were new; a person who makes one wants to know.
    if let Some(name) = &request.name
        && engine
            .mirror
            .volumes()
            .iter()
            .any(|volume| volume.name == name.as_str())
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
    let body = models::VolumeCreateRequest {
        name: request.name.map(String::from),
        driver: request.driver.or_else(|| Some("local".to_owned())),
        driver_opts: Some(request.driver_options.into_iter().collect()),
        labels: Some(request.labels.into_iter().collect()),
        ..Default::default()
    };
    let volume = engine
        .call(Deadline::Write, |docker| async move {
            docker.create_volume(body).await
        })
        .await?;
    refresh(&engine).await;
    Ok((StatusCode::CREATED, Json(whole(&engine, volume))))
}

/// `POST /engines/{engine}/volumes/preview`
pub(crate) async fn preview(
    State(state): State<AppState>,
    caller: Caller,
    Params(engine): Params<EngineName>,
    Body(request): Body<VolumePreviewRequest>,
) -> Result<Json<Preview>, ApiError> {
    let engine = engine_of(&state, &engine)?;
    refresh(&engine).await;
    let names: Vec<String> = if request.prune {
        engine
            .mirror
            .volumes()
            .into_iter()
            .filter(|volume| volume.used_by.is_empty())
            .map(|volume| volume.name)
            .collect()
    } else {
        request.names.iter().map(ToString::to_string).collect()
    };
    if names.is_empty() && !request.prune {
        return Err(ApiError::invalid_field(
            "names",
            "must name a volume, or prune must be set",
        ));
    }
    // What would be lost is measured now; when that takes too long its size is not told.
    if let Err(error) = engine.measure_disk(PREVIEW_LIMIT).await {
        tracing::debug!(%error, "measure volumes for a preview");
    }
    let found = find(&engine, names)?;
    state
        .previews
        .keep(caller.user(), &engine.name, found)
        .map(Json)
}

/// `POST /engines/{engine}/volumes/remove`
pub(crate) async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Params(engine): Params<EngineName>,
    Body(request): Body<VolumeRemoveRequest>,
) -> Result<Json<BulkResult>, ApiError> {
    let engine = engine_of(&state, &engine)?;
    let confirmed = state
        .previews
        .take(&request.preview_token, caller.user(), &engine.name)?;
    let Plan::Volumes { names } = confirmed.plan.clone() else {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            ProblemCode::PreviewRequired,
            "the preview was not of volumes",
        ));
    };
    refresh(&engine).await;
    confirmed.still_holds(&find(&engine, names.clone())?)?;
    let mut results = Vec::new();
    for name in names {
        let key = name.as_str();
        // Ours may still hold it from a look at its files.
        state.helpers.release(&engine, key).await;
        let removed = engine
            .call(Deadline::Write, |docker| async move {
                docker.remove_volume(key, None::<RemoveVolumeOptions>).await
            })
            .await;
        let problem = match removed {
            Err(error) if !error.is_not_found() => Some(ApiError::from(error).into_problem()),
            _ => None,
        };
        results.push(BulkItemResult {
            id: name.clone(),
            name,
            ok: problem.is_none(),
            problem,
        });
    }
    refresh(&engine).await;
    Ok(Json(BulkResult { results, rev: None }))
}

fn whole(engine: &Engine, volume: models::Volume) -> VolumeDetail {
    let options = volume
        .options
        .iter()
        .map(|(key, value)| {
            (
                key.clone(),
                if is_secret(key) || value.contains("password=") {
                    DOTS.to_owned()
                } else {
                    value.clone()
                },
            )
        })
        .collect();
    let known = engine
        .mirror
        .volumes()
        .into_iter()
        .find(|known| known.name == volume.name);
    let fresh = volume_row(&engine.name, volume);
    let used_by = known
        .as_ref()
        .map(|known| known.used_by.clone())
        .unwrap_or_default();
    VolumeDetail {
        summary: VolumeSummary { used_by, ..fresh },
        options,
    }
}

/// Finds out what removal would do; the same for the preview and for its confirmation.
fn find(engine: &Engine, names: Vec<String>) -> Result<Found, ApiError> {
    let all = engine.mirror.volumes();
    let mut items = Vec::new();
    let mut freed = Some(0_u64);
    for name in &names {
        let volume = all
            .iter()
            .find(|volume| volume.name == *name)
            .ok_or_else(|| ApiError::not_found(format!("volume: {name}")))?;
        freed = freed
            .zip(volume.size_bytes)
            .map(|(sum, bytes)| sum.saturating_add(bytes));
        let note = (!volume.used_by.is_empty())
            .then(|| "containers use it: the engine will refuse".to_owned());
        items.push(PreviewItem {
            kind: "volume".to_owned(),
            id: volume.name.clone(),
            name: volume.name.clone(),
            bytes: volume.size_bytes,
            used_by: volume.used_by.clone(),
            note,
        });
    }
    let undo = "Everything in a volume is lost and cannot be brought back.".to_owned();
    Ok(Found {
        plan: Plan::Volumes { names },
        items,
        freed_bytes: freed,
        warnings: Vec::new(),
        undo,
    })
}

async fn refresh(engine: &Engine) {
    if let Ok(docker) = engine.docker()
        && let Err(error) = engine.mirror.refresh_list(&docker, &Refresh::Volumes).await
    {
        tracing::debug!(%error, "list volumes");
    }
}
