//! Images: list, detail, removing and pruning with a preview. Pulling is a job.

use api::{
    container::{BulkItemResult, BulkResult},
    id::{EngineName, ImageId},
    image::{
        ImageDetail, ImagePreviewRequest, ImagePrune, ImageRemoveRequest, ImageStep, ImageSummary,
    },
    page::ListQuery,
    preview::{Preview, PreviewItem},
    problem::ProblemCode,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use bollard::query_parameters::RemoveImageOptionsBuilder;
use jiff::Timestamp;

use super::{engine_of, page};
use crate::{
    engines::{Deadline, Engine},
    http::{ApiError, Body, Caller, Params, QueryParams},
    mask::env_entry,
    mirror::{Refresh, timestamp},
    preview::{Found, Plan},
    state::AppState,
};

/// `GET /engines/{engine}/images`
pub(crate) async fn list(
    State(state): State<AppState>,
    Params(name): Params<EngineName>,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Response, ApiError> {
    page::answer(&query, engine_of(&state, &name)?.mirror.images())
}

/// `GET /engines/{engine}/images/{image}`
pub(crate) async fn detail(
    State(state): State<AppState>,
    Params((name, id)): Params<(EngineName, ImageId)>,
) -> Result<Json<ImageDetail>, ApiError> {
    let engine = engine_of(&state, &name)?;
    let summary = find_row(&engine, id.as_str())
        .ok_or_else(|| ApiError::not_found(format!("image: {id}")))?;
    let key = summary.id.as_str();
    let inspect = engine
        .call(Deadline::Read, |docker| async move {
            docker.inspect_image(key).await
        })
        .await?;
    let history = engine
        .call(Deadline::Read, |docker| async move {
            docker.image_history(key).await
        })
        .await?;
    let config = inspect.config.unwrap_or_default();
    let steps = history.into_iter().map(|step| ImageStep {
        created_by: step.created_by,
        created_at: Timestamp::from_second(step.created).ok(),
        size_bytes: u64::try_from(step.size).unwrap_or_default(),
        comment: step.comment,
        tags: step.tags,
    });
    Ok(Json(ImageDetail {
        architecture: inspect.architecture.unwrap_or_default(),
        os: inspect.os.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        env: config
            .env
            .unwrap_or_default()
            .iter()
            .map(|variable| env_entry(variable, true))
            .collect(),
        working_dir: config.working_dir.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        exposed_ports: config.exposed_ports.unwrap_or_default(),
        volumes: config.volumes.unwrap_or_default(),
        history: steps.collect(),
        layers: inspect
            .root_fs
            .and_then(|root| root.layers)
            .unwrap_or_default(),
        summary: ImageSummary {
            created_at: inspect.created.as_deref().and_then(timestamp),
            ..summary
        },
    }))
}

/// `POST /engines/{engine}/images/preview`
pub(crate) async fn preview(
    State(state): State<AppState>,
    caller: Caller,
    Params(name): Params<EngineName>,
    Body(request): Body<ImagePreviewRequest>,
) -> Result<Json<Preview>, ApiError> {
    let engine = engine_of(&state, &name)?;
    let targets = match request.prune {
        Some(prune) => unused(&engine, prune),
        None => request.images.iter().map(ToString::to_string).collect(),
    };
    if targets.is_empty() && request.prune.is_none() {
        return Err(ApiError::invalid_field(
            "images",
            "must name an image, or prune must be set",
        ));
    }
    let found = find(&engine, targets, request.force)?;
    state.previews.keep(caller.user(), &name, found).map(Json)
}

/// `POST /engines/{engine}/images/remove`
pub(crate) async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Params(name): Params<EngineName>,
    Body(request): Body<ImageRemoveRequest>,
) -> Result<Json<BulkResult>, ApiError> {
    let engine = engine_of(&state, &name)?;
    let confirmed = state
        .previews
        .take(&request.preview_token, caller.user(), &name)?;
    let Plan::Images { targets, force } = confirmed.plan.clone() else {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            ProblemCode::PreviewRequired,
            "the preview was not of images",
        ));
    };
    confirmed.still_holds(&find(&engine, targets.clone(), force)?)?;
    let mut results = Vec::new();
    for target in targets {
        let key = target.as_str();
        let options = RemoveImageOptionsBuilder::default().force(force).build();
        let removed = engine
            .call(Deadline::Write, |docker| async move {
                docker.remove_image(key, Some(options), None).await
            })
            .await;
        let problem = match removed {
            Err(error) if !error.is_not_found() => Some(ApiError::from(error).into_problem()),
            _ => None,
        };
        results.push(BulkItemResult {
            name: target.clone(),
            id: target,
            ok: problem.is_none(),
            problem,
        });
    }
    if let Ok(docker) = engine.docker()
        && let Err(error) = engine.mirror.refresh_list(&docker, &Refresh::Images).await
    {
        tracing::debug!(%error, "list images after removal");
    }
    Ok(Json(BulkResult { results, rev: None }))
}

/// What pruning takes.
pub(super) fn unused(engine: &Engine, prune: ImagePrune) -> Vec<String> {
    let mut targets = Vec::new();
    for image in engine
        .mirror
        .images()
        .into_iter()
        .filter(|image| image.used_by.is_empty())
    {
        match prune {
            ImagePrune::Dangling | ImagePrune::Unused if image.tags.is_empty() => {
                targets.push(image.id);
            }
            // By tag, so that the engine itself keeps what gets used meanwhile.
            ImagePrune::Unused => targets.extend(image.tags),
            ImagePrune::Dangling => {}
        }
    }
    targets
}

/// Finds an image by id or reference; `name` means `name:latest`.
pub(super) fn find_row(engine: &Engine, key: &str) -> Option<ImageSummary> {
    let tagged = if key
        .rsplit('/')
        .next()
        .is_some_and(|last| last.contains(':'))
    {
        key.to_owned()
    } else {
        format!("{key}:latest")
    };
    let short = |tag: &str| {
        tag.trim_start_matches("docker.io/")
            .trim_start_matches("library/")
            .to_owned()
    };
    engine.mirror.images().into_iter().find(|image| {
        image.id == key
            || image.digests.iter().any(|digest| digest == key)
            || image.tags.iter().any(|tag| short(tag) == short(&tagged))
    })
}

/// An id as people write it: twelve digits.
fn short_id(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(12).collect()
}

/// Finds out what removal would do; the same for the preview and for its confirmation.
fn find(engine: &Engine, targets: Vec<String>, force: bool) -> Result<Found, ApiError> {
    let mut items = Vec::new();
    let mut warnings = Vec::new();
    let mut freed = 0_u64;
    let goes = |image: &ImageSummary| {
        image.tags.iter().all(|tag| targets.contains(tag)) || targets.contains(&image.id)
    };
    let mut counted = std::collections::BTreeSet::new();
    for target in &targets {
        let image = find_row(engine, target)
            .ok_or_else(|| ApiError::not_found(format!("image: {target}")))?;
        let whole = goes(&image);
        let note = match (whole, image.used_by.is_empty(), force) {
            (false, _, _) => Some("only this tag goes; the image keeps others".to_owned()),
            (true, false, false) => {
                Some("containers use it: the engine will refuse without force".to_owned())
            }
            (true, false, true) => {
                Some("containers that do not run keep working without its name".to_owned())
            }
            (true, true, _) => None,
        };
        let by_id = target.starts_with("sha256:");
        // By id all tags go; the first one names it, because nobody knows an image by its digest.
        let note = match image.tags.as_slice() {
            [_, _, ..] if by_id => Some(
                std::iter::once(format!("all its tags go: {}", image.tags.join(", ")))
                    .chain(note)
                    .collect::<Vec<_>>()
                    .join("; "),
            ),
            _ => note,
        };
        let shown = if by_id {
            image
                .tags
                .first()
                .cloned()
                .unwrap_or_else(|| short_id(target))
        } else {
            target.clone()
        };
        if whole && counted.insert(image.id.clone()) {
            freed = freed.saturating_add(image.size_bytes);
        }
        items.push(PreviewItem {
            kind: if by_id { "image" } else { "tag" }.to_owned(),
            id: image.id.clone(),
            name: shown,
            bytes: whole.then_some(image.size_bytes),
            used_by: image.used_by,
            note,
        });
    }
    if counted.len() > 1 {
        warnings.push(
            "Layers that several images share are freed once, so the sum may be less.".to_owned(),
        );
    }
    let undo = "An image can be pulled again when its registry still has it; one that was built or loaded here cannot.".to_owned();
    Ok(Found {
        plan: Plan::Images { targets, force },
        items,
        freed_bytes: Some(freed),
        warnings,
        undo,
    })
}
