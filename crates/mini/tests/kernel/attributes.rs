//! What a process keeps over `execve` besides its user: processors, scheduling, I/O priority, domain, memory policy.

use serde_json::json;

use crate::bundle::{Bundle, finish};

/// The process's nice value and scheduling policy, by their fields in /proc/self/stat.
const SCHEDULING: &str = "awk '{print $19, $41}' /proc/self/stat";

#[test]
fn kernel_scheduling_and_io_priority_are_as_asked_for() {
    let Some(mut bundle) = Bundle::shell(&format!("{SCHEDULING}; ionice")) else {
        return;
    };
    bundle.config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 7});
    bundle.config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
    let output = bundle.run().success();
    assert_eq!(output, "7 3\nbest-effort: prio 6\n");
}

#[test]
fn kernel_every_scheduling_policy_is_set_or_refused_by_name() {
    for (scheduler, fields) in [
        (json!({"policy": "SCHED_OTHER", "nice": -3}), "-3 0\n"),
        (json!({"policy": "SCHED_IDLE"}), " 5\n"),
        (json!({"policy": "SCHED_FIFO", "priority": 10}), " 1\n"),
        (
            json!({"policy": "SCHED_RR", "priority": 10, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}),
            " 2\n",
        ),
        (
            json!({"policy": "SCHED_DEADLINE", "runtime": 420_000, "deadline": 1_000_000, "period": 1_000_000}),
            " 6\n",
        ),
    ] {
        let Some(mut bundle) = Bundle::new() else {
            return;
        };
        // One process: a deadline is not handed on.
        bundle.config["process"]["args"] =
            json!(["/bin/awk", "{print $19, $41}", "/proc/self/stat"]);
        bundle.config["process"]["scheduler"] = scheduler.clone();
        let outcome = bundle.run();
        // A machine may have no time for real-time groups, or nothing left for deadlines.
        let refused = outcome.status == 1 && outcome.error.contains("set the scheduler SCHED_");
        assert!(
            outcome.output.ends_with(fields) || refused,
            "{scheduler}: {outcome:?}"
        );
    }
}

#[test]
fn kernel_a_personality_and_a_memory_policy_are_the_containers() {
    let Some(mut bundle) =
        Bundle::shell("uname -m; head -n 1 /proc/self/numa_maps | cut -d ' ' -f 2; sleep 1000")
    else {
        return;
    };
    bundle.config["linux"]["personality"] = json!({"domain": "LINUX32", "flags": []});
    bundle.config["linux"]["memoryPolicy"] =
        json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
    // The filter forbids the calls to the program, not to us.
    bundle.push(
        "/linux/seccomp/syscalls",
        json!({"names": ["personality", "set_mempolicy"], "action": "SCMP_ACT_ERRNO"}),
    );
    bundle.start_detached();
    let machine = if cfg!(target_arch = "x86_64") {
        "i686"
    } else {
        "armv8l"
    };
    crate::bundle::eventually("it has looked", || {
        bundle.detached_output() == format!("{machine}\nbind=static:0\n")
    });
    // And that of each who joins.
    let joined = bundle.verb(
        "exec",
        &[],
        &[
            "sh",
            "-c",
            "uname -m; head -n 1 /proc/self/numa_maps | cut -d ' ' -f 2",
        ],
    );
    assert_eq!(joined.success(), format!("{machine}\nbind=static:0\n"));
    bundle.delete();
}

#[test]
fn kernel_a_memory_policy_on_a_node_that_is_not_there_is_refused() {
    let Some(mut bundle) = Bundle::shell("echo ran") else {
        return;
    };
    bundle.config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "63"});
    bundle.run().assert_error(
        1,
        "set the memory policy MPOL_BIND of nodes \"63\": invalid argument",
    );
}

#[test]
fn kernel_processors_are_all_unless_a_joining_process_asks() {
    let Some(mut bundle) = Bundle::shell("grep Cpus_allowed_list: /proc/self/status; sleep 1000")
    else {
        return;
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let all = crate::bundle::status_field(&status, "Cpus_allowed_list").to_owned();
    let last = all.rsplit([',', '-']).next().unwrap().to_owned();
    bundle.config["process"]["execCPUAffinity"] = json!({"initial": "0", "final": last});
    bundle.write();
    // Our own caller is bound to one: the container is not.
    let path = bundle.path().to_str().unwrap().to_owned();
    let mut create = std::process::Command::new("taskset");
    let plain = bundle.mini(&["create", "--bundle", &path, &bundle.id]);
    create
        .args(["-c", "0"])
        .arg(plain.get_program())
        .args(plain.get_args());
    create.stdin(std::process::Stdio::null());
    create.stdout(std::fs::File::create(bundle.path().join("stdout")).unwrap());
    assert_eq!(finish(create.spawn().unwrap()).status, 0);
    bundle.verb("start", &[], &[]).success();
    crate::bundle::eventually("it has looked", || {
        bundle.detached_output() == format!("Cpus_allowed_list:\t{all}\n")
    });
    let words = ["grep", "Cpus_allowed_list:", "/proc/self/status"];
    let joined = bundle.verb("exec", &[], &words).success();
    assert_eq!(joined, format!("Cpus_allowed_list:\t{last}\n"));
    // Of its own, in a process file.
    let file = bundle.path().join("process.json");
    let process = json!({"args": words, "cwd": "/", "env": ["PATH=/bin"], "execCPUAffinity": {"initial": "0", "final": "0"}});
    std::fs::write(&file, process.to_string()).unwrap();
    let joined = bundle
        .verb("exec", &["--process", file.to_str().unwrap()], &[])
        .success();
    assert_eq!(joined, "Cpus_allowed_list:\t0\n");
    let wrong = json!({"args": words, "cwd": "/", "execCPUAffinity": {"final": "900"}});
    std::fs::write(&file, wrong.to_string()).unwrap();
    bundle
        .verb("exec", &["--process", file.to_str().unwrap()], &[])
        .assert_error(
            255,
            "set process.execCPUAffinity.final to [900]: invalid argument",
        );
    bundle.delete();
}

#[test]
fn kernel_a_share_of_the_cache_is_given_or_refused_with_the_reason() {
    let Some(mut bundle) = Bundle::shell("echo ran") else {
        return;
    };
    bundle.config["linux"]["intelRdt"] = json!({"enableMonitoring": true});
    let outcome = bundle.run();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    if mounts.contains(" - resctrl ") {
        assert_eq!(outcome.success(), "ran\n");
    } else {
        outcome.assert_error(1, "Intel RDT is not enabled");
        outcome.assert_error(1, "no resctrl is mounted");
    }
}
