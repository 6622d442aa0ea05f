//! A create request: checked field by field, then written anew as the engine's own type.

use std::collections::HashMap;

use api::{
    container::{
        ContainerCreateRequest, Limits, MountRequest, MountRequestKind, Protocol, RestartPolicy,
        RestartPolicyName,
    },
    id::{ContainerId, ImageId, VolumeName},
    problem::FieldError,
};
use bollard::models;

/// Least memory that an engine takes, in bytes.
const LEAST_MEMORY_BYTES: u64 = 6 * 1024 * 1024;

/// Checks every field; returns what is wrong with them.
pub(crate) fn check(request: &ContainerCreateRequest) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut wrong = |field: &str, message: &str| {
        errors.push(FieldError {
            field: field.to_owned(),
            message: message.to_owned(),
        });
    };
    if request.image.is_empty() {
        wrong("image", "is needed");
    } else if let Err(invalid) = ImageId::parse(&request.image) {
        wrong("image", &format!("must be {}", invalid.rule));
    }
    if let Some(name) = &request.name
        && (ContainerId::parse(name).is_err() || name.len() < 2)
    {
        wrong(
            "name",
            "must be at least 2 of letters, digits, '_', '.' and '-', starting with a letter or digit",
        );
    }
    for (number, variable) in request.env.iter().enumerate() {
        if variable.key.is_empty()
            || variable.key.contains(['=', '\0'])
            || variable.value.contains('\0')
        {
            wrong(&format!("env[{number}].key"), "must be a name without '='");
        }
    }
    for (field, value) in [
        ("working_dir", &request.working_dir),
        ("user", &request.user),
        ("hostname", &request.hostname),
    ] {
        if value
            .as_ref()
            .is_some_and(|value| value.contains(['\0', '\n']))
        {
            wrong(field, "must be one line");
        }
    }
    if request
        .working_dir
        .as_ref()
        .is_some_and(|path| !path.is_empty() && !path.starts_with('/'))
    {
        wrong("working_dir", "must be an absolute path");
    }
    for (field, words) in [
        ("command", &request.command),
        ("entrypoint", &request.entrypoint),
    ] {
        if words.iter().flatten().any(|word| word.contains('\0')) {
            wrong(field, "must not hold a zero byte");
        }
    }
    for (number, port) in request.ports.iter().enumerate() {
        if port.container_port == 0 {
            wrong(
                &format!("ports[{number}].container_port"),
                "must be 1 to 65535",
            );
        }
        if port
            .host_ip
            .as_ref()
            .is_some_and(|ip| ip.parse::<std::net::IpAddr>().is_err())
        {
            wrong(
                &format!("ports[{number}].host_ip"),
                "must be an address such as 127.0.0.1",
            );
        }
        let taken = port.host_port.is_some()
            && request.ports.iter().take(number).any(|other| {
                (other.host_port, other.protocol, &other.host_ip)
                    == (port.host_port, port.protocol, &port.host_ip)
            });
        if taken {
            wrong(&format!("ports[{number}].host_port"), "is published twice");
        }
    }
    for (number, mount) in request.mounts.iter().enumerate() {
        check_mount(number, mount, &request.mounts, &mut errors);
    }
    if let Some(network) = &request.network
        && !network
            .strip_prefix("container:")
            .map_or_else(|| ContainerId::parse(network), ContainerId::parse)
            .is_ok_and(|_| true)
    {
        errors.push(FieldError {
            field: "network".to_owned(),
            message: "must be bridge, host, none or a network's name".to_owned(),
        });
    }
    for (field, names) in [
        ("cap_add", &request.cap_add),
        ("cap_drop", &request.cap_drop),
    ] {
        for name in names {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                errors.push(FieldError {
                    field: field.to_owned(),
                    message: format!("{name:?} is not a capability"),
                });
            }
        }
    }
    if request
        .pid_mode
        .as_deref()
        .is_some_and(|mode| !matches!(mode, "" | "host"))
    {
        errors.push(FieldError {
            field: "pid_mode".to_owned(),
            message: "must be host".to_owned(),
        });
    }
    check_limits(&request.limits, &mut errors);
    check_restart_policy(&request.restart_policy, request.auto_remove, &mut errors);
    errors
}

fn check_mount(
    number: usize,
    mount: &MountRequest,
    all: &[MountRequest],
    errors: &mut Vec<FieldError>,
) {
    let mut wrong = |field: &str, message: &str| {
        errors.push(FieldError {
            field: format!("mounts[{number}].{field}"),
            message: message.to_owned(),
        });
    };
    let is_inside = mount.target.starts_with('/')
        && mount.target != "/"
        && !mount.target.split('/').any(|part| part == "..")
        && !mount.target.contains('\0');
    if !is_inside {
        wrong("target", "must be an absolute path other than /");
    } else if all
        .iter()
        .take(number)
        .any(|other| other.target == mount.target)
    {
        wrong("target", "is mounted twice");
    }
    match (mount.kind, mount.source.as_deref()) {
        (MountRequestKind::Volume, Some(name))
            if !name.is_empty() && VolumeName::parse(name).is_err() =>
        {
            wrong(
                "source",
                "must be a volume's name: letters, digits, '_', '.' and '-'",
            );
        }
        (MountRequestKind::Bind, source)
            if !source.is_some_and(|path| path.starts_with('/') && !path.contains('\0')) =>
        {
            wrong("source", "must be an absolute path on the engine's machine");
        }
        (MountRequestKind::Tmpfs, Some(source)) if !source.is_empty() => {
            wrong("source", "must be empty for a tmpfs");
        }
        _ => {}
    }
}

/// Checks limits.
pub(crate) fn check_limits(limits: &Limits, errors: &mut Vec<FieldError>) {
    let mut wrong = |field: &str, message: String| {
        errors.push(FieldError {
            field: format!("limits.{field}"),
            message,
        });
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if limits
        .memory_bytes
        .is_some_and(|bytes| bytes < LEAST_MEMORY_BYTES || i64::try_from(bytes).is_err())
    {
        wrong("memory_bytes", "must be at least 6 MiB".to_owned());
    }
    if let Some(swap) = limits.memory_swap_bytes {
        match limits
            .memory_bytes
            .and_then(|bytes| i64::try_from(bytes).ok())
        {
            None => wrong("memory_swap_bytes", "needs a memory limit, too".to_owned()),
            Some(memory) if swap != -1 && swap < memory => {
                wrong("memory_swap_bytes", "counts memory and swap together, so it must be at least the memory limit, or -1".to_owned());
            }
            Some(_) => {}
        }
    }
    if let (Some(reserved), Some(memory)) = (limits.memory_reservation_bytes, limits.memory_bytes)
        && reserved > memory
    {
        wrong(
            "memory_reservation_bytes",
            "must not be above the memory limit".to_owned(),
        );
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of processors")]
    if limits
        .cpus
        .is_some_and(|cpus| !cpus.is_finite() || cpus < 0.01 || cpus > cores.max(1024) as f64)
    {
        wrong("cpus", "must be at least 0.01".to_owned());
    }
    if limits
        .cpu_shares
        .is_some_and(|shares| !(2..=262_144).contains(&shares))
    {
        wrong("cpu_shares", "must be 2 to 262144".to_owned());
    }
    if limits
        .pids
        .is_some_and(|pids| pids == 0 || i64::try_from(pids).is_err())
    {
        wrong("pids", "must be at least 1".to_owned());
    }
    if limits
        .blkio_weight
        .is_some_and(|weight| !(10..=1000).contains(&weight))
    {
        wrong("blkio_weight", "must be 10 to 1000".to_owned());
    }
    if limits.cpuset.as_deref().is_some_and(|set| {
        set.is_empty()
            || !set
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b',' | b'-'))
    }) {
        wrong("cpuset", "must be a list such as 0-1,3".to_owned());
    }
}

/// Checks a restart policy.
pub(crate) fn check_restart_policy(
    policy: &RestartPolicy,
    auto_remove: bool,
    errors: &mut Vec<FieldError>,
) {
    if policy.maximum_retry_count.is_some() && policy.name != RestartPolicyName::OnFailure {
        errors.push(FieldError {
            field: "restart_policy.maximum_retry_count".to_owned(),
            message: "goes with on_failure only".to_owned(),
        });
    }
    if auto_remove && policy.name != RestartPolicyName::No {
        errors.push(FieldError {
            field: "restart_policy.name".to_owned(),
            message: "cannot go with removal at the end".to_owned(),
        });
    }
}

/// Writes the request anew as the engine's own type.
pub(crate) fn body(request: &ContainerCreateRequest) -> models::ContainerCreateBody {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut host = limits(&request.limits);
    host.restart_policy = Some(restart_policy(&request.restart_policy));
    host.auto_remove = Some(request.auto_remove);
    host.init = request.init.then_some(true);
    host.readonly_rootfs = Some(request.read_only_rootfs);
    host.privileged = Some(request.privileged);
    host.cap_add = (!request.cap_add.is_empty()).then(|| request.cap_add.clone());
    host.cap_drop = (!request.cap_drop.is_empty()).then(|| request.cap_drop.clone());
    host.pid_mode = given(&request.pid_mode);
    host.network_mode = given(&request.network);
    host.mounts = (!request.mounts.is_empty()).then(|| request.mounts.iter().map(mount).collect());
    let mut bindings: models::PortMap = HashMap::new();
    for port in &request.ports {
        let protocol = match port.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        let binding = models::PortBinding {
            host_ip: given(&port.host_ip),
            host_port: Some(
                port.host_port
                    .map(|port| port.to_string())
                    .unwrap_or_default(),
            ),
        };
        bindings
            .entry(format!("{}/{protocol}", port.container_port))
            .or_default()
            .get_or_insert_default()
            .push(binding);
    }
    let exposed_ports = bindings.keys().cloned().collect::<Vec<_>>();
    host.port_bindings = (!bindings.is_empty()).then_some(bindings);
    models::ContainerCreateBody {
        image: Some(request.image.clone()),
        cmd: request.command.clone().filter(|words| !words.is_empty()),
        entrypoint: request.entrypoint.clone().filter(|words| !words.is_empty()),
        working_dir: given(&request.working_dir),
        user: given(&request.user),
        hostname: given(&request.hostname),
        env: (!request.env.is_empty()).then(|| {
            request
                .env
                .iter()
                .map(|v| format!("{}={}", v.key, v.value))
                .collect()
        }),
        labels: (!request.labels.is_empty()).then(|| request.labels.clone().into_iter().collect()),
        tty: Some(request.tty),
        open_stdin: Some(request.open_stdin),
        exposed_ports: (!exposed_ports.is_empty()).then_some(exposed_ports),
        host_config: Some(host),
        ..Default::default()
    }
}

/// Limits as the engine takes them.
pub(crate) fn limits(limits: &Limits) -> models::HostConfig {
    let signed = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked: between 0.01 and a number of processors"
    )]
    let nano_cpus = limits.cpus.map(|cpus| (cpus * 1e9).round() as i64);
    models::HostConfig {
        memory: signed(limits.memory_bytes),
        memory_swap: limits.memory_swap_bytes,
        memory_reservation: signed(limits.memory_reservation_bytes),
        nano_cpus,
        cpu_shares: signed(limits.cpu_shares),
        cpuset_cpus: limits.cpuset.clone(),
        pids_limit: signed(limits.pids),
        blkio_weight: limits.blkio_weight,
        ..Default::default()
    }
}

/// A restart policy as the engine takes it.
pub(crate) fn restart_policy(policy: &RestartPolicy) -> models::RestartPolicy {
    let name = match policy.name {
        RestartPolicyName::No => models::RestartPolicyNameEnum::NO,
        RestartPolicyName::OnFailure => models::RestartPolicyNameEnum::ON_FAILURE,
        RestartPolicyName::Always => models::RestartPolicyNameEnum::ALWAYS,
        RestartPolicyName::UnlessStopped => models::RestartPolicyNameEnum::UNLESS_STOPPED,
    };
    models::RestartPolicy {
        name: Some(name),
        maximum_retry_count: policy.maximum_retry_count.map(i64::from),
    }
}

fn mount(mount: &MountRequest) -> models::Mount {
    let source = mount.source.clone().filter(|source| !source.is_empty());
    let (typ, tmpfs_options) = match mount.kind {
        MountRequestKind::Volume => (models::MountType::VOLUME, None),
        MountRequestKind::Bind => (models::MountType::BIND, None),
        MountRequestKind::Tmpfs => {
            let size_bytes = mount.size_bytes.and_then(|bytes| i64::try_from(bytes).ok());
            (
                models::MountType::TMPFS,
                Some(models::MountTmpfsOptions {
                    size_bytes,
                    ..Default::default()
                }),
            )
        }
    };
    models::Mount {
        target: Some(mount.target.clone()),
        source,
        typ: Some(typ),
        read_only: Some(mount.read_only),
        tmpfs_options,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use api::container::{EnvVar, PortRequest};
    use proptest::prelude::*;

    use super::*;

    fn request() -> ContainerCreateRequest {
        ContainerCreateRequest {
            image: "busybox".to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn each_wrong_field_is_named_in_its_place() {
        let mut bad = request();
        bad.name = Some("-x".into());
        bad.env = vec![EnvVar {
            key: "A=".into(),
            value: String::new(),
        }];
        bad.ports = vec![PortRequest {
            container_port: 0,
            host_ip: Some("nowhere".into()),
            ..Default::default()
        }];
        bad.mounts = vec![MountRequest {
            target: "../x".into(),
            ..Default::default()
        }];
        bad.limits = Limits {
            memory_bytes: Some(1),
            cpus: Some(0.0),
            pids: Some(0),
            ..Default::default()
        };
        bad.restart_policy = RestartPolicy {
            name: RestartPolicyName::Always,
            maximum_retry_count: Some(3),
        };
        let mut fields: Vec<String> = check(&bad).into_iter().map(|error| error.field).collect();
        fields.sort();
        assert_eq!(
            fields,
            [
                "env[0].key",
                "limits.cpus",
                "limits.memory_bytes",
                "limits.pids",
                "mounts[0].target",
                "name",
                "ports[0].container_port",
                "ports[0].host_ip",
                "restart_policy.maximum_retry_count",
            ]
        );
        assert_eq!(check(&request()), []);
    }

    fn requests() -> impl Strategy<Value = ContainerCreateRequest> {
        let port = (
            any::<u16>(),
            any::<Option<u16>>(),
            proptest::option::of("[0-9.:a]{0,12}"),
        )
            .prop_map(|(container_port, host_port, host_ip)| PortRequest {
                container_port,
                host_port,
                host_ip,
                protocol: Protocol::Udp,
            });
        let mount = (
            "[a-z./]{0,6}",
            proptest::option::of("[a-z./]{0,6}"),
            any::<Option<u64>>(),
        )
            .prop_map(|(target, source, size_bytes)| MountRequest {
                target,
                source,
                size_bytes,
                ..MountRequest::default()
            });
        let limits = (
            any::<Option<u64>>(),
            any::<Option<i64>>(),
            any::<Option<f64>>(),
            any::<Option<u64>>(),
            any::<Option<u16>>(),
        )
            .prop_map(
                |(memory_bytes, memory_swap_bytes, cpus, pids, blkio_weight)| Limits {
                    memory_bytes,
                    memory_swap_bytes,
                    cpus,
                    pids,
                    blkio_weight,
                    ..Limits::default()
                },
            );
        let ports = proptest::collection::vec(port, 0..4);
        let mounts = proptest::collection::vec(mount, 0..3);
        ("[a-zA-Z:/]{0,8}", ports, mounts, limits).prop_map(|(image, ports, mounts, limits)| {
            ContainerCreateRequest {
                image,
                ports,
                mounts,
                limits,
                ..ContainerCreateRequest::default()
            }
        })
    }

    proptest::proptest! {
        #[test]
        fn what_passes_the_checks_reaches_the_engine_whole(request in requests()) {
            let errors = check(&request);
            let told = body(&request);
            if errors.is_empty() {
                let host = told.host_config.unwrap();
                let limits = &request.limits;
                proptest::prop_assert_eq!(host.memory.map(i64::cast_unsigned), limits.memory_bytes);
                proptest::prop_assert_eq!(host.pids_limit.map(i64::cast_unsigned), limits.pids);
                proptest::prop_assert!(host.nano_cpus.is_none_or(|nano| nano >= 10_000_000));
                let published: usize = host
                    .port_bindings
                    .iter()
                    .flat_map(HashMap::values)
                    .flatten()
                    .map(Vec::len)
                    .sum();
                proptest::prop_assert_eq!(published, request.ports.len());
                for mount in host.mounts.iter().flatten() {
                    proptest::prop_assert!(mount.target.as_deref().is_some_and(|path| path.starts_with('/')));
                }
            } else {
                // Each names a field that is in the request.
                let json = serde_json::to_value(&request).unwrap();
                for error in errors {
                    let first = error.field.split(['.', '[']).next().unwrap_or_default();
                    proptest::prop_assert!(json.get(first).is_some(), "{}", error.field);
                }
            }
        }
    }

    #[test]
    fn what_was_asked_is_what_the_engine_gets() {
        let mut good = request();
        good.ports = vec![PortRequest {
            container_port: 80,
            host_port: Some(8080),
            host_ip: Some("127.0.0.1".into()),
            protocol: Protocol::Tcp,
        }];
        good.limits = Limits {
            memory_bytes: Some(64 << 20),
            cpus: Some(0.5),
            ..Default::default()
        };
        let body = body(&good);
        let host = body.host_config.unwrap();
        assert_eq!(
            (host.memory, host.nano_cpus, host.privileged),
            (Some(64 << 20), Some(500_000_000), Some(false))
        );
        assert_eq!(
            host.port_bindings.unwrap()["80/tcp"].as_ref().unwrap()[0]
                .host_port
                .as_deref(),
            Some("8080")
        );
    }
}
