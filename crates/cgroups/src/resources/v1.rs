//! The files of v1.

use super::journal::Journal;
use super::{Cpu, DeviceRate, RdmaLimit, Resources, Setting, set_all};
use crate::cgroup::Directory;
use crate::layout::Controller;
use crate::{Error, file};

/// What is written for the limits of a controller, in order.
pub(super) fn settings(resources: &Resources, controller: Controller) -> Vec<Setting> {
    let mut out = Vec::new();
    let mut push = |file: &str, value: Option<String>| {
        out.extend(value.map(|value| Setting::new(controller, file, value)));
    };
    match controller {
        Controller::Memory => {
            let memory = &resources.memory;
            push("memory.limit_in_bytes", number(memory.limit_bytes));
            // No limit of memory means none of memory and swap either, which may not be less.
            let both = match (memory.limit_bytes, memory.limit_with_swap_bytes) {
                (Some(-1), None) => Some(-1),
                (_, both) => both,
            };
            push("memory.memsw.limit_in_bytes", number(both));
            push(
                "memory.soft_limit_in_bytes",
                number(memory.reservation_bytes),
            );
            push(
                "memory.kmem.tcp.limit_in_bytes",
                number(memory.kernel_tcp_bytes),
            );
            push("memory.swappiness", number(memory.swappiness));
            push(
                "memory.oom_control",
                memory
                    .disable_oom_killer
                    .map(|off| u8::from(off).to_string()),
            );
        }
        Controller::Cpu => {
            let cpu = &resources.cpu;
            if cpu.idle == Some(0) {
                push("cpu.idle", number(cpu.idle));
            }
            push("cpu.shares", number(shares(cpu)));
            push(
                "cpu.cfs_period_us",
                number(cpu.period_us.filter(|n| *n != 0)),
            );
            let quota = cpu.quota_us.map(|quota| if quota > 0 { quota } else { -1 });
            push("cpu.cfs_quota_us", number(quota));
            push("cpu.cfs_burst_us", number(cpu.burst_us));
            push("cpu.rt_period_us", number(cpu.realtime_period_us));
            push("cpu.rt_runtime_us", number(cpu.realtime_runtime_us));
            if cpu.idle != Some(0) {
                push("cpu.idle", number(cpu.idle));
            }
        }
        Controller::Cpuset => {
            let list = |list: &Option<String>| list.clone().filter(|list| !list.is_empty());
            push("cpuset.cpus", list(&resources.cpu.cpus));
            push("cpuset.mems", list(&resources.cpu.mems));
        }
        Controller::Pids => push("pids.max", resources.pids.map(super::pids_max)),
        Controller::Io => {
            let io = &resources.block_io;
            push("blkio.bfq.weight", number(io.weight.filter(|n| *n != 0)));
            for (file, rates) in [
                ("blkio.bfq.weight_device", &io.weight_devices),
                ("blkio.throttle.read_bps_device", &io.read_bytes_per_second),
                (
                    "blkio.throttle.write_bps_device",
                    &io.write_bytes_per_second,
                ),
                (
                    "blkio.throttle.read_iops_device",
                    &io.read_operations_per_second,
                ),
                (
                    "blkio.throttle.write_iops_device",
                    &io.write_operations_per_second,
                ),
            ] {
                for rate in rates {
                    push(file, Some(rate_line(rate)));
                }
            }
        }
        Controller::Hugetlb => {
            for page in &resources.hugepages {
                for kind in ["", "rsvd."] {
                    push(
                        &format!("hugetlb.{}.{kind}limit_in_bytes", page.page_size),
                        Some(page.limit_bytes.to_string()),
                    );
                }
            }
        }
        Controller::Rdma => {
            for line in resources.rdma.iter().filter_map(RdmaLimit::line) {
                push("rdma.max", Some(line));
            }
        }
        Controller::NetCls => push("net_cls.classid", number(resources.network.class_id)),
        Controller::NetPrio => {
            for (interface, priority) in &resources.network.priorities {
                push(
                    "net_prio.ifpriomap",
                    Some(format!("{interface} {priority}")),
                );
            }
        }
        _ => {}
    }
    out
}

fn number(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn rate_line(rate: &DeviceRate) -> String {
    format!("{}:{} {}", rate.major, rate.minor, rate.rate)
}

/// The least and the most that the kernel takes as they are; it would silently round others.
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

/// Shares mean nothing to a cgroup that runs only when nothing else does, and the kernel refuses them.
fn shares(cpu: &Cpu) -> Option<u64> {
    cpu.shares.filter(|n| *n != 0 && cpu.idle != Some(1))
}

pub(super) fn apply(
    directory: &Directory,
    resources: &Resources,
    controller: Controller,
    journal: &mut Journal,
) -> Result<(), Error> {
    if controller == Controller::Cpu
        && let Some(shares) = shares(&resources.cpu)
        && !SHARES.contains(&shares)
    {
        let (word, bound) = if shares < *SHARES.start() {
            ("minimum", SHARES.start())
        } else {
            ("maximum", SHARES.end())
        };
        return Err(Error::Invalid {
            what: "cpu.shares".into(),
            value: shares.to_string(),
            reason: format!("the {word} allowed cpu-shares is {bound}"),
        });
    }
    let settings = settings(resources, controller)
        .into_iter()
        .filter(|setting| !is_legacy_default(directory, setting))
        .map(|setting| with_weight_file(directory, setting))
        .collect();
    set_all(directory, settings, journal, missing_hint)
}

/// Taking away a limit that cannot be set in the first place: nothing to do.
fn is_legacy_default(directory: &Directory, setting: &Setting) -> bool {
    let off = match setting.file.as_str() {
        "memory.memsw.limit_in_bytes" | "memory.kmem.tcp.limit_in_bytes" | "cpu.cfs_quota_us" => {
            "-1"
        }
        "memory.oom_control" | "cpu.idle" | "cpu.cfs_burst_us" => "0",
        // Since Linux 5.7; the limit of pages in use is there in any case.
        file if file.contains(".rsvd.") => setting.value.as_str(),
        _ => return false,
    };
    setting.value == off && !file::exists(&directory.path.join(&setting.file))
}

/// Weights are the block scheduler's own: BFQ today, CFQ (`blkio.weight`) before Linux 5.0.
fn with_weight_file(directory: &Directory, mut setting: Setting) -> Setting {
    if setting.file.starts_with("blkio.bfq.weight")
        && !file::exists(&directory.path.join(&setting.file))
    {
        setting.file = setting.file.replace("blkio.bfq.", "blkio.");
    }
    setting
}

fn missing_hint(file: &str) -> &'static str {
    match file {
        "memory.memsw.limit_in_bytes" => {
            "boot the kernel with swapaccount=1, or leave the swap limit out"
        }
        "cpu.cfs_quota_us" | "cpu.cfs_period_us" => {
            "needs a kernel with CONFIG_CFS_BANDWIDTH; use CPU shares or a CPU set instead"
        }
        "cpu.rt_runtime_us" | "cpu.rt_period_us" => "needs a kernel with CONFIG_RT_GROUP_SCHED",
        "memory.kmem.tcp.limit_in_bytes" => "this kernel has no kernel memory limits; leave it out",
        _ if file.starts_with("blkio.throttle") => {
            "needs a kernel with CONFIG_BLK_DEV_THROTTLING; leave the rate out"
        }
        _ if file.starts_with("blkio") => {
            "needs the BFQ block scheduler (modprobe bfq, then choose it for the disk); leave the weight out"
        }
        _ if file.starts_with("hugetlb") => {
            "this machine has no huge pages of that size: see /sys/kernel/mm/hugepages"
        }
        _ => "needs a newer kernel, or one built with more options; leave the limit out",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_written_as_v1_wants_it() {
        let mut resources = Resources {
            pids: Some(-1),
            ..Resources::default()
        };
        resources.cpu.quota_us = Some(0);
        let cpu = settings(&resources, Controller::Cpu);
        assert_eq!(cpu, [Setting::new(Controller::Cpu, "cpu.cfs_quota_us", -1)]);
        let pids = settings(&resources, Controller::Pids);
        assert_eq!(pids[0].value, "max");
    }
}
