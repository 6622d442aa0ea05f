//! `events`: figures of a container and the end of its memory, in runc's shapes.

use serde_json::{Value, json};

use crate::bundle::{Bundle, eventually, finish};

#[test]
fn kernel_figures_are_those_of_the_container() {
    let Some(mut bundle) =
        Bundle::shell("x=$(head -c 4000000 /dev/zero | tr '\\0' a); echo ready; sleep 1000")
    else {
        return;
    };
    bundle.config["linux"]["resources"]["pids"] = json!({"limit": 77});
    bundle.config["linux"]["resources"]["memory"] = json!({"limit": 256 << 20});
    bundle.start_detached();
    eventually("it runs", || bundle.detached_output() == "ready\n");
    let outcome = bundle.verb("events", &["--stats"], &[]);
    let line = outcome.success();
    assert!(
        line.starts_with(&format!(r#"{{"type":"stats","id":"{}","data":"#, bundle.id)),
        "{line}"
    );
    assert_eq!(line.lines().count(), 1);
    let event: Value = serde_json::from_str(&line).unwrap();
    let data = &event["data"];
    let number = |pointer: &str| {
        data.pointer(pointer)
            .and_then(Value::as_u64)
            .unwrap_or_default()
    };
    assert!(number("/cpu/usage/total") > 0, "{line}");
    assert!(number("/memory/usage/max") > 1 << 20, "{line}");
    assert_eq!(number("/memory/usage/limit"), 256 << 20);
    assert!(data["memory"]["raw"].as_object().unwrap().len() > 10);
    assert_eq!(number("/pids/limit"), 77);
    assert!(number("/pids/current") >= 1, "{line}");
    assert!(data["hugetlb"].is_object());
    assert_eq!(data["intel_rdt"], json!({}));
    bundle.delete();
}

#[test]
fn kernel_running_out_of_memory_is_told_and_the_end_ends_it() {
    let Some(mut bundle) =
        Bundle::shell("read go </go; head -c 67108864 /dev/zero | tail -c 67108864 >/dev/null")
    else {
        return;
    };
    let fifo = bundle.rootfs().join("go");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    bundle.config["linux"]["resources"]["memory"] = json!({"limit": 32 << 20, "swap": 32 << 20});
    bundle.start_detached();
    let output = bundle.path().join("events");
    let mut command = bundle.mini(&["events", "--interval", "50ms", &bundle.id]);
    command.stdout(std::fs::File::create(&output).unwrap());
    let events = command.spawn().unwrap();
    let told = || std::fs::read_to_string(&output).unwrap();
    eventually("figures are told", || {
        told().matches("\"stats\"").count() >= 2
    });
    // By another process: this one opening a fifo would hold all tests up if nobody read it.
    let written = std::process::Command::new("sh")
        .args(["-c", "echo go >\"$0\""])
        .arg(&fifo)
        .status();
    assert!(written.unwrap().success());
    assert_eq!(finish(events).status, 0);
    let oom = format!(r#"{{"type":"oom","id":"{}"}}"#, bundle.id);
    assert!(told().lines().any(|line| line == oom), "{}", told());
    bundle
        .verb("events", &["--stats"], &[])
        .assert_error(1, "is not running");
    bundle.delete();
}

#[test]
fn kernel_an_interval_that_is_none_is_refused() {
    let Some(bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    bundle.start_detached();
    for (interval, words) in [("0s", "must be greater than 0"), ("5", "is not a duration")] {
        bundle
            .verb("events", &["--interval", interval], &[])
            .assert_error(1, words);
    }
    bundle.delete();
}
