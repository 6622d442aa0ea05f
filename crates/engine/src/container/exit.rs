//! What the engine does while a container runs and when it has ended: the shim says so, or is gone.

use std::{sync::Arc, time::Duration};

use shim_protocol::{Event, ExitRecord, Message};

use super::{
    handle::Container,
    record::{StateRecord, Status},
    release, remove, restart,
    shim::{self},
    start::StartedRun,
};
use crate::{
    blocking,
    engine::Engine,
    error::{EngineError, Result},
    events::EventKind,
    time,
};

/// How long the kernel may take to end processes that were killed.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// The status of a container of which nobody knows how it ended, as Docker's.
const UNKNOWN_STATUS: i32 = 255;

/// Listens to a container's shim until the container has ended, and does then what is to be done.
pub(super) async fn watch(engine: Arc<Engine>, container: Arc<Container>, mut run: StartedRun) {
    let exit = loop {
        let message = tokio::select! {
            message = run.reader.next() => message,
            // Containers go on without us.
            () = engine.shutdown.cancelled() => return,
        };
        match message {
            Some(Message::Reply { seq, reply }) => run.shim.deliver(seq, reply),
            Some(Message::Event(Event::Exited(exit))) => break Some(exit),
            Some(Message::Event(Event::OutOfMemory { .. })) => {
                engine.events.publish(
                    EventKind::Container,
                    "oom",
                    container.id(),
                    container.event_attributes(),
                );
            }
            Some(Message::Event(Event::ExecExited { exec_id, exit_code })) => {
                if !run.shim.exec_ended(&exec_id, exit_code) {
                    engine.execs.ended(&engine, &container, &exec_id, exit_code);
                }
            }
            Some(other) => {
                tracing::warn!(container = container.id(), ?other, "unexpected of a shim");
            }
            None => break None,
        }
    };
    run.shim.close();
    if let Some(pid) = run.shim_pid {
        // It may stay a little for clients that read slowly.
        engine.tasks.spawn({
            let shutdown = engine.shutdown.clone();
            async move {
                tokio::select! {
                    () = shim::reap(pid) => {}
                    () = shutdown.cancelled() => {}
                }
            }
        });
    }
    let exit = match exit {
        Some(exit) => exit,
        None => lost(&engine, &container, run.shim_pid).await,
    };
    if let Some(noted) = run.noted.take() {
        // A short program ends before its start is put down: one after the other, or the start would have the last word.
        // That nobody puts it down any more ends the waiting too.
        drop(noted.await);
    }
    ended(&engine, &container, &exit).await;
}

/// How a container ended whose shim is gone without a word: as its record says, else killed by us now.
pub(super) async fn lost(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    shim_pid: Option<i32>,
) -> ExitRecord {
    if let Some(exit) = recorded(container) {
        return exit;
    }
    tracing::error!(
        container = container.id(),
        "the shim of a container is gone; its processes are ended"
    );
    kill_leftovers(engine, container, shim_pid).await;
    recorded(container).unwrap_or_else(|| ExitRecord {
        exit_code: UNKNOWN_STATUS,
        signal: None,
        oom_killed: false,
        finished_at_unix_ns: time::now_ns(),
        log_lost_bytes: 0,
    })
}

/// What the shim left of the end of the last run.
pub(super) fn recorded(container: &Container) -> Option<ExitRecord> {
    let json = std::fs::read(container.exit_file()).ok()?;
    serde_json::from_slice(&json).ok()
}

/// Ends every process of a container whose shim cannot do it, and takes away what the runtime left of it.
pub(super) async fn kill_leftovers(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    shim_pid: Option<i32>,
) {
    if let Some(pid) = shim_pid.and_then(rustix::process::Pid::from_raw) {
        // It is our child and not yet reaped, so the number is still its own.
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
        shim::reap(pid.as_raw_nonzero().get()).await;
    }
    let (engine, container) = (Arc::clone(engine), Arc::clone(container));
    let forget = move || {
        forget_processes(&engine, &container);
        Ok(())
    };
    drop(blocking::run(forget).await);
}

/// The same for a shim that is gone. Blocks.
pub(super) fn forget_processes(engine: &Engine, container: &Container) {
    if let Err(error) = kill_cgroup(container) {
        tracing::error!(container = container.id(), %error, "end the processes of a container");
    }
    let state = engine.containers.runtime_root().join(container.id());
    if state.exists()
        && let Err(error) = std::fs::remove_dir_all(&state)
    {
        tracing::warn!(path = %state.display(), %error, "remove what the runtime left");
    }
}

/// Takes away the control group above all containers when none of them runs. Called when the engine stops in good
/// order.
pub(crate) async fn leave(engine: &Arc<Engine>) {
    let engine = Arc::clone(engine);
    let remove = move || {
        let layout = cgroups::Layout::detect().ok();
        let parent = layout.and_then(|layout| {
            cgroups::Cgroup::open(&layout, engine.containers.cgroup_parent()).ok()
        });
        // One with a container in it stays, in every hierarchy.
        if let Some(parent) = parent.filter(|parent| parent.children().is_ok_and(|c| c.is_empty()))
        {
            drop(parent.remove(Duration::ZERO));
        }
        Ok(())
    };
    drop(blocking::run(remove).await);
}

fn kill_cgroup(container: &Container) -> Result<()> {
    let failed = || EngineError::io::<cgroups::Error>("end", "the processes of the container");
    match container.cgroup() {
        Ok(cgroup) => {
            cgroup.kill_all(KILL_PATIENCE).map_err(failed())?;
            cgroup.remove(KILL_PATIENCE).map_err(failed())
        }
        Err(cgroups::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(failed()(error)),
    }
}

fn put_down(state: &mut StateRecord, exit: &ExitRecord) {
    state.status = Status::Exited;
    state.finished_ns = Some(exit.finished_at_unix_ns);
    state.exit_code = exit.exit_code;
    state.oom_killed = exit.oom_killed;
}

/// Puts down how a run ended, gives back what it had, and decides what comes next.
pub(super) async fn ended(engine: &Arc<Engine>, container: &Arc<Container>, exit: &ExitRecord) {
    let next = {
        let mut inner = container.lock();
        // In one step with the end itself, and only then on disk: nobody sees that it has ended and not how.
        let mut record = (*inner.record).clone();
        put_down(&mut record.state, exit);
        inner.record = Arc::new(record);
        if let Some(running) = inner.running.take() {
            running.run.cancel();
        }
        restart::decide(engine, &mut inner, exit)
    };
    engine.execs.container_ended(engine, container);
    let record = {
        let (engine, container, exit) = (Arc::clone(engine), Arc::clone(container), exit.clone());
        move || {
            container.change(&engine.containers.records, |record| {
                put_down(&mut record.state, &exit);
            })
        }
    };
    if let Err(error) = blocking::run(record).await {
        // The shim's own record says it too, until the next start.
        tracing::error!(container = container.id(), %error, "put down that a container ended");
    }
    let started_ns = container.record().state.started_ns;
    let mut attributes = container.event_attributes();
    attributes.insert("exitCode".to_owned(), exit.exit_code.to_string());
    let ran_ns = started_ns.map_or(0, |started| exit.finished_at_unix_ns - started);
    attributes.insert(
        "execDuration".to_owned(),
        (ran_ns / 1_000_000_000).max(0).to_string(),
    );
    engine
        .events
        .publish(EventKind::Container, "die", container.id(), attributes);
    let given_back = {
        let (engine, container) = (Arc::clone(engine), Arc::clone(container));
        blocking::run(move || {
            release::everything(&engine, &container);
            Ok(())
        })
    };
    drop(given_back.await);
    container.set_phase(|phase| {
        phase.running = false;
        phase.restarting = matches!(next, restart::Next::Restart { .. });
        phase.exits += 1;
        phase.exit_code = exit.exit_code;
    });
    match next {
        restart::Next::Stay => {}
        restart::Next::Restart { delay, cancel } => {
            engine.tasks.spawn(restart::after(
                Arc::clone(engine),
                Arc::clone(container),
                delay,
                cancel,
            ));
        }
        restart::Next::Remove => {
            let (tasks, engine, container) = (
                engine.tasks.clone(),
                Arc::clone(engine),
                Arc::clone(container),
            );
            tasks.spawn(async move {
                if let Err(error) = remove::automatic(&engine, &container).await {
                    tracing::error!(container = container.id(), %error, "remove a container that has ended");
                }
            });
        }
    }
}
