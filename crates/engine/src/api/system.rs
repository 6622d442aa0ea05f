//! The engine itself: `/_ping`, `/version`, `/info`, `/system/df`, `/auth`.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use bollard_stubs::models::SystemVersion;
use serde_json::{Value, json};

use super::query::{JsonBody, Params};
use crate::{
    blocking,
    engine::Engine,
    error::{EngineError, Result},
    image::Credentials,
    system::{Info, UsageRequest},
};

type Shared = State<Arc<Engine>>;

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/_ping", get(ping))
        .route("/version", get(version))
        .route("/info", get(info))
        .route("/system/df", get(disk_usage))
        .route("/auth", post(sign_in))
}

async fn ping() -> Response {
    let mut response = "OK".into_response();
    let headers = response.headers_mut();
    headers.insert("builder-version", HeaderValue::from_static("1"));
    headers.insert("swarm", HeaderValue::from_static("inactive"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate"),
    );
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

async fn version(State(engine): Shared) -> Result<Json<SystemVersion>> {
    blocking::run(move || Ok(engine.version())).await.map(Json)
}

async fn info(State(engine): Shared) -> Result<Json<Info>> {
    blocking::run(move || Ok(engine.info())).await.map(Json)
}

async fn disk_usage(State(engine): Shared, params: Params) -> Result<Json<Value>> {
    let request = UsageRequest::parse(params.all("type"))?;
    blocking::run(move || engine.disk_usage(request))
        .await
        .map(Json)
}

async fn sign_in(State(engine): Shared, JsonBody(config): JsonBody<Value>) -> Result<Json<Value>> {
    let server = config["serveraddress"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let credentials: Credentials = serde_json::from_value(config)
        .map_err(|error| EngineError::Invalid(format!("invalid JSON: {error}")))?;
    engine.images.sign_in(&server, credentials).await?;
    // Nothing is handed out that would stand for the password.
    Ok(Json(
        json!({"Status": "Login Succeeded", "IdentityToken": ""}),
    ))
}
