//! Images: `/images/…` and `/distribution/…`.
//!
//! Names have slashes, so one wildcard takes the rest of the path and its last part says what is asked for.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use super::query::Params;
use crate::{
    blocking,
    engine::Engine,
    error::{EngineError, Result},
    events::EventKind,
    filters::Filters,
    image::{
        Credentials, Image, ImportSource, LIST_FILTERS, Platform, Progress, PruneRequest, Pull,
        Reference, Removal, RemoveOptions, count_uses,
    },
};

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/images/json", get(list))
        .route("/images/create", post(create))
        .route("/images/load", post(load))
        .route("/images/get", get(save_several))
        .route("/images/prune", post(prune))
        .route("/images/search", get(search))
        .route(
            "/images/{*rest}",
            get(get_one).post(post_one).delete(remove),
        )
        .route("/distribution/{*rest}", get(distribution))
}

async fn list(State(engine): State<Arc<Engine>>, params: Params) -> Result<Response> {
    let mut filters = Filters::parse(params.text("filters"), LIST_FILTERS)?;
    // Older clients ask for one name this way.
    if let Some(name) = params.text("filter") {
        filters.add("reference", name);
    }
    let shared = params.flag("shared-size");
    let uses = engine.image_uses();
    let counts = count_uses(&uses);
    let images = engine.images.filtered(&filters, params.flag("all"))?;
    let summaries: Vec<_> = images
        .iter()
        .map(|image| {
            let containers = counts.get(image.id.as_str()).copied().unwrap_or(0);
            engine.images.summary(image, Some(containers), shared)
        })
        .collect();
    Ok(Json(summaries).into_response())
}

/// Splits `name/of/image/json` into the name and what is asked for.
fn split(rest: &str) -> Result<(&str, &str)> {
    match rest.trim_start_matches('/').rsplit_once('/') {
        Some((name, action)) if !name.is_empty() => Ok((name, action)),
        _ => Err(EngineError::NotFound("page not found".into())),
    }
}

async fn get_one(State(engine): State<Arc<Engine>>, Path(rest): Path<String>) -> Result<Response> {
    let (name, action) = split(&rest)?;
    match action {
        "json" => {
            let image = engine.images.resolve(name)?;
            let value = blocking::run(move || engine.images.inspect(&image)).await?;
            Ok(Json(value).into_response())
        }
        "history" => {
            let image = engine.images.resolve(name)?;
            Ok(Json(engine.images.history(&image)).into_response())
        }
        "get" => save(&engine, &[name.to_owned()]),
        _ => Err(EngineError::NotFound("page not found".into())),
    }
}

async fn post_one(
    State(engine): State<Arc<Engine>>,
    Path(rest): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response> {
    let (name, action) = split(&rest)?;
    match action {
        "tag" => {
            let image = engine.images.resolve(name)?;
            let reference = target(&params, "repo")?.ok_or_else(|| {
                EngineError::Invalid("invalid reference format: missing repo".into())
            })?;
            if reference.digest().is_some() {
                return Err(EngineError::Invalid(
                    "refusing to create a tag with a digest reference".into(),
                ));
            }
            blocking::run(move || {
                engine.images.tag(&image, &reference)?;
                publish(&engine, "tag", &image, &reference.familiar());
                Ok(StatusCode::CREATED.into_response())
            })
            .await
        }
        "push" => push(engine, name, &params, &headers),
        _ => Err(EngineError::NotFound("page not found".into())),
    }
}

/// Sends an image, or without a tag all of a repository, to its registry.
fn push(engine: Arc<Engine>, name: &str, params: &Params, headers: &HeaderMap) -> Result<Response> {
    let invalid = |error: crate::image::InvalidReference| EngineError::Invalid(error.to_string());
    let reference: Reference = name.parse().map_err(invalid)?;
    if reference.digest().is_some() {
        return Err(EngineError::Invalid(
            "cannot push a digest reference".into(),
        ));
    }
    let reference = match params.text("tag") {
        Some(tag) => reference.at_tag(tag).map_err(invalid)?,
        None => reference,
    };
    let names = engine
        .images
        .names_to_push(&reference, reference.tag().is_none())?;
    let auth = headers
        .get("x-registry-auth")
        .and_then(|value| value.to_str().ok());
    let credentials = Credentials::from_header(auth);
    let progress = Progress::default();
    let told = progress.clone();
    Ok(stream(progress.lines(async move {
        for name in names {
            let (image, _digest) = engine.images.push(&name, &credentials, &told).await?;
            publish(&engine, "push", &image, &name.familiar());
        }
        Ok(())
    })))
}

/// The reference that a request's parameters `repo` (or `fromImage`) and `tag` make.
pub(super) fn target(params: &Params, key: &str) -> Result<Option<Reference>> {
    let Some(name) = params.text(key) else {
        return Ok(None);
    };
    let invalid = |error: crate::image::InvalidReference| EngineError::Invalid(error.to_string());
    let reference: Reference = name.parse().map_err(invalid)?;
    Ok(Some(match params.text("tag") {
        Some(digest) if digest.starts_with("sha256:") => {
            let digest = digest.parse().map_err(|error| {
                EngineError::Invalid(format!("invalid reference format: {error}"))
            })?;
            reference.at_digest(digest)
        }
        Some(tag) => reference.at_tag(tag).map_err(invalid)?,
        None => reference.with_default_tag(),
    }))
}

async fn create(
    State(engine): State<Arc<Engine>>,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    let platform = params.text("platform").map(Platform::parse).transpose()?;
    if let Some(source) = params.text("fromSrc") {
        return import(engine, source, &params, platform, body);
    }
    let reference = target(&params, "fromImage")?
        .ok_or_else(|| EngineError::Invalid("invalid reference format".into()))?;
    let auth = headers
        .get("x-registry-auth")
        .and_then(|value| value.to_str().ok());
    let images = Arc::clone(&engine.images);
    let pull = Pull::begin(
        images,
        reference.clone(),
        platform,
        Credentials::from_header(auth),
    )
    .await?;
    let progress = Progress::default();
    let told = progress.clone();
    Ok(stream(progress.lines(async move {
        let image = pull.finish(&told).await?;
        publish(&engine, "pull", &image, &reference.familiar());
        Ok(())
    })))
}

fn import(
    engine: Arc<Engine>,
    source: &str,
    params: &Params,
    platform: Option<Platform>,
    body: Body,
) -> Result<Response> {
    if source != "-" {
        return Err(EngineError::Unsupported(
            "import from a URL is not supported: fetch the file and import it from standard input"
                .into(),
        ));
    }
    let source = ImportSource {
        reference: target(params, "repo")?,
        message: params
            .text("message")
            .unwrap_or("Imported from -")
            .to_owned(),
        platform,
        changes: params.all("changes").to_vec(),
    };
    let progress = Progress::default();
    let told = progress.clone();
    Ok(stream(progress.lines(async move {
        let image = engine
            .images
            .import(body.into_data_stream(), source)
            .await?;
        told.status(None, image.id.to_string());
        publish(&engine, "import", &image, image.id.as_str());
        Ok(())
    })))
}

async fn load(State(engine): State<Arc<Engine>>, params: Params, body: Body) -> Result<Response> {
    let quiet = params.flag("quiet");
    let progress = Progress::default();
    let told = progress.clone();
    Ok(stream(progress.lines(async move {
        let loaded = engine
            .images
            .load(body.into_data_stream(), told, quiet)
            .await?;
        for one in loaded {
            if let Ok(image) = engine.images.resolve(one.id.as_str()) {
                publish(&engine, "load", &image, image.id.as_str());
            }
        }
        Ok(())
    })))
}

async fn save_several(State(engine): State<Arc<Engine>>, params: Params) -> Result<Response> {
    save(&engine, params.all("names"))
}

fn save(engine: &Arc<Engine>, names: &[String]) -> Result<Response> {
    let archive = engine.images.save(names)?;
    for name in names {
        let image = engine.images.resolve(name)?;
        publish(engine, "save", &image, image.id.as_str());
    }
    let body = Body::from_stream(archive.map_err(std::io::Error::other));
    Ok(([(header::CONTENT_TYPE, "application/x-tar")], body).into_response())
}

async fn remove(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response> {
    let options = RemoveOptions {
        force: params.flag("force"),
        keep_parents: params.flag("noprune"),
    };
    let uses = engine.image_uses();
    let removal = blocking::run(move || {
        let image = engine.images.resolve(&name)?;
        let removal = engine.images.remove(&name, options, &uses)?;
        publish_removal(&engine, &image, &removal);
        Ok(removal)
    })
    .await?;
    Ok(Json(removal.items).into_response())
}

async fn prune(State(engine): State<Arc<Engine>>, params: Params) -> Result<Response> {
    let request = PruneRequest::parse(params.text("filters"))?;
    let uses = engine.image_uses();
    let response = blocking::run(move || {
        let response = engine.images.prune(&request, &uses)?;
        for item in response.images_deleted.iter().flatten() {
            let (action, id) = match (&item.untagged, &item.deleted) {
                (Some(name), _) => ("untag", name),
                (None, Some(id)) => ("delete", id),
                (None, None) => continue,
            };
            let attributes = BTreeMap::from([("name".to_owned(), id.clone())]);
            engine
                .events
                .publish(EventKind::Image, action, id, attributes);
        }
        let freed = response.space_reclaimed.unwrap_or_default().to_string();
        let attributes = BTreeMap::from([("reclaimed".to_owned(), freed)]);
        engine
            .events
            .publish(EventKind::Image, "prune", "", attributes);
        Ok(response)
    })
    .await?;
    Ok(Json(response).into_response())
}

async fn search(params: Params) -> Result<Response> {
    params.required("term")?;
    Err(EngineError::Unsupported(
        "search is not supported: the search of Docker Hub is no part of the registry protocol; look images up on hub.docker.com".into(),
    ))
}

async fn distribution(
    State(engine): State<Arc<Engine>>,
    Path(rest): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>> {
    let (name, "json") = split(&rest)? else {
        return Err(EngineError::NotFound("page not found".into()));
    };
    let reference: Reference = name
        .parse()
        .map_err(|error| EngineError::Invalid(format!("{error}")))?;
    let auth = headers
        .get("x-registry-auth")
        .and_then(|value| value.to_str().ok());
    let found = engine
        .images
        .look_up(
            &reference.with_default_tag(),
            &Credentials::from_header(auth),
        )
        .await?;
    Ok(Json(
        json!({ "Descriptor": found.descriptor, "Platforms": found.platforms }),
    ))
}

/// An answer of JSON lines, sent as they come.
pub(super) fn stream<E>(
    lines: impl Stream<Item = Result<bytes::Bytes, E>> + Send + 'static,
) -> Response
where
    E: Into<axum::BoxError> + 'static,
{
    let body = Body::from_stream(lines.boxed());
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Tells of an image; the name is what people know it by.
fn publish(engine: &Engine, action: &str, image: &Image, name: &str) {
    let mut attributes: BTreeMap<String, String> =
        image.config.config.labels.clone().into_iter().collect();
    attributes.insert("name".to_owned(), name.to_owned());
    // Docker names what goes to and comes from a registry by reference, all else by id.
    let id = if matches!(action, "pull" | "push") {
        name
    } else {
        image.id.as_str()
    };
    engine
        .events
        .publish(EventKind::Image, action, id, attributes);
}

fn publish_removal(engine: &Engine, image: &Image, removal: &Removal) {
    for item in &removal.items {
        match &item.untagged {
            Some(name) => publish(engine, "untag", image, name),
            None => publish(engine, "delete", image, image.id.as_str()),
        }
    }
}
