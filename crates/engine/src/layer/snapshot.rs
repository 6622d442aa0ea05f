//! The root file systems of containers: an image's layers below, one writable directory on top.
//!
//! Each lies in `SNAPSHOTS/<container id>/`: `snapshot.json`, and `upper/` and `work/` for overlayfs, or `rootfs/` where
//! overlayfs does not work and the layers are copied.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs,
    io::{self, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::{fs::CWD, io::Errno, mount::OpenTreeFlags};
use serde::{Deserialize, Serialize};

use super::{
    changes::{self, Change, ChangeKind},
    copy,
    error::LayerError,
    overlay::{self, Overlay},
    pack::{Form, Packer},
    remove::remove_tree,
    root::{RootFd, split},
    store::LayerStore,
};
use crate::{
    image::{Digest, Image},
    store::write_atomic,
};

const RECORD_FILE: &str = "snapshot.json";
const STAGING_PREFIX: &str = ".staging-";

/// How root file systems are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Driver {
    /// Layers are shared, only what a container writes is its own.
    Overlay,
    /// Every container has a full copy of its image.
    Copy,
}

impl Driver {
    /// The name in `/info` and inspect.
    pub(crate) fn name(self) -> &'static str {
        match self {
            // What clients know this driver by.
            Self::Overlay => "overlay2",
            Self::Copy => "vfs",
        }
    }
}

/// What a root file system is made visible for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// What is there is looked at.
    Read,
    /// It is changed.
    Write,
}

/// The content of `snapshot.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SnapshotRecord {
    driver: Driver,
    image: Digest,
    /// Diff ids, the lowest layer first.
    layers: Vec<Digest>,
}

/// The snapshots of one engine. Calls that touch the disk block.
#[derive(Debug)]
pub(crate) struct Snapshots {
    dir: PathBuf,
    layers: Arc<LayerStore>,
    driver: Driver,
    records: Mutex<HashMap<String, SnapshotRecord>>,
}

impl Snapshots {
    /// Opens the snapshots in `dir` and finds out which driver works there. Blocks.
    pub(crate) fn open(dir: PathBuf, layers: Arc<LayerStore>) -> io::Result<Arc<Self>> {
        fs::create_dir_all(&dir)?;
        let mut records = HashMap::new();
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let read = fs::read(entry.path().join(RECORD_FILE))
                .ok()
                .and_then(|bytes| serde_json::from_slice::<SnapshotRecord>(&bytes).ok());
            match (read, entry.file_name().to_str()) {
                (Some(record), Some(id)) if !id.starts_with('.') => {
                    records.insert(id.to_owned(), record);
                }
                (_, Some(id)) if id.starts_with('.') => remove_tree(&entry.path())?,
                // A container's data behind a damaged record: not ours to throw away.
                _ => tracing::error!(path = %entry.path().display(), "read a snapshot's record"),
            }
        }
        let driver = match overlay::probe(&dir) {
            Ok(()) => Driver::Overlay,
            Err(error) => {
                tracing::warn!(%error, "overlayfs does not work here: every container gets a full copy of its image");
                Driver::Copy
            }
        };
        Ok(Arc::new(Self {
            dir,
            layers,
            driver,
            records: Mutex::new(records),
        }))
    }

    /// The driver of new snapshots.
    pub(crate) fn driver(&self) -> Driver {
        self.driver
    }

    /// Makes the snapshot of a new container, durably. Its layers stay as long as it does.
    ///
    /// # Errors
    /// `NotFound` when a layer of the image is gone, `NoSpace`, `Io`.
    pub(crate) fn prepare(&self, container_id: &str, image: &Image) -> Result<(), LayerError> {
        let record = SnapshotRecord {
            driver: self.driver,
            image: image.id.clone(),
            layers: image.layers.clone(),
        };
        let pins = self.layers.pin(record.layers.clone());
        for layer in &record.layers {
            if self.layers.size_bytes(layer).is_none() {
                return Err(LayerError::NotFound(format!(
                    "layer {layer} of image {} is missing: pull or load the image again",
                    image.id
                )));
            }
        }
        let staging = self.dir.join(format!("{STAGING_PREFIX}{container_id}"));
        let made = self.make(&staging, container_id, &record);
        if made.is_err() {
            // The first error is the one that matters; a leftover goes at the next start-up.
            drop(remove_tree(&staging));
        }
        made?;
        self.lock().insert(container_id.to_owned(), record);
        drop(pins);
        Ok(())
    }

    fn make(&self, staging: &Path, id: &str, record: &SnapshotRecord) -> Result<(), LayerError> {
        fs::create_dir(staging).map_err(LayerError::path("create", staging))?;
        match record.driver {
            Driver::Overlay => {
                for part in ["upper", "work"] {
                    let path = staging.join(part);
                    fs::create_dir(&path).map_err(LayerError::path("create", &path))?;
                }
                self.put_mark(record, &staging.join("upper"))?;
                self.copy_root_metadata(record, &staging.join("upper"))?;
            }
            Driver::Copy => {
                let rootfs = staging.join("rootfs");
                copy::flatten(&self.diff_dirs(record), &rootfs)?;
                self.put_mark(record, &rootfs)?;
            }
        }
        let json = serde_json::to_vec_pretty(record).map_err(LayerError::path("write", staging))?;
        write_atomic(&staging.join(RECORD_FILE), &json)
            .map_err(LayerError::path("write", staging))?;
        let path = self.dir.join(id);
        fs::rename(staging, &path).map_err(LayerError::path("rename to", &path))?;
        fs::File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(LayerError::path("sync", &self.dir))
    }

    /// Puts in the file that programs know a container by, where the image has none.
    fn put_mark(&self, record: &SnapshotRecord, root: &Path) -> Result<(), LayerError> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let name = changes::CONTAINER_MARK;
        let there = |dir: PathBuf| dir.join(name).symlink_metadata().is_ok();
        if self.diff_dirs(record).into_iter().any(there) {
            return Ok(());
        }
        let path = root.join(name);
        fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(&path)
            .map(drop)
            .map_err(LayerError::path("create", path))
    }

    /// The container's `/` has the owner and mode that the image gives it, not those of a fresh directory.
    fn copy_root_metadata(&self, record: &SnapshotRecord, upper: &Path) -> Result<(), LayerError> {
        use std::os::unix::fs::PermissionsExt as _;
        let Some(top) = record.layers.last() else {
            return fs::set_permissions(upper, fs::Permissions::from_mode(0o755))
                .map_err(LayerError::path("chmod", upper));
        };
        copy_metadata(&self.layers.diff_dir(top), upper)
    }

    /// Shows the root file system at `target`, made if missing. The caller unmounts it.
    ///
    /// # Errors
    /// `NotFound` when there is no such snapshot, `Io` when the kernel refuses.
    pub(crate) fn mount(&self, container_id: &str, target: &Path) -> Result<(), LayerError> {
        let record = self.record(container_id)?;
        match fs::create_dir(target) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(LayerError::path("create", target)(error));
            }
            _ => {}
        }
        match record.driver {
            Driver::Overlay => self.overlay(container_id, &record)?.mount(target),
            Driver::Copy => {
                rustix::mount::mount_bind(self.dir.join(container_id).join("rootfs"), target)
                    .map_err(LayerError::path("bind mount on", target))
            }
        }
    }

    /// The directories that a container's root file system is made of.
    fn overlay(&self, container_id: &str, record: &SnapshotRecord) -> Result<Overlay, LayerError> {
        let dir = self.dir.join(container_id);
        // A layer that stands twice in an image is hidden by its upper self, and the kernel refuses it.
        let mut seen = HashSet::new();
        let mut lower: Vec<PathBuf> = record
            .layers
            .iter()
            .rev()
            .filter(|layer| seen.insert(*layer))
            .map(|layer| self.layers.diff_dir(layer))
            .collect();
        if lower.is_empty() {
            // An image without layers: overlayfs wants one.
            let empty = dir.join("empty");
            fs::create_dir_all(&empty).map_err(LayerError::path("create", &empty))?;
            lower.push(empty);
        }
        Ok(Overlay {
            lower,
            upper: dir.join("upper"),
            work: dir.join("work"),
        })
    }

    /// Makes the root file system of a container that does not run, not visible anywhere yet. To be read, it may be made
    /// any number of times, also while the container starts: what is written to it goes to the empty directory `scratch`
    /// and is lost. To be written to, it must not be made while the container may start.
    ///
    /// # Errors
    /// `NotFound` when there is no such snapshot, `Io` when the kernel refuses.
    pub(crate) fn view(
        &self,
        container_id: &str,
        access: Access,
        scratch: &Path,
    ) -> Result<OwnedFd, LayerError> {
        let record = self.record(container_id)?;
        if record.driver == Driver::Copy {
            let rootfs = self.dir.join(container_id).join("rootfs");
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            return rustix::mount::open_tree(CWD, &rootfs, flags)
                .map_err(LayerError::path("clone mount of", rootfs));
        }
        let mut overlay = self.overlay(container_id, &record)?;
        if access == Access::Read {
            let own = std::mem::replace(&mut overlay.upper, scratch.join("upper"));
            overlay.work = scratch.join("work");
            for path in [&overlay.upper, &overlay.work] {
                fs::create_dir(path).map_err(LayerError::path("create", path))?;
            }
            copy_metadata(&own, &overlay.upper)?;
            overlay.lower.insert(0, own);
        }
        overlay.create()
    }

    /// Writes what a container has changed as a layer. Reproducible: the same changes make the same bytes.
    ///
    /// # Errors
    /// `NotFound` when there is no such snapshot, `Io`.
    pub(crate) fn pack_changes<W: Write>(
        &self,
        container_id: &str,
        writer: W,
    ) -> Result<W, LayerError> {
        let upper = self.upper_dir(container_id)?;
        let top = RootFd::open(&upper).map_err(LayerError::path("open", &upper))?;
        let record = self.record(container_id)?;
        let mut packer = Packer::new(writer, Form::Layer, HashSet::new());
        match record.driver {
            Driver::Overlay => {
                packer.omit(changes::mount_points(&upper, &self.diff_dirs(&record))?);
                packer.add_content(&top, b"")?;
            }
            Driver::Copy => pack_listed(&mut packer, &top, &self.changes(container_id)?)?,
        }
        packer.finish()
    }

    /// Unmounts the root file system at `target`, busy or not; fine when it is not mounted.
    #[expect(clippy::unused_self, reason = "the counterpart of mount")]
    pub(crate) fn unmount(&self, target: &Path) -> Result<(), LayerError> {
        overlay::detach(target)
    }

    /// Removes a snapshot that is not mounted; fine when there is none.
    pub(crate) fn remove(&self, container_id: &str) -> Result<(), LayerError> {
        let path = self.path(container_id)?;
        remove_tree(&path).map_err(LayerError::path("remove", &path))?;
        self.lock().remove(container_id);
        Ok(())
    }

    /// Removes the snapshots of all containers that are not in `containers`: creates and removes that were cut short.
    pub(crate) fn retain(&self, containers: &HashSet<String>) -> Result<(), LayerError> {
        let gone: Vec<String> = self
            .lock()
            .keys()
            .filter(|id| !containers.contains(*id))
            .cloned()
            .collect();
        gone.iter().try_for_each(|id| self.remove(id))
    }

    /// Bytes that the container has written to its root file system.
    pub(crate) fn size(&self, container_id: &str) -> Result<u64, LayerError> {
        let record = self.record(container_id)?;
        let own = changes::tree_size(&self.upper_dir(container_id)?)?;
        Ok(match record.driver {
            Driver::Overlay => own,
            Driver::Copy => own.saturating_sub(self.image_size(&record)),
        })
    }

    /// What the container has added, changed and deleted, sorted by path.
    pub(crate) fn changes(&self, container_id: &str) -> Result<Vec<Change>, LayerError> {
        let record = self.record(container_id)?;
        let upper = self.upper_dir(container_id)?;
        let lower = self.diff_dirs(&record);
        let hidden = changes::mount_points(&upper, &lower)?;
        match record.driver {
            Driver::Overlay => changes::of_upper(&upper, &lower, &hidden),
            Driver::Copy => changes::of_copy(&upper, &lower, &hidden),
        }
    }

    /// The directory that holds what the container writes (with the copying driver: its whole root file system).
    pub(crate) fn upper_dir(&self, container_id: &str) -> Result<PathBuf, LayerError> {
        let record = self.record(container_id)?;
        Ok(self.dir.join(container_id).join(match record.driver {
            Driver::Overlay => "upper",
            Driver::Copy => "rootfs",
        }))
    }

    /// The image and the directories of the layers below, the lowest first, for inspect's `GraphDriver`.
    pub(crate) fn lower_dirs(&self, container_id: &str) -> Result<Vec<PathBuf>, LayerError> {
        Ok(self.diff_dirs(&self.record(container_id)?))
    }

    /// The diff ids that snapshots stand on.
    pub(crate) fn used_layers(&self) -> BTreeSet<Digest> {
        self.lock()
            .values()
            .flat_map(|record| record.layers.iter().cloned())
            .collect()
    }

    fn image_size(&self, record: &SnapshotRecord) -> u64 {
        let sizes = record.layers.iter().map(|id| self.layers.size_bytes(id));
        sizes.flatten().sum()
    }

    fn diff_dirs(&self, record: &SnapshotRecord) -> Vec<PathBuf> {
        record
            .layers
            .iter()
            .map(|layer| self.layers.diff_dir(layer))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, SnapshotRecord>> {
        // Every critical section is one change of the map.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, container_id: &str) -> Result<SnapshotRecord, LayerError> {
        self.lock().get(container_id).cloned().ok_or_else(|| {
            LayerError::NotFound(format!("no root file system of container {container_id}"))
        })
    }

    fn path(&self, container_id: &str) -> Result<PathBuf, LayerError> {
        // Ids come from us; this holds the line should one slip through.
        if container_id.is_empty() || container_id.starts_with('.') || container_id.contains('/') {
            return Err(LayerError::Invalid("invalid container id".into()));
        }
        Ok(self.dir.join(container_id))
    }
}

/// Gives the directory `to` the owner, mode and times of `from`.
fn copy_metadata(from: &Path, to: &Path) -> Result<(), LayerError> {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let meta = fs::metadata(from).map_err(LayerError::path("stat", from))?;
    chown(to, Some(meta.uid()), Some(meta.gid())).map_err(LayerError::path("chown", to))?;
    fs::set_permissions(to, meta.permissions()).map_err(LayerError::path("chmod", to))?;
    let modified = meta.modified().map_err(LayerError::path("stat", from))?;
    fs::File::open(to)
        .and_then(|directory| directory.set_modified(modified))
        .map_err(LayerError::path("set times of", to))
}

/// Adds the changes of a full copy. Directories on the way are added too: they would else get a mode of nobody's choice.
fn pack_listed<W: Write>(
    packer: &mut Packer<W>,
    top: &RootFd,
    changes: &[Change],
) -> Result<(), LayerError> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut listed: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
    for change in changes {
        let path = change.path.as_os_str().as_bytes();
        let path = path.strip_prefix(b"/").unwrap_or(path);
        for (index, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            listed.entry(path[..index].to_vec()).or_insert(false);
        }
        listed.insert(path.to_vec(), change.kind == ChangeKind::Deleted);
    }
    for (path, deleted) in listed {
        if deleted {
            packer.add_whiteout(&path)?;
        } else {
            let (parent, name) = split(&path);
            match top.directory(parent) {
                Ok(parent) => packer.add_one(&parent, name, &path)?,
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => return Err(LayerError::path("open", &path_of(&path))(errno)),
            }
        }
    }
    Ok(())
}

fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests;
