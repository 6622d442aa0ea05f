//! Reads the figures of all local containers and of the machine once a second, whoever watches: one thread, since the kernel's
//! files are read by blocking calls and their descriptors stay open with it.

use std::{
    collections::HashMap,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use api::{id::EngineName, stats::FigureSource};
use observe::{ObserveError, Sampler};
use tokio::sync::{mpsc as tokio_mpsc, oneshot};

use super::{Figures, rates};

/// Time between two rounds.
const PERIOD: Duration = Duration::from_secs(1);
/// Commands that may wait; a round takes milliseconds.
const QUEUE: usize = 1024;

/// A container at its engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) engine: EngineName,
    pub(super) id: String,
}

/// What the thread is asked.
pub(super) enum Command {
    /// Watch a container by its first process.
    Watch {
        key: Key,
        pid: u32,
        cpu_limit_percent: Option<f64>,
        answer: oneshot::Sender<Result<(), ObserveError>>,
    },
    /// Its limit was changed.
    CpuLimit {
        key: Key,
        cpu_limit_percent: Option<f64>,
    },
    /// Watch it no more.
    Forget(Key),
}

/// Starts the thread. It ends when the returned sender is gone. `lost` hears of containers whose process has ended.
pub(super) fn start(
    figures: Arc<Figures>,
    lost: tokio_mpsc::Sender<Key>,
) -> std::io::Result<mpsc::SyncSender<Command>> {
    let (sender, commands) = mpsc::sync_channel(QUEUE);
    std::thread::Builder::new()
        .name("sampler".to_owned())
        .spawn(move || {
            let mut thread = Thread {
                sampler: Sampler::new(),
                figures,
                lost,
                watched: HashMap::new(),
                host: None,
            };
            thread.run(&commands);
        })?;
    Ok(sender)
}

struct Thread {
    sampler: Result<Sampler, ObserveError>,
    figures: Arc<Figures>,
    lost: tokio_mpsc::Sender<Key>,
    /// By the sampler's own key.
    watched: HashMap<String, Watched>,
    host: Option<observe::HostFigures>,
}

struct Watched {
    key: Key,
    cpu_limit_percent: Option<f64>,
    before: Option<observe::Figures>,
}

impl Thread {
    fn run(&mut self, commands: &mpsc::Receiver<Command>) {
        let mut next = Instant::now();
        loop {
            match commands.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(command) => self.take(command),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.round();
                    next += PERIOD;
                    // After a pause of the machine rounds are not made up for.
                    if next < Instant::now() {
                        next = Instant::now() + PERIOD;
                    }
                }
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Watch {
                key,
                pid,
                cpu_limit_percent,
                answer,
            } => {
                let name = name(&key);
                let outcome = match &mut self.sampler {
                    Ok(sampler) => sampler
                        .watch(&name, pid)
                        .map(|()| sampler.sample(&name).ok()),
                    Err(error) => Err(error.clone()),
                };
                // Who asked may be gone; then the container is watched all the same until it is forgotten.
                drop(answer.send(outcome.map(|before| {
                    self.watched.insert(
                        name,
                        Watched {
                            key,
                            cpu_limit_percent,
                            before,
                        },
                    );
                })));
            }
            Command::CpuLimit {
                key,
                cpu_limit_percent,
            } => {
                if let Some(watched) = self.watched.get_mut(&name(&key)) {
                    watched.cpu_limit_percent = cpu_limit_percent;
                }
            }
            Command::Forget(key) => {
                let name = name(&key);
                if self.watched.remove(&name).is_some()
                    && let Ok(sampler) = &mut self.sampler
                {
                    sampler.forget(&name);
                }
            }
        }
    }

    fn round(&mut self) {
        self.host_round();
        let Ok(sampler) = &mut self.sampler else {
            return;
        };
        let mut rounds: HashMap<EngineName, Vec<_>> = HashMap::new();
        for (name, outcome) in sampler.sample_all() {
            match outcome {
                Ok(now) => {
                    let Some(watched) = self.watched.get_mut(&name) else {
                        continue;
                    };
                    let key = &watched.key;
                    self.figures.put_counters(&key.engine, &key.id, now.clone());
                    if let Some(before) = watched.before.replace(now.clone()) {
                        let point = rates::container(&before, &now, watched.cpu_limit_percent);
                        let round = rounds.entry(watched.key.engine.clone()).or_default();
                        round.push((watched.key.id.clone(), FigureSource::Cgroup, point));
                    }
                }
                Err(_) => {
                    if let Some(watched) = self.watched.remove(&name) {
                        // A full queue means that others are being looked at; the engine's own event tells of this one too.
                        drop(self.lost.try_send(watched.key));
                    }
                }
            }
        }
        for (engine, round) in rounds {
            self.figures.put(&engine, round);
        }
    }

    fn host_round(&mut self) {
        let Ok(now) = observe::host_figures() else {
            return;
        };
        if let Some(before) = &self.host {
            let own = observe::process_memory_bytes(std::process::id()).unwrap_or(0);
            self.figures.put_host(rates::host(before, &now, own));
        }
        self.host = Some(now);
    }
}

fn name(key: &Key) -> String {
    format!("{}/{}", key.engine, key.id)
}
