//! The parts put together: opening, and serving until told to stop.

use std::{net::SocketAddr, sync::Arc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    alerts::Alerts,
    audit::{Audit, AuditError},
    auth::{Auth, FirstUserError},
    background::{Background, BackgroundError},
    config::ServerConfig,
    db::{Db, DbError},
    engines::{self, Engines},
    files,
    http::{self, ListenError, Listener, Origins},
    live::Hub,
    preview::Previews,
    sealed::{SealError, Sealer},
    state::{AppState, Inner},
};

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory.
    #[error("make {path}: {source}")]
    StateDir {
        /// Which.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another server uses the state directory.
    #[error("use {path}: another ContainerOS serves from it")]
    InUse {
        /// Which.
        path: String,
    },
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Sign-in.
    #[error(transparent)]
    Auth(#[from] FirstUserError),
    /// The key of secrets.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// What runs beside the requests.
    #[error(transparent)]
    Background(#[from] BackgroundError),
    /// The address.
    #[error("{0}")]
    Listen(String),
}

impl StartError {
    /// What would help.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::StateDir { .. } => "run as root, or choose another directory with --state-dir",
            Self::InUse { .. } => {
                "stop the other one, or choose other directories with --state-dir and --run-dir"
            }
            Self::Listen(_) => {
                "another ContainerOS may be running; choose another address with --listen"
            }
            Self::Db(_) | Self::Audit(_) | Self::Auth(_) | Self::Seal(_) | Self::Background(_) => {
                "look for a full disk, missing rights or a damaged file in the state directory"
            }
        }
    }
}

impl From<ListenError> for StartError {
    fn from(error: ListenError) -> Self {
        Self::Listen(error.to_string())
    }
}

/// A server that is ready to serve.
#[derive(Debug)]
pub struct Server {
    state: AppState,
    listener: Listener,
    monitoring: Option<Listener>,
    /// Keeps other servers out of the state directory as long as this one lives.
    _lock: std::fs::File,
}

impl Server {
    /// Opens the state, binds the address and starts to look for the engines.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn open(config: ServerConfig) -> Result<Self, StartError> {
        let directory = server_dir(&config.state_dir)?;
        let lock = lock(&directory)?;
        let db = Db::open(&directory.join("server.db"))?;
        let audit = Audit::open(&directory)?;
        let sealer = Arc::new(Sealer::open(&directory)?);
        let auth = Auth::open(db.clone(), &config.state_dir, Arc::clone(&sealer)).await?;
        let with_tls = !config.listen.ip().is_loopback() && !config.insecure_http;
        let listener =
            Listener::bind(config.listen, with_tls, &directory, &config.allowed_hosts).await?;
        let monitoring = match config.metrics_listen {
            Some(address) => {
                Some(Listener::bind(address, false, &directory, &config.allowed_hosts).await?)
            }
            None => None,
        };
        let origins = Origins::new(listener.address, &config.allowed_hosts, with_tls);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let hub = Hub::new(engines::names(), &tasks, &stop);
        let engines = Engines::start(&config, &hub, &tasks, &stop);
        let background = Background::start(&config, &hub, &engines, &db, &tasks, &stop).await?;
        let alerts = Alerts::start(&db, &sealer, &hub, &engines, &tasks, &stop).await?;
        let state = AppState::new(Inner {
            started: jiff::Timestamp::now(),
            config,
            alerts,
            engines,
            hub,
            background,
            auth,
            audit,
            db,
            previews: Previews::default(),
            helpers: crate::filesystem::Helpers::default(),
            edits: tokio::sync::Mutex::default(),
            terminals: crate::terminals::Terminals::default(),
            terminal_sockets: crate::live::Places::default(),
            origins,
            tasks,
            stop,
        });
        Ok(Self {
            state,
            listener,
            monitoring,
            _lock: lock,
        })
    }

    /// The address that is listened on.
    pub fn address(&self) -> SocketAddr {
        self.listener.address
    }

    /// The address of figures and health alone.
    pub fn monitoring_address(&self) -> Option<SocketAddr> {
        self.monitoring.as_ref().map(|listener| listener.address)
    }

    /// SHA-256 of the certificate, when the page is served with TLS.
    pub fn fingerprint(&self) -> Option<&str> {
        self.listener.fingerprint()
    }

    /// The address to open in a browser, with the one-time token while no administrator exists.
    pub fn url(&self) -> String {
        let scheme = if self.state.origins.tls {
            "https"
        } else {
            "http"
        };
        let address = self.listener.address;
        let base = if address.ip().is_unspecified() {
            format!("{scheme}://localhost:{}/", address.port())
        } else {
            format!("{scheme}://{address}/")
        };
        // In the fragment, which browsers keep to themselves.
        match self.state.auth.setup_token() {
            Some(token) => format!("{base}setup#token={token}"),
            None => base,
        }
    }

    /// What handlers reach; for the parts that run beside them.
    pub fn state(&self) -> &AppState {
        &self.state
    }

    /// Serves until `stop`, then ends every task.
    pub async fn serve(self, stop: CancellationToken) {
        let router = http::router(&self.state);
        if let Some(monitoring) = self.monitoring {
            let allowed = &self.state.config.allowed_hosts;
            let origins = Origins::new(monitoring.address, allowed, false);
            let router = http::monitoring_router(&self.state, origins);
            let over = stop.clone();
            self.state
                .tasks
                .spawn(async move { http::serve(monitoring, router, over).await });
        }
        http::serve(self.listener, router, stop).await;
        self.state.stop.cancel();
        self.state.tasks.close();
        if tokio::time::timeout(std::time::Duration::from_secs(3), self.state.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some tasks did not end in time");
        }
    }
}

/// Takes the state directory for this process; the system gives it back when the process ends, however it does.
fn lock(directory: &std::path::Path) -> Result<std::fs::File, StartError> {
    let path = directory.join("lock");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| StartError::StateDir {
            path: path.display().to_string(),
            source,
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StartError::InUse {
            path: directory.display().to_string(),
        }),
        Err(std::fs::TryLockError::Error(source)) => Err(StartError::StateDir {
            path: path.display().to_string(),
            source,
        }),
    }
}

/// The server's own part of the state directory, which only its user may enter.
///
/// # Errors
/// [`StartError::StateDir`]
pub fn server_dir(state_dir: &std::path::Path) -> Result<std::path::PathBuf, StartError> {
    let directory = state_dir.join("server");
    files::make_private_dir(&directory).map_err(|source| StartError::StateDir {
        path: directory.display().to_string(),
        source,
    })?;
    Ok(directory)
}

/// Keeps the compiler honest about what is shared between tasks.
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Arc<Engines>>();
    is_shared::<AppState>();
};
