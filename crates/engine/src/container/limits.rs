//! Limits of a container: checking them in Docker's words, and what they are in the terms of the runtime.
//!
//! Source: moby `daemon/daemon_unix.go` (what is refused), runtime-spec config-linux.md (what is written).

use std::{collections::BTreeSet, os::unix::fs::MetadataExt as _};

use bollard_stubs::models::{HostConfig, ThrottleDevice};
use serde_json::{Map, Value, json};

use crate::error::{EngineError, Result};

/// Docker's least memory limit, in bytes: with less, starting a container does not work reliably.
const MIN_MEMORY_BYTES: i64 = 6 * 1024 * 1024;
/// Length of the period in which `NanoCpus` are counted, in microseconds.
const CPU_PERIOD_US: i64 = 100_000;

fn refuse<T>(message: impl Into<String>) -> Result<T> {
    Err(EngineError::Invalid(message.into()))
}

/// Checks the limits of a request and puts in what follows from them. Returns what its creator should know.
///
/// # Errors
/// `Invalid` in Docker's words.
pub(super) fn check(host: &mut HostConfig) -> Result<Vec<String>> {
    check_memory(host)?;
    check_cpu(host)?;
    check_devices(host)?;
    if host
        .oom_score_adj
        .is_some_and(|adj| !(-1000..=1000).contains(&adj))
    {
        return refuse(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj.unwrap_or_default()
        ));
    }
    if host.shm_size.is_some_and(|size| size < 0) {
        return refuse("SHM size can not be less than 0");
    }
    for limit in host.ulimits.iter().flatten() {
        let name = limit.name.as_deref().unwrap_or_default();
        if rlimit_name(name).is_none() {
            return refuse(format!("invalid ulimit type: {name}"));
        }
        let (soft, hard) = (limit.soft.unwrap_or(0), limit.hard.unwrap_or(0));
        if hard != -1 && (soft == -1 || soft > hard) {
            return refuse(format!(
                "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
            ));
        }
    }
    Ok(warnings(host))
}

/// What the kernel does not do of what is asked.
fn warnings(host: &HostConfig) -> Vec<String> {
    let mut warnings = Vec::new();
    if host.oom_kill_disable == Some(true) && host.memory.unwrap_or(0) <= 0 {
        warnings.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources."
                .into(),
        );
    }
    warnings
}

fn check_memory(host: &mut HostConfig) -> Result<()> {
    let memory = host.memory.unwrap_or(0);
    let swap = host.memory_swap.unwrap_or(0);
    let reservation = host.memory_reservation.unwrap_or(0);
    if memory != 0 && memory < MIN_MEMORY_BYTES {
        return refuse("Minimum memory limit allowed is 6MB");
    }
    if memory > 0 && swap > 0 && swap < memory {
        return refuse("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if memory == 0 && swap > 0 {
        return refuse(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        );
    }
    if let Some(swappiness) = host.memory_swappiness.filter(|s| !(-1..=100).contains(s)) {
        return refuse(format!(
            "Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        ));
    }
    if reservation != 0 && reservation < MIN_MEMORY_BYTES {
        return refuse("Minimum memory reservation allowed is 6MB");
    }
    if memory > 0 && reservation > 0 && memory < reservation {
        return refuse(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        );
    }
    if memory > 0 && swap == 0 {
        // As much swap as memory, as Docker.
        host.memory_swap = Some(memory.saturating_mul(2));
    }
    Ok(())
}

fn check_cpu(host: &HostConfig) -> Result<()> {
    let nano = host.nano_cpus.unwrap_or(0);
    let period = host.cpu_period.unwrap_or(0);
    let quota = host.cpu_quota.unwrap_or(0);
    if nano != 0 && period != 0 {
        return refuse("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    }
    if nano != 0 && quota != 0 {
        return refuse("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    }
    let present = online_cpus();
    let count = i64::try_from(present.len()).unwrap_or(i64::MAX);
    if nano < 0 || nano > count.saturating_mul(1_000_000_000) {
        return refuse(format!(
            "range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available"
        ));
    }
    if host.cpu_shares.is_some_and(|shares| shares < 0) {
        return refuse(format!(
            "invalid CPU shares ({}): value must be a positive integer",
            host.cpu_shares.unwrap_or_default()
        ));
    }
    if period != 0 && !(1000..=1_000_000).contains(&period) {
        return refuse(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if quota > 0 && quota < 1000 {
        return refuse("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    for (what, asked, there) in [
        ("CPUs", &host.cpuset_cpus, present),
        ("memory nodes", &host.cpuset_mems, memory_nodes()),
    ] {
        let asked = asked.as_deref().unwrap_or_default();
        let kind = if what == "CPUs" { "cpus" } else { "mems" };
        let Some(wanted) = parse_list(asked) else {
            return refuse(format!("Invalid value {asked} for cpuset {kind}"));
        };
        if !wanted.is_subset(&there) {
            return refuse(format!(
                "Requested {what} are not available - requested {asked}, available: {}",
                format_list(&there)
            ));
        }
    }
    Ok(())
}

fn check_devices(host: &HostConfig) -> Result<()> {
    if host
        .blkio_weight
        .is_some_and(|weight| weight != 0 && !(10..=1000).contains(&weight))
    {
        return refuse("Range of blkio weight is from 10 to 1000");
    }
    for device in host.blkio_weight_device.iter().flatten() {
        let weight = device.weight.unwrap_or(0);
        if weight != 0 && !(10..=1000).contains(&weight) {
            return refuse("Range of blkio weight is from 10 to 1000");
        }
        block_device(device.path.as_deref())?;
    }
    for device in [
        &host.blkio_device_read_bps,
        &host.blkio_device_write_bps,
        &host.blkio_device_read_iops,
        &host.blkio_device_write_iops,
    ]
    .into_iter()
    .flatten()
    .flatten()
    {
        if device.rate.unwrap_or(0) < 0 {
            return refuse("a rate of a block device cannot be negative");
        }
        block_device(device.path.as_deref())?;
    }
    for rule in host.device_cgroup_rules.iter().flatten() {
        parse_device_rule(rule)?;
    }
    Ok(())
}

/// The numbers of a block device.
fn block_device(path: Option<&str>) -> Result<(u32, u32)> {
    let path = path.unwrap_or_default();
    let meta = std::fs::metadata(path).map_err(|error| {
        EngineError::Invalid(format!("block device {path:?} cannot be used: {error}"))
    })?;
    if rustix::fs::FileType::from_raw_mode(meta.mode()) != rustix::fs::FileType::BlockDevice {
        return refuse(format!("{path:?} is not a block device"));
    }
    Ok((
        rustix::fs::major(meta.rdev()),
        rustix::fs::minor(meta.rdev()),
    ))
}

/// The limits as `linux.resources` of the runtime-spec, without the rules about devices.
///
/// # Errors
/// `Invalid` when a block device is not there any more.
pub(super) fn resources(host: &HostConfig) -> Result<Map<String, Value>> {
    let mut resources = Map::new();
    let given = |value: Option<i64>| value.filter(|value| *value != 0);
    let mut memory = Map::new();
    for (key, value) in [
        ("limit", given(host.memory)),
        ("reservation", given(host.memory_reservation)),
        ("swap", given(host.memory_swap)),
    ] {
        if let Some(value) = value {
            memory.insert(key.into(), value.into());
        }
    }
    if let Some(swappiness) = host.memory_swappiness.filter(|value| *value >= 0) {
        memory.insert("swappiness".into(), swappiness.into());
    }
    if host.oom_kill_disable == Some(true) {
        memory.insert("disableOOMKiller".into(), true.into());
    }
    let mut cpu = Map::new();
    let (quota, period) = match given(host.nano_cpus) {
        // A thousandth of a nanosecond-CPU is a microsecond of each second.
        Some(nano) => (
            Some(nano.saturating_mul(CPU_PERIOD_US) / 1_000_000_000),
            Some(CPU_PERIOD_US),
        ),
        None => (given(host.cpu_quota), given(host.cpu_period)),
    };
    for (key, value) in [
        ("shares", given(host.cpu_shares)),
        ("quota", quota),
        ("period", period),
        ("realtimeRuntime", given(host.cpu_realtime_runtime)),
        ("realtimePeriod", given(host.cpu_realtime_period)),
    ] {
        if let Some(value) = value {
            cpu.insert(key.into(), value.into());
        }
    }
    for (key, value) in [("cpus", &host.cpuset_cpus), ("mems", &host.cpuset_mems)] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            cpu.insert(key.into(), value.into());
        }
    }
    for (key, part) in [("memory", memory), ("cpu", cpu)] {
        if !part.is_empty() {
            resources.insert(key.into(), part.into());
        }
    }
    if let Some(limit) = given(host.pids_limit) {
        resources.insert("pids".into(), json!({ "limit": limit }));
    }
    let block_io = block_io(host)?;
    if !block_io.is_empty() {
        resources.insert("blockIO".into(), block_io.into());
    }
    Ok(resources)
}

fn block_io(host: &HostConfig) -> Result<Map<String, Value>> {
    let mut block_io = Map::new();
    if let Some(weight) = host.blkio_weight.filter(|weight| *weight != 0) {
        block_io.insert("weight".into(), weight.into());
    }
    let mut weights = Vec::new();
    for device in host.blkio_weight_device.iter().flatten() {
        let (major, minor) = block_device(device.path.as_deref())?;
        weights.push(json!({"major": major, "minor": minor, "weight": device.weight}));
    }
    if !weights.is_empty() {
        block_io.insert("weightDevice".into(), weights.into());
    }
    let rates = |devices: &Option<Vec<ThrottleDevice>>| -> Result<Vec<Value>> {
        let devices = devices.iter().flatten();
        devices
            .map(|device| {
                let (major, minor) = block_device(device.path.as_deref())?;
                Ok(json!({"major": major, "minor": minor, "rate": device.rate.unwrap_or(0)}))
            })
            .collect()
    };
    for (key, devices) in [
        ("throttleReadBpsDevice", &host.blkio_device_read_bps),
        ("throttleWriteBpsDevice", &host.blkio_device_write_bps),
        ("throttleReadIOPSDevice", &host.blkio_device_read_iops),
        ("throttleWriteIOPSDevice", &host.blkio_device_write_iops),
    ] {
        let rates = rates(devices)?;
        if !rates.is_empty() {
            block_io.insert(key.into(), rates.into());
        }
    }
    Ok(block_io)
}

/// The limits as the control group takes them, for a container that runs.
///
/// # Errors
/// `Invalid` when a block device is not there any more.
pub(super) fn cgroup_resources(host: &HostConfig) -> Result<cgroups::Resources> {
    let spec = resources(host)?;
    let part = |key: &str| spec.get(key).cloned().unwrap_or_default();
    let (memory, cpu) = (part("memory"), part("cpu"));
    let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_i64);
    let unsigned = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64);
    let text = |key: &str| cpu.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut limits = cgroups::Resources::default();
    limits.memory.limit_bytes = number(&memory, "limit");
    limits.memory.reservation_bytes = number(&memory, "reservation");
    limits.memory.limit_with_swap_bytes = number(&memory, "swap");
    limits.memory.swappiness = unsigned(&memory, "swappiness");
    limits.memory.check_before_update = true;
    limits.cpu.shares = unsigned(&cpu, "shares");
    limits.cpu.quota_us = number(&cpu, "quota");
    limits.cpu.period_us = unsigned(&cpu, "period");
    limits.cpu.cpus = text("cpus");
    limits.cpu.mems = text("mems");
    limits.pids = host.pids_limit.filter(|limit| *limit != 0);
    limits.block_io.weight = host.blkio_weight.filter(|weight| *weight != 0);
    Ok(limits)
}

/// A rule of `--device-cgroup-rule`: `c 1:3 rwm`.
pub(super) fn parse_device_rule(rule: &str) -> Result<Value> {
    let invalid = || EngineError::Invalid(format!("invalid device cgroup rule format: '{rule}'"));
    let words: Vec<&str> = rule.split(' ').collect();
    let [kind @ ("a" | "b" | "c"), numbers, access] = *words.as_slice() else {
        return Err(invalid());
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(invalid)?;
    let number = |text: &str| match text {
        "*" => Ok(-1_i64),
        text if text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse::<u32>().map(i64::from).map_err(|_| invalid())
        }
        _ => Err(invalid()),
    };
    if access.is_empty() || access.len() > 3 || !access.bytes().all(|b| b"rwm".contains(&b)) {
        return Err(invalid());
    }
    Ok(
        json!({"allow": true, "type": kind, "major": number(major)?, "minor": number(minor)?, "access": access}),
    )
}

/// The runtime-spec's name of one of Docker's ulimits.
pub(super) fn rlimit_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "as" => "RLIMIT_AS",
        "core" => "RLIMIT_CORE",
        "cpu" => "RLIMIT_CPU",
        "data" => "RLIMIT_DATA",
        "fsize" => "RLIMIT_FSIZE",
        "locks" => "RLIMIT_LOCKS",
        "memlock" => "RLIMIT_MEMLOCK",
        "msgqueue" => "RLIMIT_MSGQUEUE",
        "nice" => "RLIMIT_NICE",
        "nofile" => "RLIMIT_NOFILE",
        "nproc" => "RLIMIT_NPROC",
        "rss" => "RLIMIT_RSS",
        "rtprio" => "RLIMIT_RTPRIO",
        "rttime" => "RLIMIT_RTTIME",
        "sigpending" => "RLIMIT_SIGPENDING",
        "stack" => "RLIMIT_STACK",
        _ => return None,
    })
}

fn online_cpus() -> BTreeSet<u32> {
    read_list("/sys/devices/system/cpu/online")
}

fn memory_nodes() -> BTreeSet<u32> {
    read_list("/sys/devices/system/node/online")
}

fn read_list(path: &str) -> BTreeSet<u32> {
    std::fs::read_to_string(path)
        .ok()
        .and_then(|text| parse_list(text.trim()))
        // A kernel without the file has one of them.
        .filter(|list| !list.is_empty())
        .unwrap_or_else(|| BTreeSet::from([0]))
}

/// Reads `0-2,5`; `None` when it is no such list.
fn parse_list(text: &str) -> Option<BTreeSet<u32>> {
    const MOST: u32 = 8192;
    let mut list = BTreeSet::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let number = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| text.parse::<u32>().ok())?
                .filter(|n| *n < MOST)
        };
        match part.split_once('-') {
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if first > last {
                    return None;
                }
                list.extend(first..=last);
            }
            None => {
                list.insert(number(part)?);
            }
        }
    }
    Some(list)
}

fn format_list(list: &BTreeSet<u32>) -> String {
    let mut parts = Vec::new();
    let mut rest = list.iter().copied().peekable();
    while let Some(first) = rest.next() {
        let mut last = first;
        while rest.peek() == Some(&(last + 1)) {
            last += 1;
            rest.next();
        }
        parts.push(if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        });
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(json: Value) -> HostConfig {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn invalid_limits_are_refused() {
        for bad in [
            json!({"Memory": 1024}),
            json!({"Memory": -1, "MemorySwap": 5}),
            json!({"Memory": 64 << 20, "MemorySwap": 32 << 20}),
            json!({"MemorySwap": 32 << 20}),
            json!({"MemorySwappiness": 500}),
            json!({"Memory": 8 << 20, "MemoryReservation": 9 << 20}),
            json!({"NanoCpus": 1_000_000_000_000_i64}),
            json!({"NanoCpus": 1_000_000_000, "CpuQuota": 5000}),
            json!({"CpuPeriod": 5}),
            json!({"CpuQuota": 5}),
            json!({"CpusetCpus": "900"}),
            json!({"CpusetCpus": "0-x"}),
            json!({"CpusetCpus": "1-0"}),
            json!({"BlkioWeight": 5}),
            json!({"BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 5}]}),
            json!({"OomScoreAdj": 1001}),
            json!({"Ulimits": [{"Name": "nosuch", "Soft": 1, "Hard": 1}]}),
            json!({"Ulimits": [{"Name": "nofile", "Soft": 2, "Hard": 1}]}),
            json!({"DeviceCgroupRules": ["c 1:3"]}),
            json!({"DeviceCgroupRules": ["c 1:3 rwx"]}),
            json!({"ShmSize": -1}),
        ] {
            let error = check(&mut host(bad.clone()));
            assert!(
                matches!(error, Err(EngineError::Invalid(_))),
                "{bad}: {error:?}"
            );
        }
    }

    #[test]
    fn half_a_cpu_is_half_a_period() {
        let resources = resources(&host(json!({"NanoCpus": 500_000_000}))).unwrap();
        assert_eq!(
            resources["cpu"],
            json!({"quota": 50_000, "period": 100_000})
        );
    }

    #[test]
    fn swap_follows_memory() {
        let mut host = host(json!({"Memory": 64 << 20}));
        check(&mut host).unwrap();
        assert_eq!(host.memory_swap, Some(128 << 20));
    }

    #[test]
    fn lists_come_back_as_they_went() {
        for text in ["", "0", "0-3", "0-3,5,7-8"] {
            assert_eq!(format_list(&parse_list(text).unwrap()), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_list_or_rule_panics(text: String) {
            drop(parse_list(&text));
            drop(parse_device_rule(&text));
        }
    }
}
