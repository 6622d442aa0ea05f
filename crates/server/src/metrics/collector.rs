//! Which containers are sampled, and how: from their cgroups where they can be read, else from the engine's stats stream.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::{Duration, Instant},
};

use api::{container::ContainerSummary, id::EngineName, stats::FigureSource};
use bollard::{
    Docker,
    models::{ContainerInspectResponse, ContainerStatsResponse},
    query_parameters::{InspectContainerOptions, StatsOptionsBuilder},
};
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::{mpsc as tokio_mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Figures, rates,
    sampler::{self, Command, Key},
};
use crate::mirror::cores;

/// Pause before a container whose process has ended is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Keeps the sampler's list of containers; cheap to clone.
#[derive(Clone, Debug)]
pub struct Collector(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    figures: Arc<Figures>,
    sampler: mpsc::SyncSender<Command>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Containers that run, with what ends their collection.
    running: Mutex<HashMap<Key, Running>>,
}

#[derive(Debug)]
struct Running {
    docker: Docker,
    local: bool,
    started_at: Option<Timestamp>,
    cpu_limit_cores: Option<f64>,
    stop: CancellationToken,
}

impl Collector {
    /// Starts the sampler.
    ///
    /// # Errors
    /// When its thread cannot be made.
    pub fn start(
        figures: Arc<Figures>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> std::io::Result<Self> {
        let (lost, mut ended) = tokio_mpsc::channel(256);
        let sampler = sampler::start(figures.clone(), lost)?;
        let collector = Self(Arc::new(Inner {
            figures,
            sampler,
            tasks: tasks.clone(),
            stop: stop.clone(),
            running: Mutex::default(),
        }));
        let (again, over) = (collector.clone(), stop.clone());
        tasks.spawn(async move {
            loop {
                let key = tokio::select! {
                    () = over.cancelled() => return,
                    key = ended.recv() => key,
                };
                let Some(key) = key else { return };
                // It may have been started again at once; when it was not, the mirror takes it off the list.
                again.collect(key, LOOK_AGAIN);
            }
        });
        Ok(collector)
    }

    /// The containers of an engine that run now; `local`: the engine runs on this machine.
    pub(crate) fn set_running(
        &self,
        engine: &EngineName,
        docker: &Docker,
        local: bool,
        rows: &[Arc<ContainerSummary>],
    ) {
        let wanted: HashMap<&str, &ContainerSummary> =
            rows.iter().map(|row| (row.id.as_str(), &**row)).collect();
        let mut running = self.lock();
        running.retain(|key, entry| {
            // One that was started again meanwhile is another process in another cgroup.
            let keep = key.engine != *engine
                || wanted
                    .get(key.id.as_str())
                    .is_some_and(|row| row.started_at == entry.started_at);
            if !keep {
                entry.stop.cancel();
                self.forget(key);
            }
            keep
        });
        let mut fresh = Vec::new();
        for row in wanted.into_values() {
            let key = Key {
                engine: engine.clone(),
                id: row.id.clone(),
            };
            let entry = running.entry(key.clone()).or_insert_with(|| {
                fresh.push(key.clone());
                Running {
                    docker: docker.clone(),
                    local,
                    started_at: row.started_at,
                    cpu_limit_cores: row.cpu_limit_cores,
                    stop: self.0.stop.child_token(),
                }
            });
            if entry.cpu_limit_cores != row.cpu_limit_cores {
                entry.cpu_limit_cores = row.cpu_limit_cores;
                // A full queue: the next change of the list tells it again.
                drop(self.0.sampler.try_send(Command::CpuLimit {
                    cpu_limit_percent: row.cpu_limit_cores.map(percent),
                    key,
                }));
            }
        }
        drop(running);
        for key in fresh {
            self.collect(key, Duration::ZERO);
        }
    }

    /// Forgets the figures of containers that are gone.
    pub fn retain(&self, engine: &EngineName, keep: impl Fn(&str) -> bool) {
        self.0.figures.retain(engine, keep);
    }

    fn collect(&self, key: Key, pause: Duration) {
        let Some((docker, local, stop)) = self
            .lock()
            .get(&key)
            .map(|entry| (entry.docker.clone(), entry.local, entry.stop.clone()))
        else {
            return;
        };
        let collector = self.clone();
        self.0.tasks.spawn(async move {
            let work = async {
                tokio::time::sleep(pause).await;
                let Ok(found) = docker
                    .inspect_container(&key.id, None::<InspectContainerOptions>)
                    .await
                else {
                    return;
                };
                if !(local && collector.watch(&key, &found).await) {
                    collector.stream(&key, &docker, cpu_limit(&found)).await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Has its cgroups read; false when they cannot be.
    async fn watch(&self, key: &Key, found: &ContainerInspectResponse) -> bool {
        let pid = found
            .state
            .as_ref()
            .and_then(|state| state.pid)
            .and_then(|pid| u32::try_from(pid).ok());
        let Some(pid) = pid.filter(|pid| *pid > 0) else {
            // It has ended, or is about to be started again: nothing to read in either way until the list shows it anew.
            return true;
        };
        let (answer, outcome) = oneshot::channel();
        let command = Command::Watch {
            key: key.clone(),
            pid,
            cpu_limit_percent: cpu_limit(found),
            answer,
        };
        if self.0.sampler.try_send(command).is_err() {
            return false;
        }
        matches!(outcome.await, Ok(Ok(())))
    }

    /// Follows the engine's stats stream until it ends.
    async fn stream(&self, key: &Key, docker: &Docker, cpu_limit_percent: Option<f64>) {
        let clock = Instant::now();
        let mut before: Option<observe::Figures> = None;
        let options = StatsOptionsBuilder::new().stream(true).build();
        let mut stream = std::pin::pin!(docker.stats(&key.id, Some(options)));
        while let Some(Ok(stats)) = stream.next().await {
            let now = from_engine(&stats, clock);
            self.0
                .figures
                .put_counters(&key.engine, &key.id, now.clone());
            if let Some(before) = before.replace(now.clone()) {
                let point = rates::container(&before, &now, cpu_limit_percent);
                self.0.figures.put(
                    &key.engine,
                    vec![(key.id.clone(), FigureSource::Engine, point)],
                );
            }
        }
    }

    fn forget(&self, key: &Key) {
        // A full queue: the sampler notices by itself that the process has ended.
        drop(self.0.sampler.try_send(Command::Forget(key.clone())));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Running>> {
        self.0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The quota in percent of one core.
fn cpu_limit(found: &ContainerInspectResponse) -> Option<f64> {
    found.host_config.as_ref().and_then(cores).map(percent)
}

fn percent(cores: f64) -> f64 {
    cores * 100.0
}

/// The engine's own figures in the form of the kernel's.
fn from_engine(stats: &ContainerStatsResponse, clock: Instant) -> observe::Figures {
    let cpu = stats.cpu_stats.as_ref();
    let throttling = cpu.and_then(|cpu| cpu.throttling_data.as_ref());
    let memory = stats.memory_stats.as_ref();
    let of_memory = |names: [&str; 2]| {
        let stat = memory.and_then(|memory| memory.stats.as_ref());
        names
            .iter()
            .find_map(|name| stat.and_then(|stat| stat.get(*name)).copied())
    };
    let usage = memory.and_then(|memory| memory.usage);
    let inactive = of_memory(["total_inactive_file", "inactive_file"]).unwrap_or(0);
    let io = |op: &str| {
        let all = stats
            .blkio_stats
            .as_ref()?
            .io_service_bytes_recursive
            .as_ref()?;
        let of_op = all
            .iter()
            .filter(|e| e.op.as_deref().is_some_and(|o| o.eq_ignore_ascii_case(op)));
        Some(of_op.filter_map(|entry| entry.value).sum())
    };
    let networks = stats.networks.iter().flatten();
    observe::Figures {
        time_ms: jiff::Timestamp::now().as_millisecond(),
        monotonic_ns: u64::try_from(clock.elapsed().as_nanos()).unwrap_or(u64::MAX),
        cpu_ns_total: cpu
            .and_then(|cpu| cpu.cpu_usage.as_ref())
            .and_then(|usage| usage.total_usage),
        cpu_periods_total: throttling.and_then(|t| t.periods),
        cpu_throttled_periods_total: throttling.and_then(|t| t.throttled_periods),
        cpu_throttled_ns_total: throttling.and_then(|t| t.throttled_time),
        memory_usage_bytes: usage,
        memory_working_set_bytes: usage.map(|usage| usage.saturating_sub(inactive)),
        memory_cache_bytes: of_memory(["cache", "file"]),
        memory_limit_bytes: memory.and_then(|memory| memory.limit),
        pids: stats.pids_stats.as_ref().and_then(|pids| pids.current),
        pids_limit: stats
            .pids_stats
            .as_ref()
            .and_then(|pids| pids.limit)
            .filter(|limit| *limit > 0),
        block_read_bytes_total: io("read"),
        block_write_bytes_total: io("write"),
        shares_host_network: stats.networks.is_none(),
        interfaces: networks
            .map(|(name, network)| observe::figures::InterfaceCounters {
                name: name.clone(),
                received_bytes_total: network.rx_bytes.unwrap_or(0),
                sent_bytes_total: network.tx_bytes.unwrap_or(0),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}
