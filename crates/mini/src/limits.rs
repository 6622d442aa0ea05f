//! From `linux.resources` of the runtime-spec to limits of a cgroup.

use cgroups::resources::{DeviceRate, HugepageLimit, Network, RdmaLimit, Resources as Limits};
use cgroups::{DeviceAccess as Access, DeviceRule, DeviceType};

use crate::error::{Error, Result};
use crate::spec::Spec;
use crate::spec_resources::{DeviceAccess, Resources, ThrottleDevice};

/// Returns the limits of a whole spec. In it a limit of no processes is one, since runtime-spec 1.2; before, it said nothing:
/// Docker 20.10 writes it into every container's spec.
///
/// # Errors
/// As [`limits`].
pub fn limits_of(spec: &Spec) -> Result<Limits> {
    let linux = spec.linux.as_ref();
    let Some(resources) = linux.and_then(|linux| linux.resources.as_ref()) else {
        return Ok(Limits::default());
    };
    let mut all = limits(resources)?;
    if resources.pids.as_ref().and_then(|pids| pids.limit) == Some(0)
        && since_1_2(&spec.oci_version)
    {
        all.pids = Some(0);
    }
    Ok(all)
}

fn since_1_2(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return false;
    };
    (major, minor) >= (1, 2)
}

/// Returns the limits that resources ask for.
///
/// # Errors
/// `Unsupported` for leaf weights, which no kernel has any more. Limits of kernel memory, as old, are ignored as by peers.
pub fn limits(resources: &Resources) -> Result<Limits> {
    let mut limits = Limits {
        unified: resources.unified.clone(),
        ..Limits::default()
    };
    if let Some(memory) = &resources.memory {
        // Zero means "as it is", here and below: so do runc and those who write specs for it.
        let given = |bytes: Option<i64>| bytes.filter(|bytes| *bytes != 0);
        limits.memory.limit_bytes = given(memory.limit);
        limits.memory.reservation_bytes = given(memory.reservation);
        limits.memory.limit_with_swap_bytes = given(memory.swap);
        limits.memory.kernel_tcp_bytes = given(memory.kernel_tcp);
        limits.memory.swappiness = memory.swappiness;
        limits.memory.disable_oom_killer = memory.disable_oom_killer;
        limits.memory.check_before_update = memory.check_before_update.unwrap_or_default();
    }
    if let Some(cpu) = &resources.cpu {
        let list = |text: &String| (!text.is_empty()).then(|| text.clone());
        limits.cpu.shares = cpu.shares.filter(|shares| *shares != 0);
        limits.cpu.quota_us = cpu.quota.filter(|quota| *quota != 0);
        limits.cpu.period_us = cpu.period.filter(|period| *period != 0);
        limits.cpu.burst_us = cpu.burst;
        limits.cpu.realtime_runtime_us = cpu.realtime_runtime.filter(|us| *us != 0);
        limits.cpu.realtime_period_us = cpu.realtime_period.filter(|us| *us != 0);
        limits.cpu.cpus = list(&cpu.cpus);
        limits.cpu.mems = list(&cpu.mems);
        limits.cpu.idle = cpu.idle;
    }
    limits.pids = resources
        .pids
        .as_ref()
        .and_then(|pids| pids.limit)
        .filter(|limit| *limit != 0);
    if let Some(io) = &resources.block_io {
        let given = |weight: Option<u16>| weight.is_some_and(|weight| weight != 0);
        if given(io.leaf_weight)
            || io
                .weight_device
                .iter()
                .any(|device| given(device.leaf_weight))
        {
            return Err(Error::unsupported(
                "linux.resources.blockIO.leafWeight is not offered: kernels have it no more",
            )
            .with_hint("leave it out; weight works"));
        }
        let rates = |devices: &[ThrottleDevice]| {
            devices
                .iter()
                .map(|device| DeviceRate {
                    major: device.major,
                    minor: device.minor,
                    rate: device.rate,
                })
                .collect()
        };
        limits.block_io.weight = io.weight.filter(|weight| *weight != 0);
        limits.block_io.weight_devices = io
            .weight_device
            .iter()
            .filter_map(|device| {
                Some(DeviceRate {
                    major: device.major,
                    minor: device.minor,
                    rate: device.weight.filter(|weight| *weight != 0)?.into(),
                })
            })
            .collect();
        limits.block_io.read_bytes_per_second = rates(&io.throttle_read_bps_device);
        limits.block_io.write_bytes_per_second = rates(&io.throttle_write_bps_device);
        limits.block_io.read_operations_per_second = rates(&io.throttle_read_iops_device);
        limits.block_io.write_operations_per_second = rates(&io.throttle_write_iops_device);
    }
    limits.hugepages = resources
        .hugepage_limits
        .iter()
        .map(|limit| HugepageLimit {
            page_size: limit.page_size.clone(),
            limit_bytes: limit.limit,
        })
        .collect();
    if let Some(network) = &resources.network {
        limits.network = Network {
            // Docker and containerd write 0 for none, which is what a new cgroup has.
            class_id: network.class_id.filter(|id| *id != 0),
            priorities: network
                .priorities
                .iter()
                .map(|interface| (interface.name.clone(), interface.priority))
                .collect(),
        };
    }
    limits.rdma = resources
        .rdma
        .iter()
        .map(|(device, limit)| RdmaLimit {
            device: device.clone(),
            handles: limit.hca_handles,
            objects: limit.hca_objects,
        })
        .collect();
    Ok(limits)
}

/// Returns the rules about device nodes. Those of the devices that every container has (null, zero, full, random, urandom, tty,
/// terminals) are added behind them, as runc does.
///
/// # Errors
/// `Invalid` for a rule that is none.
pub fn device_rules(rules: &[DeviceAccess]) -> Result<Vec<DeviceRule>> {
    let mut all: Vec<DeviceRule> = rules.iter().map(device_rule).collect::<Result<_>>()?;
    let node = |major, minor: Option<u32>| DeviceRule {
        allow: true,
        kind: DeviceType::Char,
        major: Some(major),
        minor,
        access: Access::ALL,
    };
    all.extend(
        [1, 1, 1, 1, 1]
            .into_iter()
            .zip([3, 5, 7, 8, 9])
            .map(|(major, minor)| node(major, Some(minor))),
    );
    all.extend([
        node(5, Some(0)),
        node(5, Some(1)),
        node(5, Some(2)),
        node(136, None),
    ]);
    // Making a node is harmless as long as it cannot be opened.
    let mknod = Access {
        read: false,
        write: false,
        mknod: true,
    };
    for kind in [DeviceType::Char, DeviceType::Block] {
        all.push(DeviceRule {
            allow: true,
            kind,
            major: None,
            minor: None,
            access: mknod,
        });
    }
    Ok(all)
}

fn device_rule(rule: &DeviceAccess) -> Result<DeviceRule> {
    let bad = || {
        Error::invalid(format!("linux.resources.devices: {rule:?} is no rule"))
            .with_hint("type is a, b or c, access of r, w and m")
    };
    let number = |number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number).map(Some).map_err(|_| bad()),
    };
    Ok(DeviceRule {
        allow: rule.allow,
        kind: match rule.kind.as_str() {
            "" | "a" => DeviceType::All,
            "b" => DeviceType::Block,
            "c" | "u" => DeviceType::Char,
            _ => return Err(bad()),
        },
        major: number(rule.major)?,
        minor: number(rule.minor)?,
        access: if rule.access.is_empty() {
            Access::ALL
        } else {
            Access::from_letters(&rule.access).ok_or_else(bad)?
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_processes_is_a_limit_since_runtime_spec_1_2() {
        let of = |version: &str| {
            let spec = serde_json::json!({"ociVersion": version, "linux": {"resources": {"pids": {"limit": 0}}}});
            limits_of(&serde_json::from_value(spec).unwrap())
                .unwrap()
                .pids
        };
        assert_eq!(of("1.0.2-dev"), None);
        assert_eq!(of("1.1.0"), None);
        assert_eq!(of("1.2.0"), Some(0));
        assert_eq!(of("1.3.0-rc.1"), Some(0));
        assert_eq!(of("nonsense"), None);
    }

    #[test]
    fn rdma_and_network_are_passed_on_and_zero_is_none() {
        let resources = serde_json::json!({
            "rdma": {"mlx5_1": {"hcaHandles": 3}}, "network": {"classID": 0, "priorities": [{"name": "lo", "priority": 7}]},
            "blockIO": {"leafWeight": 0, "weightDevice": [{"major": 8, "minor": 0, "weight": 300}]}
        });
        let limits = limits(&serde_json::from_value(resources).unwrap()).unwrap();
        assert_eq!(limits.rdma.len(), 1);
        assert_eq!(limits.network.class_id, None);
        assert_eq!(limits.network.priorities, [("lo".to_owned(), 7)]);
        assert_eq!(limits.block_io.weight_devices.len(), 1);
        let leaf = serde_json::json!({"blockIO": {"leafWeight": 10}});
        let leaf: Resources = serde_json::from_value(leaf).unwrap();
        assert!(super::limits(&leaf).is_err());
    }
}
