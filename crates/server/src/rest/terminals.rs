//! Terminals: opening, connecting, closing.

use api::{
    auth::Role,
    id::{ContainerId, EngineName, TerminalId},
    live::Items,
    problem::{FieldError, ProblemCode},
    terminal::{Terminal, TerminalOpenRequest, TerminalQuery},
};
use axum::{
    Json,
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::StatusCode,
    response::Response,
};
use bollard::{exec::CreateExecOptions, query_parameters::InspectContainerOptions};

use super::{Target, policy};
use crate::{
    audit::Entry,
    engines::{CallError, Deadline, Raw},
    http::{ApiError, Body, Caller, Params, QueryParams, request_id},
    state::AppState,
    terminals::{MARK, MAX_FRAME, Opened, Shell, find_shell, serve},
};

/// Sockets of one session at a time.
const PER_SESSION: usize = 20;
/// Longest word, path or value, in bytes.
const LONGEST: usize = 4096;
/// Most words of a command, and most variables.
const MOST_WORDS: usize = 256;

/// `POST /engines/{engine}/containers/{container}/terminals`
pub(crate) async fn open(
    State(state): State<AppState>,
    caller: Caller,
    Params((engine, id)): Params<(EngineName, ContainerId)>,
    Body(request): Body<TerminalOpenRequest>,
) -> Result<(StatusCode, Json<Terminal>), ApiError> {
    let errors = check(&request);
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    let target = Target::find(&state, &engine, &id).await?;
    let container = target.id();
    let inspect = target
        .engine
        .call(Deadline::Read, |docker| async move {
            docker
                .inspect_container(container, None::<InspectContainerOptions>)
                .await
        })
        .await?;
    policy::may_enter(&caller, &inspect)?;
    let running = inspect
        .state
        .as_ref()
        .is_some_and(|state| state.running == Some(true));
    if !running {
        return Err(conflict("the container does not run", "start it first"));
    }
    if state.terminals.has_room(caller.user()).is_err() {
        return Err(ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            ProblemCode::RateLimited,
            "too many terminals are open",
        )
        .hint("close some; each user may have 16"));
    }
    let shell = find_shell(&target.engine, container).await?;
    let terminal = new_id()?;
    let (exec, command) = if request.attach {
        let has_tty = inspect
            .config
            .as_ref()
            .is_some_and(|config| config.tty == Some(true));
        if !has_tty {
            return Err(conflict(
                "the container was made without a terminal of its own",
                "open a shell in it instead, or read its log",
            ));
        }
        (None, Vec::new())
    } else {
        let command = match (request.command.as_slice(), shell) {
            ([], None) => {
                return Err(conflict(
                    "the container has no shell that is known here",
                    "name the program to run",
                ));
            }
            ([], Some(shell)) => vec![shell.to_owned()],
            (words, _) => words.to_vec(),
        };
        (
            Some(make_exec(&target, &request, &terminal, &command).await?),
            command,
        )
    };
    let raw = match &exec {
        Some(id) => Raw::Exec(id.clone()),
        None => Raw::Container(container.to_owned()),
    };
    let (output, input) = target
        .engine
        .hijack(&raw, &state.tasks, &state.stop)
        .await
        .map_err(not_started)?;
    let opened = Opened {
        id: terminal,
        engine: target.engine.clone(),
        container: container.to_owned(),
        container_name: target.row.name.clone(),
        caller: caller.clone(),
        command,
        user: request.user.clone().unwrap_or_default(),
        exec,
        shell,
        output,
        input,
    };
    let size = (request.columns.unwrap_or(80), request.rows.unwrap_or(24));
    let shell = state.terminals.take(&state, opened);
    shell.resize(size.0, size.1).await;
    Ok((StatusCode::CREATED, Json(shell.told())))
}

async fn make_exec(
    target: &Target,
    request: &TerminalOpenRequest,
    terminal: &TerminalId,
    command: &[String],
) -> Result<String, ApiError> {
    let mut env = vec!["TERM=xterm-256color".to_owned()];
    env.extend(
        request
            .env
            .iter()
            .map(|one| format!("{}={}", one.key, one.value)),
    );
    env.push(format!("{MARK}={terminal}"));
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(true),
        env: Some(env),
        cmd: Some(command.to_vec()),
        user: given(&request.user),
        working_dir: given(&request.working_dir),
        ..Default::default()
    };
    let id = target.id();
    let made = target
        .engine
        .call(Deadline::Write, |docker| async move {
            docker.create_exec(id, options).await
        })
        .await?;
    Ok(made.id)
}

/// `GET /terminals`
pub(crate) async fn list(State(state): State<AppState>, caller: Caller) -> Json<Items<Terminal>> {
    let mut items = state.terminals.list();
    items.retain(|one| caller.role() == Role::Admin || one.owner == caller.user());
    Json(Items { items })
}

/// `GET /terminals/{terminal}`
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Params(id): Params<TerminalId>,
) -> Result<Json<Terminal>, ApiError> {
    Ok(Json(find(&state, &caller, &id, true)?.told()))
}

/// `POST /terminals/{terminal}/close`
pub(crate) async fn close(
    State(state): State<AppState>,
    caller: Caller,
    Params(id): Params<TerminalId>,
) -> Result<Json<Terminal>, ApiError> {
    let shell = find(&state, &caller, &id, true)?;
    shell.end();
    shell.ended().await;
    let told = shell.told();
    // One that nobody wants any more needs no further telling.
    state.terminals.forget(&id);
    Ok(Json(told))
}

/// `GET /terminals/{terminal}/io`
pub(crate) async fn io(
    State(state): State<AppState>,
    caller: Caller,
    Params(id): Params<TerminalId>,
    QueryParams(query): QueryParams<TerminalQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    // Alone its owner sits at it, whatever the role of others.
    let shell = find(&state, &caller, &id, false)?;
    if !caller.may_change() {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            ProblemCode::Forbidden,
            "this token only reads, and who is at a terminal acts",
        ));
    }
    let upgrade = upgrade.map_err(|rejection| {
        ApiError::malformed(rejection.body_text()).hint("open it as a WebSocket, version 13")
    })?;
    let Some(place) = state.terminal_sockets.enter(caller.key(), PER_SESSION) else {
        let detail = format!("one session has at most {PER_SESSION} terminals connected");
        return Err(ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            ProblemCode::RateLimited,
            detail,
        ));
    };
    state
        .audit
        .append(Entry {
            user: caller.user().to_owned(),
            token: caller.token_name().map(str::to_owned),
            ip: String::new(),
            operation: "TerminalIo".to_owned(),
            target: shell.place(),
            decision: "allowed".to_owned(),
            status: Some(101),
            request_id: request_id(),
        })
        .await?;
    let (owner, stop) = (state.tasks.clone(), state.stop.clone());
    Ok(upgrade
        .max_message_size(MAX_FRAME)
        .max_frame_size(MAX_FRAME)
        .on_upgrade(move |socket| async move {
            owner
                .track_future(async move {
                    serve(socket, shell, caller, query.from, stop).await;
                    drop(place);
                })
                .await;
        }))
}

fn find(
    state: &AppState,
    caller: &Caller,
    id: &TerminalId,
    admin_too: bool,
) -> Result<std::sync::Arc<Shell>, ApiError> {
    state
        .terminals
        .get(id)
        .filter(|one| one.owner() == caller.user() || (admin_too && caller.role() == Role::Admin))
        .ok_or_else(|| {
            ApiError::not_found("terminal")
                .hint("it has ended, or is somebody else's: open a new one")
        })
}

fn check(request: &TerminalOpenRequest) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut wrong = |field: &str, message: &str| {
        errors.push(FieldError {
            field: field.to_owned(),
            message: message.to_owned(),
        });
    };
    let is_plain = |text: &str| text.len() <= LONGEST && !text.contains('\0');
    if request.command.len() > MOST_WORDS
        || request.command.first().is_some_and(String::is_empty)
        || !request.command.iter().all(|word| is_plain(word))
    {
        wrong(
            "command",
            "must be a program and its arguments, at most 256 of at most 4096 bytes",
        );
    }
    if request.user.as_deref().is_some_and(|user| {
        user.len() > 256
            || !user
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b':' | b'$'))
    }) {
        wrong("user", "must be a name or number, perhaps with :group");
    }
    if request
        .working_dir
        .as_deref()
        .is_some_and(|path| !path.is_empty() && (!path.starts_with('/') || !is_plain(path)))
    {
        wrong("working_dir", "must be an absolute path");
    }
    if request.env.len() > MOST_WORDS {
        wrong("env", "must be at most 256 variables");
    }
    for (number, variable) in request.env.iter().enumerate() {
        if variable.key.is_empty()
            || variable.key.contains('=')
            || !is_plain(&variable.key)
            || !is_plain(&variable.value)
        {
            wrong(&format!("env[{number}].key"), "must be a name without '='");
        }
    }
    for (field, value) in [("columns", request.columns), ("rows", request.rows)] {
        if value.is_some_and(|value| !(1..=1000).contains(&value)) {
            wrong(field, "must be 1 to 1000");
        }
    }
    if request.attach && !(request.command.is_empty() && request.env.is_empty()) {
        wrong("attach", "goes without a command and environment");
    }
    errors
}

fn conflict(detail: &str, hint: &str) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, ProblemCode::Conflict, detail).hint(hint)
}

/// What engines say when the program is not there is the client's to mend.
fn not_started(error: CallError) -> ApiError {
    match error {
        CallError::Refused { message, .. }
            if [
                "executable file not found",
                "no such file or directory",
                "permission denied",
            ]
            .iter()
            .any(|words| message.to_lowercase().contains(words)) =>
        {
            ApiError::invalid_field("command", message)
        }
        other => other.into(),
    }
}

fn new_id() -> Result<TerminalId, ApiError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(ApiError::internal)?;
    TerminalId::parse(&hex::encode(bytes)).map_err(ApiError::internal)
}
