//! Watches over one engine: connects, keeps its mirror true, notices within two seconds when it is down, slow or garbled, and
//! comes back by itself.

use std::{collections::BTreeSet, future::Future, pin::Pin, sync::Arc, time::Duration};

use api::engine::{EngineDetails, EngineKind, EngineState};
use bollard::{Docker, models::EventMessage, query_parameters::EventsOptionsBuilder};
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{CallError, Engine, call::within};
use crate::mirror::Refresh;

/// How often a connected engine is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(1);
/// How long it may take to answer that.
const PING_LIMIT: Duration = Duration::from_millis(900);
/// Pause between two tries to connect.
const RETRY: Duration = Duration::from_secs(1);
/// At the start an engine that is started at the same time may be a moment late: it is tried this often…
const EARLY_RETRY: Duration = Duration::from_millis(100);
/// …for so long before it is said not to be there.
const EARLY: Duration = Duration::from_secs(1);
/// Everything is listed anew so often, in case an event got lost.
const RELIST: Duration = Duration::from_mins(1);
/// An engine that has not been connected to for so long is shown as one that does not answer.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How many single objects are looked at at the same time.
const REFRESHES: usize = 8;
/// Changes of lists are gathered for so long.
const GATHER: Duration = Duration::from_millis(150);

/// Watches until `stop`.
pub(super) async fn run(engine: Arc<Engine>, stop: CancellationToken) {
    let watch = async {
        let begun = Instant::now();
        loop {
            let mut watching = Box::pin(watch_once(&engine));
            let error = if let Ok(error) = timeout(PATIENCE, watching.as_mut()).await {
                error
            } else {
                engine.is_slow_to_connect();
                watching.await
            };
            engine.set_docker(None, None);
            if engine.state() == EngineState::Starting && begun.elapsed() < EARLY {
                sleep(EARLY_RETRY).await;
                continue;
            }
            let (reason, hint) = describe(&engine, &error);
            engine.set(EngineState::Unreachable, Some(reason), hint);
            tokio::select! {
                () = sleep(RETRY) => {}
                () = engine.doubt.notified() => sleep(Duration::from_millis(200)).await,
            }
        }
    };
    tokio::select! {
        () = watch => {}
        () = stop.cancelled() => {}
    }
}

/// Connects and keeps the mirror true until the engine is lost; returns why.
async fn watch_once(engine: &Arc<Engine>) -> CallError {
    let docker = match Box::pin(connect(engine)).await {
        Ok(docker) => docker,
        Err(error) => return error,
    };
    // The stream is open before the lists are read, so nothing falls between them.
    let mut events = docker
        .events(Some(EventsOptionsBuilder::default().build()))
        .boxed();
    engine.set_docker(Some(docker.clone()), None);
    if let Err(error) = Box::pin(engine.mirror.relist(&docker)).await {
        return error;
    }
    engine.set(EngineState::Connected, None, None);
    engine.announce();
    let mut keeper = Keeper::new(engine, docker);
    keeper.everything_of_containers();
    keeper.keep(&mut events).await
}

/// Finds the API version and what the engine is.
async fn connect(engine: &Engine) -> Result<Docker, CallError> {
    let Some(endpoint) = &engine.endpoint else {
        return Err(CallError::Unreachable {
            engine: engine.name.clone(),
            reason: "it has no address".into(),
            hint: None,
        });
    };
    let client = endpoint
        .client()
        .map_err(|e| super::call::name(&engine.name, e))?;
    let client = within(
        &engine.name,
        Duration::from_millis(1500),
        client.negotiate_version(),
    )
    .await?;
    let version = within(&engine.name, Duration::from_secs(3), client.version()).await?;
    let info = within(&engine.name, Duration::from_secs(5), client.info()).await?;
    let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
    let details = EngineDetails {
        version: version.version.unwrap_or_default(),
        api_version: client.client_version().to_string(),
        operating_system: info.operating_system.unwrap_or_default(),
        kernel_version: info.kernel_version.unwrap_or_default(),
        architecture: info.architecture.unwrap_or_default(),
        storage_driver: info.driver.unwrap_or_default(),
        cgroup_version: info
            .cgroup_version
            .map(|v| v.to_string())
            .unwrap_or_default(),
        cgroup_driver: info
            .cgroup_driver
            .map(|v| v.to_string())
            .unwrap_or_default(),
        default_runtime: info.default_runtime.unwrap_or_default(),
        root_directory: info.docker_root_dir.unwrap_or_default(),
        cpus: count(info.ncpu),
        memory_total_bytes: count(info.mem_total),
        engine_id: info.id.unwrap_or_default(),
        host_name: info.name.unwrap_or_default(),
        security_options: info.security_options.unwrap_or_default(),
        warnings: info.warnings.unwrap_or_default(),
    };
    engine.set_docker(None, Some(details));
    Ok(client)
}

/// Why it is not connected, and what would help.
fn describe(engine: &Engine, error: &CallError) -> (String, Option<String>) {
    let url = engine
        .endpoint
        .as_ref()
        .map(|e| e.url.as_str())
        .unwrap_or_default();
    let reason = match error {
        CallError::Unreachable { reason, .. } => format!("{reason}: {url}"),
        other => other.to_string(),
    };
    let hint = match (engine.kind, error) {
        (EngineKind::Mini, _) => "Mini starts with `containeros serve` or `containeros engine` as root on Linux".to_owned(),
        (EngineKind::Docker, CallError::Unreachable { reason, .. }) if reason.contains("ermission denied") => {
            format!("this user may not use {url}: run as root or add the user to the group docker")
        }
        (EngineKind::Docker, CallError::Unreachable { reason, .. }) if reason.contains("nothing listens") => {
            "start Docker (`systemctl start docker`) or name another engine with --docker URL; it appears here by itself"
                .to_owned()
        }
        (EngineKind::Docker, CallError::Unreachable { .. }) => format!(
            "install Docker ({}) or name another engine with --docker URL; it appears here by itself",
            if cfg!(windows) { "Docker Desktop" } else { "on Debian: apt install docker.io" }
        ),
        (EngineKind::Docker, CallError::Garbled { .. }) => format!("something else than Docker listens at {url}"),
        _ => "it is tried again every second".to_owned(),
    };
    (reason, Some(hint))
}

type Work<'a> = Pin<Box<dyn Future<Output = Result<Refresh, CallError>> + Send + 'a>>;

/// Keeps a mirror true.
struct Keeper<'a> {
    engine: &'a Engine,
    docker: Docker,
    dirty_containers: BTreeSet<String>,
    dirty_lists: BTreeSet<Refresh>,
    running: FuturesUnordered<Work<'a>>,
    busy: BTreeSet<Refresh>,
}

impl<'a> Keeper<'a> {
    fn new(engine: &'a Engine, docker: Docker) -> Self {
        Self {
            engine,
            docker,
            dirty_containers: BTreeSet::new(),
            dirty_lists: BTreeSet::new(),
            running: FuturesUnordered::new(),
            busy: BTreeSet::new(),
        }
    }

    /// Every container is looked at, for what lists do not tell.
    fn everything_of_containers(&mut self) {
        self.dirty_containers
            .extend(self.engine.mirror.container_ids());
    }

    async fn keep<S>(&mut self, events: &mut S) -> CallError
    where
        S: Stream<Item = Result<EventMessage, bollard::errors::Error>> + Unpin + Send,
    {
        let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut relist = interval_at(Instant::now() + RELIST, RELIST);
        relist.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let engine = self.engine;
        let docker = self.docker.clone();
        let mut pings = std::pin::pin!(async {
            let mut slow = false;
            loop {
                tokio::select! {
                    _ = ping.tick() => {}
                    () = engine.doubt.notified() => {}
                }
                match ping_once(engine, &docker).await {
                    Ok(()) if slow => {
                        slow = false;
                        engine.set(EngineState::Connected, None, None);
                    }
                    Ok(()) => {}
                    // Slow is not lost: the events still come.
                    Err(CallError::Timeout { .. }) => {
                        slow = true;
                        let reason = format!(
                            "it does not answer: no reply within {} ms",
                            PING_LIMIT.as_millis()
                        );
                        let hint =
                            "it may be overloaded; it is asked again every second".to_owned();
                        engine.set(EngineState::Unreachable, Some(reason), Some(hint));
                    }
                    Err(error) => break error,
                }
            }
        });
        let mut gathered = std::pin::pin!(sleep(GATHER));
        loop {
            self.start_work();
            tokio::select! {
                error = &mut pings => return error,
                event = events.next() => match event {
                    Some(Ok(event)) => {
                        self.take(&event);
                        while let Some(Some(Ok(event))) = events.next().now_or_never() {
                            self.take(&event);
                        }
                        gathered.as_mut().reset(Instant::now() + GATHER);
                    }
                    Some(Err(error)) => return super::call::name(&engine.name, error),
                    None => {
                        return CallError::Unreachable {
                            engine: engine.name.clone(),
                            reason: "it closed the stream of events".into(),
                            hint: None,
                        };
                    }
                },
                Some(done) = self.running.next(), if !self.running.is_empty() => {
                    match done {
                        Ok(refresh) => { self.busy.remove(&refresh); }
                        // Pings decide whether the engine is lost.
                        Err(error) => tracing::debug!(engine = %engine.name, %error, "refresh"),
                    }
                    engine.announce();
                }
                () = &mut gathered, if !self.dirty_lists.is_empty() => self.start_lists(),
                _ = relist.tick() => {
                    self.dirty_lists.extend(Refresh::LISTS);
                    self.everything_of_containers();
                    gathered.as_mut().reset(Instant::now());
                }
            }
        }
    }

    /// Notes what an event changes.
    fn take(&mut self, event: &EventMessage) {
        let Some(event) = self.engine.mirror.journal(event) else {
            return;
        };
        match event.kind.as_str() {
            "container" if !event.action.starts_with("exec_") => {
                self.dirty_containers.insert(event.id);
            }
            "image" => {
                self.dirty_lists.insert(Refresh::Images);
            }
            "volume" => {
                self.dirty_lists.insert(Refresh::Volumes);
            }
            "network" => {
                self.dirty_lists.insert(Refresh::Networks);
            }
            _ => {}
        }
    }

    fn start_work(&mut self) {
        let engine = self.engine;
        while self.running.len() < REFRESHES
            && let Some(id) = self
                .dirty_containers
                .iter()
                .find(|id| !self.busy.contains(&Refresh::Container((*id).clone())))
                .cloned()
        {
            self.dirty_containers.remove(&id);
            self.busy.insert(Refresh::Container(id.clone()));
            let docker = self.docker.clone();
            self.running.push(
                async move {
                    engine
                        .mirror
                        .refresh_container(&docker, &id)
                        .await
                        .map(drop)
                        .or_else(|error| {
                            tracing::debug!(%error, "refresh container");
                            Ok::<(), CallError>(())
                        })?;
                    Ok(Refresh::Container(id))
                }
                .boxed(),
            );
        }
    }

    fn start_lists(&mut self) {
        let engine = self.engine;
        for refresh in std::mem::take(&mut self.dirty_lists) {
            if !self.busy.insert(refresh.clone()) {
                self.dirty_lists.insert(refresh);
                continue;
            }
            let docker = self.docker.clone();
            self.running.push(
                async move {
                    if let Err(error) = engine.mirror.refresh_list(&docker, &refresh).await {
                        tracing::debug!(%error, ?refresh, "refresh list");
                    }
                    Ok(refresh)
                }
                .boxed(),
            );
        }
    }
}

async fn ping_once(engine: &Engine, docker: &Docker) -> Result<(), CallError> {
    match timeout(PING_LIMIT, docker.ping()).await {
        Ok(Ok(answer)) if answer.trim() == "OK" => Ok(()),
        // Something else has taken its place.
        Ok(Ok(_)) => Err(CallError::Garbled {
            engine: engine.name.clone(),
            what: "its answer to a ping is not OK".to_owned(),
        }),
        Ok(Err(error)) => Err(super::call::name(&engine.name, error)),
        Err(_elapsed) => Err(CallError::Timeout {
            engine: engine.name.clone(),
            seconds: 1,
        }),
    }
}
