//! Making containers anew with other settings, cloning them, and putting back what they were.

use std::sync::Arc;

use api::{
    container::{
        ContainerChanges, ContainerCloneRequest, ContainerCreated, ContainerEditRequest,
        ContainerRevision, ContainerState, RestoreRequest, RevisionReason,
    },
    id::{ContainerId, EngineName, RevisionId},
    job::{Job, JobKind},
    live::Items,
    preview::{Preview, PreviewItem},
    problem::ProblemCode,
};
use axum::{Json, extract::State, http::StatusCode};
use bollard::{
    models::ContainerInspectResponse,
    query_parameters::{InspectContainerOptionsBuilder, StartContainerOptions},
};

use super::{
    Target, create_body, engine_of, policy,
    target::{already_so, revision},
};
use crate::{
    engines::{Deadline, Engine},
    http::{ApiError, Body, Caller, Params},
    jobs::Failure,
    preview::{Found, Plan},
    recreate::{
        self, BeginError, Kept, NewRevision, Phase, Planned, Row, Spec, as_request, spec_of,
    },
    state::AppState,
};

type ContainerPath = Params<(EngineName, ContainerId)>;

/// `POST /engines/{engine}/containers/{container}/edit/preview`
pub(crate) async fn preview(
    State(state): State<AppState>,
    caller: Caller,
    Params((engine, id)): ContainerPath,
    Body(changes): Body<ContainerChanges>,
) -> Result<Json<Preview>, ApiError> {
    let target = Target::find(&state, &engine, &id).await?;
    let inspect = look(&target.engine, target.id()).await?;
    may_change(&caller, &inspect, &changes)?;
    let found = find_edit(&target, &inspect, &changes)?;
    state.previews.keep(caller.user(), &engine, found).map(Json)
}

/// `POST /engines/{engine}/containers/{container}/edit`
pub(crate) async fn edit(
    State(state): State<AppState>,
    caller: Caller,
    Params((engine, id)): ContainerPath,
    Body(request): Body<ContainerEditRequest>,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    let target = Target::find(&state, &engine, &id).await?;
    let confirmed = state
        .previews
        .take(&request.preview_token, caller.user(), &engine)?;
    let Plan::Edit { container, changes } = confirmed.plan.clone() else {
        return Err(other_preview("the preview was not of this change"));
    };
    if container != target.id() {
        return Err(other_preview("the preview was of another container"));
    }
    let changes: ContainerChanges = serde_json::from_str(&changes).map_err(ApiError::internal)?;
    let inspect = look(&target.engine, target.id()).await?;
    may_change(&caller, &inspect, &changes)?;
    confirmed.still_holds(&find_edit(&target, &inspect, &changes)?)?;
    let old = spec_of(&inspect);
    let image = old.image_id.as_str();
    let brought = target
        .engine
        .call(Deadline::Read, |docker| async move {
            docker.inspect_image(image).await
        })
        .await;
    let brought = match brought {
        Ok(image) => image.config,
        // Its image was removed by force: what it brought cannot be told from what was asked for.
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    let new = recreate::apply(&old, &changes, brought.as_ref());
    let pull = changes.pull.then(|| new.body.image.clone()).flatten();
    let name = target.row.name.clone();
    let new_name = changes
        .name
        .map_or_else(|| name.clone(), |name| name.to_string());
    let row = row(
        &engine,
        &inspect,
        &caller,
        Settings {
            name,
            new_name,
            old,
            new,
            pull,
        },
    )?;
    Box::pin(begin(&state, &target.engine, row, JobKind::Recreate)).await
}

/// `POST /engines/{engine}/containers/{container}/clone`
pub(crate) async fn clone(
    State(state): State<AppState>,
    caller: Caller,
    Params((engine, id)): ContainerPath,
    Body(request): Body<ContainerCloneRequest>,
) -> Result<(StatusCode, Json<ContainerCreated>), ApiError> {
    let target = Target::find(&state, &engine, &id).await?;
    let inspect = look(&target.engine, target.id()).await?;
    policy::may_enter(&caller, &inspect)?;
    name_is_free(&target.engine, request.name.as_str())?;
    let mut spec = spec_of(&inspect);
    let mut warnings = Vec::new();
    if let Some(host) = &mut spec.body.host_config {
        if !request.keep_ports {
            for bindings in host
                .port_bindings
                .iter_mut()
                .flat_map(|ports| ports.values_mut())
                .flatten()
            {
                for binding in bindings {
                    binding.host_port = None;
                }
            }
        }
        // Anonymous volumes belong to the old one; the clone gets its own.
        let own: Vec<String> = inspect
            .mounts
            .iter()
            .flatten()
            .filter_map(|mount| mount.name.clone())
            .filter(|name| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()))
            .collect();
        let is_own = |name: &str| own.iter().any(|one| one == name);
        if let Some(binds) = &mut host.binds {
            binds.retain(|bind| !is_own(bind.split(':').next().unwrap_or_default()));
        }
        for mount in host.mounts.iter_mut().flatten() {
            if mount.source.as_deref().is_some_and(is_own) {
                mount.source = None;
            }
        }
    }
    // Two containers cannot have one fixed address.
    let endpoints = spec
        .body
        .networking_config
        .iter_mut()
        .flat_map(|config| config.endpoints_config.iter_mut());
    for endpoint in endpoints
        .flat_map(|all| all.values_mut())
        .chain(spec.networks.values_mut())
    {
        endpoint.ipam_config = None;
    }
    let shared: Vec<String> = target
        .row
        .volumes
        .iter()
        .filter(|name| name.len() != 64)
        .cloned()
        .collect();
    if !shared.is_empty() {
        warnings.push(format!(
            "Both containers use the volumes {}.",
            shared.join(", ")
        ));
    }
    let docker = target.engine.docker()?;
    let made = recreate::create(&docker, request.name.as_str(), &spec)
        .await
        .map_err(failed)?;
    if request.start {
        let key = made.as_str();
        let started = target
            .engine
            .call(Deadline::Write, |docker| async move {
                docker
                    .start_container(key, None::<StartContainerOptions>)
                    .await
            })
            .await;
        if let Err(error) = already_so(started) {
            // Trying again with the same name must work.
            super::remove::remove_one(&target.engine, &made, true, true).await?;
            return Err(error.into());
        }
    }
    let position = target
        .engine
        .mirror
        .refresh_container(&docker, &made)
        .await
        .unwrap_or_default();
    let created = ContainerCreated {
        id: made,
        name: request.name.to_string(),
        started: request.start,
        warnings,
        rev: position.map(|position| revision("containers", position)),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// `GET /engines/{engine}/revisions`
pub(crate) async fn revisions(
    State(state): State<AppState>,
    Params(engine): Params<EngineName>,
) -> Result<Json<Items<ContainerRevision>>, ApiError> {
    engine_of(&state, &engine)?;
    let items = state.background.recreations.revisions.list(&engine).await?;
    Ok(Json(Items { items }))
}

/// `POST /engines/{engine}/revisions/{revision}/preview`
pub(crate) async fn restore_preview(
    State(state): State<AppState>,
    caller: Caller,
    Params((engine, id)): Params<(EngineName, RevisionId)>,
) -> Result<Json<Preview>, ApiError> {
    let kept = kept(&state, &engine, &id).await?;
    may_restore(&caller, &kept)?;
    let engine = engine_of(&state, &engine)?;
    let found = find_restore(&engine, &id, &kept).await?;
    state
        .previews
        .keep(caller.user(), &engine.name, found)
        .map(Json)
}

/// `POST /engines/{engine}/revisions/{revision}/restore`
pub(crate) async fn restore(
    State(state): State<AppState>,
    caller: Caller,
    Params((name, id)): Params<(EngineName, RevisionId)>,
    Body(request): Body<RestoreRequest>,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    let confirmed = state
        .previews
        .take(&request.preview_token, caller.user(), &name)?;
    if confirmed.plan
        != (Plan::Restore {
            revision: id.to_string(),
        })
    {
        return Err(other_preview("the preview was of something else"));
    }
    let kept = kept(&state, &name, &id).await?;
    may_restore(&caller, &kept)?;
    let engine = engine_of(&state, &name)?;
    confirmed.still_holds(&find_restore(&engine, &id, &kept).await?)?;
    let mut spec = kept.spec.clone();
    use_old_image(&engine, &mut spec).await;
    if let Some(now) = engine
        .mirror
        .container(&kept.told.name)
        .filter(|row| row.name == kept.told.name)
    {
        let inspect = look(&engine, &now.id).await?;
        policy::may_enter(&caller, &inspect)?;
        let settings = Settings {
            name: now.name.clone(),
            new_name: now.name.clone(),
            old: spec_of(&inspect),
            new: spec,
            pull: None,
        };
        let mut row = row(&name, &inspect, &caller, settings)?;
        // What is put back shall run as it did.
        row.plan.was_running |= kept.told.was_running;
        return Box::pin(begin(&state, &engine, row, JobKind::Restore)).await;
    }
    let new = crate::jobs::NewJob {
        kind: JobKind::Restore,
        title: format!("Put back {}", kept.told.name),
        engine: Some(name),
        started_by: Some(caller.user().to_owned()),
    };
    let job = state
        .background
        .jobs
        .start(new, move |job| async move {
            let docker = engine
                .docker()
                .map_err(|error| Failure::new(ProblemCode::EngineUnreachable, error.to_string()))?;
            job.step("create", "makes the container", None, None);
            let made = recreate::create(&docker, &kept.told.name, &spec).await?;
            if kept.told.was_running {
                job.step("start", "starts it", None, None);
                if let Err(error) = docker
                    .start_container(&made, None::<StartContainerOptions>)
                    .await
                {
                    // Its volumes were there before: only the container goes.
                    drop(super::remove::remove_one(&engine, &made, true, false).await);
                    return Err(error.into());
                }
            }
            if let Err(error) = engine.mirror.refresh_container(&docker, &made).await {
                tracing::debug!(%error, "read a container that was put back");
            }
            Ok(Some(made))
        })
        .await?;
    Ok((StatusCode::ACCEPTED, Json(job)))
}

/// Keeps what a container was made with before it is removed or changed. What cannot be kept does not stop the act.
///
/// # Errors
/// When it is being made anew.
pub(super) async fn keep(
    state: &AppState,
    engine: &Engine,
    id: &str,
    reason: RevisionReason,
    by: &str,
) -> Result<(), ApiError> {
    let recreations = &state.background.recreations;
    if recreations.is_busy(&engine.name, id).await? {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            ProblemCode::Conflict,
            BeginError::Busy.to_string(),
        )
        .hint("wait for its job to end, or cancel it"));
    }
    let inspect = match look(engine, id).await {
        Ok(inspect) => inspect,
        Err(error) => {
            tracing::debug!(
                detail = error.detail(),
                "keep what a container was made with"
            );
            return Ok(());
        }
    };
    let kept = NewRevision {
        engine: engine.name.clone(),
        container: inspect.id.clone().unwrap_or_default(),
        name: name_of(&inspect),
        was_running: is_running(&inspect),
        reason,
        by: by.to_owned(),
        spec: spec_of(&inspect),
    };
    if let Err(error) = recreations.revisions.keep(kept).await {
        tracing::warn!(%error, "keep what a container was made with");
    }
    Ok(())
}

/// What a recreation is about.
struct Settings {
    name: String,
    new_name: String,
    old: Spec,
    new: Spec,
    pull: Option<String>,
}

fn row(
    engine: &EngineName,
    inspect: &ContainerInspectResponse,
    caller: &Caller,
    settings: Settings,
) -> Result<Row, ApiError> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).map_err(ApiError::internal)?;
    let stop = settings
        .old
        .body
        .stop_timeout
        .and_then(|seconds| u32::try_from(seconds).ok());
    let removes_itself = settings
        .old
        .body
        .host_config
        .as_ref()
        .is_some_and(|host| host.auto_remove == Some(true));
    Ok(Row {
        id: hex::encode(bytes),
        engine: engine.to_string(),
        old_id: inspect.id.clone().unwrap_or_default(),
        phase: Phase::Create,
        new_id: None,
        plan: Planned {
            name: settings.name,
            new_name: settings.new_name,
            was_running: is_running(inspect),
            removes_itself,
            stop_s: stop.unwrap_or(10).min(3600),
            old: settings.old,
            new: settings.new,
            by: caller.user().to_owned(),
            pull: settings.pull,
        },
    })
}

async fn begin(
    state: &AppState,
    engine: &Arc<Engine>,
    row: Row,
    kind: JobKind,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    let begun = state
        .background
        .recreations
        .begin(Arc::clone(engine), row, kind);
    let job = Box::pin(begun).await.map_err(|error| match error {
        BeginError::Db(error) => error.into(),
        BeginError::Job(error) => error.into(),
        BeginError::Busy => ApiError::new(
            StatusCode::CONFLICT,
            ProblemCode::Conflict,
            error.to_string(),
        )
        .hint("wait for its job to end"),
    })?;
    Ok((StatusCode::ACCEPTED, Json(job)))
}

async fn look(engine: &Engine, id: &str) -> Result<ContainerInspectResponse, ApiError> {
    let options = InspectContainerOptionsBuilder::default()
        .size(false)
        .build();
    Ok(engine
        .call(Deadline::Read, |docker| async move {
            docker.inspect_container(id, Some(options)).await
        })
        .await?)
}

async fn kept(state: &AppState, engine: &EngineName, id: &RevisionId) -> Result<Kept, ApiError> {
    let kept = state
        .background
        .recreations
        .revisions
        .get(engine, id)
        .await?;
    kept.ok_or_else(|| {
        ApiError::not_found("revision").hint("it was not kept, or longer ago than 30 days")
    })
}

fn is_running(inspect: &ContainerInspectResponse) -> bool {
    inspect
        .state
        .as_ref()
        .is_some_and(|state| state.running == Some(true))
}

fn name_of(inspect: &ContainerInspectResponse) -> String {
    inspect
        .name
        .as_deref()
        .unwrap_or_default()
        .trim_start_matches('/')
        .to_owned()
}

/// Who may not have made the container may not make it anew, and what may not be asked of a new one may not be changed to.
fn may_change(
    caller: &Caller,
    inspect: &ContainerInspectResponse,
    changes: &ContainerChanges,
) -> Result<(), ApiError> {
    policy::may_enter(caller, inspect)?;
    let image = inspect
        .config
        .as_ref()
        .and_then(|config| config.image.clone())
        .unwrap_or_default();
    let request = as_request(changes, &image);
    // Of an image that was given by its short id only the engine knows whether it is one.
    let mut errors = create_body::check(&request);
    if changes.image.is_none() {
        errors.retain(|error| error.field != "image");
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    policy::may_create(caller, &request)
}

/// What was kept may be more than the caller may ask for.
fn may_restore(caller: &Caller, kept: &Kept) -> Result<(), ApiError> {
    let host = kept.spec.body.host_config.clone().unwrap_or_default();
    let bind = |source: &str| bollard::models::MountPoint {
        typ: Some(
            if source.starts_with('/') {
                "bind"
            } else {
                "volume"
            }
            .to_owned(),
        ),
        ..Default::default()
    };
    let mut mounts: Vec<_> = host.binds.iter().flatten().map(|one| bind(one)).collect();
    mounts.extend(
        host.mounts
            .iter()
            .flatten()
            .filter(|mount| mount.typ == Some(bollard::models::MountType::BIND))
            .map(|_| bind("/")),
    );
    let as_if = ContainerInspectResponse {
        host_config: Some(host),
        mounts: Some(mounts),
        ..Default::default()
    };
    policy::may_enter(caller, &as_if)
}

fn name_is_free(engine: &Engine, name: &str) -> Result<(), ApiError> {
    if engine
        .mirror
        .containers()
        .iter()
        .all(|row| row.name != name)
    {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::CONFLICT,
        ProblemCode::Conflict,
        format!("a container {name} exists already"),
    )
    .fields(vec![api::problem::FieldError {
        field: "name".to_owned(),
        message: "is in use by another container".to_owned(),
    }]))
}

fn other_preview(detail: &str) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, ProblemCode::PreviewRequired, detail)
}

fn failed(failure: Failure) -> ApiError {
    match failure.problem("") {
        Some(problem) => {
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_GATEWAY);
            let error = ApiError::new(status, problem.code, problem.detail);
            match problem.hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        }
        None => ApiError::new(StatusCode::CONFLICT, ProblemCode::Conflict, "cancelled"),
    }
}

/// Finds out what making it anew would do; the same for the preview and for its confirmation.
fn find_edit(
    target: &Target,
    inspect: &ContainerInspectResponse,
    changes: &ContainerChanges,
) -> Result<Found, ApiError> {
    let name = target.row.name.clone();
    if let Some(new) = &changes.name
        && new.as_str() != name
    {
        name_is_free(&target.engine, new.as_str())?;
    }
    let mut warnings = vec!["What the container wrote outside of its volumes is lost.".to_owned()];
    if is_running(inspect) {
        warnings.insert(0, format!("{name} is stopped, and the new one is started in its place; when that does not work, the old one is back."));
    }
    if inspect
        .host_config
        .as_ref()
        .is_some_and(|host| host.auto_remove == Some(true))
    {
        warnings.push(
            "It removes itself when it stops: should the new one not work, a like one is made."
                .to_owned(),
        );
    }
    let fixed = |row: &api::container::ContainerSummary| {
        row.volumes.iter().filter(|name| name.len() == 64).count()
    };
    if fixed(&target.row) > 0 && changes.mounts.is_none() {
        warnings.push("Its anonymous volumes go over to the new one.".to_owned());
    } else if fixed(&target.row) > 0 {
        warnings.push("Its anonymous volumes stay, but nobody uses them any more.".to_owned());
    }
    let item = PreviewItem {
        kind: "container".to_owned(),
        id: target.id().to_owned(),
        name,
        bytes: None,
        used_by: Vec::new(),
        note: Some(
            if is_running(inspect) {
                "it runs"
            } else {
                "it does not run"
            }
            .to_owned(),
        ),
    };
    Ok(Found {
        plan: Plan::Edit {
            container: target.id().to_owned(),
            changes: serde_json::to_string(changes).map_err(ApiError::internal)?,
        },
        items: vec![item],
        freed_bytes: None,
        warnings,
        undo: "Its present settings are kept for 30 days and can be put back.".to_owned(),
    })
}

/// Finds out what putting back would do; the same for the preview and for its confirmation.
async fn find_restore(engine: &Engine, id: &RevisionId, kept: &Kept) -> Result<Found, ApiError> {
    let told = &kept.told;
    let mut warnings = vec![
        "What the container had written outside of its volumes cannot be put back.".to_owned(),
    ];
    let mut items = Vec::new();
    if let Some(now) = engine
        .mirror
        .container(&told.name)
        .filter(|row| row.name == told.name)
    {
        let runs = now.state == ContainerState::Running;
        items.push(PreviewItem {
            kind: "container".to_owned(),
            id: now.id.clone(),
            name: now.name.clone(),
            bytes: None,
            used_by: Vec::new(),
            note: Some(
                if runs {
                    "it runs and gives its place to the one that is put back"
                } else {
                    "it gives its place to the one that is put back"
                }
                .to_owned(),
            ),
        });
    }
    let image = told.image_id.as_str();
    let has_old = engine
        .call(Deadline::Read, |docker| async move {
            docker.inspect_image(image).await
        })
        .await
        .is_ok();
    if !has_old {
        let named = told.image.as_str();
        let has_name = !named.is_empty()
            && engine
                .call(Deadline::Read, |docker| async move {
                    docker.inspect_image(named).await
                })
                .await
                .is_ok();
        if !has_name {
            return Err(ApiError::new(
                StatusCode::CONFLICT,
                ProblemCode::Conflict,
                format!("its image {named} is not here any more"),
            )
            .hint("pull the image first"));
        }
        warnings.push(format!(
            "The image that it ran is gone; it gets what {named} is now."
        ));
    }
    let binds = kept
        .spec
        .body
        .host_config
        .iter()
        .flat_map(|host| host.binds.iter().flatten());
    let sources = binds
        .filter_map(|bind| bind.split(':').next())
        .filter(|source| !source.starts_with('/'));
    let mounts = kept
        .spec
        .body
        .host_config
        .iter()
        .flat_map(|host| host.mounts.iter().flatten());
    let volumes = mounts
        .filter(|mount| mount.typ == Some(bollard::models::MountType::VOLUME))
        .filter_map(|mount| mount.source.as_deref());
    let here = engine.mirror.volumes();
    for volume in sources.chain(volumes).filter(|name| !name.is_empty()) {
        if here.iter().all(|one| one.name != volume) {
            let short: String = volume.chars().take(24).collect();
            warnings.push(format!("The volume {short} is gone: it comes back empty."));
        }
    }
    Ok(Found {
        plan: Plan::Restore {
            revision: id.to_string(),
        },
        items,
        freed_bytes: None,
        warnings,
        undo: "What is there now is kept for 30 days and can be put back.".to_owned(),
    })
}

/// The image as it was then, when it is still here under another name or none.
async fn use_old_image(engine: &Engine, spec: &mut Spec) {
    let old = spec.image_id.clone();
    let named = spec.body.image.clone().unwrap_or_default();
    let (key, name) = (old.as_str(), named.as_str());
    let now = engine
        .call(Deadline::Read, |docker| async move {
            docker.inspect_image(name).await
        })
        .await;
    let same = now
        .ok()
        .and_then(|image| image.id)
        .is_some_and(|id| id == old);
    if !same
        && !old.is_empty()
        && engine
            .call(Deadline::Read, |docker| async move {
                docker.inspect_image(key).await
            })
            .await
            .is_ok()
    {
        spec.body.image = Some(old);
    }
}
