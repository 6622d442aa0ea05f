//! Device nodes, and which devices a container may use.

use std::{
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use bollard_stubs::models::{DeviceMapping, HostConfig};
use rustix::fs::FileType;
use serde_json::{Value, json};

use crate::{
    container::limits::parse_device_rule,
    error::{EngineError, Result},
};

/// Devices deeper below a directory than this are not passed on.
const MAX_DEPTH: usize = 8;

/// The devices of a container in the terms of the runtime-spec.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// `linux.devices`.
    pub(super) nodes: Vec<Value>,
    /// `linux.resources.devices`.
    pub(super) rules: Vec<Value>,
}

/// Checks the form of the devices that are asked for; whether they are there is looked at when the container starts.
///
/// # Errors
/// `Invalid` for a relative path or unknown permissions.
pub(crate) fn check(host: &HostConfig) -> Result<()> {
    for device in host.devices.iter().flatten() {
        let (outer, inner, access) = parts(device);
        if !outer.starts_with('/') || !inner.starts_with('/') {
            return Err(EngineError::Invalid(format!(
                "{outer}:{inner} is not an absolute path"
            )));
        }
        if access.is_empty() || !access.bytes().all(|b| b"rwm".contains(&b)) {
            return Err(EngineError::Invalid(format!(
                "invalid device mode: {access}"
            )));
        }
    }
    Ok(())
}

fn parts(device: &DeviceMapping) -> (&str, &str, &str) {
    let text = |value: &'_ Option<String>| -> Option<String> {
        value.clone().filter(|value| !value.is_empty())
    };
    let outer = device.path_on_host.as_deref().unwrap_or_default();
    let inner = if text(&device.path_in_container).is_some() {
        device.path_in_container.as_deref().unwrap_or(outer)
    } else {
        outer
    };
    let access = device
        .cgroup_permissions
        .as_deref()
        .filter(|access| !access.is_empty())
        .unwrap_or("rwm");
    (outer, inner, access)
}

/// Returns the devices of a container.
///
/// # Errors
/// `Invalid` in Docker's words when a device is not there.
pub(super) fn of(host: &HostConfig) -> Result<Devices> {
    let rule = |kind: &str, major: i64, minor: i64, access: &str| json!({"allow": true, "type": kind, "major": major, "minor": minor, "access": access});
    if host.privileged == Some(true) {
        let mut devices = Devices {
            nodes: Vec::new(),
            rules: vec![json!({"allow": true, "access": "rwm"})],
        };
        let mut found = Vec::new();
        collect(Path::new("/dev"), Path::new("/dev"), 0, &mut found)
            .map_err(EngineError::io("read", "/dev"))?;
        for (outer, inner) in found {
            // What the container has of its own there.
            let own = [
                "/dev/pts",
                "/dev/shm",
                "/dev/mqueue",
                "/dev/ptmx",
                "/dev/console",
                "/dev/fd",
            ];
            if !own.iter().any(|own| inner.starts_with(own))
                && let Some(node) = node(&outer, &inner)
            {
                devices.nodes.push(node.value);
            }
        }
        return Ok(devices);
    }
    let mut rules = vec![
        json!({"allow": false, "access": "rwm"}),
        rule("c", -1, -1, "m"),
        rule("b", -1, -1, "m"),
    ];
    // null, zero, full, random, urandom, tty, console, ptmx, and all pseudoterminals.
    for (major, minor) in [
        (1, 3),
        (1, 5),
        (1, 7),
        (1, 8),
        (1, 9),
        (5, 0),
        (5, 1),
        (5, 2),
        (136, -1),
    ] {
        rules.push(rule("c", major, minor, "rwm"));
    }
    let mut devices = Devices {
        nodes: Vec::new(),
        rules,
    };
    for device in host.devices.iter().flatten() {
        let (outer, inner, access) = parts(device);
        devices.add(outer, inner, access)?;
    }
    for text in host.device_cgroup_rules.iter().flatten() {
        devices.rules.push(parse_device_rule(text)?);
    }
    Ok(devices)
}

impl Devices {
    fn add(&mut self, outer: &str, inner: &str, access: &str) -> Result<()> {
        let missing = |error: io::Error| {
            EngineError::Invalid(format!(
                "error gathering device information while adding custom device {outer:?}: {error}"
            ))
        };
        // A link stands for the device it leads to, as `/dev/cdrom` does.
        let real = std::fs::canonicalize(outer).map_err(missing)?;
        let mut found = Vec::new();
        if real.is_dir() {
            collect(&real, Path::new(inner), 0, &mut found).map_err(missing)?;
        } else {
            found.push((real, PathBuf::from(inner)));
        }
        for (outer, inner) in found {
            let Some(node) = node(&outer, &inner) else {
                return Err(EngineError::Invalid(format!(
                    "error gathering device information while adding custom device {:?}: not a device node",
                    outer.display().to_string()
                )));
            };
            self.rules.push(json!({"allow": true, "type": node.kind, "major": node.major, "minor": node.minor, "access": access}));
            self.nodes.push(node.value);
        }
        Ok(())
    }
}

struct Node {
    value: Value,
    kind: &'static str,
    major: u32,
    minor: u32,
}

/// A device node at `outer` of the host, to be made at `inner`; `None` when it is no device.
fn node(outer: &Path, inner: &Path) -> Option<Node> {
    let meta = std::fs::symlink_metadata(outer).ok()?;
    let kind = match FileType::from_raw_mode(meta.mode()) {
        FileType::BlockDevice => "b",
        FileType::CharacterDevice => "c",
        _ => return None,
    };
    let (major, minor) = (
        rustix::fs::major(meta.rdev()),
        rustix::fs::minor(meta.rdev()),
    );
    let value = json!({
        "path": inner, "type": kind, "major": major, "minor": minor,
        "fileMode": meta.permissions().mode() & 0o777, "uid": meta.uid(), "gid": meta.gid(),
    });
    Some(Node {
        value,
        kind,
        major,
        minor,
    })
}

/// Lists the device nodes below a directory; links and what is no device are left out.
fn collect(
    outer: &Path,
    inner: &Path,
    depth: usize,
    found: &mut Vec<(PathBuf, PathBuf)>,
) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Ok(());
    }
    for entry in std::fs::read_dir(outer)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let (outer, inner) = (entry.path(), inner.join(entry.file_name()));
        if kind.is_dir() {
            // One that may not be read, or has just gone, has nothing for us.
            drop(collect(&outer, &inner, depth + 1, found));
        } else if !kind.is_symlink() && node(&outer, &inner).is_some() {
            found.push((outer, inner));
        }
    }
    Ok(())
}
