//! The verbs of the command line, one after the other, as a caller of runc uses them.

use serde_json::{Value, json};

use crate::bundle::{Bundle, eventually};

#[test]
fn kernel_a_program_that_is_just_ending_is_waited_for_by_delete() {
    let Some(bundle) = Bundle::shell("sleep 0.03") else {
        return;
    };
    bundle.create().success();
    bundle.verb("start", &[], &[]).success();
    bundle.verb("delete", &[], &[]).success();
    bundle.assert_nothing_left();
}

#[test]
fn kernel_a_container_goes_through_its_states() {
    let Some(bundle) =
        Bundle::shell("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done")
    else {
        return;
    };
    bundle.create().success();
    let state = bundle.state();
    assert_eq!(state["status"], "created");
    assert_eq!(state["id"], bundle.id.as_str());
    assert_eq!(state["bundle"], bundle.path().to_str().unwrap());
    assert_eq!(state["rootfs"], bundle.rootfs().to_str().unwrap());
    assert_eq!(state["ociVersion"], mini::spec::OCI_VERSION);
    // Created is not started: the program has not run.
    assert_eq!(bundle.detached_output(), "");
    bundle.create().assert_error(1, "already exists");

    bundle.verb("start", &[], &[]).success();
    eventually("it runs", || bundle.detached_output() == "ready\n");
    assert_eq!(bundle.state()["status"], "running");
    bundle
        .verb("start", &[], &[])
        .assert_error(1, "cannot start an already running container");
    bundle
        .verb("delete", &[], &[])
        .assert_error(1, "that is not stopped: running");

    bundle.verb("pause", &[], &[]).success();
    assert_eq!(bundle.state()["status"], "paused");
    bundle.verb("pause", &[], &[]).assert_error(1, "is paused");
    bundle
        .verb("exec", &[], &["true"])
        .assert_error(255, "cannot exec in a paused container");
    bundle.verb("resume", &[], &[]).success();
    assert_eq!(bundle.state()["status"], "running");

    bundle
        .verb("kill", &[], &["NOSUCH"])
        .assert_error(1, "unknown signal");
    bundle.verb("kill", &[], &[]).success();
    eventually("it has stopped", || bundle.state()["status"] == "stopped");
    assert_eq!(bundle.state()["pid"], 0);
    for (verb, words) in [
        ("kill", "container not running"),
        ("start", "cannot start a container that has stopped"),
        ("exec", "cannot exec in a stopped container"),
    ] {
        let arguments: &[&str] = if verb == "exec" { &["true"] } else { &[] };
        let status = if verb == "exec" { 255 } else { 1 };
        bundle
            .verb(verb, &[], arguments)
            .assert_error(status, words);
    }
    bundle.verb("delete", &[], &[]).success();
    for verb in ["state", "delete", "start", "kill"] {
        bundle
            .verb(verb, &[], &[])
            .assert_error(1, "container does not exist");
    }
    bundle.verb("delete", &["--force"], &[]).success();
    bundle.assert_nothing_left();
}

#[test]
fn kernel_a_created_container_can_be_asked_to_end() {
    let Some(bundle) = Bundle::shell("echo ran") else {
        return;
    };
    for signal in ["TERM", "INT", "HUP", "QUIT"] {
        bundle.create().success();
        bundle.verb("kill", &[], &[signal]).success();
        eventually("it has stopped", || bundle.state()["status"] == "stopped");
        bundle.verb("delete", &[], &[]).success();
        bundle.assert_nothing_left();
    }
    assert_eq!(bundle.detached_output(), "");
}

#[test]
fn kernel_descriptors_are_passed_on_as_asked_and_no_others() {
    let Some(mut bundle) = Bundle::shell("cat <&3; ls /proc/self/fd; echo $LISTEN_FDS $LISTEN_PID")
    else {
        return;
    };
    bundle.config["process"]["noNewPrivileges"] = json!(true);
    bundle.write();
    let (path, mini) = (bundle.path().to_str().unwrap(), env!("CARGO_BIN_EXE_mini"));
    let root = bundle.state_root();
    let run = |prepare: &str, flags: &str| {
        // A shell, which leaves what it opens to the program: 3 and 4 are for the container, 5 is nobody's business.
        let script = format!(
            "exec 3<<<one 4</dev/null 5</dev/null; {prepare} exec {mini} --root {} run {flags} --bundle {path} {}",
            root.display(),
            bundle.id
        );
        let mut command = std::process::Command::new("/bin/bash");
        command.args(["-c", &script]);
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::piped());
        crate::bundle::finish(command.spawn().unwrap())
    };
    // ls has its directory open as the first free number.
    let outcome = run("", "--preserve-fds 2").success();
    assert_eq!(outcome, "one\n0\n1\n2\n3\n4\n5\n\n");
    let outcome = run("export LISTEN_FDS=1 LISTEN_PID=$$;", "").success();
    assert_eq!(outcome, "one\n0\n1\n2\n3\n4\n1 1\n");
    // Those of socket activation that are meant for another process are not ours.
    let outcome = run("export LISTEN_FDS=1 LISTEN_PID=1;", "--preserve-fds=1").success();
    assert_eq!(outcome, "one\n0\n1\n2\n3\n4\n\n");
    run("", "--preserve-fds 60").assert_error(1, "unable to stat preserved-fd");
    bundle.assert_nothing_left();
}

#[test]
fn kernel_a_created_container_is_deleted_by_force() {
    let Some(bundle) = Bundle::shell("echo never") else {
        return;
    };
    bundle.create().success();
    bundle.delete();
    assert_eq!(bundle.detached_output(), "");
}

#[test]
fn kernel_delete_by_force_ends_everything_inside() {
    let Some(bundle) =
        Bundle::shell("for i in 1 2 3 4 5; do (trap '' TERM; sleep 1000) & done; echo ready; wait")
    else {
        return;
    };
    bundle.start_detached();
    eventually("it runs", || bundle.detached_output() == "ready\n");
    bundle.delete();
}

#[test]
fn kernel_exec_joins_all_namespaces_and_the_cgroup() {
    let Some(bundle) = Bundle::shell("echo ready; sleep 1000") else {
        return;
    };
    bundle.start_detached();
    eventually("it runs", || bundle.detached_output() == "ready\n");
    let script = "for kind in cgroup ipc mnt net pid uts; do [ $(readlink /proc/self/ns/$kind) = $(readlink /proc/1/ns/$kind) ] || echo $kind differs; done; \
                  cmp /proc/self/cgroup /proc/1/cgroup; cat /proc/self/status; exit 9";
    let outcome = bundle.verb("exec", &[], &["sh", "-c", script]);
    assert_eq!(outcome.status, 9, "{outcome:?}");
    assert!(outcome.output.starts_with("Name:"), "{outcome:?}");
    let field = |key| crate::bundle::status_field(&outcome.output, key);
    assert_eq!(field("Seccomp"), "2");
    assert_eq!(field("NoNewPrivs"), "1");
    assert_eq!(field("CapEff"), "00000000a80425fb");

    let flags = [
        "--user",
        "1000:1000",
        "--cwd",
        "/tmp",
        "--env",
        "A=b",
        "--cap",
        "CAP_SYS_TIME",
    ];
    let outcome = bundle.verb(
        "exec",
        &flags,
        &[
            "sh",
            "-c",
            "id -u; pwd; echo $A; grep CapBnd /proc/self/status",
        ],
    );
    assert_eq!(
        outcome.success(),
        "1000\n/tmp\nb\nCapBnd:\t00000000aa0425fb\n"
    );

    bundle
        .verb("exec", &[], &["nope"])
        .assert_error(255, r#"exec: "nope": executable file not found in $PATH"#);
    bundle
        .verb("exec", &[], &["/etc"])
        .assert_error(255, r#"exec: "/etc": is a directory"#);
    bundle
        .verb("exec", &["--cwd", "/no"], &["true"])
        .assert_error(255, "chdir to cwd");
    bundle.delete();
}

#[test]
fn kernel_exec_takes_a_process_and_leaves_its_pid() {
    let Some(bundle) = Bundle::shell("echo ready; sleep 1000") else {
        return;
    };
    bundle.start_detached();
    let mut process = bundle.config["process"].clone();
    process["args"] = json!(["/bin/sh", "-c", "echo from the file >/tmp/said; sleep 1000"]);
    let file = bundle.path().join("process.json");
    std::fs::write(&file, process.to_string()).unwrap();
    let pid_file = bundle.path().join("pid");
    let flags = [
        "--process",
        file.to_str().unwrap(),
        "--detach",
        "--pid-file",
        pid_file.to_str().unwrap(),
    ];
    let mut arguments = vec!["exec"];
    arguments.extend(flags);
    arguments.push(&bundle.id);
    let mut command = bundle.mini(&arguments);
    command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    assert!(command.status().unwrap().success());
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    let said = bundle.rootfs().join("tmp/said");
    eventually("it has run", || {
        std::fs::read_to_string(&said).is_ok_and(|text| text == "from the file\n")
    });
    let listed = bundle.verb("ps", &["--format", "json"], &[]).success();
    let listed: Vec<i32> = serde_json::from_str(&listed).unwrap();
    assert!(
        listed.contains(&pid.parse().unwrap()),
        "{listed:?} lacks {pid}"
    );
    assert!(listed.contains(&bundle.pid()));
    let table = bundle.verb("ps", &[], &[]).success();
    assert!(table.contains("sleep 1000"), "{table}");
    bundle.delete();
}

#[test]
fn kernel_list_shows_what_is_there() {
    let Some(bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    bundle.create().success();
    let list = crate::bundle::finish(bundle.mini(&["list", "--format", "json"]).spawn().unwrap())
        .success();
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["id"], bundle.id.as_str());
    assert_eq!(list[0]["status"], "created");
    let quiet = crate::bundle::finish(bundle.mini(&["list", "--quiet"]).spawn().unwrap()).success();
    assert_eq!(quiet, format!("{}\n", bundle.id));
    bundle.delete();
}

#[test]
fn kernel_update_changes_limits_of_a_running_container() {
    let Some(mut bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    bundle.config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    bundle.start_detached();
    let limit = || {
        let layout = cgroups::Layout::detect().unwrap();
        let cgroup = cgroups::Cgroup::open(&layout, &format!("/{}", bundle.id)).unwrap();
        let directory = cgroup.directory_of(cgroups::Controller::Memory).unwrap();
        let file = if directory.v2 {
            "memory.max"
        } else {
            "memory.limit_in_bytes"
        };
        std::fs::read_to_string(directory.path.join(file))
            .unwrap()
            .trim()
            .to_owned()
    };
    assert_eq!(limit(), (64 << 20).to_string());
    bundle.verb("update", &["--memory", "128m"], &[]).success();
    assert_eq!(limit(), (128 << 20).to_string());
    let file = bundle.path().join("resources.json");
    std::fs::write(
        &file,
        json!({"memory": {"limit": 96 << 20}, "cpu": {"shares": 0}}).to_string(),
    )
    .unwrap();
    bundle
        .verb("update", &["--resources", file.to_str().unwrap()], &[])
        .success();
    assert_eq!(limit(), (96 << 20).to_string());
    bundle.delete();
}

#[test]
fn kernel_hooks_of_all_six_kinds_run_in_order_with_the_state() {
    let Some(mut bundle) = Bundle::shell("cat /tmp/log") else {
        return;
    };
    let log = bundle.rootfs().join("tmp/log");
    let log = log.to_str().unwrap().to_owned();
    let note = |kind: &str, log: &str| {
        // `cat` is the hook's own program: the state is its input.
        let script = format!("printf '%s ' {kind} >>{log}; cat >>{log}; echo >>{log}");
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}])
    };
    let mut hooks = serde_json::Map::new();
    for kind in [
        "prestart",
        "createRuntime",
        "createContainer",
        "poststart",
        "poststop",
    ] {
        hooks.insert(kind.to_owned(), note(kind, &log));
    }
    // This one runs in the container, where the file has another name.
    hooks.insert("startContainer".into(), note("startContainer", "/tmp/log"));
    bundle.config["hooks"] = hooks.into();
    bundle.start_detached();
    eventually("it has ended", || bundle.state()["status"] == "stopped");
    bundle.verb("delete", &[], &[]).success();
    bundle.assert_nothing_left();
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<(&str, Value)> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(kind, state)| (kind, serde_json::from_str(state).unwrap()))
        .collect();
    let mut kinds: Vec<&str> = lines.iter().map(|(kind, _)| *kind).collect();
    // The program may end before the hook behind its start runs, or after.
    assert_eq!(kinds.pop(), Some("poststop"));
    assert_eq!(
        kinds,
        [
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart"
        ],
        "{text}"
    );
    for (kind, state) in &lines {
        assert_eq!(state["id"], bundle.id.as_str(), "{kind}");
        let wanted = match *kind {
            "startContainer" => "created",
            "poststart" => "running",
            "poststop" => "stopped",
            _ => "creating",
        };
        assert_eq!(state["status"], wanted, "{kind}");
        // In the container's namespaces it is the id there.
        let pid = state["pid"].as_i64();
        match *kind {
            "poststop" => assert_eq!(pid, None, "{state}"),
            "createContainer" | "startContainer" => assert_eq!(pid, Some(1), "{state}"),
            _ => assert!(pid.is_some_and(|pid| pid > 1), "{kind}: {state}"),
        }
    }
}

#[test]
fn kernel_a_hook_that_fails_stops_the_start() {
    for kind in [
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
    ] {
        let Some(mut bundle) = Bundle::shell("echo ran") else {
            return;
        };
        bundle.config["hooks"][kind] = json!([{"path": "/bin/sh", "args": ["sh", "-c", "exit 3"]}]);
        let outcome = bundle.run();
        assert_eq!(outcome.status, 1, "{kind}: {outcome:?}");
        assert!(
            outcome
                .error
                .contains(&format!("error running {kind} hook #0: /bin/sh")),
            "{kind}: {outcome:?}"
        );
        assert_eq!(outcome.output, "", "{kind}");
    }
}

#[test]
fn kernel_a_hook_that_takes_too_long_is_ended() {
    let Some(mut bundle) = Bundle::shell("echo ran") else {
        return;
    };
    bundle.config["hooks"]["createRuntime"] =
        json!([{"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1}]);
    bundle.run().assert_error(1, "not done after 1 s");
}

#[test]
fn kernel_the_example_of_spec_runs() {
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    let path = bundle.path().to_str().unwrap().to_owned();
    crate::bundle::finish(bundle.mini(&["spec", "--bundle", &path]).spawn().unwrap()).success();
    crate::bundle::finish(bundle.mini(&["spec", "--bundle", &path]).spawn().unwrap())
        .assert_error(1, "exists: remove it first");
    let json = std::fs::read(bundle.path().join("config.json")).unwrap();
    bundle.config = serde_json::from_slice(&json).unwrap();
    bundle.config["process"]["terminal"] = json!(false);
    bundle.set_script("hostname; touch /x || id -u");
    assert_eq!(bundle.run().output, "mini\n0\n");
}
