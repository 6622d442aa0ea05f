//! What lists and events of an engine become in the mirror.

use std::{collections::BTreeMap, sync::Arc};

use api::{
    container::{ContainerState, ContainerSummary},
    engine::EngineEvent,
    id::EngineName,
    image::ImageSummary,
    network::NetworkSummary,
    volume::VolumeSummary,
};
use bollard::models;
use jiff::Timestamp;

use super::{
    Objects,
    container_row::{from_list, timestamp},
};
use crate::mask::mask_labels;

impl Objects {
    /// Which containers there are; what was seen of one by looking at it stays, unless its state changed.
    pub(super) fn take_container_list(
        &mut self,
        engine: &EngineName,
        listed: Vec<models::ContainerSummary>,
    ) {
        let mut fresh = BTreeMap::new();
        for item in listed {
            let Some(row) = from_list(engine, item) else {
                continue;
            };
            let known = self.containers.remove(&row.id);
            let row = match known {
                Some(known) if known.state == row.state && known.name == row.name => known,
                _ => Arc::new(row),
            };
            fresh.insert(row.id.clone(), row);
        }
        self.containers = fresh;
    }

    pub(super) fn take_image_list(
        &mut self,
        engine: &EngineName,
        listed: Vec<models::ImageSummary>,
    ) {
        self.images = listed
            .into_iter()
            .map(|item| (item.id.clone(), image(engine, item)))
            .collect();
    }

    pub(super) fn take_volume_list(&mut self, engine: &EngineName, listed: Vec<models::Volume>) {
        self.volumes = listed
            .into_iter()
            .map(|item| (item.name.clone(), volume(engine, item)))
            .collect();
        self.find_sizes();
    }

    /// Volumes whose listing told no size get the one that was measured last.
    pub(super) fn find_sizes(&mut self) {
        for (name, volume) in &mut self.volumes {
            if let Some(size) = self.volume_sizes.get(name) {
                volume.size_bytes = Some(*size);
            }
        }
    }

    pub(super) fn take_network_list(&mut self, engine: &EngineName, listed: Vec<models::Network>) {
        self.networks = listed
            .into_iter()
            .filter_map(|item| Some((item.id.clone()?, network(engine, item))))
            .collect();
    }

    /// Finds out who uses each image, volume and network.
    pub(super) fn find_users(&mut self) {
        let mut images: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut volumes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut networks: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let containers: Vec<Arc<ContainerSummary>> = self.containers.values().cloned().collect();
        for container in &containers {
            images
                .entry(&container.image_id)
                .or_default()
                .push(&container.name);
            for volume in &container.volumes {
                volumes.entry(volume).or_default().push(&container.name);
            }
            if matches!(
                container.state,
                ContainerState::Running | ContainerState::Paused | ContainerState::Restarting
            ) {
                for network in &container.networks {
                    networks.entry(network).or_default().push(&container.name);
                }
            }
        }
        let names = |found: Option<&Vec<&str>>| {
            let mut names: Vec<String> = found
                .into_iter()
                .flatten()
                .map(|&name| name.to_owned())
                .collect();
            names.sort_unstable();
            names
        };
        for image in self.images.values_mut() {
            image.used_by = names(images.get(image.id.as_str()));
        }
        for volume in self.volumes.values_mut() {
            volume.used_by = names(volumes.get(volume.name.as_str()));
        }
        for network in self.networks.values_mut() {
            network.used_by = names(networks.get(network.name.as_str()));
        }
    }
}

fn image(engine: &EngineName, item: models::ImageSummary) -> ImageSummary {
    let real = |tag: &String| !tag.contains("<none>");
    ImageSummary {
        engine: engine.clone(),
        id: item.id,
        tags: item.repo_tags.into_iter().filter(real).collect(),
        digests: item.repo_digests.into_iter().filter(real).collect(),
        created_at: Timestamp::from_second(item.created).ok(),
        size_bytes: u64::try_from(item.size).unwrap_or_default(),
        labels: masked(item.labels),
        used_by: Vec::new(),
    }
}

pub(crate) fn volume(engine: &EngineName, item: models::Volume) -> VolumeSummary {
    let anonymous = item.labels.contains_key("com.docker.volume.anonymous")
        || (item.name.len() == 64 && item.name.bytes().all(|b| b.is_ascii_hexdigit()));
    VolumeSummary {
        engine: engine.clone(),
        name: item.name,
        driver: item.driver,
        mount_point: item.mountpoint,
        created_at: item.created_at.as_deref().and_then(timestamp),
        scope: item
            .scope
            .map(|scope| scope.to_string())
            .unwrap_or_default(),
        labels: masked(item.labels),
        used_by: Vec::new(),
        size_bytes: item
            .usage_data
            .and_then(|usage| u64::try_from(usage.size).ok()),
        anonymous,
    }
}

fn network(engine: &EngineName, item: models::Network) -> NetworkSummary {
    let pools = item.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    NetworkSummary {
        engine: engine.clone(),
        id: item.id.unwrap_or_default(),
        name: item.name.unwrap_or_default(),
        driver: item.driver.unwrap_or_default(),
        scope: item.scope.unwrap_or_default(),
        internal: item.internal.unwrap_or_default(),
        subnets: pools
            .iter()
            .filter_map(|pool| pool.subnet.clone())
            .collect(),
        gateways: pools
            .iter()
            .filter_map(|pool| pool.gateway.clone())
            .collect(),
        created_at: item.created.as_deref().and_then(timestamp),
        labels: masked(item.labels.unwrap_or_default()),
        used_by: Vec::new(),
    }
}

/// Labels for the page.
fn masked(labels: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let mut labels = labels.into_iter().collect();
    mask_labels(&mut labels);
    labels
}

/// An event in our words; `None` for those without an object.
pub(super) fn event(engine: &EngineName, event: &models::EventMessage) -> Option<EngineEvent> {
    let actor = event.actor.as_ref()?;
    let attributes = actor.attributes.as_ref();
    let attribute = |name: &str| attributes.and_then(|all| all.get(name)).cloned();
    let nanoseconds = event
        .time_nano
        .map(i128::from)
        .or_else(|| event.time.map(|s| i128::from(s) * 1_000_000_000))?;
    Some(EngineEvent {
        engine: engine.clone(),
        time: Timestamp::from_nanosecond(nanoseconds).ok()?,
        kind: event.typ.as_ref()?.to_string(),
        action: event.action.clone()?,
        id: actor.id.clone()?,
        name: attribute("name"),
        exit_code: attribute("exitCode").and_then(|code| code.parse().ok()),
    })
}
