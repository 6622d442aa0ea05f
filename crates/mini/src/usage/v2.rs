//! The figures of v2's files, in v1's terms.

use std::path::Path;

use cgroups::{Controller, parse};

use super::{
    BlockIo, BlockIoEntry, HugePages, MemoryEntry, Psi, Usage, content, number, take_pids,
};

const NS_PER_US: u64 = 1000;

pub(super) fn take(usage: &mut Usage, controller: Controller, directory: &Path) {
    match controller {
        Controller::Cpu => take_cpu(usage, directory),
        Controller::Memory => take_memory(usage, directory),
        Controller::Pids => take_pids(usage, directory),
        Controller::Io => {
            usage.blkio = block_io(&content(directory, "io.stat"));
            usage.blkio.psi = psi(&content(directory, "io.pressure"));
        }
        Controller::Hugetlb => take_hugetlb(usage, directory),
        _ => {}
    }
}

fn psi(content: &str) -> Option<Psi> {
    parse::pressure(content).map(|pressure| Psi {
        some: pressure.some.into(),
        full: pressure.full.map(Into::into),
    })
}

fn take_cpu(usage: &mut Usage, directory: &Path) {
    let stat = content(directory, "cpu.stat");
    let value = |key| parse::flat_value(&stat, key).unwrap_or_default();
    let ns = |key| value(key).saturating_mul(NS_PER_US);
    let cpu = &mut usage.cpu;
    cpu.usage.total = ns("usage_usec");
    cpu.usage.user = ns("user_usec");
    cpu.usage.kernel = ns("system_usec");
    cpu.throttling.periods = value("nr_periods");
    cpu.throttling.throttled_periods = value("nr_throttled");
    cpu.throttling.throttled_time = ns("throttled_usec");
    cpu.psi = psi(&content(directory, "cpu.pressure"));
}

fn take_memory(usage: &mut Usage, directory: &Path) {
    let memory = &mut usage.memory;
    memory.raw = parse::flat_keyed(&content(directory, "memory.stat"))
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    memory.cache = memory.raw.get("file").copied().unwrap_or_default();
    memory.usage = MemoryEntry {
        limit: number(directory, "memory.max"),
        usage: number(directory, "memory.current"),
        max: number(directory, "memory.peak"),
        // runc leaves it at 0; the kernel does count.
        failcnt: parse::flat_value(&content(directory, "memory.events"), "max").unwrap_or_default(),
    };
    // v1 counts memory and swap together, v2 swap alone; the most of both at one time is not known.
    let limit = number(directory, "memory.swap.max");
    memory.swap = MemoryEntry {
        limit: limit.saturating_add(memory.usage.limit),
        usage: number(directory, "memory.swap.current").saturating_add(memory.usage.usage),
        max: 0,
        failcnt: 0,
    };
    memory.psi = psi(&content(directory, "memory.pressure"));
}

/// `io.stat`, as v1's two tables.
fn block_io(content: &str) -> BlockIo {
    let mut io = BlockIo::default();
    for (device, values) in parse::nested_keyed(content) {
        let Some((major, minor)) = parse::device(device) else {
            continue;
        };
        for (key, value) in values {
            let (table, op) = match key {
                "rbytes" => (&mut io.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut io.io_service_bytes_recursive, "Write"),
                "rios" => (&mut io.io_serviced_recursive, "Read"),
                "wios" => (&mut io.io_serviced_recursive, "Write"),
                _ => continue,
            };
            table.push(BlockIoEntry {
                major: major.into(),
                minor: minor.into(),
                op: op.to_owned(),
                value,
            });
        }
    }
    io
}

fn take_hugetlb(usage: &mut Usage, directory: &Path) {
    for size in super::huge_page_sizes() {
        let promised = format!("hugetlb.{size}.rsvd.current");
        let current = if directory.join(&promised).exists() {
            promised
        } else {
            format!("hugetlb.{size}.current")
        };
        let events = content(directory, &format!("hugetlb.{size}.events"));
        let pages = HugePages {
            usage: number(directory, &current),
            max: 0,
            failcnt: parse::flat_value(&events, "max").unwrap_or_default(),
        };
        usage.hugetlb.insert(size, pages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_directory_of_files_are_v1s() {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in [
            (
                "cpu.stat",
                "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 3\nnr_throttled 2\nthrottled_usec 5\n",
            ),
            (
                "cpu.pressure",
                "some avg10=1.50 avg60=0.00 avg300=0.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
            ),
            ("memory.stat", "anon 5\nfile 6\n"),
            ("memory.current", "100\n"),
            ("memory.max", "max\n"),
            ("memory.swap.current", "7\n"),
            ("memory.swap.max", "50\n"),
            ("memory.events", "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n"),
            (
                "io.stat",
                "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n",
            ),
            ("pids.current", "4\n"),
            ("pids.max", "max\n"),
        ] {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        let mut usage = Usage::default();
        for controller in Controller::ALL {
            take(&mut usage, controller, directory.path());
        }
        assert_eq!(usage.cpu.usage.total, 30_000);
        assert_eq!(usage.cpu.throttling.throttled_time, 5_000);
        assert_eq!(usage.cpu.psi.unwrap().full.unwrap().total, 7);
        assert_eq!(usage.memory.cache, 6);
        assert_eq!(usage.memory.usage.limit, u64::MAX);
        assert_eq!(usage.memory.usage.failcnt, 9);
        assert_eq!(usage.memory.swap.usage, 107);
        assert_eq!(usage.memory.swap.limit, u64::MAX);
        assert_eq!(usage.blkio.io_serviced_recursive.len(), 2);
        assert_eq!((usage.pids.current, usage.pids.limit), (4, 0));
    }

    proptest::proptest! {
        #[test]
        fn any_content_is_read_without_panic(text in "\\PC*") {
            drop(block_io(&text));
        }
    }
}
