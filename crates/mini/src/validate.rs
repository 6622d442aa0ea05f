//! What a `config.json` must have, and what is refused by name because it would not be honoured.

use std::path::Path;

use crate::error::{Error, Result};
use crate::process::attributes;
use crate::spec::{NamespaceKind, Process, Spec};

/// Checks a spec.
///
/// # Errors
/// `Invalid` for what is missing or wrong, `Unsupported` for what is not honoured.
pub fn validate(spec: &Spec) -> Result<()> {
    if !is_version_1(&spec.oci_version) {
        return Err(Error::invalid(format!(
            "ociVersion {:?} is not 1.x.y (semantic versioning)",
            spec.oci_version
        )));
    }
    let process = spec
        .process()
        .ok_or_else(|| Error::invalid("process is missing"))?;
    validate_process(process)?;
    if spec.root.as_ref().is_none_or(|root| root.path.is_empty()) {
        return Err(Error::invalid("root.path is missing"));
    }
    let linux = spec
        .linux
        .as_ref()
        .ok_or_else(|| Error::invalid("linux is missing"))?;
    if spec.namespace(NamespaceKind::Mount).is_none() {
        return Err(Error::unsupported(
            "linux.namespaces has no mount namespace: the host's root would be changed",
        ));
    }
    for (index, namespace) in linux.namespaces.iter().enumerate() {
        if linux
            .namespaces
            .iter()
            .skip(index + 1)
            .any(|other| other.kind == namespace.kind)
        {
            return Err(Error::invalid(format!(
                "linux.namespaces names {:?} twice",
                namespace.kind
            )));
        }
    }
    if spec.has_new(NamespaceKind::User)
        || !linux.uid_mappings.is_empty()
        || !linux.gid_mappings.is_empty()
    {
        return Err(Error::unsupported(
            "linux.namespaces: user namespaces are not offered yet",
        ));
    }
    if !spec.hostname.is_empty() && spec.namespace(NamespaceKind::Uts).is_none() {
        return Err(Error::invalid(
            "hostname is set without a UTS namespace: it would be the host's",
        ));
    }
    for key in linux.sysctl.keys() {
        let network = key.starts_with("net.") || key.starts_with("net/");
        let ipc = ["kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue."]
            .iter()
            .any(|prefix| key.replace('/', ".").starts_with(prefix));
        let allowed = (network && spec.namespace(NamespaceKind::Network).is_some())
            || (ipc && spec.namespace(NamespaceKind::Ipc).is_some());
        if !allowed {
            return Err(Error::invalid(format!(
                "linux.sysctl: {key} is not of a namespace that the container has of its own"
            )));
        }
    }
    for mount in &spec.mounts {
        if mount.destination.is_empty() || !Path::new(&mount.destination).is_absolute() {
            return Err(Error::invalid(format!(
                "mounts: destination {:?} is not absolute",
                mount.destination
            )));
        }
        refuse(
            !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty(),
            "mounts[].uidMappings",
        )?;
    }
    refuse(!linux.mount_label.is_empty(), "linux.mountLabel (SELinux)")?;
    refuse(spec.vm.is_some(), "vm")?;
    refuse(spec.windows.is_some(), "windows")?;
    refuse(spec.solaris.is_some(), "solaris")?;
    refuse(linux.intel_rdt.is_some(), "linux.intelRdt")?;
    refuse(linux.time_offsets.is_some(), "linux.timeOffsets")?;
    refuse(!linux.net_devices.is_empty(), "linux.netDevices")?;
    attributes::validate_linux(linux)?;
    let resources = linux.resources.as_ref();
    refuse(
        resources.is_some_and(|resources| resources.rdma.is_some()),
        "linux.resources.rdma",
    )?;
    Ok(())
}

/// Checks a process, the container's or an exec's.
///
/// # Errors
/// As [`validate`].
pub fn validate_process(process: &Process) -> Result<()> {
    if process.args.is_empty() {
        return Err(Error::invalid("process.args is empty"));
    }
    if !Path::new(&process.cwd).is_absolute() {
        return Err(Error::invalid(format!(
            "process.cwd {:?} is not absolute",
            process.cwd
        )));
    }
    if let Some(entry) = process.env.iter().find(|entry| entry.contains('\0')) {
        return Err(Error::invalid(format!(
            "process.env: {entry:?} has a zero byte"
        )));
    }
    refuse(
        !process.selinux_label.is_empty(),
        "process.selinuxLabel (SELinux)",
    )?;
    attributes::validate(process)
}

/// Whether a version is 1.MINOR.PATCH, with what semantic versioning permits behind that (`-dev`, `-rc.1`, `+build`).
fn is_version_1(version: &str) -> bool {
    let end = version.find(['-', '+']).unwrap_or(version.len());
    let (numbers, rest) = version.split_at(end);
    let mut parts = numbers.split('.');
    let is_number = |part: Option<&str>| {
        part.is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    parts.next() == Some("1")
        && is_number(parts.next())
        && is_number(parts.next())
        && parts.next().is_none()
        && rest
            .split(['-', '+', '.'])
            .all(|word| word.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn refuse(given: bool, name: &str) -> Result<()> {
    if given {
        Err(Error::unsupported(format!("{name} is not offered")))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(change: serde_json::Value) -> Spec {
        let mut base = serde_json::json!({
            "ociVersion": "1.0.2", "root": {"path": "rootfs"}, "process": {"args": ["sh"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
            "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}
        });
        fn put(base: &mut serde_json::Value, change: serde_json::Value) {
            match (base, change) {
                (serde_json::Value::Object(base), serde_json::Value::Object(change)) => {
                    for (key, value) in change {
                        put(base.entry(key).or_insert(serde_json::Value::Null), value);
                    }
                }
                (base, change) => *base = change,
            }
        }
        put(&mut base, change);
        serde_json::from_value(base).unwrap()
    }

    #[test]
    fn the_least_there_can_be_is_enough() {
        validate(&spec(serde_json::json!({}))).unwrap();
    }

    #[test]
    fn versions_are_those_of_semantic_versioning() {
        for version in ["1.0.2", "1.3.0", "1.2.1-dev", "1.3.0-rc.1+build"] {
            assert!(is_version_1(version), "{version}");
        }
        for version in [
            "", "1", "1.2", "1.x.0", "2.0.0", "0.9.9", "1.2.3.4", "1.0.0-ä",
        ] {
            assert!(!is_version_1(version), "{version}");
        }
    }

    #[test]
    fn what_would_not_be_honoured_is_refused_by_name() {
        for (change, word) in [
            (serde_json::json!({"process": {"args": []}}), "process.args"),
            (
                serde_json::json!({"process": {"cwd": "relative"}}),
                "process.cwd",
            ),
            (serde_json::json!({"ociVersion": "2.0.0"}), "ociVersion"),
            (
                serde_json::json!({"linux": {"namespaces": [{"type": "pid"}]}}),
                "mount namespace",
            ),
            (
                serde_json::json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "mount"}]}}),
                "twice",
            ),
            (
                serde_json::json!({"linux": {"intelRdt": {"closID": "x"}}}),
                "linux.intelRdt",
            ),
            (serde_json::json!({"hostname": "box"}), "hostname"),
            (
                serde_json::json!({"linux": {"sysctl": {"kernel.panic": "1"}}}),
                "kernel.panic",
            ),
            (
                serde_json::json!({"process": {"scheduler": {"policy": "SCHED_FAST"}}}),
                "scheduler.policy",
            ),
            (
                serde_json::json!({"process": {"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 9}}}),
                "ioPriority",
            ),
            (
                serde_json::json!({"process": {"execCPUAffinity": {"initial": "x"}}}),
                "execCPUAffinity.initial",
            ),
            (
                serde_json::json!({"linux": {"memoryPolicy": {"mode": "NEAR"}}}),
                "invalid memory policy mode",
            ),
            (
                serde_json::json!({"linux": {"personality": {"domain": "BSD"}}}),
                "linux.personality",
            ),
        ] {
            let error = validate(&spec(change)).unwrap_err();
            assert!(error.to_string().contains(word), "{word}: {error}");
        }
    }
}
