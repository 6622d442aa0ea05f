//! What every handler can reach.

use std::{ops::Deref, sync::Arc};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    audit::Audit, auth::Auth, background::Background, config::ServerConfig, db::Db,
    engines::Engines, http::Origins, live::Hub, preview::Previews,
};

/// What every handler can reach; cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState(Arc<Inner>);

/// The parts of the running server.
#[derive(Debug)]
pub struct Inner {
    /// What the server was told.
    pub config: ServerConfig,
    /// The engines.
    pub engines: Arc<Engines>,
    /// Sources of the live topics.
    pub hub: Arc<Hub>,
    /// Long work, comparisons and history.
    pub background: Background,
    /// Sign-in.
    pub auth: Auth,
    /// What was done.
    pub audit: Audit,
    /// The database.
    pub db: Db,
    /// Destructive acts that wait to be confirmed.
    pub previews: Previews,
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
}

impl Deref for AppState {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}
