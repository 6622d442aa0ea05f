//! Time namespaces.

use serde_json::json;

use crate::bundle::Bundle;
use crate::user_namespace::remapped;

const DAYS: u64 = 10 * 24 * 3600;

fn offset(bundle: &mut Bundle) {
    bundle.push("/linux/namespaces", json!({"type": "time"}));
    bundle.config["linux"]["timeOffsets"] = json!({
        "monotonic": {"secs": DAYS, "nanosecs": 5}, "boottime": {"secs": 2 * DAYS},
    });
}

fn uptime(text: &str) -> u64 {
    text.split(['.', ' ']).next().unwrap().parse().unwrap()
}

const SCRIPT: &str = "cat /proc/uptime; readlink /proc/self/ns/time; cat /proc/self/timens_offsets";

fn assert_offset(output: &str) {
    let lines: Vec<&str> = output.lines().collect();
    let ours = uptime(&std::fs::read_to_string("/proc/uptime").unwrap());
    let theirs = uptime(lines[0]);
    assert!(
        theirs > ours + 2 * DAYS - 600 && theirs < ours + 2 * DAYS + 600,
        "{output}: {ours}"
    );
    let own = std::fs::read_link("/proc/self/ns/time").unwrap();
    assert_ne!(lines[1], own.to_str().unwrap());
    let words: Vec<&str> = output.split_whitespace().collect();
    assert!(words.ends_with(&["boottime", "1728000", "0"]), "{output}");
}

#[test]
fn kernel_clocks_have_the_offsets_of_the_spec_and_exec_sees_them() {
    let Some(mut bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    offset(&mut bundle);
    bundle.start_detached();
    let words = ["/bin/sh", "-c", SCRIPT];
    assert_offset(&bundle.verb("exec", &[], &words).success());
    // Ours are as they were.
    bundle.set_script(SCRIPT);
    let pid = bundle.pid();
    let Some(mut second) = Bundle::shell(SCRIPT) else {
        return;
    };
    let path = format!("/proc/{pid}/ns/time");
    second.push("/linux/namespaces", json!({"type": "time", "path": path}));
    assert_offset(&second.run().success());
    second.config["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 1}});
    second
        .run()
        .assert_error(1, "both namespace path and time offsets specified");
    bundle.delete();
}

#[test]
fn kernel_clocks_have_offsets_in_a_user_namespace_too() {
    let Some(mut bundle) = remapped(SCRIPT) else {
        return;
    };
    offset(&mut bundle);
    assert_offset(&bundle.run().success());
}

#[test]
fn kernel_a_time_namespace_without_offsets_is_a_new_one() {
    let Some(mut bundle) = Bundle::shell("readlink /proc/self/ns/time") else {
        return;
    };
    bundle.push("/linux/namespaces", json!({"type": "time"}));
    let output = bundle.run().success();
    let own = std::fs::read_link("/proc/self/ns/time").unwrap();
    assert_ne!(output.trim(), own.to_str().unwrap());
}

#[test]
fn kernel_a_clock_below_zero_is_refused() {
    let Some(mut bundle) = Bundle::shell("true") else {
        return;
    };
    bundle.push("/linux/namespaces", json!({"type": "time"}));
    bundle.config["linux"]["timeOffsets"] = json!({"boottime": {"secs": -1_000_000_000_000i64}});
    bundle.run().assert_error(1, "timens_offsets");
}
