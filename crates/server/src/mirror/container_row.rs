//! A container as the mirror has it, from a listing (quick, coarse) or from a look at it (whole).

use std::collections::{BTreeMap, BTreeSet};

use api::{
    container::{ContainerState, ContainerSummary, Health, Port, Protocol},
    id::EngineName,
};
use bollard::models;
use jiff::Timestamp;

use crate::mask::mask_labels;

/// The label that names a Compose project.
const PROJECT: &str = "com.docker.compose.project";
/// The label that names a service in it.
const SERVICE: &str = "com.docker.compose.service";

/// From an entry of a listing: no start time, exit code or limits yet.
pub(super) fn from_list(
    engine: &EngineName,
    item: models::ContainerSummary,
) -> Option<ContainerSummary> {
    let mut labels: BTreeMap<String, String> =
        item.labels.unwrap_or_default().into_iter().collect();
    mask_labels(&mut labels);
    let state = state(item.state?.as_ref());
    let mounts = item.mounts.unwrap_or_default();
    Some(ContainerSummary {
        engine: engine.clone(),
        id: item.id?,
        name: item
            .names
            .unwrap_or_default()
            .first()
            .map(|name| name.trim_start_matches('/').to_owned())
            .unwrap_or_default(),
        image: item.image.unwrap_or_default(),
        image_id: item.image_id.unwrap_or_default(),
        command: item.command.unwrap_or_default(),
        state,
        health: None,
        exit_code: None,
        oom_killed: false,
        state_text: item.status.unwrap_or_default(),
        created_at: item.created.and_then(|s| Timestamp::from_second(s).ok()),
        started_at: None,
        finished_at: None,
        restart_count: 0,
        pid: None,
        ports: item
            .ports
            .unwrap_or_default()
            .into_iter()
            .map(listed_port)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        project: labels.get(PROJECT).cloned(),
        service: labels.get(SERVICE).cloned(),
        labels,
        networks: item
            .network_settings
            .and_then(|settings| settings.networks)
            .map(|networks| {
                networks
                    .into_keys()
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect()
            })
            .unwrap_or_default(),
        volumes: mounts
            .into_iter()
            .filter_map(|mount| mount.name)
            .filter(|name| !name.is_empty())
            .collect(),
        memory_limit_bytes: None,
        cpu_limit_cores: None,
    })
}

/// From a look at a container.
pub(crate) fn from_inspect(
    engine: &EngineName,
    inspect: &models::ContainerInspectResponse,
) -> Option<ContainerSummary> {
    let config = inspect.config.clone().unwrap_or_default();
    let host = inspect.host_config.clone().unwrap_or_default();
    let seen = inspect.state.clone().unwrap_or_default();
    let state = state(&seen.status.map(|s| s.to_string()).unwrap_or_default());
    let runs = matches!(state, ContainerState::Running | ContainerState::Paused);
    let ended = matches!(
        state,
        ContainerState::Exited | ContainerState::Dead | ContainerState::Restarting
    );
    let oom_killed = seen.oom_killed.unwrap_or_default() && !runs;
    let memory_limit_bytes = positive(host.memory);
    let mut labels: BTreeMap<String, String> =
        config.labels.unwrap_or_default().into_iter().collect();
    mask_labels(&mut labels);
    let health =
        seen.health
            .as_ref()
            .and_then(|h| h.status)
            .and_then(|s| match s.to_string().as_str() {
                "starting" => Some(Health::Starting),
                "healthy" => Some(Health::Healthy),
                "unhealthy" => Some(Health::Unhealthy),
                _ => None,
            });
    let exit_code = seen.exit_code.filter(|_| ended);
    let error = seen.error.clone().unwrap_or_default();
    Some(ContainerSummary {
        engine: engine.clone(),
        id: inspect.id.clone()?,
        name: inspect
            .name
            .as_deref()
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned(),
        image: config.image.unwrap_or_default(),
        image_id: inspect.image.clone().unwrap_or_default(),
        command: command_line(inspect.path.as_deref(), inspect.args.as_deref()),
        state,
        health: health.filter(|_| runs),
        exit_code,
        oom_killed,
        state_text: state_text(state, exit_code, oom_killed, memory_limit_bytes, &error),
        created_at: inspect.created.as_deref().and_then(timestamp),
        started_at: seen.started_at.as_deref().and_then(timestamp),
        finished_at: seen
            .finished_at
            .as_deref()
            .and_then(timestamp)
            .filter(|_| !runs),
        restart_count: inspect
            .restart_count
            .and_then(|n| u64::try_from(n).ok())
            .unwrap_or_default(),
        pid: seen
            .pid
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid != 0 && runs),
        ports: ports(inspect),
        project: labels.get(PROJECT).cloned(),
        service: labels.get(SERVICE).cloned(),
        labels,
        networks: inspect
            .network_settings
            .as_ref()
            .and_then(|settings| settings.networks.as_ref())
            .map(|networks| {
                networks
                    .keys()
                    .cloned()
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect()
            })
            .unwrap_or_default(),
        volumes: inspect
            .mounts
            .iter()
            .flatten()
            .filter(|mount| mount.typ.as_ref().is_some_and(|kind| kind == "volume"))
            .filter_map(|mount| mount.name.clone())
            .collect(),
        memory_limit_bytes,
        cpu_limit_cores: cores(&host),
    })
}

/// Processors it may use, by either of Docker's two ways to say it.
pub(crate) fn cores(host: &models::HostConfig) -> Option<f64> {
    if let Some(nano) = positive(host.nano_cpus) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a number of processors is far below 2^52 nanos"
        )]
        return Some(nano as f64 / 1e9);
    }
    let quota = positive(host.cpu_quota)?;
    let period = positive(host.cpu_period).unwrap_or(100_000);
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds of a period are small"
    )]
    Some(quota as f64 / period as f64)
}

pub(crate) fn positive(value: Option<i64>) -> Option<u64> {
    value
        .and_then(|value| u64::try_from(value).ok())
        .filter(|value| *value > 0)
}

/// Reads an engine's time; its zero is no time.
pub(crate) fn timestamp(text: &str) -> Option<Timestamp> {
    text.parse()
        .ok()
        .filter(|time: &Timestamp| time.as_second() > 0)
}

fn state(word: &str) -> ContainerState {
    match word {
        "running" => ContainerState::Running,
        "paused" => ContainerState::Paused,
        "restarting" => ContainerState::Restarting,
        "removing" | "stopping" => ContainerState::Removing,
        "exited" => ContainerState::Exited,
        "created" => ContainerState::Created,
        _ => ContainerState::Dead,
    }
}

/// What its state means, in a few words.
fn state_text(
    state: ContainerState,
    exit_code: Option<i64>,
    oom_killed: bool,
    limit: Option<u64>,
    error: &str,
) -> String {
    match state {
        ContainerState::Running => "Running".to_owned(),
        ContainerState::Paused => "Paused".to_owned(),
        ContainerState::Removing => "Being removed".to_owned(),
        ContainerState::Created if !error.is_empty() => "Could not be started".to_owned(),
        ContainerState::Created => "Never started".to_owned(),
        ContainerState::Restarting | ContainerState::Exited | ContainerState::Dead => {
            let again = if state == ContainerState::Restarting {
                "Restarting; "
            } else {
                ""
            };
            let end = match (oom_killed, exit_code) {
                (true, _) => limit.map_or_else(
                    || "Killed: out of memory".to_owned(),
                    |limit| format!("Killed: out of memory, limit {}", bytes_in_words(limit)),
                ),
                (false, Some(0)) => "Ended by itself".to_owned(),
                (false, Some(code @ 129..=192)) => {
                    format!("Ended by signal {} (exit code {code})", code - 128)
                }
                (false, Some(code)) => format!("Ended with exit code {code}"),
                (false, None) => "Ended".to_owned(),
            };
            format!("{again}{end}")
        }
    }
}

/// A size with a binary unit.
pub(crate) fn bytes_in_words(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if value.fract().abs() < 0.05 {
        format!("{value:.0} {name}")
    } else {
        format!("{value:.1} {name}")
    }
}

fn command_line(path: Option<&str>, args: Option<&[String]>) -> String {
    let quote = |word: &str| {
        if word.is_empty()
            || word.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '$' | '\\'))
        {
            format!("{word:?}")
        } else {
            word.to_owned()
        }
    };
    let line: Vec<String> = path
        .into_iter()
        .chain(args.into_iter().flatten().map(String::as_str))
        .map(quote)
        .collect();
    line.join(" ").chars().take(512).collect()
}

fn listed_port(port: models::PortSummary) -> Port {
    Port {
        container_port: port.private_port,
        host_port: port.public_port.filter(|port| *port != 0),
        host_ip: port.ip.filter(|ip| !ip.is_empty()),
        protocol: protocol(&port.typ.map(|t| t.to_string()).unwrap_or_default()),
    }
}

fn protocol(word: &str) -> Protocol {
    match word {
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => Protocol::Tcp,
    }
}

/// Published ports while it runs, else those that it asks for.
fn ports(inspect: &models::ContainerInspectResponse) -> Vec<Port> {
    let live = inspect
        .network_settings
        .as_ref()
        .and_then(|settings| settings.ports.as_ref())
        .filter(|ports| !ports.is_empty());
    let asked = inspect
        .host_config
        .as_ref()
        .and_then(|host| host.port_bindings.as_ref());
    let mut found = BTreeSet::new();
    for (key, bindings) in live.or(asked).into_iter().flatten() {
        let (number, word) = key.split_once('/').unwrap_or((key, "tcp"));
        let Ok(container_port) = number.parse() else {
            continue;
        };
        let protocol = protocol(word);
        let bindings = bindings.as_deref().unwrap_or_default();
        for binding in bindings {
            found.insert(Port {
                container_port,
                host_port: binding
                    .host_port
                    .as_deref()
                    .and_then(|port| port.parse().ok())
                    .filter(|port| *port != 0),
                host_ip: binding.host_ip.clone().filter(|ip| !ip.is_empty()),
                protocol,
            });
        }
        if bindings.is_empty() {
            found.insert(Port {
                container_port,
                host_port: None,
                host_ip: None,
                protocol,
            });
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspect(json: serde_json::Value) -> ContainerSummary {
        let engine = EngineName::parse("docker").unwrap();
        from_inspect(&engine, &serde_json::from_value(json).unwrap()).unwrap()
    }

    #[test]
    fn an_out_of_memory_kill_is_told_with_its_limit() {
        let row = inspect(serde_json::json!({
            "Id": "a", "Name": "/web", "Path": "sh", "Args": ["-c", "x y"],
            "State": {"Status": "exited", "OOMKilled": true, "ExitCode": 137, "Pid": 0},
            "HostConfig": {"Memory": 33_554_432, "CpuQuota": 50_000, "CpuPeriod": 100_000},
        }));
        assert_eq!(row.state_text, "Killed: out of memory, limit 32 MiB");
        assert_eq!(
            (row.exit_code, row.cpu_limit_cores, row.pid),
            (Some(137), Some(0.5), None)
        );
        assert_eq!(row.command, "sh -c \"x y\"");
    }

    #[test]
    fn a_running_container_has_no_exit_code_and_no_end() {
        let row = inspect(serde_json::json!({
            "Id": "a", "Name": "/web", "State": {"Status": "running", "ExitCode": 0, "Pid": 7,
            "StartedAt": "2026-01-31T10:00:00.1Z", "FinishedAt": "0001-01-01T00:00:00Z"},
            "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "53/udp": null}},
        }));
        assert_eq!(
            (row.exit_code, row.finished_at, row.pid),
            (None, None, Some(7))
        );
        assert_eq!(row.ports.len(), 2);
        assert!(
            row.ports
                .iter()
                .any(|p| p.host_port == Some(8080) && p.host_ip.as_deref() == Some("127.0.0.1"))
        );
    }
}
