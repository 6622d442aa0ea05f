//! The other walls: system call filter, no new privileges, security module, read-only root, hidden paths.

use observe::Inside;
use observe::inside::{IdRange, SeccompMode};

use crate::text;

/// One wall, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wall {
    /// Short stable name: `seccomp`, `no_new_privs`, `lsm`, `read_only_root`, `masked_paths`, `read_only_paths`, `oom_score_adj`.
    pub kind: &'static str,
    /// `System call filter`.
    pub title: &'static str,
    /// Its value.
    pub value: String,
    /// It stands.
    pub protects: bool,
    /// What it means.
    pub sentence: String,
    /// The file it was read from.
    pub file: String,
    /// A command that shows it.
    pub command: String,
}

/// All walls of a container.
pub fn walls(inside: &Inside) -> Vec<Wall> {
    vec![
        seccomp(inside),
        no_new_privs(inside),
        security_label(inside),
        read_only_root(inside),
        masked_paths(inside),
        read_only_paths(inside),
        oom_score(inside),
    ]
}

fn unreadable(reason: Option<&String>) -> String {
    reason.map_or_else(
        || "unknown".to_owned(),
        |reason| format!("unreadable: {reason}"),
    )
}

fn seccomp(inside: &Inside) -> Wall {
    let fact = &inside.seccomp;
    let (value, protects, sentence) = match fact.value.map(|it| (it.mode, it.filters)) {
        Some((SeccompMode::Filter, filters)) => (
            filters.map_or_else(
                || "filter".to_owned(),
                |count| {
                    let count = usize::try_from(count).unwrap_or(usize::MAX);
                    format!("filter ({})", text::count(count, "program", "programs"))
                },
            ),
            true,
            "A program in the kernel looks at each system call and refuses those that containers do not need, such as loading modules.",
        ),
        Some((SeccompMode::Strict, _)) => (
            "strict".to_owned(),
            true,
            "Only read, write, exit and sigreturn are possible.",
        ),
        Some((SeccompMode::Disabled, _)) => (
            "off".to_owned(),
            false,
            "Every system call reaches the kernel, so a flaw in any of them can be tried.",
        ),
        None => (
            unreadable(fact.unreadable.as_ref()),
            false,
            "Whether system calls are filtered could not be read.",
        ),
    };
    Wall {
        kind: "seccomp",
        title: "System call filter",
        value,
        protects,
        sentence: sentence.into(),
        file: fact.file.clone(),
        command: fact.command.clone(),
    }
}

fn no_new_privs(inside: &Inside) -> Wall {
    let fact = &inside.no_new_privs;
    let (value, protects, sentence) = match fact.value {
        Some(true) => (
            "on".to_owned(),
            true,
            "Programs with the set-user-id bit or file capabilities (sudo, ping) give no more rights than the caller has.",
        ),
        Some(false) => (
            "off".to_owned(),
            false,
            "A program with the set-user-id bit, such as sudo, can give its caller more rights inside the container.",
        ),
        None => (
            unreadable(fact.unreadable.as_ref()),
            false,
            "Whether new rights can be gained could not be read.",
        ),
    };
    Wall {
        kind: "no_new_privs",
        title: "No new privileges",
        value,
        protects,
        sentence: sentence.into(),
        file: fact.file.clone(),
        command: fact.command.clone(),
    }
}

fn security_label(inside: &Inside) -> Wall {
    let fact = &inside.security_label;
    let (value, protects, sentence) = match fact.value.as_deref() {
        Some("unconfined") => (
            "none".to_owned(),
            false,
            "No security module (AppArmor, SELinux) adds rules for this container.",
        ),
        Some(label) => (
            label.to_owned(),
            !label.starts_with("unconfined"),
            "A security module of the kernel checks what this container does against the rules of this label or profile.",
        ),
        None => (
            unreadable(fact.unreadable.as_ref()),
            false,
            "The label of a security module could not be read.",
        ),
    };
    Wall {
        kind: "lsm",
        title: "Security module",
        value,
        protects,
        sentence: sentence.into(),
        file: fact.file.clone(),
        command: fact.command.clone(),
    }
}

fn read_only_root(inside: &Inside) -> Wall {
    let (value, protects, sentence) = match inside.read_only_root {
        Some(true) => (
            "read-only",
            true,
            "Programs cannot change the container's own files; only volumes and tmpfs mounts can be written.",
        ),
        Some(false) => (
            "writable",
            false,
            "Programs can change the container's files; the image stays as it is and the changes go with the container.",
        ),
        None => (
            "unknown",
            false,
            "Whether the root can be written could not be read.",
        ),
    };
    Wall {
        kind: "read_only_root",
        title: "Root file system",
        value: value.into(),
        protects,
        sentence: sentence.into(),
        file: inside.mounts.file.clone(),
        command: format!("grep ' / / ' {}", inside.mounts.file),
    }
}

fn paths(
    inside: &Inside,
    kind: &'static str,
    title: &'static str,
    paths: &[String],
    sentences: [&str; 2],
) -> Wall {
    let [some, none] = sentences;
    Wall {
        kind,
        title,
        value: if paths.is_empty() {
            "none".into()
        } else {
            paths.join(", ")
        },
        protects: !paths.is_empty(),
        sentence: if paths.is_empty() { none } else { some }.into(),
        file: inside.mounts.file.clone(),
        command: format!("grep -E ' /(proc|sys)/' {}", inside.mounts.file),
    }
}

fn masked_paths(inside: &Inside) -> Wall {
    paths(
        inside,
        "masked_paths",
        "Masked paths",
        &inside.masked_paths,
        [
            "These files of the kernel tell or do too much about the whole machine; something empty is mounted over them.",
            "Files of the kernel such as /proc/kcore, which show the whole machine, are not hidden.",
        ],
    )
}

fn read_only_paths(inside: &Inside) -> Wall {
    paths(
        inside,
        "read_only_paths",
        "Read-only kernel paths",
        &inside.read_only_paths,
        [
            "Settings of the kernel under these paths can be read but not changed.",
            "Settings of the kernel under /proc/sys and others can be changed, as far as capabilities permit.",
        ],
    )
}

fn oom_score(inside: &Inside) -> Wall {
    let fact = &inside.oom_score_adj;
    let value = fact
        .value
        .map_or_else(|| unreadable(fact.unreadable.as_ref()), |n| n.to_string());
    let sentence = match fact.value {
        Some(1..) => {
            "When the whole machine runs out of memory, this container is killed earlier than others."
        }
        Some(0) => {
            "When the whole machine runs out of memory, it is treated as any other program of its size."
        }
        Some(_) => {
            "When the whole machine runs out of memory, other programs are killed before this container."
        }
        None => "How readily it is killed when the machine runs out of memory could not be read.",
    };
    Wall {
        kind: "oom_score_adj",
        title: "Killed first or last",
        value,
        // Protects the machine unless the container is put before everything else.
        protects: fact.value.is_some_and(|value| value >= 0),
        sentence: sentence.into(),
        file: fact.file.clone(),
        command: fact.command.clone(),
    }
}

/// What a range of user or group ids means.
pub fn id_range_sentence(range: &IdRange, groups: bool) -> String {
    let who = if groups { "Group" } else { "User" };
    if range.inside == range.outside && range.count >= u32::MAX - 1 {
        return format!("{who} ids are the host's own: 0 inside is 0 outside.");
    }
    let last = |first: u32| u64::from(first) + u64::from(range.count).saturating_sub(1);
    format!(
        "{who} ids {} to {} inside are {} to {} on the host.",
        range.inside,
        last(range.inside),
        range.outside,
        last(range.outside)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_in_words() {
        let host = IdRange {
            inside: 0,
            outside: 0,
            count: u32::MAX,
        };
        assert_eq!(
            id_range_sentence(&host, false),
            "User ids are the host's own: 0 inside is 0 outside."
        );
        let mapped = IdRange {
            inside: 0,
            outside: 100_000,
            count: 65_536,
        };
        assert_eq!(
            id_range_sentence(&mapped, true),
            "Group ids 0 to 65535 inside are 100000 to 165535 on the host."
        );
    }
}
