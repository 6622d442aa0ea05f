//! Figures of many containers, each second, from files that are kept open.
//!
//! A container costs one `pread` for each of about nine files in each sample, and as many descriptors. Its cgroup is looked up
//! from its first process, so containers of any engine can be watched. Reading never blocks and never asks an engine.
//! At most half of the descriptors that the process may have are taken; the files of further containers are opened for each sample.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use cgroups::stats::Detail;
use cgroups::{Cgroup, Layout, Stats, StatsReader};

use super::{now, proc};
use crate::figures::InterfaceCounters;
use crate::{Figures, ObserveError};

/// Reads the figures of watched containers.
#[derive(Debug)]
pub struct Sampler {
    layout: Layout,
    host_network: Option<u64>,
    /// How many files may be kept open.
    most_open_files: usize,
    watched: HashMap<String, Watched>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Watched {
    pid: u32,
    reader: StatsReader,
    network: Network,
    shares_host_network: bool,
}

/// The counters of the container's interfaces.
#[derive(Debug)]
enum Network {
    Open(File),
    /// Opened for each sample, by the number of the first process.
    Sparing,
    /// The container shares the host's, or they may not be read.
    None,
}

impl Sampler {
    /// Looks at how cgroups are set up on this machine.
    ///
    /// # Errors
    /// [`ObserveError::Unreadable`] without cgroups or `/proc`.
    pub fn new() -> Result<Self, ObserveError> {
        let layout = Layout::detect().map_err(|error| ObserveError::Unreadable {
            what: "cgroups".into(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            layout,
            host_network: proc::namespace_inode("1", "net")
                .or_else(|_denied| proc::namespace_inode("self", "net"))
                .ok(),
            most_open_files: most_open_files(),
            watched: HashMap::new(),
            buffer: vec![0; 4096],
        })
    }

    /// Starts to watch the container of a first process under a key of the caller's choice (its id). Watching one
    /// that is watched already does nothing, unless its process is another one now.
    ///
    /// # Errors
    /// [`ObserveError::Gone`] if the process has ended; [`ObserveError::Unreadable`] if its cgroup is the root (it
    /// is no container) or is not visible.
    pub fn watch(&mut self, key: &str, pid: u32) -> Result<(), ObserveError> {
        if self.watched.get(key).is_some_and(|known| known.pid == pid) {
            return Ok(());
        }
        let cgroup =
            Cgroup::of_process(&self.layout, pid).map_err(|error| match error.errno() {
                Some(rustix::io::Errno::NOENT | rustix::io::Errno::SRCH) => {
                    ObserveError::Gone { pid }
                }
                _ => ObserveError::Unreadable {
                    what: format!("cgroup of process {pid}"),
                    reason: error.to_string(),
                },
            })?;
        if cgroup.path() == "/" {
            return Err(ObserveError::Unreadable {
                what: format!("cgroup of process {pid}"),
                reason: "it is in the root cgroup, so its figures would be the machine's".into(),
            });
        }
        let network_inode = proc::namespace_inode(&pid.to_string(), "net").ok();
        let shares_host_network = network_inode.is_some() && network_inode == self.host_network;
        let sparing = self.open_files() >= self.most_open_files;
        let network = if shares_host_network {
            Network::None
        } else if sparing {
            Network::Sparing
        } else {
            File::open(proc::path(pid, "net/dev")).map_or(Network::None, Network::Open)
        };
        let watched = Watched {
            pid,
            reader: if sparing {
                StatsReader::open_sparingly(&cgroup, Detail::Live)
            } else {
                StatsReader::open(&cgroup, Detail::Live)
            },
            network,
            shares_host_network,
        };
        self.watched.insert(key.to_owned(), watched);
        Ok(())
    }

    /// Stops to watch; its files are closed.
    pub fn forget(&mut self, key: &str) {
        self.watched.remove(key);
    }

    fn open_files(&self) -> usize {
        self.watched
            .values()
            .map(|watched| {
                watched.reader.open_files()
                    + usize::from(matches!(watched.network, Network::Open(_)))
            })
            .sum()
    }

    /// How many containers are watched.
    pub fn watched(&self) -> usize {
        self.watched.len()
    }

    /// Whether a container is watched.
    pub fn is_watched(&self, key: &str) -> bool {
        self.watched.contains_key(key)
    }

    /// The figures of one container now. One that is gone is forgotten.
    ///
    /// # Errors
    /// [`ObserveError::Gone`] if its cgroup was removed; [`ObserveError::Unreadable`] if it is not watched.
    pub fn sample(&mut self, key: &str) -> Result<Figures, ObserveError> {
        let Some(watched) = self.watched.get_mut(key) else {
            return Err(ObserveError::Unreadable {
                what: format!("container {key}"),
                reason: "it is not watched".into(),
            });
        };
        let outcome = watched.sample(&mut self.buffer);
        if outcome.is_err() {
            self.watched.remove(key);
        }
        outcome
    }

    /// The figures of all watched containers now. Those that are gone are forgotten.
    pub fn sample_all(&mut self) -> Vec<(String, Result<Figures, ObserveError>)> {
        let mut all = Vec::with_capacity(self.watched.len());
        for (key, watched) in &mut self.watched {
            all.push((key.clone(), watched.sample(&mut self.buffer)));
        }
        for (key, outcome) in &all {
            if outcome.is_err() {
                self.watched.remove(key);
            }
        }
        all
    }
}

impl Watched {
    fn sample(&mut self, buffer: &mut Vec<u8>) -> Result<Figures, ObserveError> {
        let stats = self
            .reader
            .read()
            .map_err(|_removed| ObserveError::Gone { pid: self.pid })?;
        let (time_ms, monotonic_ns) = now();
        let mut figures = Figures {
            time_ms,
            monotonic_ns,
            shares_host_network: self.shares_host_network,
            ..of_stats(&stats)
        };
        figures.interfaces = match &self.network {
            Network::Open(file) => read_interfaces(file, buffer),
            // Its cgroup was just read, so the container is still there, and with it its first process.
            Network::Sparing => File::open(proc::path(self.pid, "net/dev"))
                .map(|file| read_interfaces(&file, buffer))
                .unwrap_or_default(),
            Network::None => Vec::new(),
        };
        Ok(figures)
    }
}

/// Half of what the process may have open; the other half is for those who look at the figures.
fn most_open_files() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.map_or(usize::MAX, |most| {
        usize::try_from(most).unwrap_or(usize::MAX)
    }) / 2
}

fn of_stats(stats: &Stats) -> Figures {
    let io = |pick: fn(&cgroups::stats::DeviceIo) -> u64| stats.io.iter().map(pick).sum();
    Figures {
        cpu_ns_total: stats.cpu.usage_ns_total,
        cpu_periods_total: stats.cpu.periods_total,
        cpu_throttled_periods_total: stats.cpu.throttled_periods_total,
        cpu_throttled_ns_total: stats.cpu.throttled_ns_total,
        memory_usage_bytes: stats.memory.usage_bytes,
        memory_working_set_bytes: stats.memory.working_set_bytes,
        memory_cache_bytes: stats.memory.cache_bytes,
        memory_limit_bytes: stats.memory.limit_bytes,
        swap_bytes: stats.memory.swap_bytes,
        oom_kills_total: stats.memory.oom_kills_total,
        pids: stats.pids.current,
        pids_limit: stats.pids.limit,
        block_read_bytes_total: Some(io(|device| device.read_bytes_total)),
        block_write_bytes_total: Some(io(|device| device.write_bytes_total)),
        ..Figures::default()
    }
}

/// Empty once the process has ended; the cgroup's own end is noticed elsewhere.
fn read_interfaces(file: &File, buffer: &mut Vec<u8>) -> Vec<InterfaceCounters> {
    loop {
        let Ok(n) = file.read_at(buffer, 0) else {
            return Vec::new();
        };
        if n < buffer.len() || buffer.len() >= 1 << 20 {
            return buffer
                .get(..n)
                .map(|bytes| proc::interfaces(&String::from_utf8_lossy(bytes)))
                .unwrap_or_default();
        }
        buffer.resize(buffer.len() * 2, 0);
    }
}
