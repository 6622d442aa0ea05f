//! The server, its host and the engines.

use api::{
    capability::Capabilities,
    engine::{DiskUsage, EngineInfo},
    id::EngineName,
    live::Items,
    openapi::{ApiDocument, document as document_of_all},
    page::ListQuery,
};
use axum::{Json, extract::State, response::Response};
use bollard::query_parameters::DataUsageOptions;

use super::{engine_of, page};
use crate::{
    capabilities::{host, of_host},
    engines::{CallError, Deadline},
    http::{ApiError, Params, QueryParams},
    mirror::positive,
    state::AppState,
};

/// Measuring all volumes of an engine may take so long.
const MEASURE_LIMIT: std::time::Duration = std::time::Duration::from_mins(1);

/// `GET /openapi.json`
pub(crate) async fn document() -> Result<Json<ApiDocument>, ApiError> {
    let document = serde_json::to_value(document_of_all()).map_err(ApiError::internal)?;
    Ok(Json(ApiDocument(document)))
}

/// `GET /capabilities`
pub(crate) async fn capabilities(State(state): State<AppState>) -> Json<Capabilities> {
    let host = host();
    Json(Capabilities {
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
        features: of_host(&host),
        host,
        engines: state.engines.iter().map(|engine| engine.info()).collect(),
    })
}

/// `GET /engines`
pub(crate) async fn engines(State(state): State<AppState>) -> Json<Items<EngineInfo>> {
    Json(Items {
        items: state.engines.iter().map(|engine| engine.info()).collect(),
    })
}

/// `GET /engines/{engine}`
pub(crate) async fn engine(
    State(state): State<AppState>,
    Params(name): Params<EngineName>,
) -> Result<Json<EngineInfo>, ApiError> {
    Ok(Json(engine_of(&state, &name)?.info()))
}

/// `GET /engines/{engine}/events`
pub(crate) async fn events(
    State(state): State<AppState>,
    Params(name): Params<EngineName>,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Response, ApiError> {
    page::answer(&query, engine_of(&state, &name)?.mirror.events())
}

/// `GET /engines/{engine}/disk-usage`
pub(crate) async fn disk_usage(
    State(state): State<AppState>,
    Params(name): Params<EngineName>,
) -> Result<Json<DiskUsage>, ApiError> {
    let engine = engine_of(&state, &name)?;
    match engine.measure_disk(MEASURE_LIMIT).await {
        Ok(measured) => return Ok(Json(measured.disk)),
        Err(timeout @ CallError::Timeout { .. }) => return Err(timeout.into()),
        Err(error) => tracing::debug!(%error, "measure an engine's disk"),
    }
    // Over TLS, and of engines that know only the newer form.
    let usage = engine
        .call(Deadline::Slow(0), |docker| async move {
            docker.df(None::<DataUsageOptions>).await
        })
        .await?;
    let bytes = |value: Option<i64>| positive(value).unwrap_or_default();
    let images = usage.image_usage.unwrap_or_default();
    let containers = usage.container_usage.unwrap_or_default();
    let volumes = usage.volume_usage.unwrap_or_default();
    let cache = usage.build_cache_usage.unwrap_or_default();
    let reclaimable = [
        images.reclaimable,
        containers.reclaimable,
        volumes.reclaimable,
        cache.reclaimable,
    ];
    Ok(Json(DiskUsage {
        layers_bytes: bytes(images.total_size),
        containers_bytes: bytes(containers.total_size),
        volumes_bytes: bytes(volumes.total_size),
        build_cache_bytes: bytes(cache.total_size),
        reclaimable_bytes: reclaimable.into_iter().map(bytes).sum(),
    }))
}
