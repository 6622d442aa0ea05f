//! `/commit`: an image out of a container.

use std::sync::Arc;

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use bollard_stubs::models::ContainerConfig;
use serde_json::{Value, json};

use super::{
    images::target,
    query::{OptionalJsonBody, Params},
};
use crate::{
    container::{self, CommitRequest},
    engine::Engine,
    error::{EngineError, Result},
};

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Engine>> {
    Router::new().route("/commit", post(commit))
}

async fn commit(
    State(engine): State<Arc<Engine>>,
    params: Params,
    OptionalJsonBody(config): OptionalJsonBody<Option<ContainerConfig>>,
) -> Result<(StatusCode, Json<Value>)> {
    let container = engine.containers.resolve(params.required("container")?)?;
    let reference = target(&params, "repo")?;
    if reference
        .as_ref()
        .is_some_and(|reference| reference.digest().is_some())
    {
        return Err(EngineError::Invalid(
            "cannot import digest reference".to_owned(),
        ));
    }
    let text = |key: &str| params.text(key).unwrap_or_default().to_owned();
    let request = CommitRequest {
        config: config.flatten(),
        changes: params.all("changes").to_vec(),
        comment: text("comment"),
        author: text("author"),
        pause: params.flag_or("pause", true),
        reference,
    };
    // A task of the engine: a client that goes away must not leave the container frozen.
    let work = container::commit(Arc::clone(&engine), container, request);
    let done = engine.tasks.spawn(work).await;
    let image = done.map_err(EngineError::io("commit", "container"))??;
    Ok((StatusCode::CREATED, Json(json!({ "Id": image.id }))))
}
