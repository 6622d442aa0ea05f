//! Figures in Prometheus' text format, version 0.0.4. What means the same as a figure of cAdvisor has its name and labels
//! (`id`, `image`, `name`); the engine stands beside them. Source: prometheus.io, exposition formats; cAdvisor, storage/prometheus.md.

use api::{
    container::{ContainerState, ContainerSummary},
    engine::{EngineInfo, EngineState},
    host::HostFigures,
};

/// The type of the answer.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A container with the newest reading of its counters.
pub(crate) type Sampled<'a> = (&'a ContainerSummary, Option<observe::Figures>);

/// Writes all figures.
pub(crate) fn write(
    engines: &[EngineInfo],
    containers: &[Sampled<'_>],
    host: Option<&HostFigures>,
    process: &Process,
) -> String {
    let mut text = Text(String::new());
    text.server(process);
    text.engines(engines, containers);
    text.containers(containers);
    if let Some(host) = host {
        text.machine(host);
    }
    text.0
}

/// What is told of the server itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    /// Since when it runs, seconds since the Unix epoch.
    pub(crate) started_s: f64,
    /// Resident memory in bytes.
    pub(crate) memory_bytes: Option<u64>,
    /// Processor time of all its threads, in seconds.
    pub(crate) cpu_s: Option<f64>,
    /// Jobs that are not over.
    pub(crate) jobs: usize,
}

/// A figure of a container: its name, what it is, and how it is read.
type Figure = (
    &'static str,
    &'static str,
    &'static str,
    fn(&observe::Figures) -> Option<f64>,
);

const NS: f64 = 1e9;

const COUNTERS: [Figure; 15] = [
    (
        "container_cpu_usage_seconds_total",
        "counter",
        "CPU time of all its processes.",
        |f| seconds(f.cpu_ns_total),
    ),
    (
        "container_cpu_cfs_periods_total",
        "counter",
        "Scheduling periods in which its quota was looked at.",
        |f| number(f.cpu_periods_total),
    ),
    (
        "container_cpu_cfs_throttled_periods_total",
        "counter",
        "Periods in which its quota stopped it.",
        |f| number(f.cpu_throttled_periods_total),
    ),
    (
        "container_cpu_cfs_throttled_seconds_total",
        "counter",
        "How long its quota stopped it.",
        |f| seconds(f.cpu_throttled_ns_total),
    ),
    (
        "container_memory_usage_bytes",
        "gauge",
        "All memory charged to it, page cache included.",
        |f| number(f.memory_usage_bytes),
    ),
    (
        "container_memory_working_set_bytes",
        "gauge",
        "Memory less inactive file pages.",
        |f| number(f.memory_working_set_bytes),
    ),
    (
        "container_memory_cache",
        "gauge",
        "Page cache in bytes.",
        |f| number(f.memory_cache_bytes),
    ),
    (
        "container_memory_swap",
        "gauge",
        "Swap in use in bytes.",
        |f| number(f.swap_bytes),
    ),
    (
        "container_spec_memory_limit_bytes",
        "gauge",
        "Its memory limit; 0 without one.",
        |f| Some(number(f.memory_limit_bytes).unwrap_or(0.0)),
    ),
    (
        "container_oom_events_total",
        "counter",
        "Processes killed for lack of memory.",
        |f| number(f.oom_kills_total),
    ),
    (
        "container_fs_reads_bytes_total",
        "counter",
        "Read from block devices.",
        |f| number(f.block_read_bytes_total),
    ),
    (
        "container_fs_writes_bytes_total",
        "counter",
        "Written to block devices.",
        |f| number(f.block_write_bytes_total),
    ),
    (
        "container_threads",
        "gauge",
        "Processes and threads.",
        |f| number(f.pids),
    ),
    (
        "container_threads_max",
        "gauge",
        "The most there may be; 0 without a limit.",
        |f| Some(number(f.pids_limit).unwrap_or(0.0)),
    ),
    (
        "container_last_seen",
        "gauge",
        "When it was sampled last, Unix time.",
        |f| Some(millis(f.time_ms)),
    ),
];

/// A figure of an interface.
type Link = (
    &'static str,
    &'static str,
    fn(&observe::figures::InterfaceCounters) -> u64,
);

const LINKS: [Link; 8] = [
    ("container_network_receive_bytes_total", "Received.", |i| {
        i.received_bytes_total
    }),
    (
        "container_network_receive_packets_total",
        "Packets received.",
        |i| i.received_packets_total,
    ),
    (
        "container_network_receive_errors_total",
        "Errors while receiving.",
        |i| i.receive_errors_total,
    ),
    (
        "container_network_receive_packets_dropped_total",
        "Packets dropped while receiving.",
        |i| i.receive_drops_total,
    ),
    ("container_network_transmit_bytes_total", "Sent.", |i| {
        i.sent_bytes_total
    }),
    (
        "container_network_transmit_packets_total",
        "Packets sent.",
        |i| i.sent_packets_total,
    ),
    (
        "container_network_transmit_errors_total",
        "Errors while sending.",
        |i| i.send_errors_total,
    ),
    (
        "container_network_transmit_packets_dropped_total",
        "Packets dropped while sending.",
        |i| i.send_drops_total,
    ),
];

#[expect(
    clippy::cast_precision_loss,
    reason = "the format knows only floating-point numbers"
)]
fn number(value: Option<u64>) -> Option<f64> {
    value.map(|value| value as f64)
}

fn seconds(ns: Option<u64>) -> Option<f64> {
    number(ns).map(|ns| ns / NS)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 are far below 2^52"
)]
fn millis(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let parts = [
            "# HELP ",
            name,
            " ",
            help,
            "\n# TYPE ",
            name,
            " ",
            kind,
            "\n",
        ];
        self.0.extend(parts);
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (number, (label, text)) in labels.iter().enumerate() {
            self.0.push(if number == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            for letter in text.chars() {
                match letter {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.0.extend([" ", &value.to_string(), "\n"]);
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.head(name, kind, help);
        self.value(name, &[], value);
    }

    fn server(&mut self, process: &Process) {
        self.head("containeros_build_info", "gauge", "The server's version.");
        self.value(
            "containeros_build_info",
            &[("version", env!("CARGO_PKG_VERSION"))],
            1.0,
        );
        let name = "process_start_time_seconds";
        self.one(
            name,
            "gauge",
            "When the server started, Unix time.",
            process.started_s,
        );
        if let Some(bytes) = number(process.memory_bytes) {
            let name = "process_resident_memory_bytes";
            self.one(name, "gauge", "Resident memory of the server.", bytes);
        }
        if let Some(cpu) = process.cpu_s {
            self.one(
                "process_cpu_seconds_total",
                "counter",
                "CPU time of the server.",
                cpu,
            );
        }
        let jobs = u32::try_from(process.jobs).unwrap_or(u32::MAX);
        self.one(
            "containeros_jobs",
            "gauge",
            "Jobs that are not over.",
            f64::from(jobs),
        );
    }

    fn engines(&mut self, engines: &[EngineInfo], containers: &[Sampled<'_>]) {
        let name = "containeros_engine_up";
        self.head(name, "gauge", "1 while the engine answers.");
        for engine in engines {
            let up = f64::from(u8::from(engine.state == EngineState::Connected));
            self.value(name, &[("engine", engine.name.as_str())], up);
        }
        let name = "containeros_containers";
        self.head(name, "gauge", "Containers by engine and state.");
        const STATES: [(ContainerState, &str); 7] = [
            (ContainerState::Created, "created"),
            (ContainerState::Running, "running"),
            (ContainerState::Paused, "paused"),
            (ContainerState::Restarting, "restarting"),
            (ContainerState::Removing, "removing"),
            (ContainerState::Exited, "exited"),
            (ContainerState::Dead, "dead"),
        ];
        for engine in engines {
            for (state, word) in STATES {
                let count = containers
                    .iter()
                    .filter(|(c, _)| c.engine == engine.name && c.state == state)
                    .count();
                let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
                let labels = [("engine", engine.name.as_str()), ("state", word)];
                self.value(name, &labels, count);
            }
        }
    }

    fn containers(&mut self, containers: &[Sampled<'_>]) {
        let name = "containeros_container_restarts";
        self.head(
            name,
            "gauge",
            "How often its restart policy started it again.",
        );
        for (container, _) in containers {
            let restarts = number(Some(container.restart_count)).unwrap_or_default();
            self.value(name, &labels(container), restarts);
        }
        let name = "containeros_container_healthy";
        self.head(
            name,
            "gauge",
            "1 when its last health check was good, of those that have one.",
        );
        for (container, _) in containers {
            if let Some(health) = container.health {
                let good = f64::from(u8::from(health == api::container::Health::Healthy));
                self.value(name, &labels(container), good);
            }
        }
        let name = "container_start_time_seconds";
        self.head(name, "gauge", "When its last run began, Unix time.");
        for (container, _) in containers {
            if let Some(started) = container.started_at {
                self.value(name, &labels(container), millis(started.as_millisecond()));
            }
        }
        for (name, kind, help, read) in COUNTERS {
            self.head(name, kind, help);
            for (container, figures) in containers {
                if let Some(value) = figures.as_ref().and_then(read) {
                    let mut labels = labels(container).to_vec();
                    match name {
                        "container_cpu_usage_seconds_total" => labels.push(("cpu", "total")),
                        "container_fs_reads_bytes_total" | "container_fs_writes_bytes_total" => {
                            labels.push(("device", ""));
                        }
                        _ => {}
                    }
                    self.value(name, &labels, value);
                }
            }
        }
        for (name, help, read) in LINKS {
            self.head(name, "counter", help);
            for (container, figures) in containers {
                for link in figures.iter().flat_map(|figures| &figures.interfaces) {
                    let mut labels = labels(container).to_vec();
                    labels.push(("interface", &link.name));
                    let value = number(Some(read(link))).unwrap_or_default();
                    self.value(name, &labels, value);
                }
            }
        }
    }

    fn machine(&mut self, host: &HostFigures) {
        let cores = u32::try_from(host.cpu_per_core_percent.len()).unwrap_or_default();
        let name = "machine_cpu_cores";
        self.one(
            name,
            "gauge",
            "Processors of the machine.",
            f64::from(cores),
        );
        let bytes = |value| number(Some(value)).unwrap_or_default();
        let name = "machine_memory_bytes";
        self.one(
            name,
            "gauge",
            "Memory of the machine.",
            bytes(host.memory_total_bytes),
        );
        let name = "containeros_host_memory_available_bytes";
        let help = "What programs could still get without swapping.";
        self.one(name, "gauge", help, bytes(host.memory_available_bytes));
        let name = "containeros_host_cpu_percent";
        self.one(
            name,
            "gauge",
            "All processors together, 0 to 100.",
            host.cpu_percent,
        );
        for (name, help, read) in [
            ("containeros_host_disk_bytes", "Size of a file system.", 0),
            (
                "containeros_host_disk_available_bytes",
                "Free for programs.",
                1,
            ),
        ] {
            self.head(name, "gauge", help);
            for disk in &host.disks {
                let labels = [
                    ("device", disk.device.as_str()),
                    ("mount_point", disk.mount_point.as_str()),
                ];
                let value = if read == 0 {
                    disk.total_bytes
                } else {
                    disk.available_bytes
                };
                self.value(name, &labels, bytes(value));
            }
        }
    }
}

fn labels(container: &ContainerSummary) -> [(&str, &str); 4] {
    [
        ("engine", container.engine.as_str()),
        ("id", &container.id),
        ("image", &container.image),
        ("name", &container.name),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_numbers_are_plain() {
        let mut text = Text(String::new());
        text.value("x", &[("a", "q\"b\\s\nn"), ("e", "")], 0.5);
        text.value("y", &[], 1_700_000_000.0);
        assert_eq!(
            text.0,
            "x{a=\"q\\\"b\\\\s\\nn\",e=\"\"} 0.5\ny 1700000000\n"
        );
    }
}
