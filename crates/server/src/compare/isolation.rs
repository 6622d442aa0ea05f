//! What keeps a container apart from the machine on each engine, fact by fact.

use api::compare::IsolationRow;
use observe::inside::{Inside, KnobKind, NamespaceKind, SeccompMode};

/// One row per fact; `insides` in the order of the engines, none where it could not be read.
pub(super) fn rows(insides: &[Option<Inside>]) -> Vec<IsolationRow> {
    if insides.iter().all(Option::is_none) {
        return Vec::new();
    }
    let mut rows: Vec<IsolationRow> = NamespaceKind::ALL
        .into_iter()
        .filter_map(|kind| {
            let (title, sentence) = namespace(kind);
            row(insides, title, sentence, |inside| {
                let found = inside.namespaces.iter().find(|n| n.kind == kind)?;
                Some(if found.shared_with_host? { "shared with the host" } else { "own" }.to_owned())
            })
        })
        .collect();
    rows.extend(row(
        insides,
        "Capabilities",
        "Pieces of root's power that the first process has; fewer is safer.",
        |inside| {
            let sets = inside.capabilities.value.as_ref()?;
            let names: Vec<&str> = sets.effective.iter().map(|name| name.trim_start_matches("CAP_")).collect();
            Some(format!("{}: {}", names.len(), names.join(" ").to_lowercase()))
        },
    ));
    rows.extend(row(
        insides,
        "System call filter",
        "Seccomp refuses system calls that programs in containers do not need.",
        |inside| {
            Some(match inside.seccomp.value?.mode {
                SeccompMode::Disabled => "none".to_owned(),
                SeccompMode::Strict => "strict".to_owned(),
                SeccompMode::Filter => "on".to_owned(),
            })
        },
    ));
    rows.extend(row(
        insides,
        "No new privileges",
        "When on, no program inside can gain rights by setuid bits or file capabilities.",
        |inside| Some(if inside.no_new_privs.value? { "on" } else { "off" }.to_owned()),
    ));
    rows.extend(row(
        insides,
        "Security module",
        "AppArmor or SELinux can confine the container further.",
        |inside| inside.security_label.value.clone(),
    ));
    rows.extend(row(
        insides,
        "Root inside is root outside",
        "Without a user namespace, user 0 of the container is user 0 of the machine if it ever gets out.",
        |inside| {
            let first = inside.uid_map.value.as_ref()?.first()?;
            Some(if first.inside == 0 && first.outside == 0 { "yes" } else { "no, mapped to another user" }.to_owned())
        },
    ));
    rows.extend(row(
        insides,
        "Hidden and read-only kernel paths",
        "Parts of /proc and /sys that tell about, or change, the whole machine are taken out of sight or of reach.",
        |inside| Some(format!("{} hidden, {} read-only", inside.masked_paths.len(), inside.read_only_paths.len())),
    ));
    rows.extend(row(
        insides,
        "Process limit by default",
        "A limit on processes stops a fork bomb at the container's edge.",
        |inside| limit(inside, KnobKind::PidsLimit),
    ));
    rows.extend(row(
        insides,
        "Memory limit by default",
        "Without one a container can take all memory of the machine.",
        |inside| limit(inside, KnobKind::MemoryLimit),
    ));
    rows.extend(row(
        insides,
        "Readiness to be killed first",
        "Added to the kernel's choice of what to kill when the machine runs out of memory; -1000 to 1000.",
        |inside| Some(inside.oom_score_adj.value?.to_string()),
    ));
    rows
}

fn row(
    insides: &[Option<Inside>],
    fact: &str,
    sentence: &str,
    read: impl Fn(&Inside) -> Option<String>,
) -> Option<IsolationRow> {
    let found: Vec<Option<String>> = insides.iter().map(|inside| inside.as_ref().and_then(&read)).collect();
    let mut known = found.iter().flatten();
    let first = known.next()?.clone();
    let differs = known.any(|value| *value != first);
    let values = found.into_iter().map(|value| value.unwrap_or_else(|| "not readable".to_owned())).collect();
    Some(IsolationRow { fact: fact.to_owned(), sentence: sentence.to_owned(), values, differs })
}

fn limit(inside: &Inside, kind: KnobKind) -> Option<String> {
    let knob = inside.knobs.iter().find(|knob| knob.kind == kind)?;
    match (knob.limit.value, &knob.limit.unreadable) {
        (Some(limit), _) => Some(limit.to_string()),
        (None, None) => Some("none".to_owned()),
        (None, Some(_)) => None,
    }
}

fn namespace(kind: NamespaceKind) -> (&'static str, &'static str) {
    match kind {
        NamespaceKind::Pid => ("Process namespace", "Own: it sees and can signal its own processes only."),
        NamespaceKind::Mount => ("Mount namespace", "Own: it has its own tree of files."),
        NamespaceKind::Network => ("Network namespace", "Own: it has its own interfaces, addresses and ports."),
        NamespaceKind::Uts => ("Host name namespace", "Own: it can have its own host name."),
        NamespaceKind::Ipc => ("IPC namespace", "Own: shared memory and message queues of others are out of sight."),
        NamespaceKind::User => ("User namespace", "Own: its root is an ordinary user of the machine."),
        NamespaceKind::Cgroup => ("Cgroup namespace", "Own: it sees its own control group as the top."),
        NamespaceKind::Time => ("Time namespace", "Own: it can have its own monotonic clock."),
    }
}
