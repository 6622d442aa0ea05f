//! The content of each file, put into [`Stats`].

use super::{DeviceIo, Stats};
use crate::parse;

const NS_PER_US: u64 = 1000;
/// The kernel counts v1's user and system time in `USER_HZ`, which is 100 on every architecture that Rust's std runs on.
const NS_PER_TICK: u64 = 10_000_000;

/// A file that a figure is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    CpuStatV2,
    CpuacctUsage,
    CpuacctStat,
    CpuacctPerCpu,
    CpuStatV1,
    MemoryUsage,
    MemoryStatV1,
    MemoryStatV2,
    MemoryLimit,
    MemoryPeak,
    MemoryFailcnt,
    MemoryOomControl,
    MemoryEvents,
    SwapCurrent,
    IoStat,
    BlkioBytes,
    BlkioOperations,
    PidsCurrent,
    PidsMax,
    PressureCpu,
    PressureMemory,
    PressureIo,
}

fn number(content: &str) -> Option<u64> {
    content.trim().parse().ok()
}

/// Takes what a file says. `full` keeps `memory.stat` as it is.
pub(super) fn take(stats: &mut Stats, source: Source, content: &str, full: bool) {
    let memory = &mut stats.memory;
    let cpu = &mut stats.cpu;
    match source {
        Source::CpuStatV2 => {
            for (key, value) in parse::flat_keyed(content) {
                let field = match key {
                    "usage_usec" => &mut cpu.usage_ns_total,
                    "user_usec" => &mut cpu.user_ns_total,
                    "system_usec" => &mut cpu.system_ns_total,
                    "throttled_usec" => &mut cpu.throttled_ns_total,
                    "nr_periods" => {
                        cpu.periods_total = Some(value);
                        continue;
                    }
                    "nr_throttled" => {
                        cpu.throttled_periods_total = Some(value);
                        continue;
                    }
                    _ => continue,
                };
                *field = Some(value.saturating_mul(NS_PER_US));
            }
        }
        Source::CpuStatV1 => {
            for (key, value) in parse::flat_keyed(content) {
                match key {
                    "nr_periods" => cpu.periods_total = Some(value),
                    "nr_throttled" => cpu.throttled_periods_total = Some(value),
                    "throttled_time" => cpu.throttled_ns_total = Some(value),
                    _ => {}
                }
            }
        }
        Source::CpuacctUsage => cpu.usage_ns_total = number(content),
        Source::CpuacctStat => {
            let ticks = |key| {
                parse::flat_value(content, key).map(|ticks| ticks.saturating_mul(NS_PER_TICK))
            };
            cpu.user_ns_total = ticks("user");
            cpu.system_ns_total = ticks("system");
        }
        Source::CpuacctPerCpu => {
            cpu.per_cpu_ns_total = content
                .split_ascii_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect();
        }
        Source::MemoryUsage => memory.usage_bytes = number(content),
        Source::MemoryStatV1 => take_memory_stat(stats, content, full, &V1_KEYS),
        Source::MemoryStatV2 => take_memory_stat(stats, content, full, &V2_KEYS),
        Source::MemoryLimit => memory.limit_bytes = parse::limit(content),
        Source::MemoryPeak => memory.peak_bytes = number(content),
        Source::MemoryFailcnt => memory.limit_hits_total = number(content),
        Source::MemoryOomControl => {
            memory.oom_kills_total = parse::flat_value(content, "oom_kill");
        }
        Source::MemoryEvents => {
            memory.oom_kills_total = parse::flat_value(content, "oom_kill");
            memory.limit_hits_total = parse::flat_value(content, "max");
        }
        Source::SwapCurrent => memory.swap_bytes = number(content),
        Source::IoStat => {
            for (device, values) in parse::nested_keyed(content) {
                let Some(io) = parse::device(device).map(|number| entry(&mut stats.io, number))
                else {
                    continue;
                };
                for (key, value) in values {
                    match key {
                        "rbytes" => io.read_bytes_total = value,
                        "wbytes" => io.write_bytes_total = value,
                        "rios" => io.read_operations_total = value,
                        "wios" => io.write_operations_total = value,
                        _ => {}
                    }
                }
            }
        }
        Source::BlkioBytes => take_blkio(stats, content, |io| {
            (&mut io.read_bytes_total, &mut io.write_bytes_total)
        }),
        Source::BlkioOperations => take_blkio(stats, content, |io| {
            (
                &mut io.read_operations_total,
                &mut io.write_operations_total,
            )
        }),
        Source::PidsCurrent => stats.pids.current = number(content),
        Source::PidsMax => stats.pids.limit = parse::limit(content),
        Source::PressureCpu => stats.pressure.cpu = parse::pressure(content),
        Source::PressureMemory => stats.pressure.memory = parse::pressure(content),
        Source::PressureIo => stats.pressure.io = parse::pressure(content),
    }
}

/// Cache, anonymous memory, swap, and what is easily taken back, by their names in `memory.stat`.
struct MemoryKeys {
    cache: &'static str,
    anonymous: &'static str,
    swap: &'static str,
    inactive: &'static str,
}

const V1_KEYS: MemoryKeys = MemoryKeys {
    cache: "total_cache",
    anonymous: "total_rss",
    swap: "total_swap",
    inactive: "total_inactive_file",
};

const V2_KEYS: MemoryKeys = MemoryKeys {
    cache: "file",
    anonymous: "anon",
    // v2 says it in a file of its own.
    swap: "",
    inactive: "inactive_file",
};

fn take_memory_stat(stats: &mut Stats, content: &str, full: bool, keys: &MemoryKeys) {
    let memory = &mut stats.memory;
    let mut inactive = None;
    for (key, value) in parse::flat_keyed(content) {
        if key == keys.cache {
            memory.cache_bytes = Some(value);
        } else if key == keys.anonymous {
            memory.anonymous_bytes = Some(value);
        } else if key == keys.swap {
            memory.swap_bytes = Some(value);
        } else if key == keys.inactive {
            inactive = Some(value);
        }
        if full {
            memory.stat.push((key.to_owned(), value));
        }
    }
    // Usage is read before this file.
    memory.working_set_bytes = memory
        .usage_bytes
        .map(|usage| usage.saturating_sub(inactive.unwrap_or_default()));
}

/// Lines `8:0 Read 4096`, and a `Total` at the end.
fn take_blkio(
    stats: &mut Stats,
    content: &str,
    fields: impl Fn(&mut DeviceIo) -> (&mut u64, &mut u64),
) {
    for line in content.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(device), Some(operation), Some(value)) =
            (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let (Some(number), Ok(value)) = (parse::device(device), value.parse()) else {
            continue;
        };
        let (read, write) = fields(entry(&mut stats.io, number));
        match operation {
            "Read" => *read = value,
            "Write" => *write = value,
            _ => {}
        }
    }
}

fn entry(all: &mut Vec<DeviceIo>, (major, minor): (u32, u32)) -> &mut DeviceIo {
    let at = all
        .iter()
        .position(|io| (io.major, io.minor) == (major, minor))
        .unwrap_or(all.len());
    if at == all.len() {
        all.push(DeviceIo {
            major,
            minor,
            ..DeviceIo::default()
        });
    }
    #[expect(clippy::indexing_slicing, reason = "found or pushed just above")]
    &mut all[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_and_v2_say_the_same_of_the_same() {
        let mut v1 = Stats::default();
        take(&mut v1, Source::CpuacctUsage, "2000000000\n", false);
        take(&mut v1, Source::CpuacctStat, "user 150\nsystem 50\n", false);
        take(
            &mut v1,
            Source::CpuStatV1,
            "nr_periods 10\nnr_throttled 4\nthrottled_time 3000\n",
            false,
        );
        take(&mut v1, Source::MemoryUsage, "1000\n", false);
        take(
            &mut v1,
            Source::MemoryStatV1,
            "cache 1\ntotal_cache 300\ntotal_rss 600\ntotal_swap 0\ntotal_inactive_file 200\n",
            false,
        );
        take(
            &mut v1,
            Source::BlkioBytes,
            "8:0 Read 10\n8:0 Write 20\n8:0 Total 30\nTotal 30\n",
            false,
        );
        take(
            &mut v1,
            Source::BlkioOperations,
            "8:0 Read 1\n8:0 Write 2\n",
            false,
        );

        let mut v2 = Stats::default();
        take(
            &mut v2,
            Source::CpuStatV2,
            "usage_usec 2000000\nuser_usec 1500000\nsystem_usec 500000\nnr_periods 10\nnr_throttled 4\nthrottled_usec 3\n",
            false,
        );
        take(&mut v2, Source::MemoryUsage, "1000\n", false);
        take(
            &mut v2,
            Source::MemoryStatV2,
            "anon 600\nfile 300\ninactive_file 200\n",
            false,
        );
        take(&mut v2, Source::SwapCurrent, "0\n", false);
        take(
            &mut v2,
            Source::IoStat,
            "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n",
            false,
        );
        assert_eq!(v1, v2);
        assert_eq!(v1.memory.working_set_bytes, Some(800));
    }

    proptest::proptest! {
        #[test]
        fn any_content_is_taken_without_panic(text in "\\PC*") {
            let mut stats = Stats::default();
            for source in [Source::CpuStatV2, Source::CpuStatV1, Source::CpuacctStat, Source::CpuacctPerCpu,
                Source::MemoryStatV1, Source::MemoryEvents, Source::IoStat, Source::BlkioBytes, Source::PidsMax] {
                take(&mut stats, source, &text, true);
            }
        }
    }
}
