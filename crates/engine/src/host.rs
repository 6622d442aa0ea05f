//! What the machine is: the figures and names that answers of the API have beside those of containers.

use std::fs;

/// The kernel counts CPU time in `USER_HZ`, which is 100 on every architecture that Rust's std runs on.
const NS_PER_TICK: u64 = 10_000_000;

/// CPU time of the whole machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// Of all CPUs since boot, idle time too: user, nice, system, idle, iowait, irq and softirq, as Docker adds up.
    pub(crate) all_ns_total: u64,
    /// How many CPUs are switched on.
    pub(crate) online: u32,
}

impl CpuTime {
    /// Reads it now; zeros where `/proc/stat` cannot be read.
    pub(crate) fn now() -> Self {
        Self::parse(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    fn parse(content: &str) -> Self {
        let mut time = Self::default();
        for line in content.lines() {
            let Some(rest) = line.strip_prefix("cpu") else {
                continue;
            };
            if rest.starts_with(' ') {
                time.all_ns_total = rest
                    .split_ascii_whitespace()
                    .take(7)
                    .filter_map(|ticks| ticks.parse::<u64>().ok())
                    .fold(0, u64::saturating_add)
                    .saturating_mul(NS_PER_TICK);
            } else {
                time.online += 1;
            }
        }
        time
    }
}

/// Memory of the machine in bytes; 0 where `/proc/meminfo` cannot be read.
pub(crate) fn memory_total_bytes() -> u64 {
    let content = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = content
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_ascii_whitespace().next())
        .and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or_default().saturating_mul(1024)
}

/// How many CPUs this process may run on.
pub(crate) fn usable_cpus() -> u32 {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count().max(1))
}

/// Seconds since boot.
pub(crate) fn uptime_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let part = |value: i64| u64::try_from(value).unwrap_or_default();
    part(now.tv_sec).saturating_mul(1_000_000_000) + part(now.tv_nsec)
}

/// The machine's architecture and kernel, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// As `uname -m` says, such as `x86_64`.
    pub(crate) machine: String,
    /// As Go and Docker say, such as `amd64`.
    pub(crate) architecture: String,
    /// As `uname -r` says.
    pub(crate) kernel: String,
    /// The host's name.
    pub(crate) host: String,
}

impl Names {
    /// Asks the kernel.
    pub(crate) fn now() -> Self {
        let uname = rustix::system::uname();
        let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        let machine = text(uname.machine());
        Self {
            architecture: go_architecture(&machine).to_owned(),
            machine,
            kernel: text(uname.release()),
            host: text(uname.nodename()),
        }
    }
}

fn go_architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i486" | "i586" | "i686" => "386",
        "armv6l" | "armv7l" | "armv8l" => "arm",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// The distribution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OperatingSystem {
    /// Such as `Debian GNU/Linux 12 (bookworm)`.
    pub(crate) name: String,
    /// Such as `12`.
    pub(crate) version: String,
}

impl OperatingSystem {
    /// Reads `os-release`.
    pub(crate) fn now() -> Self {
        let content = ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|path| fs::read_to_string(path).ok());
        Self::parse(&content.unwrap_or_default())
    }

    fn parse(content: &str) -> Self {
        let value = |key: &str| {
            let line = content.lines().find_map(|line| {
                let value = line.trim().strip_prefix(key)?.strip_prefix('=')?;
                Some(unquoted(value))
            });
            line.unwrap_or_default()
        };
        let pretty = value("PRETTY_NAME");
        let name = if pretty.is_empty() {
            value("NAME")
        } else {
            pretty
        };
        Self {
            name: if name.is_empty() {
                "Linux".to_owned()
            } else {
                name
            },
            version: value("VERSION_ID"),
        }
    }
}

/// A value as a shell would read it; the values of os-release use no more than quotes and backslashes.
fn unquoted(value: &str) -> String {
    let inner = ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(value);
    let mut text = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.extend(letters.next()),
            letter => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_added_up_as_docker_does() {
        let time = CpuTime::parse(
            "cpu  1 2 3 4 5 6 7 100 100 0\ncpu0 1 0 0 0\ncpu1 0 2 3 4\nintr 1 2\nctxt 5\n",
        );
        assert_eq!(time.all_ns_total, 28 * NS_PER_TICK);
        assert_eq!(time.online, 2);
        assert_eq!(CpuTime::parse(""), CpuTime::default());
    }

    #[test]
    fn the_machine_has_figures_and_names() {
        assert!(memory_total_bytes() > 1 << 20);
        assert!(CpuTime::now().online >= 1 && usable_cpus() >= 1);
        assert!(uptime_ns() > 0);
        let names = Names::now();
        assert!(!names.kernel.is_empty() && !names.host.is_empty());
        assert_eq!(names.architecture, go_architecture(std::env::consts::ARCH));
        assert!(!OperatingSystem::now().name.is_empty());
    }

    #[test]
    fn os_release_is_read_with_and_without_quotes() {
        let system = OperatingSystem::parse(
            "NAME=X\nPRETTY_NAME=\"Some \\\"OS\\\" 12\"\nVERSION_ID=12\nVERSION_ID_X=3\n",
        );
        assert_eq!(system.name, "Some \"OS\" 12");
        assert_eq!(system.version, "12");
        assert_eq!(OperatingSystem::parse("NAME='X Y'").name, "X Y");
        assert_eq!(OperatingSystem::parse("").name, "Linux");
    }

    proptest::proptest! {
        #[test]
        fn no_content_panics(content in "\\PC*") {
            let _ = CpuTime::parse(&content);
            let _ = OperatingSystem::parse(&content);
        }
    }
}
