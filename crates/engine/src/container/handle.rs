//! A container in memory: its record, what is true while it runs, and who waits for what.

use std::{
    collections::BTreeMap,
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use shim_protocol::AttachStreams;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    health::HealthState,
    record::{ContainerRecord, Status},
    shim::Shim,
};
use crate::{
    error::{EngineError, Result},
    store::ObjectStore,
};

/// What those who wait for a container look at. Published after all that it says is so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Phase {
    /// Its first process runs, or its end is still being tidied up.
    pub(crate) running: bool,
    /// It is between two runs of its restart policy.
    pub(crate) restarting: bool,
    /// How many runs have ended since the engine began.
    pub(crate) exits: u64,
    /// How the last of them ended.
    pub(crate) exit_code: i32,
    /// It is gone.
    pub(crate) removed: bool,
}

/// What is true while a container runs.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    /// Process id of its first process.
    pub(crate) pid: i32,
    /// The process that stays with it.
    pub(crate) shim: Arc<Shim>,
    /// Frozen.
    pub(crate) paused: bool,
    /// Ends what goes along with this run: health checks.
    pub(crate) run: CancellationToken,
}

/// A client that wants the output of the next run from its first byte.
#[derive(Debug)]
pub(crate) struct EarlyClient {
    /// The shim's end.
    pub(crate) socket: UnixStream,
    /// What it carries.
    pub(crate) streams: AttachStreams,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) record: Arc<ContainerRecord>,
    pub(super) running: Option<Running>,
    /// The restart policy waits before the next run; cancelled by who stops or removes it.
    pub(super) backoff: Option<CancellationToken>,
    /// The end of this run is asked for: the restart policy leaves it.
    pub(super) end_asked: bool,
    /// How long the restart policy waits next time.
    pub(super) restart_delay: Duration,
    pub(super) removing: bool,
    pub(super) health: Option<HealthState>,
    pub(super) early: Vec<EarlyClient>,
}

/// A container at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Now {
    /// What is put down of it.
    pub(crate) record: Arc<ContainerRecord>,
    /// See [`Container::status`].
    pub(crate) status: &'static str,
    /// Its run, when it runs.
    pub(crate) running: Option<Running>,
    /// It waits for its restart policy.
    pub(crate) restarting: bool,
}

/// A container.
#[derive(Debug)]
pub(crate) struct Container {
    id: String,
    /// Durable files: record, log, exit record.
    state_dir: PathBuf,
    /// What is only true until reboot: bundle, root file system, the shim's socket.
    bundle_dir: PathBuf,
    cgroup_path: String,
    inner: Mutex<Inner>,
    phase: watch::Sender<Phase>,
    /// Held by whoever starts, stops, changes or removes it: these never overlap.
    pub(super) lifecycle: tokio::sync::Mutex<()>,
    /// Held while its record is changed, in memory and on disk.
    writing: Mutex<()>,
}

/// Where a container's things are.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// Durable files.
    pub(crate) state_dir: PathBuf,
    /// The bundle.
    pub(crate) bundle_dir: PathBuf,
    /// Its control group, the same path in every hierarchy.
    pub(crate) cgroup_path: String,
}

impl Container {
    pub(super) fn new(record: ContainerRecord, places: Places) -> Arc<Self> {
        let phase = Phase {
            exit_code: record.state.exit_code,
            ..Phase::default()
        };
        Arc::new(Self {
            id: record.id.clone(),
            state_dir: places.state_dir,
            bundle_dir: places.bundle_dir,
            cgroup_path: places.cgroup_path,
            inner: Mutex::new(Inner {
                record: Arc::new(record),
                running: None,
                backoff: None,
                end_asked: false,
                restart_delay: Duration::ZERO,
                removing: false,
                health: None,
                early: Vec::new(),
            }),
            phase: watch::Sender::new(phase),
            lifecycle: tokio::sync::Mutex::new(()),
            writing: Mutex::new(()),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every critical section leaves a consistent value at each step.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes its record, on disk and then in memory. Blocks.
    ///
    /// # Errors
    /// `Internal` when it cannot be written; it is as it was then.
    pub(crate) fn change(
        &self,
        records: &ObjectStore<ContainerRecord>,
        change: impl FnOnce(&mut ContainerRecord),
    ) -> Result<()> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut record = ContainerRecord::clone(&self.record());
        change(&mut record);
        records
            .save(&self.id, &record)
            .map_err(EngineError::io("write the record of", &self.id))?;
        self.lock().record = Arc::new(record);
        Ok(())
    }

    /// Its id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Its record as it is now.
    pub(crate) fn record(&self) -> Arc<ContainerRecord> {
        Arc::clone(&self.lock().record)
    }

    /// Its name, without a slash.
    pub(crate) fn name(&self) -> String {
        self.lock().record.name.clone()
    }

    /// What is true while it runs; `None` when it does not.
    pub(crate) fn running(&self) -> Option<Running> {
        self.lock().running.clone()
    }

    /// What is true while it runs.
    ///
    /// # Errors
    /// `Conflict` in Docker's words when it does not.
    pub(crate) fn require_running(&self) -> Result<Running> {
        self.running()
            .ok_or_else(|| EngineError::Conflict(format!("container {} is not running", self.id)))
    }

    /// Whether its restart policy is about to start it again.
    pub(crate) fn is_restarting(&self) -> bool {
        self.lock().backoff.is_some()
    }

    /// Whether it is being removed.
    pub(crate) fn is_removing(&self) -> bool {
        self.lock().removing
    }

    /// Its health, when it has a check and runs or ran.
    pub(crate) fn health(&self) -> Option<HealthState> {
        self.lock().health.clone()
    }

    /// `created`, `running`, `paused`, `restarting`, `removing` or `exited`.
    pub(crate) fn status(&self) -> &'static str {
        self.now().status
    }

    /// How it is at this moment: record and state of one and the same instant.
    pub(crate) fn now(&self) -> Now {
        let inner = self.lock();
        let status = match &inner.running {
            _ if inner.removing => "removing",
            Some(running) if running.paused => "paused",
            Some(_) => "running",
            None if inner.backoff.is_some() => "restarting",
            None => match inner.record.state.status {
                Status::Created => "created",
                Status::Running | Status::Exited => "exited",
            },
        };
        Now {
            record: Arc::clone(&inner.record),
            status,
            running: inner.running.clone(),
            restarting: inner.backoff.is_some(),
        }
    }

    /// Where its phases are published.
    pub(crate) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(super) fn set_phase(&self, change: impl FnOnce(&mut Phase)) {
        self.phase.send_modify(change);
    }

    /// Its bundle: what is only true until reboot.
    pub(crate) fn bundle_dir(&self) -> PathBuf {
        self.bundle_dir.clone()
    }

    /// Where its root file system is mounted while it runs.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.bundle_dir.join("rootfs")
    }

    /// Its log file in CRI format; rotated ones have `.1`, `.2`, … behind it. Missing when nothing is logged.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.state_dir.join("log")
    }

    /// Where the shim leaves how it ended.
    pub(crate) fn exit_file(&self) -> PathBuf {
        self.state_dir.join("exit.json")
    }

    /// Its control group, the same path in every hierarchy.
    pub(crate) fn cgroup_path(&self) -> &str {
        &self.cgroup_path
    }

    /// That control group, which is there as long as the container runs. Blocks.
    ///
    /// # Errors
    /// `NotFound` of the crate `cgroups` when there is none.
    pub(crate) fn cgroup(&self) -> Result<cgroups::Cgroup, cgroups::Error> {
        cgroups::Cgroup::open(&cgroups::Layout::detect()?, &self.cgroup_path)
    }

    /// What describes it in events: name, image and all labels.
    pub(crate) fn event_attributes(&self) -> BTreeMap<String, String> {
        let record = self.record();
        let mut attributes: BTreeMap<String, String> = record
            .labels()
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        attributes.insert("name".to_owned(), record.name.clone());
        attributes.insert("image".to_owned(), record.image_name().to_owned());
        attributes
    }
}
