//! Settings with changes applied.

use std::collections::HashMap;

use api::container::{ContainerChanges, ContainerCreateRequest};
use bollard::models::{EndpointSettings, HostConfig, ImageConfig};

use super::spec::{Spec, endpoints};
use crate::rest::create_body;

/// The request that makes a container of the changes alone: what checks of a new container say of it holds for them, too.
pub(crate) fn as_request(changes: &ContainerChanges, image: &str) -> ContainerCreateRequest {
    ContainerCreateRequest {
        image: changes
            .image
            .as_ref()
            .map_or_else(|| image.to_owned(), ToString::to_string),
        name: changes.name.as_ref().map(ToString::to_string),
        command: changes.command.clone(),
        entrypoint: changes.entrypoint.clone(),
        env: changes.env_set.clone(),
        labels: changes.labels_set.clone(),
        working_dir: changes.working_dir.clone(),
        user: changes.user.clone(),
        ports: changes.ports.clone().unwrap_or_default(),
        mounts: changes.mounts.clone().unwrap_or_default(),
        limits: changes.limits.clone().unwrap_or_default(),
        restart_policy: changes.restart_policy.unwrap_or_default(),
        network: changes.network.clone(),
        read_only_rootfs: changes.read_only_rootfs.unwrap_or_default(),
        privileged: changes.privileged.unwrap_or_default(),
        cap_add: changes.cap_add.clone().unwrap_or_default(),
        cap_drop: changes.cap_drop.clone().unwrap_or_default(),
        ..Default::default()
    }
}

/// Applies changes. `image` is what the old image brought along: a new image brings its own instead.
pub(crate) fn apply(old: &Spec, changes: &ContainerChanges, image: Option<&ImageConfig>) -> Spec {
    let mut spec = old.clone();
    if changes.image.is_some() || changes.pull {
        without_image(&mut spec, image);
    }
    let made = create_body::body(&as_request(
        changes,
        spec.body.image.as_deref().unwrap_or_default(),
    ));
    let made_host = made.host_config.unwrap_or_default();
    let body = &mut spec.body;
    if let Some(image) = &changes.image {
        body.image = Some(image.to_string());
    }
    if changes.command.is_some() {
        body.cmd = made.cmd;
    }
    if changes.entrypoint.is_some() {
        body.entrypoint = made.entrypoint;
    }
    if changes.working_dir.is_some() {
        body.working_dir = made.working_dir;
    }
    if changes.user.is_some() {
        body.user = made.user;
    }
    let mut env = body.env.take().unwrap_or_default();
    env.retain(|one| {
        let key = one.split('=').next().unwrap_or_default();
        !changes.env_remove.iter().any(|gone| gone == key)
            && !changes.env_set.iter().any(|set| set.key == key)
    });
    env.extend(
        changes
            .env_set
            .iter()
            .map(|one| format!("{}={}", one.key, one.value)),
    );
    body.env = Some(env);
    let labels = body.labels.get_or_insert_default();
    labels.retain(|key, _| !changes.labels_remove.contains(key));
    labels.extend(changes.labels_set.clone());
    let host = body.host_config.get_or_insert_default();
    if changes.ports.is_some() {
        host.port_bindings = made_host.port_bindings.clone();
        // A port that only an old binding exposed is not exposed any more; an image exposes its own again.
        body.exposed_ports = made.exposed_ports;
    }
    if changes.mounts.is_some() {
        host.binds = None;
        host.tmpfs = None;
        host.mounts = made_host.mounts.clone();
    }
    if changes.restart_policy.is_some() {
        host.restart_policy = made_host.restart_policy.clone();
    }
    if changes.limits.is_some() {
        set_limits(host, made_host.clone());
    }
    if changes.read_only_rootfs.is_some() {
        host.readonly_rootfs = made_host.readonly_rootfs;
    }
    if changes.privileged.is_some() {
        host.privileged = made_host.privileged;
        // They follow from it.
        host.masked_paths = None;
        host.readonly_paths = None;
        host.security_opt
            .get_or_insert_default()
            .retain(|option| option != "label=disable");
    }
    if changes.cap_add.is_some() {
        host.cap_add = made_host.cap_add;
    }
    if changes.cap_drop.is_some() {
        host.cap_drop = made_host.cap_drop;
    }
    if let Some(network) = &changes.network {
        host.network_mode = Some(network.clone());
        spec.networks.remove(network);
        let own = !matches!(network.as_str(), "bridge" | "default" | "host" | "none")
            && !network.starts_with("container:");
        body.networking_config =
            own.then(|| endpoints(network.clone(), EndpointSettings::default()));
        if !own && network != "bridge" {
            spec.networks.clear();
        }
    }
    spec
}

fn set_limits(host: &mut HostConfig, made: HostConfig) {
    host.memory = made.memory;
    host.memory_swap = made.memory_swap;
    host.memory_reservation = made.memory_reservation;
    host.nano_cpus = made.nano_cpus;
    host.cpu_period = made.cpu_period;
    host.cpu_quota = made.cpu_quota;
    host.cpu_shares = made.cpu_shares;
    host.cpuset_cpus = made.cpuset_cpus;
    host.pids_limit = made.pids_limit;
    host.blkio_weight = made.blkio_weight;
}

/// Takes away what the container has only because its image said so.
pub(crate) fn without_image(spec: &mut Spec, image: Option<&ImageConfig>) {
    let Some(image) = image else { return };
    let body = &mut spec.body;
    let same = |ours: &Option<Vec<String>>, images: &Option<Vec<String>>| {
        ours.as_deref().unwrap_or_default() == images.as_deref().unwrap_or_default()
    };
    // A command without the image's entrypoint would be run by another one.
    if same(&body.entrypoint, &image.entrypoint) {
        body.entrypoint = None;
        if same(&body.cmd, &image.cmd) {
            body.cmd = None;
        }
    }
    if body.working_dir == image.working_dir {
        body.working_dir = None;
    }
    if body.user == image.user {
        body.user = None;
    }
    if body.stop_signal == image.stop_signal {
        body.stop_signal = None;
    }
    if body.healthcheck == image.healthcheck {
        body.healthcheck = None;
    }
    let images: Vec<&String> = image.env.iter().flatten().collect();
    if let Some(env) = &mut body.env {
        env.retain(|one| !images.contains(&one));
    }
    let empty = HashMap::new();
    let labels_of_image = image.labels.as_ref().unwrap_or(&empty);
    if let Some(labels) = &mut body.labels {
        labels.retain(|key, value| labels_of_image.get(key) != Some(value));
    }
    let exposed: Vec<&String> = image.exposed_ports.iter().flatten().collect();
    if let Some(ports) = &mut body.exposed_ports {
        ports.retain(|port| !exposed.contains(&port));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use api::container::{EnvVar, RestartPolicy, RestartPolicyName};
    use bollard::models::ContainerCreateBody;

    use super::*;

    fn old() -> Spec {
        Spec {
            body: ContainerCreateBody {
                image: Some("app:1".into()),
                env: Some(vec!["PATH=/bin".into(), "SECRET=s".into(), "MODE=a".into()]),
                cmd: Some(vec!["serve".into()]),
                entrypoint: Some(vec!["/entry".into()]),
                labels: Some(HashMap::from([
                    ("keep".into(), "1".into()),
                    ("of.image".into(), "x".into()),
                ])),
                host_config: Some(HostConfig {
                    binds: Some(vec!["data:/data".into()]),
                    memory: Some(1 << 30),
                    privileged: Some(false),
                    ..Default::default()
                }),
                ..Default::default()
            },
            networks: BTreeMap::new(),
            image_id: "sha256:1".into(),
        }
    }

    #[test]
    fn what_is_not_named_stays() {
        assert_eq!(apply(&old(), &ContainerChanges::default(), None), old());
        let changes = ContainerChanges {
            env_set: vec![EnvVar {
                key: "MODE".into(),
                value: "b".into(),
            }],
            restart_policy: Some(RestartPolicy {
                name: RestartPolicyName::Always,
                maximum_retry_count: None,
            }),
            ..Default::default()
        };
        let new = apply(&old(), &changes, None);
        assert_eq!(new.body.env.unwrap(), ["PATH=/bin", "SECRET=s", "MODE=b"]);
        let host = new.body.host_config.unwrap();
        assert_eq!(
            (host.binds.unwrap(), host.memory),
            (vec!["data:/data".to_owned()], Some(1 << 30))
        );
        assert!(host.restart_policy.is_some());
    }

    #[test]
    fn a_new_image_brings_its_own() {
        let image = ImageConfig {
            env: Some(vec!["PATH=/bin".into()]),
            cmd: Some(vec!["serve".into()]),
            entrypoint: Some(vec!["/entry".into()]),
            labels: Some(HashMap::from([("of.image".into(), "x".into())])),
            ..Default::default()
        };
        let changes = ContainerChanges {
            image: Some(api::id::ImageId::parse("app:2").unwrap()),
            ..Default::default()
        };
        let new = apply(&old(), &changes, Some(&image)).body;
        assert_eq!(new.image.as_deref(), Some("app:2"));
        assert_eq!((new.cmd, new.entrypoint), (None, None));
        assert_eq!(new.env.unwrap(), ["SECRET=s", "MODE=a"]);
        assert_eq!(
            new.labels.unwrap(),
            HashMap::from([("keep".into(), "1".into())])
        );
    }
}
