//! The same act on several containers; each has its own result.

use api::{
    container::{BulkItemResult, BulkRequest, BulkResult, ContainerAction, RevisionReason},
    id::{ContainerId, EngineName},
    problem::ProblemCode,
    revision::Revision,
};
use axum::{Json, extract::State, http::StatusCode};
use futures_util::{StreamExt as _, stream};

use super::{Target, containers, edit, engine_of, remove};
use crate::{
    http::{ApiError, Body, Caller, Params},
    state::AppState,
};

/// How many are acted on at the same time.
const AT_ONCE: usize = 8;

/// `POST /engines/{engine}/containers/actions`
pub(crate) async fn act(
    State(state): State<AppState>,
    caller: Caller,
    Params(name): Params<EngineName>,
    Body(request): Body<BulkRequest>,
) -> Result<Json<BulkResult>, ApiError> {
    let engine = engine_of(&state, &name)?;
    let mut ids = request.ids.clone();
    let mut agreed = None;
    if request.action == ContainerAction::Remove {
        let Some(token) = &request.preview_token else {
            return Err(ApiError::new(
                StatusCode::CONFLICT,
                ProblemCode::PreviewRequired,
                "removal needs a preview first",
            ));
        };
        let plan = remove::confirm(&state, caller.user(), &engine, token).await?;
        ids = plan
            .ids
            .iter()
            .filter_map(|id| ContainerId::parse(id).ok())
            .collect();
        agreed = Some((plan.force, plan.volumes));
    }
    if ids.is_empty() || ids.len() > remove::MOST {
        return Err(ApiError::invalid_field(
            "ids",
            format!("must name 1 to {} containers", remove::MOST),
        ));
    }
    let (state, request, name, by) = (&state, &request, &name, caller.user());
    let mut done: Vec<(usize, BulkItemResult, Option<Revision>)> =
        stream::iter(ids.into_iter().enumerate())
            .map(|(position, id)| async move {
                let (label, result) = one(state, name, &id, request, agreed, by).await;
                let (ok, problem, rev) = match result {
                    Ok(rev) => (true, None, rev),
                    Err(error) => (false, Some(error.into_problem()), None),
                };
                (
                    position,
                    BulkItemResult {
                        id: id.to_string(),
                        name: label,
                        ok,
                        problem,
                    },
                    rev,
                )
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
    done.sort_by_key(|(position, _, _)| *position);
    let rev = done
        .iter()
        .filter_map(|(_, _, rev)| rev.clone())
        .max_by_key(|rev| rev.seq);
    Ok(Json(BulkResult {
        results: done.into_iter().map(|(_, result, _)| result).collect(),
        rev,
    }))
}

async fn one(
    state: &AppState,
    engine: &EngineName,
    id: &ContainerId,
    request: &BulkRequest,
    agreed: Option<(bool, bool)>,
    by: &str,
) -> (String, Result<Option<Revision>, ApiError>) {
    let target = match Target::find(state, engine, id).await {
        Ok(target) => target,
        Err(error) => return (id.to_string(), Err(error)),
    };
    let name = target.row.name.clone();
    let result = match request.action {
        ContainerAction::Start => containers::act_start(&target).await,
        ContainerAction::Stop => containers::act_stop(&target, request.timeout_s).await,
        ContainerAction::Restart => containers::act_restart(&target, request.timeout_s).await,
        ContainerAction::Kill => containers::act_kill(&target, request.signal.as_deref()).await,
        ContainerAction::Pause => containers::act_pause(&target).await,
        ContainerAction::Unpause => containers::act_unpause(&target).await,
        ContainerAction::Remove => {
            let (force, volumes) = agreed.unwrap_or_default();
            let kept = edit::keep(
                state,
                &target.engine,
                target.id(),
                RevisionReason::Removed,
                by,
            );
            if let Err(error) = kept.await {
                return (name, Err(error));
            }
            return (
                name,
                remove::remove_one(&target.engine, target.id(), force, volumes).await,
            );
        }
    };
    match result {
        Ok(()) => (name, Ok(target.revision().await)),
        Err(error) => (name, Err(error)),
    }
}
