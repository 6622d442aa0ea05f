//! What works on this host and on each engine, what does not, why, and what would make it work.

use api::{
    capability::{Capability, HostInfo},
    engine::{EngineDetails, EngineState},
};

fn works(id: &str, title: &str) -> Capability {
    Capability {
        id: id.into(),
        title: title.into(),
        available: true,
        degraded: false,
        reason: None,
        hint: None,
    }
}

fn lacks(id: &str, title: &str, reason: &str, hint: &str) -> Capability {
    let (reason, hint) = (Some(reason.into()), Some(hint.into()));
    Capability {
        id: id.into(),
        title: title.into(),
        available: false,
        degraded: false,
        reason,
        hint,
    }
}

fn differs(id: &str, title: &str, reason: &str, hint: &str) -> Capability {
    Capability {
        available: true,
        degraded: true,
        ..lacks(id, title, reason, hint)
    }
}

/// What works on an engine.
pub(crate) fn of_engine(
    state: EngineState,
    details: Option<&EngineDetails>,
    local: bool,
) -> Vec<Capability> {
    let mut found = Vec::new();
    let life_cycle = "Containers: make, start, stop, watch, remove";
    found.push(match state {
        EngineState::Connected => works("containers", life_cycle),
        EngineState::Starting => lacks(
            "containers",
            life_cycle,
            "the engine is being connected to",
            "wait a moment",
        ),
        EngineState::Unreachable | EngineState::Absent => lacks(
            "containers",
            life_cycle,
            "the engine is not connected",
            "see the engine's own reason",
        ),
    });
    let root = is_root();
    found.push(if !cfg!(target_os = "linux") {
        differs(
            "inside",
            "Inside: what the kernel says of a container",
            "this server does not run on Linux, so the engine's word is all there is",
            "run the server on the engine's own Linux machine",
        )
    } else if !local {
        differs(
            "inside",
            "Inside: what the kernel says of a container",
            "the engine is on another machine, so its settings are declared, not measured",
            "run the server on the engine's own machine",
        )
    } else if !root {
        differs(
            "inside",
            "Inside: what the kernel says of a container",
            "the server is not root and may not look into other users' processes",
            "run the server as root",
        )
    } else {
        works("inside", "Inside: what the kernel says of a container")
    });
    found.push(if local && cfg!(target_os = "linux") {
        works("figures", "Figures once a second, read from the kernel")
    } else {
        differs(
            "figures",
            "Figures",
            "they come from the engine's own stream",
            "run the server on the engine's own machine",
        )
    });
    if let Some(details) = details
        && !details
            .security_options
            .iter()
            .any(|option| option.contains("seccomp"))
    {
        found.push(lacks(
            "seccomp",
            "System call filter",
            "the engine does not say that it filters system calls",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ));
    }
    found
}

/// What works on this host.
pub(crate) fn of_host(host: &HostInfo) -> Vec<Capability> {
    let mut found = Vec::new();
    found.push(if host.platform != "linux" {
        lacks(
            "mini",
            "Mini, the second engine",
            "Mini needs Linux: it makes containers of namespaces and control groups",
            "run ContainerOS on Linux, or in WSL 2 on Windows",
        )
    } else if host.root {
        works("mini", "Mini, the second engine")
    } else {
        lacks(
            "mini",
            "Mini, the second engine",
            "Mini needs root to make namespaces, mounts and control groups",
            "start ContainerOS as root",
        )
    });
    found.push(match host.cgroup_mode.as_str() {
        "v2" => works("cgroup", "Control groups"),
        "v1" | "hybrid" => differs(
            "cgroup",
            "Control groups",
            "the older version 1 is in use for most limits, so pressure is not told per container",
            "boot with systemd.unified_cgroup_hierarchy=1",
        ),
        _ => lacks(
            "cgroup",
            "Control groups",
            "no control group hierarchy was found",
            "run on Linux with control groups mounted",
        ),
    });
    let pressure = host.platform == "linux" && std::path::Path::new("/proc/pressure/cpu").exists();
    found.push(if pressure {
        works("pressure", "Pressure: how long tasks waited")
    } else {
        lacks(
            "pressure",
            "Pressure: how long tasks waited",
            "the kernel does not count it",
            "boot a kernel with CONFIG_PSI and psi=1",
        )
    });
    found
}

/// The machine that this server runs on.
pub(crate) fn host() -> HostInfo {
    // Elsewhere a file of this name is somebody else's.
    let read = |path: &str| {
        if cfg!(target_os = "linux") {
            std::fs::read_to_string(path)
                .map(|text| text.trim().to_owned())
                .unwrap_or_default()
        } else {
            String::new()
        }
    };
    let release = read("/etc/os-release");
    let pretty = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map(|name| name.trim_matches('"').to_owned());
    let environment = |name: &str| std::env::var(name).unwrap_or_default();
    let hostname = read("/proc/sys/kernel/hostname");
    let memory_kib: u64 = read("/proc/meminfo")
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or_default();
    HostInfo {
        hostname: if hostname.is_empty() {
            environment("COMPUTERNAME")
        } else {
            hostname
        },
        platform: std::env::consts::OS.to_owned(),
        operating_system: pretty.unwrap_or_else(|| std::env::consts::OS.to_owned()),
        kernel_version: read("/proc/sys/kernel/osrelease"),
        architecture: std::env::consts::ARCH.to_owned(),
        cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as u64),
        memory_total_bytes: memory_kib * 1024,
        cgroup_mode: cgroup_mode().to_owned(),
        root: is_root(),
    }
}

/// Looks at which control group hierarchies are mounted.
fn cgroup_mode() -> &'static str {
    if !cfg!(target_os = "linux") {
        return "none";
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounted = |kind: &str| {
        mounts
            .lines()
            .any(|line| line.split(' ').nth(2) == Some(kind))
    };
    match (mounted("cgroup"), mounted("cgroup2")) {
        (true, true) => "hybrid",
        (true, false) => "v1",
        (false, true) => "v2",
        (false, false) => "none",
    }
}

/// The server runs as root.
pub(crate) fn is_root() -> bool {
    #[cfg(target_os = "linux")]
    return rustix::process::geteuid().is_root();
    #[cfg(not(target_os = "linux"))]
    return false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_whole_has_a_reason_and_a_hint() {
        let mut host = host();
        for (platform, root, mode) in [
            ("windows", false, "none"),
            ("linux", false, "v1"),
            ("linux", true, "v2"),
        ] {
            host.platform = platform.into();
            host.root = root;
            host.cgroup_mode = mode.into();
            let mut all = of_host(&host);
            all.extend(of_engine(EngineState::Unreachable, None, false));
            for capability in all.iter().filter(|c| !c.available || c.degraded) {
                assert!(
                    capability.reason.is_some() && capability.hint.is_some(),
                    "{}",
                    capability.id
                );
            }
        }
    }
}
