//! What a `config.json` must have, and what is refused by name because it would not be honoured.

use std::path::Path;

use crate::error::{Error, Result};
use crate::network::devices;
use crate::process::{attributes, clocks, id_map, security};
use crate::resctrl;
use crate::spec::{IdMapping, Linux, NamespaceKind, Process, Spec};

/// Checks a spec.
///
/// # Errors
/// `Invalid` for what is missing or wrong, `Unsupported` for what is not honoured.
pub fn validate(spec: &Spec) -> Result<()> {
    if !is_version_1(&spec.oci_version) {
        return Err(Error::invalid(format!(
            "ociVersion {:?} is not 1.x.y (semantic versioning)",
            spec.oci_version
        ))
        .with_hint(format!("write {}", crate::spec::OCI_VERSION)));
    }
    let process = spec.process().ok_or_else(|| {
        Error::invalid("process is missing")
            .with_hint("config.json needs process with args, cwd and user: what is to run")
    })?;
    validate_process(process)?;
    if spec.root.as_ref().is_none_or(|root| root.path.is_empty()) {
        return Err(Error::invalid("root.path is missing")
            .with_hint("name the directory of the root file system in config.json: {\"root\": {\"path\": \"rootfs\"}}"));
    }
    let linux = spec
        .linux
        .as_ref()
        .ok_or_else(|| {
            Error::invalid("linux is missing").with_hint(
                "config.json must be for Linux, with linux.namespaces at least; `mini spec` writes an example",
            )
        })?;
    if spec.namespace(NamespaceKind::Mount).is_none() {
        if !linux.masked_paths.is_empty() || !linux.readonly_paths.is_empty() {
            return Err(Error::invalid(
                "unable to restrict sys entries without a private MNT namespace",
            )
            .with_hint(
                "add {\"type\": \"mount\"} to linux.namespaces, or take out linux.maskedPaths and linux.readonlyPaths",
            ));
        }
        if spec.namespace(NamespaceKind::User).is_some() {
            return Err(Error::invalid(
                "a user namespace without a mount namespace: its root has no right to mount among the host's",
            )
            .with_hint("add {\"type\": \"mount\"} to linux.namespaces"));
        }
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
            ))
            .with_hint("leave one of the two out"));
        }
    }
    validate_user_namespace(spec, linux)?;
    validate_clocks(spec, linux)?;
    if !spec.hostname.is_empty() && spec.namespace(NamespaceKind::Uts).is_none() {
        return Err(Error::invalid(
            "hostname is set without a UTS namespace: it would be the host's",
        )
        .with_hint("add {\"type\": \"uts\"} to linux.namespaces, or take hostname out"));
    }
    for key in linux.sysctl.keys() {
        let network = key.starts_with("net.") || key.starts_with("net/");
        let ipc = ["kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue."]
            .iter()
            .any(|prefix| key.replace('/', ".").starts_with(prefix));
        // There is no property of the spec for it; for the host's name there is.
        let domain = matches!(key.as_str(), "kernel.domainname" | "kernel/domainname")
            && spec.namespace(NamespaceKind::Uts).is_some();
        let allowed = domain
            || (network && spec.namespace(NamespaceKind::Network).is_some())
            || (ipc && spec.namespace(NamespaceKind::Ipc).is_some());
        if !allowed {
            return Err(Error::invalid(format!(
                "linux.sysctl: {key} is not of a namespace that the container has of its own"
            ))
            .with_hint(
                "only net.* with a network namespace and fs.mqueue.*, kernel.msg*, kernel.sem and kernel.shm* with an ipc \
                 namespace can be set for a container; set others on the host",
            ));
        }
    }
    for mount in &spec.mounts {
        // A relative one is relative to the root, as with other runtimes.
        if mount.destination.is_empty() {
            return Err(Error::invalid("mounts: a destination is empty")
                .with_hint("give each of mounts its destination, a path in the container"));
        }
    }
    security::validate_labels("", &linux.mount_label)?;
    refuse(spec.vm.is_some(), "vm")?;
    refuse(spec.windows.is_some(), "windows")?;
    refuse(spec.solaris.is_some(), "solaris")?;
    linux.intel_rdt.as_ref().map_or(Ok(()), resctrl::validate)?;
    devices::validate(spec, &linux.net_devices)?;
    attributes::validate_linux(linux)?;
    Ok(())
}

/// The ids of a new user namespace, and that who and what the spec names is among them.
fn validate_user_namespace(spec: &Spec, linux: &Linux) -> Result<()> {
    let (uids, gids) = (&linux.uid_mappings, &linux.gid_mappings);
    match spec.namespace(NamespaceKind::User) {
        None if uids.is_empty() && gids.is_empty() => return Ok(()),
        None => {
            return Err(Error::invalid(
                "user namespace mappings specified, but user namespace isn't enabled in the config",
            )
            .with_hint("add {\"type\": \"user\"} to linux.namespaces"));
        }
        // One that exists has its ids.
        Some(namespace) if !namespace.path.is_empty() => return Ok(()),
        Some(_) => {}
    }
    id_map::check("linux.uidMappings", uids)?;
    id_map::check("linux.gidMappings", gids)?;
    let mapped =
        |what: String, list: &str, ranges: &[IdMapping], id: u32| match id_map::to_host(ranges, id)
        {
            Some(_) => Ok(()),
            None => Err(
                Error::invalid(format!("{what}: {id} is not among the ids of {list}")).with_hint(
                    format!("add a range with it to {list}, or use an id that is in one"),
                ),
            ),
        };
    mapped("the container's root".into(), "linux.uidMappings", uids, 0)?;
    mapped("the container's root".into(), "linux.gidMappings", gids, 0)?;
    if let Some(process) = spec.process() {
        let user = &process.user;
        mapped(
            "process.user.uid".into(),
            "linux.uidMappings",
            uids,
            user.uid,
        )?;
        for &gid in std::iter::once(&user.gid).chain(&user.additional_gids) {
            mapped("process.user".into(), "linux.gidMappings", gids, gid)?;
        }
    }
    for mount in &spec.mounts {
        for option in &mount.options {
            let id = |prefix: &str| option.strip_prefix(prefix)?.parse::<u32>().ok();
            let what = || format!("mounts {}: option {option}", mount.destination);
            if let Some(uid) = id("uid=") {
                mapped(what(), "linux.uidMappings", uids, uid)?;
            }
            if let Some(gid) = id("gid=") {
                mapped(what(), "linux.gidMappings", gids, gid)?;
            }
        }
    }
    Ok(())
}

fn validate_clocks(spec: &Spec, linux: &Linux) -> Result<()> {
    if linux.time_offsets.is_empty() {
        return Ok(());
    }
    match spec.namespace(NamespaceKind::Time) {
        None => Err(Error::invalid(
            "time namespace offsets specified, but time namespace isn't enabled in the config",
        )
        .with_hint("add {\"type\": \"time\"} to linux.namespaces")),
        Some(namespace) if !namespace.path.is_empty() => Err(Error::invalid(
            "time namespace enabled, but both namespace path and time offsets specified -- you may only provide one",
        ).with_hint("leave timeOffsets out: a namespace that exists has its clocks")),
        Some(_) => clocks::check(&linux.time_offsets),
    }
}

/// Checks a process, the container's or an exec's.
///
/// # Errors
/// As [`validate`].
pub fn validate_process(process: &Process) -> Result<()> {
    if process.args.is_empty() {
        return Err(Error::invalid("process.args is empty")
            .with_hint("name the program and its arguments: [\"/bin/sh\"]"));
    }
    if !Path::new(&process.cwd).is_absolute() {
        return Err(
            Error::invalid(format!("process.cwd {:?} is not absolute", process.cwd))
                .with_hint("write it from the container's root on, beginning with /"),
        );
    }
    if let Some(entry) = process.env.iter().find(|entry| entry.contains('\0')) {
        return Err(Error::invalid(format!(
            "process.env: {entry:?} has a zero byte"
        )));
    }
    security::validate_labels(&process.selinux_label, "")?;
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
        Err(Error::unsupported(format!("{name} is not offered"))
            .with_hint("config.json is for Linux: leave this part out"))
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

    fn in_user_namespace(mut change: serde_json::Value) -> serde_json::Value {
        let linux = &mut change["linux"];
        linux["namespaces"] = serde_json::json!([{"type": "mount"}, {"type": "user"}]);
        for list in ["uidMappings", "gidMappings"] {
            if linux[list].is_null() {
                linux[list] =
                    serde_json::json!([{"containerID": 0, "hostID": 100_000, "size": 10}]);
            }
        }
        change
    }

    #[test]
    fn the_least_there_can_be_is_enough() {
        validate(&spec(serde_json::json!({}))).unwrap();
        validate(&spec(in_user_namespace(serde_json::json!({})))).unwrap();
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
                serde_json::json!({"linux": {"namespaces": [{"type": "pid"}], "maskedPaths": ["/proc/keys"]}}),
                "without a private MNT namespace",
            ),
            (
                serde_json::json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "mount"}]}}),
                "twice",
            ),
            (
                serde_json::json!({"linux": {"intelRdt": {"closID": "x/y"}}}),
                "linux.intelRdt",
            ),
            (serde_json::json!({"hostname": "box"}), "hostname"),
            (
                serde_json::json!({"linux": {"uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}}),
                "user namespace isn't enabled",
            ),
            (
                serde_json::json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "user"}]}}),
                "linux.uidMappings is empty",
            ),
            (
                in_user_namespace(serde_json::json!({"process": {"user": {"uid": 10, "gid": 0}}})),
                "process.user.uid: 10 is not among",
            ),
            (
                in_user_namespace(
                    serde_json::json!({"process": {"user": {"additionalGids": [3, 11]}}}),
                ),
                "process.user: 11 is not among the ids of linux.gidMappings",
            ),
            (
                in_user_namespace(serde_json::json!({"mounts": [
                    {"destination": "/dev/pts", "type": "devpts", "options": ["mode=620", "gid=50"]}
                ]})),
                "mounts /dev/pts: option gid=50: 50 is not among",
            ),
            (
                in_user_namespace(serde_json::json!({"linux": {"gidMappings": [
                    {"containerID": 1, "hostID": 0, "size": 5}
                ]}})),
                "the container's root: 0 is not among the ids of linux.gidMappings",
            ),
            (
                serde_json::json!({"linux": {"timeOffsets": {"monotonic": {"secs": 1}}}}),
                "time namespace isn't enabled",
            ),
            (
                serde_json::json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "time"}],
                    "timeOffsets": {"realtime": {"secs": 1}}}}),
                "\"realtime\" is not monotonic or boottime",
            ),
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
