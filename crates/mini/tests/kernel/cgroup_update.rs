//! `update`: other limits for a container that runs, all or none.

use std::io::Write as _;
use std::process::Stdio;

use cgroups::{Cgroup, Controller, Layout};
use serde_json::{Value, json};

use crate::bundle::{Bundle, Outcome, finish};
use crate::limits::limit;

fn update_by_json(bundle: &Bundle, resources: &Value) -> Outcome {
    let mut command = bundle.mini(&["update", "--resources", "-", &bundle.id]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    write!(child.stdin.take().unwrap(), "{resources}").unwrap();
    finish(child)
}

#[test]
fn kernel_limits_are_changed_by_flags_and_by_json() {
    let Some(mut bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    bundle.config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20, "swap": 96 << 20});
    bundle.config["linux"]["resources"]["cpu"] = json!({"quota": 50_000, "period": 100_000});
    bundle.start_detached();
    let memory = || {
        limit(
            &bundle,
            Controller::Memory,
            "memory.limit_in_bytes",
            "memory.max",
        )
    };
    let swap = || {
        limit(
            &bundle,
            Controller::Memory,
            "memory.memsw.limit_in_bytes",
            "memory.swap.max",
        )
    };
    let v2 = Cgroup::open(&Layout::detect().unwrap(), &format!("/{}", bundle.id))
        .unwrap()
        .directory_of(Controller::Memory)
        .unwrap()
        .v2;
    let both =
        |bytes: u64, of_it_memory: u64| if v2 { bytes - of_it_memory } else { bytes }.to_string();
    bundle.verb("update", &["--memory", "80M"], &[]).success();
    assert_eq!(memory(), (80 << 20).to_string());
    // Both together stay what they were.
    assert_eq!(swap(), both(96 << 20, 80 << 20));
    // Above what both together were.
    bundle
        .verb(
            "update",
            &["--memory", "128m", "--memory-swap", "192m"],
            &[],
        )
        .success();
    assert_eq!(memory(), (128 << 20).to_string());
    assert_eq!(swap(), both(192 << 20, 128 << 20));
    bundle
        .verb("update", &["--memory", "32m", "--memory-swap", "48m"], &[])
        .success();
    assert_eq!(swap(), both(48 << 20, 32 << 20));
    let pids = || limit(&bundle, Controller::Pids, "pids.max", "pids.max");
    for (flag, wanted) in [("30", "30"), ("-1", "max"), ("0", "1"), ("50", "50")] {
        bundle
            .verb("update", &["--pids-limit", flag], &[])
            .success();
        assert_eq!(pids(), wanted);
    }
    let resources = json!({"CPU": {"Cpus": "0"}, "cpu": {"period": 20_000, "quota": 5_000}, "memory": {"limit": -1}});
    update_by_json(&bundle, &resources).success();
    if v2 {
        assert_eq!(limit(&bundle, Controller::Cpu, "", "cpu.max"), "5000 20000");
        assert_eq!(memory(), "max");
        assert_eq!(swap(), "max");
    } else {
        assert_eq!(
            limit(&bundle, Controller::Cpu, "cpu.cfs_quota_us", ""),
            "5000"
        );
        assert_eq!(
            limit(&bundle, Controller::Cpu, "cpu.cfs_period_us", ""),
            "20000"
        );
        assert!(memory().parse::<u64>().unwrap() > 1 << 60);
        assert!(swap().parse::<u64>().unwrap() > 1 << 60);
    }
    bundle.verb("update", &["--cpu-idle", "1"], &[]).success();
    assert_eq!(limit(&bundle, Controller::Cpu, "cpu.idle", "cpu.idle"), "1");
    bundle.delete();
}

#[test]
fn kernel_an_update_that_is_refused_changes_nothing_and_says_so() {
    let Some(mut bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    bundle.config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    bundle.config["linux"]["resources"]["cpu"] = json!({"shares": 512});
    bundle.start_detached();
    let memory = || {
        limit(
            &bundle,
            Controller::Memory,
            "memory.limit_in_bytes",
            "memory.max",
        )
    };
    let shares = || limit(&bundle, Controller::Cpu, "cpu.shares", "cpu.weight");
    let before = (memory(), shares());
    let outcome = bundle.verb(
        "update",
        &[
            "--cpu-share",
            "2048",
            "--memory",
            "128m",
            "--cpuset-cpus",
            "4000",
        ],
        &[],
    );
    outcome.assert_error(1, "cpuset.cpus");
    outcome.assert_error(1, "nothing was changed");
    assert_eq!((memory(), shares()), before);
    for (flags, words) in [
        (["--memory", "x"], "invalid value for memory"),
        (["--cpu-period", "-5"], "invalid value for cpu-period"),
        (["--l3-cache-schema", "L3:0=f"], "Intel RDT"),
        (["--cpu-idle", "7"], "cpu.idle"),
    ] {
        bundle.verb("update", &flags, &[]).assert_error(1, words);
    }
    let resources = json!({"memory": {"limit": 1024, "swap": 2048, "checkBeforeUpdate": true}});
    let outcome = update_by_json(&bundle, &resources);
    // v1's kernel does not take it, v2's would kill.
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert_eq!((memory(), shares()), before);
    assert_eq!(bundle.state()["status"], "running");
    bundle.verb("kill", &[], &["KILL"]).success();
    crate::bundle::eventually("it has ended", || bundle.state()["status"] == "stopped");
    bundle
        .verb("update", &["--memory", "128m"], &[])
        .assert_error(1, "not running");
    bundle.delete();
}

#[test]
fn kernel_device_rules_are_updated_and_what_is_not_about_them_leaves_them() {
    let Some(bundle) = Bundle::shell("mknod /dev/probe b 7 99; while :; do sleep 1000; done")
    else {
        return;
    };
    bundle.start_detached();
    let probe = || {
        bundle
            .verb("exec", &[], &["head", "-c", "1", "/dev/probe"])
            .error
    };
    crate::bundle::eventually("the node is made", || probe().contains("not permitted"));
    // A disk that is not there is found not to be, once it may be opened.
    let allow = json!({"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "b", "major": 7, "minor": 99, "access": "r"}]});
    update_by_json(&bundle, &allow).success();
    let error = probe();
    assert!(!error.contains("not permitted"), "{error}");
    assert!(
        !bundle
            .verb(
                "exec",
                &[],
                &["sh", "-c", "echo x >/dev/null && echo x >/dev/probe"]
            )
            .error
            .contains("/dev/null")
    );
    bundle
        .verb("update", &["--pids-limit", "60"], &[])
        .success();
    assert!(!probe().contains("not permitted"));
    // What the bundle asked for is no change, so it takes nothing away that was allowed since.
    let same = json!({"devices": bundle.config["linux"]["resources"]["devices"]});
    update_by_json(&bundle, &same).success();
    assert!(!probe().contains("not permitted"));
    let none = json!({"devices": [{"allow": false, "type": "a", "access": "rwm"}]});
    update_by_json(&bundle, &none).success();
    if bundle.config["linux"]["resources"]["devices"] != none["devices"] {
        assert!(probe().contains("not permitted"));
    }
    bundle.delete();
}
