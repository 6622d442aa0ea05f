//! The figures of v1's files.

use std::path::Path;

use cgroups::{Controller, parse};

use super::{BlockIo, BlockIoEntry, HugePages, MemoryEntry, Usage, content, number, take_pids};

/// Of `cpuacct.stat`: `USER_HZ` is 100 on every architecture that Rust's std runs on.
const NS_PER_TICK: u64 = 10_000_000;

pub(super) fn take(usage: &mut Usage, controller: Controller, directory: &Path) {
    match controller {
        Controller::Cpuacct => take_cpuacct(usage, directory),
        Controller::Cpu => {
            let stat = content(directory, "cpu.stat");
            let value = |key| parse::flat_value(&stat, key).unwrap_or_default();
            let throttling = &mut usage.cpu.throttling;
            throttling.periods = value("nr_periods");
            throttling.throttled_periods = value("nr_throttled");
            throttling.throttled_time = value("throttled_time");
        }
        Controller::Cpuset => take_cpuset(usage, directory),
        Controller::Memory => take_memory(usage, directory),
        Controller::Pids => take_pids(usage, directory),
        Controller::Io => take_blkio(&mut usage.blkio, directory),
        Controller::Hugetlb => take_hugetlb(usage, directory),
        _ => {}
    }
}

fn take_cpuacct(usage: &mut Usage, directory: &Path) {
    let cpu = &mut usage.cpu.usage;
    cpu.total = number(directory, "cpuacct.usage");
    let stat = content(directory, "cpuacct.stat");
    let ticks = |key| {
        parse::flat_value(&stat, key)
            .unwrap_or_default()
            .saturating_mul(NS_PER_TICK)
    };
    cpu.user = ticks("user");
    cpu.kernel = ticks("system");
    cpu.percpu = content(directory, "cpuacct.usage_percpu")
        .split_ascii_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    (cpu.percpu_user, cpu.percpu_kernel) = usage_all(&content(directory, "cpuacct.usage_all"));
}

/// Lines `cpu user system` behind a line that says so: time of each processor in user mode and in the kernel.
fn usage_all(content: &str) -> (Vec<u64>, Vec<u64>) {
    content
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace().skip(1);
            Some((
                words.next()?.parse::<u64>().ok()?,
                words.next()?.parse::<u64>().ok()?,
            ))
        })
        .unzip()
}

fn take_cpuset(usage: &mut Usage, directory: &Path) {
    let list = |name| parse::number_list(&content(directory, name)).unwrap_or_default();
    let set = &mut usage.cpuset;
    set.cpus = list("cpuset.cpus");
    set.mems = list("cpuset.mems");
    for (field, name) in [
        (&mut set.cpu_exclusive, "cpuset.cpu_exclusive"),
        (&mut set.mem_hardwall, "cpuset.mem_hardwall"),
        (&mut set.mem_exclusive, "cpuset.mem_exclusive"),
        (&mut set.memory_migrate, "cpuset.memory_migrate"),
        (&mut set.memory_spread_page, "cpuset.memory_spread_page"),
        (&mut set.memory_spread_slab, "cpuset.memory_spread_slab"),
        (&mut set.memory_pressure, "cpuset.memory_pressure"),
        (&mut set.sched_load_balance, "cpuset.sched_load_balance"),
    ] {
        *field = number(directory, name);
    }
    set.sched_relax_domain_level = content(directory, "cpuset.sched_relax_domain_level")
        .trim()
        .parse()
        .unwrap_or_default();
}

fn take_memory(usage: &mut Usage, directory: &Path) {
    let memory = &mut usage.memory;
    memory.raw = parse::flat_keyed(&content(directory, "memory.stat"))
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    memory.cache = memory.raw.get("cache").copied().unwrap_or_default();
    let entry = |kind: &str| {
        let file = |what: &str| number(directory, &format!("memory.{kind}{what}"));
        MemoryEntry {
            limit: file("limit_in_bytes"),
            usage: file("usage_in_bytes"),
            max: file("max_usage_in_bytes"),
            failcnt: file("failcnt"),
        }
    };
    memory.usage = entry("");
    memory.swap = entry("memsw.");
    memory.kernel = entry("kmem.");
    memory.kernel_tcp = entry("kmem.tcp.");
}

fn take_hugetlb(usage: &mut Usage, directory: &Path) {
    for size in super::huge_page_sizes() {
        // Pages that are promised, since Linux 5.7, say more than those in use.
        let promised = format!("hugetlb.{size}.rsvd.usage_in_bytes");
        let kind = if directory.join(promised).exists() {
            "rsvd."
        } else {
            ""
        };
        let file = |what: &str| number(directory, &format!("hugetlb.{size}.{kind}{what}"));
        let pages = HugePages {
            usage: file("usage_in_bytes"),
            max: file("max_usage_in_bytes"),
            failcnt: file("failcnt"),
        };
        usage.hugetlb.insert(size, pages);
    }
}

/// A file's name behind its prefix, and where its lines go.
type Known = (&'static str, fn(&mut BlockIo) -> &mut Vec<BlockIoEntry>);

const ALL: [Known; 8] = [
    ("sectors_recursive", |io| &mut io.sectors_recursive),
    ("io_service_time_recursive", |io| {
        &mut io.io_service_time_recursive
    }),
    ("io_wait_time_recursive", |io| {
        &mut io.io_wait_time_recursive
    }),
    ("io_merged_recursive", |io| &mut io.io_merged_recursive),
    ("io_queued_recursive", |io| &mut io.io_queued_recursive),
    ("time_recursive", |io| &mut io.io_time_recursive),
    ("io_serviced_recursive", |io| &mut io.io_serviced_recursive),
    ("io_service_bytes_recursive", |io| {
        &mut io.io_service_bytes_recursive
    }),
];

/// Which of the schedulers counts depends on the kernel and on the disk: the first that has anything to say is believed.
fn take_blkio(io: &mut BlockIo, directory: &Path) {
    for prefix in ["blkio.bfq.", "blkio.", "blkio.throttle."] {
        let mut any = false;
        for (name, field) in &ALL {
            let entries = entries(&content(directory, &format!("{prefix}{name}")));
            any |= !entries.is_empty();
            *field(io) = entries;
        }
        if any {
            return;
        }
    }
}

/// Lines `8:0 Read 4096`, or `8:0 4096` where there is one kind only; the sum of all devices at the end is none.
fn entries(content: &str) -> Vec<BlockIoEntry> {
    content
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (major, minor) = parse::device(words.next()?)?;
            let (op, value) = match (words.next()?, words.next()) {
                (op, Some(value)) => (op, value),
                (value, None) => ("", value),
            };
            Some(BlockIoEntry {
                major: major.into(),
                minor: minor.into(),
                op: op.to_owned(),
                value: value.parse().ok()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_devices_are_read_with_and_without_a_kind() {
        let all = entries("8:0 Read 10\n8:0 Total 30\n8:16 7\nTotal 37\nx\n");
        let flat: Vec<_> = all
            .iter()
            .map(|entry| (entry.major, entry.minor, entry.op.as_str(), entry.value))
            .collect();
        assert_eq!(
            flat,
            [(8, 0, "Read", 10), (8, 0, "Total", 30), (8, 16, "", 7)]
        );
    }

    #[test]
    fn time_of_each_processor_is_split() {
        assert_eq!(
            usage_all("cpu user system\n0 1 2\n1 3 4\n"),
            (vec![1, 3], vec![2, 4])
        );
    }

    proptest::proptest! {
        #[test]
        fn any_content_is_read_without_panic(text in "\\PC*") {
            let _ = (entries(&text), usage_all(&text));
        }
    }
}
