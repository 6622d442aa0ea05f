//! What is remembered of a container: one JSON file in a directory of its own below `--root`, on a file system that ends with the
//! machine's run.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cgroups::{Cgroup, Layout};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::container::{Bundle, PATIENCE};
use crate::error::{Error, ErrorKind, Result};
use crate::process::spawn::rootfs_path;
use crate::rootfs::pivot;
use crate::systemd::Remembered;

const STATE_FILE: &str = "state.json";
/// The path of the container's cgroup, written before the cgroup is made.
const CGROUP_FILE: &str = "cgroup";
/// The gate of `start`; its being there is what tells a created container from a running one.
const GATE_FILE: &str = "exec.fifo";

/// The remembered facts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Version of the runtime-spec.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// Its first process.
    pub pid: i32,
    /// Start time of that process in clock ticks since boot: with the pid its identity.
    pub start_ticks: u64,
    /// Its bundle.
    pub bundle: PathBuf,
    /// Its root file system.
    #[serde(default)]
    pub rootfs: PathBuf,
    /// Path of its cgroup.
    pub cgroup_path: String,
    /// The systemd scope that this is the cgroup of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systemd: Option<Remembered>,
    /// It has a pid namespace of its own: with its first process all others end.
    #[serde(default)]
    pub own_pids: bool,
    /// Number of the mount that its root file system is among the host's, when it has no mount namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_mount: Option<u64>,
    /// When it was made, nanoseconds since the Unix epoch.
    pub created_unix_ns: i64,
    /// From its spec.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// How a container is, in the runtime-spec's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It waits for `start`.
    Created,
    /// Its program runs.
    Running,
    /// Its program is frozen.
    Paused,
    /// Its program has ended.
    Stopped,
}

impl Status {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// The directory of one container.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// The directory of a container.
    ///
    /// # Errors
    /// `Invalid` for an id with other characters than letters, digits and `_+-.`, or one that is a path.
    pub fn of(root: &Path, id: &str) -> Result<Self> {
        let valid = !id.is_empty()
            && id != "."
            && id != ".."
            && id.len() <= 1024
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte));
        if !valid {
            return Err(
                Error::invalid(format!("invalid container id format: {id:?}"))
                    .with_hint("letters, digits and _+-. are allowed"),
            );
        }
        Ok(Self {
            directory: root.join(id),
        })
    }

    /// Makes the directory of a new container, and notes its cgroup there: whoever finds a start that was cut off knows
    /// what to remove.
    ///
    /// # Errors
    /// `AlreadyExists`, `Sys`.
    pub fn create(root: &Path, id: &str, cgroup_path: &str) -> Result<Self> {
        let store = Self::of(root, id)?;
        let error = |path: &Path, error: std::io::Error| Error::sys("make", path.display(), error);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)
            .map_err(|source| error(root, source))?;
        match std::fs::DirBuilder::new()
            .mode(0o711)
            .create(&store.directory)
        {
            Ok(()) => {
                let path = store.directory.join(CGROUP_FILE);
                std::fs::write(&path, cgroup_path).map_err(|source| {
                    drop(store.remove());
                    Error::sys("write", path.display(), source)
                })?;
                Ok(store)
            }
            Err(source) if source.kind() == std::io::ErrorKind::AlreadyExists => Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("container with given ID already exists: {id}"),
            )
            .with_hint("choose another id, or remove that one: mini delete")),
            Err(source) => Err(error(&store.directory, source)),
        }
    }

    /// Ends and removes what a start that was cut off has left, then forgets it.
    ///
    /// # Errors
    /// `Sys` when something will not go.
    pub fn remove_unfinished(&self) -> Result<()> {
        // Cut off before the note was written, there is no cgroup either.
        if let Ok(path) = std::fs::read_to_string(self.directory.join(CGROUP_FILE)) {
            end_cgroup(&path)?;
        }
        self.remove()
    }

    /// The fifo of `start`.
    pub fn gate(&self) -> PathBuf {
        self.directory.join(GATE_FILE)
    }

    /// Remembers the state.
    ///
    /// # Errors
    /// `Sys`.
    pub fn write(&self, state: &State) -> Result<()> {
        let path = self.directory.join(STATE_FILE);
        let new = self.directory.join("state.json.new");
        let json = serde_json::to_vec(state)
            .map_err(|error| Error::invalid(format!("encode the state: {error}")))?;
        std::fs::write(&new, json).map_err(|error| Error::sys("write", new.display(), error))?;
        std::fs::rename(&new, &path).map_err(|error| Error::sys("rename", path.display(), error))
    }

    /// Reads the state.
    ///
    /// # Errors
    /// `NotFound`, `Sys`, `Invalid` for a file that is not one of ours.
    pub fn read(&self) -> Result<State> {
        let path = self.directory.join(STATE_FILE);
        let id = self
            .directory
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        match std::fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json)
                .map_err(|error| Error::invalid(format!("read {}: {error}", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::new(
                ErrorKind::NotFound,
                format!("container does not exist: {id}"),
            )
            .with_hint("mini list shows those below this --root")),
            Err(error) => Err(Error::sys("read", path.display(), error)),
        }
    }

    /// Forgets the container. What is gone is fine.
    ///
    /// # Errors
    /// `Sys`.
    pub fn remove(&self) -> Result<()> {
        match std::fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::sys("remove", self.directory.display(), error))
            }
            _ => Ok(()),
        }
    }

    /// How the container is, once it has had `grace` to end if it runs.
    pub fn status_after(&self, state: &State, grace: Duration) -> Status {
        use rustix::process::{Pid, PidfdFlags, pidfd_open};
        let status = self.status(state);
        if status != Status::Running {
            return status;
        }
        let first = Pid::from_raw(state.pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        if let Some(Ok(first)) = first {
            let mut ended = [rustix::event::PollFd::new(
                &first,
                rustix::event::PollFlags::IN,
            )];
            // Whatever comes of it, the status is looked at again.
            rustix::event::poll(
                &mut ended,
                rustix::event::Timespec::try_from(grace).ok().as_ref(),
            )
            .ok();
        }
        self.status(state)
    }

    /// How the container is now.
    pub fn status(&self, state: &State) -> Status {
        if start_ticks(state.pid) != Some(state.start_ticks) {
            return Status::Stopped;
        }
        if self.gate().exists() {
            return Status::Created;
        }
        match state.cgroup().and_then(|cgroup| Ok(cgroup.is_frozen()?)) {
            Ok(true) => Status::Paused,
            _ => Status::Running,
        }
    }
}

impl State {
    /// The state of a container that is being made.
    pub fn of(id: &str, bundle: &Bundle, cgroup: &Cgroup, pid: i32) -> Self {
        Self {
            oci_version: crate::spec::OCI_VERSION.to_owned(),
            id: id.to_owned(),
            pid,
            // Gone already is no error: whoever made it hears of its end.
            start_ticks: start_ticks(pid).unwrap_or_default(),
            bundle: bundle.directory.clone(),
            rootfs: rootfs_path(&bundle.spec, &bundle.directory),
            cgroup_path: cgroup.path().to_owned(),
            systemd: None,
            own_pids: bundle.spec.has_new(crate::spec::NamespaceKind::Pid),
            host_mount: bundle
                .spec
                .namespace(crate::spec::NamespaceKind::Mount)
                .is_none()
                .then(|| pivot::mount_number(&rootfs_path(&bundle.spec, &bundle.directory)))
                .flatten(),
            created_unix_ns: clock::unix_ns(),
            annotations: bundle.spec.annotations.clone(),
        }
    }

    /// The container's cgroup.
    ///
    /// # Errors
    /// That of looking.
    pub fn cgroup(&self) -> Result<Cgroup> {
        if self.cgroup_path.is_empty() {
            return Ok(Cgroup::none());
        }
        Ok(Cgroup::open(&Layout::detect()?, &self.cgroup_path)?)
    }

    /// The container's processes, as our pid namespace numbers them: those of its cgroup; without one those of its pid
    /// namespace, and when that is ours too, its first process.
    ///
    /// # Errors
    /// That of looking.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let cgroup = self.cgroup()?;
        if !cgroup.is_none() {
            return Ok(cgroup.processes()?);
        }
        if start_ticks(self.pid) != Some(self.start_ticks) {
            return Ok(Vec::new());
        }
        let first = u32::try_from(self.pid).unwrap_or_default();
        let namespace_of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let namespace = namespace_of(&first.to_string());
        if namespace.is_none() || namespace == namespace_of("self") {
            return Ok(vec![first]);
        }
        let entries =
            std::fs::read_dir("/proc").map_err(|error| Error::sys("list", "/proc", error))?;
        let mut pids: Vec<u32> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.parse().ok())
            .filter(|pid: &u32| namespace_of(&pid.to_string()) == namespace)
            .collect();
        pids.sort_unstable();
        Ok(pids)
    }

    /// Ends whatever is left of the container's processes, and removes its cgroup.
    ///
    /// # Errors
    /// `Sys` when something will not go.
    pub fn end(&self) -> Result<()> {
        if self.cgroup_path.is_empty() {
            self.end_processes()?;
        } else {
            self.end_cgroup()?;
        }
        self.host_mount
            .map_or(Ok(()), |mount| pivot::remove_from_host(&self.rootfs, mount))
    }

    fn end_cgroup(&self) -> Result<()> {
        if let Some(unit) = &self.systemd {
            // systemd ends a scope in its own time, by signals of its choice, unless it is empty.
            if let Ok(cgroup) = self.cgroup() {
                cgroup.kill_all(PATIENCE)?;
            }
            unit.stop()?;
        }
        end_cgroup(&self.cgroup_path)
    }

    /// Kills the container's processes one by one, its first one first: with that all of its pid namespace end.
    fn end_processes(&self) -> Result<()> {
        use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
        let pids = self.processes()?;
        let first = u32::try_from(self.pid).unwrap_or_default();
        let others = pids.iter().copied().filter(|&pid| pid != first);
        for pid in pids
            .contains(&first)
            .then_some(first)
            .into_iter()
            .chain(others)
        {
            let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
                continue;
            };
            let Ok(pidfd) = pidfd_open(id, PidfdFlags::empty()) else {
                continue;
            };
            // The number may be another's by now; while the descriptor is open, it is not given to a third.
            if !self.processes()?.contains(&pid) {
                continue;
            }
            match pidfd_send_signal(&pidfd, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(errno) => return Err(Error::sys("kill", format!("process {pid}"), errno)),
            }
            let patience = rustix::event::Timespec::try_from(PATIENCE).ok();
            let mut ended = [rustix::event::PollFd::new(
                &pidfd,
                rustix::event::PollFlags::IN,
            )];
            if rustix::event::poll(&mut ended, patience.as_ref()) == Ok(0) {
                return Err(Error::new(
                    ErrorKind::Sys,
                    format!("kill process {pid}: it is still there after {PATIENCE:?}"),
                ));
            }
        }
        Ok(())
    }
}

fn end_cgroup(path: &str) -> Result<()> {
    match Cgroup::open(&Layout::detect()?, path) {
        Ok(cgroup) => {
            cgroup.kill_all(PATIENCE)?;
            Ok(cgroup.remove(PATIENCE)?)
        }
        // It is gone already.
        Err(_) => Ok(()),
    }
}

/// Start time of a living process in clock ticks since boot; [`None`] when it is gone or only waits to be reaped.
///
/// Source: man 5 proc_pid_stat, fields 3 and 22.
pub fn start_ticks(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, parentheses too.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if matches!(fields.next()?, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_paths_are_refused() {
        let root = tempfile::tempdir().unwrap();
        for id in ["", ".", "..", "a/b", "../x", "a b", "x\0y"] {
            assert!(Store::create(root.path(), id, "/x").is_err(), "{id:?}");
        }
        Store::create(root.path(), "Az0_+-.", "/x").unwrap();
        assert_eq!(
            Store::create(root.path(), "Az0_+-.", "/x")
                .unwrap_err()
                .kind(),
            ErrorKind::AlreadyExists
        );
    }

    #[test]
    fn what_is_written_is_read_and_what_is_not_there_is_not_found() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::create(root.path(), "x", "/x").unwrap();
        assert_eq!(store.read().unwrap_err().kind(), ErrorKind::NotFound);
        let pid = std::process::id().cast_signed();
        let state = State {
            oci_version: "1.2.0".into(),
            id: "x".into(),
            pid,
            start_ticks: start_ticks(pid).unwrap(),
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            cgroup_path: "/none/such".into(),
            systemd: None,
            own_pids: true,
            host_mount: None,
            created_unix_ns: 1,
            annotations: BTreeMap::new(),
        };
        store.write(&state).unwrap();
        assert_eq!(store.read().unwrap().pid, pid);
        assert_eq!(store.status(&state), Status::Running);
        assert_eq!(
            store.status(&State {
                start_ticks: 1,
                ..state
            }),
            Status::Stopped
        );
        store.remove().unwrap();
        store.remove().unwrap();
    }
}
