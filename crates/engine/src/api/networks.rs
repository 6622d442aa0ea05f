//! Networks: `/networks/…`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use bollard_stubs::models::{
    NetworkConnectRequest, NetworkCreateRequest, NetworkCreateResponse, NetworkDisconnectRequest,
    NetworkInspect, NetworkPruneResponse,
};

use super::query::{JsonBody, Params};
use crate::blocking;
use crate::container;
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::filters::Filters;

const LIST_FILTERS: [&str; 8] = [
    "dangling", "driver", "id", "label", "label!", "name", "scope", "type",
];

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/networks", get(list))
        .route("/networks/create", post(create))
        .route("/networks/prune", post(prune))
        .route("/networks/{id}", get(inspect).delete(remove))
        .route("/networks/{id}/connect", post(connect))
        .route("/networks/{id}/disconnect", post(disconnect))
}

async fn list(
    State(engine): State<Arc<Engine>>,
    params: Params,
) -> Result<Json<Vec<NetworkInspect>>> {
    let filters = Filters::parse(params.text("filters"), &LIST_FILTERS)?;
    let mut networks = engine.networks.list(&filters)?;
    for network in &mut networks {
        // As Docker: a list does not say who is connected; its inspect does.
        network.containers = Some(std::collections::HashMap::new());
    }
    Ok(Json(networks))
}

async fn create(
    State(engine): State<Arc<Engine>>,
    JsonBody(request): JsonBody<NetworkCreateRequest>,
) -> Result<(StatusCode, Json<NetworkCreateResponse>)> {
    let (id, warning) = blocking::run(move || engine.networks.create(request)).await?;
    Ok((
        StatusCode::CREATED,
        Json(NetworkCreateResponse { id, warning }),
    ))
}

async fn inspect(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
) -> Result<Json<NetworkInspect>> {
    engine.networks.inspect(&id).map(Json)
}

async fn remove(State(engine): State<Arc<Engine>>, Path(id): Path<String>) -> Result<StatusCode> {
    blocking::run(move || engine.networks.remove(&id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn connect(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<NetworkConnectRequest>,
) -> Result<StatusCode> {
    let container = engine.containers.resolve(&request.container)?;
    let settings = request.endpoint_config.unwrap_or_default();
    // A task of the engine: half a connection is none, whether or not the client waits.
    let tasks = engine.tasks.clone();
    let work = async move { container::connect(&engine, &container, &id, settings).await };
    let done = tasks.spawn(work).await;
    done.map_err(EngineError::io("connect", "container"))??;
    Ok(StatusCode::OK)
}

async fn disconnect(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<NetworkDisconnectRequest>,
) -> Result<StatusCode> {
    let container = engine.containers.resolve(&request.container)?;
    let tasks = engine.tasks.clone();
    let work = async move { container::disconnect(&engine, &container, &id).await };
    let done = tasks.spawn(work).await;
    done.map_err(EngineError::io("disconnect", "container"))??;
    Ok(StatusCode::OK)
}

async fn prune(
    State(engine): State<Arc<Engine>>,
    params: Params,
) -> Result<Json<NetworkPruneResponse>> {
    let filters = Filters::parse(params.text("filters"), &["label", "label!", "until"])?;
    let removed = blocking::run(move || engine.networks.prune(&filters)).await?;
    Ok(Json(NetworkPruneResponse {
        networks_deleted: Some(removed),
    }))
}
