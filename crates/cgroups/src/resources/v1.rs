//! The files of v1.

use rustix::io::Errno;

use super::{DeviceRate, Resources, Setting, set};
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
            push(
                "memory.memsw.limit_in_bytes",
                number(memory.limit_with_swap_bytes),
            );
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
            push("cpu.shares", number(cpu.shares.filter(|n| *n != 0)));
            push(
                "cpu.cfs_period_us",
                number(cpu.period_us.filter(|n| *n != 0)),
            );
            let quota = cpu.quota_us.map(|quota| if quota > 0 { quota } else { -1 });
            push("cpu.cfs_quota_us", number(quota));
            push("cpu.cfs_burst_us", number(cpu.burst_us));
            push("cpu.rt_period_us", number(cpu.realtime_period_us));
            push("cpu.rt_runtime_us", number(cpu.realtime_runtime_us));
            push("cpu.idle", number(cpu.idle));
        }
        Controller::Cpuset => {
            let list = |list: &Option<String>| list.clone().filter(|list| !list.is_empty());
            push("cpuset.cpus", list(&resources.cpu.cpus));
            push("cpuset.mems", list(&resources.cpu.mems));
        }
        Controller::Pids => push(
            "pids.max",
            resources.pids.map(|most| {
                if most > 0 {
                    most.to_string()
                } else {
                    "max".to_owned()
                }
            }),
        ),
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
                push(
                    &format!("hugetlb.{}.limit_in_bytes", page.page_size),
                    Some(page.limit_bytes.to_string()),
                );
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

pub(super) fn apply(
    directory: &Directory,
    resources: &Resources,
    controller: Controller,
) -> Result<(), Error> {
    let mut settings = settings(resources, controller);
    // Two pairs of files depend on each other, and which must come first depends on what is set now. The usual order is
    // tried; if the kernel says no, the other one.
    let turned = match settings.as_slice() {
        [first, second, ..] => {
            matches!(
                (first.file.as_str(), second.file.as_str()),
                // Raising: memory may not pass memory + swap, so that goes first.
                ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
            // A period may be too short or too long for the quota that is set now.
            | ("cpu.cfs_period_us", "cpu.cfs_quota_us")
            ) && matches!(
                file::write(&directory.path.join(&first.file), &first.value),
                Err(Errno::INVAL)
            )
        }
        _ => false,
    };
    if turned {
        settings.swap(0, 1);
    }
    settings
        .iter()
        .filter(|setting| !is_legacy_default(directory, setting))
        .try_for_each(|setting| {
            let setting = with_weight_file(directory, setting);
            set(directory, &setting, missing_hint(&setting.file))
        })
}

/// Taking away a limit that cannot be set in the first place: nothing to do.
fn is_legacy_default(directory: &Directory, setting: &Setting) -> bool {
    let off = match setting.file.as_str() {
        "memory.memsw.limit_in_bytes" | "memory.kmem.tcp.limit_in_bytes" | "cpu.cfs_quota_us" => {
            "-1"
        }
        "memory.oom_control" | "cpu.idle" | "cpu.cfs_burst_us" => "0",
        _ => return false,
    };
    setting.value == off && !file::exists(&directory.path.join(&setting.file))
}

/// Weights are the block scheduler's own: BFQ today, CFQ (`blkio.weight`) before Linux 5.0.
fn with_weight_file(directory: &Directory, setting: &Setting) -> Setting {
    let mut setting = setting.clone();
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
            pids: Some(0),
            ..Resources::default()
        };
        resources.cpu.quota_us = Some(0);
        let cpu = settings(&resources, Controller::Cpu);
        assert_eq!(cpu, [Setting::new(Controller::Cpu, "cpu.cfs_quota_us", -1)]);
        let pids = settings(&resources, Controller::Pids);
        assert_eq!(pids[0].value, "max");
    }
}
