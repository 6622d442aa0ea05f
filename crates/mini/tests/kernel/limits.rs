//! Limits: written where the kernel looks for them, and biting.

use std::time::{Duration, Instant};

use cgroups::{Cgroup, Controller, Layout};
use serde_json::json;

use crate::bundle::{Bundle, eventually};

/// The content of a limit's file, by its name on v1 and on v2.
pub(crate) fn limit(bundle: &Bundle, controller: Controller, v1: &str, v2: &str) -> String {
    let cgroup = Cgroup::open(&Layout::detect().unwrap(), &format!("/{}", bundle.id)).unwrap();
    let directory = cgroup.directory_of(controller).unwrap();
    let file = directory.path.join(if directory.v2 { v2 } else { v1 });
    let content = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    content.trim().to_owned()
}

fn is_v2(controller: Controller) -> bool {
    Layout::detect().unwrap().of(controller).unwrap().v2
}

/// Runs a container that waits, looks, and ends it.
fn with_resources(resources: serde_json::Value, look: impl FnOnce(&Bundle)) {
    let Some(mut bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    for (key, value) in resources.as_object().unwrap() {
        bundle.config["linux"]["resources"][key] = value.clone();
    }
    bundle.start_detached();
    look(&bundle);
    bundle.delete();
}

#[test]
fn kernel_memory_and_swap_limits_are_written() {
    let resources =
        json!({"memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20}});
    with_resources(resources, |bundle| {
        let memory = |v1, v2| limit(bundle, Controller::Memory, v1, v2);
        assert_eq!(
            memory("memory.limit_in_bytes", "memory.max"),
            (64 << 20).to_string()
        );
        assert_eq!(
            memory("memory.soft_limit_in_bytes", "memory.low"),
            (32 << 20).to_string()
        );
        let swap = if is_v2(Controller::Memory) {
            32 << 20
        } else {
            96 << 20
        };
        assert_eq!(
            memory("memory.memsw.limit_in_bytes", "memory.swap.max"),
            swap.to_string()
        );
    });
}

#[test]
fn kernel_cpu_limits_are_written() {
    let resources = json!({"cpu": {"quota": 50_000, "period": 100_000, "shares": 512, "cpus": "0", "mems": "0"}, "pids": {"limit": 77}});
    with_resources(resources, |bundle| {
        if is_v2(Controller::Cpu) {
            assert_eq!(
                limit(bundle, Controller::Cpu, "", "cpu.max"),
                "50000 100000"
            );
            assert_eq!(
                limit(bundle, Controller::Cpu, "", "cpu.weight"),
                cgroups::resources::shares_to_weight(512).to_string()
            );
        } else {
            assert_eq!(
                limit(bundle, Controller::Cpu, "cpu.cfs_quota_us", ""),
                "50000"
            );
            assert_eq!(
                limit(bundle, Controller::Cpu, "cpu.cfs_period_us", ""),
                "100000"
            );
            assert_eq!(limit(bundle, Controller::Cpu, "cpu.shares", ""), "512");
        }
        assert_eq!(
            limit(bundle, Controller::Cpuset, "cpuset.cpus", "cpuset.cpus"),
            "0"
        );
        assert_eq!(
            limit(bundle, Controller::Cpuset, "cpuset.mems", "cpuset.mems"),
            "0"
        );
        assert_eq!(
            limit(bundle, Controller::Pids, "pids.max", "pids.max"),
            "77"
        );
    });
}

/// Number of a whole disk, which is what rates are set on.
fn disk() -> Option<String> {
    std::fs::read_dir("/sys/block")
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            !path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("loop"))
        })
        .find_map(|path| {
            Some(
                std::fs::read_to_string(path.join("dev"))
                    .ok()?
                    .trim()
                    .to_owned(),
            )
        })
}

#[test]
fn kernel_block_io_rates_are_written() {
    let Some(number) = disk() else {
        eprintln!("SKIPPED: no disk");
        return;
    };
    let (major, minor) = number.split_once(':').unwrap();
    let device = |rate: u64| json!([{"major": major.parse::<u32>().unwrap(), "minor": minor.parse::<u32>().unwrap(), "rate": rate}]);
    let resources = json!({"blockIO": {"throttleReadBpsDevice": device(1 << 20), "throttleWriteIOPSDevice": device(100)}});
    with_resources(resources, |bundle| {
        let io = |v1| limit(bundle, Controller::Io, v1, "io.max");
        if is_v2(Controller::Io) {
            let line = io("");
            assert!(
                line.contains(&format!("{number} rbps=1048576")) && line.contains("wiops=100"),
                "{line}"
            );
        } else {
            assert_eq!(
                io("blkio.throttle.read_bps_device"),
                format!("{number} 1048576")
            );
            assert_eq!(
                io("blkio.throttle.write_iops_device"),
                format!("{number} 100")
            );
        }
    });
}

#[test]
fn kernel_the_program_is_in_its_cgroup_in_every_hierarchy() {
    let Some(bundle) = Bundle::shell("cat /proc/self/cgroup; sleep 1000") else {
        return;
    };
    bundle.start_detached();
    let membership = std::fs::read_to_string(format!("/proc/{}/cgroup", bundle.pid())).unwrap();
    let wanted = format!("/{}", bundle.id);
    for line in membership.lines() {
        let path = line.splitn(3, ':').nth(2).unwrap();
        // The kernel may have hierarchies that are mounted nowhere.
        let mounted = Layout::detect()
            .unwrap()
            .hierarchies()
            .iter()
            .any(|hierarchy| {
                cgroups::parse::memberships(line)
                    .iter()
                    .any(|membership| hierarchy.is_of(membership))
            });
        assert!(path == wanted || !mounted, "{line}");
    }
    assert!(membership.contains(&wanted), "{membership}");
    // Its own namespace shows it its cgroup as the root.
    eventually("it runs", || !bundle.detached_output().is_empty());
    let inside = bundle.detached_output();
    assert!(inside.lines().all(|line| line.ends_with(":/")), "{inside}");
    // And what `exec` adds goes there too.
    let outcome = bundle.verb("exec", &[], &["cat", "/proc/self/cgroup"]);
    assert!(outcome.success().lines().all(|line| line.ends_with(":/")));
    bundle.delete();
}

#[test]
fn kernel_a_container_cannot_raise_its_own_limits() {
    let Some(mut bundle) = Bundle::shell(
        "for f in $(find /sys/fs/cgroup -name memory.max -o -name memory.limit_in_bytes -o -name cgroup.procs -o -name release_agent); do \
         echo -1 >$f && echo \"$f was written\"; done 2>/dev/null; echo looked; find /sys/fs/cgroup -name 'memory.*' | grep -q . && echo seen",
    ) else {
        return;
    };
    bundle.config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    assert_eq!(bundle.run().output, "looked\nseen\n");
}

#[test]
fn kernel_sixty_four_mebibytes_at_thirty_two_are_killed_and_told() {
    let Some(mut bundle) = Bundle::shell(
        "head -c 67108864 /dev/zero | tail -c 67108864 >/dev/null; echo \"status $?\"; sleep 1000",
    ) else {
        return;
    };
    bundle.config["linux"]["resources"]["memory"] = json!({"limit": 32 << 20, "swap": 32 << 20});
    bundle.start_detached();
    eventually("it was killed", || {
        bundle.detached_output() == "status 137\n"
    });
    let cgroup = Cgroup::open(&Layout::detect().unwrap(), &format!("/{}", bundle.id)).unwrap();
    assert_eq!(cgroup.oom_kills_total().unwrap(), 1);
    bundle.delete();
    // The same with enough is not killed.
    let Some(mut bundle) = Bundle::shell(
        "head -c 67108864 /dev/zero | tail -c 67108864 >/dev/null; echo \"status $?\"",
    ) else {
        return;
    };
    bundle.config["linux"]["resources"]["memory"] = json!({"limit": 256 << 20, "swap": 256 << 20});
    assert_eq!(bundle.run().output, "status 0\n");
}

#[test]
fn kernel_a_pids_limit_stops_a_fork_bomb() {
    let Some(mut bundle) =
        Bundle::shell("bomb() { bomb | bomb & }; bomb; wait; echo over; sleep 1000")
    else {
        return;
    };
    bundle.config["linux"]["resources"]["pids"] = json!({"limit": 32});
    bundle.start_detached();
    let pids = |v| limit(&bundle, Controller::Pids, v, v);
    eventually("the limit was hit", || {
        pids("pids.events")
            .split_whitespace()
            .nth(1)
            .is_some_and(|hits| hits.parse::<u32>().unwrap() > 0)
    });
    let current: u32 = pids("pids.current").parse().unwrap();
    assert!(current <= 32, "{current}");
    bundle.delete();
}

#[test]
fn kernel_half_a_cpu_is_half_a_cpu() {
    let measured = Duration::from_secs(5);
    let mut shares = Vec::new();
    for _ in 0..4 {
        let Some(mut bundle) = Bundle::shell("echo ready; while :; do :; done") else {
            return;
        };
        // Before all others where it may run, so that the quota alone holds it back.
        bundle.config["linux"]["resources"]["cpu"] =
            json!({"quota": 50_000, "period": 100_000, "shares": 262_144});
        bundle.start_detached();
        eventually("it runs", || bundle.detached_output() == "ready\n");
        let cgroup = Cgroup::open(&Layout::detect().unwrap(), &format!("/{}", bundle.id)).unwrap();
        let mut reader = cgroups::StatsReader::open(&cgroup, cgroups::stats::Detail::Live);
        let mut usage = || reader.read().unwrap().cpu.usage_ns_total.unwrap();
        let (before, started) = (usage(), Instant::now());
        std::thread::sleep(measured);
        let used = usage() - before;
        let share =
            Duration::from_nanos(used).as_secs_f64() / started.elapsed().as_secs_f64() * 100.0;
        bundle.delete();
        assert!(share <= 55.0, "{share} % of a CPU at a limit of 50 %");
        if share >= 45.0 {
            return;
        }
        // Too little is the fault of the machine's other work: tried again.
        shares.push(share);
    }
    panic!("less than 45 % of a CPU at a limit of 50 %: {shares:?}");
}

#[test]
fn kernel_only_the_listed_devices_can_be_used() {
    let Some(bundle) = Bundle::shell(
        "mknod /dev/mem c 1 1; head -c 1 /dev/mem >/dev/null; echo $?; mknod /dev/other-zero c 1 5; head -c 1 /dev/other-zero | wc -c",
    ) else {
        return;
    };
    let outcome = bundle.run();
    assert!(
        outcome.error.contains("/dev/mem: Operation not permitted"),
        "{outcome:?}"
    );
    assert_eq!(outcome.output, "1\n1\n", "{outcome:?}");
}
