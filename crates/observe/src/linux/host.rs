//! Figures of the machine.

use std::collections::HashMap;
use std::fs;

use cgroups::{mountinfo, parse};

use super::{now, proc};
use crate::figures::{CpuTime, DiskFigures, HostPressure};
use crate::{HostFigures, ObserveError};

/// The kernel counts CPU time in `USER_HZ`, which is 100.
const NS_PER_TICK: u64 = 10_000_000;
const SECTOR_BYTES: u64 = 512;

/// What the machine uses now. A part that cannot be read is empty or absent.
///
/// # Errors
/// [`ObserveError::Unreadable`] if `/proc/stat` or `/proc/meminfo` cannot be read.
///
/// Source: `/proc/{stat,meminfo,loadavg,uptime,diskstats,pressure/*}`, `/proc/self/mountinfo`, `/proc/1/net/dev`.
pub fn host_figures() -> Result<HostFigures, ObserveError> {
    let needed = |path: &str| {
        fs::read_to_string(path).map_err(|error| ObserveError::Unreadable {
            what: path.to_owned(),
            reason: proc::words(&error),
        })
    };
    let optional = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (time_ms, monotonic_ns) = now();
    let (cpu, cpus) = cpu_times(&needed("/proc/stat")?);
    let memory = needed("/proc/meminfo")?;
    let bytes = |key| proc::status_kib(&memory, key).unwrap_or_default() * 1024;
    let network = fs::read_to_string("/proc/1/net/dev")
        .or_else(|_denied| fs::read_to_string("/proc/net/dev"))
        .unwrap_or_default();
    let uptime = optional("/proc/uptime");
    Ok(HostFigures {
        time_ms,
        monotonic_ns,
        cpu,
        cpus,
        load: load(&optional("/proc/loadavg")),
        memory_total_bytes: bytes("MemTotal"),
        memory_available_bytes: bytes("MemAvailable"),
        memory_free_bytes: bytes("MemFree"),
        memory_cache_bytes: bytes("Cached") + bytes("Buffers"),
        swap_total_bytes: bytes("SwapTotal"),
        swap_free_bytes: bytes("SwapFree"),
        disks: disks(
            &optional("/proc/self/mountinfo"),
            &optional("/proc/diskstats"),
        ),
        interfaces: proc::interfaces(&network),
        pressure: pressure(),
        uptime_seconds: uptime
            .split('.')
            .next()
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or_default(),
        kernel_release: optional("/proc/sys/kernel/osrelease").trim().to_owned(),
        cgroup_mode: cgroups::Layout::detect()
            .map_or("none", |layout| layout.mode().name())
            .to_owned(),
    })
}

/// The lines `cpu` and `cpuN` of `/proc/stat`.
fn cpu_times(content: &str) -> (CpuTime, Vec<CpuTime>) {
    let mut all = CpuTime::default();
    let mut each = Vec::new();
    for line in content.lines() {
        let Some(rest) = line.strip_prefix("cpu") else {
            continue;
        };
        let (number, ticks) = rest.split_once(' ').unwrap_or((rest, ""));
        let ticks: Vec<u64> = ticks
            .split_ascii_whitespace()
            .map(|word| word.parse().unwrap_or_default())
            .collect();
        let at = |index: usize| {
            ticks
                .get(index)
                .copied()
                .unwrap_or_default()
                .saturating_mul(NS_PER_TICK)
        };
        // user nice system idle iowait irq softirq steal; guest time is part of user already.
        let time = CpuTime {
            busy_ns_total: at(0) + at(1) + at(2) + at(5) + at(6),
            idle_ns_total: at(3) + at(4),
            iowait_ns_total: at(4),
            steal_ns_total: at(7),
        };
        if number.is_empty() {
            all = time;
        } else {
            each.push(time);
        }
    }
    (all, each)
}

fn load(content: &str) -> [f64; 3] {
    let mut numbers = content
        .split_ascii_whitespace()
        .map(|word| word.parse().unwrap_or_default());
    [(); 3].map(|()| numbers.next().unwrap_or_default())
}

/// File systems on block devices (and on ZFS, Btrfs and bcachefs, which have none of their own in mountinfo), each once.
fn disks(mounts: &str, diskstats: &str) -> Vec<DiskFigures> {
    let counters: HashMap<&str, (u64, u64)> = diskstats
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let sectors = |index: usize| words.get(index)?.parse::<u64>().ok();
            Some((
                *words.get(2)?,
                (
                    sectors(5)?.saturating_mul(SECTOR_BYTES),
                    sectors(9)?.saturating_mul(SECTOR_BYTES),
                ),
            ))
        })
        .collect();
    let mut seen: Vec<String> = Vec::new();
    let mut out = Vec::new();
    for line in mounts.lines() {
        // Containers have hundreds of overlay and proc mounts; they are told apart before being taken apart.
        if !(line.contains(" - ext")
            || line.contains(" /dev/")
            || line.contains(" - zfs ")
            || line.contains(" - bcachefs "))
        {
            continue;
        }
        let Some(mount) = mountinfo::parse_line(line) else {
            continue;
        };
        // A mount below /dev, such as devpts, is not one of a device.
        let of_a_device = mount.source.starts_with("/dev/")
            || matches!(mount.file_system.as_str(), "zfs" | "btrfs" | "bcachefs");
        if !of_a_device
            || matches!(mount.file_system.as_str(), "squashfs" | "iso9660")
            || seen.contains(&mount.device)
        {
            continue;
        }
        let Ok(space) = rustix::fs::statvfs(&mount.mount_point) else {
            continue;
        };
        if space.f_blocks == 0 {
            continue;
        }
        seen.push(mount.device.clone());
        let name = device_name(&mount.source, &mount.device);
        let io = counters.get(name.as_str());
        out.push(DiskFigures {
            mount_point: mount.mount_point,
            device: mount.source,
            file_system: mount.file_system,
            total_bytes: space.f_blocks.saturating_mul(space.f_frsize),
            used_bytes: space
                .f_blocks
                .saturating_sub(space.f_bfree)
                .saturating_mul(space.f_frsize),
            available_bytes: space.f_bavail.saturating_mul(space.f_frsize),
            read_bytes_total: io.map(|io| io.0),
            write_bytes_total: io.map(|io| io.1),
        });
    }
    out
}

/// The kernel's own name of a device, as `diskstats` has it: the source may be a link such as `/dev/root` or `/dev/mapper/x`.
fn device_name(source: &str, number: &str) -> String {
    let link = fs::read_link(format!("/sys/dev/block/{number}")).ok();
    link.as_deref()
        .and_then(|path| path.file_name())
        .map_or_else(
            || source.trim_start_matches("/dev/").to_owned(),
            |name| name.to_string_lossy().into_owned(),
        )
}

fn pressure() -> HostPressure {
    let read = |name: &str| {
        fs::read_to_string(format!("/proc/pressure/{name}"))
            .ok()
            .and_then(|content| parse::pressure(&content))
    };
    let (cpu, memory, io) = (read("cpu"), read("memory"), read("io"));
    let some = |pressure: Option<parse::Pressure>| pressure.map(|it| it.some.avg10_percent);
    let full = |pressure: Option<parse::Pressure>| Some(pressure?.full?.avg10_percent);
    HostPressure {
        cpu_some_percent: some(cpu),
        memory_some_percent: some(memory),
        memory_full_percent: full(memory),
        io_some_percent: some(io),
        io_full_percent: full(io),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_times_are_split_into_busy_and_idle() {
        let (all, each) =
            cpu_times("cpu  10 0 5 100 20 1 2 3 0 0\ncpu0 10 0 5 100 20 1 2 3 0 0\nintr 5\n");
        assert_eq!(each.len(), 1);
        assert_eq!(all.busy_ns_total, 18 * NS_PER_TICK);
        assert_eq!(all.idle_ns_total, 120 * NS_PER_TICK);
        assert_eq!(all.steal_ns_total, 3 * NS_PER_TICK);
    }

    #[test]
    fn only_mounts_of_devices_are_disks() {
        let mounts = "25 30 0:24 / /dev/pts rw,nosuid shared:3 - devpts devpts rw,gid=5\n\
                      26 30 0:25 / /dev/shm rw shared:4 - tmpfs tmpfs rw\n\
                      30 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                      31 30 8:1 /var /var rw,relatime shared:1 - ext4 /dev/sda1 rw\n";
        let disks = disks(mounts, "");
        assert_eq!(disks.len(), 1, "{disks:?}");
        assert_eq!(disks[0].mount_point, "/");
        assert!(disks[0].total_bytes > 0);
    }

    #[test]
    fn this_machine_has_figures() {
        let host = host_figures().unwrap();
        assert!(host.memory_total_bytes > host.memory_available_bytes);
        assert!(!host.cpus.is_empty());
        assert!(host.uptime_seconds > 0);
        assert!(!host.kernel_release.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC*") {
            let _ = (cpu_times(&text), load(&text), disks("", &text));
        }
    }
}
