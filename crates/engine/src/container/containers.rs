//! All containers of the engine: finding them by id or name, and their names.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    handle::{Container, Places},
    record::ContainerRecord,
};
use crate::{
    config::EngineConfig,
    error::{EngineError, Result},
    id,
    image::ImageUse,
    store::ObjectStore,
};

/// Name of the record in a container's directory.
const RECORD_FILE: &str = "container.json";

#[derive(Debug, Default)]
pub(super) struct Index {
    /// By id.
    containers: BTreeMap<String, Arc<Container>>,
    /// Id by name; a name is taken before its container is there.
    names: HashMap<String, String>,
}

/// The containers of one engine.
#[derive(Debug)]
pub(crate) struct Containers {
    pub(crate) records: ObjectStore<ContainerRecord>,
    bundles_dir: PathBuf,
    runtime_root: PathBuf,
    cgroup_parent: String,
    index: Mutex<Index>,
}

/// A name that is taken for a container that is being made; given back unless it is kept.
#[derive(Debug)]
pub(super) struct NameClaim<'a> {
    containers: &'a Containers,
    name: String,
    kept: bool,
}

impl Containers {
    /// Opens the containers in the engine's directories and reads their records; recovering what runs comes later.
    /// Blocks.
    ///
    /// # Errors
    /// `Internal` when a directory cannot be used. A damaged record costs its one container.
    pub(crate) fn open(config: &EngineConfig) -> Result<Self> {
        let dir = config.engine_dir().join("containers");
        let opened = || EngineError::io("open", dir.display().to_string());
        let records = ObjectStore::nested(dir.clone(), RECORD_FILE).map_err(opened())?;
        let bundles_dir = config.run_dir.join("containers");
        std::fs::create_dir_all(&bundles_dir)
            .map_err(EngineError::io("create", bundles_dir.display()))?;
        let containers = Self {
            records,
            bundles_dir,
            runtime_root: config.run_dir.join("runtime"),
            cgroup_parent: config.cgroup_parent.clone(),
            index: Mutex::new(Index::default()),
        };
        for (key, record) in containers.records.load_all().map_err(opened())? {
            if record.id != key || !id::is_full_id(&key) {
                tracing::error!(key, id = record.id, "a container's record bears another id");
                continue;
            }
            containers.insert(record);
        }
        Ok(containers)
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        // Every critical section leaves a consistent value at each step.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a container whose record is durable.
    pub(super) fn insert(&self, record: ContainerRecord) -> Arc<Container> {
        let places = self.places(&record.id);
        let (id, name) = (record.id.clone(), record.name.clone());
        let container = Container::new(record, places);
        let mut index = self.lock();
        index.names.insert(name, id.clone());
        index.containers.insert(id, Arc::clone(&container));
        container
    }

    /// Returns a container that has no record, so that what is left of it can be taken away.
    pub(super) fn stranger(&self, id: &str) -> Arc<Container> {
        let record = ContainerRecord::of_stranger(id);
        Container::new(record, self.places(id))
    }

    fn places(&self, id: &str) -> Places {
        Places {
            state_dir: self.records.object_dir(id),
            bundle_dir: self.bundle_dir(id),
            cgroup_path: format!("{}/{id}", self.cgroup_parent),
        }
    }

    /// Where the bundle of a container is.
    pub(super) fn bundle_dir(&self, id: &str) -> PathBuf {
        self.bundles_dir.join(id)
    }

    /// Where all bundles are.
    pub(super) fn bundles_dir(&self) -> &std::path::Path {
        &self.bundles_dir
    }

    /// The control group above all containers.
    pub(super) fn cgroup_parent(&self) -> &str {
        &self.cgroup_parent
    }

    /// Where the runtime keeps its state.
    pub(super) fn runtime_root(&self) -> &std::path::Path {
        &self.runtime_root
    }

    /// Takes a container out of the index; its name is free again.
    pub(super) fn forget(&self, container: &Container) {
        let name = container.name();
        let mut index = self.lock();
        index.containers.remove(container.id());
        if index
            .names
            .get(&name)
            .is_some_and(|id| id == container.id())
        {
            index.names.remove(&name);
        }
    }

    /// Returns a container by its id, its name with or without slash, or the beginning of its id.
    ///
    /// # Errors
    /// `NotFound`, or `Invalid` when several ids begin so.
    pub(crate) fn resolve(&self, reference: &str) -> Result<Arc<Container>> {
        let index = self.lock();
        let name = reference.strip_prefix('/').unwrap_or(reference);
        let by_name = || {
            let id = index.names.get(name)?;
            index.containers.get(id)
        };
        if let Some(found) = index.containers.get(reference).or_else(by_name) {
            return Ok(Arc::clone(found));
        }
        let hex = !reference.is_empty() && reference.bytes().all(|b| b.is_ascii_hexdigit());
        let mut matching = index
            .containers
            .range(reference.to_owned()..)
            .take_while(|(id, _)| hex && id.starts_with(reference));
        match (matching.next(), matching.next()) {
            (Some((_, one)), None) => Ok(Arc::clone(one)),
            (Some(_), Some(_)) => Err(EngineError::Invalid(format!(
                "multiple IDs found with provided prefix: {reference}"
            ))),
            _ => Err(EngineError::no_such_container(reference)),
        }
    }

    /// Returns all containers, in no order that means something.
    pub(crate) fn all(&self) -> Vec<Arc<Container>> {
        self.lock().containers.values().cloned().collect()
    }

    /// Returns which containers use which image.
    pub(crate) fn image_uses(&self) -> Vec<ImageUse> {
        self.all()
            .iter()
            .map(|container| ImageUse {
                container: container.id().to_owned(),
                image: container.record().image.as_str().to_owned(),
                running: container.running().is_some(),
            })
            .collect()
    }

    /// Takes a name for a container with this id.
    ///
    /// # Errors
    /// `Conflict` in Docker's words when another container has it.
    pub(super) fn claim_name(&self, name: &str, id: &str) -> Result<NameClaim<'_>> {
        let mut index = self.lock();
        if let Some(other) = index.names.get(name) {
            return Err(EngineError::Conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{other}\". You have to remove (or rename) that container to be able to reuse that name."
            )));
        }
        index.names.insert(name.to_owned(), id.to_owned());
        Ok(NameClaim {
            containers: self,
            name: name.to_owned(),
            kept: false,
        })
    }

    /// Gives a name back.
    pub(super) fn release_name(&self, name: &str) {
        self.lock().names.remove(name);
    }
}

impl NameClaim<'_> {
    /// The name.
    pub(super) fn text(&self) -> &str {
        &self.name
    }

    /// Leaves the name with its container.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for NameClaim<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.containers.release_name(&self.name);
        }
    }
}
