//! All comparisons: the one that runs and those that ran.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::{
    compare::{CompareEngine, CompareRequest, CompareResult, CompareStarted, IsolationRow},
    engine::EngineState,
    id::JobId,
    job::JobKind,
    problem::ProblemCode,
};
use bollard::{
    Docker,
    query_parameters::{InspectContainerOptions, StartContainerOptions},
};
use jiff::Timestamp;
use observe::Inside;
use tokio_util::task::TaskTracker;

use super::{
    judge, overhead,
    run::{Workload, measure, sweep},
};
use crate::{
    db::{Db, DbError},
    engines::{Engine, Engines},
    jobs::{Failure, JobError, JobHandle, Jobs, NewJob, STARTER, ensure_image},
};

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS comparison (
    id TEXT PRIMARY KEY,
    started_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;";
/// Comparisons kept.
const KEPT: usize = 50;
const MAX_RUNS: u32 = 100;
const MAX_PAUSE_MS: u32 = 10_000;
const PAUSE_MS: u32 = 100;

/// Why there is no comparison.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// A field of the request is out of range.
    #[error("{field}: {message}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What would be right.
        message: String,
    },
    /// There is none of this id.
    #[error("find the comparison: there is none of this id")]
    NotFound,
    /// Its job cannot be started.
    #[error(transparent)]
    Job(#[from] JobError),
}

/// All comparisons, cheap to clone.
#[derive(Clone, Debug)]
pub struct Comparisons(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    jobs: Jobs,
    engines: Arc<Engines>,
    tasks: TaskTracker,
    results: Mutex<BTreeMap<JobId, CompareResult>>,
}

impl Comparisons {
    /// Those of earlier runs of the server; one that had not ended counts as finished with what it has.
    ///
    /// # Errors
    /// The database's.
    pub async fn open(
        db: Db,
        jobs: Jobs,
        engines: Arc<Engines>,
        tasks: TaskTracker,
    ) -> Result<Self, DbError> {
        let rows: Vec<String> = db
            .run("read comparisons", |c| {
                c.execute_batch(SCHEMA)?;
                let mut statement = c.prepare("SELECT body FROM comparison")?;
                statement.query_map([], |row| row.get(0))?.collect()
            })
            .await?;
        let results = rows
            .iter()
            .filter_map(|body| serde_json::from_str::<CompareResult>(body).ok())
            .map(|result| {
                (
                    result.id.clone(),
                    CompareResult {
                        finished: true,
                        ..result
                    },
                )
            })
            .collect();
        Ok(Self(Arc::new(Inner {
            db,
            jobs,
            engines,
            tasks,
            results: Mutex::new(results),
        })))
    }

    /// All of them, newest first.
    pub fn list(&self) -> Vec<CompareResult> {
        let mut all: Vec<CompareResult> = self.lock().values().cloned().collect();
        all.sort_by_key(|result| std::cmp::Reverse(result.started_at));
        all
    }

    /// One, also while it runs.
    ///
    /// # Errors
    /// [`CompareError::NotFound`].
    pub fn get(&self, id: &JobId) -> Result<CompareResult, CompareError> {
        self.lock().get(id).cloned().ok_or(CompareError::NotFound)
    }

    /// Starts one as a job.
    ///
    /// # Errors
    /// [`CompareError::Invalid`], [`CompareError::Job`].
    pub async fn start(
        &self,
        request: CompareRequest,
        user: Option<String>,
    ) -> Result<CompareStarted, CompareError> {
        let invalid = |field, message: String| CompareError::Invalid { field, message };
        if !(1..=MAX_RUNS).contains(&request.runs) {
            return Err(invalid(
                "runs",
                format!("1 to {MAX_RUNS} runs on each engine"),
            ));
        }
        let pause_ms = request.pause_ms.unwrap_or(PAUSE_MS);
        if pause_ms > MAX_PAUSE_MS {
            return Err(invalid("pause_ms", format!("at most {MAX_PAUSE_MS}")));
        }
        let image = request
            .image
            .as_ref()
            .map_or_else(|| STARTER.to_owned(), ToString::to_string);
        let command = if request.command.is_empty() {
            vec!["/bin/true".to_owned()]
        } else {
            request.command
        };
        let new = NewJob {
            kind: JobKind::Compare,
            title: format!(
                "Compare {image} on both engines, {} runs each",
                request.runs
            ),
            engine: None,
            started_by: user,
        };
        let (comparisons, runs) = (self.clone(), request.runs);
        let (asked_image, asked_command) = (image.clone(), command.clone());
        let job = self
            .0
            .jobs
            .start(new, move |job| async move {
                let id = job.id().clone();
                let work = Workload {
                    id: id.to_string(),
                    image: asked_image,
                    command: asked_command,
                    tasks: comparisons.0.tasks.clone(),
                };
                comparisons
                    .run(
                        &job,
                        &work,
                        runs,
                        Duration::from_millis(u64::from(pause_ms)),
                    )
                    .await?;
                Ok(Some(id.to_string()))
            })
            .await?;
        // The job's id is the comparison's. Its work starts by making the result, so a quick reader must find one before.
        self.lock()
            .entry(job.id.clone())
            .or_insert_with(|| empty(&job.id, &image, &command, runs));
        Ok(CompareStarted {
            job: job.id.clone(),
            id: job.id,
        })
    }

    async fn run(
        &self,
        job: &JobHandle,
        work: &Workload,
        runs: u32,
        pause: Duration,
    ) -> Result<(), Failure> {
        let engines: Vec<Arc<Engine>> = self.0.engines.iter().cloned().collect();
        let mut result = empty(job.id(), &work.image, &work.command, runs);
        result.engines = engines.iter().map(|engine| side(engine)).collect();
        result.machine = machine();
        self.put(&result);
        let outcome = self
            .rounds(job, work, runs, pause, &engines, &mut result)
            .await;
        // Also after a failure and a cancel: nothing of it stays on an engine.
        for docker in engines.iter().filter_map(|engine| engine.docker().ok()) {
            if let Err(error) = sweep(&docker, Some(&work.id)).await {
                tracing::warn!(%error, comparison = work.id, "remove containers of a comparison");
            }
        }
        for engine in &mut result.engines {
            judge::summarise(engine);
        }
        result.summary = judge::sentences(&result.engines);
        result.finished = true;
        self.put(&result);
        self.save(result).await;
        outcome
    }

    async fn rounds(
        &self,
        job: &JobHandle,
        work: &Workload,
        runs: u32,
        pause: Duration,
        engines: &[Arc<Engine>],
        result: &mut CompareResult,
    ) -> Result<(), Failure> {
        let clients = self.prepare(job, work, engines, result).await?;
        let taking_part: Vec<usize> = (0..engines.len())
            .filter(|i| clients.get(*i).is_some_and(Option::is_some))
            .collect();
        for round in 0..=runs {
            // Taking turns in going first, so that what one leaves in the caches does not always favour the other.
            let mut order = taking_part.clone();
            if round % 2 == 1 {
                order.reverse();
            }
            for i in order {
                let (Some(engine), Some(Some(docker))) = (engines.get(i), clients.get(i)) else {
                    continue;
                };
                // Round 0 warms up and does not count.
                let measured = measure(docker, engine.is_local(), work, round.saturating_sub(1));
                let sample = job.unless_cancelled(measured).await?;
                if round > 0
                    && let Some(side) = result.engines.get_mut(i)
                {
                    side.samples.push(sample);
                    judge::summarise(side);
                    job.step(
                        engine.name.as_str(),
                        "Runs",
                        Some(u64::from(round)),
                        Some(u64::from(runs)),
                    );
                }
                let rest = async {
                    tokio::time::sleep(pause).await;
                    Ok::<_, Failure>(())
                };
                job.unless_cancelled(rest).await?;
            }
            job.percent(f64::from(round) * 95.0 / f64::from(runs));
            self.put(result);
        }
        Ok(())
    }

    /// Finds who can take part, brings the image there, and looks at the isolation of one idle container on each.
    async fn prepare(
        &self,
        job: &JobHandle,
        work: &Workload,
        engines: &[Arc<Engine>],
        result: &mut CompareResult,
    ) -> Result<Vec<Option<Docker>>, Failure> {
        let mut clients: Vec<Option<Docker>> =
            engines.iter().map(|engine| engine.docker().ok()).collect();
        let all: Vec<Docker> = clients.iter().flatten().cloned().collect();
        if all.is_empty() {
            return Err(Failure::new(
                ProblemCode::EngineUnreachable,
                "no engine can be reached",
            ));
        }
        let mut insides = Vec::new();
        for ((engine, client), side) in engines.iter().zip(&mut clients).zip(&mut result.engines) {
            let Some(docker) = client else {
                insides.push(None);
                continue;
            };
            job.message(format!("Looks for the image on {}", engine.name));
            if let Err(failure) = ensure_image(docker, &all, &work.image, job).await {
                if failure == Failure::Cancelled {
                    return Err(failure);
                }
                side.excluded = Some(failure.to_string());
                *client = None;
                insides.push(None);
                continue;
            }
            job.message(format!("Looks at the isolation on {}", engine.name));
            let looked = async { Ok::<_, Failure>(idle(engine, docker, &all, work, job).await) };
            let (inside, own) = job.unless_cancelled(looked).await?;
            insides.push(inside);
            if let Some(own) = own {
                side.engine_memory_bytes = own.bytes;
                side.engine_memory_note = Some(own.note);
            }
        }
        if clients.iter().all(Option::is_none) {
            let why = result
                .engines
                .iter()
                .find_map(|side| side.excluded.clone())
                .unwrap_or_default();
            return Err(Failure::new(ProblemCode::NotFound, why)
                .with_hint("pull the image on one of the engines first"));
        }
        result.isolation = isolation(&insides);
        job.message("Runs, taking turns");
        self.put(result);
        Ok(clients)
    }

    fn put(&self, result: &CompareResult) {
        self.lock().insert(result.id.clone(), result.clone());
    }

    async fn save(&self, result: CompareResult) {
        let Ok(body) = serde_json::to_string(&result) else {
            return;
        };
        let saved = self
            .0
            .db
            .run("keep a comparison", move |c| {
                let row = (result.id.as_str(), result.started_at.as_millisecond(), &body);
                c.execute("INSERT OR REPLACE INTO comparison (id, started_ms, body) VALUES (?1, ?2, ?3)", row)?;
                c.execute(
                    "DELETE FROM comparison WHERE id NOT IN (SELECT id FROM comparison ORDER BY started_ms DESC LIMIT ?1)",
                    [i64::try_from(KEPT).unwrap_or(i64::MAX)],
                )
            })
            .await;
        if let Err(error) = saved {
            tracing::warn!(%error, "keep a comparison");
        }
        let mut results = self.lock();
        let mut old: Vec<(Timestamp, JobId)> = results
            .values()
            .filter(|r| r.finished)
            .map(|r| (r.started_at, r.id.clone()))
            .collect();
        old.sort_unstable();
        for (_, id) in old.iter().take(old.len().saturating_sub(KEPT)) {
            results.remove(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, CompareResult>> {
        self.0
            .results
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Isolation facts; none when no container could be looked into.
fn isolation(insides: &[Option<Inside>]) -> Vec<IsolationRow> {
    if insides.iter().all(Option::is_none) {
        return Vec::new();
    }
    let insides: Vec<Option<&Inside>> = insides.iter().map(Option::as_ref).collect();
    let rows = insight::compare::compare(&insides);
    rows.into_iter()
        .map(|row| IsolationRow {
            fact: row.fact,
            sentence: row.sentence,
            values: row.values,
            differs: row.differs,
        })
        .collect()
}

/// One idle container: what the kernel says of it, and what the engine takes meanwhile. It is removed with the rest.
async fn idle(
    engine: &Engine,
    docker: &Docker,
    all: &[Docker],
    work: &Workload,
    job: &JobHandle,
) -> (Option<Inside>, Option<overhead::Overhead>) {
    // The starter image can sleep; the one that is compared perhaps not.
    if ensure_image(docker, all, STARTER, job).await.is_err() {
        return (None, None);
    }
    let command = vec!["sleep".to_owned(), "60".to_owned()];
    let sleeper = Workload {
        id: work.id.clone(),
        image: STARTER.to_owned(),
        command,
        tasks: work.tasks.clone(),
    };
    let started = async {
        let id = sleeper.create(docker).await?;
        docker
            .start_container(&id, None::<StartContainerOptions>)
            .await?;
        docker
            .inspect_container(&id, None::<InspectContainerOptions>)
            .await
    };
    let pid = started
        .await
        .ok()
        .and_then(|found| found.state?.pid)
        .and_then(|pid| u32::try_from(pid).ok());
    let (Some(pid), kind, local) = (pid.filter(|pid| *pid > 0), engine.kind, engine.is_local())
    else {
        return (None, None);
    };
    let socket = engine
        .endpoint
        .as_ref()
        .and_then(crate::engines::Endpoint::socket_path);
    let looked = tokio::task::spawn_blocking(move || {
        let inside = if local {
            observe::inside(pid).ok()
        } else {
            None
        };
        (
            inside,
            Some(overhead::measure(kind, local, socket.as_deref(), pid)),
        )
    });
    let seen = looked.await.unwrap_or((None, None));
    // The sleeper must not run beside what is measured.
    drop(sweep(docker, Some(&work.id)).await);
    seen
}

fn side(engine: &Engine) -> CompareEngine {
    let info = engine.info();
    let excluded = (info.state != EngineState::Connected).then(|| {
        info.reason
            .unwrap_or_else(|| "the engine is not connected".to_owned())
    });
    CompareEngine {
        engine: engine.name.clone(),
        version: info
            .details
            .map(|details| details.version)
            .unwrap_or_default(),
        excluded,
        samples: Vec::new(),
        create_ms: None,
        start_ms: None,
        run_ms: None,
        remove_ms: None,
        total_ms: None,
        memory_peak_bytes: None,
        engine_memory_bytes: None,
        engine_memory_note: None,
    }
}

fn empty(id: &JobId, image: &str, command: &[String], runs: u32) -> CompareResult {
    CompareResult {
        id: id.clone(),
        job: id.clone(),
        finished: false,
        started_at: Timestamp::now(),
        image: image.to_owned(),
        command: command.to_vec(),
        runs,
        machine: machine(),
        engines: Vec::new(),
        isolation: Vec::new(),
        summary: Vec::new(),
    }
}

/// The machine in words.
fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    match observe::host_figures() {
        Ok(host) => format!(
            "{} {}, {cpus} processors, {:.1} GiB memory, cgroups {}, ContainerOS {}",
            std::env::consts::OS,
            host.kernel_release,
            host.memory_total_bytes as f64 / 1_073_741_824.0,
            host.cgroup_mode,
            env!("CARGO_PKG_VERSION"),
        ),
        Err(_) => format!(
            "{}, {cpus} processors, ContainerOS {}",
            std::env::consts::OS,
            env!("CARGO_PKG_VERSION")
        ),
    }
}
