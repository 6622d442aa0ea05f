//! The parts of the engine put together: opening with what an earlier process left, and serving.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api,
    config::EngineConfig,
    container::{self, Containers, Execs, LogWatch, ShimProgram},
    error::{EngineError, Result},
    events::EventBus,
    image::{ImageStore, ImageUse, RegistrySettings},
    network::Networks,
    system::System,
    volume::Volumes,
};

/// Why an engine could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A directory of the engine cannot be made or read.
    #[error("open {}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another engine serves these directories.
    #[error("another engine uses {}; give this one its own --run-dir and --state-dir", .0.display())]
    InUse(PathBuf),
    /// A part of the engine could not be brought back.
    #[error("open {part}: {source}")]
    Part {
        /// Which.
        part: &'static str,
        /// Why.
        source: EngineError,
    },
}

/// The engine: everything that an API handler works with.
#[derive(Debug)]
pub struct Engine {
    pub(crate) config: EngineConfig,
    pub(crate) events: Arc<EventBus>,
    pub(crate) containers: Arc<Containers>,
    pub(crate) execs: Execs,
    pub(crate) shim_program: ShimProgram,
    pub(crate) images: Arc<ImageStore>,
    pub(crate) networks: Arc<Networks>,
    pub(crate) volumes: Arc<Volumes>,
    pub(crate) system: System,
    /// Tells those who follow logs of changes.
    pub(crate) log_watch: Arc<LogWatch>,
    /// Owns every task that outlives a request.
    pub(crate) tasks: TaskTracker,
    /// Ends those tasks; containers go on.
    pub(crate) shutdown: CancellationToken,
    /// Held as long as this engine uses its directories.
    _locks: Vec<File>,
}

/// Takes a directory for this engine alone. The kernel gives it back when the process ends, however it ends.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let failed = |source| OpenError::Directory {
        path: path.clone(),
        source,
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

impl Engine {
    /// Opens the engine on its directories and brings back what an earlier process left: containers that still run
    /// are found again, what a kill left half-made is finished or undone. Safe to be killed and repeated.
    ///
    /// # Errors
    /// When a directory cannot be used or another engine uses it. A damaged object is no error: it is left out.
    pub async fn open(config: EngineConfig) -> Result<Arc<Self>, OpenError> {
        let part = |part| move |source| OpenError::Part { part, source };
        let directory = |path: PathBuf| move |source| OpenError::Directory { path, source };
        let engine_dir = config.engine_dir();
        for dir in [&engine_dir, &config.run_dir] {
            tokio::fs::create_dir_all(dir)
                .await
                .map_err(directory(dir.clone()))?;
        }
        let locks = [&engine_dir, &config.run_dir]
            .map(|dir| lock(dir))
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        let events_dir = engine_dir.join("events");
        let events = EventBus::open(&events_dir).map_err(directory(events_dir))?;
        let system = System::open(&engine_dir).map_err(directory(engine_dir.clone()))?;
        let starter = config.starter_archive.clone();
        let open_images = move || {
            ImageStore::open_with_starter(
                &engine_dir,
                RegistrySettings::default(),
                starter.as_deref(),
            )
        };
        let images = crate::blocking::run(open_images)
            .await
            .map_err(part("images"))?;
        let (settings, bus) = (config.clone(), Arc::clone(&events));
        let open_networks = move || Networks::open(&settings, bus);
        let networks = crate::blocking::run(open_networks)
            .await
            .map_err(part("networks"))?;
        let (settings, bus) = (config.clone(), Arc::clone(&events));
        let open_volumes = move || Volumes::open(&settings, bus);
        let volumes = crate::blocking::run(open_volumes)
            .await
            .map_err(part("volumes"))?;
        let settings = config.clone();
        let containers = crate::blocking::run(move || Containers::open(&settings))
            .await
            .map_err(part("containers"))?;
        let engine = Arc::new(Self {
            _locks: locks,
            containers: Arc::new(containers),
            execs: Execs::default(),
            shim_program: ShimProgram::of(&config.mini_path),
            config,
            events,
            images,
            networks,
            volumes,
            system,
            log_watch: LogWatch::open(),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        });
        container::recover(&engine)
            .await
            .map_err(part("containers"))?;
        crate::build::sweep(&engine).await.map_err(part("builds"))?;
        Ok(engine)
    }

    /// Answers the Docker Engine API on `RUN/mini.sock` until `shutdown`. Containers go on running afterwards.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub async fn serve(self: Arc<Self>, shutdown: CancellationToken) -> Result<()> {
        let networks = Arc::clone(&self.networks);
        self.tasks
            .spawn(networks.maintain(self.shutdown.child_token()));
        let log_watch = Arc::clone(&self.log_watch);
        self.tasks.spawn(log_watch.run(self.shutdown.child_token()));
        let served = api::server::serve(Arc::clone(&self), &shutdown).await;
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let networks = Arc::clone(&self.networks);
        if let Err(error) = crate::blocking::run(move || networks.close()).await {
            tracing::warn!(%error, "remove bridges and rules that no container uses");
        }
        container::leave(&self).await;
        served
    }

    /// Does something to its end, also when the client that asked for it goes away meanwhile: nothing is left half-done.
    pub(crate) async fn complete<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.tasks
            .spawn(work)
            .await
            .map_err(EngineError::io("finish", "a request"))?
    }

    /// Returns which containers use which image.
    pub(crate) fn image_uses(&self) -> Vec<ImageUse> {
        self.containers.image_uses()
    }

    /// Returns the configuration the engine was opened with.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }
}
