//! More processes in containers: `/containers/{id}/exec`, `/exec/…`.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use bollard_stubs::models::{ExecConfig, ExecInspectResponse, ExecStartConfig};
use serde_json::{Value, json};

use super::{
    hijack::{self, DetachKeys, Session},
    query::{JsonBody, Params, read_json},
    version::ApiVersion,
};
use crate::{
    container::{self, ExecStart},
    engine::Engine,
    error::{EngineError, Result},
};

type Shared = State<Arc<Engine>>;

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/containers/{id}/exec", post(create))
        .route("/exec/{id}/start", post(start))
        .route("/exec/{id}/json", get(inspect))
        .route("/exec/{id}/resize", post(resize))
}

async fn create(
    State(engine): Shared,
    Path(id): Path<String>,
    JsonBody(config): JsonBody<ExecConfig>,
) -> Result<(StatusCode, Json<Value>)> {
    let container = engine.containers.resolve(&id)?;
    DetachKeys::parse(config.detach_keys.as_deref())?;
    let exec = container::exec_create(&engine, &container, config)?;
    Ok((StatusCode::CREATED, Json(json!({"Id": exec.id()}))))
}

async fn inspect(
    State(engine): Shared,
    Path(id): Path<String>,
) -> Result<Json<ExecInspectResponse>> {
    Ok(Json(container::exec_inspect(&*engine.execs.resolve(&id)?)))
}

async fn resize(
    State(engine): Shared,
    Path(id): Path<String>,
    params: Params,
) -> Result<StatusCode> {
    let exec = engine.execs.resolve(&id)?;
    container::exec_resize(&engine, &exec, super::containers::size(&params)?).await?;
    Ok(StatusCode::OK)
}

async fn start(
    State(engine): Shared,
    Path(id): Path<String>,
    Extension(version): Extension<ApiVersion>,
    request: Request,
) -> Result<Response> {
    let exec = engine.execs.resolve(&id)?;
    // The body is a small object of known length; what follows it on the connection is the process's input.
    let (parts, body) = request.into_parts();
    let config: ExecStartConfig = read_json(&parts.headers, body).await?.unwrap_or_default();
    let request = Request::from_parts(parts, axum::body::Body::empty());
    let detach = config.detach == Some(true);
    let terminal = exec.has_terminal();
    let start = ExecStart {
        detach,
        console_size: container::console_size(config.console_size.as_deref()),
    };
    let outcome = {
        let (all, exec) = (Arc::clone(&engine), Arc::clone(&exec));
        engine
            .complete(async move { container::exec_start(&all, &exec, start).await })
            .await
    };
    let mut session = Session {
        process: None,
        preface: hijack::preface(Vec::new()),
        detach_keys: terminal
            .then(|| DetachKeys::parse(exec.detach_keys()))
            .transpose()?,
        stdin: true,
        content_type: hijack::content_type(version, terminal),
    };
    match outcome {
        Ok(None) => return Ok(StatusCode::OK.into_response()),
        Ok(stream) => session.process = stream,
        Err(error @ (EngineError::Invalid(_) | EngineError::Internal(_))) if !detach => {
            // As Docker: whoever waits at the connection reads why there is no process, and the exec has its status.
            session.preface = hijack::preface(refusal(&error, terminal));
        }
        Err(error) => return Err(error),
    }
    Ok(hijack::respond(
        &engine,
        request,
        session,
        async move |_| exec.settled().await,
    ))
}

/// The words of an error, as output of the process that there is not.
fn refusal(error: &EngineError, terminal: bool) -> Vec<u8> {
    let text = format!("{error}\r\n");
    if terminal {
        return text.into_bytes();
    }
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut frame = vec![1, 0, 0, 0];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(text.as_bytes());
    frame
}
