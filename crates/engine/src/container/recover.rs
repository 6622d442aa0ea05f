//! Finding the containers again that an earlier engine left: those that run go on in our care, those that have ended
//! meanwhile are put down as such, and what a kill left half-made is finished or undone. May be killed and repeated.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use shim_protocol::{Call, Message, Reply, Request, ShimState};
use tokio::{io::AsyncWriteExt as _, net::UnixStream};

use super::{
    commit, exit,
    handle::Container,
    record::Status,
    release, remove, restart,
    shim::{self, Shim, ShimReader},
    start::{self, StartedRun, Starter, start_locked},
};
use crate::{
    blocking,
    engine::Engine,
    error::{EngineError, Result},
    events::EventKind,
};

/// How long a shim that an earlier engine has just executed may take until it listens or ends.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(15);
/// How often it is looked for meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long a shim may take to say how its container is.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Brings back what an earlier engine left. Nobody else uses the engine yet.
///
/// # Errors
/// `Internal` when a directory cannot be read. What goes wrong with one container is logged.
pub(crate) async fn recover(engine: &Arc<Engine>) -> Result<()> {
    let containers = engine.containers.all();
    for container in &containers {
        let record = container.record();
        let volumes = record.mounts.iter().filter_map(|mount| mount.volume());
        for name in volumes {
            if let Err(error) = engine.volumes.hold(container.id(), [name]) {
                tracing::warn!(container = container.id(), %error, "find the volume of a container");
            }
        }
    }
    kill_strangers(engine, &containers).await?;
    let mut running = Vec::new();
    for container in &containers {
        match find(container).await {
            Some((run, state)) => running.push((Arc::clone(container), run, state)),
            None => not_running(engine, container).await,
        }
    }
    restore_kernel_objects(engine, &containers, &running).await?;
    for (container, run, state) in running {
        take_over(engine, &container, run, &state).await;
    }
    for container in containers {
        if container.running().is_none() {
            engine.tasks.spawn(settle(Arc::clone(engine), container));
        }
    }
    Ok(())
}

/// A container that does not run: what its last run had is given back, and how it ended is put down.
async fn not_running(engine: &Arc<Engine>, container: &Arc<Container>) {
    let record = container.record();
    let bundle = container.bundle_dir();
    if bundle.exists() {
        // Processes may be left of a shim that was killed.
        exit::kill_leftovers(engine, container, None).await;
    }
    let recorded = exit::recorded(container);
    let started = record.state.status == Status::Running;
    // A start that was cut off before the engine put it down, but whose program has run and ended.
    let unseen = bundle.exists() && recorded.is_some();
    if !started && !unseen {
        return;
    }
    let exit = exit::lost(engine, container, None).await;
    let changed = {
        let (engine, container) = (Arc::clone(engine), Arc::clone(container));
        let started_ns = read_state(&bundle).map(|state| state.started_at_unix_ns);
        blocking::run(move || {
            container.change(&engine.containers.records, |record| {
                let state = &mut record.state;
                state.status = Status::Exited;
                if started_ns.is_some() {
                    state.started_ns = started_ns;
                }
                state.finished_ns = Some(exit.finished_at_unix_ns);
                state.exit_code = exit.exit_code;
                state.oom_killed = exit.oom_killed;
            })
        })
        .await
    };
    if let Err(error) = changed {
        tracing::error!(container = container.id(), %error, "put down that a container ended");
    }
    let mut attributes = container.event_attributes();
    let code = container.record().state.exit_code;
    attributes.insert("exitCode".to_owned(), code.to_string());
    engine
        .events
        .publish(EventKind::Container, "die", container.id(), attributes);
    container.set_phase(|phase| phase.exit_code = code);
}

/// Starts, or removes, what should not stay stopped.
async fn settle(engine: Arc<Engine>, container: Arc<Container>) {
    let record = container.record();
    let outcome = if restart::wants_start_with_engine(&record.host_config, &record.state)
        && record.state.status != Status::Created
    {
        let _lifecycle = container.lifecycle.lock().await;
        start_locked(&engine, &container, Starter::Policy).await
    } else if record.auto_remove() && record.state.status == Status::Exited {
        remove::automatic(&engine, &container).await
    } else {
        return;
    };
    match outcome {
        Ok(()) | Err(EngineError::NotModified) => {}
        Err(error) => {
            tracing::error!(container = container.id(), %error, "bring back a container");
        }
    }
}

type Found = (Arc<Container>, FoundRun, ShimState);

/// A connection to a shim that runs.
struct FoundRun {
    shim: Shim,
    reader: ShimReader,
}

/// The shim of a container, when it has one that answers.
async fn find(container: &Container) -> Option<(FoundRun, ShimState)> {
    let bundle = container.bundle_dir();
    if !bundle.exists() {
        return None;
    }
    let stream = settled(&bundle).await?;
    match greet(stream, &bundle).await {
        Ok(found) => Some(found),
        Err(error) => {
            tracing::error!(container = container.id(), %error, "talk to the shim of a container");
            None
        }
    }
}

/// Connects to the shim of a bundle. One that an earlier engine has just executed may not listen yet.
async fn settled(bundle: &Path) -> Option<UnixStream> {
    let deadline = tokio::time::Instant::now() + SETTLE_TIMEOUT;
    loop {
        if let Ok(stream) = shim::connect(bundle).await {
            return Some(stream);
        }
        let path = bundle.to_owned();
        let alive = tokio::task::spawn_blocking(move || shim_of(&path)).await;
        if !alive.is_ok_and(|pid| pid.is_some()) || tokio::time::Instant::now() > deadline {
            // It may have begun to listen between the two looks.
            return shim::connect(bundle).await.ok();
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The process id of the shim of a bundle, found by its command line. Blocks.
fn shim_of(bundle: &Path) -> Option<i32> {
    let wanted = bundle.as_os_str().as_encoded_bytes();
    let entries = std::fs::read_dir("/proc").ok()?;
    entries.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let is_shim = words.get(1) == Some(&b"shim".as_slice()) && words.contains(&wanted);
        is_shim.then_some(pid)
    })
}

/// Asks a shim how its container is, and to be told what happens from now on.
async fn greet(mut stream: UnixStream, bundle: &Path) -> Result<(FoundRun, ShimState)> {
    let talk = || EngineError::io("talk to", bundle.display().to_string());
    let requests = [
        Request {
            seq: 1,
            call: Call::State,
        },
        Request {
            seq: 2,
            call: Call::Watch,
        },
    ];
    let mut lines = Vec::new();
    for request in &requests {
        serde_json::to_writer(&mut lines, request)
            .map_err(std::io::Error::from)
            .map_err(talk())?;
        lines.push(b'\n');
    }
    stream.write_all(&lines).await.map_err(talk())?;
    let (shim, mut reader) = Shim::new(stream, bundle.to_owned());
    shim.skip_to(requests.len());
    let state = tokio::time::timeout(ANSWER_TIMEOUT, reader.next())
        .await
        .map_err(EngineError::io("wait for", bundle.display()))?;
    match state {
        Some(Message::Reply {
            reply: Reply::State(state),
            ..
        }) => Ok((FoundRun { shim, reader }, state)),
        other => Err(EngineError::internal(
            "understand",
            bundle.display(),
            format!("unexpected {other:?}"),
        )),
    }
}

/// Tells networks and volumes who runs, and removes what nobody uses: namespaces, links, rules, mounts, snapshots,
/// bundles.
async fn restore_kernel_objects(
    engine: &Arc<Engine>,
    containers: &[Arc<Container>],
    running: &[Found],
) -> Result<()> {
    let ids: HashSet<String> = running
        .iter()
        .map(|(container, ..)| container.id().to_owned())
        .collect();
    let mounted: HashSet<(String, String)> = running
        .iter()
        .flat_map(|(container, ..)| {
            let record = container.record();
            let volumes = record.mounts.iter().filter_map(|mount| mount.volume());
            volumes
                .map(|name| (container.id().to_owned(), name.to_owned()))
                .collect::<Vec<_>>()
        })
        .collect();
    let known: HashSet<String> = containers
        .iter()
        .map(|container| container.id().to_owned())
        .collect();
    let stopped: Vec<Arc<Container>> = containers
        .iter()
        .filter(|container| !ids.contains(container.id()))
        .cloned()
        .collect();
    let engine = Arc::clone(engine);
    blocking::run(move || {
        engine.networks.recover(&ids)?;
        engine.volumes.recover(&mounted)?;
        for container in stopped
            .iter()
            .filter(|container| container.bundle_dir().exists())
        {
            release::everything(&engine, container);
        }
        engine.images.snapshots().retain(&known)?;
        Ok(())
    })
    .await
}

/// Ends shims and removes bundles of containers that have no record: a removal, or a create, that was cut off.
async fn kill_strangers(engine: &Arc<Engine>, containers: &[Arc<Container>]) -> Result<()> {
    let known: HashSet<&str> = containers.iter().map(|container| container.id()).collect();
    let dir = engine.containers.bundles_dir();
    let mut strangers: Vec<(PathBuf, String)> = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(EngineError::io("read", dir.display()))? {
        let entry = entry.map_err(EngineError::io("read", dir.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !known.contains(name.as_str()) {
            strangers.push((entry.path(), name));
        }
    }
    for (bundle, id) in strangers {
        tracing::warn!(id, "end a container that has no record");
        if let Some(stream) = settled(&bundle).await {
            drop(stream);
        }
        let engine = Arc::clone(engine);
        blocking::run(move || {
            if let Some(pid) = shim_of(&bundle).and_then(rustix::process::Pid::from_raw) {
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
            }
            let stranger = engine.containers.stranger(&id);
            exit::forget_processes(&engine, &stranger);
            release::everything(&engine, &stranger);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Takes a container that runs into our care.
async fn take_over(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    run: FoundRun,
    state: &ShimState,
) {
    let record = container.record();
    let started_ns = state.started_at_unix_ns;
    let unseen =
        record.state.status != Status::Running || record.state.started_ns != Some(started_ns);
    if unseen {
        let (engine, container) = (Arc::clone(engine), Arc::clone(container));
        let written = blocking::run(move || {
            container.change(&engine.containers.records, |record| {
                let state = &mut record.state;
                state.status = Status::Running;
                state.started_ns = Some(started_ns);
                state.exit_code = 0;
                state.error.clear();
            })
        })
        .await;
        if let Err(error) = written {
            tracing::error!(%error, "put down that a container runs");
        }
    }
    commit::thaw_leftover(container).await;
    let paused = {
        let container = Arc::clone(container);
        let frozen = move || container.cgroup().ok()?.is_frozen().ok();
        tokio::task::spawn_blocking(frozen)
            .await
            .ok()
            .flatten()
            .unwrap_or(false)
    };
    let run = StartedRun {
        shim: Arc::new(run.shim),
        reader: run.reader,
        shim_pid: None,
        pid: state.pid,
        started_ns,
        noted: None,
    };
    start::adopt(engine, container, run, paused);
    if unseen {
        engine.events.publish(
            EventKind::Container,
            "start",
            container.id(),
            container.event_attributes(),
        );
    }
}

/// What a shim wrote as its container started; gone once it has ended in good order.
fn read_state(bundle: &Path) -> Option<ShimState> {
    let json = std::fs::read(bundle.join(shim_protocol::SHIM_STATE_FILE)).ok()?;
    serde_json::from_slice(&json).ok()
}
