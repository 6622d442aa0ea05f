//! What a container was made with, read back from what the engine tells of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HostConfig, NetworkingConfig,
};
use serde::{Deserialize, Serialize};

/// What a container is made with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) body: ContainerCreateBody,
    /// The networks that it is connected to before it starts, beside that of its network mode.
    pub(crate) networks: BTreeMap<String, EndpointSettings>,
    /// The image's id.
    pub(crate) image_id: String,
}

/// Reads what a container was made with. Its anonymous volumes become named by their ids, so that a new container has them, too.
pub(crate) fn spec_of(inspect: &ContainerInspectResponse) -> Spec {
    let config = inspect.config.clone().unwrap_or_default();
    let mut host = inspect.host_config.clone().unwrap_or_default();
    let id = inspect.id.clone().unwrap_or_default();
    let short: String = id.chars().take(12).collect();
    keep_volumes(&mut host, inspect);
    // Docker tells links as `/db:/web/alias` and takes `db:alias`.
    if let Some(links) = &mut host.links {
        for link in links {
            let alias = link.rsplit('/').next().unwrap_or_default().to_owned();
            let target = link
                .split(':')
                .next()
                .unwrap_or_default()
                .trim_start_matches('/')
                .to_owned();
            *link = format!("{target}:{alias}");
        }
    }
    host.container_id_file = None;
    host.console_size = None;
    let mode = host.network_mode.clone().unwrap_or_default();
    let own_network = !matches!(mode.as_str(), "" | "default" | "bridge" | "host" | "none")
        && !mode.starts_with("container:");
    let (mut first, mut networks) = (None, BTreeMap::new());
    let told = inspect
        .network_settings
        .as_ref()
        .and_then(|settings| settings.networks.clone())
        .unwrap_or_default();
    for (name, endpoint) in told {
        let wanted = wanted(&endpoint, &short);
        if own_network && (name == mode || endpoint.network_id.as_deref() == Some(mode.as_str())) {
            first = Some((name, wanted));
        } else if own_network || (name != "bridge" && name != "host" && name != "none") {
            networks.insert(name, wanted);
        }
    }
    let shares_host_name = mode == "host"
        || mode.starts_with("container:")
        || host.uts_mode.as_deref() == Some("host");
    let body = ContainerCreateBody {
        // The engine names a container after its id unless told otherwise.
        hostname: config
            .hostname
            .filter(|name| *name != short && !shares_host_name),
        domainname: config.domainname.filter(|name| !name.is_empty()),
        user: config.user,
        attach_stdin: config.attach_stdin,
        attach_stdout: config.attach_stdout,
        attach_stderr: config.attach_stderr,
        exposed_ports: config
            .exposed_ports
            .filter(|_| !mode.starts_with("container:")),
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        env: config.env,
        cmd: config.cmd,
        healthcheck: config.healthcheck,
        args_escaped: config.args_escaped,
        image: config.image,
        volumes: config.volumes,
        working_dir: config.working_dir,
        entrypoint: config.entrypoint,
        network_disabled: config.network_disabled,
        on_build: None,
        labels: config.labels,
        stop_signal: config.stop_signal,
        stop_timeout: config.stop_timeout,
        shell: config.shell,
        host_config: Some(host),
        networking_config: first.map(|(name, endpoint)| endpoints(name, endpoint)),
    };
    Spec {
        body,
        networks,
        image_id: inspect.image.clone().unwrap_or_default(),
    }
}

/// One network to be created with.
pub(crate) fn endpoints(name: String, endpoint: EndpointSettings) -> NetworkingConfig {
    NetworkingConfig {
        endpoints_config: Some(HashMap::from([(name, endpoint)])),
    }
}

/// What was asked for of an endpoint, without what the engine gave it.
fn wanted(endpoint: &EndpointSettings, short_id: &str) -> EndpointSettings {
    let aliases = endpoint.aliases.as_ref().map(|aliases| {
        aliases
            .iter()
            .filter(|alias| *alias != short_id)
            .cloned()
            .collect::<Vec<_>>()
    });
    EndpointSettings {
        ipam_config: endpoint.ipam_config.clone(),
        links: endpoint.links.clone(),
        aliases: aliases.filter(|aliases| !aliases.is_empty()),
        driver_opts: endpoint.driver_opts.clone(),
        gw_priority: endpoint.gw_priority,
        ..Default::default()
    }
}

/// Names the volumes that the engine made for the container.
fn keep_volumes(host: &mut HostConfig, inspect: &ContainerInspectResponse) {
    let mut named: HashSet<String> = host
        .binds
        .iter()
        .flatten()
        .filter_map(|bind| bind.split(':').nth(1).map(str::to_owned))
        .collect();
    for mount in host.mounts.iter_mut().flatten() {
        if let Some(target) = mount.target.clone() {
            if mount.typ == Some(bollard::models::MountType::VOLUME)
                && mount.source.as_deref().unwrap_or_default().is_empty()
            {
                let made = inspect
                    .mounts
                    .iter()
                    .flatten()
                    .find(|one| one.destination.as_deref() == Some(&target));
                mount.source = made.and_then(|made| made.name.clone());
            }
            named.insert(target);
        }
    }
    for made in inspect.mounts.iter().flatten() {
        let (Some("volume"), Some(name), Some(target)) = (
            made.typ.as_deref(),
            made.name.as_deref(),
            made.destination.as_deref(),
        ) else {
            continue;
        };
        if named.contains(target) || host.volumes_from.iter().flatten().next().is_some() {
            continue;
        }
        let mode = if made.rw == Some(false) { ":ro" } else { "" };
        host.binds
            .get_or_insert_default()
            .push(format!("{name}:{target}{mode}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_gave_is_left_out_and_what_was_asked_for_stays() {
        let inspect: ContainerInspectResponse = serde_json::from_value(serde_json::json!({
            "Id": "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00",
            "Image": "sha256:1",
            "Config": { "Hostname": "c0ffee00c0ff", "Env": ["A=1"], "Image": "x:1", "Cmd": ["sleep"], "Labels": { "a": "b" } },
            "HostConfig": { "NetworkMode": "front", "Links": ["/db:/web/data"], "Binds": ["named:/n"], "Memory": 7_340_032,
                "Mounts": [{ "Type": "volume", "Target": "/m" }] },
            "Mounts": [
                { "Type": "volume", "Name": "named", "Destination": "/n", "RW": true },
                { "Type": "volume", "Name": "deadbeef", "Destination": "/m", "RW": true },
                { "Type": "volume", "Name": "cafe", "Destination": "/anonymous", "RW": true },
            ],
            "NetworkSettings": { "Networks": {
                "front": { "Aliases": ["c0ffee00c0ff", "web"], "IPAddress": "10.0.0.2", "IPAMConfig": { "IPv4Address": "10.0.0.2" } },
                "back": { "Aliases": ["c0ffee00c0ff"], "IPAddress": "10.1.0.2" } } },
        }))
        .unwrap();
        let spec = spec_of(&inspect);
        let host = spec.body.host_config.unwrap();
        assert_eq!(spec.body.hostname, None);
        assert_eq!(host.links.unwrap(), ["db:data"]);
        assert_eq!(host.binds.unwrap(), ["named:/n", "cafe:/anonymous"]);
        assert_eq!(
            host.mounts.unwrap().first().unwrap().source.as_deref(),
            Some("deadbeef")
        );
        let front = spec
            .body
            .networking_config
            .unwrap()
            .endpoints_config
            .unwrap()
            .remove("front")
            .unwrap();
        assert_eq!(front.aliases.unwrap(), ["web"]);
        assert_eq!(front.ip_address, None);
        assert_eq!(
            front.ipam_config.unwrap().ipv4_address.as_deref(),
            Some("10.0.0.2")
        );
        assert_eq!(spec.networks.keys().collect::<Vec<_>>(), ["back"]);
    }
}
