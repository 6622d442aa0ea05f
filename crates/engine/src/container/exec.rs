//! More processes in running containers: `exec`.

use std::{
    collections::HashMap,
    os::fd::AsFd as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bollard_stubs::models::{ExecConfig, ExecInspectResponse, ProcessConfig};
use shim_protocol::{AttachStreams, Call, ConsoleSize, ExecRequest, Reply};
use tokio::{net::UnixStream, sync::watch};

use super::{
    handle::{Container, Running},
    spec::{self, ExecProcess},
    user,
};
use crate::{
    blocking,
    engine::Engine,
    error::{EngineError, Result},
    events::EventKind,
    id,
};

/// An exec that has ended is forgotten after this time, as Docker does.
const KEPT_AFTER_END: Duration = Duration::from_mins(5);
/// How long the engine may take to learn how a process ended whose output has ended.
const EXIT_PATIENCE: Duration = Duration::from_secs(5);

/// One more process: asked for, running, or ended.
#[derive(Debug)]
pub(crate) struct Exec {
    id: String,
    container_id: String,
    config: ExecConfig,
    progress: watch::Sender<Progress>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Created,
    Running { pid: i32 },
    Ended { exit_code: i32, at: Instant },
}

/// The execs of all containers.
#[derive(Debug, Default)]
pub(crate) struct Execs {
    by_id: Mutex<HashMap<String, Arc<Exec>>>,
}

/// How an exec is started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StartRequest {
    /// Nobody wants its input or output.
    pub(crate) detach: bool,
    /// Size of its terminal.
    pub(crate) console_size: Option<ConsoleSize>,
}

/// The input and output of a started exec: the connection and the bytes that came already; `None` when detached.
pub(crate) type ExecStream = Option<(UnixStream, Vec<u8>)>;

impl Exec {
    /// Its id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether it has a terminal.
    pub(crate) fn has_terminal(&self) -> bool {
        self.config.tty == Some(true)
    }

    /// The keys that leave it.
    pub(crate) fn detach_keys(&self) -> Option<&str> {
        self.config.detach_keys.as_deref()
    }

    /// The size its creator asked for.
    pub(crate) fn console_size(&self) -> Option<ConsoleSize> {
        spec::console_size(self.config.console_size.as_deref())
    }

    /// Waits until it is known how its process ended, a short while after its output has ended.
    pub(crate) async fn settled(&self) {
        let mut progress = self.progress.subscribe();
        let ended = progress.wait_for(|progress| matches!(progress, Progress::Ended { .. }));
        // The client gets its end all the same.
        drop(tokio::time::timeout(EXIT_PATIENCE, ended).await);
    }

    fn command(&self) -> &[String] {
        self.config.cmd.as_deref().unwrap_or_default()
    }

    fn streams(&self) -> AttachStreams {
        AttachStreams {
            stdin: self.config.attach_stdin == Some(true),
            stdout: self.config.attach_stdout == Some(true),
            stderr: self.config.attach_stderr == Some(true),
        }
    }
}

impl Execs {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Exec>>> {
        // Every critical section is one change of the map.
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an exec by its id.
    ///
    /// # Errors
    /// `NotFound` in Docker's words.
    pub(crate) fn resolve(&self, id: &str) -> Result<Arc<Exec>> {
        self.lock()
            .get(id)
            .cloned()
            .ok_or_else(|| EngineError::NotFound(format!("No such exec instance: {id}")))
    }

    /// The ids of a container's execs that have not ended.
    pub(crate) fn of_container(&self, container_id: &str) -> Vec<String> {
        let mut ids: Vec<String> = self
            .lock()
            .values()
            .filter(|exec| exec.container_id == container_id)
            .filter(|exec| !matches!(*exec.progress.borrow(), Progress::Ended { .. }))
            .map(|exec| exec.id.clone())
            .collect();
        ids.sort();
        ids
    }

    /// Puts down that an exec's process has ended.
    pub(super) fn ended(&self, engine: &Engine, container: &Container, id: &str, exit_code: i32) {
        let Some(exec) = self.lock().get(id).cloned() else {
            // A health check, or one that an earlier engine started.
            return;
        };
        finish(&exec, exit_code);
        let mut attributes = container.event_attributes();
        attributes.insert("execID".to_owned(), id.to_owned());
        attributes.insert("exitCode".to_owned(), exit_code.to_string());
        engine
            .events
            .publish(EventKind::Container, "exec_die", container.id(), attributes);
    }

    /// Puts down that all processes of a container have ended.
    pub(super) fn container_ended(&self, engine: &Engine, container: &Container) {
        for id in self.of_container(container.id()) {
            if let Ok(exec) = self.resolve(&id)
                && matches!(*exec.progress.borrow(), Progress::Running { .. })
            {
                self.ended(engine, container, &id, 137);
            }
        }
    }

    /// Forgets the execs of a container that is gone.
    pub(super) fn forget_container(&self, container_id: &str) {
        self.lock()
            .retain(|_, exec| exec.container_id != container_id);
    }

    /// Adds an exec, and forgets those that ended long ago.
    fn insert(&self, exec: Arc<Exec>) {
        let mut by_id = self.lock();
        by_id.retain(|_, exec| match *exec.progress.borrow() {
            Progress::Ended { at, .. } => at.elapsed() < KEPT_AFTER_END,
            _ => true,
        });
        by_id.insert(exec.id.clone(), exec);
    }
}

fn finish(exec: &Exec, exit_code: i32) {
    exec.progress.send_replace(Progress::Ended {
        exit_code,
        at: Instant::now(),
    });
}

fn require_running(container: &Container) -> Result<Running> {
    let running = container.require_running()?;
    if running.paused {
        return Err(EngineError::Conflict(format!(
            "Container {} is paused, unpause the container before exec",
            container.id()
        )));
    }
    Ok(running)
}

/// Notes a process that is to run in a container.
///
/// # Errors
/// `Conflict` when the container does not run, `Invalid` without a command.
pub(crate) fn create(
    engine: &Engine,
    container: &Container,
    config: ExecConfig,
) -> Result<Arc<Exec>> {
    require_running(container)?;
    if config.cmd.as_ref().is_none_or(Vec::is_empty) {
        return Err(EngineError::Invalid("No exec command specified".to_owned()));
    }
    let dir = config.working_dir.as_deref().unwrap_or_default();
    if !dir.is_empty() && super::paths::clean_absolute(dir).is_none() {
        return Err(EngineError::Invalid(format!(
            "the working directory '{dir}' is invalid, it needs to be an absolute path"
        )));
    }
    let exec = Arc::new(Exec {
        id: id::generate()?,
        container_id: container.id().to_owned(),
        config,
        progress: watch::Sender::new(Progress::Created),
    });
    engine.execs.insert(Arc::clone(&exec));
    publish(engine, container, &exec, "exec_create");
    Ok(exec)
}

fn publish(engine: &Engine, container: &Container, exec: &Exec, action: &str) {
    let mut attributes = container.event_attributes();
    attributes.insert("execID".to_owned(), exec.id.clone());
    let action = format!("{action}: {}", exec.command().join(" "));
    engine
        .events
        .publish(EventKind::Container, &action, container.id(), attributes);
}

/// Runs a process that was noted.
///
/// # Errors
/// `Conflict` when it ran already or the container does not run, `Invalid` when the program cannot be executed; the
/// exec has ended then with 126 or 127.
pub(crate) async fn start(
    engine: &Arc<Engine>,
    exec: &Arc<Exec>,
    request: StartRequest,
) -> Result<ExecStream> {
    let container = engine.containers.resolve(&exec.container_id)?;
    let running = require_running(&container)?;
    // Taken at once, so that two who start it do not both run it; the number comes later.
    let taken = exec.progress.send_if_modified(|progress| {
        let fresh = *progress == Progress::Created;
        if fresh {
            *progress = Progress::Running { pid: 0 };
        }
        fresh
    });
    if !taken {
        return Err(EngineError::Conflict(format!(
            "exec command {} has already run",
            exec.id
        )));
    }
    let streams = if request.detach {
        AttachStreams {
            stdin: false,
            stdout: false,
            stderr: false,
        }
    } else {
        exec.streams()
    };
    let process = ExecProcess {
        command: exec.command().to_vec(),
        env: exec.config.env.clone().unwrap_or_default(),
        working_dir: exec.config.working_dir.clone().unwrap_or_default(),
        terminal: exec.has_terminal(),
        privileged: exec.config.privileged == Some(true),
    };
    let user = exec.config.user.clone().unwrap_or_default();
    let console_size = request.console_size.or_else(|| exec.console_size());
    let launch = Launch {
        exec_id: exec.id.clone(),
        process,
        user,
        streams,
        console_size,
    };
    let launched = launch.run(&container, &running).await;
    match launched {
        Ok((pid, stream)) => {
            exec.progress.send_if_modified(|progress| {
                // It may have ended already.
                let runs = matches!(progress, Progress::Running { .. });
                if runs {
                    *progress = Progress::Running { pid };
                }
                runs
            });
            publish(engine, &container, exec, "exec_start");
            Ok((!request.detach).then_some(stream))
        }
        Err(error) => {
            finish(exec, status_of(&error));
            Err(error)
        }
    }
}

/// The status that a shell would give a program that could not be run.
fn status_of(error: &EngineError) -> i32 {
    let text = error.to_string();
    if text.contains("not found") || text.contains("no such file") {
        127
    } else {
        126
    }
}

/// What the shim needs for one more process.
pub(super) struct Launch {
    pub(super) exec_id: String,
    pub(super) process: ExecProcess,
    /// As in `User`; empty for the container's own.
    pub(super) user: String,
    pub(super) streams: AttachStreams,
    pub(super) console_size: Option<ConsoleSize>,
}

impl Launch {
    /// Runs it; returns its process id and its streams.
    pub(super) async fn run(
        self,
        container: &Arc<Container>,
        running: &Running,
    ) -> Result<(i32, (UnixStream, Vec<u8>))> {
        let record = container.record();
        let rootfs = container.rootfs();
        let process = blocking::run(move || {
            let root =
                std::fs::File::open(&rootfs).map_err(EngineError::io("open", rootfs.display()))?;
            let (name, group_add) = match self.user.as_str() {
                "" => (
                    record.config.user.clone().unwrap_or_default(),
                    record.host_config.group_add.clone().unwrap_or_default(),
                ),
                name => (name.to_owned(), Vec::new()),
            };
            let user = user::resolve(root.as_fd(), &name, &group_add)?;
            spec::exec_process(&record, &user, &self.process)
        })
        .await?;
        let call = Call::Exec(Box::new(ExecRequest {
            exec_id: self.exec_id,
            process,
            streams: self.streams,
            console_size: self.console_size,
        }));
        let (reply, stream, early) = running.shim.open_stream(call).await.map_err(|error| {
            let words = "OCI runtime exec failed: exec failed: unable to start container process";
            match error {
                EngineError::Invalid(message) => {
                    EngineError::Invalid(format!("{words}: {message}: unknown"))
                }
                EngineError::Internal(message) => {
                    EngineError::Internal(format!("{words}: {message}: unknown"))
                }
                other => other,
            }
        })?;
        match reply {
            Reply::ExecStarted { pid } => Ok((pid, (stream, early))),
            other => Err(EngineError::internal(
                "understand",
                "the shim",
                format!("unexpected {other:?}"),
            )),
        }
    }
}

/// Returns an exec as Docker shows it.
pub(crate) fn inspect(exec: &Exec) -> ExecInspectResponse {
    let (running, exit_code, pid) = match *exec.progress.borrow() {
        Progress::Created => (false, None, 0),
        Progress::Running { pid } => (true, None, pid),
        Progress::Ended { exit_code, .. } => (false, Some(i64::from(exit_code)), 0),
    };
    let command = exec.command();
    ExecInspectResponse {
        can_remove: Some(false),
        detach_keys: Some(exec.detach_keys().unwrap_or_default().to_owned()),
        id: Some(exec.id.clone()),
        running: Some(running),
        exit_code,
        process_config: Some(ProcessConfig {
            privileged: Some(exec.config.privileged == Some(true)),
            user: exec.config.user.clone(),
            tty: Some(exec.has_terminal()),
            entrypoint: command.first().cloned(),
            arguments: Some(command.iter().skip(1).cloned().collect()),
        }),
        open_stdin: Some(exec.config.attach_stdin == Some(true)),
        open_stderr: Some(exec.config.attach_stderr == Some(true)),
        open_stdout: Some(exec.config.attach_stdout == Some(true)),
        container_id: Some(exec.container_id.clone()),
        pid: Some(i64::from(pid)),
    }
}

/// Sets the size of an exec's terminal.
///
/// # Errors
/// `Conflict` when its process or its container does not run.
pub(crate) async fn resize(engine: &Engine, exec: &Exec, size: ConsoleSize) -> Result<()> {
    let container = engine.containers.resolve(&exec.container_id)?;
    let running = container.require_running()?;
    if !matches!(*exec.progress.borrow(), Progress::Running { .. }) {
        return Err(EngineError::Conflict(format!(
            "exec process {} is not running",
            exec.id
        )));
    }
    let call = Call::Resize {
        size,
        exec_id: Some(exec.id.clone()),
    };
    running.shim.call(call).await.map(drop)
}
