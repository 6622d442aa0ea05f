//! Limits of a cgroup with what is used of them.

use std::path::Path;

use cgroups::{Cgroup, Controller, parse};

use crate::inside::{Fact, Knob, KnobKind, Unit};
use crate::linux::proc;

/// Kind, controller, unit, file of the limit in v1 and v2, file of the use in v1 and v2. Empty: none there.
type Known = (
    KnobKind,
    Controller,
    Unit,
    [&'static str; 2],
    [&'static str; 2],
);

const KNOWN: &[Known] = &[
    (
        KnobKind::MemoryLimit,
        Controller::Memory,
        Unit::Bytes,
        ["memory.limit_in_bytes", "memory.max"],
        ["memory.usage_in_bytes", "memory.current"],
    ),
    (
        KnobKind::SwapLimit,
        Controller::Memory,
        Unit::Bytes,
        ["memory.memsw.limit_in_bytes", "memory.swap.max"],
        ["memory.memsw.usage_in_bytes", "memory.swap.current"],
    ),
    (
        KnobKind::MemoryReservation,
        Controller::Memory,
        Unit::Bytes,
        ["memory.soft_limit_in_bytes", "memory.low"],
        ["", ""],
    ),
    (
        KnobKind::OomKills,
        Controller::Memory,
        Unit::Count,
        ["", ""],
        ["memory.oom_control", "memory.events"],
    ),
    (
        KnobKind::CpuQuota,
        Controller::Cpu,
        Unit::CpuPercent,
        ["cpu.cfs_quota_us", "cpu.max"],
        ["", ""],
    ),
    (
        KnobKind::CpuWeight,
        Controller::Cpu,
        Unit::Weight,
        ["cpu.shares", "cpu.weight"],
        ["", ""],
    ),
    (
        KnobKind::CpuSet,
        Controller::Cpuset,
        Unit::Text,
        ["cpuset.cpus", "cpuset.cpus.effective"],
        ["", ""],
    ),
    (
        KnobKind::MemoryNodes,
        Controller::Cpuset,
        Unit::Text,
        ["cpuset.mems", "cpuset.mems.effective"],
        ["", ""],
    ),
    (
        KnobKind::PidsLimit,
        Controller::Pids,
        Unit::Count,
        ["pids.max", "pids.max"],
        ["pids.current", "pids.current"],
    ),
    (
        KnobKind::BlockIoWeight,
        Controller::Io,
        Unit::Text,
        ["blkio.bfq.weight", "io.weight"],
        ["", ""],
    ),
];

/// What one file of the block I/O controller limits in v1; in v2 all are in `io.max`.
const RATES_V1: [(&str, &str); 4] = [
    ("blkio.throttle.read_bps_device", "rbps"),
    ("blkio.throttle.write_bps_device", "wbps"),
    ("blkio.throttle.read_iops_device", "riops"),
    ("blkio.throttle.write_iops_device", "wiops"),
];

/// All limits that this machine has files for.
pub(super) fn knobs(cgroup: &Cgroup) -> Vec<Knob> {
    let mut all: Vec<Knob> = KNOWN
        .iter()
        .filter_map(|known| knob(cgroup, known))
        .collect();
    all.extend(rates(cgroup));
    all
}

fn knob(cgroup: &Cgroup, known: &Known) -> Option<Knob> {
    let (kind, controller, unit, limit_files, current_files) = *known;
    let directory = cgroup.directory_of(controller)?;
    let pick = |files: [&'static str; 2]| {
        let [v1, v2] = files;
        let name = if directory.v2 { v2 } else { v1 };
        (!name.is_empty()).then(|| directory.path.join(name))
    };
    let current = pick(current_files).map(|path| fact(&path, |content| current(kind, content)));
    let (limit, text) = match pick(limit_files) {
        Some(path) if !path.exists() => return None,
        Some(path) => {
            let read = read(&path);
            let text = (unit == Unit::Text)
                .then(|| read.as_ref().ok().map(|content| content.trim().to_owned()))
                .flatten();
            let value = read.map(|content| match unit {
                Unit::Text => None,
                _ => limit(kind, &content, &path),
            });
            (optional(&path, value), text)
        }
        // Only something to count: the file of the count stands for both.
        None => (
            Fact {
                value: None,
                unreadable: None,
                file: current.as_ref()?.file.clone(),
                command: current.as_ref()?.command.clone(),
            },
            None,
        ),
    };
    Some(Knob {
        kind,
        controller: controller.name().to_owned(),
        version: if directory.v2 { 2 } else { 1 },
        unit,
        limit,
        text,
        current,
    })
}

fn rates(cgroup: &Cgroup) -> Option<Knob> {
    let directory = cgroup.directory_of(Controller::Io)?;
    let (file, text) = if directory.v2 {
        let file = directory.path.join("io.max");
        let content = read(&file).ok()?;
        (file, content.trim().replace('\n', "; "))
    } else {
        let first = directory.path.join("blkio.throttle.read_bps_device");
        if !first.exists() {
            return None;
        }
        let lines: Vec<String> = RATES_V1
            .iter()
            .flat_map(|(name, key)| {
                let content = read(&directory.path.join(name)).unwrap_or_default();
                content
                    .lines()
                    .filter_map(|line| line.split_once(' '))
                    .map(|(device, rate)| format!("{device} {key}={rate}"))
                    .collect::<Vec<_>>()
            })
            .collect();
        (first, lines.join("; "))
    };
    let file = file.to_string_lossy().into_owned();
    Some(Knob {
        kind: KnobKind::BlockIoRates,
        controller: Controller::Io.name().to_owned(),
        version: if directory.v2 { 2 } else { 1 },
        unit: Unit::Text,
        limit: Fact {
            value: None,
            unreadable: None,
            command: format!("cat {file}"),
            file,
        },
        text: (!text.is_empty()).then_some(text),
        current: None,
    })
}

fn limit(kind: KnobKind, content: &str, path: &Path) -> Option<u64> {
    match kind {
        KnobKind::CpuQuota => {
            let mut words = content.split_ascii_whitespace();
            let quota: u64 = words.next()?.parse().ok()?;
            let period: u64 = match words.next() {
                Some(period) => period.parse().ok()?,
                None => read(&path.with_file_name("cpu.cfs_period_us"))
                    .ok()?
                    .trim()
                    .parse()
                    .ok()?,
            };
            quota.saturating_mul(100).checked_div(period)
        }
        // Nothing is kept back for it.
        KnobKind::MemoryReservation => parse::limit(content).filter(|bytes| *bytes != 0),
        _ => parse::limit(content),
    }
}

fn current(kind: KnobKind, content: &str) -> Option<u64> {
    if kind == KnobKind::OomKills {
        parse::flat_value(content, "oom_kill")
    } else {
        content.trim().parse().ok()
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| proc::words(&error))
}

fn fact(path: &Path, value: impl Fn(&str) -> Option<u64>) -> Fact<u64> {
    let read = read(path);
    optional(path, read.map(|content| value(&content)))
}

/// A fact that may have no value without being unreadable.
fn optional(path: &Path, read: Result<Option<u64>, String>) -> Fact<u64> {
    let file = path.to_string_lossy().into_owned();
    let (value, unreadable) = match read {
        Ok(value) => (value, None),
        Err(reason) => (None, Some(reason)),
    };
    Fact {
        value,
        unreadable,
        command: format!("cat {file}"),
        file,
    }
}
