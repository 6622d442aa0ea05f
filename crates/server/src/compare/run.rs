//! One run on one engine: create, start, wait, remove, each timed; and what is left behind is taken away, whatever happens.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use api::{compare::CompareSample, problem::ProblemCode};
use bollard::{
    Docker,
    errors::Error,
    models::ContainerCreateBody,
    query_parameters::{
        CreateContainerOptions, InspectContainerOptions, ListContainersOptionsBuilder,
        RemoveContainerOptionsBuilder, StartContainerOptions, WaitContainerOptions,
    },
};
use futures_util::StreamExt;
use observe::Sampler;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::jobs::Failure;

/// Marks containers that belong to a comparison; its value is the comparison's id.
pub(super) const LABEL: &str = "containeros.compare";
/// One run may take so long.
const RUN_LIMIT: Duration = Duration::from_mins(2);
/// A run that ends sooner is not disturbed by looking at its memory.
const UNDISTURBED: Duration = Duration::from_millis(100);
/// Time between two looks at its memory.
const LOOK: Duration = Duration::from_millis(50);

/// What is run.
#[derive(Debug, Clone)]
pub(super) struct Workload {
    pub(super) id: String,
    pub(super) image: String,
    pub(super) command: Vec<String>,
    /// Where creating goes on when the comparison is cancelled meanwhile.
    pub(super) tasks: TaskTracker,
}

impl Workload {
    fn body(&self) -> ContainerCreateBody {
        ContainerCreateBody {
            image: Some(self.image.clone()),
            cmd: (!self.command.is_empty()).then(|| self.command.clone()),
            labels: Some(HashMap::from([(LABEL.to_owned(), self.id.clone())])),
            ..Default::default()
        }
    }

    /// Makes a container. An engine that is in the middle of making one does not stop when its client leaves: should nobody wait
    /// for the answer any more, the container is taken away as soon as it is there.
    pub(super) async fn create(&self, docker: &Docker) -> Result<String, Error> {
        let (tell, told) = oneshot::channel();
        let (docker, body) = (docker.clone(), self.body());
        self.tasks.spawn(async move {
            let made = docker
                .create_container(None::<CreateContainerOptions>, body)
                .await
                .map(|made| made.id);
            if let Err(Ok(id)) = tell.send(made)
                && let Err(error) = remove(&docker, &id).await
            {
                tracing::warn!(%error, id, "remove a container of a cancelled comparison");
            }
        });
        // The task answers before it ends, unless the server is going down.
        told.await.unwrap_or(Err(Error::RequestTimeoutError))
    }
}

async fn remove(docker: &Docker, id: &str) -> Result<(), Error> {
    let options = RemoveContainerOptionsBuilder::new()
        .force(true)
        .v(true)
        .build();
    docker.remove_container(id, Some(options)).await
}

/// Runs it once.
pub(super) async fn measure(
    docker: &Docker,
    local: bool,
    work: &Workload,
    run: u32,
) -> Result<CompareSample, Failure> {
    let timed_out = |_| {
        Failure::new(
            ProblemCode::Invalid,
            format!(
                "run {}: it did not end within {} s",
                work.image,
                RUN_LIMIT.as_secs()
            ),
        )
        .with_hint("compare a command that ends by itself")
    };
    tokio::time::timeout(RUN_LIMIT, measure_unlimited(docker, local, work, run))
        .await
        .map_err(timed_out)?
}

async fn measure_unlimited(
    docker: &Docker,
    local: bool,
    work: &Workload,
    run: u32,
) -> Result<CompareSample, Failure> {
    let begun = Instant::now();
    let id = work.create(docker).await?;
    let created = Instant::now();
    docker
        .start_container(&id, None::<StartContainerOptions>)
        .await?;
    let started = Instant::now();
    let (exit_code, memory_peak_bytes) = {
        let peak = peak_memory(docker, local, &id);
        let mut exit = std::pin::pin!(wait(docker, &id));
        let mut peak = std::pin::pin!(peak);
        let mut seen = None;
        loop {
            tokio::select! {
                biased;
                code = &mut exit => break (code?, seen.or_else(|| peak.peak())),
                () = peak.look() => seen = peak.peak(),
            }
        }
    };
    let ended = Instant::now();
    remove(docker, &id).await?;
    let removed = Instant::now();
    let ms = |from: Instant, to: Instant| to.duration_since(from).as_secs_f64() * 1000.0;
    Ok(CompareSample {
        run,
        create_ms: ms(begun, created),
        start_ms: ms(created, started),
        run_ms: ms(created, ended),
        remove_ms: ms(ended, removed),
        total_ms: ms(begun, removed),
        memory_peak_bytes,
        exit_code,
    })
}

async fn wait(docker: &Docker, id: &str) -> Result<i64, Failure> {
    let mut answers = std::pin::pin!(docker.wait_container(id, None::<WaitContainerOptions>));
    match answers.next().await {
        Some(Ok(answer)) => Ok(answer.status_code),
        // bollard makes an error of every exit code but 0.
        Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
        Some(Err(error)) => Err(error.into()),
        None => Err(Failure::new(
            ProblemCode::EngineGarbled,
            "wait for the container: the engine said nothing",
        )),
    }
}

/// Looks at the memory of a run that takes long enough.
struct PeakMemory<'a> {
    docker: &'a Docker,
    id: &'a str,
    sampler: Option<Sampler>,
    /// Not yet looked, or nothing to see.
    state: State,
    peak: Option<u64>,
}

#[derive(PartialEq)]
enum State {
    Fresh,
    Watching,
    Hopeless,
}

fn peak_memory<'a>(docker: &'a Docker, local: bool, id: &'a str) -> PeakMemory<'a> {
    let sampler = if local { Sampler::new().ok() } else { None };
    let state = if sampler.is_some() {
        State::Fresh
    } else {
        State::Hopeless
    };
    PeakMemory {
        docker,
        id,
        sampler,
        state,
        peak: None,
    }
}

impl PeakMemory<'_> {
    fn peak(&self) -> Option<u64> {
        self.peak
    }

    /// Waits, and looks once. Never ends when there is nothing to see.
    async fn look(&mut self) {
        let pause = match self.state {
            State::Hopeless => return std::future::pending().await,
            State::Fresh => UNDISTURBED,
            State::Watching => LOOK,
        };
        tokio::time::sleep(pause).await;
        if self.state == State::Fresh {
            self.state = if self.watch().await {
                State::Watching
            } else {
                State::Hopeless
            };
        }
        let seen = self
            .sampler
            .as_mut()
            .and_then(|s| s.sample("run").ok())
            .and_then(|f| f.memory_usage_bytes);
        self.peak = self.peak.max(seen);
    }

    async fn watch(&mut self) -> bool {
        let found = self
            .docker
            .inspect_container(self.id, None::<InspectContainerOptions>)
            .await;
        let pid = found
            .ok()
            .and_then(|found| found.state?.pid)
            .and_then(|pid| u32::try_from(pid).ok());
        match (pid, &mut self.sampler) {
            (Some(pid), Some(sampler)) if pid > 0 => sampler.watch("run", pid).is_ok(),
            _ => false,
        }
    }
}

/// Takes away all containers of a comparison; of all comparisons when none is named.
///
/// # Errors
/// The engine's own; what can be removed is removed.
pub async fn sweep(docker: &Docker, comparison: Option<&str>) -> Result<(), Error> {
    let label = comparison.map_or_else(|| LABEL.to_owned(), |id| format!("{LABEL}={id}"));
    let filters = HashMap::from([("label", vec![label.as_str()])]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    let mut outcome = Ok(());
    for container in docker.list_containers(Some(options)).await? {
        match remove(docker, &container.id.unwrap_or_default()).await {
            Ok(())
            | Err(Error::DockerResponseServerError {
                status_code: 404, ..
            }) => {}
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}
