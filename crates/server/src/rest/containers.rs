//! One container: looking at it, its life cycle, its limits.

use api::{
    container::{
        ContainerDetail, ContainerUpdateRequest, KillRequest, RawInspect, RenameRequest,
        RevealRequest, Revealed, StopRequest, Top,
    },
    id::{ContainerId, EngineName},
    page::ListQuery,
    problem::ProblemCode,
    revision::Written,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use bollard::{
    models,
    query_parameters::{
        InspectContainerOptions, KillContainerOptionsBuilder, RenameContainerOptionsBuilder,
        RestartContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
        TopOptionsBuilder,
    },
};

use super::{Target, create_body, detail, engine_of, page, target::already_so};
use crate::{
    engines::{CallError, Deadline},
    http::{ApiError, Body, Caller, Params, QueryParams},
    inside, mask,
    state::AppState,
};

type Path = Params<(EngineName, ContainerId)>;
type Answer = Result<Json<Written>, ApiError>;

/// Longest time to stop, in seconds.
const LONGEST_STOP_S: u32 = 3600;

/// `GET /engines/{engine}/containers`
pub(crate) async fn list(
    State(state): State<AppState>,
    Params(name): Params<EngineName>,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Response, ApiError> {
    let rows = engine_of(&state, &name)?.mirror.containers();
    page::answer(&query, rows.iter().map(|row| &**row).collect())
}

/// `GET /engines/{engine}/containers/{container}`
pub(crate) async fn detail(
    State(state): State<AppState>,
    caller: Caller,
    Params((engine, id)): Path,
) -> Result<Json<ContainerDetail>, ApiError> {
    let target = Target::find(&state, &engine, &id).await?;
    let inspect = look(&target).await?;
    let mut detail =
        detail::from_inspect(&engine, &inspect, caller.role() > api::auth::Role::Viewer)
            .ok_or_else(|| ApiError::internal("the engine told no id of a container"))?;
    detail.exit = inside::explain_with_evidence(&target.engine, &inspect).await;
    Ok(Json(detail))
}

/// `GET /engines/{engine}/containers/{container}/inspect`
pub(crate) async fn inspect(
    State(state): State<AppState>,
    caller: Caller,
    Params((engine, id)): Path,
) -> Result<Json<RawInspect>, ApiError> {
    let target = Target::find(&state, &engine, &id).await?;
    let mut json = serde_json::to_value(look(&target).await?).map_err(ApiError::internal)?;
    mask::mask_json(&mut json, caller.role() > api::auth::Role::Viewer);
    Ok(Json(RawInspect { json }))
}

/// `POST /engines/{engine}/containers/{container}/reveal`
pub(crate) async fn reveal(
    State(state): State<AppState>,
    Params((engine, id)): Path,
    Body(request): Body<RevealRequest>,
) -> Result<Json<Revealed>, ApiError> {
    let target = Target::find(&state, &engine, &id).await?;
    let inspect = look(&target).await?;
    let variables = inspect
        .config
        .and_then(|config| config.env)
        .unwrap_or_default();
    variables
        .iter()
        .filter_map(|variable| variable.split_once('='))
        .find(|(key, _)| *key == request.key)
        .map(|(key, value)| {
            Json(Revealed {
                key: key.to_owned(),
                value: value.to_owned(),
            })
        })
        .ok_or_else(|| ApiError::not_found("variable"))
}

/// `GET /engines/{engine}/containers/{container}/top`
pub(crate) async fn top(
    State(state): State<AppState>,
    Params((engine, id)): Path,
    QueryParams(()): QueryParams<()>,
) -> Result<Json<Top>, ApiError> {
    let target = Target::find(&state, &engine, &id).await?;
    let id = target.id();
    let options = TopOptionsBuilder::default().ps_args("-ef").build();
    let top = target
        .engine
        .call(Deadline::Read, |docker| async move {
            docker.top_processes(id, Some(options)).await
        })
        .await?;
    Ok(Json(Top {
        titles: top.titles.unwrap_or_default(),
        processes: top.processes.unwrap_or_default(),
    }))
}

/// `POST …/start`
pub(crate) async fn start(State(state): State<AppState>, Params((engine, id)): Path) -> Answer {
    let target = Target::find(&state, &engine, &id).await?;
    act_start(&target).await?;
    Ok(target.written().await)
}

/// `POST …/stop`
pub(crate) async fn stop(
    State(state): State<AppState>,
    Params((engine, id)): Path,
    Body(request): Body<StopRequest>,
) -> Answer {
    let target = Target::find(&state, &engine, &id).await?;
    act_stop(&target, request.timeout_s).await?;
    Ok(target.written().await)
}

/// `POST …/restart`
pub(crate) async fn restart(
    State(state): State<AppState>,
    Params((engine, id)): Path,
    Body(request): Body<StopRequest>,
) -> Answer {
    let target = Target::find(&state, &engine, &id).await?;
    act_restart(&target, request.timeout_s).await?;
    Ok(target.written().await)
}

/// `POST …/kill`
pub(crate) async fn kill(
    State(state): State<AppState>,
    Params((engine, id)): Path,
    Body(request): Body<KillRequest>,
) -> Answer {
    let target = Target::find(&state, &engine, &id).await?;
    act_kill(&target, request.signal.as_deref()).await?;
    Ok(target.written().await)
}

/// `POST …/pause`
pub(crate) async fn pause(State(state): State<AppState>, Params((engine, id)): Path) -> Answer {
    let target = Target::find(&state, &engine, &id).await?;
    act_pause(&target).await?;
    Ok(target.written().await)
}

/// `POST …/unpause`
pub(crate) async fn unpause(State(state): State<AppState>, Params((engine, id)): Path) -> Answer {
    let target = Target::find(&state, &engine, &id).await?;
    act_unpause(&target).await?;
    Ok(target.written().await)
}

/// `POST …/rename`
pub(crate) async fn rename(
    State(state): State<AppState>,
    Params((engine, id)): Path,
    Body(request): Body<RenameRequest>,
) -> Answer {
    let target = Target::find(&state, &engine, &id).await?;
    if request.name.as_str().len() < 2 {
        return Err(ApiError::invalid_field(
            "name",
            "must have at least 2 characters",
        ));
    }
    let id = target.id();
    let options = RenameContainerOptionsBuilder::default()
        .name(request.name.as_str())
        .build();
    target
        .engine
        .call(Deadline::Write, |docker| async move {
            docker.rename_container(id, options).await
        })
        .await
        .map_err(|error| name_in_use(error.into()))?;
    Ok(target.written().await)
}

/// `PATCH /engines/{engine}/containers/{container}`
pub(crate) async fn update(
    State(state): State<AppState>,
    caller: Caller,
    Params((engine, id)): Path,
    Body(request): Body<ContainerUpdateRequest>,
) -> Answer {
    let target = Target::find(&state, &engine, &id).await?;
    let mut errors = Vec::new();
    create_body::check_limits(&request.limits, &mut errors);
    if let Some(policy) = &request.restart_policy {
        create_body::check_restart_policy(policy, false, &mut errors);
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    let host = create_body::limits(&request.limits);
    let body = models::ContainerUpdateBody {
        memory: host.memory,
        // Docker refuses a memory limit above the old limit of memory and swap: they move together unless said otherwise.
        memory_swap: host
            .memory_swap
            .or_else(|| host.memory.map(|memory| memory.saturating_mul(2))),
        memory_reservation: host.memory_reservation,
        nano_cpus: host.nano_cpus,
        cpu_shares: host.cpu_shares,
        cpuset_cpus: host.cpuset_cpus,
        pids_limit: host.pids_limit,
        blkio_weight: host.blkio_weight,
        restart_policy: request
            .restart_policy
            .map(|policy| create_body::restart_policy(&policy)),
        ..Default::default()
    };
    super::edit::keep(
        &state,
        &target.engine,
        target.id(),
        api::container::RevisionReason::Updated,
        caller.user(),
    )
    .await?;
    let id = target.id();
    target
        .engine
        .call(Deadline::Write, |docker| async move {
            docker.update_container(id, body).await
        })
        .await?;
    Ok(target.written().await)
}

/// Looks at a container with the engine's own eyes, and takes what was seen into the mirror.
async fn look(target: &Target) -> Result<models::ContainerInspectResponse, ApiError> {
    let id = target.id();
    let seen = target
        .engine
        .call(Deadline::Read, |docker| async move {
            docker
                .inspect_container(id, None::<InspectContainerOptions>)
                .await
        })
        .await;
    match seen {
        Ok(inspect) => {
            if let Some(row) = crate::mirror::from_inspect(&target.engine.name, &inspect) {
                target.engine.mirror.put_container(row);
            }
            Ok(inspect)
        }
        Err(error) => {
            if error.is_not_found() {
                target.engine.mirror.forget_container(id);
            }
            Err(error.into())
        }
    }
}

/// A name that another container has is the fault of that field.
pub(super) fn name_in_use(error: ApiError) -> ApiError {
    if error.code() == ProblemCode::Conflict
        && error.detail().contains("already in use by container")
    {
        let detail = error.detail().to_owned();
        return ApiError::new(StatusCode::CONFLICT, ProblemCode::Conflict, detail.clone())
            .hint("choose another name, or remove or rename the container that has it")
            .fields(vec![api::problem::FieldError {
                field: "name".to_owned(),
                message: "is in use by another container".to_owned(),
            }]);
    }
    error
}

pub(super) async fn act_start(target: &Target) -> Result<(), ApiError> {
    let id = target.id();
    let started = target
        .engine
        .call(Deadline::Write, |docker| async move {
            docker
                .start_container(id, None::<StartContainerOptions>)
                .await
        })
        .await;
    already_so(started).map_err(Into::into)
}

pub(super) async fn act_stop(target: &Target, timeout_s: Option<u32>) -> Result<(), ApiError> {
    let limit = check_timeout(timeout_s)?;
    let id = target.id();
    let mut options = StopContainerOptionsBuilder::default();
    if let Some(seconds) = limit {
        options = options.t(seconds);
    }
    let options = options.build();
    let deadline = Deadline::Slow(timeout_s.unwrap_or(LONGEST_STOP_S));
    already_so(
        target
            .engine
            .call(deadline, |docker| async move {
                docker.stop_container(id, Some(options)).await
            })
            .await,
    )
    .map_err(Into::into)
}

pub(super) async fn act_restart(target: &Target, timeout_s: Option<u32>) -> Result<(), ApiError> {
    let limit = check_timeout(timeout_s)?;
    let id = target.id();
    let mut options = RestartContainerOptionsBuilder::default();
    if let Some(seconds) = limit {
        options = options.t(seconds);
    }
    let options = options.build();
    let deadline = Deadline::Slow(timeout_s.unwrap_or(LONGEST_STOP_S));
    target
        .engine
        .call(deadline, |docker| async move {
            docker.restart_container(id, Some(options)).await
        })
        .await
        .map_err(Into::into)
}

pub(super) async fn act_kill(target: &Target, signal: Option<&str>) -> Result<(), ApiError> {
    let signal = signal.unwrap_or("SIGKILL");
    let is_signal = (1..=16).contains(&signal.len())
        && signal
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-'));
    if !is_signal {
        return Err(ApiError::invalid_field(
            "signal",
            "must be a signal such as SIGTERM or 15",
        ));
    }
    let id = target.id();
    let options = KillContainerOptionsBuilder::default()
        .signal(signal)
        .build();
    target
        .engine
        .call(Deadline::Write, |docker| async move {
            docker.kill_container(id, Some(options)).await
        })
        .await
        .map_err(Into::into)
}

pub(super) async fn act_pause(target: &Target) -> Result<(), ApiError> {
    let id = target.id();
    target
        .engine
        .call(Deadline::Write, |docker| async move {
            docker.pause_container(id).await
        })
        .await
        .map_err(Into::into)
}

pub(super) async fn act_unpause(target: &Target) -> Result<(), ApiError> {
    let id = target.id();
    target
        .engine
        .call(Deadline::Write, |docker| async move {
            docker.unpause_container(id).await
        })
        .await
        .map_err(Into::into)
}

fn check_timeout(timeout_s: Option<u32>) -> Result<Option<i32>, ApiError> {
    match timeout_s {
        Some(seconds) if seconds > LONGEST_STOP_S => {
            Err(ApiError::invalid_field("timeout_s", "must be at most 3600"))
        }
        seconds => Ok(seconds.and_then(|seconds| i32::try_from(seconds).ok())),
    }
}

/// The engine's answer that there is no such container any more is what removal wanted.
pub(super) fn gone_is_fine(result: Result<(), CallError>) -> Result<(), CallError> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}
