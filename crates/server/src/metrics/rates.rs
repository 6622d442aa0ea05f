//! From two readings of counters to one point with rates.

use api::{
    host::{DiskFigures, HostFigures, InterfaceFigures, Pressure},
    stats::StatsPoint,
};
use observe::figures::{self, Figures, InterfaceCounters};

/// The point between two readings of a container. A counter that went back (the container was restarted) gives no rate.
pub(super) fn container(
    before: &Figures,
    now: &Figures,
    cpu_limit_percent: Option<f64>,
) -> StatsPoint {
    let elapsed_ns = now.monotonic_ns.saturating_sub(before.monotonic_ns);
    let per_second = |a: Option<u64>, b: Option<u64>| rate(a, b, elapsed_ns);
    let received = |f: &Figures| {
        f.interfaces
            .iter()
            .map(|i| i.received_bytes_total)
            .sum::<u64>()
    };
    let sent = |f: &Figures| f.interfaces.iter().map(|i| i.sent_bytes_total).sum::<u64>();
    let own_network = !now.shares_host_network;
    StatsPoint {
        time_ms: now.time_ms,
        cpu_percent: per_second(before.cpu_ns_total, now.cpu_ns_total).unwrap_or(0.0) / 1e7,
        cpu_throttled_percent: throttled(before, now),
        cpu_limit_percent,
        memory_working_set_bytes: now.memory_working_set_bytes.unwrap_or(0),
        memory_usage_bytes: now.memory_usage_bytes.unwrap_or(0),
        memory_cache_bytes: now.memory_cache_bytes.unwrap_or(0),
        memory_limit_bytes: now.memory_limit_bytes,
        swap_bytes: now.swap_bytes,
        network_receive_bytes_per_s: own_network
            .then(|| per_second(Some(received(before)), Some(received(now))).unwrap_or(0.0)),
        network_transmit_bytes_per_s: own_network
            .then(|| per_second(Some(sent(before)), Some(sent(now))).unwrap_or(0.0)),
        block_read_bytes_per_s: per_second(
            before.block_read_bytes_total,
            now.block_read_bytes_total,
        )
        .unwrap_or(0.0),
        block_write_bytes_per_s: per_second(
            before.block_write_bytes_total,
            now.block_write_bytes_total,
        )
        .unwrap_or(0.0),
        pids: now.pids.unwrap_or(0),
        pids_limit: now.pids_limit,
        oom_kills_total: now.oom_kills_total,
        pressure: None,
    }
}

fn throttled(before: &Figures, now: &Figures) -> Option<f64> {
    let periods = now
        .cpu_periods_total?
        .checked_sub(before.cpu_periods_total?)?;
    let stopped = now
        .cpu_throttled_periods_total?
        .checked_sub(before.cpu_throttled_periods_total?)?;
    // Without a quota the kernel counts no periods at all.
    (now.cpu_periods_total? > 0).then(|| {
        if periods == 0 {
            0.0
        } else {
            stopped as f64 * 100.0 / periods as f64
        }
    })
}

/// The point between two readings of the machine.
pub(super) fn host(
    before: &figures::HostFigures,
    now: &figures::HostFigures,
    server_memory_bytes: u64,
) -> HostFigures {
    let elapsed_ns = now.monotonic_ns.saturating_sub(before.monotonic_ns);
    let disk = |disk: &figures::DiskFigures| {
        let earlier = before
            .disks
            .iter()
            .find(|d| d.mount_point == disk.mount_point && d.device == disk.device);
        let per_second = |counter: fn(&figures::DiskFigures) -> Option<u64>| {
            rate(earlier.and_then(counter), counter(disk), elapsed_ns).unwrap_or(0.0)
        };
        DiskFigures {
            mount_point: disk.mount_point.clone(),
            device: disk.device.clone(),
            file_system: disk.file_system.clone(),
            total_bytes: disk.total_bytes,
            used_bytes: disk.used_bytes,
            available_bytes: disk.available_bytes,
            read_bytes_per_s: per_second(|d| d.read_bytes_total),
            write_bytes_per_s: per_second(|d| d.write_bytes_total),
        }
    };
    let interface = |interface: &InterfaceCounters| {
        let earlier = before.interfaces.iter().find(|i| i.name == interface.name);
        let per_second = |counter: fn(&InterfaceCounters) -> u64| {
            rate(earlier.map(counter), Some(counter(interface)), elapsed_ns).unwrap_or(0.0)
        };
        InterfaceFigures {
            name: interface.name.clone(),
            receive_bytes_per_s: per_second(|i| i.received_bytes_total),
            transmit_bytes_per_s: per_second(|i| i.sent_bytes_total),
        }
    };
    HostFigures {
        time_ms: now.time_ms,
        cpu_percent: busy(&before.cpu, &now.cpu),
        cpu_per_core_percent: before
            .cpus
            .iter()
            .zip(&now.cpus)
            .map(|(a, b)| busy(a, b))
            .collect(),
        load_1m: now.load[0],
        load_5m: now.load[1],
        load_15m: now.load[2],
        memory_total_bytes: now.memory_total_bytes,
        memory_used_bytes: now
            .memory_total_bytes
            .saturating_sub(now.memory_available_bytes),
        memory_available_bytes: now.memory_available_bytes,
        memory_cache_bytes: now.memory_cache_bytes,
        swap_total_bytes: now.swap_total_bytes,
        swap_used_bytes: now.swap_total_bytes.saturating_sub(now.swap_free_bytes),
        disks: now.disks.iter().map(disk).collect(),
        networks: now
            .interfaces
            .iter()
            .filter(|i| is_of_the_machine(&i.name))
            .map(interface)
            .collect(),
        pressure: pressure(&now.pressure),
        uptime_s: now.uptime_seconds,
        server_memory_bytes,
    }
}

/// Links that engines make count the same traffic again.
fn is_of_the_machine(name: &str) -> bool {
    !["veth", "docker", "br-", "mini", "cos"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

fn busy(before: &figures::CpuTime, now: &figures::CpuTime) -> f64 {
    let busy = now.busy_ns_total.saturating_sub(before.busy_ns_total);
    let idle = now.idle_ns_total.saturating_sub(before.idle_ns_total);
    if busy + idle == 0 {
        0.0
    } else {
        busy as f64 * 100.0 / (busy + idle) as f64
    }
}

fn pressure(p: &figures::HostPressure) -> Option<Pressure> {
    let known = p
        .cpu_some_percent
        .or(p.memory_some_percent)
        .or(p.io_some_percent);
    known.map(|_| Pressure {
        cpu_some_percent: p.cpu_some_percent,
        memory_some_percent: p.memory_some_percent,
        memory_full_percent: p.memory_full_percent,
        io_some_percent: p.io_some_percent,
        io_full_percent: p.io_full_percent,
    })
}

/// Per second; none without both readings, or when the counter went back.
fn rate(before: Option<u64>, now: Option<u64>, elapsed_ns: u64) -> Option<f64> {
    let risen = now?.checked_sub(before?)?;
    (elapsed_ns > 0).then(|| risen as f64 * 1e9 / elapsed_ns as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64, cpu_ns: u64) -> Figures {
        Figures {
            time_ms: i64::try_from(second).unwrap() * 1000,
            monotonic_ns: second * 1_000_000_000,
            cpu_ns_total: Some(cpu_ns),
            ..Figures::default()
        }
    }

    #[test]
    fn half_a_core_is_fifty_percent() {
        let point = container(&at(1, 1_000_000_000), &at(3, 2_000_000_000), Some(50.0));
        assert!((point.cpu_percent - 50.0).abs() < 1e-9);
        assert_eq!(point.cpu_throttled_percent, None);
    }

    #[test]
    fn a_counter_that_went_back_gives_no_rate() {
        assert!(container(&at(1, 9_000), &at(2, 1), None).cpu_percent.abs() < f64::EPSILON);
    }

    #[test]
    fn throttling_is_the_share_of_periods() {
        let quota = |periods, stopped, second| Figures {
            cpu_periods_total: Some(periods),
            cpu_throttled_periods_total: Some(stopped),
            ..at(second, 0)
        };
        let point = container(&quota(10, 0, 1), &quota(20, 5, 2), None);
        assert_eq!(point.cpu_throttled_percent, Some(50.0));
        assert_eq!(
            container(&quota(0, 0, 1), &quota(0, 0, 2), None).cpu_throttled_percent,
            None
        );
    }

    #[test]
    fn without_own_network_there_is_no_traffic_to_tell() {
        let shared = Figures {
            shares_host_network: true,
            ..at(2, 0)
        };
        assert_eq!(
            container(&at(1, 0), &shared, None).network_receive_bytes_per_s,
            None
        );
    }
}
