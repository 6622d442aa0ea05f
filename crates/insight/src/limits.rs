//! What the knobs of a control group mean.

use observe::inside::{CgroupPath, Knob, KnobKind, Unit};

use crate::text;

/// A knob for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnobText {
    /// `Memory limit`.
    pub title: &'static str,
    /// `32 MiB`, or `none`; empty for what is only counted.
    pub limit: String,
    /// What is used now.
    pub current: Option<String>,
    /// Used share of the limit, 0 to 100.
    pub used_percent: Option<u8>,
    /// What it means, in one sentence.
    pub sentence: String,
}

/// A knob in words.
pub fn describe(knob: &Knob) -> KnobText {
    let limit = knob.limit.value;
    let current = knob.current.as_ref().and_then(|fact| fact.value);
    let shown = match (limit, &knob.text, &knob.limit.unreadable) {
        (_, _, Some(reason)) => format!("unreadable: {reason}"),
        (Some(value), _, None) => number(knob, value),
        (None, Some(text), None) if !text.is_empty() => text.clone(),
        // A counter has no limit to miss.
        (None, _, None) if matches!(knob.kind, KnobKind::OomKills) => String::new(),
        (None, _, None) => "none".to_owned(),
    };
    KnobText {
        title: title(knob.kind),
        limit: shown,
        current: current.map(|value| number(knob, value)),
        used_percent: limit
            .zip(current)
            .and_then(|(limit, current)| text::percent(current, limit)),
        sentence: sentence(knob, limit, current),
    }
}

fn number(knob: &Knob, value: u64) -> String {
    match knob.unit {
        Unit::Bytes => text::bytes(value),
        Unit::CpuPercent => format!("{}.{:02} CPUs", value / 100, value % 100),
        Unit::Count | Unit::Weight | Unit::Text => value.to_string(),
    }
}

const fn title(kind: KnobKind) -> &'static str {
    match kind {
        KnobKind::MemoryLimit => "Memory limit",
        KnobKind::SwapLimit => "Swap limit",
        KnobKind::MemoryReservation => "Memory reservation",
        KnobKind::OomKills => "Killed for lack of memory",
        KnobKind::CpuQuota => "CPU limit",
        KnobKind::CpuWeight => "CPU weight",
        KnobKind::CpuSet => "CPUs",
        KnobKind::MemoryNodes => "Memory nodes",
        KnobKind::PidsLimit => "Process limit",
        KnobKind::BlockIoRates => "Disk rate limits",
        KnobKind::BlockIoWeight => "Disk weight",
    }
}

fn sentence(knob: &Knob, limit: Option<u64>, current: Option<u64>) -> String {
    let v1 = knob.version == 1;
    match knob.kind {
        KnobKind::MemoryLimit => limit.map_or_else(
            || "It may take all memory of the machine; when that runs out, the kernel chooses what to kill.".into(),
            |bytes| {
                format!(
                    "At {} the kernel takes page cache back, and if that is not enough kills a process of the container.",
                    text::bytes(bytes)
                )
            },
        ),
        KnobKind::SwapLimit => match (limit, v1) {
            (None, _) => "Its memory may go to swap without a limit.".into(),
            (Some(0), false) => "Its memory never goes to swap.".into(),
            (Some(bytes), false) => format!("At most {} of it may go to swap.", text::bytes(bytes)),
            (Some(bytes), true) => format!(
                "Memory and swap together may reach {}; what is above the memory limit is swap.",
                text::bytes(bytes)
            ),
        },
        KnobKind::MemoryReservation => limit.map_or_else(
            || "No memory is kept for it when the machine runs short.".into(),
            |bytes| {
                format!(
                    "When the machine runs short, memory above {} is taken from it first.",
                    text::bytes(bytes)
                )
            },
        ),
        KnobKind::OomKills => match current {
            Some(0) => "The kernel has not killed any of its processes for lack of memory.".into(),
            Some(kills) => format!(
                "Since the container started the kernel killed {} of it because the memory limit was reached.",
                text::count(usize::try_from(kills).unwrap_or(usize::MAX), "process", "processes")
            ),
            None => "This kernel does not count them.".into(),
        },
        KnobKind::CpuQuota => limit.map_or_else(
            || "It may use every CPU fully as long as no one else wants it.".into(),
            |percent| {
                format!(
                    "In each period all its processes together get {percent} % of one CPU; then they wait for the next one (throttling)."
                )
            },
        ),
        KnobKind::CpuWeight => {
            let usual = if v1 { 1024 } else { 100 };
            let base = "Counts only when CPUs are short: time is divided in proportion to these weights";
            match limit {
                Some(weight) if weight == usual => format!("{base}. {usual} is the usual value."),
                _ => format!("{base}; {usual} is the usual value."),
            }
        }
        KnobKind::CpuSet => "The CPUs that its processes may run on.".into(),
        KnobKind::MemoryNodes => "The memory banks (NUMA nodes) that its memory may come from.".into(),
        KnobKind::PidsLimit => limit.map_or_else(
            || "It may start processes until the machine has no more, as a fork bomb would.".into(),
            |most| format!("With {most} processes and threads, starting another one is refused; a fork bomb stops there."),
        ),
        KnobKind::BlockIoRates => knob.text.as_ref().map_or_else(
            || "It may read and write as fast as the disks can.".into(),
            |_rates| "Reads and writes of these devices are delayed so that they stay below the rate.".into(),
        ),
        KnobKind::BlockIoWeight => {
            "Counts only when a disk is busy, and only with a scheduler that knows weights (BFQ).".into()
        }
    }
}

/// What it means to be in a control group of a hierarchy.
pub fn path_sentence(path: &CgroupPath) -> String {
    match (path.version, path.controllers.as_slice()) {
        (1, []) => {
            "A hierarchy without controllers, used by systemd to keep track of processes.".into()
        }
        (1, controllers) => format!(
            "In this v1 hierarchy {} limited and counted for the container as a whole.",
            are(controllers)
        ),
        (_, []) => "The v2 hierarchy; on this machine its controllers are in v1, so here processes are only grouped, \
                    frozen, killed and their pressure measured."
            .into(),
        (_, controllers) => format!(
            "The v2 hierarchy, in which {} limited and counted for the container as a whole.",
            are(controllers)
        ),
    }
}

fn are(controllers: &[String]) -> String {
    match controllers {
        [one] => format!("{one} is"),
        [first @ .., last] => format!("{} and {last} are", first.join(", ")),
        [] => "nothing is".into(),
    }
}

#[cfg(test)]
mod tests {
    use observe::inside::Fact;

    use super::*;

    fn knob(kind: KnobKind, unit: Unit, limit: Option<u64>, current: Option<u64>) -> Knob {
        let fact = |value| Fact {
            value,
            unreadable: None,
            file: "/f".into(),
            command: "cat /f".into(),
        };
        Knob {
            kind,
            controller: "memory".into(),
            version: 2,
            unit,
            limit: fact(limit),
            text: None,
            current: Some(fact(current)),
        }
    }

    #[test]
    fn limits_are_told_with_use_and_share() {
        let text = describe(&knob(
            KnobKind::MemoryLimit,
            Unit::Bytes,
            Some(64 << 20),
            Some(16 << 20),
        ));
        assert_eq!(text.limit, "64 MiB");
        assert_eq!(text.current.as_deref(), Some("16 MiB"));
        assert_eq!(text.used_percent, Some(25));
        let none = describe(&knob(KnobKind::PidsLimit, Unit::Count, None, Some(3)));
        assert_eq!(none.limit, "none");
        assert!(none.sentence.contains("fork bomb"));
        let kills = describe(&knob(KnobKind::OomKills, Unit::Count, None, Some(0)));
        assert_eq!(
            (kills.limit.as_str(), kills.current.as_deref()),
            ("", Some("0"))
        );
        let cpu = describe(&knob(KnobKind::CpuQuota, Unit::CpuPercent, Some(50), None));
        assert_eq!(cpu.limit, "0.50 CPUs");
    }

    #[test]
    fn an_unreadable_limit_is_not_none() {
        let mut knob = knob(KnobKind::MemoryLimit, Unit::Bytes, None, None);
        knob.limit.unreadable = Some("permission denied".into());
        assert_eq!(describe(&knob).limit, "unreadable: permission denied");
    }
}
