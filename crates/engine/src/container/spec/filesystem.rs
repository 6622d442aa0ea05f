//! Mounts: what every container has, its files in /etc, and what was asked for.

use std::path::Path;

use serde_json::{Value, json};

use super::{Shared, Surroundings, process::INIT_PATH};
use crate::container::{
    mounts::{MountRecord, MountSource},
    record::ContainerRecord,
};

/// All mounts, in the order in which they are made.
pub(super) fn mounts(record: &ContainerRecord, around: &Surroundings) -> Vec<Value> {
    let asked = &record.mounts;
    let replaced = |path: &str| asked.iter().any(|mount| mount.destination == path);
    // Who mounts over /dev brings all of it.
    let own_dev = replaced("/dev");
    let mut mounts: Vec<Value> = standard(record, around)
        .into_iter()
        .chain(files(around))
        .filter(|(path, _)| !(replaced(path) || own_dev && path.starts_with("/dev")))
        .map(|(_, mount)| mount)
        .collect();
    let asked = asked.iter().zip(&around.sources);
    mounts.extend(asked.map(|(mount, source)| asked_for(mount, source)));
    if record.host_config.init == Some(true) && around.pid == Shared::Own {
        mounts.push(bind(
            INIT_PATH,
            &around.mini,
            &["bind", "ro", "nosuid", "nodev"],
        ));
    }
    mounts
}

fn mount(destination: &str, kind: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": kind, "source": kind, "options": options})
}

fn bind(destination: &str, source: &Path, options: &[&str]) -> Value {
    json!({"destination": destination, "type": "bind", "source": source, "options": options})
}

fn standard(record: &ContainerRecord, around: &Surroundings) -> Vec<(&'static str, Value)> {
    let host = &record.host_config;
    let access = if host.privileged == Some(true) {
        "rw"
    } else {
        "ro"
    };
    let shm_size = format!("size={}", host.shm_size.unwrap_or_default());
    let shm = match &around.shm {
        Some(shared) => bind("/dev/shm", shared, &["rbind", "nosuid", "noexec", "nodev"]),
        None => json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", shm_size]}),
    };
    let mut list = vec![
        (
            "/proc",
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        ),
        (
            "/dev",
            mount(
                "/dev",
                "tmpfs",
                &["nosuid", "strictatime", "mode=755", "size=65536k"],
            ),
        ),
        (
            "/dev/pts",
            mount(
                "/dev/pts",
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
        ),
        (
            "/sys",
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", access]),
        ),
        (
            "/sys/fs/cgroup",
            mount(
                "/sys/fs/cgroup",
                "cgroup",
                &["nosuid", "noexec", "nodev", "relatime", access],
            ),
        ),
        (
            "/dev/mqueue",
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        ),
    ];
    if host.ipc_mode.as_deref() != Some("none") {
        list.push(("/dev/shm", shm));
    }
    list
}

fn files(around: &Surroundings) -> [(&'static str, Value); 3] {
    let file = |path: &'static str, name: &str| {
        let source = around.etc_dir.join(name);
        (path, bind(path, &source, &["rbind", "rprivate"]))
    };
    [
        file("/etc/resolv.conf", "resolv.conf"),
        file("/etc/hostname", "hostname"),
        file("/etc/hosts", "hosts"),
    ]
}

fn asked_for(mount: &MountRecord, source: &Path) -> Value {
    let mut options: Vec<&str> = Vec::new();
    match &mount.source {
        MountSource::Tmpfs { options: own } => {
            options.extend(["noexec", "nosuid", "nodev"]);
            options.extend(own.iter().map(String::as_str));
            if mount.read_only {
                options.push("ro");
            }
            return json!({"destination": mount.destination, "type": "tmpfs", "source": "tmpfs", "options": options});
        }
        MountSource::Bind { non_recursive, .. } => {
            options.push(if *non_recursive { "bind" } else { "rbind" });
            if mount.read_only {
                // Also what is mounted below: the host's own mounts there would stay writable.
                options.push(if *non_recursive { "ro" } else { "rro" });
            }
        }
        MountSource::Volume { .. } => {
            options.push("rbind");
            if mount.read_only {
                options.push("ro");
            }
        }
    }
    options.push(match mount.propagation.as_str() {
        "" => "rprivate",
        propagation => propagation,
    });
    bind(&mount.destination, source, &options)
}
