//! What this kernel offers for limits, with reasons for what it does not.

use std::time::Duration;

use crate::layout::{Controller, Layout, Mode};
use crate::{Cgroup, Error, file};

/// One limit or ability, and whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Short stable name: `memory_limit`, `cpu_quota`, …
    pub name: &'static str,
    /// The cgroup file (or `cgroup.kill` and such) that was looked for.
    pub file: String,
    /// It is there.
    pub available: bool,
    /// Where it is missing: why, in one sentence; else empty.
    pub reason: String,
}

/// What cgroups can do on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// v1, v2 or both.
    pub mode: Mode,
    /// Each known ability.
    pub all: Vec<Feature>,
}

impl Features {
    /// Looks into a cgroup, which should be below the root (the root itself lacks many files).
    pub fn of(layout: &Layout, cgroup: &Cgroup) -> Self {
        let all = KNOWN
            .iter()
            .map(|(name, controller, v1, v2)| feature(cgroup, name, *controller, v1, v2))
            .collect();
        Self {
            mode: layout.mode(),
            all,
        }
    }

    /// Makes a cgroup of a name for the look, and removes it.
    ///
    /// # Errors
    /// [`Error::Sys`] if that is not permitted.
    pub fn probe(layout: &Layout, parent: &str) -> Result<Self, Error> {
        let path = format!("{parent}/probe-{}", std::process::id());
        let cgroup = Cgroup::create(layout, &path)?;
        let features = Self::of(layout, &cgroup);
        cgroup.remove(Duration::from_millis(100))?;
        Ok(features)
    }

    /// Whether an ability is there; false for an unknown name.
    pub fn has(&self, name: &str) -> bool {
        self.all
            .iter()
            .any(|feature| feature.name == name && feature.available)
    }
}

/// Name, controller (`None`: cgroup core), file in v1 (several to choose from with `|`), file in v2.
type Known = (&'static str, Option<Controller>, &'static str, &'static str);

const KNOWN: &[Known] = &[
    (
        "memory_limit",
        Some(Controller::Memory),
        "memory.limit_in_bytes",
        "memory.max",
    ),
    (
        "swap_limit",
        Some(Controller::Memory),
        "memory.memsw.limit_in_bytes",
        "memory.swap.max",
    ),
    (
        "memory_reservation",
        Some(Controller::Memory),
        "memory.soft_limit_in_bytes",
        "memory.low",
    ),
    (
        "memory_swappiness",
        Some(Controller::Memory),
        "memory.swappiness",
        "",
    ),
    (
        "oom_kill_disable",
        Some(Controller::Memory),
        "memory.oom_control",
        "",
    ),
    (
        "oom_kill_count",
        Some(Controller::Memory),
        "memory.oom_control",
        "memory.events",
    ),
    (
        "kernel_memory_tcp",
        Some(Controller::Memory),
        "memory.kmem.tcp.limit_in_bytes",
        "",
    ),
    (
        "cpu_shares",
        Some(Controller::Cpu),
        "cpu.shares",
        "cpu.weight",
    ),
    (
        "cpu_quota",
        Some(Controller::Cpu),
        "cpu.cfs_quota_us",
        "cpu.max",
    ),
    (
        "cpu_burst",
        Some(Controller::Cpu),
        "cpu.cfs_burst_us",
        "cpu.max.burst",
    ),
    ("cpu_idle", Some(Controller::Cpu), "cpu.idle", "cpu.idle"),
    (
        "cpu_realtime",
        Some(Controller::Cpu),
        "cpu.rt_runtime_us",
        "",
    ),
    (
        "cpuset",
        Some(Controller::Cpuset),
        "cpuset.cpus",
        "cpuset.cpus",
    ),
    ("pids_limit", Some(Controller::Pids), "pids.max", "pids.max"),
    (
        "block_io_weight",
        Some(Controller::Io),
        "blkio.bfq.weight|blkio.weight",
        "io.bfq.weight|io.weight",
    ),
    (
        "block_io_rates",
        Some(Controller::Io),
        "blkio.throttle.write_bps_device",
        "io.max",
    ),
    (
        "hugepages",
        Some(Controller::Hugetlb),
        "hugetlb.2MB.limit_in_bytes",
        "hugetlb.2MB.max",
    ),
    ("freeze", None, "", "cgroup.freeze"),
    ("kill", None, "", "cgroup.kill"),
    ("pressure", None, "", "cpu.pressure"),
];

fn feature(
    cgroup: &Cgroup,
    name: &'static str,
    controller: Option<Controller>,
    v1: &str,
    v2: &str,
) -> Feature {
    let (directory, choices) = match controller {
        Some(controller) => match cgroup.directory_of(controller) {
            Some(directory) => (
                Some(directory.path.as_path()),
                if directory.v2 { v2 } else { v1 },
            ),
            None => (
                None,
                if cgroup.v2_directory().is_some() {
                    v2
                } else {
                    v1
                },
            ),
        },
        None => (cgroup.v2_directory(), v2),
    };
    let mut names = choices.split('|').filter(|name| !name.is_empty());
    let first = names.clone().next().unwrap_or_default().to_owned();
    let found =
        directory.and_then(|directory| names.find(|name| file::exists(&directory.join(name))));
    let reason = match (found, directory, controller) {
        (Some(_), _, _) => String::new(),
        (None, None, Some(controller)) => {
            format!(
                "the cgroup controller {} is not available",
                controller.name()
            )
        }
        (None, None, None) => "cgroup v2 is not mounted".into(),
        (None, Some(_), _) if first.is_empty() => "cgroup v2 has no such setting".into(),
        (None, Some(_), _) => {
            format!("this kernel has no {first}: it is too old or was built without it")
        }
    };
    // Without v2 freezing and killing still work, through the v1 freezer; only the way is another.
    Feature {
        name,
        file: found.map_or(first, str::to_owned),
        available: found.is_some(),
        reason,
    }
}
