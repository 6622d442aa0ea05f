//! A container's files: `/containers/{id}/archive`, `export` and `changes`.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use base64::Engine as _;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use serde_json::{Value, json};

use super::query::Params;
use crate::{
    blocking,
    container::{ExtractOptions, PathStat},
    engine::Engine,
    error::{EngineError, Result},
    events::EventKind,
    layer::Access,
    transfer::write_body,
};

const STAT_HEADER: &str = "x-docker-container-path-stat";
const TAR: &str = "application/x-tar";

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/containers/{id}/archive", get(read).head(stat).put(write))
        .route("/containers/{id}/export", get(export))
        .route("/containers/{id}/changes", get(changes))
}

/// The path that a request is about.
fn path_of(params: &Params) -> Result<String> {
    let path = params
        .text("path")
        .ok_or_else(|| EngineError::Invalid("bad parameter: path cannot be empty".to_owned()))?;
    Ok(path.to_owned())
}

fn stat_header(stat: &PathStat) -> Result<[(&'static str, String); 1]> {
    let json = serde_json::to_vec(stat).map_err(EngineError::io("write", "stat"))?;
    let text = base64::engine::general_purpose::STANDARD.encode(json);
    Ok([(STAT_HEADER, text)])
}

async fn stat(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response> {
    let container = engine.containers.resolve(&id)?;
    let path = path_of(&params)?;
    let found = blocking::run(move || {
        let files = engine.container_files(&container, Access::Read)?;
        files.find(&id, &path)
    })
    .await?;
    Ok((stat_header(&found.stat)?, StatusCode::OK).into_response())
}

async fn read(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response> {
    let container = engine.containers.resolve(&id)?;
    let path = path_of(&params)?;
    let (open_engine, open_container) = (Arc::clone(&engine), Arc::clone(&container));
    let (files, found) = blocking::run(move || {
        let files = open_engine.container_files(&open_container, Access::Read)?;
        let found = files.find(&id, &path)?;
        Ok((files, found))
    })
    .await?;
    engine.events.publish(
        EventKind::Container,
        "archive-path",
        container.id(),
        container.event_attributes(),
    );
    let stat = stat_header(&found.stat)?;
    let archive = tar(write_body(move |writer| files.pack(&found, writer)));
    Ok((stat, archive).into_response())
}

fn tar(archive: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Response {
    let body = Body::from_stream(archive.map_err(std::io::Error::other));
    ([(header::CONTENT_TYPE, TAR)], body).into_response()
}

async fn write(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    params: Params,
    body: Body,
) -> Result<StatusCode> {
    let container = engine.containers.resolve(&id)?;
    let path = path_of(&params)?;
    let options = ExtractOptions {
        keep_kinds: params.flag("noOverwriteDirNonDir"),
        to_its_user: params.flag("copyUIDGID"),
    };
    // A task of the engine: what is being written must be at its end before the container may start, also when the client
    // is gone and nobody waits for this any more.
    let work = Arc::clone(&engine).extract_archive(
        container,
        (id, path),
        options,
        body.into_data_stream(),
    );
    let done = engine.tasks.spawn(work).await;
    done.map_err(EngineError::io("unpack", "archive"))??;
    Ok(StatusCode::OK)
}

async fn export(State(engine): State<Arc<Engine>>, Path(id): Path<String>) -> Result<Response> {
    let container = engine.containers.resolve(&id)?;
    let (open_engine, open_container) = (Arc::clone(&engine), Arc::clone(&container));
    let files = blocking::run(move || open_engine.container_rootfs(&open_container)).await?;
    engine.events.publish(
        EventKind::Container,
        "export",
        container.id(),
        container.event_attributes(),
    );
    Ok(tar(write_body(move |writer| files.pack_all(writer))))
}

async fn changes(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
) -> Result<Json<Option<Vec<Value>>>> {
    let container = engine.containers.resolve(&id)?;
    let changes = blocking::run(move || {
        let changes = engine.images.snapshots().changes(container.id())?;
        Ok(changes)
    })
    .await?;
    let listed: Vec<Value> = changes
        .iter()
        .map(|change| json!({ "Path": change.path.to_string_lossy(), "Kind": change.kind as u8 }))
        .collect();
    // No changes are `null`, as clients of Docker know it.
    Ok(Json(Some(listed).filter(|listed| !listed.is_empty())))
}
