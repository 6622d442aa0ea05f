//! `/containers/{id}/stats`.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::header,
    response::{IntoResponse as _, Response},
    routing::get,
};
use futures_util::StreamExt as _;

use super::{lines::json_line, query::Params};
use crate::{engine::Engine, error::Result};

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Engine>> {
    Router::new().route("/containers/{id}/stats", get(stats))
}

async fn stats(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response> {
    let container = engine.containers.resolve(&id)?;
    if !params.flag_or("stream", true) {
        let frame = container.stats_once(params.flag("one-shot")).await?;
        return Ok(Json(frame).into_response());
    }
    let frames = container
        .stats()
        .map(|frame| frame.and_then(|frame| json_line(&frame)));
    let body = Body::from_stream(frames);
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}
