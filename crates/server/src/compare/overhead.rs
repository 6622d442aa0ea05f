//! What an engine itself takes while it runs one idle container: its daemon and the process that stays with the container.

use std::path::Path;

use api::engine::EngineKind;

/// Resident memory of an engine's own processes, and which these are.
pub(super) struct Overhead {
    pub(super) bytes: Option<u64>,
    pub(super) note: String,
}

/// Measures with the container's first process running. `socket` is the engine's, when it has one on this machine.
pub(super) fn measure(
    kind: EngineKind,
    local: bool,
    socket: Option<&Path>,
    container_pid: u32,
) -> Overhead {
    if !local {
        return Overhead {
            bytes: None,
            note: "not measured: the engine runs on another machine".to_owned(),
        };
    }
    let daemons: &[&str] = match kind {
        EngineKind::Docker => &["dockerd", "containerd"],
        EngineKind::Mini => &["containeros"],
    };
    let mut found: Vec<(String, u64)> = own_processes(daemons, socket.and_then(listener))
        .into_iter()
        .filter_map(|(pid, name)| Some((name, observe::process_memory_bytes(pid).ok()?)))
        .collect();
    let shim = parent(container_pid)
        .and_then(|pid| Some((name(pid)?, observe::process_memory_bytes(pid).ok()?)));
    if let Some((name, bytes)) = shim
        && !daemons.contains(&name.as_str())
    {
        found.push((format!("{name} (one for each container)"), bytes));
    }
    if found.is_empty() {
        return Overhead {
            bytes: None,
            note: "not measured: its processes are not visible from here".to_owned(),
        };
    }
    let mut note: Vec<String> = found
        .iter()
        .map(|(name, bytes)| format!("{name} {:.1} MiB", *bytes as f64 / 1_048_576.0))
        .collect();
    if kind == EngineKind::Mini {
        note.push("containeros holds the web server too when it hosts the engine".to_owned());
    }
    Overhead {
        bytes: Some(found.iter().map(|(_, bytes)| bytes).sum()),
        note: note.join(", "),
    }
}

/// The processes of one engine: several may run on a machine, and each must answer for its own only.
fn own_processes(names: &[&str], daemon: Option<u32>) -> Vec<(u32, String)> {
    let all: Vec<(u32, String)> = processes()
        .into_iter()
        .filter(|(_, name)| names.contains(&name.as_str()))
        .collect();
    // With socket activation it is systemd that listens: then every engine of the kind counts.
    let Some(daemon) = daemon.filter(|pid| all.iter().any(|(known, _)| known == pid)) else {
        return all;
    };
    let is_child = |pid: u32| parent(pid) == Some(daemon);
    let has_children = all.iter().any(|(pid, _)| is_child(*pid));
    let of_another = |pid: u32| {
        parent(pid)
            .is_some_and(|parent| parent != daemon && all.iter().any(|(known, _)| *known == parent))
    };
    let main = names.first().copied().unwrap_or_default();
    all.iter()
        .filter(|(pid, name)| {
            *pid == daemon || is_child(*pid) || (!has_children && name != main && !of_another(*pid))
        })
        .cloned()
        .collect()
}

/// The process that listens on a socket.
#[cfg(target_os = "linux")]
fn listener(socket: &Path) -> Option<u32> {
    let stream = std::os::unix::net::UnixStream::connect(socket).ok()?;
    let peer = rustix::net::sockopt::socket_peercred(&stream).ok()?;
    u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
}

#[cfg(not(target_os = "linux"))]
fn listener(_socket: &Path) -> Option<u32> {
    None
}

/// All processes with their names; nothing where there is no `/proc`.
fn processes() -> Vec<(u32, String)> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, name(pid)?)))
        .collect()
}

fn name(pid: u32) -> Option<String> {
    Some(
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .ok()?
            .trim()
            .to_owned(),
    )
}

/// Source: `man 5 proc_pid_stat`: the name may hold anything, so fields are counted after its last bracket.
fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
