//! `--systemd-cgroup`: a scope of systemd where it runs, else a refusal that says so.

use std::path::Path;
use std::process::Command;

use cgroups::{Cgroup, Controller, Layout};
use serde_json::json;

use crate::bundle::{Bundle, Outcome, finish};

/// Source: man 3 `sd_booted`.
fn systemd_runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn create(bundle: &Bundle) -> Outcome {
    bundle.write();
    let path = bundle.path().to_str().unwrap();
    let mut command = bundle.mini(&["--systemd-cgroup", "create", "--bundle", path, &bundle.id]);
    command.stdout(std::fs::File::create(bundle.path().join("stdout")).unwrap());
    command.stderr(std::fs::File::create(bundle.path().join("stderr")).unwrap());
    let mut outcome = finish(command.spawn().unwrap());
    outcome.error = std::fs::read_to_string(bundle.path().join("stderr")).unwrap();
    outcome
}

fn property(unit: &str, name: &str) -> String {
    let output = Command::new("systemctl")
        .args(["show", "--value", "-p", name, unit])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn kernel_a_container_is_a_scope_of_systemd_or_is_refused_clearly() {
    let Some(mut bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    bundle.config["linux"]["cgroupsPath"] = format!("system.slice:mini-test:{}", bundle.id).into();
    bundle.config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20, "swap": 64 << 20});
    bundle.config["linux"]["resources"]["pids"] = json!({"limit": 77});
    bundle.config["linux"]["resources"]["cpu"] =
        json!({"shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0"});
    bundle.config["annotations"] = json!({"org.systemd.property.TimeoutStopSec": "7"});
    if !systemd_runs() {
        create(&bundle).assert_error(1, "systemd does not answer on ");
        bundle.assert_nothing_left();
        return;
    }
    create(&bundle).success();
    bundle.verb("start", &[], &[]).success();
    let unit = format!("mini-test-{}.scope", bundle.id);
    assert_eq!(property(&unit, "ActiveState"), "active");
    assert_eq!(property(&unit, "Delegate"), "yes");
    let path = property(&unit, "ControlGroup");
    assert_eq!(path, format!("/system.slice/{unit}"));
    let cgroup = Cgroup::open(&Layout::detect().unwrap(), &path).unwrap();
    let pid = u32::try_from(bundle.pid()).unwrap();
    assert!(cgroup.processes().unwrap().contains(&pid));
    let memory = cgroup.directory_of(Controller::Memory).unwrap();
    let (limit_name, limit_file) = if memory.v2 {
        ("MemoryMax", "memory.max")
    } else {
        ("MemoryLimit", "memory.limit_in_bytes")
    };
    let limit = || {
        std::fs::read_to_string(memory.path.join(limit_file))
            .unwrap()
            .trim()
            .to_owned()
    };
    assert_eq!(property(&unit, limit_name), (64 << 20).to_string());
    assert_eq!(limit(), (64 << 20).to_string());
    assert_eq!(property(&unit, "TimeoutStopUSec"), "7s");
    assert_eq!(property(&unit, "TasksMax"), "77");
    assert_eq!(property(&unit, "CPUQuotaPerSecUSec"), "500ms");
    assert_eq!(property(&unit, "AllowedCPUs"), "0");
    bundle
        .verb(
            "update",
            &[
                "--memory",
                "128m",
                "--memory-swap",
                "128m",
                "--pids-limit",
                "55",
            ],
            &[],
        )
        .success();
    assert_eq!(property(&unit, limit_name), (128 << 20).to_string());
    assert_eq!(limit(), (128 << 20).to_string());
    assert_eq!(property(&unit, "TasksMax"), "55");
    // A period alone, and one whose quota is no whole percent.
    bundle
        .verb("update", &["--cpu-period", "90000"], &[])
        .success();
    assert_eq!(property(&unit, "CPUQuotaPeriodUSec"), "90ms");
    assert_eq!(property(&unit, "CPUQuotaPerSecUSec"), "560ms");
    let cpu = cgroup.directory_of(Controller::Cpu).unwrap();
    let quota = || {
        let (quota, period) = ("cpu.cfs_quota_us", "cpu.cfs_period_us");
        let read = |name: &str| {
            std::fs::read_to_string(cpu.path.join(name))
                .unwrap()
                .trim()
                .to_owned()
        };
        if cpu.v2 {
            read("cpu.max")
        } else {
            format!("{} {}", read(quota), read(period))
        }
    };
    assert_eq!(quota(), "50400 90000");
    // systemd writes a unit's files anew when it reads its configuration again: they are the same still, and the devices too.
    let reloaded = Command::new("systemctl").arg("daemon-reload").status();
    assert!(reloaded.unwrap().success());
    assert_eq!(limit(), (128 << 20).to_string());
    assert_eq!(quota(), "50400 90000");
    let probe = bundle.verb(
        "exec",
        &[],
        &[
            "sh",
            "-c",
            "mknod /dev/probe b 7 99; head -c 1 /dev/probe; echo x >/dev/null && echo null",
        ],
    );
    assert!(probe.error.contains("not permitted"), "{probe:?}");
    assert_eq!(probe.output, "null\n", "{probe:?}");
    // Another of the same name, while this one runs.
    let mut second = Bundle::shell("true").unwrap();
    second.config["linux"]["cgroupsPath"] = bundle.config["linux"]["cgroupsPath"].clone();
    create(&second).assert_error(1, "container's cgroup is not empty");
    bundle.delete();
    assert_ne!(property(&unit, "ActiveState"), "active");
    assert!(!memory.path.exists(), "{} is left", memory.path.display());
    // The name is free again.
    create(&second).success();
    second.delete();
}

#[test]
fn kernel_a_cgroups_path_of_another_form_is_refused() {
    let Some(mut bundle) = Bundle::shell("true") else {
        return;
    };
    bundle.config["linux"]["cgroupsPath"] = "/system.slice/x".into();
    create(&bundle).assert_error(1, "slice:prefix:name");
    bundle.config["linux"]["cgroupsPath"] = "".into();
    bundle.config["annotations"] = json!({"org.systemd.property.Delegate": "nonsense"});
    create(&bundle).assert_error(1, "org.systemd.property.Delegate");
    bundle.assert_nothing_left();
}
