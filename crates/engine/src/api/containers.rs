//! Containers: their life, `/containers/…`.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{delete, get, post},
};
use bollard_stubs::models::{ContainerSummary, ContainerUpdateBody};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use shim_protocol::{AttachStreams, ConsoleSize};

use super::{
    hijack::{self, DetachKeys, Ending, Session},
    query::{JsonBody, Params},
    version::ApiVersion,
};
use crate::{
    blocking,
    container::{
        self, Container, CreateRequest, LIST_FILTERS, ListRequest, LogFormat, LogRequest, Phase,
        RemoveRequest, StopRequest, signals,
    },
    engine::Engine,
    error::{EngineError, Result},
    events::EventKind,
    filters::Filters,
    image::Platform,
    time,
};

type Shared = State<Arc<Engine>>;

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/containers/json", get(list))
        .route("/containers/create", post(create))
        .route("/containers/{id}", delete(remove))
        .route("/containers/{id}/json", get(inspect))
        .route("/containers/{id}/start", post(start))
        .route("/containers/{id}/stop", post(stop))
        .route("/containers/{id}/restart", post(restart))
        .route("/containers/{id}/kill", post(kill))
        .route("/containers/{id}/pause", post(pause))
        .route("/containers/{id}/unpause", post(unpause))
        .route("/containers/{id}/rename", post(rename))
        .route("/containers/{id}/update", post(update))
        .route("/containers/{id}/resize", post(resize))
        .route("/containers/{id}/wait", post(wait))
        .route("/containers/{id}/attach", post(attach))
}

async fn list(State(engine): Shared, params: Params) -> Result<Json<Vec<ContainerSummary>>> {
    let request = ListRequest {
        all: params.flag("all"),
        limit: params
            .number::<i64>("limit")?
            .and_then(|limit| usize::try_from(limit).ok())
            .filter(|limit| *limit > 0),
        size: params.flag("size"),
        filters: Filters::parse(params.text("filters"), LIST_FILTERS)?,
    };
    if request.size {
        return blocking::run(move || container::list(&engine, &request))
            .await
            .map(Json);
    }
    container::list(&engine, &request).map(Json)
}

async fn create(
    State(engine): Shared,
    params: Params,
    JsonBody(body): JsonBody<Value>,
) -> Result<Response> {
    let request = CreateRequest {
        // A slash before the name is fine.
        name: params
            .text("name")
            .map(|name| name.strip_prefix('/').unwrap_or(name).to_owned()),
        body,
        platform: params.text("platform").map(Platform::parse).transpose()?,
    };
    let created = blocking::run(move || container::create(&engine, request)).await?;
    let answer = json!({"Id": created.container.id(), "Warnings": created.warnings});
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

async fn inspect(
    State(engine): Shared,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>> {
    let container = engine.containers.resolve(&id)?;
    let size = params.flag("size");
    if size {
        return blocking::run(move || container::inspect(&engine, &container, true))
            .await
            .map(Json);
    }
    container::inspect(&engine, &container, false).map(Json)
}

async fn start(
    State(engine): Shared,
    Path(id): Path<String>,
    params: Params,
) -> Result<StatusCode> {
    let container = engine.containers.resolve(&id)?;
    if let Some(keys) = params.text("detachKeys") {
        DetachKeys::parse(Some(keys))?;
    }
    let all = Arc::clone(&engine);
    engine
        .complete(async move { container::start(&all, &container).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn stop_request(params: &Params) -> Result<StopRequest> {
    Ok(StopRequest {
        timeout_seconds: params.number("t")?,
        signal: params.text("signal").map(signals::parse).transpose()?,
    })
}

async fn stop(State(engine): Shared, Path(id): Path<String>, params: Params) -> Result<StatusCode> {
    let container = engine.containers.resolve(&id)?;
    let request = stop_request(&params)?;
    let all = Arc::clone(&engine);
    engine
        .complete(async move { container::stop(&all, &container, request).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn restart(
    State(engine): Shared,
    Path(id): Path<String>,
    params: Params,
) -> Result<StatusCode> {
    let container = engine.containers.resolve(&id)?;
    let request = stop_request(&params)?;
    let all = Arc::clone(&engine);
    engine
        .complete(async move { container::restart(&all, &container, request).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn kill(State(engine): Shared, Path(id): Path<String>, params: Params) -> Result<StatusCode> {
    let container = engine.containers.resolve(&id)?;
    let signal = params
        .text("signal")
        .map_or(Ok(signals::KILL), signals::parse)?;
    let all = Arc::clone(&engine);
    engine
        .complete(async move { container::kill(&all, &container, signal).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn pause(State(engine): Shared, Path(id): Path<String>) -> Result<StatusCode> {
    let container = engine.containers.resolve(&id)?;
    let all = Arc::clone(&engine);
    engine
        .complete(async move { container::pause(&all, &container).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unpause(State(engine): Shared, Path(id): Path<String>) -> Result<StatusCode> {
    let container = engine.containers.resolve(&id)?;
    let all = Arc::clone(&engine);
    engine
        .complete(async move { container::unpause(&all, &container).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn rename(
    State(engine): Shared,
    Path(id): Path<String>,
    params: Params,
) -> Result<StatusCode> {
    let container = engine.containers.resolve(&id)?;
    let name = params.text("name").unwrap_or_default().to_owned();
    let all = Arc::clone(&engine);
    engine
        .complete(async move { container::rename(&all, &container, &name).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn update(
    State(engine): Shared,
    Path(id): Path<String>,
    JsonBody(asked): JsonBody<ContainerUpdateBody>,
) -> Result<Json<Value>> {
    let container = engine.containers.resolve(&id)?;
    let all = Arc::clone(&engine);
    let warnings = engine
        .complete(async move { container::update(&all, &container, asked).await })
        .await?;
    Ok(Json(json!({"Warnings": warnings})))
}

/// Reads a terminal's size from `h` and `w`.
pub(super) fn size(params: &Params) -> Result<ConsoleSize> {
    let (Some(height), Some(width)) = (params.number("h")?, params.number("w")?) else {
        return Err(EngineError::Invalid(
            "a terminal's size is h rows and w columns".to_owned(),
        ));
    };
    Ok(ConsoleSize { height, width })
}

async fn resize(
    State(engine): Shared,
    Path(id): Path<String>,
    params: Params,
) -> Result<StatusCode> {
    let container = engine.containers.resolve(&id)?;
    container::resize(&engine, &container, size(&params)?).await?;
    Ok(StatusCode::OK)
}

async fn remove(
    State(engine): Shared,
    Path(id): Path<String>,
    params: Params,
) -> Result<StatusCode> {
    let container = engine.containers.resolve(&id)?;
    if params.flag("link") {
        return Err(EngineError::Unsupported(
            "links: not supported by this engine".to_owned(),
        ));
    }
    let request = RemoveRequest {
        force: params.flag("force"),
        volumes: params.flag("v"),
    };
    let all = Arc::clone(&engine);
    engine
        .complete(async move { container::remove(&all, &container, request).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Answers at once, with the head alone: the docker command line waits for that before it starts the container. What it
/// waits for comes as the body.
async fn wait(State(engine): Shared, Path(id): Path<String>, params: Params) -> Result<Response> {
    let container = engine.containers.resolve(&id)?;
    let condition = params.text("condition").unwrap_or("not-running");
    let until: fn(&Phase, &Phase) -> bool = match condition {
        "not-running" => {
            |before, now| !now.running && (!now.restarting || now.exits > before.exits)
        }
        "next-exit" => |before, now| now.exits > before.exits,
        "removed" => |_, now| now.removed,
        other => {
            return Err(EngineError::Invalid(format!(
                "invalid condition: {other:?}"
            )));
        }
    };
    let mut phases = container.phase();
    let before = *phases.borrow_and_update();
    let body = futures_util::stream::once(async move {
        let ended = phases
            .wait_for(|now| until(&before, now) || now.removed)
            .await
            .map(|phase| *phase)
            .unwrap_or_default();
        let answer = json!({"StatusCode": ended.exit_code});
        Ok::<_, std::io::Error>(format!("{answer}\n"))
    });
    let headers = [(header::CONTENT_TYPE, "application/json")];
    Ok((headers, axum::body::Body::from_stream(body)).into_response())
}

async fn attach(
    State(engine): Shared,
    Path(id): Path<String>,
    params: Params,
    Extension(version): Extension<ApiVersion>,
    request: Request,
) -> Result<Response> {
    let container = engine.containers.resolve(&id)?;
    let terminal = container.record().has_terminal();
    let keys = DetachKeys::parse(params.text("detachKeys"))?;
    let wanted = AttachStreams {
        stdin: params.flag("stdin"),
        stdout: params.flag("stdout"),
        stderr: params.flag("stderr"),
    };
    let process = if params.flag("stream") {
        Some(container::attach(&engine, &container, wanted).await?)
    } else {
        None
    };
    // After it was attached: a line that comes meanwhile may be seen twice, but none is missed.
    let preface = if params.flag("logs") {
        let request = LogRequest {
            stdout: wanted.stdout,
            stderr: wanted.stderr,
            until_ns: Some(time::now_ns()),
            format: LogFormat {
                multiplexed: !terminal,
                timestamps: false,
            },
            ..LogRequest::default()
        };
        container.logs(request, &engine.log_watch)?.boxed()
    } else {
        hijack::preface(Vec::new())
    };
    let session = Session {
        process,
        preface,
        detach_keys: terminal.then_some(keys),
        stdin: wanted.stdin,
        content_type: hijack::content_type(version, terminal),
    };
    let all = Arc::clone(&engine);
    Ok(hijack::respond(
        &engine,
        request,
        session,
        async move |ending| {
            if ending == Ending::Detached {
                publish_detach(&all, &container);
            }
        },
    ))
}

fn publish_detach(engine: &Engine, container: &Container) {
    engine.events.publish(
        EventKind::Container,
        "detach",
        container.id(),
        container.event_attributes(),
    );
}
