//! Starting a container: its root file system, its network and its bundle are made ready, then its shim takes over.
//!
//! Whatever does not work is taken back whole; the container is then as it was, with the error in its state.

use std::{
    os::{fd::AsFd as _, unix::net::UnixStream as StdUnixStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use shim_protocol::{FailureCode, Message, SHIM_CONFIG_FILE};
use tokio::{net::UnixStream, sync::oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    exit,
    handle::{Container, EarlyClient, Running},
    health,
    mounts::MountSource,
    record::{ContainerRecord, Status},
    release, remove,
    shim::{self, Shim, ShimReader},
    spec::{self, Shared, Surroundings},
    user,
};
use crate::{
    blocking,
    engine::Engine,
    error::{EngineError, Result},
    events::EventKind,
    network::{
        DnsRequest, EndpointRequest, HOST_NETWORK, PortRequest, SandboxRequest, parse_bindings,
        parse_port_key,
    },
};

/// How long a shim may take until the program runs; hooks of a runtime and a loaded machine included.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Who starts a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Starter {
    /// Someone asked for it.
    User,
    /// Its restart policy.
    Policy,
}

/// Starts a container.
///
/// # Errors
/// `NotModified` when it runs, `Conflict` when it is paused or being removed, `Invalid` when its program cannot be
/// executed, and what the kernel refuses.
pub(crate) async fn start(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<()> {
    let outcome = {
        let _lifecycle = container.lifecycle.lock().await;
        start_locked(engine, container, Starter::User).await
    };
    let record = container.record();
    if outcome.is_err() && record.auto_remove() && !record.state.error.is_empty() {
        // `--rm` is for a container that could not be started, too.
        if let Err(error) = remove::automatic(engine, container).await {
            tracing::error!(container = container.id(), %error, "remove a container that did not start");
        }
    }
    outcome
}

/// The same for who holds the container's lifecycle.
pub(super) async fn start_locked(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    starter: Starter,
) -> Result<()> {
    {
        let mut inner = container.lock();
        if inner.removing {
            return Err(EngineError::Conflict(
                "container is marked for removal and cannot be started".to_owned(),
            ));
        }
        if let Some(running) = &inner.running {
            return Err(if running.paused {
                EngineError::Conflict(
                    "cannot start a paused container, try unpause instead".to_owned(),
                )
            } else {
                EngineError::NotModified
            });
        }
        if let Some(backoff) = inner.backoff.take() {
            backoff.cancel();
        }
        inner.end_asked = false;
        if starter == Starter::User {
            inner.restart_delay = Duration::ZERO;
        }
    }
    // The end of the last run may still be being tidied up.
    let mut phase = container.phase();
    drop(phase.wait_for(|phase| !phase.running).await);
    container.set_phase(|phase| phase.restarting = false);
    let early = std::mem::take(&mut container.lock().early);
    let ready = {
        let (engine, container) = (Arc::clone(engine), Arc::clone(container));
        blocking::run(move || prepare(&engine, &container, early)).await
    };
    let outcome = match ready {
        Ok(launched) => take_over(engine, container, launched, starter).await,
        Err(error) => Err((error, 128)),
    };
    match outcome {
        Ok(()) => Ok(()),
        Err((error, exit_code)) => {
            not_started(engine, container, &error, exit_code).await;
            Err(error)
        }
    }
}

/// Puts down why a container did not start, and takes back what was made for it.
async fn not_started(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    error: &EngineError,
    exit_code: i32,
) {
    let (engine, container) = (Arc::clone(engine), Arc::clone(container));
    let message = error.to_string();
    let undo = move || {
        release::everything(&engine, &container);
        container.set_phase(|phase| phase.exit_code = exit_code);
        container.change(&engine.containers.records, |record| {
            record.state.exit_code = exit_code;
            record.state.error = message;
        })
    };
    if let Err(error) = blocking::run(undo).await {
        tracing::error!(%error, "put down that a container did not start");
    }
}

/// A shim that was just executed.
struct Launched {
    control: StdUnixStream,
    shim_pid: i32,
}

/// Makes everything ready and executes the shim. Blocks.
fn prepare(engine: &Engine, container: &Container, early: Vec<EarlyClient>) -> Result<Launched> {
    let record = container.record();
    let bundle = container.bundle_dir();
    // Of an earlier run that was not tidied up.
    if bundle.exists() {
        release::everything(engine, container);
    }
    std::fs::create_dir_all(&bundle).map_err(EngineError::io("create", bundle.display()))?;
    restrict(&bundle)?;
    let rootfs = container.rootfs();
    engine.images.snapshots().mount(container.id(), &rootfs)?;
    let around = surroundings(engine, container, &record, &bundle, &rootfs)?;
    let spec = spec::config(container, &around)?;
    write_json(&bundle.join("config.json"), &spec)?;
    let streams = early.iter().map(|client| client.streams).collect();
    let told = spec::shim(container, engine.containers.runtime_root(), streams)?;
    write_json(&bundle.join(SHIM_CONFIG_FILE), &told)?;
    // How the last run ended must not be taken for how this one ends.
    match std::fs::remove_file(container.exit_file()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(EngineError::internal(
                "remove",
                container.exit_file().display(),
                error,
            ));
        }
        _ => {}
    }
    let sockets: Vec<StdUnixStream> = early.into_iter().map(|client| client.socket).collect();
    let (control, shim_pid) = shim::spawn(&engine.shim_program, &bundle, &sockets)?;
    Ok(Launched { control, shim_pid })
}

/// Only root may look into a bundle: the environment of the program is in it.
fn restrict(bundle: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(bundle, std::fs::Permissions::from_mode(0o711))
        .map_err(EngineError::io("chmod", bundle.display()))
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed = || EngineError::io("write", path.display().to_string());
    let json = serde_json::to_vec(value)
        .map_err(std::io::Error::from)
        .map_err(failed())?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(failed())?;
    std::io::Write::write_all(&mut file, &json).map_err(failed())
}

fn surroundings(
    engine: &Engine,
    container: &Container,
    record: &ContainerRecord,
    bundle: &Path,
    rootfs: &Path,
) -> Result<Surroundings> {
    let sources = sources(engine, record, bundle, rootfs)?;
    let root = std::fs::File::open(rootfs).map_err(EngineError::io("open", rootfs.display()))?;
    let user = user::resolve(
        root.as_fd(),
        record.config.user.as_deref().unwrap_or_default(),
        record.host_config.group_add.as_deref().unwrap_or_default(),
    )?;
    let host = &record.host_config;
    let (ipc, shm) = ipc(engine, record, bundle)?;
    let (network, etc_dir) = network(engine, container, record, bundle)?;
    Ok(Surroundings {
        rootfs: rootfs.to_owned(),
        user,
        sources,
        etc_dir,
        shm,
        network,
        pid: joined(engine, host.pid_mode.as_deref(), "pid")?,
        ipc,
        mini: engine.config.mini_path.clone(),
    })
}

/// A namespace by its mode: `host`, `container:NAME`, or its own.
fn joined(engine: &Engine, mode: Option<&str>, kind: &str) -> Result<Shared> {
    Ok(match mode.unwrap_or_default() {
        "host" => Shared::Host,
        mode => match mode.strip_prefix("container:") {
            Some(other) => {
                let pid = other_running(engine, other)?.1.pid;
                Shared::Path(PathBuf::from(format!("/proc/{pid}/ns/{kind}")))
            }
            None => Shared::Own,
        },
    })
}

fn other_running(engine: &Engine, name: &str) -> Result<(Arc<Container>, Running)> {
    let other = engine.containers.resolve(name)?;
    let running = other.running().ok_or_else(|| {
        EngineError::Conflict(format!(
            "cannot join namespace of a non running container: container {} is not running",
            other.id()
        ))
    })?;
    Ok((other, running))
}

/// The namespace of shared memory, and the file system that goes with it when others may see it.
fn ipc(
    engine: &Engine,
    record: &ContainerRecord,
    bundle: &Path,
) -> Result<(Shared, Option<PathBuf>)> {
    match record.host_config.ipc_mode.as_deref().unwrap_or_default() {
        "host" => Ok((Shared::Host, Some(PathBuf::from("/dev/shm")))),
        "shareable" => {
            let shm = bundle.join("shm");
            std::fs::create_dir(&shm).map_err(EngineError::io("create", shm.display()))?;
            let size = record.host_config.shm_size.unwrap_or_default();
            super::release::mount_shm(&shm, size)?;
            Ok((Shared::Own, Some(shm)))
        }
        mode => match mode.strip_prefix("container:") {
            Some(name) => {
                let (other, running) = other_running(engine, name)?;
                let shm = other.bundle_dir().join("shm");
                if !shm.is_dir() {
                    return Err(EngineError::Invalid(format!(
                        "cannot join IPC of a container {name}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
                    )));
                }
                let path = PathBuf::from(format!("/proc/{}/ns/ipc", running.pid));
                Ok((Shared::Path(path), Some(shm)))
            }
            None => Ok((Shared::Own, None)),
        },
    }
}

/// The network namespace, and the directory with its files for /etc.
fn network(
    engine: &Engine,
    container: &Container,
    record: &ContainerRecord,
    bundle: &Path,
) -> Result<(Shared, PathBuf)> {
    let mode = record
        .host_config
        .network_mode
        .as_deref()
        .unwrap_or_default();
    if let Some(name) = mode.strip_prefix("container:") {
        let (other, running) = other_running(engine, name)?;
        let path = PathBuf::from(format!("/proc/{}/ns/net", running.pid));
        return Ok((Shared::Path(path), other.bundle_dir()));
    }
    let request = sandbox_request(container, record)?;
    let sandbox = engine.networks.prepare_sandbox(&request)?;
    let write = |name: &str, text: String| {
        let path = bundle.join(name);
        std::fs::write(&path, text).map_err(EngineError::io("write", path.display()))
    };
    let host_uts = record.host_config.uts_mode.as_deref() == Some("host");
    let hostname = if host_uts {
        spec::host_name()
    } else {
        request.hostname.clone()
    };
    write("hostname", format!("{hostname}\n"))?;
    let extra = record.host_config.extra_hosts.clone().unwrap_or_default();
    write("hosts", engine.networks.hosts_file(&sandbox, &extra)?)?;
    write("resolv.conf", engine.networks.resolv_conf(&sandbox))?;
    let network = match sandbox.netns_path {
        Some(path) => Shared::Path(path),
        None => Shared::Host,
    };
    debug_assert!(network != Shared::Host || mode == HOST_NETWORK);
    Ok((network, bundle.to_owned()))
}

fn sandbox_request(container: &Container, record: &ContainerRecord) -> Result<SandboxRequest> {
    let host = &record.host_config;
    let mut endpoints = record
        .endpoints
        .iter()
        .map(|(network, settings)| EndpointRequest::from_settings(network, settings))
        .collect::<Result<Vec<_>>>()?;
    // The network that was named first comes first: it is eth0.
    let main = host.network_mode.clone().unwrap_or_default();
    endpoints.sort_by_key(|endpoint| (endpoint.network != main, endpoint.network.clone()));
    let addresses = host.dns.iter().flatten();
    let dns = DnsRequest {
        servers: addresses
            .map(|text| {
                text.parse()
                    .map_err(|_| EngineError::Invalid(format!("{text} is not an ip address")))
            })
            .collect::<Result<_>>()?,
        search: host.dns_search.clone().unwrap_or_default(),
        options: host.dns_options.clone().unwrap_or_default(),
    };
    Ok(SandboxRequest {
        container_id: container.id().to_owned(),
        container_name: record.name.clone(),
        hostname: record.config.hostname.clone().unwrap_or_default(),
        endpoints,
        ports: ports(record)?,
        dns,
    })
}

/// The ports to publish: those that were named, and with `-P` all that are exposed.
fn ports(record: &ContainerRecord) -> Result<Vec<PortRequest>> {
    let host = &record.host_config;
    let mut ports = parse_bindings(&host.port_bindings.clone().unwrap_or_default())?;
    if host.publish_all_ports == Some(true) {
        for exposed in record.config.exposed_ports.iter().flatten() {
            let (container_port, protocol) = parse_port_key(exposed)?;
            let named = |port: &PortRequest| {
                port.container_port == container_port && port.protocol == protocol
            };
            if !ports.iter().any(named) {
                ports.push(PortRequest {
                    container_port,
                    protocol,
                    host_ip: None,
                    host_ports: None,
                });
            }
        }
    }
    Ok(ports)
}

/// Where on the host each mount comes from; volumes are made ready and filled.
fn sources(
    engine: &Engine,
    record: &ContainerRecord,
    bundle: &Path,
    rootfs: &Path,
) -> Result<Vec<PathBuf>> {
    let mut sources = Vec::with_capacity(record.mounts.len());
    for (number, mount) in record.mounts.iter().enumerate() {
        sources.push(match &mount.source {
            MountSource::Tmpfs { .. } => PathBuf::new(),
            MountSource::Bind { path, create, .. } => {
                let path = PathBuf::from(path);
                if !path.exists() {
                    if !create {
                        return Err(EngineError::Invalid(format!(
                            "invalid mount config for type \"bind\": bind source path does not exist: {}",
                            path.display()
                        )));
                    }
                    std::fs::create_dir_all(&path).map_err(|error| {
                        EngineError::Invalid(format!(
                            "error while creating mount source path '{}': {error}",
                            path.display()
                        ))
                    })?;
                }
                path
            }
            MountSource::Volume { name, copy, subpath, .. } => {
                let data = engine.volumes.mount(name, &record.id)?;
                if *copy && subpath.is_empty() {
                    engine.volumes.populate(name, rootfs, &mount.destination)?;
                }
                if subpath.is_empty() {
                    data
                } else {
                    let target = release::subpath_dir(bundle, number);
                    std::fs::create_dir_all(&target)
                        .map_err(EngineError::io("create", target.display()))?;
                    engine.volumes.bind_subpath(name, subpath, &target)?;
                    target
                }
            }
        });
    }
    Ok(sources)
}

/// Waits until the program runs and puts down that it does.
async fn take_over(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    launched: Launched,
    starter: Starter,
) -> Result<(), (EngineError, i32)> {
    let shim_pid = launched.shim_pid;
    let internal = |error: EngineError| (error, 128);
    let control = UnixStream::from_std(launched.control)
        .map_err(EngineError::io("talk to", "the shim"))
        .map_err(internal)?;
    let (shim, mut reader) = Shim::new(control, container.bundle_dir());
    let first = tokio::time::timeout(START_TIMEOUT, reader.next()).await;
    let refused = match first {
        Ok(Some(Message::Started {
            pid,
            started_at_unix_ns,
            trace,
        })) => {
            let run = StartedRun {
                shim: Arc::new(shim),
                reader,
                shim_pid: Some(shim_pid),
                pid,
                started_ns: started_at_unix_ns,
                noted: None,
            };
            drop(trace);
            return put_down(engine, container, run, starter)
                .await
                .map_err(internal);
        }
        Ok(Some(Message::StartFailed(failure))) => {
            shim::reap(shim_pid).await;
            let exit_code = match failure.code {
                FailureCode::ExecutableNotFound => 127,
                FailureCode::PermissionDenied => 126,
                _ => 128,
            };
            (shim::start_failed(&failure), exit_code)
        }
        Ok(Some(other)) => (
            EngineError::internal(
                "start the container",
                container.id(),
                format!("unexpected {other:?} of the shim"),
            ),
            128,
        ),
        Ok(None) => {
            shim::reap(shim_pid).await;
            let said = std::fs::read_to_string(container.bundle_dir().join("shim.log"))
                .unwrap_or_default();
            (
                EngineError::internal(
                    "start the container",
                    container.id(),
                    format!("the shim ended: {}", said.trim()),
                ),
                128,
            )
        }
        Err(_) => (
            EngineError::internal(
                "start the container",
                container.id(),
                format!(
                    "the shim does not answer within {} s",
                    START_TIMEOUT.as_secs()
                ),
            ),
            128,
        ),
    };
    // Whatever is left of it must not come to life later.
    exit::kill_leftovers(engine, container, Some(shim_pid)).await;
    Err(refused)
}

/// A run that has begun.
pub(super) struct StartedRun {
    pub(super) shim: Arc<Shim>,
    pub(super) reader: ShimReader,
    /// When the shim is a child of ours, which we reap.
    pub(super) shim_pid: Option<i32>,
    pub(super) pid: i32,
    pub(super) started_ns: i64,
    /// Ends when its start has been put down, where that is still to be done: its end is put down after it.
    pub(super) noted: Option<oneshot::Receiver<()>>,
}

/// Puts down that a container runs: in its record, in memory, as an event; watches over it from now on.
async fn put_down(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    mut run: StartedRun,
    starter: Starter,
) -> Result<()> {
    let (records, changed) = (Arc::clone(engine), Arc::clone(container));
    let started_ns = run.started_ns;
    let (noting, noted) = oneshot::channel();
    run.noted = Some(noted);
    adopt(engine, container, run, false);
    let written = blocking::run(move || {
        changed.change(&records.containers.records, |record| {
            let state = &mut record.state;
            state.status = Status::Running;
            state.started_ns = Some(started_ns);
            state.exit_code = 0;
            state.error.clear();
            state.oom_killed = false;
            match starter {
                Starter::User => {
                    state.restart_count = 0;
                    state.stopped_by_user = false;
                }
                Starter::Policy => state.restart_count += 1,
            }
        })
    })
    .await;
    if let Err(error) = written {
        // It runs, and its shim's own files say so: the next write puts this right.
        tracing::error!(container = container.id(), %error, "put down that a container runs");
    }
    engine.events.publish(
        EventKind::Container,
        "start",
        container.id(),
        container.event_attributes(),
    );
    drop::<oneshot::Sender<()>>(noting);
    Ok(())
}

/// Takes a running container into our care: one that was just started, or that an earlier engine left.
pub(super) fn adopt(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    run: StartedRun,
    paused: bool,
) {
    let ends = CancellationToken::new();
    {
        let mut inner = container.lock();
        inner.running = Some(Running {
            pid: run.pid,
            shim: Arc::clone(&run.shim),
            paused,
            run: ends.clone(),
        });
        inner.health = health::at_start(&inner.record.config);
    }
    container.set_phase(|phase| {
        phase.running = true;
        phase.restarting = false;
    });
    engine
        .tasks
        .spawn(exit::watch(Arc::clone(engine), Arc::clone(container), run));
    engine.tasks.spawn(health::monitor(
        Arc::clone(engine),
        Arc::clone(container),
        ends,
    ));
}
