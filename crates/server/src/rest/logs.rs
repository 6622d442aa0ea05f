//! Lines of a container's log, as a page and as a file.

use std::time::Duration;

use api::{
    id::{ContainerId, EngineName},
    log::{LogDownloadQuery, LogPage, LogQuery},
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};

use super::Target;
use crate::{
    engines::within,
    http::{ApiError, Params, QueryParams},
    logs::{self, BadTime, Filter},
    state::AppState,
};

type Path = Params<(EngineName, ContainerId)>;

/// Looking through a whole log may take so long.
const PAGE_LIMIT: Duration = Duration::from_mins(1);

/// `GET /engines/{engine}/containers/{container}/logs`
pub(crate) async fn page(
    State(state): State<AppState>,
    Params((engine, id)): Path,
    QueryParams(query): QueryParams<LogQuery>,
) -> Result<Json<LogPage>, ApiError> {
    let target = Target::find(&state, &engine, &id).await?;
    let streams = (query.stdout, query.stderr);
    let filter = Filter::new(
        query.since.as_deref(),
        query.until.as_deref(),
        streams,
        query.search.as_deref(),
    )
    .map_err(invalid)?;
    let docker = target.engine.docker()?;
    let read = logs::page(&docker, target.id(), &filter, query.tail);
    Ok(Json(within(&engine, PAGE_LIMIT, read).await?))
}

/// `GET /engines/{engine}/containers/{container}/logs/download`
pub(crate) async fn download(
    State(state): State<AppState>,
    Params((engine, id)): Path,
    QueryParams(query): QueryParams<LogDownloadQuery>,
) -> Result<Response, ApiError> {
    let target = Target::find(&state, &engine, &id).await?;
    let streams = (query.stdout, query.stderr);
    let filter = Filter::new(
        query.since.as_deref(),
        query.until.as_deref(),
        streams,
        query.search.as_deref(),
    )
    .map_err(invalid)?;
    let docker = target.engine.docker()?;
    let text = logs::download(
        &docker,
        target.id(),
        filter,
        query.timestamps.unwrap_or(false),
    );
    let mut response = Body::from_stream(text).into_response();
    // A container's name has only letters, digits and `_.-`.
    let file = format!(
        "attachment; filename=\"{}-{}.log\"",
        engine, target.row.name
    );
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    let file = HeaderValue::try_from(file).unwrap_or(HeaderValue::from_static("attachment"));
    headers.insert(header::CONTENT_DISPOSITION, file);
    // It comes from a container: whatever it holds, it runs nothing.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox"),
    );
    Ok(response)
}

fn invalid((field, error): (&'static str, BadTime)) -> ApiError {
    ApiError::invalid_field(field, error.to_string())
}
