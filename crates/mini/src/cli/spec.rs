//! `spec`: a `config.json` to begin with, as runc's.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use crate::cli::arguments::Arguments;
use crate::error::{Error, ErrorKind, Result};
use crate::spec::{
    Capabilities, DeviceAccess, IdMapping, Linux, Mount, Namespace, NamespaceKind, OCI_VERSION,
    Process, Resources, Rlimit, Root, Spec,
};

/// What it masks is more than runc 1.1 does: newer kernels show more.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

const MOUNTS: [(&str, &str, &str, &[&str]); 7] = [
    ("/proc", "proc", "proc", &[]),
    (
        "/dev",
        "tmpfs",
        "tmpfs",
        &["nosuid", "strictatime", "mode=755", "size=65536k"],
    ),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &[
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ],
    ),
    (
        "/dev/shm",
        "tmpfs",
        "shm",
        &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    ),
    (
        "/dev/mqueue",
        "mqueue",
        "mqueue",
        &["nosuid", "noexec", "nodev"],
    ),
    (
        "/sys",
        "sysfs",
        "sysfs",
        &["nosuid", "noexec", "nodev", "ro"],
    ),
    (
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "relatime", "ro"],
    ),
];

pub(crate) fn run(arguments: &mut Arguments) -> Result<u8> {
    let mut bundle = PathBuf::from(".");
    let mut rootless = false;
    arguments.flags(|flag, arguments| {
        match flag {
            "--bundle" => bundle = arguments.path()?,
            "--rootless" => rootless = true,
            _ => return Err(Arguments::unknown(flag)),
        }
        Ok(())
    })?;
    let path = bundle.join("config.json");
    let unified = cgroups::Layout::detect().is_ok_and(|layout| layout.mode() == cgroups::Mode::V2);
    let mut spec = example(unified);
    if rootless {
        make_rootless(&mut spec);
    }
    let json = serde_json::to_vec_pretty(&spec)
        .map_err(|error| Error::invalid(format!("encode the spec: {error}")))?;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o666)
        .open(&path);
    match file {
        Ok(mut file) => file
            .write_all(&json)
            .map_err(|error| Error::sys("write", path.display(), error))?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("file {} exists: remove it first", path.display()),
            ));
        }
        Err(error) => return Err(Error::sys("write", path.display(), error)),
    }
    Ok(0)
}

/// A shell with a terminal, in namespaces of its own, with few rights.
fn example(unified: bool) -> Spec {
    let strings = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let namespace = |kind| Namespace {
        kind,
        path: String::new(),
    };
    Spec {
        oci_version: OCI_VERSION.into(),
        process: Some(Process {
            terminal: true,
            args: strings(&["sh"]),
            env: strings(&[
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ]),
            cwd: "/".into(),
            capabilities: Some(Capabilities {
                bounding: strings(&CAPABILITIES),
                effective: strings(&CAPABILITIES),
                permitted: strings(&CAPABILITIES),
                ..Capabilities::default()
            }),
            rlimits: vec![Rlimit {
                kind: "RLIMIT_NOFILE".into(),
                hard: 1024,
                soft: 1024,
            }],
            no_new_privileges: true,
            ..Process::default()
        }),
        root: Some(Root {
            path: "rootfs".into(),
            readonly: true,
        }),
        hostname: "mini".into(),
        mounts: MOUNTS
            .into_iter()
            .map(|(destination, kind, source, options)| Mount {
                destination: destination.into(),
                kind: kind.into(),
                source: source.into(),
                options: strings(options),
                ..Mount::default()
            })
            .collect(),
        linux: Some(Linux {
            namespaces: [
                NamespaceKind::Pid,
                NamespaceKind::Network,
                NamespaceKind::Ipc,
                NamespaceKind::Uts,
                NamespaceKind::Mount,
            ]
            .into_iter()
            // With v1 there is no telling what a container's own view of its cgroups leaves of the tools in it.
            .chain(unified.then_some(NamespaceKind::Cgroup))
            .map(namespace)
            .collect(),
            resources: Some(Resources {
                devices: vec![DeviceAccess {
                    allow: false,
                    access: "rwm".into(),
                    ..DeviceAccess::default()
                }],
                ..Resources::default()
            }),
            masked_paths: strings(&MASKED),
            readonly_paths: strings(&READ_ONLY),
            ..Linux::default()
        }),
        ..Spec::default()
    }
}

/// The same for a user without privileges: root inside is that user outside, the host's network, no limits.
///
/// Mounts lose what needs more ids than one, and /sys is the host's, which no one else may mount without a network of his own.
fn make_rootless(spec: &mut Spec) {
    let Some(linux) = &mut spec.linux else { return };
    linux
        .namespaces
        .retain(|namespace| namespace.kind != NamespaceKind::Network);
    linux.namespaces.push(Namespace {
        kind: NamespaceKind::User,
        path: String::new(),
    });
    let mapping = |host_id| {
        vec![IdMapping {
            container_id: 0,
            host_id,
            size: 1,
        }]
    };
    linux.uid_mappings = mapping(rustix::process::geteuid().as_raw());
    linux.gid_mappings = mapping(rustix::process::getegid().as_raw());
    linux.resources = None;
    for mount in &mut spec.mounts {
        mount
            .options
            .retain(|option| !option.starts_with("gid=") && !option.starts_with("uid="));
        if mount.destination == "/sys" {
            mount.kind = "none".into();
            mount.source = "/sys".into();
            mount.options = ["rbind", "nosuid", "noexec", "nodev", "ro"]
                .map(str::to_owned)
                .into();
        }
    }
    // Below the /sys of the host its cgroups are in sight already.
    spec.mounts
        .retain(|mount| mount.destination != "/sys/fs/cgroup");
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_example_is_valid_for_us_and_for_others() {
        let example = super::example(true);
        crate::validate::validate(&example).unwrap();
        let json = serde_json::to_string(&example).unwrap();
        let theirs: oci_spec::runtime::Spec = serde_json::from_str(&json).unwrap();
        assert_eq!(theirs.mounts().as_ref().unwrap().len(), super::MOUNTS.len());
        assert_eq!(
            theirs
                .linux()
                .as_ref()
                .unwrap()
                .namespaces()
                .as_ref()
                .unwrap()
                .len(),
            6
        );
    }
}
