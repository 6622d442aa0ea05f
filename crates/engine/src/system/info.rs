//! What the engine has and can do: `/info`.

use std::{collections::HashMap, fs, path::Path};

use bollard_stubs::models::{
    Commit, IndexInfo, LocalNodeState, PluginsInfo, RegistryServiceConfig, Runtime, SwarmInfo,
    SystemInfo, SystemInfoCgroupDriverEnum, SystemInfoCgroupVersionEnum,
    SystemInfoDefaultAddressPools,
};
use serde::Serialize;

use super::{Limits, version::ENGINE_VERSION};
use crate::{
    engine::Engine,
    host::{self, Names, OperatingSystem},
    layer::Driver,
    network::AUTOMATIC_POOLS,
    time,
};

const DEFAULT_RUNTIME: &str = "mini";

/// `/info`, with what newer versions of the API have no longer but older clients warn about.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Info {
    #[serde(flatten)]
    current: SystemInfo,
    #[serde(rename = "BridgeNfIptables")]
    bridge_nf_iptables: bool,
    #[serde(rename = "BridgeNfIp6tables")]
    bridge_nf_ip6tables: bool,
}

impl Engine {
    /// Returns how the engine is and what it can do. Blocks.
    pub(crate) fn info(&self) -> Info {
        let limits = self.system.limits(&self.config);
        let (names, system) = (Names::now(), OperatingSystem::now());
        let counts = Counts::of(self);
        let forwards = reads_one("/proc/sys/net/ipv4/ip_forward");
        let driver = self.images.snapshots().driver();
        let signed = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let unknown = || {
            Some(Commit {
                id: Some(String::new()),
            })
        };
        let current = SystemInfo {
            id: Some(self.system.id.clone()),
            containers: Some(counts.all),
            containers_running: Some(counts.running),
            containers_paused: Some(counts.paused),
            containers_stopped: Some(counts.all - counts.running - counts.paused),
            images: Some(signed(self.images.list().len())),
            driver: Some(driver.name().to_owned()),
            driver_status: Some(driver_status(driver, &self.config.engine_dir())),
            docker_root_dir: Some(self.config.engine_dir().display().to_string()),
            plugins: Some(plugins()),
            memory_limit: Some(limits.has("memory_limit")),
            swap_limit: Some(limits.has("swap_limit")),
            cpu_cfs_period: Some(limits.has("cpu_quota")),
            cpu_cfs_quota: Some(limits.has("cpu_quota")),
            cpu_shares: Some(limits.has("cpu_shares")),
            cpu_set: Some(limits.has("cpuset")),
            pids_limit: Some(limits.has("pids_limit")),
            oom_kill_disable: Some(limits.has("oom_kill_disable")),
            ipv4_forwarding: Some(forwards),
            debug: Some(false),
            nfd: Some(fs::read_dir("/proc/self/fd").map_or(0, |all| signed(all.count()))),
            // What comes nearest to them here.
            n_goroutines: Some(signed(self.tasks.len())),
            system_time: Some(time::rfc3339(Some(time::now_ns()))),
            logging_driver: Some("json-file".to_owned()),
            cgroup_driver: Some(SystemInfoCgroupDriverEnum::CGROUPFS),
            cgroup_version: Some(if limits.v2 {
                SystemInfoCgroupVersionEnum::_2
            } else {
                SystemInfoCgroupVersionEnum::_1
            }),
            n_events_listener: Some(signed(self.events.listeners())),
            kernel_version: Some(names.kernel),
            operating_system: Some(system.name),
            os_version: Some(system.version),
            os_type: Some("linux".to_owned()),
            architecture: Some(names.machine),
            ncpu: Some(host::usable_cpus().into()),
            mem_total: Some(i64::try_from(host::memory_total_bytes()).unwrap_or(i64::MAX)),
            index_server_address: Some("https://index.docker.io/v1/".to_owned()),
            registry_config: Some(registries()),
            generic_resources: None,
            http_proxy: Some(proxy("HTTP_PROXY")),
            https_proxy: Some(proxy("HTTPS_PROXY")),
            no_proxy: Some(proxy("NO_PROXY")),
            name: Some(names.host),
            labels: Some(Vec::new()),
            experimental_build: Some(false),
            server_version: Some(ENGINE_VERSION.to_owned()),
            runtimes: Some(runtimes(&self.config.mini_path)),
            default_runtime: Some(DEFAULT_RUNTIME.to_owned()),
            swarm: Some(no_swarm()),
            // Containers go on while the engine is stopped, always.
            live_restore_enabled: Some(true),
            isolation: None,
            init_binary: Some("mini".to_owned()),
            containerd_commit: unknown(),
            runc_commit: unknown(),
            init_commit: unknown(),
            security_options: Some(security_options()),
            product_license: None,
            default_address_pools: Some(address_pools()),
            firewall_backend: None,
            discovered_devices: None,
            nri: None,
            warnings: Some(warnings(limits, forwards, driver)),
            cdi_spec_dirs: Some(Vec::new()),
            containerd: None,
        };
        Info {
            current,
            bridge_nf_iptables: reads_one("/proc/sys/net/bridge/bridge-nf-call-iptables"),
            bridge_nf_ip6tables: reads_one("/proc/sys/net/bridge/bridge-nf-call-ip6tables"),
        }
    }
}

struct Counts {
    all: i64,
    running: i64,
    paused: i64,
}

impl Counts {
    fn of(engine: &Engine) -> Self {
        let mut counts = Self {
            all: 0,
            running: 0,
            paused: 0,
        };
        for container in engine.containers.all() {
            counts.all += 1;
            match container.running() {
                Some(running) if running.paused => counts.paused += 1,
                Some(_) => counts.running += 1,
                None => {}
            }
        }
        counts
    }
}

fn reads_one(path: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() == "1")
}

fn driver_status(driver: Driver, dir: &Path) -> Vec<Vec<String>> {
    let pair = |key: &str, value: &str| vec![key.to_owned(), value.to_owned()];
    let backing = pair("Backing Filesystem", file_system(dir));
    match driver {
        // Overlayfs does not mount on a file system without it.
        Driver::Overlay => vec![backing, pair("Supports d_type", "true")],
        Driver::Copy => vec![backing],
    }
}

/// The name of the file system that a directory is on, as Docker calls it.
fn file_system(dir: &Path) -> &'static str {
    match rustix::fs::statfs(dir).map(|status| status.f_type) {
        Ok(0x0102_1994) => "tmpfs",
        Ok(0x2fc1_2fc1) => "zfs",
        Ok(0x5846_5342) => "xfs",
        Ok(0x6573_5546) => "fuse",
        Ok(0x6969) => "nfs",
        Ok(0x794c_7630) => "overlayfs",
        Ok(0x9123_683e) => "btrfs",
        Ok(0xca45_1a4e) => "bcachefs",
        Ok(0xef53) => "extfs",
        Ok(0xf2f5_2010) => "f2fs",
        _ => "<unknown>",
    }
}

fn plugins() -> PluginsInfo {
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    PluginsInfo {
        volume: names(&["local"]),
        network: names(&["bridge", "host", "null"]),
        authorization: None,
        log: names(&["json-file", "local", "none"]),
    }
}

fn registries() -> RegistryServiceConfig {
    let hub = IndexInfo {
        name: Some("docker.io".to_owned()),
        mirrors: Some(Vec::new()),
        secure: Some(true),
        official: Some(true),
    };
    RegistryServiceConfig {
        insecure_registry_cidrs: Some(vec!["::1/128".to_owned(), "127.0.0.0/8".to_owned()]),
        index_configs: Some(HashMap::from([("docker.io".to_owned(), hub)])),
        mirrors: Some(Vec::new()),
    }
}

/// A proxy of the environment, without the password that may be in it.
fn proxy(name: &str) -> String {
    let value = std::env::var(name)
        .or_else(|_unset| std::env::var(name.to_ascii_lowercase()))
        .unwrap_or_default();
    masked(&value)
}

fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://xxxxx:xxxxx@{host}"),
        None => url.to_owned(),
    }
}

fn runtimes(mini: &Path) -> HashMap<String, Runtime> {
    let runtime = Runtime {
        path: Some(mini.display().to_string()),
        runtime_args: None,
        status: None,
    };
    HashMap::from([(DEFAULT_RUNTIME.to_owned(), runtime)])
}

fn no_swarm() -> SwarmInfo {
    SwarmInfo {
        node_id: Some(String::new()),
        node_addr: Some(String::new()),
        local_node_state: Some(LocalNodeState::INACTIVE),
        control_available: Some(false),
        error: Some(String::new()),
        remote_managers: None,
        nodes: None,
        managers: None,
        cluster: None,
    }
}

fn security_options() -> Vec<String> {
    let mut options = Vec::new();
    if Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        options.push("name=seccomp,profile=builtin".to_owned());
    }
    if Path::new("/proc/self/ns/cgroup").exists() {
        options.push("name=cgroupns".to_owned());
    }
    options
}

fn address_pools() -> Vec<SystemInfoDefaultAddressPools> {
    let pool = |(base, size): &(&str, u8)| SystemInfoDefaultAddressPools {
        base: Some((*base).to_owned()),
        size: Some((*size).into()),
    };
    AUTOMATIC_POOLS.iter().map(pool).collect()
}

/// What is missing, in the words of dockerd, and why.
fn warnings(limits: &Limits, forwards: bool, driver: Driver) -> Vec<String> {
    let known = [
        ("memory_limit", "memory limit"),
        ("swap_limit", "swap limit"),
        ("cpu_quota", "cpu cfs quota"),
        ("cpu_shares", "cpu shares"),
        ("cpuset", "cpuset"),
        ("pids_limit", "pids limit"),
        ("block_io_rates", "block I/O rate limit"),
    ];
    let mut warnings: Vec<String> = known
        .iter()
        .filter(|(name, _)| !limits.has(name))
        .map(|(name, what)| format!("WARNING: No {what} support: {}", limits.reason(name)))
        .collect();
    if !forwards {
        // It is switched on with the first network that needs it.
        warnings.push("WARNING: IPv4 forwarding is disabled".to_owned());
    }
    if driver == Driver::Copy {
        warnings.push(
            "WARNING: No overlayfs here: every container gets a full copy of its image".to_owned(),
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use cgroups::{Mode, features::Feature};

    use super::*;

    #[test]
    fn passwords_of_proxies_are_not_told() {
        assert_eq!(
            masked("http://u:p@proxy:3128"),
            "http://xxxxx:xxxxx@proxy:3128"
        );
        assert_eq!(masked("http://u:p@x@proxy"), "http://xxxxx:xxxxx@proxy");
        assert_eq!(masked("http://proxy:3128"), "http://proxy:3128");
        assert_eq!(masked("localhost,.example"), "localhost,.example");
    }

    #[test]
    fn what_is_missing_is_warned_of_with_its_reason() {
        let feature = |name, available: bool| Feature {
            name,
            file: String::new(),
            available,
            reason: if available { "" } else { "it is switched off" }.into(),
        };
        let limits = Limits {
            v2: true,
            features: Some(cgroups::Features {
                mode: Mode::V2,
                all: vec![
                    feature("memory_limit", true),
                    feature("swap_limit", false),
                    feature("cpu_quota", true),
                    feature("cpu_shares", true),
                    feature("cpuset", true),
                    feature("pids_limit", true),
                    feature("block_io_rates", true),
                ],
            }),
        };
        assert_eq!(
            warnings(&limits, true, Driver::Overlay),
            ["WARNING: No swap limit support: it is switched off"]
        );
        assert_eq!(warnings(&limits, false, Driver::Copy).len(), 3);
        let none = Limits {
            v2: false,
            features: None,
        };
        assert_eq!(warnings(&none, true, Driver::Overlay).len(), 7);
    }

    #[test]
    fn file_systems_have_names() {
        assert_ne!(file_system(Path::new("/")), "");
        assert_eq!(file_system(Path::new("/nonexistent")), "<unknown>");
    }
}
