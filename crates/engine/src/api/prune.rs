//! `/containers/prune`.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};

use super::query::Params;
use crate::{
    container::{self, PRUNE_FILTERS},
    engine::Engine,
    error::Result,
    filters::Filters,
};

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Engine>> {
    Router::new().route("/containers/prune", post(prune))
}

async fn prune(State(engine): State<Arc<Engine>>, params: Params) -> Result<Json<Value>> {
    let filters = Filters::parse(params.text("filters"), PRUNE_FILTERS)?;
    let pruned = container::prune(&engine, &filters).await?;
    // No containers are `null`, as clients of Docker know it.
    let deleted = Some(pruned.containers).filter(|ids| !ids.is_empty());
    Ok(Json(
        json!({ "ContainersDeleted": deleted, "SpaceReclaimed": pruned.freed_bytes }),
    ))
}
