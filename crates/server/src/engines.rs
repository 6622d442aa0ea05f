//! The engines: where they are, whether they answer, and the calls to them.

mod call;
mod context;
mod endpoint;
mod hijack;
mod supervisor;
mod usage;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use api::{
    engine::{EngineDetails, EngineInfo, EngineKind, EngineState},
    id::EngineName,
    live::Position,
};
use bollard::Docker;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use call::within;
pub use call::{CallError, Deadline};
pub use endpoint::Endpoint;
pub(crate) use hijack::{Input, Output, Raw};

use crate::{
    capabilities,
    config::{MiniEndpoint, ServerConfig},
    live::Hub,
    mirror::Mirror,
};

/// All engines, in the order in which the page shows them.
#[derive(Debug)]
pub struct Engines {
    all: Vec<Arc<Engine>>,
}

/// One engine.
#[derive(Debug)]
pub struct Engine {
    /// Its name in URLs.
    pub name: EngineName,
    /// What it is.
    pub kind: EngineKind,
    /// Where it is; none when it cannot be here.
    pub endpoint: Option<Endpoint>,
    /// What it has.
    pub mirror: Mirror,
    hub: Arc<Hub>,
    state: Mutex<Connection>,
    /// Someone saw a fault: look at once.
    doubt: Notify,
    /// It answers, or nothing else is known yet.
    answering: watch::Sender<bool>,
    /// When its volumes were measured last.
    measured: Mutex<Option<std::time::Instant>>,
}

/// How the connection to an engine is.
#[derive(Debug)]
struct Connection {
    state: EngineState,
    reason: Option<String>,
    hint: Option<String>,
    since: Timestamp,
    details: Option<EngineDetails>,
    docker: Option<Docker>,
}

/// Names of the engines, before anything else is made.
pub fn names() -> Vec<EngineName> {
    ["docker", "mini"]
        .iter()
        .filter_map(|name| EngineName::parse(name).ok())
        .collect()
}

impl Engines {
    /// Finds the engines and starts to watch over each.
    pub fn start(
        config: &ServerConfig,
        hub: &Arc<Hub>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        let all = names()
            .into_iter()
            .map(|name| {
                let (kind, place) = if name.as_str() == "mini" {
                    (EngineKind::Mini, mini_endpoint(&config.mini))
                } else {
                    (
                        EngineKind::Docker,
                        Ok(endpoint::find_docker(config.docker.as_deref())),
                    )
                };
                let engine = Arc::new(Engine::new(name, kind, place, hub));
                engine.announce();
                if engine.endpoint.is_some() {
                    tasks.spawn(supervisor::run(Arc::clone(&engine), stop.clone()));
                }
                engine
            })
            .collect();
        Arc::new(Self { all })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Engine>> {
        self.all.iter()
    }

    /// The one of this name.
    pub fn get(&self, name: &EngineName) -> Option<&Arc<Engine>> {
        self.all.iter().find(|engine| engine.name == *name)
    }
}

/// Finds Docker and asks its version, once; for who wants to know whether it is there.
///
/// # Errors
/// With the reason in a sentence.
pub async fn probe_docker(said: Option<&str>) -> Result<String, String> {
    let endpoint = endpoint::find_docker(said);
    let place = format!("{} ({})", endpoint.url, endpoint.source);
    let name = EngineName::parse("docker").map_err(|e| e.to_string())?;
    let client = endpoint
        .client()
        .map_err(|e| format!("{place}: {}", call::name(&name, e)))?;
    let version = within(&name, std::time::Duration::from_secs(3), client.version())
        .await
        .map_err(|e| format!("{place}: {e}"))?;
    Ok(format!(
        "{} at {place}",
        version.version.unwrap_or_default()
    ))
}

fn mini_endpoint(mini: &MiniEndpoint) -> Result<Endpoint, (String, String)> {
    match mini {
        MiniEndpoint::Socket(path) => Ok(Endpoint::socket(PathBuf::clone(path), "run directory")),
        MiniEndpoint::Absent { reason, hint } => Err((reason.clone(), hint.clone())),
    }
}

impl Engine {
    fn new(
        name: EngineName,
        kind: EngineKind,
        place: Result<Endpoint, (String, String)>,
        hub: &Arc<Hub>,
    ) -> Self {
        let (endpoint, state, reason, hint) = match place {
            Ok(endpoint) => (Some(endpoint), EngineState::Starting, None, None),
            Err((reason, hint)) => (None, EngineState::Absent, Some(reason), Some(hint)),
        };
        let connection = Connection {
            state,
            reason,
            hint,
            since: Timestamp::now(),
            details: None,
            docker: None,
        };
        Self {
            mirror: Mirror::new(name.clone(), hub),
            name,
            kind,
            endpoint,
            hub: Arc::clone(hub),
            state: Mutex::new(connection),
            doubt: Notify::new(),
            answering: watch::Sender::new(true),
            measured: Mutex::default(),
        }
    }

    /// What the page is told.
    pub fn info(&self) -> EngineInfo {
        let connection = self.lock();
        let title = match self.kind {
            EngineKind::Docker => "Docker",
            EngineKind::Mini => "Mini",
        };
        EngineInfo {
            name: self.name.clone(),
            kind: self.kind,
            title: title.to_owned(),
            state: connection.state,
            reason: connection.reason.clone(),
            hint: connection.hint.clone(),
            since: connection.since,
            endpoint: self
                .endpoint
                .as_ref()
                .map(|e| e.url.clone())
                .unwrap_or_default(),
            endpoint_source: self
                .endpoint
                .as_ref()
                .map(|e| e.source.clone())
                .unwrap_or_default(),
            local: self.is_local(),
            details: connection.details.clone(),
            counts: self.mirror.counts(),
            capabilities: capabilities::of_engine(
                connection.state,
                connection.details.as_ref(),
                self.is_local(),
            ),
        }
    }

    /// It runs on this machine, so that its containers' kernel objects are in reach.
    pub fn is_local(&self) -> bool {
        self.endpoint.as_ref().is_some_and(|e| e.local)
    }

    /// Tells how it is now.
    pub fn state(&self) -> EngineState {
        self.lock().state
    }

    /// A client that can be asked now.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] with the reason why there is none.
    pub fn docker(&self) -> Result<Docker, CallError> {
        let connection = self.lock();
        match (&connection.docker, connection.state) {
            (Some(docker), EngineState::Connected | EngineState::Starting) => Ok(docker.clone()),
            _ => Err(CallError::Unreachable {
                engine: self.name.clone(),
                reason: connection
                    .reason
                    .clone()
                    .unwrap_or_else(|| "it is starting".to_owned()),
                hint: connection.hint.clone(),
            }),
        }
    }

    /// Someone saw a fault: look at once.
    fn look_again(&self) {
        self.doubt.notify_one();
    }

    /// Changes the state; tells the live list when that is news.
    fn set(&self, state: EngineState, reason: Option<String>, hint: Option<String>) {
        let mut connection = self.lock();
        if connection.state == state && connection.reason == reason {
            return;
        }
        match (state, &reason) {
            (EngineState::Connected, _) => {
                tracing::info!(engine = %self.name, "engine is connected");
            }
            (_, Some(reason)) => {
                tracing::warn!(engine = %self.name, reason, "engine is not connected");
            }
            _ => {}
        }
        if connection.state != state {
            connection.since = Timestamp::now();
        }
        connection.state = state;
        connection.reason = reason;
        connection.hint = hint;
        drop(connection);
        let answers = matches!(state, EngineState::Connected | EngineState::Starting);
        self.answering.send_replace(answers);
        self.announce();
    }

    /// Being connected to takes longer than anybody should wait without being told.
    fn is_slow_to_connect(&self) {
        if self.state() == EngineState::Starting {
            let reason = "it is slow to answer".to_owned();
            let hint = "it may be overloaded; it is used as soon as it answers".to_owned();
            self.set(EngineState::Unreachable, Some(reason), Some(hint));
        }
    }

    fn set_docker(&self, docker: Option<Docker>, details: Option<EngineDetails>) {
        let mut connection = self.lock();
        connection.docker = docker;
        if details.is_some() {
            connection.details = details;
        }
    }

    /// Puts its state on the live list.
    fn announce(&self) -> Position {
        self.hub.engines.upsert(self.name.as_str(), &self.info())
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
