//! A container in full, from the engine's inspect answer.

use api::{
    container::{
        ContainerDetail, Health, HealthDetail, HealthProbe, Limits, Mount, MountKind,
        NetworkAttachment, RestartPolicy, RestartPolicyName,
    },
    id::EngineName,
};
use bollard::models;

use crate::{
    mask::env_entry,
    mirror::{cores, from_inspect as row, positive, timestamp},
};

/// Makes the detail; `None` when the engine told no id.
pub(super) fn from_inspect(
    engine: &EngineName,
    inspect: &models::ContainerInspectResponse,
    see_values: bool,
) -> Option<ContainerDetail> {
    let summary = row(engine, inspect)?;
    let config = inspect.config.clone().unwrap_or_default();
    let host = inspect.host_config.clone().unwrap_or_default();
    Some(ContainerDetail {
        exit: None,
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        working_dir: config.working_dir.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        hostname: config.hostname.unwrap_or_default(),
        env: config
            .env
            .unwrap_or_default()
            .iter()
            .map(|variable| env_entry(variable, see_values))
            .collect(),
        tty: config.tty.unwrap_or_default(),
        open_stdin: config.open_stdin.unwrap_or_default(),
        auto_remove: host.auto_remove.unwrap_or_default(),
        stop_signal: config.stop_signal.unwrap_or_default(),
        stop_timeout_s: config.stop_timeout,
        limits: limits(&host),
        restart_policy: host
            .restart_policy
            .as_ref()
            .map(restart_policy)
            .unwrap_or_default(),
        mounts: inspect.mounts.iter().flatten().map(mount).collect(),
        networks: networks(inspect),
        network_mode: host.network_mode.unwrap_or_default(),
        health: health(inspect, config.healthcheck.as_ref()),
        privileged: host.privileged.unwrap_or_default(),
        read_only_rootfs: host.readonly_rootfs.unwrap_or_default(),
        cap_add: host.cap_add.unwrap_or_default(),
        cap_drop: host.cap_drop.unwrap_or_default(),
        security_options: host.security_opt.unwrap_or_default(),
        runtime: host.runtime.unwrap_or_default(),
        log_driver: host.log_config.and_then(|log| log.typ).unwrap_or_default(),
        storage_driver: inspect.driver.clone().unwrap_or_default(),
        platform: inspect.platform.clone().unwrap_or_default(),
        size_writable_bytes: positive(inspect.size_rw),
        summary,
    })
}

fn limits(host: &models::HostConfig) -> Limits {
    Limits {
        memory_bytes: positive(host.memory),
        memory_swap_bytes: host.memory_swap.filter(|swap| *swap != 0),
        memory_reservation_bytes: positive(host.memory_reservation),
        cpus: cores(host),
        cpu_shares: positive(host.cpu_shares),
        cpuset: host.cpuset_cpus.clone().filter(|set| !set.is_empty()),
        pids: positive(host.pids_limit),
        blkio_weight: host.blkio_weight.filter(|weight| *weight != 0),
    }
}

fn restart_policy(policy: &models::RestartPolicy) -> RestartPolicy {
    let name = match policy
        .name
        .map(|name| name.to_string())
        .unwrap_or_default()
        .as_str()
    {
        "always" => RestartPolicyName::Always,
        "on-failure" => RestartPolicyName::OnFailure,
        "unless-stopped" => RestartPolicyName::UnlessStopped,
        _ => RestartPolicyName::No,
    };
    RestartPolicy {
        name,
        maximum_retry_count: positive(policy.maximum_retry_count)
            .and_then(|n| u32::try_from(n).ok()),
    }
}

fn mount(mount: &models::MountPoint) -> Mount {
    let kind = match mount
        .typ
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default()
        .as_str()
    {
        "volume" => MountKind::Volume,
        "bind" => MountKind::Bind,
        "tmpfs" => MountKind::Tmpfs,
        _ => MountKind::Other,
    };
    Mount {
        kind,
        volume: mount.name.clone().filter(|name| !name.is_empty()),
        source: mount.source.clone().unwrap_or_default(),
        target: mount.destination.clone().unwrap_or_default(),
        read_only: !mount.rw.unwrap_or(true),
    }
}

fn networks(inspect: &models::ContainerInspectResponse) -> Vec<NetworkAttachment> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut attached: Vec<NetworkAttachment> = inspect
        .network_settings
        .iter()
        .filter_map(|settings| settings.networks.as_ref())
        .flatten()
        .map(|(name, endpoint)| NetworkAttachment {
            network: name.clone(),
            network_id: endpoint.network_id.clone().unwrap_or_default(),
            ipv4: given(&endpoint.ip_address),
            ipv6: given(&endpoint.global_ipv6_address),
            gateway: given(&endpoint.gateway),
            mac: given(&endpoint.mac_address),
            aliases: endpoint.aliases.clone().unwrap_or_default(),
        })
        .collect();
    attached.sort_by(|a, b| a.network.cmp(&b.network));
    attached
}

fn health(
    inspect: &models::ContainerInspectResponse,
    check: Option<&models::HealthConfig>,
) -> Option<HealthDetail> {
    let health = inspect.state.as_ref()?.health.as_ref()?;
    let status = match health.status?.to_string().as_str() {
        "starting" => Health::Starting,
        "healthy" => Health::Healthy,
        "unhealthy" => Health::Unhealthy,
        _ => return None,
    };
    Some(HealthDetail {
        status,
        failing_streak: positive(health.failing_streak).unwrap_or_default(),
        test: check
            .and_then(|check| check.test.clone())
            .unwrap_or_default(),
        probes: health
            .log
            .iter()
            .flatten()
            .map(|probe| HealthProbe {
                started_at: probe.start.as_deref().and_then(timestamp),
                exit_code: probe.exit_code.unwrap_or_default(),
                output: probe
                    .output
                    .clone()
                    .unwrap_or_default()
                    .chars()
                    .take(4096)
                    .collect(),
            })
            .collect(),
    })
}
