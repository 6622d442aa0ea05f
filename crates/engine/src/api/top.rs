//! `/containers/{id}/top`.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use bollard_stubs::models::ContainerTopResponse;

use super::query::Params;
use crate::{blocking, engine::Engine, error::Result};

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Engine>> {
    Router::new().route("/containers/{id}/top", get(top))
}

async fn top(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<ContainerTopResponse>> {
    let container = engine.containers.resolve(&id)?;
    let arguments = params.text("ps_args").map(str::to_owned);
    let processes = blocking::run(move || container.top(arguments.as_deref())).await?;
    Ok(Json(processes))
}
