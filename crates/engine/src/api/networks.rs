//! Networks: `/networks/…`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use bollard_stubs::models::{
    NetworkCreateRequest, NetworkCreateResponse, NetworkInspect, NetworkPruneResponse,
};

use super::query::{JsonBody, Params};
use crate::blocking;
use crate::engine::Engine;
use crate::error::Result;
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
