//! The recreation itself: forward step by step, back from any step, and on from any step after the server was killed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::{
    container::RevisionReason,
    id::EngineName,
    job::{Job, JobKind},
    problem::ProblemCode,
};
use bollard::{
    Docker,
    models::{ContainerInspectResponse, EndpointSettings, HealthStatusEnum, NetworkConnectRequest},
    query_parameters::{
        CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder,
        RenameContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
    },
};
use tokio::time::Instant;

use super::{
    journal::{self, Phase, Row},
    revisions::{NewRevision, Revisions},
    spec::Spec,
};
use crate::{
    db::{Db, DbError},
    engines::Engine,
    jobs::{self, Failure, JobError, JobHandle, Jobs, NewJob},
};

/// What has no health check works when it has run so long.
const SETTLED: Duration = Duration::from_secs(3);
/// Longest wait for a health check.
const LONGEST_CHECK: Duration = Duration::from_mins(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// One call to the engine may take so long beside a container's time to stop.
const CALL: Duration = Duration::from_mins(2);

/// All recreations.
#[derive(Clone, Debug)]
pub struct Recreations {
    db: Db,
    jobs: Jobs,
    /// What containers were made with.
    pub(crate) revisions: Revisions,
}

/// Why one cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeginError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The job.
    #[error(transparent)]
    Job(#[from] JobError),
    /// It is being made anew already.
    #[error("the container is being made anew already")]
    Busy,
}

impl Recreations {
    /// Over this database and these jobs.
    ///
    /// # Errors
    /// [`DbError`]
    pub(crate) async fn open(db: Db, jobs: Jobs) -> Result<Self, DbError> {
        db.run("make tables of recreations", |connection| {
            connection.execute_batch(journal::SCHEMA)
        })
        .await?;
        Ok(Self {
            revisions: Revisions::new(db.clone()),
            db,
            jobs,
        })
    }

    /// Begins one as a job.
    pub(crate) async fn begin(
        &self,
        engine: Arc<Engine>,
        row: Row,
        kind: JobKind,
    ) -> Result<Job, BeginError> {
        let first = row.clone();
        let begun = self
            .db
            .run("begin a recreation", move |connection| {
                journal::begin(connection, &first)
            })
            .await?;
        if !begun {
            return Err(BeginError::Busy);
        }
        let new = NewJob {
            kind,
            title: format!("Make {} anew", row.plan.name),
            engine: Some(engine.name.clone()),
            started_by: Some(row.plan.by.clone()),
        };
        let (this, id) = (self.clone(), row.id.clone());
        match self
            .jobs
            .start(new, move |job| async move {
                Box::pin(this.run(&engine, row, &job)).await
            })
            .await
        {
            Ok(job) => Ok(job),
            Err(error) => {
                self.db
                    .run("end a recreation", move |connection| {
                        journal::end(connection, &id)
                    })
                    .await?;
                Err(error.into())
            }
        }
    }

    /// Finishes or rolls back what a killed server left on an engine.
    pub(crate) async fn resume(&self, engine: &Arc<Engine>) {
        let name = engine.name.to_string();
        let rows = self
            .db
            .run("read recreations", move |connection| {
                journal::open_ones(connection, &name)
            })
            .await;
        for row in rows.unwrap_or_default() {
            let new = NewJob {
                kind: JobKind::Recreate,
                title: format!("Finish making {} anew", row.plan.name),
                engine: Some(engine.name.clone()),
                started_by: None,
            };
            let (this, engine) = (self.clone(), Arc::clone(engine));
            let started = self
                .jobs
                .start(new, move |job| async move {
                    Box::pin(this.go_on(&engine, row, &job)).await
                })
                .await;
            if let Err(error) = started {
                tracing::error!(%error, "finish an interrupted recreation");
            }
        }
    }

    /// Tells whether a container is in the middle of one.
    pub(crate) async fn is_busy(
        &self,
        engine: &EngineName,
        container: &str,
    ) -> Result<bool, DbError> {
        let (engine, container) = (engine.to_string(), container.to_owned());
        self.db
            .run("look for a recreation", move |connection| {
                journal::is_open(connection, &engine, &container)
            })
            .await
    }

    async fn run(
        &self,
        engine: &Arc<Engine>,
        mut row: Row,
        job: &JobHandle,
    ) -> Result<Option<String>, Failure> {
        let docker = engine
            .docker()
            .map_err(|error| Failure::new(ProblemCode::EngineUnreachable, error.to_string()))?;
        match self.forward(engine, &docker, &mut row, job).await {
            Ok(id) => Ok(Some(id)),
            Err(failure) => {
                job.step("roll back", "puts the old container back", None, None);
                self.back(engine, &docker, &row).await?;
                Err(failure)
            }
        }
    }

    /// After the server was killed: what had been started is watched on, what works is kept, everything else goes back.
    async fn go_on(
        &self,
        engine: &Arc<Engine>,
        mut row: Row,
        job: &JobHandle,
    ) -> Result<Option<String>, Failure> {
        let docker = engine
            .docker()
            .map_err(|error| Failure::new(ProblemCode::EngineUnreachable, error.to_string()))?;
        let works = match (row.phase, row.new_id.clone()) {
            (Phase::Commit, Some(id)) => Some(id),
            (Phase::Start, Some(id)) if row.plan.was_running => {
                job.step("start", "watches it", None, None);
                // It may have been killed before the start was asked for.
                let started = ask(docker.start_container(&id, None::<StartContainerOptions>)).await;
                match started.or_else(already_so) {
                    Ok(()) => job
                        .unless_cancelled(works(&docker, &id))
                        .await
                        .is_ok()
                        .then_some(id),
                    Err(_) => None,
                }
            }
            _ => None,
        };
        if let Some(id) = works {
            self.commit(engine, &docker, &mut row, &id, job).await?;
            return Ok(Some(id));
        }
        self.back(engine, &docker, &row).await?;
        job.message("The old container is as it was.");
        Ok(Some(row.old_id))
    }

    async fn enter(&self, row: &mut Row, phase: Phase) -> Result<(), Failure> {
        row.phase = phase;
        let now = row.clone();
        self.db
            .run("write a recreation's step", move |connection| {
                journal::put(connection, &now)
            })
            .await
            .map_err(|error| Failure::new(ProblemCode::Unavailable, error.to_string()))
    }

    async fn forward(
        &self,
        engine: &Arc<Engine>,
        docker: &Docker,
        row: &mut Row,
        job: &JobHandle,
    ) -> Result<String, Failure> {
        if let Some(image) = row.plan.pull.clone() {
            job.step("pull", &format!("pulls {image}"), None, None);
            let request = jobs::PullRequest {
                docker: docker.clone(),
                engine: engine.name.clone(),
                image,
                platform: None,
            };
            jobs::pull(request, job.clone()).await?;
        }
        job.step("create", "makes the new container", None, None);
        self.enter(row, Phase::Create).await?;
        let name = row.waiting_name();
        engine.mirror.hide(&name);
        let id = create(docker, &name, &row.plan.new).await?;
        row.new_id = Some(id.clone());
        self.enter(row, Phase::Create).await?;
        job.check()?;
        job.step("stop", "stops the old container", None, None);
        self.enter(row, Phase::Stop).await?;
        if row.plan.was_running {
            let options = StopContainerOptionsBuilder::default()
                .t(i32::try_from(row.plan.stop_s).unwrap_or(10))
                .build();
            let limit = CALL + Duration::from_secs(row.plan.stop_s.into());
            let stopped =
                tokio::time::timeout(limit, docker.stop_container(&row.old_id, Some(options)))
                    .await;
            stopped
                .map_err(|_| bollard::errors::Error::RequestTimeoutError)?
                .or_else(already_so)?;
        }
        job.check()?;
        job.step("swap", "gives the new container the name", None, None);
        self.enter(row, Phase::Swap).await?;
        match rename(docker, &row.old_id, &row.aside_name()).await {
            // It removed itself when it stopped.
            Err(error) if row.plan.removes_itself && is_gone(&error) => {}
            other => other?,
        }
        rename(docker, &id, &row.plan.new_name).await?;
        engine.mirror.unhide(&name);
        job.check()?;
        self.enter(row, Phase::Start).await?;
        if row.plan.was_running {
            job.step("start", "starts it and waits until it works", None, None);
            ask(docker.start_container(&id, None::<StartContainerOptions>))
                .await
                .or_else(already_so)?;
            job.unless_cancelled(works(docker, &id)).await?;
        }
        self.commit(engine, docker, row, &id, job).await?;
        Ok(id)
    }

    /// From here on the new one stays, whatever happens.
    async fn commit(
        &self,
        engine: &Arc<Engine>,
        docker: &Docker,
        row: &mut Row,
        id: &str,
        job: &JobHandle,
    ) -> Result<(), Failure> {
        job.step("commit", "removes the old container", None, None);
        self.enter(row, Phase::Commit).await?;
        let revision = NewRevision {
            engine: engine.name.clone(),
            container: row.old_id.clone(),
            name: row.plan.name.clone(),
            was_running: row.plan.was_running,
            reason: RevisionReason::Recreated,
            by: row.plan.by.clone(),
            spec: row.plan.old.clone(),
        };
        if let Err(error) = self.revisions.keep(revision).await {
            tracing::warn!(%error, "keep what a container was made with");
        }
        remove(docker, &row.old_id).await?;
        engine.mirror.forget_container(&row.old_id);
        if let Err(error) = engine.mirror.refresh_container(docker, id).await {
            tracing::debug!(%error, "read a container that was made anew");
        }
        self.end(row).await
    }

    async fn end(&self, row: &Row) -> Result<(), Failure> {
        let id = row.id.clone();
        self.db
            .run("end a recreation", move |connection| {
                journal::end(connection, &id)
            })
            .await
            .map_err(|error| Failure::new(ProblemCode::Unavailable, error.to_string()))
    }

    /// Puts the old one back. Each step may have been done already, also by an earlier try.
    async fn back(&self, engine: &Arc<Engine>, docker: &Docker, row: &Row) -> Result<(), Failure> {
        let waiting = row.waiting_name();
        // Made, perhaps, without the journal having learned its id.
        let new = row.new_id.clone().unwrap_or_else(|| waiting.clone());
        remove(docker, &new).await?;
        engine.mirror.unhide(&waiting);
        engine.mirror.forget_container(&new);
        let old = ask(docker.inspect_container(&row.old_id, None::<InspectContainerOptions>)).await;
        let id = match old {
            Ok(old) => {
                let name = old.name.unwrap_or_default();
                if name.trim_start_matches('/') != row.plan.name {
                    rename(docker, &row.old_id, &row.plan.name).await?;
                }
                row.old_id.clone()
            }
            // Only what removes itself is gone; it is made again of what it was made with.
            Err(error) if is_gone(&error) => match create(docker, &row.plan.name, &row.plan.old)
                .await
            {
                Ok(id) => id,
                Err(Failure::Impossible(_))
                    if ask(
                        docker.inspect_container(&row.plan.name, None::<InspectContainerOptions>)
                    )
                    .await
                    .is_ok() =>
                {
                    row.plan.name.clone()
                }
                Err(failure) => return Err(failure),
            },
            Err(error) => return Err(error.into()),
        };
        if row.plan.was_running {
            ask(docker.start_container(&id, None::<StartContainerOptions>))
                .await
                .or_else(already_so)?;
        }
        if let Err(error) = engine.mirror.refresh_container(docker, &id).await {
            tracing::debug!(%error, "read a container that was put back");
        }
        self.end(row).await
    }
}

/// Makes a container and connects its networks; what could not be made whole is taken away.
pub(crate) async fn create(docker: &Docker, name: &str, spec: &Spec) -> Result<String, Failure> {
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    let made = ask(docker.create_container(Some(options), spec.body.clone())).await?;
    if let Err(error) = connect(docker, &made.id, &spec.networks).await {
        remove(docker, &made.id).await?;
        return Err(error.into());
    }
    Ok(made.id)
}

async fn connect(
    docker: &Docker,
    id: &str,
    networks: &BTreeMap<String, EndpointSettings>,
) -> Result<(), bollard::errors::Error> {
    for (network, endpoint) in networks {
        let request = NetworkConnectRequest {
            container: id.to_owned(),
            endpoint_config: Some(endpoint.clone()),
        };
        ask(docker.connect_network(network, request)).await?;
    }
    Ok(())
}

/// Waits until a started container works: healthy, or running for a while, or ended well.
async fn works(docker: &Docker, id: &str) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut up_since: Option<(Instant, Option<String>)> = None;
    loop {
        let seen = ask(docker.inspect_container(id, None::<InspectContainerOptions>)).await?;
        let state = seen.state.clone().unwrap_or_default();
        let health = state.health.as_ref().and_then(|health| health.status);
        let limit = check_limit(&seen);
        let running = state.running == Some(true) && state.restarting != Some(true);
        match health {
            Some(HealthStatusEnum::HEALTHY) if running => return Ok(()),
            Some(HealthStatusEnum::UNHEALTHY) => {
                return Err(
                    Failure::new(ProblemCode::Conflict, "the new container is unhealthy")
                        .with_hint("look at its health check; the old container is back"),
                );
            }
            _ => {}
        }
        if !running && state.restarting != Some(true) {
            let code = state.exit_code.unwrap_or_default();
            if code == 0 && state.error.as_deref().unwrap_or_default().is_empty() {
                return Ok(());
            }
            return Err(Failure::new(
                ProblemCode::Conflict,
                format!("the new container ended at once with exit code {code}"),
            )
            .with_hint("look at its command and image; the old container is back"));
        }
        let checked = matches!(health, Some(HealthStatusEnum::STARTING));
        let start = state.started_at.clone();
        match &up_since {
            // A restart begins the wait anew.
            Some((since, at)) if running && *at == start => {
                if !checked && since.elapsed() >= SETTLED {
                    return Ok(());
                }
            }
            _ => up_since = running.then(|| (Instant::now(), start)),
        }
        if begun.elapsed() >= limit {
            return Err(Failure::new(
                ProblemCode::Conflict,
                format!(
                    "the new container does not work after {} s",
                    limit.as_secs()
                ),
            )
            .with_hint("look at its log and health check; the old container is back"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How long its health check may take to come to a result.
fn check_limit(seen: &ContainerInspectResponse) -> Duration {
    let check = seen
        .config
        .as_ref()
        .and_then(|config| config.healthcheck.clone())
        .unwrap_or_default();
    let time = |value: Option<i64>, usual: u64| {
        let given = value
            .and_then(|ns| u64::try_from(ns).ok())
            .filter(|ns| *ns > 0);
        given.map_or(Duration::from_secs(usual), Duration::from_nanos)
    };
    let tries = check
        .retries
        .and_then(|tries| u32::try_from(tries).ok())
        .filter(|tries| *tries > 0)
        .unwrap_or(3);
    let one = time(check.interval, 30) + time(check.timeout, 30);
    (time(check.start_period, 0) + one * (tries + 1)).clamp(Duration::from_secs(30), LONGEST_CHECK)
}

async fn rename(docker: &Docker, id: &str, name: &str) -> Result<(), bollard::errors::Error> {
    let seen = ask(docker.inspect_container(id, None::<InspectContainerOptions>)).await?;
    if seen
        .name
        .as_deref()
        .unwrap_or_default()
        .trim_start_matches('/')
        == name
    {
        return Ok(());
    }
    ask(docker.rename_container(
        id,
        RenameContainerOptionsBuilder::default().name(name).build(),
    ))
    .await
}

/// Removes a container; its volumes stay.
async fn remove(docker: &Docker, id: &str) -> Result<(), bollard::errors::Error> {
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    match ask(docker.remove_container(id, Some(options))).await {
        Err(error) if is_gone(&error) => Ok(()),
        other => other,
    }
}

async fn ask<T>(
    answer: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, bollard::errors::Error> {
    tokio::time::timeout(CALL, answer)
        .await
        .unwrap_or(Err(bollard::errors::Error::RequestTimeoutError))
}

fn is_gone(error: &bollard::errors::Error) -> bool {
    matches!(
        error,
        bollard::errors::Error::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

/// What is so already has succeeded.
fn already_so(error: bollard::errors::Error) -> Result<(), bollard::errors::Error> {
    match error {
        bollard::errors::Error::DockerResponseServerError {
            status_code: 304, ..
        } => Ok(()),
        other => Err(other),
    }
}
