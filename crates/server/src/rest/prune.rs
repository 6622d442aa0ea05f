//! Pruning an engine as a whole, after telling everything that would go.

use api::{
    container::ContainerState,
    id::EngineName,
    preview::{Preview, PreviewItem},
    problem::ProblemCode,
    system::{PruneRequest, PruneResult, PruneRun},
};
use axum::{Json, extract::State, http::StatusCode};
use bollard::query_parameters::{
    PruneBuildOptions, RemoveImageOptionsBuilder, RemoveVolumeOptions,
};

use super::{edit, engine_of, images, networks, remove::remove_one};
use crate::{
    engines::{Deadline, Engine},
    http::{ApiError, Body, Caller, Params},
    mirror::Refresh,
    preview::{Found, Plan},
    state::AppState,
};

/// A preview waits so long for sizes.
const MEASURE: std::time::Duration = std::time::Duration::from_secs(10);

/// `POST /engines/{engine}/prune/preview`
pub(crate) async fn preview(
    State(state): State<AppState>,
    caller: Caller,
    Params(name): Params<EngineName>,
    Body(request): Body<PruneRequest>,
) -> Result<Json<Preview>, ApiError> {
    if request == PruneRequest::default() {
        return Err(ApiError::invalid_field(
            "containers",
            "choose at least one kind to prune",
        ));
    }
    let engine = engine_of(&state, &name)?;
    relist(&engine).await;
    if let Err(error) = engine.measure_disk(MEASURE).await {
        tracing::debug!(%error, "measure for a preview");
    }
    let found = find(&engine, request);
    state.previews.keep(caller.user(), &name, found).map(Json)
}

/// `POST /engines/{engine}/prune`
pub(crate) async fn prune(
    State(state): State<AppState>,
    caller: Caller,
    Params(name): Params<EngineName>,
    Body(request): Body<PruneRun>,
) -> Result<Json<PruneResult>, ApiError> {
    let engine = engine_of(&state, &name)?;
    let confirmed = state
        .previews
        .take(&request.preview_token, caller.user(), &name)?;
    let Plan::Prune { what } = confirmed.plan.clone() else {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            ProblemCode::PreviewRequired,
            "the preview was not of pruning",
        ));
    };
    relist(&engine).await;
    let found = find(&engine, what);
    confirmed.still_holds(&found)?;
    let mut done = PruneResult {
        removed: Vec::new(),
        problems: Vec::new(),
    };
    // In this order: what containers hold is free once they are gone.
    for item in found.items {
        let (key, kind) = (item.id.clone(), item.kind.clone());
        let key = key.as_str();
        let result: Result<(), ApiError> = match kind.as_str() {
            "container" => {
                let kept = edit::keep(
                    &state,
                    &engine,
                    key,
                    api::container::RevisionReason::Removed,
                    caller.user(),
                )
                .await;
                match kept {
                    Ok(()) => remove_one(&engine, key, false, false).await.map(drop),
                    Err(error) => Err(error),
                }
            }
            "network" => engine
                .call(Deadline::Write, |docker| async move {
                    docker.remove_network(key).await
                })
                .await
                .map_err(Into::into),
            "volume" => {
                state.helpers.release(&engine, key).await;
                engine
                    .call(Deadline::Write, |docker| async move {
                        docker.remove_volume(key, None::<RemoveVolumeOptions>).await
                    })
                    .await
                    .map_err(Into::into)
            }
            "build cache" => engine
                .call(Deadline::Slow(0), |docker| async move {
                    docker.prune_build(None::<PruneBuildOptions>).await
                })
                .await
                .map(drop)
                .map_err(Into::into),
            _ => {
                let options = RemoveImageOptionsBuilder::default().build();
                let name = item.name.as_str();
                let target = if kind == "tag" { name } else { key };
                engine
                    .call(Deadline::Write, |docker| async move {
                        docker.remove_image(target, Some(options), None).await
                    })
                    .await
                    .map(drop)
                    .map_err(Into::into)
            }
        };
        match result {
            Ok(()) => done.removed.push(item),
            Err(error) if error.code() == ProblemCode::NotFound => done.removed.push(item),
            Err(error) => done.problems.push(error.into_problem()),
        }
    }
    relist(&engine).await;
    Ok(Json(done))
}

/// Finds out what pruning would take; the same for the preview and for its confirmation.
fn find(engine: &Engine, what: PruneRequest) -> Found {
    let mut items = Vec::new();
    let mut warnings = Vec::new();
    let item = |kind: &str, id: String, name: String, bytes: Option<u64>| PreviewItem {
        kind: kind.to_owned(),
        id,
        name,
        bytes,
        used_by: Vec::new(),
        note: None,
    };
    let containers = engine.mirror.containers();
    let goes = |state: ContainerState| {
        matches!(
            state,
            ContainerState::Exited | ContainerState::Created | ContainerState::Dead
        )
    };
    if what.containers {
        for row in containers.iter().filter(|row| goes(row.state)) {
            items.push(item("container", row.id.clone(), row.name.clone(), None));
        }
    }
    // Only what nobody uses now: what stopped containers hold goes with the next pruning.
    if what.networks {
        let all = engine.mirror.networks();
        for id in networks::unused(engine) {
            let name = all
                .iter()
                .find(|one| one.id == id)
                .map(|one| one.name.clone())
                .unwrap_or_default();
            items.push(item("network", id, name, None));
        }
    }
    if let Some(prune) = what.images {
        let all = engine.mirror.images();
        for target in images::unused(engine, prune) {
            let image = all
                .iter()
                .find(|image| image.id == target || image.tags.contains(&target));
            let bytes = image.map(|image| image.size_bytes);
            let by_id = target.starts_with("sha256:");
            let id = image.map_or_else(|| target.clone(), |image| image.id.clone());
            items.push(item(if by_id { "image" } else { "tag" }, id, target, bytes));
        }
    }
    if what.volumes {
        for volume in engine
            .mirror
            .volumes()
            .into_iter()
            .filter(|volume| volume.used_by.is_empty())
        {
            items.push(item(
                "volume",
                volume.name.clone(),
                volume.name,
                volume.size_bytes,
            ));
        }
        warnings.push("Everything in these volumes is lost and cannot be brought back.".to_owned());
    }
    if what.build_cache {
        items.push(item(
            "build cache",
            "build-cache".to_owned(),
            "the build cache that nothing uses".to_owned(),
            None,
        ));
    }
    let freed = items.iter().filter_map(|item| item.bytes).sum();
    Found {
        plan: Plan::Prune { what },
        items,
        freed_bytes: Some(freed),
        warnings,
        undo: "Containers can be put back for 30 days, images pulled again; volumes are lost."
            .to_owned(),
    }
}

async fn relist(engine: &Engine) {
    let Ok(docker) = engine.docker() else { return };
    for list in Refresh::LISTS {
        if let Err(error) = engine.mirror.refresh_list(&docker, &list).await {
            tracing::debug!(%error, "list for pruning");
        }
    }
}
