//! Containers as Docker shows them: inspect, and the rows of lists.

use std::{collections::HashMap, path::Path, sync::Arc};

use bollard_stubs::models::{
    ContainerState, ContainerStateStatusEnum, ContainerSummary, ContainerSummaryHostConfig,
    ContainerSummaryNetworkSettings, ContainerSummaryStateEnum, EndpointSettings, Health,
    HealthStatusEnum, HealthcheckResult, MountPoint,
};
use serde_json::{Value, json};

use super::{
    handle::{Container, Now},
    health::HealthState,
    record::{ContainerRecord, Status},
};
use crate::{
    engine::Engine,
    error::{EngineError, Result},
    filters::Filters,
    network::{Sandbox, port_map, port_summaries},
    time,
};

/// What lists can be filtered by.
pub(crate) const LIST_FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "expose",
    "exited",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "label!",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];
const STATUSES: [&str; 7] = [
    "created",
    "running",
    "paused",
    "restarting",
    "removing",
    "exited",
    "dead",
];

/// Which containers a list holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListRequest {
    /// Those too that do not run.
    pub(crate) all: bool,
    /// Only so many, the newest.
    pub(crate) limit: Option<usize>,
    /// With the bytes they take.
    pub(crate) size: bool,
    /// Which ones.
    pub(crate) filters: Filters,
}

/// Returns the rows of a list, the newest first. Blocks when sizes are wanted.
///
/// # Errors
/// `Invalid` for a malformed filter value.
pub(crate) fn list(engine: &Engine, request: &ListRequest) -> Result<Vec<ContainerSummary>> {
    let filters = &request.filters;
    for status in filters.get("status") {
        if !STATUSES.contains(&status.as_str()) {
            return Err(EngineError::Invalid(format!(
                "invalid filter 'status={status}'"
            )));
        }
    }
    for code in filters.get("exited") {
        if code.parse::<i64>().is_err() {
            return Err(EngineError::Invalid(format!(
                "invalid filter 'exited={code}'"
            )));
        }
    }
    let created_of = |key: &str| -> Result<Option<i64>> {
        match filters.get(key).last() {
            Some(name) => Ok(Some(engine.containers.resolve(name)?.record().created_ns)),
            None => Ok(None),
        }
    };
    let (before, since) = (created_of("before")?, created_of("since")?);
    let ancestors = ancestors(engine, filters);
    // Both of these ask for containers that do not run.
    let all = request.all
        || request.limit.is_some()
        || ["status", "exited", "since", "before"]
            .iter()
            .any(|key| filters.contains(key));
    let mut containers = engine.containers.all();
    containers.sort_by_key(|container| std::cmp::Reverse(container.record().created_ns));
    let chosen = containers.into_iter().filter(|container| {
        let record = container.record();
        let runs = container.running().is_some() || container.is_restarting();
        (all || runs)
            && before.is_none_or(|before| record.created_ns < before)
            && since.is_none_or(|since| record.created_ns > since)
            && ancestors
                .as_ref()
                .is_none_or(|images| images.iter().any(|id| id == record.image.as_str()))
            && matches(engine, container, &record, filters)
    });
    chosen
        .take(request.limit.unwrap_or(usize::MAX))
        .map(|container| summary(engine, &container, request.size))
        .collect()
}

/// The ids of the images that `ancestor` names; `None` when it is not given.
fn ancestors(engine: &Engine, filters: &Filters) -> Option<Vec<String>> {
    let names = filters.get("ancestor");
    if names.is_empty() {
        return None;
    }
    let mut ids = Vec::new();
    for image in names
        .iter()
        .filter_map(|name| engine.images.resolve(name).ok())
    {
        // And every image that stands on it.
        let stands_on = engine
            .images
            .list()
            .into_iter()
            .filter(|other| other.layers.starts_with(&image.layers))
            .map(|other| other.id.as_str().to_owned());
        ids.extend(stands_on);
        ids.push(image.id.as_str().to_owned());
    }
    Some(ids)
}

fn matches(
    engine: &Engine,
    container: &Container,
    record: &ContainerRecord,
    filters: &Filters,
) -> bool {
    let any = |key: &str, matches: &dyn Fn(&str) -> bool| {
        let wanted = filters.get(key);
        wanted.is_empty() || wanted.iter().any(|value| matches(value))
    };
    let ports = |key: &str, has: &dyn Fn(&str) -> bool| {
        any(key, &|value| {
            has(value.strip_suffix("/tcp").unwrap_or(value))
        })
    };
    let name = &record.name;
    filters.matches_labels(record.labels())
        && filters.matches_prefix("id", &record.id)
        && (filters.matches_regex("name", name)
            || filters.matches_regex("name", &format!("/{name}")))
        && filters.matches_exactly("status", container.status())
        && any("exited", &|code| {
            record.state.status == Status::Exited
                && code.parse::<i64>() == Ok(record.state.exit_code.into())
        })
        && any("health", &|health| {
            health == container.health().map_or("none", |health| health.status)
        })
        && any("volume", &|volume| {
            record
                .mounts
                .iter()
                .any(|mount| mount.volume() == Some(volume) || mount.destination == volume)
        })
        && any("network", &|network| {
            let id = engine.networks.resolve(network).map(|network| network.name);
            record.endpoints.contains_key(network)
                || id.is_ok_and(|name| record.endpoints.contains_key(&name))
        })
        && ports("expose", &|port| {
            let exposed = record.config.exposed_ports.iter().flatten();
            let bound = record
                .host_config
                .port_bindings
                .iter()
                .flatten()
                .map(|(key, _)| key);
            exposed
                .chain(bound)
                .any(|key| key.strip_suffix("/tcp").unwrap_or(key) == port)
        })
        && ports("publish", &|port| {
            let bound = record.host_config.port_bindings.iter().flatten();
            bound
                .into_iter()
                .any(|(key, _)| key.strip_suffix("/tcp").unwrap_or(key) == port)
        })
        && any("is-task", &|value| value == "false")
}

/// Returns the row of one container. Blocks when its size is wanted.
///
/// # Errors
/// `Internal` when its size cannot be found out.
pub(crate) fn summary(
    engine: &Engine,
    container: &Container,
    size: bool,
) -> Result<ContainerSummary> {
    let now = container.now();
    let record = Arc::clone(&now.record);
    let sandbox = engine.networks.sandbox(container.id());
    let (size_rw, size_root_fs) = if size {
        let (own, whole) = sizes(engine, container, &record)?;
        (Some(own), Some(whole))
    } else {
        (None, None)
    };
    let status = now.status;
    let published = sandbox.as_ref().map_or(&[][..], |sandbox| &sandbox.ports);
    let running = now.running.is_some();
    let exposed = record
        .config
        .exposed_ports
        .iter()
        .flatten()
        .map(String::as_str);
    Ok(ContainerSummary {
        id: Some(record.id.clone()),
        names: Some(vec![format!("/{}", record.name)]),
        image: Some(shown_image(engine, &record)),
        image_id: Some(record.image.as_str().to_owned()),
        command: Some(shown_command(&record.command_line())),
        created: Some(record.created_ns / 1_000_000_000),
        ports: Some(if running {
            port_summaries(published, exposed)
        } else {
            Vec::new()
        }),
        size_rw,
        size_root_fs,
        labels: Some(record.labels().clone()),
        state: serde_json::from_value::<ContainerSummaryStateEnum>(status.into()).ok(),
        status: Some(status_text(container, &now, time::now_ns())),
        host_config: Some(ContainerSummaryHostConfig {
            network_mode: record.host_config.network_mode.clone(),
            annotations: None,
        }),
        network_settings: Some(ContainerSummaryNetworkSettings {
            networks: Some(networks(engine, &record, sandbox.as_ref())),
        }),
        mounts: Some(mounts(engine, &record)),
        ..ContainerSummary::default()
    })
}

/// The command line as lists show it: arguments with a space in quotes, as Docker does.
fn shown_command(words: &[String]) -> String {
    let quoted = words.iter().enumerate().map(|(index, word)| {
        if index > 0 && word.contains(' ') {
            format!("'{word}'")
        } else {
            word.clone()
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// The image as its creator named it, or its id when that name is another image's now.
fn shown_image(engine: &Engine, record: &ContainerRecord) -> String {
    let name = record.image_name();
    match engine.images.resolve(name) {
        Ok(image) if image.id == record.image => name.to_owned(),
        _ => record.image.as_str().to_owned(),
    }
}

/// The bytes that a container has written, and those with its image.
fn sizes(engine: &Engine, container: &Container, record: &ContainerRecord) -> Result<(i64, i64)> {
    let own = engine.images.snapshots().size(container.id())?;
    let image = engine
        .images
        .resolve(record.image.as_str())
        .map_or(0, |image| image.size_bytes);
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    Ok((number(own), number(own.saturating_add(image))))
}

fn mounts(engine: &Engine, record: &ContainerRecord) -> Vec<MountPoint> {
    let place = |name: &str| {
        engine
            .volumes
            .inspect(name)
            .map(|volume| volume.mountpoint)
            .unwrap_or_default()
    };
    record
        .mounts
        .iter()
        .map(|mount| mount.to_point(place))
        .collect()
}

/// The networks of a container: as they are while it runs, as they were asked for otherwise.
fn networks(
    engine: &Engine,
    record: &ContainerRecord,
    sandbox: Option<&Sandbox>,
) -> HashMap<String, EndpointSettings> {
    if let Some(sandbox) = sandbox {
        let endpoints = sandbox.endpoints.iter();
        return endpoints
            .map(|endpoint| (endpoint.network_name.clone(), endpoint.to_settings()))
            .collect();
    }
    let wanted = record.endpoints.iter().map(|(name, settings)| {
        let mut settings = settings.clone();
        settings.network_id = engine.networks.resolve(name).ok().map(|network| network.id);
        for text in [
            &mut settings.network_id,
            &mut settings.endpoint_id,
            &mut settings.gateway,
            &mut settings.ip_address,
            &mut settings.mac_address,
            &mut settings.ipv6_gateway,
            &mut settings.global_ipv6_address,
        ] {
            text.get_or_insert_default();
        }
        settings.ip_prefix_len.get_or_insert(0);
        settings.global_ipv6_prefix_len.get_or_insert(0);
        (name.clone(), settings)
    });
    wanted.collect()
}

/// Text such as `Up 2 minutes (healthy)` or `Exited (0) 3 hours ago`.
fn status_text(container: &Container, now: &Now, now_ns: i64) -> String {
    let state = &now.record.state;
    let since = |ns: Option<i64>| human_duration(now_ns.saturating_sub(ns.unwrap_or(now_ns)));
    match now.status {
        "running" => {
            let up = format!("Up {}", since(state.started_ns));
            match container.health().map(|health| health.status) {
                Some("starting") => format!("{up} (health: starting)"),
                Some(health) => format!("{up} ({health})"),
                None => up,
            }
        }
        "paused" => format!("Up {} (Paused)", since(state.started_ns)),
        "restarting" => format!(
            "Restarting ({}) {} ago",
            state.exit_code,
            since(state.finished_ns)
        ),
        "removing" => "Removal In Progress".to_owned(),
        "created" => "Created".to_owned(),
        _ => format!(
            "Exited ({}) {} ago",
            state.exit_code,
            since(state.finished_ns)
        ),
    }
}

/// A duration as Docker tells it: the largest unit alone.
fn human_duration(ns: i64) -> String {
    let seconds = ns / 1_000_000_000;
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        120..3600 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

/// Returns everything about a container, as inspect shows it. Blocks when its size is wanted.
///
/// # Errors
/// `Internal` when its size cannot be found out.
pub(crate) fn inspect(engine: &Engine, container: &Arc<Container>, size: bool) -> Result<Value> {
    let now = container.now();
    let record = Arc::clone(&now.record);
    let sandbox = engine.networks.sandbox(container.id());
    let command = record.command_line();
    let (program, arguments) = command
        .split_first()
        .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let exposed = record
        .config
        .exposed_ports
        .iter()
        .flatten()
        .map(String::as_str);
    let published = sandbox.as_ref().map_or(&[][..], |sandbox| &sandbox.ports);
    let ports = if now.running.is_some() {
        port_map(published, exposed)
    } else {
        HashMap::new()
    };
    let exec_ids = engine.execs.of_container(container.id());
    let file = |name: &str| match &now.running {
        Some(_) => container
            .bundle_dir()
            .join(name)
            .to_string_lossy()
            .into_owned(),
        None => String::new(),
    };
    let netns = sandbox
        .as_ref()
        .and_then(|sandbox| sandbox.netns_path.clone());
    let log_path = match record
        .host_config
        .log_config
        .as_ref()
        .and_then(|log| log.typ.as_deref())
    {
        Some("none") => String::new(),
        _ => container.log_path().to_string_lossy().into_owned(),
    };
    let main = record
        .host_config
        .network_mode
        .as_deref()
        .unwrap_or_default();
    let networks = networks(engine, &record, sandbox.as_ref());
    let of_bridge = networks.get(main).cloned().unwrap_or_default();
    let mut config = serde_json::to_value(&record.config).unwrap_or_default();
    if let Some(fields) = config.as_object_mut() {
        fill_config(fields);
    }
    let mut shown = json!({
        "Id": record.id,
        "Created": time::rfc3339(Some(record.created_ns)),
        "Path": program,
        "Args": arguments,
        "State": state(container, &now),
        "Image": record.image.as_str(),
        "ResolvConfPath": file("resolv.conf"),
        "HostnamePath": file("hostname"),
        "HostsPath": file("hosts"),
        "LogPath": log_path,
        "Name": format!("/{}", record.name),
        "RestartCount": record.state.restart_count,
        "Driver": engine.images.snapshots().driver().name(),
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": super::spec::Security::parse(&record.host_config)
            .map(|security| security.apparmor_profile)
            .unwrap_or_default(),
        "ExecIDs": if exec_ids.is_empty() { Value::Null } else { json!(exec_ids) },
        "HostConfig": record.host_config,
        "GraphDriver": graph_driver(engine, container),
        "Mounts": mounts(engine, &record),
        "Config": config,
        "NetworkSettings": {
            "Bridge": "",
            "SandboxID": if sandbox.is_some() { container.id() } else { "" },
            "SandboxKey": netns,
            "Ports": ports,
            "Networks": networks,
            // Of the default network alone, for clients before API 1.21.
            "EndpointID": of_bridge.endpoint_id.unwrap_or_default(),
            "Gateway": of_bridge.gateway.unwrap_or_default(),
            "GlobalIPv6Address": of_bridge.global_ipv6_address.unwrap_or_default(),
            "GlobalIPv6PrefixLen": of_bridge.global_ipv6_prefix_len.unwrap_or_default(),
            "IPAddress": of_bridge.ip_address.unwrap_or_default(),
            "IPPrefixLen": of_bridge.ip_prefix_len.unwrap_or_default(),
            "IPv6Gateway": of_bridge.ipv6_gateway.unwrap_or_default(),
            "MacAddress": of_bridge.mac_address.unwrap_or_default(),
        },
    });
    if size && let Some(fields) = shown.as_object_mut() {
        let (own, whole) = sizes(engine, container, &record)?;
        fields.insert("SizeRw".into(), own.into());
        fields.insert("SizeRootFs".into(), whole.into());
    }
    Ok(shown)
}

/// Fields that clients read without asking whether they are there.
fn fill_config(fields: &mut serde_json::Map<String, Value>) {
    for key in ["Hostname", "Domainname", "User", "Image", "WorkingDir"] {
        fields.entry(key).or_insert_with(|| "".into());
    }
    for key in [
        "AttachStdin",
        "AttachStdout",
        "AttachStderr",
        "Tty",
        "OpenStdin",
        "StdinOnce",
    ] {
        fields.entry(key).or_insert(false.into());
    }
    for key in ["Env", "Cmd", "Entrypoint", "Volumes", "OnBuild"] {
        fields.entry(key).or_insert(Value::Null);
    }
    fields.entry("Labels").or_insert_with(|| json!({}));
}

fn graph_driver(engine: &Engine, container: &Container) -> Value {
    let snapshots = engine.images.snapshots();
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (Ok(upper), Ok(lower)) = (
        snapshots.upper_dir(container.id()),
        snapshots.lower_dirs(container.id()),
    ) else {
        return json!({"Name": snapshots.driver().name(), "Data": null});
    };
    let lower: Vec<String> = lower.iter().rev().map(|path| text(path)).collect();
    json!({
        "Name": snapshots.driver().name(),
        "Data": {
            "LowerDir": lower.join(":"),
            "MergedDir": text(&container.rootfs()),
            "UpperDir": text(&upper),
            "WorkDir": upper.parent().map(|dir| text(&dir.join("work"))),
        },
    })
}

fn state(container: &Container, now: &Now) -> ContainerState {
    let state = &now.record.state;
    let running = now.running.as_ref();
    let restarting = now.restarting;
    ContainerState {
        status: serde_json::from_value::<ContainerStateStatusEnum>(now.status.into()).ok(),
        running: Some(running.is_some() || restarting),
        paused: Some(running.is_some_and(|running| running.paused)),
        restarting: Some(restarting),
        oom_killed: Some(state.oom_killed),
        dead: Some(false),
        pid: Some(running.map_or(0, |running| i64::from(running.pid))),
        exit_code: Some(i64::from(state.exit_code)),
        error: Some(state.error.clone()),
        started_at: Some(time::rfc3339(state.started_ns)),
        finished_at: Some(time::rfc3339(state.finished_ns)),
        health: container.health().map(|health| health_of(&health)),
    }
}

fn health_of(health: &HealthState) -> Health {
    Health {
        status: serde_json::from_value::<HealthStatusEnum>(health.status.into()).ok(),
        failing_streak: Some(i64::from(health.failing_streak)),
        log: Some(
            health
                .log
                .iter()
                .map(|check| HealthcheckResult {
                    start: Some(time::rfc3339(Some(check.start_ns))),
                    end: Some(time::rfc3339(Some(check.end_ns))),
                    exit_code: Some(i64::from(check.exit_code)),
                    output: Some(check.output.clone()),
                })
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_with_spaces_are_quoted() {
        let words = ["sh", "-c", "echo one"].map(str::to_owned);
        assert_eq!(shown_command(&words), "sh -c 'echo one'");
    }

    #[test]
    fn durations_are_told_by_their_largest_unit() {
        let second = 1_000_000_000_i64;
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (61, "About a minute"),
            (600, "10 minutes"),
            (4000, "About an hour"),
            (7200, "2 hours"),
            (86400 * 3, "3 days"),
            (86400 * 20, "2 weeks"),
            (86400 * 90, "3 months"),
            (86400 * 800, "2 years"),
        ] {
            assert_eq!(human_duration(seconds * second), text);
        }
    }
}
