//! Facts of the kernel with the sentences that say what they mean.

use api::{
    id::EngineName,
    inside::{
        CapabilityFact, CapabilityFacts, Certainty, CgroupFacts, CgroupKnob, CgroupPath,
        ConfinementFact, Evidence, IdMapFact, Inside, InterfaceFact, LayerFact, MountFact,
        NamespaceFact, ProcessFact, SocketFact,
    },
};
use observe::inside::{Fact, IdRange};

/// The facts as the API has them.
pub(super) fn inside(engine: &EngineName, id: String, read: &observe::Inside) -> Inside {
    Inside {
        engine: engine.clone(),
        id,
        time_ms: read.time_ms,
        certainty: Certainty::Measured,
        notes: notes(read),
        pid: Some(read.pid),
        namespaces: namespaces(read),
        cgroup: cgroup(read),
        capabilities: capabilities(read),
        confinement: confinement(read),
        id_maps: id_maps(&read.uid_map, false)
            .into_iter()
            .chain(id_maps(&read.gid_map, true))
            .collect(),
        mounts: mounts(read),
        layers: layers(read),
        processes: processes(read),
        interfaces: interfaces(read),
        sockets: sockets(read),
    }
}

/// What could not be read, each with its reason.
fn notes(read: &observe::Inside) -> Vec<String> {
    let note = |what: &str, reason: &Option<String>| {
        Some(format!("{what} could not be read: {}", reason.as_ref()?))
    };
    [
        note("Control groups", &read.cgroups.unreadable),
        note("Capabilities", &read.capabilities.unreadable),
        note("User ids", &read.uid_map.unreadable),
        note("Mounts", &read.mounts.unreadable),
        note("Layers", &read.layers.unreadable),
        note("Processes", &read.processes.unreadable),
        note("Network interfaces", &read.interfaces.unreadable),
        note("Listening sockets", &read.sockets.unreadable),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn evidence<T>(fact: &Fact<T>, sentence: impl Into<String>) -> Evidence {
    Evidence {
        sentence: sentence.into(),
        source: fact.file.clone(),
        command: fact.command.clone(),
    }
}

fn namespaces(read: &observe::Inside) -> Vec<NamespaceFact> {
    read.namespaces
        .iter()
        .map(|namespace| NamespaceFact {
            kind: namespace.kind.link().to_owned(),
            inode: namespace.inode.value,
            host_inode: namespace.host_inode,
            shared_with_host: namespace.shared_with_host.unwrap_or(false),
            evidence: evidence(
                &namespace.inode,
                insight::namespaces::sentence(namespace.kind, namespace.shared_with_host),
            ),
        })
        .collect()
}

fn cgroup(read: &observe::Inside) -> CgroupFacts {
    let paths = read.cgroups.value.iter().flatten().map(|path| CgroupPath {
        controllers: path.controllers.join(","),
        version: path.version,
        path: path.directory.clone(),
        evidence: evidence(&read.cgroups, insight::limits::path_sentence(path)),
    });
    let knobs = read.knobs.iter().map(|knob| {
        let text = insight::limits::describe(knob);
        CgroupKnob {
            controller: knob.controller.clone(),
            title: text.title.to_owned(),
            limit: text.limit,
            current: text.current,
            used_percent: text.used_percent,
            evidence: evidence(&knob.limit, text.sentence),
        }
    });
    CgroupFacts {
        mode: read.cgroup_mode.clone(),
        paths: paths.collect(),
        knobs: knobs.collect(),
    }
}

fn capabilities(read: &observe::Inside) -> CapabilityFacts {
    let sets = read.capabilities.value.clone().unwrap_or_default();
    let known = insight::capabilities::all().map(|capability| CapabilityFact {
        name: capability.name.to_owned(),
        effective: sets.effective.iter().any(|name| name == capability.name),
        bounding: sets.bounding.iter().any(|name| name == capability.name),
        sentence: capability.sentence.to_owned(),
    });
    CapabilityFacts {
        // Nothing is said of a set that could not be read.
        capabilities: if read.capabilities.value.is_some() {
            known.collect()
        } else {
            Vec::new()
        },
        evidence: evidence(&read.capabilities, insight::capabilities::sentence(&sets)),
    }
}

fn confinement(read: &observe::Inside) -> Vec<ConfinementFact> {
    insight::confinement::walls(read)
        .into_iter()
        .map(|wall| ConfinementFact {
            kind: wall.kind.to_owned(),
            title: wall.title.to_owned(),
            value: wall.value,
            protects: wall.protects,
            evidence: Evidence {
                sentence: wall.sentence,
                source: wall.file,
                command: wall.command,
            },
        })
        .collect()
}

fn id_maps(fact: &Fact<Vec<IdRange>>, groups: bool) -> Vec<IdMapFact> {
    let ranges = fact.value.iter().flatten();
    ranges
        .map(|range| IdMapFact {
            kind: if groups { "gid" } else { "uid" }.to_owned(),
            inside: range.inside,
            outside: range.outside,
            count: range.count,
            evidence: evidence(fact, insight::confinement::id_range_sentence(range, groups)),
        })
        .collect()
}

fn mounts(read: &observe::Inside) -> Vec<MountFact> {
    let mounts = read.mounts.value.iter().flatten();
    mounts
        .map(|mount| MountFact {
            target: mount.target.clone(),
            source: mount.source.clone(),
            file_system: mount.file_system.clone(),
            options: mount.options.join(","),
            read_only: mount.read_only,
            evidence: evidence(&read.mounts, insight::filesystem::mount_sentence(mount)),
        })
        .collect()
}

fn layers(read: &observe::Inside) -> Vec<LayerFact> {
    let layers = (0..).zip(read.layers.value.iter().flatten());
    layers
        .map(|(position, layer)| LayerFact {
            position,
            writable: layer.writable,
            path: layer.directory.clone(),
            size_bytes: layer.size_bytes,
            evidence: evidence(&read.layers, insight::filesystem::layer_sentence(layer)),
        })
        .collect()
}

fn processes(read: &observe::Inside) -> Vec<ProcessFact> {
    let processes = read.processes.value.iter().flatten();
    processes
        .map(|process| ProcessFact {
            pid: process.pid,
            inner_pid: process.inner_pid,
            parent_pid: process.parent_pid,
            uid: process.uid,
            state: state_in_words(process.state),
            command: process.command.clone(),
            threads: process.threads,
            memory_bytes: process.memory_bytes,
        })
        .collect()
}

/// Source: `man 5 proc_pid_stat`, state.
fn state_in_words(state: char) -> String {
    match state {
        'R' => "running".to_owned(),
        'S' => "sleeping".to_owned(),
        'D' => "waiting for a disk".to_owned(),
        'Z' => "ended, not yet collected".to_owned(),
        'T' | 't' => "stopped".to_owned(),
        'I' => "idle".to_owned(),
        other => other.to_string(),
    }
}

fn interfaces(read: &observe::Inside) -> Vec<InterfaceFact> {
    let interfaces = read.interfaces.value.iter().flatten();
    interfaces
        .map(|interface| InterfaceFact {
            name: interface.name.clone(),
            mac: interface.mac.clone(),
            addresses: interface.addresses.clone(),
            received_bytes_total: interface.received_bytes_total,
            transmitted_bytes_total: interface.sent_bytes_total,
            evidence: evidence(
                &read.interfaces,
                insight::network::interface_sentence(interface),
            ),
        })
        .collect()
}

fn sockets(read: &observe::Inside) -> Vec<SocketFact> {
    let sockets = read.sockets.value.iter().flatten();
    sockets
        .map(|socket| SocketFact {
            protocol: socket.protocol.clone(),
            address: socket.address.clone(),
            port: socket.port,
            evidence: evidence(&read.sockets, insight::network::socket_sentence(socket)),
        })
        .collect()
}
