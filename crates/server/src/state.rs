//! What every handler can reach.

use std::{ops::Deref, sync::Arc};

use api::engine::EngineState;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    audit::Audit, auth::Auth, background::Background, config::ServerConfig, db::Db,
    engines::Engines, http::Origins, live::Hub, preview::Previews, terminals::Terminals,
};

/// How long the first look for the engines may hold up what is printed.
const LOOKING: std::time::Duration = std::time::Duration::from_secs(2);

/// What every handler can reach; cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState(Arc<Inner>);

/// The parts of the running server.
#[derive(Debug)]
pub struct Inner {
    /// Since when it runs.
    pub started: jiff::Timestamp,
    /// What the server was told.
    pub config: ServerConfig,
    /// The engines.
    pub engines: Arc<Engines>,
    /// Sources of the live topics.
    pub hub: Arc<Hub>,
    /// Long work, comparisons and history.
    pub background: Background,
    /// Rules that watch, and where they tell it.
    pub alerts: crate::alerts::Alerts,
    /// Sign-in.
    pub auth: Auth,
    /// What was done.
    pub audit: Audit,
    /// The database.
    pub db: Db,
    /// Destructive acts that wait to be confirmed.
    pub previews: Previews,
    /// Containers that hold volumes for their files to be reached.
    pub helpers: crate::filesystem::Helpers,
    /// One change of a file at a time.
    pub(crate) edits: tokio::sync::Mutex<()>,
    /// Terminals in containers.
    pub terminals: Terminals,
    /// Who is connected to them.
    pub terminal_sockets: crate::live::Places,
    /// From where requests may come.
    pub(crate) origins: Origins,
    /// Owns every task of the server.
    pub tasks: TaskTracker,
    /// Ends them.
    pub stop: CancellationToken,
}

impl AppState {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Engines that are not here, each in one line with what would help; waits a moment for those that are being looked for.
    pub async fn missing_engines(&self) -> Vec<String> {
        let engines = &self.engines;
        let starting = || {
            engines
                .iter()
                .any(|engine| engine.state() == EngineState::Starting)
        };
        let begun = std::time::Instant::now();
        while starting() && begun.elapsed() < LOOKING {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        engines
            .iter()
            .map(|engine| engine.info())
            .filter(|info| matches!(info.state, EngineState::Absent | EngineState::Unreachable))
            .map(|info| {
                let part = |text: Option<String>| text.unwrap_or_default();
                format!(
                    "{} is not here: {}. {}",
                    info.title,
                    part(info.reason),
                    capitalised(&part(info.hint))
                )
            })
            .collect()
    }
}

/// A sentence begins with a capital letter.
fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

impl Deref for AppState {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}
