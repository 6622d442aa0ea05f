//! The isolation of several containers, side by side.

use observe::Inside;
use observe::inside::{Fact, KnobKind, NamespaceKind, SeccompMode};

use crate::{limits, namespaces, text};

/// What stands for a container that could not be looked into.
const NOT_MEASURED: &str = "not measured";

/// One row of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What is compared: `User namespace`.
    pub fact: String,
    /// What it means.
    pub sentence: String,
    /// One value for each container, in their order.
    pub values: Vec<String>,
    /// Not all measured values are equal.
    pub differs: bool,
}

/// Rows for the containers; `None` for one that could not be looked into.
pub fn compare(containers: &[Option<&Inside>]) -> Vec<Row> {
    let row = |fact: &str, sentence: &str, value: &dyn Fn(&Inside) -> String| {
        let values: Vec<String> = containers
            .iter()
            .map(|inside| inside.map_or_else(|| NOT_MEASURED.to_owned(), value))
            .collect();
        let mut measured = values.iter().filter(|value| *value != NOT_MEASURED);
        let first = measured.next();
        let differs = measured.any(|value| Some(value) != first);
        Row {
            fact: fact.to_owned(),
            sentence: sentence.to_owned(),
            values,
            differs,
        }
    };
    let mut rows: Vec<Row> = NamespaceKind::ALL
        .into_iter()
        .map(|kind| {
            row(
                &format!("{} ({})", namespaces::title(kind), kind.link()),
                namespaces::sentence(kind, Some(false)),
                &|inside| namespace(inside, kind),
            )
        })
        .collect();
    rows.extend([
        row(
            "Capabilities of root",
            "The parts of root's power that the first process has; fewer is safer.",
            &|inside| capabilities(inside),
        ),
        row(
            "Capabilities that can be gained",
            "The bounding set: what no program in the container can ever exceed.",
            &|inside| {
                inside.capabilities.value.as_ref().map_or_else(
                    || unread(&inside.capabilities),
                    |sets| sets.bounding.len().to_string(),
                )
            },
        ),
        row(
            "System call filter",
            "A filter refuses system calls that containers do not need.",
            &|inside| match inside.seccomp.value.map(|seccomp| seccomp.mode) {
                Some(SeccompMode::Filter) => "on".into(),
                Some(SeccompMode::Strict) => "strict".into(),
                Some(SeccompMode::Disabled) => "off".into(),
                None => unread(&inside.seccomp),
            },
        ),
        row(
            "No new privileges",
            "Programs with the set-user-id bit cannot give their caller more rights.",
            &|inside| {
                inside
                    .no_new_privs
                    .value
                    .map_or_else(|| unread(&inside.no_new_privs), on_off)
            },
        ),
        row(
            "Security module",
            "The profile or label of AppArmor or SELinux, if the machine has one of them.",
            &|inside| match inside.security_label.value.as_deref() {
                Some("unconfined") => "none".into(),
                Some(label) => label.to_owned(),
                None => unread(&inside.security_label),
            },
        ),
        row(
            "Root user is host root",
            "Without a user namespace user 0 inside is user 0 on the host.",
            &|inside| match inside.uid_map.value.as_deref() {
                Some(ranges) => {
                    let host = ranges
                        .iter()
                        .any(|range| range.inside == 0 && range.outside == 0);
                    if host { "yes" } else { "no" }.into()
                }
                None => unread(&inside.uid_map),
            },
        ),
        row(
            "Masked kernel files",
            "Files of /proc and /sys that are hidden from the container; more is safer.",
            &|inside| inside.masked_paths.len().to_string(),
        ),
        row(
            "Read-only kernel files",
            "Parts of /proc and /sys that the container can read but not change.",
            &|inside| inside.read_only_paths.len().to_string(),
        ),
        row(
            "Read-only root",
            "Programs cannot change the container's own files.",
            &|inside| {
                inside
                    .read_only_root
                    .map_or_else(|| "unknown".into(), on_off)
            },
        ),
        row(
            "Control groups of its own",
            "In how many hierarchies its use is limited and counted apart from everything else.",
            &|inside| {
                inside.cgroups.value.as_ref().map_or_else(
                    || unread(&inside.cgroups),
                    |paths| text::count(paths.len(), "hierarchy", "hierarchies"),
                )
            },
        ),
    ]);
    for kind in [
        KnobKind::MemoryLimit,
        KnobKind::CpuQuota,
        KnobKind::PidsLimit,
    ] {
        let title = containers.iter().flatten().find_map(|inside| {
            let knob = inside.knobs.iter().find(|knob| knob.kind == kind)?;
            Some(limits::describe(knob).title)
        });
        if let Some(title) = title {
            rows.push(row(
                title,
                "What the kernel enforces for the container as a whole.",
                &|inside| {
                    inside
                        .knobs
                        .iter()
                        .find(|knob| knob.kind == kind)
                        .map_or_else(|| "unknown".into(), |knob| limits::describe(knob).limit)
                },
            ));
        }
    }
    rows
}

/// What the rows say as a whole, in one sentence.
pub fn verdict(rows: &[Row]) -> String {
    let measured = rows
        .iter()
        .all(|row| row.values.iter().all(|value| value != NOT_MEASURED));
    if !measured {
        return "Not all containers could be looked into, so their isolation cannot be compared as a whole.".into();
    }
    let different: Vec<&str> = rows
        .iter()
        .filter(|row| row.differs)
        .map(|row| row.fact.as_str())
        .collect();
    match different.as_slice() {
        [] => format!(
            "No difference in isolation: all {} facts are equal.",
            rows.len()
        ),
        some => format!(
            "{} of {} facts differ: {}.",
            some.len(),
            rows.len(),
            some.join(", ")
        ),
    }
}

fn on_off(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

fn unread<T>(fact: &Fact<T>) -> String {
    fact.unreadable.as_ref().map_or_else(
        || "unknown".into(),
        |reason| format!("unreadable: {reason}"),
    )
}

fn namespace(inside: &Inside, kind: NamespaceKind) -> String {
    let Some(found) = inside.namespaces.iter().find(|found| found.kind == kind) else {
        return "not in this kernel".into();
    };
    match found.shared_with_host {
        Some(true) => "the host's".into(),
        Some(false) => "its own".into(),
        None => unread(&found.inode),
    }
}

fn capabilities(inside: &Inside) -> String {
    inside.capabilities.value.as_ref().map_or_else(
        || unread(&inside.capabilities),
        |sets| {
            let powerful = sets
                .effective
                .iter()
                .filter(|name| {
                    crate::capabilities::of_name(name)
                        .is_none_or(|known| known.risk == crate::capabilities::Risk::High)
                })
                .count();
            match powerful {
                0 => sets.effective.len().to_string(),
                some => format!("{}, {some} of them dangerous", sets.effective.len()),
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_compared_with_itself_does_not_differ() {
        let inside = observe::inside(std::process::id()).unwrap();
        let rows = compare(&[Some(&inside), Some(&inside)]);
        assert!(rows.len() > 15);
        assert!(rows.iter().all(|row| !row.differs && row.values.len() == 2));
        assert!(verdict(&rows).starts_with("No difference"));
        let mut other = inside.clone();
        other.no_new_privs.value = other.no_new_privs.value.map(|value| !value);
        let rows = compare(&[Some(&inside), Some(&other)]);
        assert!(verdict(&rows).contains("differ: No new privileges."));
        let rows = compare(&[Some(&inside), None]);
        assert!(
            rows.iter()
                .all(|row| row.values[1] == NOT_MEASURED && !row.differs)
        );
        assert!(verdict(&rows).starts_with("Not all"));
    }
}
