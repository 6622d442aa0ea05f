//! The files of v2, and the runtime-spec's limits (which are v1's) in their terms.

use super::{BlockIo, DeviceRate, Memory, Resources, Setting, convert, set};
use crate::cgroup::Directory;
use crate::layout::Controller;
use crate::{Error, file, parse};

/// What is written for the limits of a controller, in order.
pub(super) fn settings(
    resources: &Resources,
    controller: Controller,
) -> Result<Vec<Setting>, Error> {
    match controller {
        Controller::Memory => memory(&resources.memory),
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
            .map(|most| Setting::new(controller, "pids.max", or_max(most, 1)))
            .into_iter()
            .collect()),
        Controller::Io => Ok(io(&resources.block_io)),
        Controller::Hugetlb => Ok(resources
            .hugepages
            .iter()
            .map(|page| {
                Setting::new(
                    controller,
                    format!("hugetlb.{}.max", page.page_size),
                    page.limit_bytes,
                )
            })
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

fn memory(memory: &Memory) -> Result<Vec<Setting>, Error> {
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
    // v1 counts memory and swap together, v2 swap alone. Swap first when it is made less than it may be now: harmless in any order,
    // the two are independent.
    match (memory.limit_with_swap_bytes, memory.limit_bytes) {
        (None | Some(0), _) => {}
        (Some(-1), _) => push("memory.swap.max", "max".into()),
        (Some(both), Some(limit)) if limit >= 0 => {
            push("memory.swap.max", both.saturating_sub(limit).to_string());
        }
        (Some(both), _) => {
            return Err(Error::Invalid {
                what: "memory and swap".into(),
                value: both.to_string(),
                reason: "on cgroup v2 the memory limit must be given with it".into(),
            });
        }
    }
    if let Some(limit) = memory.limit_bytes.filter(|limit| *limit != 0) {
        push("memory.max", or_max(limit, 0));
    }
    if let Some(low) = memory.reservation_bytes.filter(|low| *low != 0) {
        push("memory.low", or_max(low, 0));
    }
    Ok(out)
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
    if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
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
    if let Some(idle) = cpu.idle {
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
) -> Result<(), Error> {
    if controller == Controller::Memory && resources.memory.check_before_update {
        check_usage(directory, resources.memory.limit_bytes)?;
    }
    for mut setting in settings(resources, controller)? {
        let path = directory.path.join(&setting.file);
        match setting.file.as_str() {
            "memory.swap.max"
                if matches!(setting.value.as_str(), "0" | "max") && !file::exists(&path) =>
            {
                // Without swap in the kernel there is none to forbid.
                continue;
            }
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
        set(directory, &setting, missing_hint(&setting.file))?;
    }
    Ok(())
}

/// A line for `io.bfq.weight` as one for `io.weight`.
fn io_weight(line: &str) -> String {
    let (target, weight) = line.rsplit_once(' ').unwrap_or(("default", line));
    weight.parse().map_or_else(
        |_not_a_weight| line.to_owned(),
        |weight| format!("{target} {}", convert::block_io_weight_to_io(weight)),
    )
}

fn check_usage(directory: &Directory, limit: Option<i64>) -> Result<(), Error> {
    let Some(limit) = limit.and_then(|limit| u64::try_from(limit).ok()) else {
        return Ok(());
    };
    let usage = parse::limit(&file::read_named(&directory.path.join("memory.current"))?);
    match usage {
        Some(usage) if usage > limit => Err(Error::Invalid {
            what: "memory limit".into(),
            value: limit.to_string(),
            reason: format!("{usage} bytes are in use now"),
        }),
        _ => Ok(()),
    }
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
        settings(resources, controller)
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

    #[test]
    fn a_setting_that_only_v1_has_is_refused() {
        let mut resources = Resources::default();
        resources.memory.swappiness = Some(10);
        assert!(matches!(
            settings(&resources, Controller::Memory),
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
