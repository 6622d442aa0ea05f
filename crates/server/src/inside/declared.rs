//! What an engine's record says of a container; nobody looked.

use api::{
    id::EngineName,
    inside::{
        CapabilityFact, CapabilityFacts, Certainty, CgroupFacts, CgroupKnob, ConfinementFact,
        Evidence, Inside, InterfaceFact, LayerFact, MountFact, NamespaceFact,
    },
};
use bollard::models::{ContainerInspectResponse, HostConfig};
use insight::capabilities::DEFAULT;

/// The facts as the API has them.
pub(super) fn inside(
    engine: &EngineName,
    id: String,
    found: &ContainerInspectResponse,
    notes: Vec<String>,
) -> Inside {
    let host = found.host_config.clone().unwrap_or_default();
    Inside {
        engine: engine.clone(),
        time_ms: jiff::Timestamp::now().as_millisecond(),
        certainty: Certainty::Declared,
        notes,
        pid: None,
        namespaces: namespaces(&host, &id),
        cgroup: CgroupFacts {
            mode: String::new(),
            paths: Vec::new(),
            knobs: knobs(&host, &id),
        },
        capabilities: capabilities(&host, &id),
        confinement: confinement(&host, &id),
        id_maps: Vec::new(),
        mounts: mounts(found, &id),
        layers: layers(found, &id),
        processes: Vec::new(),
        interfaces: interfaces(found, &id),
        sockets: Vec::new(),
        id,
    }
}

fn evidence(id: &str, field: &str, sentence: impl Into<String>) -> Evidence {
    let short: String = id.chars().take(12).collect();
    Evidence {
        sentence: sentence.into(),
        source: format!("inspect: {field}"),
        command: format!("docker inspect -f '{{{{json .{field}}}}}' {short}"),
    }
}

fn namespaces(host: &HostConfig, id: &str) -> Vec<NamespaceFact> {
    let cgroup = host.cgroupns_mode.map(|mode| mode.to_string());
    let modes = [
        (
            "pid",
            "HostConfig.PidMode",
            host.pid_mode.as_deref(),
            "its processes see and signal only each other",
        ),
        (
            "net",
            "HostConfig.NetworkMode",
            host.network_mode.as_deref(),
            "it has its own interfaces, addresses and ports",
        ),
        (
            "ipc",
            "HostConfig.IpcMode",
            host.ipc_mode.as_deref(),
            "shared memory of others is out of its sight",
        ),
        (
            "uts",
            "HostConfig.UTSMode",
            host.uts_mode.as_deref(),
            "it has its own host name",
        ),
        (
            "user",
            "HostConfig.UsernsMode",
            host.userns_mode.as_deref(),
            "where the engine maps users, its root is an ordinary user outside",
        ),
        (
            "cgroup",
            "HostConfig.CgroupnsMode",
            cgroup.as_deref(),
            "it sees its own control group as the top",
        ),
        ("mnt", "Id", Some("private"), "it has its own tree of files"),
    ];
    modes
        .into_iter()
        .map(|(kind, field, mode, own)| {
            let mode = mode.unwrap_or_default();
            let shared = mode == "host";
            let sentence = match mode {
                "host" => "Declared to be the host's own: nothing is kept apart here.".to_owned(),
                mode if mode.starts_with("container:") => {
                    format!("Declared to be shared with another container ({mode}).")
                }
                _ => format!("Declared to be its own: {own}."),
            };
            NamespaceFact {
                kind: kind.to_owned(),
                inode: None,
                host_inode: None,
                shared_with_host: shared,
                evidence: evidence(id, field, sentence),
            }
        })
        .collect()
}

fn knobs(host: &HostConfig, id: &str) -> Vec<CgroupKnob> {
    let positive = |value: Option<i64>| {
        value
            .and_then(|value| u64::try_from(value).ok())
            .filter(|value| *value > 0)
    };
    let cpu = positive(host.nano_cpus)
        .map(|nano| nano as f64 / 1e9)
        .or_else(|| {
            Some(
                positive(host.cpu_quota)? as f64
                    / positive(host.cpu_period).unwrap_or(100_000) as f64,
            )
        });
    let bytes = |value: Option<u64>| value.map(insight::text::bytes);
    let rows = [
        (
            "memory",
            "Memory limit",
            "HostConfig.Memory",
            bytes(positive(host.memory)),
            "Beyond it the kernel kills in the container.",
        ),
        (
            "memory",
            "Memory and swap",
            "HostConfig.MemorySwap",
            bytes(positive(host.memory_swap)),
            "Both together may not be more.",
        ),
        (
            "cpu",
            "CPU quota",
            "HostConfig.NanoCpus",
            cpu.map(|cores| format!("{cores} CPUs")),
            "When it is used up the container waits.",
        ),
        (
            "pids",
            "Process limit",
            "HostConfig.PidsLimit",
            positive(host.pids_limit).map(|n| n.to_string()),
            "It stops a fork bomb at the container's edge.",
        ),
    ];
    rows.into_iter()
        .map(|(controller, title, field, limit, sentence)| CgroupKnob {
            controller: controller.to_owned(),
            title: title.to_owned(),
            limit: limit.unwrap_or_else(|| "none".to_owned()),
            current: None,
            used_percent: None,
            evidence: evidence(id, field, sentence),
        })
        .collect()
}

fn capabilities(host: &HostConfig, id: &str) -> CapabilityFacts {
    let normal = |name: &str| format!("CAP_{}", name.trim_start_matches("CAP_").to_uppercase());
    let set = |names: &Option<Vec<String>>| -> Vec<String> {
        names.iter().flatten().map(|name| normal(name)).collect()
    };
    let (added, dropped) = (set(&host.cap_add), set(&host.cap_drop));
    let privileged = host.privileged.unwrap_or_default();
    let has = |name: &str| {
        privileged
            || added.iter().any(|add| add == name || add == "CAP_ALL")
            || (DEFAULT.contains(&name)
                && !dropped.iter().any(|drop| drop == name || drop == "CAP_ALL"))
    };
    let sentence = if privileged {
        "Declared as privileged: it is given every capability."
    } else {
        "Declared: Docker's default set with what was added and dropped; an engine may give less."
    };
    CapabilityFacts {
        capabilities: insight::capabilities::all()
            .map(|capability| CapabilityFact {
                name: capability.name.to_owned(),
                effective: has(capability.name),
                bounding: has(capability.name),
                sentence: capability.sentence.to_owned(),
            })
            .collect(),
        evidence: evidence(id, "HostConfig.CapAdd", sentence),
    }
}

fn confinement(host: &HostConfig, id: &str) -> Vec<ConfinementFact> {
    let options: Vec<&str> = host
        .security_opt
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let privileged = host.privileged.unwrap_or_default();
    let has = |wanted: &[&str]| options.iter().any(|option| wanted.contains(option));
    let unfiltered = privileged || has(&["seccomp=unconfined", "seccomp:unconfined"]);
    let sealed = has(&[
        "no-new-privileges",
        "no-new-privileges=true",
        "no-new-privileges:true",
    ]);
    let read_only = host.readonly_rootfs.unwrap_or_default();
    let fact =
        |kind: &str, title: &str, value: &str, protects: bool, field: &str, sentence: &str| {
            ConfinementFact {
                kind: kind.to_owned(),
                title: title.to_owned(),
                value: value.to_owned(),
                protects,
                evidence: evidence(id, field, sentence),
            }
        };
    vec![
        fact(
            "seccomp",
            "System call filter",
            if unfiltered {
                "off"
            } else {
                "the engine's default"
            },
            !unfiltered,
            "HostConfig.SecurityOpt",
            "It refuses system calls that programs in containers do not need.",
        ),
        fact(
            "no_new_privs",
            "No new privileges",
            if sealed { "on" } else { "not asked for" },
            sealed,
            "HostConfig.SecurityOpt",
            "When on, no program inside gains rights by setuid bits. Mini has it on without being asked.",
        ),
        fact(
            "read_only_root",
            "Read-only root",
            if read_only { "on" } else { "off" },
            read_only,
            "HostConfig.ReadonlyRootfs",
            "When on, nothing can be written outside volumes.",
        ),
    ]
}

fn mounts(found: &ContainerInspectResponse, id: &str) -> Vec<MountFact> {
    found
        .mounts
        .iter()
        .flatten()
        .map(|mount| {
            let read_only = mount.rw == Some(false);
            let kind = mount.typ.clone().unwrap_or_default();
            let sentence = match (kind.as_str(), read_only) {
                ("volume", _) => "A volume: what is in it stays when the container is removed.",
                ("bind", true) => "A directory or file of the host that can be read.",
                ("bind", false) => {
                    "A directory or file of the host that can be changed from inside."
                }
                _ => "A mount of its own.",
            };
            MountFact {
                target: mount.destination.clone().unwrap_or_default(),
                source: mount
                    .name
                    .clone()
                    .or_else(|| mount.source.clone())
                    .unwrap_or_default(),
                file_system: kind,
                options: if read_only { "ro" } else { "rw" }.to_owned(),
                read_only,
                evidence: evidence(id, "Mounts", sentence),
            }
        })
        .collect()
}

fn layers(found: &ContainerInspectResponse, id: &str) -> Vec<LayerFact> {
    let data = found.graph_driver.as_ref().map(|driver| &driver.data);
    let directories = |key: &str| {
        data.and_then(|data| data.get(key))
            .map(|text| text.split(':'))
            .into_iter()
            .flatten()
    };
    let upper = directories("UpperDir").map(|path| (true, path));
    let lower = directories("LowerDir").map(|path| (false, path));
    (0..)
        .zip(upper.chain(lower))
        .map(|(position, (writable, path))| LayerFact {
            position,
            writable,
            path: path.to_owned(),
            size_bytes: None,
            evidence: evidence(
                id,
                "GraphDriver.Data",
                if writable {
                    "What the container changed or added; it goes away with the container."
                } else {
                    "A layer of the image; many containers share it."
                },
            ),
        })
        .collect()
}

fn interfaces(found: &ContainerInspectResponse, id: &str) -> Vec<InterfaceFact> {
    let networks = found
        .network_settings
        .as_ref()
        .and_then(|settings| settings.networks.as_ref());
    networks
        .into_iter()
        .flatten()
        .map(|(name, endpoint)| {
            let address = endpoint
                .ip_address
                .clone()
                .filter(|address| !address.is_empty());
            let prefix = endpoint.ip_prefix_len.unwrap_or_default();
            InterfaceFact {
                name: name.clone(),
                mac: endpoint.mac_address.clone().filter(|mac| !mac.is_empty()),
                addresses: address
                    .map(|address| format!("{address}/{prefix}"))
                    .into_iter()
                    .collect(),
                received_bytes_total: 0,
                transmitted_bytes_total: 0,
                evidence: evidence(
                    id,
                    "NetworkSettings.Networks",
                    format!("Declared to be on network {name}."),
                ),
            }
        })
        .collect()
}
