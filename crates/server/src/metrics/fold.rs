//! One point for several: means of what flows and of what stands, the last of totals and limits.

use api::{
    host::{DiskFigures, HostFigures, InterfaceFigures, Pressure},
    stats::StatsPoint,
};

use super::series::{Fold, mean, mean_bytes, mean_some};

impl Fold for StatsPoint {
    fn time_ms(&self) -> i64 {
        self.time_ms
    }

    fn fold(points: &[Self]) -> Self {
        let Some(last) = points.last() else {
            return empty_point();
        };
        Self {
            time_ms: last.time_ms,
            cpu_percent: mean(points, |p| p.cpu_percent),
            cpu_throttled_percent: mean_some(points, |p| p.cpu_throttled_percent),
            cpu_limit_percent: last.cpu_limit_percent,
            memory_working_set_bytes: mean_bytes(points, |p| p.memory_working_set_bytes),
            memory_usage_bytes: mean_bytes(points, |p| p.memory_usage_bytes),
            memory_cache_bytes: mean_bytes(points, |p| p.memory_cache_bytes),
            memory_limit_bytes: last.memory_limit_bytes,
            swap_bytes: last.swap_bytes,
            network_receive_bytes_per_s: mean_some(points, |p| p.network_receive_bytes_per_s),
            network_transmit_bytes_per_s: mean_some(points, |p| p.network_transmit_bytes_per_s),
            block_read_bytes_per_s: mean(points, |p| p.block_read_bytes_per_s),
            block_write_bytes_per_s: mean(points, |p| p.block_write_bytes_per_s),
            pids: mean_bytes(points, |p| p.pids),
            pids_limit: last.pids_limit,
            oom_kills_total: last.oom_kills_total,
            pressure: last.pressure,
        }
    }
}

impl Fold for HostFigures {
    fn time_ms(&self) -> i64 {
        self.time_ms
    }

    fn fold(points: &[Self]) -> Self {
        let Some(last) = points.last() else {
            return empty_host();
        };
        let cores = last.cpu_per_core_percent.len();
        Self {
            cpu_percent: mean(points, |p| p.cpu_percent),
            cpu_per_core_percent: (0..cores)
                .map(|core| {
                    mean(points, |p| {
                        p.cpu_per_core_percent
                            .get(core)
                            .copied()
                            .unwrap_or_default()
                    })
                })
                .collect(),
            load_1m: mean(points, |p| p.load_1m),
            memory_used_bytes: mean_bytes(points, |p| p.memory_used_bytes),
            memory_available_bytes: mean_bytes(points, |p| p.memory_available_bytes),
            memory_cache_bytes: mean_bytes(points, |p| p.memory_cache_bytes),
            swap_used_bytes: mean_bytes(points, |p| p.swap_used_bytes),
            server_memory_bytes: mean_bytes(points, |p| p.server_memory_bytes),
            disks: last
                .disks
                .iter()
                .map(|disk| fold_disk(points, disk))
                .collect(),
            networks: last
                .networks
                .iter()
                .map(|network| fold_network(points, network))
                .collect(),
            pressure: fold_pressure(points),
            ..last.clone()
        }
    }
}

fn fold_disk(points: &[HostFigures], last: &DiskFigures) -> DiskFigures {
    let same: Vec<&DiskFigures> = points
        .iter()
        .flat_map(|p| &p.disks)
        .filter(|disk| disk.mount_point == last.mount_point)
        .collect();
    DiskFigures {
        read_bytes_per_s: mean(&same, |disk| disk.read_bytes_per_s),
        write_bytes_per_s: mean(&same, |disk| disk.write_bytes_per_s),
        ..last.clone()
    }
}

fn fold_network(points: &[HostFigures], last: &InterfaceFigures) -> InterfaceFigures {
    let same: Vec<&InterfaceFigures> = points
        .iter()
        .flat_map(|p| &p.networks)
        .filter(|network| network.name == last.name)
        .collect();
    InterfaceFigures {
        name: last.name.clone(),
        receive_bytes_per_s: mean(&same, |network| network.receive_bytes_per_s),
        transmit_bytes_per_s: mean(&same, |network| network.transmit_bytes_per_s),
    }
}

fn fold_pressure(points: &[HostFigures]) -> Option<Pressure> {
    let all: Vec<Pressure> = points.iter().filter_map(|p| p.pressure).collect();
    (!all.is_empty()).then(|| Pressure {
        cpu_some_percent: mean_some(&all, |p| p.cpu_some_percent),
        memory_some_percent: mean_some(&all, |p| p.memory_some_percent),
        memory_full_percent: mean_some(&all, |p| p.memory_full_percent),
        io_some_percent: mean_some(&all, |p| p.io_some_percent),
        io_full_percent: mean_some(&all, |p| p.io_full_percent),
    })
}

fn empty_point() -> StatsPoint {
    StatsPoint {
        time_ms: 0,
        cpu_percent: 0.0,
        cpu_throttled_percent: None,
        cpu_limit_percent: None,
        memory_working_set_bytes: 0,
        memory_usage_bytes: 0,
        memory_cache_bytes: 0,
        memory_limit_bytes: None,
        swap_bytes: None,
        network_receive_bytes_per_s: None,
        network_transmit_bytes_per_s: None,
        block_read_bytes_per_s: 0.0,
        block_write_bytes_per_s: 0.0,
        pids: 0,
        pids_limit: None,
        oom_kills_total: None,
        pressure: None,
    }
}

fn empty_host() -> HostFigures {
    HostFigures {
        time_ms: 0,
        cpu_percent: 0.0,
        cpu_per_core_percent: Vec::new(),
        load_1m: 0.0,
        load_5m: 0.0,
        load_15m: 0.0,
        memory_total_bytes: 0,
        memory_used_bytes: 0,
        memory_available_bytes: 0,
        memory_cache_bytes: 0,
        swap_total_bytes: 0,
        swap_used_bytes: 0,
        disks: Vec::new(),
        networks: Vec::new(),
        pressure: None,
        uptime_s: 0,
        server_memory_bytes: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_averaged_and_limits_are_the_last() {
        let point = |time_ms, cpu, memory, limit| StatsPoint {
            time_ms,
            cpu_percent: cpu,
            memory_working_set_bytes: memory,
            memory_limit_bytes: limit,
            ..empty_point()
        };
        let folded = StatsPoint::fold(&[
            point(1000, 10.0, 100, None),
            point(2000, 30.0, 300, Some(7)),
        ]);
        assert_eq!((folded.time_ms, folded.cpu_percent), (2000, 20.0));
        assert_eq!(
            (folded.memory_working_set_bytes, folded.memory_limit_bytes),
            (200, Some(7))
        );
        assert_eq!(folded.cpu_throttled_percent, None);
    }

    #[test]
    fn a_disk_that_came_later_is_averaged_over_its_own_points() {
        let disk = |read| DiskFigures {
            mount_point: "/".to_owned(),
            device: "sda".to_owned(),
            file_system: "ext4".to_owned(),
            total_bytes: 1,
            used_bytes: 1,
            available_bytes: 0,
            read_bytes_per_s: read,
            write_bytes_per_s: 0.0,
        };
        let with = HostFigures {
            time_ms: 2,
            disks: vec![disk(8.0)],
            ..empty_host()
        };
        let folded = HostFigures::fold(&[empty_host(), with]);
        assert!((folded.disks[0].read_bytes_per_s - 8.0).abs() < f64::EPSILON);
    }
}
