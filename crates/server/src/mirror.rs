//! What an engine has, kept true by one listing and then by its events: pages and the live socket read memory, not the engine.

mod container_row;
mod lists;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::{
    container::{ContainerState, ContainerSummary},
    engine::{EngineCounts, EngineEvent},
    id::EngineName,
    image::ImageSummary,
    live::Position,
    network::NetworkSummary,
    volume::VolumeSummary,
};
use bollard::{
    Docker,
    models::EventMessage,
    query_parameters::{
        InspectContainerOptions, ListContainersOptionsBuilder, ListImagesOptions,
        ListNetworksOptions, ListVolumesOptions,
    },
};

pub(crate) use container_row::{cores, from_inspect, positive, timestamp};
pub(crate) use lists::volume as volume_row;

use crate::{
    engines::{CallError, within},
    live::Hub,
};

/// How long one listing may take.
const LIST_LIMIT: Duration = Duration::from_secs(10);
/// How long looking at one container may take.
const INSPECT_LIMIT: Duration = Duration::from_secs(5);
/// How many events are kept for REST.
const EVENTS: usize = 5000;

/// A part of the mirror that is to be read again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refresh {
    /// One container.
    Container(String),
    /// Which containers there are.
    Containers,
    /// All images.
    Images,
    /// All volumes.
    Volumes,
    /// All networks.
    Networks,
}

impl Refresh {
    pub(crate) const LISTS: [Self; 4] = [
        Self::Containers,
        Self::Images,
        Self::Volumes,
        Self::Networks,
    ];
}

/// The mirror of one engine.
#[derive(Debug)]
pub struct Mirror {
    engine: EngineName,
    hub: Arc<Hub>,
    objects: Mutex<Objects>,
    /// Names of containers that are our own tools, not anybody's.
    hidden: Mutex<std::collections::HashSet<String>>,
}

#[derive(Debug, Default)]
struct Objects {
    containers: BTreeMap<String, Arc<ContainerSummary>>,
    images: BTreeMap<String, ImageSummary>,
    volumes: BTreeMap<String, VolumeSummary>,
    networks: BTreeMap<String, NetworkSummary>,
    /// As they were measured last, by name.
    volume_sizes: HashMap<String, u64>,
    events: std::collections::VecDeque<EngineEvent>,
}

impl Mirror {
    pub(crate) fn new(engine: EngineName, hub: &Arc<Hub>) -> Self {
        Self {
            engine,
            hub: Arc::clone(hub),
            objects: Mutex::default(),
            hidden: Mutex::default(),
        }
    }

    /// A container that is about to be made under this name is nobody's but ours, and not shown.
    pub(crate) fn hide(&self, name: &str) {
        self.lock_hidden().insert(name.to_owned());
    }

    /// No container has this name any more.
    pub(crate) fn unhide(&self, name: &str) {
        self.lock_hidden().remove(name);
    }

    fn lock_hidden(&self) -> MutexGuard<'_, std::collections::HashSet<String>> {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All containers, by id.
    pub fn containers(&self) -> Vec<Arc<ContainerSummary>> {
        self.lock().containers.values().cloned().collect()
    }

    /// One container by id, a unique beginning of it, or name.
    pub fn container(&self, key: &str) -> Option<Arc<ContainerSummary>> {
        let objects = self.lock();
        if let Some(found) = objects.containers.get(key) {
            return Some(Arc::clone(found));
        }
        if let Some(named) = objects.containers.values().find(|c| c.name == key) {
            return Some(Arc::clone(named));
        }
        let mut begins = objects
            .containers
            .range(key.to_owned()..)
            .take_while(|(id, _)| id.starts_with(key));
        match (begins.next(), begins.next()) {
            (Some((_, only)), None) if key.len() >= 4 => Some(Arc::clone(only)),
            _ => None,
        }
    }

    /// All images.
    pub fn images(&self) -> Vec<ImageSummary> {
        self.lock().images.values().cloned().collect()
    }

    /// All volumes.
    pub fn volumes(&self) -> Vec<VolumeSummary> {
        self.lock().volumes.values().cloned().collect()
    }

    /// All networks.
    pub fn networks(&self) -> Vec<NetworkSummary> {
        self.lock().networks.values().cloned().collect()
    }

    /// The newest events, oldest first.
    pub fn events(&self) -> Vec<EngineEvent> {
        self.lock().events.iter().cloned().collect()
    }

    pub(crate) fn container_ids(&self) -> Vec<String> {
        self.lock().containers.keys().cloned().collect()
    }

    /// How much there is.
    pub fn counts(&self) -> EngineCounts {
        let objects = self.lock();
        let in_state = |state| {
            objects
                .containers
                .values()
                .filter(|c| c.state == state)
                .count() as u64
        };
        EngineCounts {
            containers: objects.containers.len() as u64,
            containers_running: in_state(ContainerState::Running),
            containers_paused: in_state(ContainerState::Paused),
            images: objects.images.len() as u64,
            volumes: objects.volumes.len() as u64,
            networks: objects.networks.len() as u64,
        }
    }

    /// Lists everything. Without its containers an engine is of no use; of the rest, what cannot be listed (a volume plugin
    /// may hang) is tried again with the next listing.
    pub(crate) async fn relist(&self, docker: &Docker) -> Result<(), CallError> {
        let (containers, images, volumes, networks) = tokio::join!(
            self.refresh_list(docker, &Refresh::Containers),
            self.refresh_list(docker, &Refresh::Images),
            self.refresh_list(docker, &Refresh::Volumes),
            self.refresh_list(docker, &Refresh::Networks),
        );
        for (what, listed) in [
            ("images", images),
            ("volumes", volumes),
            ("networks", networks),
        ] {
            if let Err(error) = listed {
                tracing::warn!(engine = %self.engine, %error, "list {what}");
            }
        }
        containers
    }

    /// Reads one kind of object again.
    pub(crate) async fn refresh_list(
        &self,
        docker: &Docker,
        what: &Refresh,
    ) -> Result<(), CallError> {
        match what {
            Refresh::Container(id) => self.refresh_container(docker, id).await.map(drop),
            Refresh::Containers => {
                let options = ListContainersOptionsBuilder::default().all(true).build();
                let mut listed = self.ask(docker.list_containers(Some(options))).await?;
                let hidden = self.lock_hidden().clone();
                listed.retain(|one| {
                    let names = one.names.iter().flatten();
                    !names
                        .into_iter()
                        .any(|name| hidden.contains(name.trim_start_matches('/')))
                });
                self.lock().take_container_list(&self.engine, listed);
                self.publish_containers();
                self.publish_used();
                Ok(())
            }
            Refresh::Images => {
                let listed = self
                    .ask(docker.list_images(None::<ListImagesOptions>))
                    .await?;
                self.lock().take_image_list(&self.engine, listed);
                self.publish_used();
                Ok(())
            }
            Refresh::Volumes => {
                let listed = self
                    .ask(docker.list_volumes(None::<ListVolumesOptions>))
                    .await?;
                self.lock()
                    .take_volume_list(&self.engine, listed.volumes.unwrap_or_default());
                self.publish_used();
                Ok(())
            }
            Refresh::Networks => {
                let listed = self
                    .ask(docker.list_networks(None::<ListNetworksOptions>))
                    .await?;
                self.lock().take_network_list(&self.engine, listed);
                self.publish_used();
                Ok(())
            }
        }
    }

    /// Looks at one container; returns where the live list stands with what was seen.
    pub(crate) async fn refresh_container(
        &self,
        docker: &Docker,
        id: &str,
    ) -> Result<Option<Position>, CallError> {
        let seen = within(
            &self.engine,
            INSPECT_LIMIT,
            docker.inspect_container(id, None::<InspectContainerOptions>),
        )
        .await;
        match seen {
            Ok(inspect) => {
                let Some(row) = from_inspect(&self.engine, &inspect) else {
                    return Ok(None);
                };
                Ok(self.put_container(row))
            }
            Err(error) if error.is_not_found() => Ok(self.forget_container(id)),
            Err(error) => Err(error),
        }
    }

    /// Takes a container that was just seen into the mirror.
    pub(crate) fn put_container(&self, row: ContainerSummary) -> Option<Position> {
        if self.lock_hidden().contains(&row.name) {
            return None;
        }
        let row = Arc::new(row);
        let before = self
            .lock()
            .containers
            .insert(row.id.clone(), Arc::clone(&row));
        let position = self
            .hub
            .lists(&self.engine)?
            .containers
            .upsert(&row.id, &*row);
        let uses_changed = before.is_none_or(|old| {
            old.name != row.name
                || old.image_id != row.image_id
                || old.volumes != row.volumes
                || old.networks != row.networks
        });
        if uses_changed {
            self.publish_used();
        }
        Some(position)
    }

    /// Takes a container that is gone out of the mirror.
    pub(crate) fn forget_container(&self, key: &str) -> Option<Position> {
        let id = self
            .container(key)
            .map_or_else(|| key.to_owned(), |row| row.id.clone());
        self.lock().containers.remove(&id);
        let position = self.hub.lists(&self.engine)?.containers.remove(&id);
        self.publish_used();
        Some(position)
    }

    /// Takes the sizes of volumes that were measured.
    pub(crate) fn put_volume_sizes(&self, sizes: &HashMap<String, u64>) {
        let mut objects = self.lock();
        objects.volume_sizes.clone_from(sizes);
        objects.find_sizes();
        drop(objects);
        self.publish_used();
    }

    /// Keeps an event and tells it to who listens; returns it when it is one of ours.
    pub(crate) fn journal(&self, event: &EventMessage) -> Option<EngineEvent> {
        let event = lists::event(&self.engine, event)?;
        if event
            .name
            .as_ref()
            .is_some_and(|name| self.lock_hidden().contains(name))
        {
            return None;
        }
        let mut objects = self.lock();
        if objects.events.len() == EVENTS {
            objects.events.pop_front();
        }
        objects.events.push_back(event.clone());
        drop(objects);
        self.hub.lists(&self.engine)?.events.append(&event);
        Some(event)
    }

    fn publish_containers(&self) {
        let rows = self.containers();
        if let Some(lists) = self.hub.lists(&self.engine) {
            lists
                .containers
                .replace(rows.iter().map(|row| (row.id.as_str(), &**row)));
        }
    }

    /// Who uses what follows from the containers; tells what changed by it.
    fn publish_used(&self) {
        let mut objects = self.lock();
        objects.find_users();
        let (images, volumes, networks) = (
            objects.images.clone(),
            objects.volumes.clone(),
            objects.networks.clone(),
        );
        drop(objects);
        if let Some(lists) = self.hub.lists(&self.engine) {
            lists
                .images
                .replace(images.iter().map(|(id, row)| (id.as_str(), row)));
            lists
                .volumes
                .replace(volumes.iter().map(|(id, row)| (id.as_str(), row)));
            lists
                .networks
                .replace(networks.iter().map(|(id, row)| (id.as_str(), row)));
        }
    }

    async fn ask<T>(
        &self,
        answer: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, CallError> {
        within(&self.engine, LIST_LIMIT, answer).await
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
