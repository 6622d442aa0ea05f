//! The `config.json` of a container's next run, and what its shim is told.
//!
//! Written as JSON in the words of the runtime-spec; a test reads it with the `oci-spec` crate, which is coded
//! independently.
//!
//! | module | holds |
//! | --- | --- |
//! | `process` | the program: environment, user, capabilities, limits of the process |
//! | `filesystem` | mounts |
//! | `devices` | device nodes and who may use which |
//! | `security` | `--security-opt` |
//!
//! Source: runtime-spec 1.2 config.md and config-linux.md; moby `daemon/oci_linux.go` for what Docker asks for.

mod devices;
mod filesystem;
mod process;
mod security;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use bollard_stubs::models::HostConfigCgroupnsModeEnum;
use serde_json::{Map, Value, json};
use shim_protocol::{AttachStreams, ConsoleSize, LogConfig, ShimConfig};

pub(crate) use devices::check as check_devices;
pub(crate) use process::{ExecProcess, exec_process};
pub(crate) use security::Security;

use super::{capabilities, handle::Container, limits, record::ContainerRecord, user::User};
use crate::error::{EngineError, Result};

/// What a log of the mode `non-blocking` keeps when nobody says how much, as Docker does.
const DEFAULT_LOG_BUFFER_BYTES: u64 = 1024 * 1024;

/// What of /proc and /sys says or does too much about the host: hidden.
///
/// Source: moby `oci/defaults.go`.
pub(crate) const MASKED_PATHS: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// What of /proc may be read alone.
pub(crate) const READONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// A namespace that is not the container's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    /// A new one.
    Own,
    /// The host's.
    Host,
    /// The one that this file names.
    Path(PathBuf),
}

/// What is known only as a container starts.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// Its mounted root file system.
    pub(crate) rootfs: PathBuf,
    /// Who its program runs as.
    pub(crate) user: User,
    /// What is mounted into it: source on the host, in order of the record's mounts.
    pub(crate) sources: Vec<PathBuf>,
    /// Directory with `hosts`, `hostname` and `resolv.conf`.
    pub(crate) etc_dir: PathBuf,
    /// The shared memory of others, or its own that others may join.
    pub(crate) shm: Option<PathBuf>,
    /// Its network namespace.
    pub(crate) network: Shared,
    /// Its process namespace.
    pub(crate) pid: Shared,
    /// Its namespace of shared memory and message queues.
    pub(crate) ipc: Shared,
    /// The `mini` program, which is also the first process of `--init`.
    pub(crate) mini: PathBuf,
}

/// Returns the content of `config.json`.
///
/// # Errors
/// `Invalid` when a device is not there, or what the security options say.
pub(crate) fn config(container: &Container, around: &Surroundings) -> Result<Value> {
    let record = container.record();
    let host = &record.host_config;
    let privileged = host.privileged == Some(true);
    let security = Security::parse(host)?;
    let capabilities = capabilities::effective(
        host.cap_add.as_deref().unwrap_or_default(),
        host.cap_drop.as_deref().unwrap_or_default(),
        privileged,
    )?;
    let own_uts = host.uts_mode.as_deref() != Some("host");
    let devices = devices::of(host)?;
    let mut resources = limits::resources(host)?;
    resources.insert("devices".into(), devices.rules.into());
    let mut linux = Map::new();
    let mut insert = |key: &str, value: Value| linux.insert(key.to_owned(), value);
    insert("namespaces", namespaces(&record, around, own_uts));
    insert("cgroupsPath", container.cgroup_path().into());
    insert("devices", devices.nodes.into());
    insert("resources", resources.into());
    insert("sysctl", json!(sysctls(&record, around)));
    insert("maskedPaths", json!(host.masked_paths));
    insert("readonlyPaths", json!(host.readonly_paths));
    if let Some(profile) = security.seccomp(&capabilities)? {
        insert("seccomp", profile);
    }
    let mut spec = json!({
        "ociVersion": "1.2.0",
        "root": {"path": around.rootfs, "readonly": host.readonly_rootfs == Some(true)},
        "process": process::first(&record, around, &security, &capabilities),
        "mounts": filesystem::mounts(&record, around),
        "annotations": host.annotations.clone().unwrap_or_default(),
        "linux": linux,
    });
    if own_uts && let Some(fields) = spec.as_object_mut() {
        fields.insert("hostname".into(), json!(record.config.hostname));
        if let Some(domain) = record
            .config
            .domainname
            .as_deref()
            .filter(|d| !d.is_empty())
        {
            fields.insert("domainname".into(), domain.into());
        }
    }
    Ok(spec)
}

fn namespaces(record: &ContainerRecord, around: &Surroundings, own_uts: bool) -> Value {
    let mut list = vec![json!({"type": "mount"})];
    let mut add = |kind: &str, shared: &Shared| match shared {
        Shared::Own => list.push(json!({"type": kind})),
        Shared::Path(path) => list.push(json!({"type": kind, "path": path})),
        Shared::Host => {}
    };
    add("network", &around.network);
    add("pid", &around.pid);
    add("ipc", &around.ipc);
    if own_uts {
        add("uts", &Shared::Own);
    }
    if record.host_config.cgroupns_mode != Some(HostConfigCgroupnsModeEnum::HOST) {
        add("cgroup", &Shared::Own);
    }
    Value::Array(list)
}

/// Kernel parameters: those asked for, and Docker's own, which let programs without privilege ping and serve low ports.
fn sysctls(record: &ContainerRecord, around: &Surroundings) -> HashMap<String, String> {
    let mut sysctls = HashMap::new();
    if around.network != Shared::Host {
        sysctls.insert("net.ipv4.ip_unprivileged_port_start".into(), "0".into());
        sysctls.insert("net.ipv4.ping_group_range".into(), "0 2147483647".into());
    }
    sysctls.extend(record.host_config.sysctls.clone().unwrap_or_default());
    sysctls
}

/// Returns what the shim is told.
///
/// # Errors
/// `Invalid` for a malformed log option.
pub(crate) fn shim(
    container: &Container,
    runtime_root: &Path,
    attached: Vec<AttachStreams>,
) -> Result<ShimConfig> {
    let record = container.record();
    let config = &record.config;
    Ok(ShimConfig {
        version: shim_protocol::VERSION,
        oldest_version: shim_protocol::OLDEST_VERSION,
        id: record.id.clone(),
        runtime_root: runtime_root.to_string_lossy().into_owned(),
        stdin_open: config.open_stdin == Some(true),
        stdin_once: config.stdin_once == Some(true),
        console_size: console_size(record.host_config.console_size.as_deref()),
        log: log(container, &record)?,
        exit_file: container.exit_file().to_string_lossy().into_owned(),
        attached,
        trace: true,
    })
}

/// A terminal's size from `[height, width]`; `None` for zeros.
pub(crate) fn console_size(size: Option<&[usize]>) -> Option<ConsoleSize> {
    let &[height, width] = size? else {
        return None;
    };
    let size = ConsoleSize {
        height: u16::try_from(height).ok()?,
        width: u16::try_from(width).ok()?,
    };
    (size.height > 0 && size.width > 0).then_some(size)
}

fn log(container: &Container, record: &ContainerRecord) -> Result<Option<LogConfig>> {
    let config = record.host_config.log_config.clone().unwrap_or_default();
    if config.typ.as_deref() == Some("none") {
        return Ok(None);
    }
    let mut log = LogConfig {
        path: container.log_path().to_string_lossy().into_owned(),
        max_size_bytes: 0,
        max_files: 1,
        max_buffer_bytes: None,
    };
    let mut buffer_bytes = DEFAULT_LOG_BUFFER_BYTES;
    let mut blocking = true;
    for (key, value) in config.config.iter().flatten() {
        match log_option(key, value)? {
            Some(LogOption::MaxSize(bytes)) => log.max_size_bytes = bytes,
            Some(LogOption::MaxFiles(files)) => log.max_files = files,
            Some(LogOption::Blocking(wanted)) => blocking = wanted,
            Some(LogOption::MaxBufferSize(bytes)) => buffer_bytes = bytes,
            None => {}
        }
    }
    log.max_buffer_bytes = (!blocking).then_some(buffer_bytes);
    Ok(Some(log))
}

/// An option of the log that changes how it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogOption {
    /// Rotate at this size.
    MaxSize(u64),
    /// Keep so many files.
    MaxFiles(u32),
    /// The program waits when its log cannot be written at once.
    Blocking(bool),
    /// When it does not wait: keep so many bytes until they can be written.
    MaxBufferSize(u64),
}

/// Reads an option of the log.
///
/// # Errors
/// `Invalid` for a malformed value.
pub(crate) fn log_option(key: &str, value: &str) -> Result<Option<LogOption>> {
    let invalid = || EngineError::Invalid(format!("invalid value for '{key}': {value:?}"));
    Ok(match key {
        "max-size" if value == "-1" => Some(LogOption::MaxSize(0)),
        "max-size" => Some(LogOption::MaxSize(
            parse_size(value)
                .filter(|size| *size > 0)
                .ok_or_else(invalid)?,
        )),
        "max-file" => Some(LogOption::MaxFiles(
            value.parse().ok().filter(|n| *n > 0).ok_or_else(invalid)?,
        )),
        "mode" => Some(LogOption::Blocking(match value {
            "blocking" => true,
            "non-blocking" => false,
            _ => {
                return Err(EngineError::Invalid(format!(
                    "logger: logging mode not supported: {value}"
                )));
            }
        })),
        "max-buffer-size" => Some(LogOption::MaxBufferSize(
            parse_size(value)
                .filter(|size| *size > 0)
                .ok_or_else(invalid)?,
        )),
        _ => None,
    })
}

/// Reads a size such as `10m` or `64kb`, in bytes.
fn parse_size(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let factor: u64 = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The host's own name.
pub(crate) fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests;
