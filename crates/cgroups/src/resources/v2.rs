//! The files of v2, and the runtime-spec's limits (which are v1's) in their terms.

use super::journal::Journal;
use super::{
    BlockIo, DeviceRate, Memory, RdmaLimit, Resources, Setting, convert, pids_max, set_all,
};
use crate::cgroup::Directory;
use crate::layout::Controller;
use crate::{Error, file, parse};

/// The limits of memory that a cgroup has now, in bytes; `None` for no limit, as a new cgroup has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InForce {
    memory: Option<u64>,
    swap: Option<u64>,
}

impl InForce {
    fn read(directory: &Directory) -> Self {
        let limit = |name| {
            file::read(&directory.path.join(name))
                .ok()
                .and_then(|content| parse::limit(&content))
        };
        Self {
            memory: limit("memory.max"),
            swap: limit("memory.swap.max"),
        }
    }
}

/// What is written for the limits of a controller, in order.
pub(super) fn settings(
    resources: &Resources,
    controller: Controller,
    now: InForce,
) -> Result<Vec<Setting>, Error> {
    match controller {
        Controller::Memory => memory(&resources.memory, now),
        Controller::Cpu => cpu(resources),
        Controller::Cpuset => Ok([
            ("cpuset.cpus", &resources.cpu.cpus),
            ("cpuset.mems", &resources.cpu.mems),
        ]
        .into_iter()
        .filter_map(|(file, list)| Some((file, list.as_ref().filter(|list| !list.is_empty())?)))
        .map(|(file, list)| Setting::new(controller, file, list))
        .collect()),
        Controller::Pids => Ok(resources
            .pids
            .map(|most| Setting::new(controller, "pids.max", pids_max(most)))
            .into_iter()
            .collect()),
        Controller::Io => Ok(io(&resources.block_io)),
        Controller::Hugetlb => Ok(resources
            .hugepages
            .iter()
            .flat_map(|page| {
                ["", "rsvd."].map(|kind| {
                    Setting::new(
                        controller,
                        format!("hugetlb.{}.{kind}max", page.page_size),
                        page.limit_bytes,
                    )
                })
            })
            .collect()),
        Controller::Rdma => Ok(resources
            .rdma
            .iter()
            .filter_map(RdmaLimit::line)
            .map(|line| Setting::new(controller, "rdma.max", line))
            .collect()),
        _ => Ok(Vec::new()),
    }
}

/// `max` for a value below `least`.
fn or_max(value: i64, least: i64) -> String {
    if value < least {
        "max".to_owned()
    } else {
        value.to_string()
    }
}

fn v1_only(what: &str, value: impl ToString, instead: &str) -> Error {
    Error::NotSupported {
        what: what.to_owned(),
        value: value.to_string(),
        reason: "cgroup v2 has no such setting".into(),
        hint: instead.to_owned(),
    }
}

fn memory(memory: &Memory, now: InForce) -> Result<Vec<Setting>, Error> {
    let mut out = Vec::new();
    let mut push =
        |file: &str, value: String| out.push(Setting::new(Controller::Memory, file, value));
    if let Some(bytes) = memory.kernel_tcp_bytes.filter(|bytes| *bytes >= 0) {
        return Err(v1_only(
            "kernel memory for TCP",
            bytes,
            "it is part of the memory limit",
        ));
    }
    if let Some(swappiness) = memory.swappiness {
        return Err(v1_only(
            "memory swappiness",
            swappiness,
            "limit swap instead (memory and swap)",
        ));
    }
    if memory.disable_oom_killer == Some(true) {
        return Err(v1_only(
            "disabling the OOM killer",
            true,
            "memory.high through the unified settings slows down instead of killing",
        ));
    }
    if let Some(swap) = swap(memory, now)? {
        push("memory.swap.max", swap);
    }
    if let Some(limit) = memory.limit_bytes.filter(|limit| *limit != 0) {
        push("memory.max", or_max(limit, 0));
    }
    if let Some(low) = memory.reservation_bytes.filter(|low| *low != 0) {
        push("memory.low", or_max(low, 0));
    }
    Ok(out)
}

/// `memory.swap.max` for the runtime-spec's memory and swap together, which is how v1 counts; v2 counts swap alone.
///
/// Given one without the other, what is in force stands for the other, as in v1. The two files do not depend on each other, so
/// their order is of no meaning.
fn swap(memory: &Memory, now: InForce) -> Result<Option<String>, Error> {
    let invalid = |both: String, reason: &str| {
        Err(Error::Invalid {
            what: "memory and swap".into(),
            value: both,
            reason: reason.to_owned(),
        })
    };
    let limit = memory.limit_bytes.filter(|limit| *limit != 0);
    match (
        memory.limit_with_swap_bytes.filter(|both| *both != 0),
        limit,
    ) {
        (None, None) => Ok(None),
        // Without a limit of memory there can be none of both together.
        (Some(-1), _) | (None, Some(-1)) => Ok(Some("max".into())),
        // Only memory: what was set for both together stays.
        (None, Some(limit)) => match (now.memory, now.swap) {
            (Some(memory), Some(swap)) if swap != 0 => {
                let both = memory.saturating_add(swap);
                match u64::try_from(limit)
                    .ok()
                    .and_then(|limit| both.checked_sub(limit))
                {
                    Some(swap) => Ok(Some(swap.to_string())),
                    None => invalid(both.to_string(), "must not be less than the memory limit"),
                }
            }
            _ => Ok(None),
        },
        (Some(both), Some(-1)) => Ok(Some(both.to_string())),
        (Some(both), Some(limit)) => Ok(Some(both.saturating_sub(limit).to_string())),
        (Some(both), None) => match now.memory {
            Some(limit) => match u64::try_from(both)
                .ok()
                .and_then(|both| both.checked_sub(limit))
            {
                Some(swap) => Ok(Some(swap.to_string())),
                None => invalid(both.to_string(), "must not be less than the memory limit"),
            },
            None => invalid(
                both.to_string(),
                "on cgroup v2 the memory limit must be given with it (unable to set swap limit without memory limit)",
            ),
        },
    }
}

/// The runtime-spec's memory and swap as v2's swap, in bytes, as far as the request alone says it; -1 for no limit.
pub(crate) fn swap_alone(memory: &Memory) -> Option<i64> {
    match swap(memory, InForce::default()).ok()?? {
        max if max == "max" => Some(-1),
        bytes => bytes.parse().ok(),
    }
}

fn cpu(resources: &Resources) -> Result<Vec<Setting>, Error> {
    let cpu = &resources.cpu;
    let mut out = Vec::new();
    let mut push = |file: &str, value: String| out.push(Setting::new(Controller::Cpu, file, value));
    if let Some(runtime) = cpu.realtime_runtime_us.filter(|us| *us != 0) {
        return Err(v1_only(
            "realtime CPU time",
            runtime,
            "use a CPU quota, or cgroup v1",
        ));
    }
    if let Some(period) = cpu.realtime_period_us.filter(|us| *us != 0) {
        return Err(v1_only(
            "realtime CPU period",
            period,
            "use a CPU quota, or cgroup v1",
        ));
    }
    if cpu.idle == Some(0) {
        push("cpu.idle", "0".to_owned());
    }
    // A weight means nothing to a cgroup that runs only when nothing else does, and the kernel refuses it.
    if let Some(shares) = cpu
        .shares
        .filter(|shares| *shares != 0 && cpu.idle != Some(1))
    {
        push("cpu.weight", convert::shares_to_weight(shares).to_string());
    }
    // One file for both. Without a period the one that is set stays; without a quota it is read back in `apply`.
    match (cpu.quota_us, cpu.period_us.filter(|period| *period != 0)) {
        (Some(quota), Some(period)) => push("cpu.max", format!("{} {period}", or_max(quota, 1))),
        (Some(quota), None) => push("cpu.max", or_max(quota, 1)),
        (None, Some(period)) => push("cpu.max", format!("{KEEP_QUOTA} {period}")),
        (None, None) => {}
    }
    if let Some(burst) = cpu.burst_us {
        push("cpu.max.burst", burst.to_string());
    }
    if let Some(idle) = cpu.idle.filter(|idle| *idle != 0) {
        push("cpu.idle", idle.to_string());
    }
    Ok(out)
}

/// Stands for the quota that is set now.
const KEEP_QUOTA: &str = "keep";

fn io(io: &BlockIo) -> Vec<Setting> {
    let mut out = Vec::new();
    let mut push = |file: &str, value: String| out.push(Setting::new(Controller::Io, file, value));
    if let Some(weight) = io.weight.filter(|weight| *weight != 0) {
        push("io.bfq.weight", format!("default {weight}"));
    }
    for rate in &io.weight_devices {
        push(
            "io.bfq.weight",
            format!("{}:{} {}", rate.major, rate.minor, rate.rate),
        );
    }
    for (key, rates) in [
        ("rbps", &io.read_bytes_per_second),
        ("wbps", &io.write_bytes_per_second),
        ("riops", &io.read_operations_per_second),
        ("wiops", &io.write_operations_per_second),
    ] {
        for DeviceRate { major, minor, rate } in rates {
            // v1 takes a limit away with 0, v2 with "max".
            let rate = if *rate == 0 {
                "max".to_owned()
            } else {
                rate.to_string()
            };
            push("io.max", format!("{major}:{minor} {key}={rate}"));
        }
    }
    out
}

pub(super) fn apply(
    directory: &Directory,
    resources: &Resources,
    controller: Controller,
    journal: &mut Journal,
) -> Result<(), Error> {
    let mut now = InForce::default();
    if controller == Controller::Memory {
        let memory = &resources.memory;
        if memory.check_before_update {
            check_usage(directory, memory)?;
        }
        if memory.limit_bytes.is_some() != memory.limit_with_swap_bytes.is_some() {
            now = InForce::read(directory);
        }
    }
    let mut ready = Vec::new();
    for mut setting in settings(resources, controller, now)? {
        let path = directory.path.join(&setting.file);
        match setting.file.as_str() {
            "memory.swap.max"
                if matches!(setting.value.as_str(), "0" | "max") && !file::exists(&path) =>
            {
                // Without swap in the kernel there is none to forbid.
                continue;
            }
            // Since Linux 5.7; the limit of pages in use is there in any case.
            name if name.contains(".rsvd.") && !file::exists(&path) => continue,
            "cpu.max" if setting.value.starts_with(KEEP_QUOTA) => {
                let now = file::read_named(&path)?;
                let quota = now.split_ascii_whitespace().next().unwrap_or("max");
                setting.value = setting.value.replace(KEEP_QUOTA, quota);
            }
            "io.bfq.weight" if !file::exists(&path) => {
                setting.file = "io.weight".into();
                setting.value = io_weight(&setting.value);
            }
            _ => {}
        }
        ready.push(setting);
    }
    set_all(directory, ready, journal, missing_hint)
}

/// A line for `io.bfq.weight` as one for `io.weight`.
fn io_weight(line: &str) -> String {
    let (target, weight) = line.rsplit_once(' ').unwrap_or(("default", line));
    weight.parse().map_or_else(
        |_not_a_weight| line.to_owned(),
        |weight| format!("{target} {}", convert::block_io_weight_to_io(weight)),
    )
}

/// v1's kernel refuses a limit below what is in use; v2's takes memory back and kills.
fn check_usage(directory: &Directory, memory: &Memory) -> Result<(), Error> {
    // What cannot be read cannot be checked.
    let Some(usage) = file::read(&directory.path.join("memory.current"))
        .ok()
        .and_then(|content| parse::limit(&content))
    else {
        return Ok(());
    };
    for (name, limit) in [
        ("memory+swap", memory.limit_with_swap_bytes),
        ("memory", memory.limit_bytes),
    ] {
        let limit = limit.and_then(|limit| u64::try_from(limit).ok());
        if let Some(limit) = limit.filter(|limit| *limit != 0 && *limit <= usage) {
            return Err(Error::Invalid {
                what: format!("{name} limit"),
                value: limit.to_string(),
                reason: format!("rejecting {name} limit: {usage} bytes are in use now"),
            });
        }
    }
    Ok(())
}

fn missing_hint(file: &str) -> &'static str {
    match file {
        "memory.swap.max" => "needs a kernel with swap accounting; leave the swap limit out",
        "cpu.max" => {
            "needs a kernel with CONFIG_CFS_BANDWIDTH; use CPU shares or a CPU set instead"
        }
        "cpu.max.burst" => "needs Linux 5.14",
        "cpu.idle" => "needs Linux 5.15",
        "io.weight" => "needs a kernel with CONFIG_BLK_CGROUP_IOCOST or the BFQ scheduler",
        "io.max" => "needs a kernel with CONFIG_BLK_DEV_THROTTLING; leave the rate out",
        _ if file.starts_with("hugetlb") => {
            "this machine has no huge pages of that size: see /sys/kernel/mm/hugepages"
        }
        _ => "needs a newer kernel, or one built with more options; leave the limit out",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(resources: &Resources, controller: Controller) -> Vec<(String, String)> {
        settings(resources, controller, InForce::default())
            .unwrap()
            .into_iter()
            .map(|setting| (setting.file, setting.value))
            .collect()
    }

    fn pair(file: &str, value: &str) -> (String, String) {
        (file.into(), value.into())
    }

    #[test]
    fn swap_is_what_is_above_memory() {
        let mut resources = Resources::default();
        resources.memory.limit_bytes = Some(100);
        resources.memory.limit_with_swap_bytes = Some(150);
        assert_eq!(
            values(&resources, Controller::Memory),
            [pair("memory.swap.max", "50"), pair("memory.max", "100")]
        );
        resources.memory.limit_with_swap_bytes = Some(-1);
        assert_eq!(
            values(&resources, Controller::Memory)[0],
            pair("memory.swap.max", "max")
        );
    }

    /// runc's table (`ConvertMemorySwapToCgroupV2Value`), and what is in force where one of the two is not given.
    #[test]
    fn memory_and_swap_together_become_swap_alone() {
        let of = |limit: i64, both: i64, now: InForce| {
            let memory = Memory {
                limit_bytes: Some(limit).filter(|n| *n != 0),
                limit_with_swap_bytes: Some(both).filter(|n| *n != 0),
                ..Memory::default()
            };
            swap(&memory, now)
        };
        let new = InForce::default();
        let max = Some("max".to_owned());
        assert_eq!(of(-1, 0, new).unwrap(), max);
        assert_eq!(of(0, 0, new).unwrap(), None);
        assert_eq!(of(0, -1, new).unwrap(), max);
        assert_eq!(of(100, -1, new).unwrap(), max);
        assert_eq!(of(-1, 70, new).unwrap(), Some("70".into()));
        assert_eq!(of(100, 100, new).unwrap(), Some("0".into()));
        assert_eq!(of(100, 0, new).unwrap(), None);
        assert!(of(0, 100, new).is_err());
        let set = InForce {
            memory: Some(100),
            swap: Some(50),
        };
        assert_eq!(of(120, 0, set).unwrap(), Some("30".into()));
        assert!(of(160, 0, set).is_err());
        assert_eq!(of(0, 130, set).unwrap(), Some("30".into()));
        assert!(of(0, 90, set).is_err());
        // No swap stays no swap, whatever the memory.
        let none = InForce {
            memory: Some(100),
            swap: Some(0),
        };
        assert_eq!(of(120, 0, none).unwrap(), None);
    }

    #[test]
    fn an_idle_cgroup_has_no_weight() {
        let mut resources = Resources::default();
        resources.cpu.shares = Some(1024);
        resources.cpu.idle = Some(1);
        assert_eq!(values(&resources, Controller::Cpu), [pair("cpu.idle", "1")]);
        resources.cpu.idle = Some(0);
        assert_eq!(
            values(&resources, Controller::Cpu),
            [pair("cpu.idle", "0"), pair("cpu.weight", "100")]
        );
    }

    #[test]
    fn a_setting_that_only_v1_has_is_refused() {
        let mut resources = Resources::default();
        resources.memory.swappiness = Some(10);
        assert!(matches!(
            settings(&resources, Controller::Memory, InForce::default()),
            Err(Error::NotSupported { .. })
        ));
    }

    #[test]
    fn quota_and_period_share_a_file() {
        let mut resources = Resources::default();
        resources.cpu.quota_us = Some(50_000);
        resources.cpu.period_us = Some(100_000);
        assert_eq!(
            values(&resources, Controller::Cpu),
            [pair("cpu.max", "50000 100000")]
        );
        resources.cpu.quota_us = Some(-1);
        assert_eq!(
            values(&resources, Controller::Cpu),
            [pair("cpu.max", "max 100000")]
        );
    }

    #[test]
    fn device_rates_are_keyed_and_zero_is_max() {
        let mut resources = Resources::default();
        resources.block_io.write_bytes_per_second = vec![
            DeviceRate {
                major: 8,
                minor: 0,
                rate: 1000,
            },
            DeviceRate {
                major: 8,
                minor: 16,
                rate: 0,
            },
        ];
        assert_eq!(
            values(&resources, Controller::Io),
            [
                pair("io.max", "8:0 wbps=1000"),
                pair("io.max", "8:16 wbps=max")
            ]
        );
        assert_eq!(io_weight("default 1000"), "default 10000");
        assert_eq!(io_weight("8:0 10"), "8:0 1");
    }
}
