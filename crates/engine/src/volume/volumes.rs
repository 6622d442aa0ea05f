//! All volumes of the engine: creating, finding, showing and removing them, and who uses them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bollard_stubs::models::{Volume, VolumeCreateRequest, VolumeScopeEnum, VolumeUsageData};
use rustix::mount::{UnmountFlags, unmount};
use serde::{Deserialize, Serialize};

use super::content;
use super::options::MountSpec;
use crate::config::EngineConfig;
use crate::error::{EngineError, Result};
use crate::events::{EventBus, EventKind};
use crate::filters::Filters;
use crate::layer::copy_tree;
use crate::store::ObjectStore;
use crate::{id, time};

/// The directory that containers see.
const DATA: &str = "_data";
/// Marks a volume whose first filling has begun but not ended.
const UNFINISHED: &str = "unfinished";
/// Marks a volume that nobody named. Docker's own mark.
const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";
/// Longest name: it is a file's.
const MAX_NAME_BYTES: usize = 255;

/// A volume as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct VolumeRecord {
    name: String,
    /// Nanoseconds since the Unix epoch.
    created_ns: i64,
    labels: HashMap<String, String>,
    /// `None` when none were given at all, which inspect shows as `null`.
    options: Option<BTreeMap<String, String>>,
}

#[derive(Debug)]
struct VolumeState {
    record: VolumeRecord,
    /// Containers that name it, running or not.
    users: BTreeSet<String>,
    /// Running containers for which it is mounted.
    mounted_for: BTreeSet<String>,
}

/// A volume that a container wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VolumeRequest {
    /// Its name; `None` makes a new one that nobody named.
    pub(crate) name: Option<String>,
    /// Labels and driver options, for a volume that is not there yet.
    pub(crate) labels: HashMap<String, String>,
    /// Driver options.
    pub(crate) options: HashMap<String, String>,
}

/// The volumes of the engine. All calls block.
#[derive(Debug)]
pub(crate) struct Volumes {
    dir: PathBuf,
    store: ObjectStore<VolumeRecord>,
    events: Arc<EventBus>,
    state: Mutex<BTreeMap<String, VolumeState>>,
    populating: Mutex<()>,
}

impl Volumes {
    /// Opens the volumes of the engine.
    ///
    /// # Errors
    /// `Internal` when the directory cannot be used.
    pub(crate) fn open(config: &EngineConfig, events: Arc<EventBus>) -> Result<Arc<Self>> {
        let dir = config.engine_dir().join("volumes");
        let store = ObjectStore::nested(dir.clone(), "volume.json")
            .map_err(EngineError::io("open", dir.display()))?;
        let records = store
            .load_all()
            .map_err(EngineError::io("read", dir.display()))?;
        let state = records
            .into_iter()
            .map(|(name, record)| (name, VolumeState::new(record)))
            .collect();
        Ok(Arc::new(Self {
            dir,
            store,
            events,
            state: Mutex::new(state),
            populating: Mutex::new(()),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, VolumeState>> {
        // No critical section leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a volume, or returns the one of this name when it is there already.
    ///
    /// # Errors
    /// `Invalid` for a bad name or option, `NotFound` for another driver, `Conflict` when a volume of this name has other
    /// driver options.
    pub(crate) fn create(&self, request: VolumeCreateRequest) -> Result<Volume> {
        match request.driver.as_deref().unwrap_or_default() {
            "" | "local" => {}
            driver => {
                return Err(EngineError::NotFound(format!(
                    "create {}: error looking up volume plugin {driver}: plugin \"{driver}\" not found",
                    request.name.unwrap_or_default()
                )));
            }
        }
        if request.cluster_volume_spec.is_some() {
            return Err(EngineError::Unavailable(
                "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.".to_owned(),
            ));
        }
        let name = self.ensure(&VolumeRequest {
            name: request.name.filter(|name| !name.is_empty()),
            labels: request.labels.unwrap_or_default(),
            options: request.driver_opts.unwrap_or_default(),
        })?;
        self.inspect(&name)
    }

    /// Makes a volume, or takes the one of this name when it is there already; returns its name.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub(crate) fn ensure(&self, request: &VolumeRequest) -> Result<String> {
        let mut labels = request.labels.clone();
        let name = if let Some(name) = &request.name {
            check_name(name)?.to_owned()
        } else {
            labels.insert(ANONYMOUS_LABEL.to_owned(), String::new());
            id::generate()?
        };
        let options: BTreeMap<_, _> = request.options.clone().into_iter().collect();
        MountSpec::parse(&options).map_err(|error| match error {
            EngineError::Invalid(message) => {
                EngineError::Invalid(format!("create {name}: {message}"))
            }
            other => other,
        })?;
        let mut state = self.lock();
        if let Some(volume) = state.get(&name) {
            let existing = volume.record.options.clone().unwrap_or_default();
            if !options.is_empty() && options != existing {
                return Err(EngineError::Conflict(format!(
                    "create {name}: a volume of this name exists with other driver options; remove it first or choose another name"
                )));
            }
            return Ok(name);
        }
        let record = VolumeRecord {
            name: name.clone(),
            created_ns: time::now_ns(),
            labels,
            options: (!options.is_empty()).then_some(options),
        };
        let dir = self.dir.join(&name);
        // The record is what makes it a volume: a directory without one is swept away at the next start.
        self.store
            .save(&name, &record)
            .map_err(EngineError::io("write volume", &name))?;
        if let Err(error) = make_data(&dir.join(DATA)) {
            if let Err(second) = self.store.remove(&name) {
                tracing::warn!(volume = name, error = %second, "undo a volume that was not finished");
            }
            return Err(EngineError::internal("create volume", &name, error));
        }
        state.insert(name.clone(), VolumeState::new(record));
        drop(state);
        self.publish("create", &name);
        Ok(name)
    }

    /// Returns a volume as Docker shows it.
    ///
    /// # Errors
    /// `NotFound`.
    pub(crate) fn inspect(&self, name: &str) -> Result<Volume> {
        let state = self.lock();
        state
            .get(name)
            .map(|volume| self.show(volume))
            .ok_or_else(|| EngineError::no_such_volume(name))
    }

    /// Returns all volumes that match the filters, by name.
    ///
    /// # Errors
    /// `Invalid` for a malformed filter value.
    pub(crate) fn list(&self, filters: &Filters) -> Result<Vec<Volume>> {
        let dangling = filters.boolean("dangling")?;
        let state = self.lock();
        let matches = |volume: &&VolumeState| {
            let names = filters.get("name");
            (names.is_empty()
                || names
                    .iter()
                    .any(|name| volume.record.name.contains(name.as_str())))
                && filters.matches_exactly("driver", "local")
                && filters.matches_labels(&volume.record.labels)
                && dangling.is_none_or(|dangling| dangling == volume.users.is_empty())
        };
        Ok(state
            .values()
            .filter(matches)
            .map(|volume| self.show(volume))
            .collect())
    }

    /// Returns all volumes with what they take of the disk and how many containers name them.
    pub(crate) fn disk_usage(&self) -> Vec<Volume> {
        let (mut volumes, users): (Vec<Volume>, Vec<usize>) = {
            let state = self.lock();
            state
                .values()
                .map(|volume| (self.show(volume), volume.users.len()))
                .unzip()
        };
        for (volume, users) in volumes.iter_mut().zip(users) {
            volume.usage_data = Some(VolumeUsageData {
                size: i64::try_from(self.size_bytes(&volume.name)).unwrap_or(i64::MAX),
                ref_count: i64::try_from(users).unwrap_or(i64::MAX),
            });
        }
        volumes
    }

    /// What a volume takes of the disk, in bytes; what cannot be read counts as nothing.
    fn size_bytes(&self, name: &str) -> u64 {
        let data = self.data(name);
        content::open_directory(&data)
            .and_then(content::size_bytes)
            .unwrap_or_else(|error| {
                tracing::debug!(volume = name, %error, "read the size of a volume");
                0
            })
    }

    /// Removes a volume with its content. With `force` one that is not there is fine.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when a container names it.
    pub(crate) fn remove(&self, name: &str, force: bool) -> Result<()> {
        let mut state = self.lock();
        let Some(volume) = state.get(name) else {
            return if force {
                Ok(())
            } else {
                Err(EngineError::no_such_volume(name))
            };
        };
        if !volume.users.is_empty() {
            let users = volume.users.iter().cloned().collect::<Vec<_>>().join(", ");
            return Err(EngineError::Conflict(format!(
                "remove {name}: volume is in use - [{users}]"
            )));
        }
        let data = self.data(name);
        if volume.record.options.is_some() {
            // Nothing of the device behind it may be removed with it.
            detach(&data).map_err(EngineError::io("unmount volume", name))?;
        }
        self.store
            .remove(name)
            .map_err(EngineError::io("remove volume", name))?;
        state.remove(name);
        drop(state);
        self.publish("destroy", name);
        Ok(())
    }

    /// Removes the volumes that no container names and that match the filters: those that nobody named, or with the
    /// filter `all` the others too. Returns their names and the bytes won.
    ///
    /// # Errors
    /// `Invalid` for a malformed filter value.
    pub(crate) fn prune(&self, filters: &Filters, named_too: bool) -> Result<(Vec<String>, u64)> {
        let all = filters.boolean("all")?.unwrap_or(named_too);
        let candidates: Vec<String> = {
            let state = self.lock();
            let matches = |volume: &&VolumeState| {
                volume.users.is_empty()
                    && (all || volume.record.labels.contains_key(ANONYMOUS_LABEL))
                    && filters.matches_labels(&volume.record.labels)
            };
            state
                .values()
                .filter(matches)
                .map(|volume| volume.record.name.clone())
                .collect()
        };
        let (mut removed, mut bytes) = (Vec::new(), 0_u64);
        for name in candidates {
            let size = self.size_bytes(&name);
            match self.remove(&name, false) {
                Ok(()) => {
                    bytes = bytes.saturating_add(size);
                    removed.push(name);
                }
                // Someone was quicker, or made a container with it.
                Err(EngineError::NotFound(_) | EngineError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((removed, bytes))
    }

    /// Notes that a container names these volumes, from its creation to its removal.
    pub(crate) fn hold<'a>(
        &self,
        container_id: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<()> {
        let names: Vec<&str> = names.into_iter().collect();
        let mut state = self.lock();
        if let Some(missing) = names.iter().find(|name| !state.contains_key(**name)) {
            return Err(EngineError::no_such_volume(missing));
        }
        for name in names {
            if let Some(volume) = state.get_mut(name) {
                volume.users.insert(container_id.to_owned());
            }
        }
        Ok(())
    }

    /// Notes that a container is gone. Its volumes stay.
    pub(crate) fn let_go(&self, container_id: &str) {
        for volume in self.lock().values_mut() {
            volume.users.remove(container_id);
        }
    }

    /// Makes a volume ready for a container that starts, and returns the directory to mount.
    ///
    /// # Errors
    /// `NotFound`, or what the kernel says to the mount that its driver options ask for.
    pub(crate) fn mount(&self, name: &str, container_id: &str) -> Result<PathBuf> {
        let mut state = self.lock();
        let volume = state
            .get_mut(name)
            .ok_or_else(|| EngineError::no_such_volume(name))?;
        let data = self.data(name);
        if let Some(spec) = MountSpec::parse(&volume.record.options.clone().unwrap_or_default())? {
            if !is_mount_point(&data) {
                spec.mount(&data)?;
            }
            volume.mounted_for.insert(container_id.to_owned());
        }
        drop(state);
        self.publish_mount("mount", name, container_id);
        Ok(data)
    }

    /// Returns the directory of a volume, or one inside it, as it looks in the calling thread's mount namespace; what its
    /// driver options ask for is mounted there when it is not yet. That namespace must not be the host's.
    ///
    /// # Errors
    /// As [`Volumes::mount`], and `Invalid` when the volume has no such directory.
    pub(crate) fn open_privately(&self, name: &str, subpath: &str) -> Result<OwnedFd> {
        let options = {
            let state = self.lock();
            let volume = state
                .get(name)
                .ok_or_else(|| EngineError::no_such_volume(name))?;
            volume.record.options.clone().unwrap_or_default()
        };
        let path = self.data(name);
        if let Some(spec) = MountSpec::parse(&options)?
            && !is_mount_point(&path)
        {
            spec.mount(&path)?;
        }
        let data = content::open_directory(&path).map_err(EngineError::io("open volume", name))?;
        if subpath.is_empty() {
            return Ok(data);
        }
        content::open_in_root(&data, subpath).map_err(|errno| no_directory(name, subpath, errno))
    }

    /// Fills an empty volume with what the image has at the place where it will be mounted, as Docker does: content,
    /// owner and mode. `rootfs` is the mounted root file system of the container, `destination` the path in it.
    ///
    /// # Errors
    /// `NotFound`, or `Internal` when the content cannot be copied; the next call begins anew.
    pub(crate) fn populate(&self, name: &str, rootfs: &Path, destination: &str) -> Result<()> {
        if !self.lock().contains_key(name) {
            return Err(EngineError::no_such_volume(name));
        }
        let fill = || EngineError::io::<rustix::io::Errno>("fill volume", name);
        // One after the other: two containers that start with one new volume must not both fill it.
        let _one_at_a_time = self
            .populating
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let unfinished = self.dir.join(name).join(UNFINISHED);
        let data = content::open_directory(&self.data(name)).map_err(fill())?;
        if !unfinished.exists() && !content::is_empty(&data).map_err(fill())? {
            return Ok(());
        }
        let root = content::open_directory(rootfs).map_err(fill())?;
        let source = match content::open_in_root(&root, destination) {
            Ok(source) => source,
            // The image has nothing there, or no directory.
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(()),
            Err(errno) => return Err(fill()(errno)),
        };
        std::fs::write(&unfinished, "").map_err(EngineError::io("write", unfinished.display()))?;
        copy_tree(&source, &data).map_err(EngineError::io("fill volume", name))?;
        std::fs::remove_file(&unfinished).map_err(EngineError::io("remove", unfinished.display()))
    }

    /// Mounts a directory of the volume on the existing directory `target`, from where it can be mounted into a
    /// container. Links are resolved inside the volume. The caller unmounts `target`.
    ///
    /// # Errors
    /// `Invalid` when the volume has no such directory.
    pub(crate) fn bind_subpath(&self, name: &str, subpath: &str, target: &Path) -> Result<()> {
        use std::os::fd::AsRawFd as _;
        let data = content::open_directory(&self.data(name))
            .map_err(EngineError::io("open volume", name))?;
        let found = content::open_in_root(&data, subpath)
            .map_err(|errno| no_directory(name, subpath, errno))?;
        rustix::mount::mount_bind(format!("/proc/self/fd/{}", found.as_raw_fd()), target)
            .map_err(EngineError::io("mount", target.display()))
    }

    /// Notes that a container has ended; unmounts what no running container uses.
    pub(crate) fn unmount_all(&self, container_id: &str) -> Result<()> {
        let mut state = self.lock();
        for volume in state.values_mut() {
            if volume.mounted_for.remove(container_id) && volume.mounted_for.is_empty() {
                detach(&self.data(&volume.record.name))
                    .map_err(EngineError::io("unmount volume", &volume.record.name))?;
            }
        }
        Ok(())
    }

    /// Brings back, after a restart of the engine, for which running containers volumes are mounted (pairs of container
    /// and volume), and unmounts the others.
    pub(crate) fn recover(&self, running: &HashSet<(String, String)>) -> Result<()> {
        let mut state = self.lock();
        for volume in state
            .values_mut()
            .filter(|volume| volume.record.options.is_some())
        {
            let name = &volume.record.name;
            volume.mounted_for = running
                .iter()
                .filter(|(_, other)| other == name)
                .map(|(container, _)| container.clone())
                .collect();
            if volume.mounted_for.is_empty() {
                detach(&self.data(name)).map_err(EngineError::io("unmount volume", name))?;
            }
        }
        Ok(())
    }

    /// The directory that containers see.
    pub(super) fn data(&self, name: &str) -> PathBuf {
        self.dir.join(name).join(DATA)
    }

    fn show(&self, volume: &VolumeState) -> Volume {
        let record = &volume.record;
        Volume {
            name: record.name.clone(),
            driver: "local".to_owned(),
            mountpoint: self.data(&record.name).to_string_lossy().into_owned(),
            created_at: Some(time::rfc3339(Some(record.created_ns))),
            status: None,
            labels: record.labels.clone(),
            scope: Some(VolumeScopeEnum::LOCAL),
            cluster_volume: None,
            options: record
                .options
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
            usage_data: None,
        }
    }

    fn publish(&self, action: &str, name: &str) {
        let attributes = BTreeMap::from([("driver".to_owned(), "local".to_owned())]);
        self.events
            .publish(EventKind::Volume, action, name, attributes);
    }

    fn publish_mount(&self, action: &str, name: &str, container_id: &str) {
        let attributes = BTreeMap::from([
            ("driver".to_owned(), "local".to_owned()),
            ("container".to_owned(), container_id.to_owned()),
        ]);
        self.events
            .publish(EventKind::Volume, action, name, attributes);
    }
}

impl VolumeState {
    fn new(record: VolumeRecord) -> Self {
        Self {
            record,
            users: BTreeSet::new(),
            mounted_for: BTreeSet::new(),
        }
    }
}

fn check_name(name: &str) -> Result<&str> {
    if name.len() < 2 {
        return Err(EngineError::Invalid(format!(
            "create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )));
    }
    if !id::is_valid_name(name) || name.len() > MAX_NAME_BYTES {
        return Err(EngineError::Invalid(format!(
            "create {name}: \"{name}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        )));
    }
    Ok(name)
}

/// Makes the directory that containers see, also after a kill in between.
fn make_data(data: &Path) -> io::Result<()> {
    match std::fs::create_dir(data) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn no_directory(volume: &str, subpath: &str, errno: rustix::io::Errno) -> EngineError {
    EngineError::Invalid(format!(
        "cannot access path {subpath:?} of volume {volume}: {errno}"
    ))
}

fn is_mount_point(path: &Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    statx(
        CWD,
        path,
        AtFlags::SYMLINK_NOFOLLOW,
        StatxFlags::BASIC_STATS,
    )
    .is_ok_and(|meta| meta.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

fn detach(path: &Path) -> Result<(), rustix::io::Errno> {
    if !is_mount_point(path) {
        return Ok(());
    }
    unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> Arc<Volumes> {
        let config = EngineConfig::new(dir.join("state"), dir.join("run"), "/mini".into());
        let events = EventBus::open(&dir.join("events")).unwrap();
        Volumes::open(&config, events).unwrap()
    }

    fn named(name: &str) -> VolumeRequest {
        VolumeRequest {
            name: Some(name.to_owned()),
            ..VolumeRequest::default()
        }
    }

    fn filters(text: &str) -> Filters {
        Filters::parse(Some(text), &["dangling", "name", "label", "all"]).unwrap()
    }

    #[test]
    fn volume_is_there_after_a_restart_and_gone_after_its_removal() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = open(dir.path());
        volumes.ensure(&named("data")).unwrap();
        std::fs::write(volumes.data("data").join("file"), "x").unwrap();
        let again = open(dir.path());
        assert_eq!(again.inspect("data").unwrap().name, "data");
        assert_eq!(again.disk_usage()[0].usage_data.as_ref().unwrap().size, 1);
        again.remove("data", false).unwrap();
        assert!(!dir.path().join("state/engine/volumes/data").exists());
        assert!(matches!(
            again.remove("data", false),
            Err(EngineError::NotFound(_))
        ));
        again.remove("data", true).unwrap();
    }

    #[test]
    fn volume_in_use_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = open(dir.path());
        volumes.ensure(&named("data")).unwrap();
        volumes.hold("c1", ["data"]).unwrap();
        let error = volumes.remove("data", true).unwrap_err();
        assert_eq!(error.to_string(), "remove data: volume is in use - [c1]");
        assert_eq!(
            volumes
                .list(&filters(r#"{"dangling":["true"]}"#))
                .unwrap()
                .len(),
            0
        );
        volumes.let_go("c1");
        volumes.remove("data", false).unwrap();
        assert!(volumes.hold("c1", ["data"]).is_err());
    }

    #[test]
    fn prune_takes_named_volumes_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = open(dir.path());
        volumes.ensure(&named("data")).unwrap();
        let anonymous = volumes.ensure(&VolumeRequest::default()).unwrap();
        assert_eq!(volumes.prune(&filters(""), false).unwrap().0, [anonymous]);
        assert_eq!(
            volumes
                .prune(&filters(r#"{"all":["1"]}"#), false)
                .unwrap()
                .0,
            ["data"]
        );
    }

    #[test]
    fn names_that_are_paths_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = open(dir.path());
        for name in ["../x", "a/b", "a", ".hidden", "x\0y", &"a".repeat(256)] {
            assert!(
                matches!(volumes.ensure(&named(name)), Err(EngineError::Invalid(_))),
                "{name}"
            );
        }
    }

    #[test]
    fn kernel_empty_volume_is_filled_from_the_image_once() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = open(dir.path());
        volumes.ensure(&named("data")).unwrap();
        let rootfs = dir.path().join("rootfs");
        std::fs::create_dir_all(rootfs.join("srv/sub")).unwrap();
        std::fs::write(rootfs.join("srv/sub/file"), "image").unwrap();
        std::os::unix::fs::chown(rootfs.join("srv"), Some(1000), Some(1000)).unwrap();
        volumes.populate("data", &rootfs, "/srv").unwrap();
        let file = volumes.data("data").join("sub/file");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "image");
        let owner =
            std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(volumes.data("data")).unwrap());
        assert_eq!(owner, 1000);
        std::fs::write(&file, "changed").unwrap();
        volumes.populate("data", &rootfs, "/srv").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "changed");
        volumes.populate("data", &rootfs, "/nothing").unwrap();
        // A filling that a kill cut short is done again.
        std::fs::write(volumes.dir.join("data").join(UNFINISHED), "").unwrap();
        volumes.populate("data", &rootfs, "/srv").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "image");
    }

    #[test]
    fn kernel_subpath_stays_inside_the_volume() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = open(dir.path());
        volumes.ensure(&named("data")).unwrap();
        std::fs::create_dir(volumes.data("data").join("sub")).unwrap();
        std::fs::write(volumes.data("data").join("sub/file"), "x").unwrap();
        std::os::unix::fs::symlink("/etc", volumes.data("data").join("out")).unwrap();
        let target = dir.path().join("target");
        std::fs::create_dir(&target).unwrap();
        assert!(matches!(
            volumes.bind_subpath("data", "out", &target),
            Err(EngineError::Invalid(_))
        ));
        volumes.bind_subpath("data", "sub", &target).unwrap();
        assert!(target.join("file").exists());
        detach(&target).unwrap();
    }

    #[test]
    fn kernel_volume_with_options_is_mounted_while_used() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = open(dir.path());
        let options = [("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")];
        let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
        volumes
            .ensure(&VolumeRequest {
                options: options.into(),
                ..named("tmp")
            })
            .unwrap();
        let data = volumes.mount("tmp", "c1").unwrap();
        volumes.mount("tmp", "c2").unwrap();
        assert!(is_mount_point(&data));
        volumes.unmount_all("c1").unwrap();
        assert!(is_mount_point(&data));
        let again = open(dir.path());
        again
            .recover(&HashSet::from([("c2".to_owned(), "tmp".to_owned())]))
            .unwrap();
        assert!(is_mount_point(&data));
        again.unmount_all("c2").unwrap();
        assert!(!is_mount_point(&data));
        again.remove("tmp", false).unwrap();
    }
}
