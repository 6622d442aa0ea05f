//! What an engine itself takes while it runs one idle container: its daemon and the process that stays with the container.

use api::engine::EngineKind;

/// Resident memory of an engine's own processes, and which these are.
pub(super) struct Overhead {
    pub(super) bytes: Option<u64>,
    pub(super) note: String,
}

/// Measures with the container's first process running.
pub(super) fn measure(kind: EngineKind, local: bool, container_pid: u32) -> Overhead {
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
    let mut found: Vec<(String, u64)> = processes()
        .into_iter()
        .filter(|(_, name)| daemons.contains(&name.as_str()))
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
