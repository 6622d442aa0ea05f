//! A container's files: `/containers/{id}/archive`, `export` and `changes`.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use base64::Engine as _;
use futures_util::TryStreamExt as _;

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
    Router::new().route("/containers/{id}/archive", get(read).head(stat).put(write))
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
    let archive = write_body(move |writer| files.pack(&found, writer));
    let body = Body::from_stream(archive.map_err(std::io::Error::other));
    Ok((stat, [(header::CONTENT_TYPE, TAR)], body).into_response())
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
