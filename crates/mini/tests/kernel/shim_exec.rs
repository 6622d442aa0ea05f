//! Further processes in a container of a shim.

use std::io::{Read, Write};

use serde_json::json;
use shim_protocol::{AttachStreams, Call, ConsoleSize, Event, FailureCode, Reply};

use crate::bundle::{Bundle, DEADLINE};
use crate::shim_client::{ALL, Control, Shim, end_input, eventually_logged, frames, frames_until};

fn running() -> Option<Bundle> {
    Bundle::shell("echo ready; sleep 1000")
}

fn exec_exited(control: &mut Control, id: &str) -> i32 {
    control.event(|event| match event {
        Event::ExecExited { exec_id, exit_code } if exec_id == id => Some(*exit_code),
        _ => None,
    })
}

fn stop(mut shim: Shim<'_>) {
    shim.signal(9);
    shim.finish();
}

#[test]
fn kernel_an_execs_output_and_status_come_back() {
    let Some(bundle) = running() else { return };
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    let (pid, mut stream) = shim.exec(
        "one",
        &[
            "sh",
            "-c",
            "echo out; echo err >&2; cat /proc/self/cgroup; exit 7",
        ],
        |_| {},
    );
    assert!(pid > 1);
    let (out, err) = frames(&mut stream);
    assert!(out.starts_with("out\n"), "{out}");
    // In the container's cgroup, which is its root.
    assert!(
        out.lines().skip(1).all(|line| line.ends_with(":/")),
        "{out}"
    );
    assert_eq!(err, "err\n");
    assert_eq!(exec_exited(&mut shim.control, "one"), 7);
    // Nothing of it is in the container's log.
    eventually_logged(&bundle, "ready");
    assert_eq!(
        std::fs::read_to_string(bundle.log_file())
            .unwrap()
            .lines()
            .count(),
        1
    );
    stop(shim);
}

#[test]
fn kernel_an_exec_reads_its_own_input_to_its_end() {
    let Some(bundle) = running() else { return };
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    let (_, mut stream) = shim.exec("sort", &["sort"], |request| request.streams = ALL);
    stream.write_all(b"b\na\n").unwrap();
    end_input(&stream);
    assert_eq!(frames(&mut stream), ("a\nb\n".into(), String::new()));
    assert_eq!(exec_exited(&mut shim.control, "sort"), 0);
    stop(shim);
}

#[test]
fn kernel_an_exec_can_have_a_terminal_of_its_own() {
    let Some(bundle) = running() else { return };
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    let script = "trap 'stty -a | head -1; echo resized' WINCH; tty; stty -a | head -1; while :; do read -t 1 x && exit 3; done";
    let (_, mut stream) = shim.exec("tty", &["sh", "-c", script], |request| {
        request.process["terminal"] = json!(true);
        request.streams = ALL;
        request.console_size = Some(ConsoleSize {
            height: 20,
            width: 70,
        });
    });
    let read_until = |stream: &mut std::os::unix::net::UnixStream, wanted: &str| {
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while !text.contains(wanted) {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "ended with {text:?}");
            text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        text
    };
    let text = read_until(&mut stream, "rows 20; columns 70");
    assert!(text.starts_with("/dev/pts/0\r\n"), "{text:?}");
    let size = ConsoleSize {
        height: 21,
        width: 71,
    };
    shim.control.done(Call::Resize {
        size,
        exec_id: Some("tty".into()),
    });
    let text = read_until(&mut stream, "resized");
    assert!(text.contains("rows 21; columns 71"), "{text:?}");
    stream.write_all(b"\n").unwrap();
    assert_eq!(exec_exited(&mut shim.control, "tty"), 3);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    stop(shim);
}

#[test]
fn kernel_an_exec_is_signalled_by_its_id() {
    let Some(bundle) = running() else { return };
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    let (pid, mut stream) = shim.exec(
        "sleeper",
        &[
            "sh",
            "-c",
            "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done",
        ],
        |_| {},
    );
    frames_until(&mut stream, "ready");
    let Reply::State(state) = shim.control.ask(Call::State) else {
        panic!("no state")
    };
    assert_eq!(state.execs, [("sleeper".to_owned(), pid)].into());
    let again = shim.exec_request("sleeper", &["true"], |_| {});
    assert_eq!(
        shim.control.refused(Call::Exec(Box::new(again))).code,
        FailureCode::Invalid
    );
    shim.control.done(Call::SignalExec {
        exec_id: "sleeper".into(),
        signal: 15,
    });
    assert_eq!(exec_exited(&mut shim.control, "sleeper"), 9);
    let failure = shim.control.refused(Call::SignalExec {
        exec_id: "sleeper".into(),
        signal: 15,
    });
    assert_eq!(failure.code, FailureCode::NotRunning);
    stop(shim);
}

#[test]
fn kernel_an_exec_that_cannot_be_started_is_told_and_the_connection_goes_on() {
    let Some(bundle) = running() else { return };
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    for (args, code, words) in [
        (
            &["nope"][..],
            FailureCode::ExecutableNotFound,
            r#"exec: "nope": executable file not found in $PATH"#,
        ),
        (
            &["/etc"],
            FailureCode::PermissionDenied,
            r#"exec: "/etc": is a directory"#,
        ),
        (&[], FailureCode::Invalid, "process.args is empty"),
    ] {
        let request = shim.exec_request("bad", args, |_| {});
        let failure = shim.control.refused(Call::Exec(Box::new(request)));
        assert_eq!(failure.code, code, "{failure:?}");
        assert!(failure.message.contains(words), "{failure:?}");
    }
    assert!(matches!(
        shim.control.ask(Call::hello()),
        Reply::Hello { .. }
    ));
    stop(shim);
}

#[test]
fn kernel_a_detached_exec_runs_on_without_anybody() {
    let Some(bundle) = running() else { return };
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    let none = AttachStreams {
        stdin: false,
        stdout: false,
        stderr: false,
    };
    // More output than a pipe holds: dropped, not waited for.
    let (_, stream) = shim.exec("detached", &["sh", "-c", "seq 50000; exit 2"], |request| {
        request.streams = none;
    });
    drop(stream);
    assert_eq!(exec_exited(&mut shim.control, "detached"), 2);
    stop(shim);
}

#[test]
fn kernel_execs_end_with_the_container() {
    let Some(bundle) = running() else { return };
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    let (_, mut stream) = shim.exec("lasting", &["sh", "-c", "echo ready; sleep 1000"], |_| {});
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    frames_until(&mut stream, "ready");
    shim.signal(9);
    assert_eq!(exec_exited(&mut shim.control, "lasting"), 137);
    assert_eq!(frames(&mut stream), (String::new(), String::new()));
    shim.finish();
}

#[test]
fn kernel_an_exec_in_a_paused_container_is_refused() {
    let Some(bundle) = running() else { return };
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    bundle.verb("pause", &[], &[]).success();
    let request = shim.exec_request("cold", &["true"], |_| {});
    let failure = shim.control.refused(Call::Exec(Box::new(request)));
    assert!(failure.message.contains("paused"), "{failure:?}");
    bundle.verb("resume", &[], &[]).success();
    let (_, mut stream) = shim.exec("warm", &["echo", "thawed"], |_| {});
    assert_eq!(frames(&mut stream).0, "thawed\n");
    stop(shim);
}

#[test]
fn kernel_many_execs_at_once_do_not_mix() {
    let Some(bundle) = running() else { return };
    let (shim, _) = Shim::start(&bundle, |_| {});
    let mut streams: Vec<_> = (0..20)
        .map(|number| {
            let script = format!("for i in 1 2 3; do echo exec {number}; done; exit {number}");
            shim.exec(&format!("e{number}"), &["sh", "-c", &script], |_| {})
                .1
        })
        .collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        assert_eq!(frames(stream).0, format!("exec {number}\n").repeat(3));
    }
    stop(shim);
}
