//! Figures, their past, and the inside of containers.

use api::{
    host::{HostFigures, HostHistory},
    id::{ContainerId, EngineName},
    inside::Inside,
    problem::ProblemCode,
    stats::{HistoryQuery, StatsHistory},
};
use axum::{Json, extract::State, http::StatusCode};
use bollard::query_parameters::InspectContainerOptions;

use super::Target;
use crate::{
    engines::Deadline,
    http::{ApiError, Params, QueryParams},
    inside,
    state::AppState,
};

type Path = Params<(EngineName, ContainerId)>;

/// `GET /host`
pub(crate) async fn host(State(state): State<AppState>) -> Result<Json<HostFigures>, ApiError> {
    state.hub.figures.host().map(Json).ok_or_else(|| {
        let detail = "there are no figures of this machine (yet)";
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            ProblemCode::Unsupported,
            detail,
        )
        .hint("figures of the machine are read on Linux, from the second second on")
    })
}

/// `GET /host/history`
pub(crate) async fn host_history(
    State(state): State<AppState>,
    QueryParams(query): QueryParams<HistoryQuery>,
) -> Result<Json<HostHistory>, ApiError> {
    Ok(Json(
        state
            .background
            .history
            .host(query.range_s, query.points)
            .await?,
    ))
}

/// `GET /engines/{engine}/containers/{container}/stats`
pub(crate) async fn container_history(
    State(state): State<AppState>,
    Params((engine, id)): Path,
    QueryParams(query): QueryParams<HistoryQuery>,
) -> Result<Json<StatsHistory>, ApiError> {
    let target = Target::find(&state, &engine, &id).await?;
    let history = state
        .background
        .history
        .container(&engine, target.id(), query.range_s, query.points)
        .await?;
    Ok(Json(history))
}

/// `GET /engines/{engine}/containers/{container}/inside`
pub(crate) async fn inside(
    State(state): State<AppState>,
    Params((engine, id)): Path,
) -> Result<Json<Inside>, ApiError> {
    let target = Target::find(&state, &engine, &id).await?;
    let id = target.id().to_owned();
    let look = |docker: bollard::Docker| async move {
        docker
            .inspect_container(&id, None::<InspectContainerOptions>)
            .await
    };
    let found = target.engine.call(Deadline::Read, look).await?;
    Ok(Json(
        inside::inside(&engine, &found, target.engine.is_local()).await,
    ))
}
