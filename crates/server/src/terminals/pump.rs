//! Moves bytes between a program and its ring, decides when it has been left alone for too long, and ends it whole.

use std::{sync::Arc, time::Duration};

use bollard::{
    exec::{CreateExecOptions, StartExecOptions},
    query_parameters::{
        InspectContainerOptions, ResizeContainerTTYOptionsBuilder, ResizeExecOptionsBuilder,
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};

use super::{
    registry::{Ending, KEPT_FOR, Shell, ToProgram},
    ring::KEPT,
};
use crate::{
    audit::Entry,
    engines::{Deadline, Engine, Input, Output},
    mirror::timestamp,
    state::AppState,
};

/// Read from the program at a time.
const PIECE: usize = 16 * 1024;
/// How often the sign-in and the last connection are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long the engine may take to tell the exit code once the output has ended.
const EXIT_CODE: Duration = Duration::from_secs(3);
/// Marks all that runs in a terminal, so that all of it can be ended.
pub(crate) const MARK: &str = "CONTAINEROS_TERMINAL";
/// Ends what carries the mark: a hang-up as from a terminal, and what does not heed it is killed a second later. Engines
/// leave an exec's processes running when its connection ends.
const HANG_UP: &str = r#"for signal in HUP KILL; do
  found=
  for p in /proc/[0-9]*; do
    if grep -q "$1" "$p/environ" 2>/dev/null; then kill -$signal "${p#/proc/}" 2>/dev/null && found=1; fi
  done
  [ -n "$found" ] || exit 0
  [ "$signal" = KILL ] || sleep 1
done"#;

/// The engine's end of a terminal.
pub(super) struct Program {
    pub(super) engine: Arc<Engine>,
    pub(super) exec: Option<String>,
    pub(super) user: String,
    pub(super) shell: Option<&'static str>,
    pub(super) output: Output,
    pub(super) input: Input,
    pub(super) input_queue: mpsc::Receiver<ToProgram>,
}

/// Keeps a terminal going until it ends, and tells of it for a while after.
pub(super) async fn run(state: AppState, shell: Arc<Shell>, program: Program) {
    let Program {
        engine,
        exec,
        user,
        shell: sh,
        output,
        input,
        input_queue,
    } = program;
    let ended = tokio::select! {
        () = read(&shell, output) => true,
        () = write(&shell, &engine, exec.as_deref(), input, input_queue) => true,
        () = watch(&state, &shell) => false,
        () = shell.over.cancelled() => false,
    };
    if !ended && exec.is_some() {
        hang_up(&shell, &engine, sh, &user).await;
    }
    let code = exit_code(&engine, &shell, exec.as_deref()).await;
    shell.lock().ended = Some(Ending { exit_code: code });
    shell.stirred.notify_waiters();
    let entry = Entry {
        user: shell.owner.clone(),
        token: None,
        ip: String::new(),
        operation: "TerminalEnd".to_owned(),
        target: shell.place(),
        decision: "done".to_owned(),
        status: None,
        request_id: String::new(),
    };
    if let Err(error) = state.audit.append(entry).await {
        tracing::error!(%error, "write a terminal's end to the audit log");
    }
    // Whoever was away for a moment still learns how it ended.
    tokio::select! {
        () = state.stop.cancelled() => {}
        () = tokio::time::sleep(KEPT_FOR) => {}
    }
    state.terminals.forget(&shell.id);
}

/// Reads the program's output while there is room for it: a client that does not read makes the program wait.
async fn read(shell: &Shell, mut output: Output) {
    let mut piece = vec![0; PIECE];
    loop {
        loop {
            let stirred = shell.stirred.notified();
            let mut stirred = std::pin::pin!(stirred);
            stirred.as_mut().enable();
            {
                let state = shell.lock();
                let behind = state.ring.end().saturating_sub(state.read);
                if !state.connected || behind + PIECE as u64 <= KEPT as u64 {
                    break;
                }
            }
            stirred.await;
        }
        match output.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                shell
                    .lock()
                    .ring
                    .push(piece.get(..count).unwrap_or_default());
                shell.stirred.notify_waiters();
            }
        }
    }
}

/// Gives the program its input and size; ends only when the program takes no more.
async fn write(
    shell: &Shell,
    engine: &Engine,
    exec: Option<&str>,
    mut input: Input,
    mut queue: mpsc::Receiver<ToProgram>,
) {
    while let Some(piece) = queue.recv().await {
        match piece {
            ToProgram::Input(bytes) => {
                let written = async {
                    input.write_all(&bytes).await?;
                    input.flush().await
                };
                if written.await.is_err() {
                    // Its output tells how it ended.
                    break;
                }
            }
            ToProgram::Size { columns, rows } => resize(shell, engine, exec, columns, rows).await,
        }
    }
    std::future::pending::<()>().await;
}

async fn resize(shell: &Shell, engine: &Engine, exec: Option<&str>, columns: u16, rows: u16) {
    let (w, h) = (i32::from(columns), i32::from(rows));
    let resized = if let Some(id) = exec {
        let options = ResizeExecOptionsBuilder::default().w(w).h(h).build();
        engine
            .call(Deadline::Read, |docker| async move {
                docker.resize_exec(id, options).await
            })
            .await
    } else {
        let id = shell.container.as_str();
        let options = ResizeContainerTTYOptionsBuilder::default()
            .w(w)
            .h(h)
            .build();
        engine
            .call(Deadline::Read, |docker| async move {
                docker.resize_container_tty(id, options).await
            })
            .await
    };
    if let Err(error) = resized {
        tracing::debug!(%error, terminal = %shell.id, "resize a terminal");
    }
}

/// Returns when nobody has been connected for too long, or the sign-in has ended.
async fn watch(state: &AppState, shell: &Shell) {
    loop {
        tokio::time::sleep(LOOK).await;
        let (left, caller) = {
            let shared = shell.lock();
            (
                !shared.connected && shared.left_at.elapsed() >= KEPT_FOR,
                shared.caller.clone(),
            )
        };
        // A database that cannot be asked ends no terminal.
        let signed_out = !state.auth.is_alive(&caller).await.unwrap_or(true);
        if signed_out {
            shell.lock().signed_out = true;
        }
        if left || signed_out {
            return;
        }
    }
}

/// Ends everything that runs in the terminal.
async fn hang_up(shell: &Shell, engine: &Engine, sh: Option<&'static str>, user: &str) {
    let Some(sh) = sh else {
        tracing::info!(terminal = %shell.id, "the container has no shell that could end what runs in the terminal");
        return;
    };
    let mark = format!("{MARK}={}", shell.id);
    let options = CreateExecOptions {
        cmd: Some(vec![sh, "-c", HANG_UP, "sh", &mark]),
        // The same user: root in a container may not look at other users' environment.
        user: (!user.is_empty()).then_some(user),
        ..Default::default()
    };
    let id = shell.container.as_str();
    let done = engine
        .call(Deadline::Write, |docker| async move {
            let made = docker.create_exec(id, options).await?;
            let detached = StartExecOptions {
                detach: true,
                ..Default::default()
            };
            docker.start_exec(&made.id, Some(detached)).await
        })
        .await;
    if let Err(error) = done {
        tracing::debug!(%error, terminal = %shell.id, "end what runs in a terminal");
    }
}

/// The exit code, as soon as the engine knows it.
async fn exit_code(engine: &Engine, shell: &Shell, exec: Option<&str>) -> Option<i64> {
    let asked = async {
        loop {
            let code = if let Some(id) = exec {
                let seen = engine
                    .call(Deadline::Read, |docker| async move {
                        docker.inspect_exec(id).await
                    })
                    .await
                    .ok()?;
                (seen.running != Some(true))
                    .then_some(seen.exit_code)
                    .flatten()
            } else {
                let id = shell.container.as_str();
                let seen = engine
                    .call(Deadline::Read, |docker| async move {
                        docker
                            .inspect_container(id, None::<InspectContainerOptions>)
                            .await
                    })
                    .await
                    .ok()?;
                let state = seen.state?;
                let time = |text: &Option<String>| text.as_deref().and_then(timestamp);
                // Between its end and what is written of it an engine may tell the code from before.
                let over = state.running != Some(true)
                    && time(&state.finished_at) >= time(&state.started_at);
                over.then_some(state.exit_code).flatten()
            };
            if code.is_some() {
                return code;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(EXIT_CODE, asked).await.ok().flatten()
}
