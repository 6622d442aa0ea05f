//! A shim's life: the start and its failures, the end and its record, whatever happens to the engine.

use serde_json::json;
use shim_protocol::{Call, Event, FailureCode, Message, Reply, SHIM_STATE_FILE, ShimState};

use crate::bundle::{Bundle, eventually};
use crate::shim_client::{OUTPUT, Shim, assert_no_trace, eventually_logged, frames, log_lines};

#[test]
fn kernel_a_shim_reports_start_and_end() {
    let Some(bundle) = Bundle::shell("echo out; echo err >&2; exit 3") else {
        return;
    };
    let (shim, _) = Shim::start(&bundle, |_| {});
    let record = shim.finish();
    assert_eq!(
        (record.exit_code, record.signal, record.oom_killed),
        (3, None, false)
    );
    let lines = log_lines(&bundle.log_file());
    assert!(
        lines.contains(&("stdout".into(), 'F', "out".into())),
        "{lines:?}"
    );
    assert!(
        lines.contains(&("stderr".into(), 'F', "err".into())),
        "{lines:?}"
    );
    assert_eq!(bundle.shim_messages(), "");
}

#[test]
fn kernel_a_shim_answers_who_it_is_and_how_its_container_is() {
    let Some(bundle) = Bundle::shell("echo ready; sleep 1000") else {
        return;
    };
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    let hello = Reply::Hello {
        version: shim_protocol::VERSION,
        id: bundle.id.clone(),
        oldest_version: shim_protocol::OLDEST_VERSION,
        newest_version: shim_protocol::VERSION,
    };
    assert_eq!(shim.control.ask(Call::hello()), hello);
    let Reply::State(state) = shim.control.ask(Call::State) else {
        panic!("no state")
    };
    assert_eq!(
        (state.shim_pid, state.exit.is_none(), state.execs.len()),
        (shim.process, true, 0)
    );
    let on_disk: ShimState =
        serde_json::from_slice(&std::fs::read(bundle.path().join(SHIM_STATE_FILE)).unwrap())
            .unwrap();
    assert_eq!(on_disk, state);
    // The command line knows the container too.
    assert_eq!(bundle.pid(), state.pid);
    assert_eq!(bundle.state()["status"], "running");
    assert_eq!(
        bundle.verb("exec", &[], &["echo", "through"]).success(),
        "through\n"
    );
    shim.signal(9);
    let record = shim.finish();
    assert_eq!((record.exit_code, record.signal), (137, Some(9)));
}

#[test]
fn kernel_a_shims_trace_names_every_step() {
    let Some(bundle) = Bundle::shell("true") else {
        return;
    };
    let (mut shim, _) = Shim::launch(&bundle, |config| config.trace = true);
    let Some(Message::Started { trace, .. }) = shim.control.message() else {
        panic!("not started")
    };
    let names: Vec<&str> = trace.iter().map(|step| step.step.as_str()).collect();
    for wanted in ["clone3", "mount", "pivot_root", "seccomp", "execve"] {
        assert!(names.contains(&wanted), "{wanted} is not in {names:?}");
    }
    shim.finish();
}

#[test]
fn kernel_a_start_that_fails_is_told_and_leaves_nothing() {
    type Change = fn(&mut serde_json::Value);
    let cases: [(Change, FailureCode, &str, &str); 5] = [
        (
            |c| c["process"]["args"] = json!(["nope"]),
            FailureCode::ExecutableNotFound,
            "find_program",
            r#"exec: "nope": executable file not found in $PATH"#,
        ),
        (
            |c| c["process"]["args"] = json!(["/etc"]),
            FailureCode::PermissionDenied,
            "find_program",
            r#"exec: "/etc": is a directory"#,
        ),
        (
            |c| c["process"]["args"] = json!([]),
            FailureCode::Invalid,
            "read_bundle",
            "process.args is empty",
        ),
        (
            |c| c["process"]["scheduler"] = json!({"policy": "SCHED_FIFO"}),
            FailureCode::Failed,
            "attributes",
            "SCHED_FIFO",
        ),
        (
            |c| c["mounts"][0]["type"] = json!("nosuchfs"),
            FailureCode::Failed,
            "mount",
            "nosuchfs",
        ),
    ];
    for (change, code, step, words) in cases {
        let Some(mut bundle) = Bundle::shell("echo ran") else {
            return;
        };
        change(&mut bundle.config);
        let (mut shim, _) = Shim::launch(&bundle, |_| {});
        let Some(Message::StartFailed(failure)) = shim.control.message() else {
            panic!("not refused: {words}")
        };
        assert_eq!(
            (failure.code, failure.step.as_str()),
            (code, step),
            "{failure:?}"
        );
        assert!(failure.message.contains(words), "{failure:?}");
        assert!(shim.control.message().is_none(), "the shim says more");
        shim.wait_for_end();
        assert!(
            !bundle.exit_file().exists(),
            "a container that never ran has no exit"
        );
    }
}

#[test]
fn kernel_a_config_of_another_version_is_refused() {
    let Some(bundle) = Bundle::shell("echo ran") else {
        return;
    };
    let (mut shim, _) = Shim::launch(&bundle, |config| {
        config.version = 99;
        config.oldest_version = 99;
    });
    let Some(Message::StartFailed(failure)) = shim.control.message() else {
        panic!("not refused")
    };
    assert_eq!(failure.code, FailureCode::Invalid);
    assert!(failure.message.contains("version 99"), "{failure:?}");
    shim.wait_for_end();
}

#[test]
fn kernel_a_kill_for_lack_of_memory_is_an_event_and_in_the_record() {
    // A child is killed and the container goes on.
    let Some(mut bundle) = Bundle::shell(
        "head -c 67108864 /dev/zero | tail -c 67108864 >/dev/null; echo \"status $?\"; sleep 1000",
    ) else {
        return;
    };
    bundle.config["linux"]["resources"]["memory"] = json!({"limit": 32 << 20, "swap": 32 << 20});
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    let kills = shim.control.event(|event| match event {
        Event::OutOfMemory { kills_total } => Some(*kills_total),
        _ => None,
    });
    assert_eq!(kills, 1);
    eventually_logged(&bundle, "status 137");
    shim.signal(9);
    assert!(shim.finish().oom_killed);
    // The program itself is.
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    bundle.config["process"]["args"] = json!(["tail", "-c", "67108864", "/dev/zero"]);
    bundle.config["linux"]["resources"]["memory"] = json!({"limit": 32 << 20, "swap": 32 << 20});
    let (shim, _) = Shim::start(&bundle, |_| {});
    let record = shim.finish();
    assert_eq!(
        (record.exit_code, record.signal, record.oom_killed),
        (137, Some(9), true)
    );
}

#[test]
fn kernel_signals_reach_the_program_or_everything() {
    let Some(bundle) = Bundle::shell(
        "trap 'echo got usr1' USR1; trap 'echo got rtmin+3' 37; (trap 'echo child; exit' USR2; while :; do sleep 0.05; done) & trap '' USR2; echo ready; while :; do sleep 0.05; done",
    ) else {
        return;
    };
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    eventually_logged(&bundle, "ready");
    shim.signal(10);
    eventually_logged(&bundle, "got usr1");
    // A real-time one, which has a number only.
    shim.signal(37);
    eventually_logged(&bundle, "got rtmin+3");
    // The children have had time to set their traps by now: they were started before "ready".
    shim.control.done(Call::Signal {
        signal: 12,
        all: true,
    });
    eventually_logged(&bundle, "child");
    let failure = shim.control.refused(Call::Signal {
        signal: 99,
        all: false,
    });
    assert_eq!(failure.code, FailureCode::Invalid);
    shim.signal(9);
    shim.finish();
}

#[test]
fn kernel_a_shim_lives_on_without_its_engine() {
    let Some(bundle) = Bundle::shell(
        "trap 'echo asked to end; exit 5' TERM; i=0; while :; do echo line $i; i=$((i+1)); sleep 0.02; done",
    ) else {
        return;
    };
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    // The engine is killed: its end of the control connection is closed by the kernel.
    let control = std::mem::replace(
        &mut shim.control.stream,
        std::os::unix::net::UnixStream::pair().unwrap().0,
    );
    drop(control);
    eventually_logged(&bundle, "line 20");
    // A new one finds it, learns how it is, and hears of its end.
    shim.control = shim.connect();
    let Reply::State(state) = shim.control.ask(Call::State) else {
        panic!("no state")
    };
    assert_eq!(state.pid, bundle.pid());
    shim.control.done(Call::Watch);
    shim.signal(15);
    let record = shim.finish();
    assert_eq!((record.exit_code, record.signal), (5, None));
    let texts: Vec<String> = log_lines(&bundle.log_file())
        .into_iter()
        .map(|(_, _, text)| text)
        .collect();
    let (last, lines) = texts.split_last().unwrap();
    assert_eq!(last, "asked to end");
    for (number, text) in lines.iter().enumerate() {
        assert_eq!(*text, format!("line {number}"));
    }
}

#[test]
fn kernel_an_end_that_nobody_hears_is_in_the_record() {
    let Some(bundle) = Bundle::shell("sleep 0.1; echo last; exit 6") else {
        return;
    };
    let (shim, _) = Shim::start(&bundle, |_| {});
    shim.wait_for_end();
    assert_eq!(bundle.exit_record().exit_code, 6);
    assert_eq!(
        log_lines(&bundle.log_file()),
        [("stdout".into(), 'F', "last".into())]
    );
}

#[test]
fn kernel_the_record_is_there_when_the_event_comes() {
    for _ in 0..10 {
        let Some(bundle) = Bundle::new() else { return };
        let mut bundle = bundle;
        bundle.config["process"]["args"] = json!(["true"]);
        // `finish` reads the record at the moment of the event.
        Shim::start(&bundle, |_| {}).0.finish();
    }
}

#[test]
fn kernel_a_container_can_run_again_in_the_same_bundle() {
    let Some(bundle) = Bundle::shell("echo again; exit 1") else {
        return;
    };
    for round in 1..=3 {
        let (shim, _) = Shim::start(&bundle, |_| {});
        shim.finish();
        assert_eq!(log_lines(&bundle.log_file()).len(), round);
    }
}

#[test]
fn kernel_what_a_killed_shim_leaves_is_removed_by_force_or_by_the_next_start() {
    let Some(bundle) = Bundle::shell("echo ready; trap '' PIPE; sleep 1000") else {
        return;
    };
    for remove in [true, false] {
        let (shim, _) = Shim::start(&bundle, |_| {});
        eventually_logged(&bundle, "ready");
        let pid = rustix::process::Pid::from_raw(shim.process).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
        // The container goes on without it.
        assert_eq!(bundle.state()["status"], "running");
        if remove {
            bundle.verb("delete", &["--force"], &[]).success();
            bundle.assert_nothing_left();
            std::fs::remove_file(bundle.log_file()).unwrap();
        }
    }
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    shim.signal(9);
    shim.finish();
    assert_no_trace(&bundle);
}

#[test]
fn kernel_processes_left_in_the_cgroup_end_with_the_first() {
    // In the host's process namespace the kernel does not end them by itself.
    let Some(mut bundle) = Bundle::shell(
        "(trap '' TERM; exec sleep 12345) & (setsid sleep 12346 &) ; echo ready; exit 0",
    ) else {
        return;
    };
    bundle.config["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .retain(|namespace| namespace["type"] != "pid");
    Shim::start(&bundle, |_| {}).0.finish();
}

#[test]
fn kernel_a_shim_keeps_few_descriptors_and_little_memory() {
    let Some(bundle) = Bundle::shell(
        "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo ready; sleep 1000",
    ) else {
        return;
    };
    let (mut shim, streams) = Shim::start(&bundle, |config| config.attached = vec![OUTPUT]);
    let mut reader = streams.into_iter().next().unwrap();
    let text = crate::shim_client::frames_until(&mut reader, "ready\n");
    assert!(text.contains("line 19999\n"));
    // Control connection, socket, signals, log, two pipes, memory events with the watched file, bundle, process, the attached client.
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", shim.process))
        .unwrap()
        .count();
    assert!(descriptors <= 16, "{descriptors} descriptors are open");
    let kib = |key: &str| -> u64 {
        let rollup =
            std::fs::read_to_string(format!("/proc/{}/smaps_rollup", shim.process)).unwrap();
        rollup
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    let private = || kib("Private_Dirty:") + kib("Private_Clean:");
    eprintln!(
        "shim: private {} KiB, proportional {} KiB, resident {} KiB",
        private(),
        kib("Pss:"),
        kib("Rss:")
    );
    // What is its own is what it has written to: a program that was not built for people has unshared code too.
    assert!(
        kib("Private_Dirty:") < 1024,
        "{} KiB",
        kib("Private_Dirty:")
    );
    shim.signal(9);
    assert_eq!(frames(&mut reader), (String::new(), String::new()));
    shim.finish();
}

#[test]
fn kernel_an_idle_shim_does_not_wake_up() {
    let Some(bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    let switches = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", shim.process)).unwrap();
        crate::bundle::status_field(&status, "voluntary_ctxt_switches")
            .parse()
            .unwrap()
    };
    let asleep = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", shim.process)).unwrap();
        stat.contains(") S ")
    };
    eventually("it sleeps", asleep);
    let before = switches();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(switches(), before);
    shim.signal(9);
    shim.finish();
}
