//! Volumes: `/volumes/…`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use bollard_stubs::models::{Volume, VolumeCreateRequest, VolumeListResponse, VolumePruneResponse};

use super::query::{OptionalJsonBody, Params};
use super::version::ApiVersion;
use crate::blocking;
use crate::engine::Engine;
use crate::error::Result;
use crate::filters::Filters;

/// From this version on `prune` leaves volumes that someone named.
const PRUNE_ANONYMOUS_SINCE: ApiVersion = ApiVersion(1, 42);

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/volumes", get(list))
        .route("/volumes/create", post(create))
        .route("/volumes/prune", post(prune))
        .route("/volumes/{name}", get(inspect).delete(remove))
}

async fn list(
    State(engine): State<Arc<Engine>>,
    params: Params,
) -> Result<Json<VolumeListResponse>> {
    let filters = Filters::parse(
        params.text("filters"),
        &["dangling", "driver", "label", "label!", "name"],
    )?;
    let volumes = engine.volumes.list(&filters)?;
    Ok(Json(VolumeListResponse {
        volumes: Some(volumes),
        warnings: None,
    }))
}

async fn create(
    State(engine): State<Arc<Engine>>,
    OptionalJsonBody(request): OptionalJsonBody<VolumeCreateRequest>,
) -> Result<(StatusCode, Json<Volume>)> {
    let volume = blocking::run(move || engine.volumes.create(request.unwrap_or_default())).await?;
    Ok((StatusCode::CREATED, Json(volume)))
}

async fn inspect(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
) -> Result<Json<Volume>> {
    engine.volumes.inspect(&name).map(Json)
}

async fn remove(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<StatusCode> {
    let force = params.flag("force");
    blocking::run(move || engine.volumes.remove(&name, force)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn prune(
    State(engine): State<Arc<Engine>>,
    Extension(version): Extension<ApiVersion>,
    params: Params,
) -> Result<Json<VolumePruneResponse>> {
    let filters = Filters::parse(params.text("filters"), &["label", "label!", "all"])?;
    let named_too = version < PRUNE_ANONYMOUS_SINCE;
    let (names, bytes) = blocking::run(move || engine.volumes.prune(&filters, named_too)).await?;
    Ok(Json(VolumePruneResponse {
        volumes_deleted: Some(names),
        space_reclaimed: Some(i64::try_from(bytes).unwrap_or(i64::MAX)),
    }))
}
