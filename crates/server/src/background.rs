//! What the server does without being asked: has running containers sampled, wakes logs of containers that start, takes away
//! what an interrupted comparison left, gives an engine without it the starter image.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use api::{
    container::ContainerState,
    engine::{EngineKind, EngineState},
    id::EngineName,
    job::{Job, JobKind},
    live::Position,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    compare::{Comparisons, sweep},
    config::ServerConfig,
    db::{Db, DbError},
    engines::{Engine, Engines},
    jobs::{self, Jobs, NewJob},
    live::Hub,
    metrics::{Collector, History},
};

/// How often it is looked without a change.
const LOOK: Duration = Duration::from_secs(5);

/// Long work, comparisons and history: what lives beside the requests.
#[derive(Debug, Clone)]
pub struct Background {
    /// Long work.
    pub jobs: Jobs,
    /// Comparisons.
    pub comparisons: Comparisons,
    /// Containers that are made anew.
    pub recreations: crate::recreate::Recreations,
    /// The past of figures.
    pub history: History,
    /// What is sampled.
    pub collector: Collector,
}

/// Why it cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BackgroundError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The sampler's thread.
    #[error("start the sampler: {0}")]
    Sampler(std::io::Error),
}

impl Background {
    /// Reads what earlier runs left and starts the tasks.
    ///
    /// # Errors
    /// [`BackgroundError`]
    pub async fn start(
        config: &ServerConfig,
        hub: &Arc<Hub>,
        engines: &Arc<Engines>,
        db: &Db,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Self, BackgroundError> {
        let earlier = db
            .run("read jobs", |connection| {
                connection.execute_batch(jobs::SCHEMA)?;
                jobs::load_jobs(connection)
            })
            .await?;
        let disk = db.clone();
        let save: jobs::Save = Arc::new(move |job: Job| {
            let disk = disk.clone();
            Box::pin(async move {
                // The job goes on all the same; after a restart it shows as it was last kept.
                if let Err(error) = disk
                    .run("keep a job", move |connection| {
                        jobs::save_job(connection, &job)
                    })
                    .await
                {
                    tracing::warn!(%error, "keep a job");
                }
            })
        });
        let jobs = Jobs::open(earlier, hub.jobs.clone(), save, tasks.clone(), stop.clone()).await;
        let comparisons =
            Comparisons::open(db.clone(), jobs.clone(), engines.clone(), tasks.clone()).await?;
        let recreations = crate::recreate::Recreations::open(db.clone(), jobs.clone()).await?;
        let history = History::open(hub.figures.clone(), db.clone()).await?;
        let collector =
            Collector::start(hub.figures.clone(), tasks, stop).map_err(BackgroundError::Sampler)?;
        tasks.spawn(history.clone().run(stop.clone()));
        let background = Self {
            jobs,
            comparisons,
            recreations,
            history,
            collector,
        };
        let follow = Follow {
            hub: hub.clone(),
            engines: engines.clone(),
            background: background.clone(),
            starter: config.starter_archive.clone(),
            state_dir: config.state_dir.clone(),
            seen: HashMap::new(),
            running: HashMap::new(),
            welcomed: HashSet::new(),
        };
        let over = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = follow.run() => {}
            }
        });
        Ok(background)
    }
}

struct Follow {
    hub: Arc<Hub>,
    engines: Arc<Engines>,
    background: Background,
    starter: Option<std::path::PathBuf>,
    state_dir: std::path::PathBuf,
    /// Where each engine's list of containers stood at the last look.
    seen: HashMap<EngineName, Position>,
    /// Containers that ran then, with their start time.
    running: HashMap<EngineName, HashSet<(String, Option<jiff::Timestamp>)>>,
    /// Engines that were connected once.
    welcomed: HashSet<EngineName>,
}

impl Follow {
    async fn run(mut self) {
        let mut beats = self.hub.pulse.listen();
        loop {
            let engines: Vec<Arc<Engine>> = self.engines.iter().cloned().collect();
            for engine in &engines {
                self.look(engine);
                self.welcome(engine).await;
            }
            // A pulse whose sender is gone cannot be: the hub holds it.
            drop(tokio::time::timeout(LOOK, beats.changed()).await);
        }
    }

    fn look(&mut self, engine: &Arc<Engine>) {
        let Some(lists) = self.hub.lists(&engine.name) else {
            return;
        };
        let position = lists.containers.position();
        if self.seen.get(&engine.name) == Some(&position) {
            return;
        }
        let Ok(docker) = engine.docker() else { return };
        let containers = engine.mirror.containers();
        let alive = |state| matches!(state, ContainerState::Running | ContainerState::Paused);
        let alive: Vec<_> = containers
            .iter()
            .filter(|c| alive(c.state))
            .cloned()
            .collect();
        let running: HashSet<(String, Option<jiff::Timestamp>)> =
            alive.iter().map(|c| (c.id.clone(), c.started_at)).collect();
        let before = self.running.remove(&engine.name).unwrap_or_default();
        for (id, _) in running.difference(&before) {
            self.hub.logs.poke(engine.name.as_str(), id);
        }
        let collector = &self.background.collector;
        collector.set_running(&engine.name, &docker, engine.is_local(), &alive);
        let known: HashSet<&str> = containers.iter().map(|c| c.id.as_str()).collect();
        collector.retain(&engine.name, |id| known.contains(id));
        self.running.insert(engine.name.clone(), running);
        self.seen.insert(engine.name.clone(), position);
    }

    /// What is due when an engine is connected for the first time.
    async fn welcome(&mut self, engine: &Arc<Engine>) {
        if engine.state() != EngineState::Connected || self.welcomed.contains(&engine.name) {
            return;
        }
        let Ok(docker) = engine.docker() else { return };
        self.welcomed.insert(engine.name.clone());
        if let Err(error) = sweep(&docker, None).await {
            tracing::warn!(%error, engine = %engine.name, "remove containers of an interrupted comparison");
        }
        Box::pin(self.background.recreations.resume(engine)).await;
        if let Err(error) = crate::filesystem::sweep_helpers(&docker, &self.state_dir).await {
            tracing::warn!(%error, engine = %engine.name, "remove helpers of a server that was killed");
        }
        // Mini loads its own at its first start.
        let Some(archive) = self
            .starter
            .clone()
            .filter(|_| engine.kind == EngineKind::Docker && engine.is_local())
        else {
            return;
        };
        if !matches!(jobs::needs_starter(&docker).await, Ok(true)) || !archive.exists() {
            return;
        }
        let new = NewJob {
            kind: JobKind::LoadStarter,
            title: format!("Load the starter image into {}", engine.name),
            engine: Some(engine.name.clone()),
            started_by: None,
        };
        let work = move |job| async move { jobs::load_starter(docker, &archive, job).await };
        if let Err(error) = self.background.jobs.start(new, work).await {
            tracing::warn!(%error, "load the starter image");
        }
    }
}
