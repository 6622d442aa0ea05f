//! What cannot be started: the code, the words, and nothing left.

use serde_json::{Value, json};

use crate::bundle::{Bundle, finish, set_mode};

#[test]
fn kernel_a_program_that_is_not_there_is_named() {
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    for (name, words) in [
        (
            "nope",
            r#"exec: "nope": executable file not found in $PATH"#,
        ),
        (
            "/nope",
            r#"exec: "/nope": stat /nope: no such file or directory"#,
        ),
        (
            "/bin/sh/x",
            r#"exec: "/bin/sh/x": stat /bin/sh/x: not a directory"#,
        ),
    ] {
        bundle.config["process"]["args"] = json!([name]);
        bundle.run().assert_error(1, words);
    }
    std::fs::write(bundle.rootfs().join("script"), "#!/no/interpreter\n").unwrap();
    set_mode(&bundle.rootfs().join("script"), 0o755);
    bundle.config["process"]["args"] = json!(["/script"]);
    let outcome = bundle.run();
    outcome.assert_error(1, "exec /script: no such file or directory");
    assert!(outcome.error.contains("its interpreter"), "{outcome:?}");
}

#[test]
fn kernel_a_program_that_may_not_be_executed_is_named() {
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    std::fs::write(bundle.rootfs().join("data"), "text").unwrap();
    for (name, words) in [
        ("/data", r#"exec: "/data": permission denied"#),
        ("/etc", r#"exec: "/etc": is a directory"#),
    ] {
        bundle.config["process"]["args"] = json!([name]);
        bundle.run().assert_error(1, words);
    }
    set_mode(&bundle.rootfs().join("data"), 0o755);
    bundle.config["process"]["args"] = json!(["/data"]);
    bundle
        .run()
        .assert_error(1, "exec /data: exec format error");
    // As the user that it will be, not as root.
    set_mode(&bundle.rootfs().join("data"), 0o700);
    bundle.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    bundle.config["process"]["capabilities"] = json!({});
    bundle
        .run()
        .assert_error(1, r#"exec: "/data": permission denied"#);
}

#[test]
fn kernel_create_fails_as_run_does() {
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    bundle.config["process"]["args"] = json!(["nope"]);
    bundle
        .create()
        .assert_error(1, "executable file not found in $PATH");
    bundle.assert_nothing_left();
}

fn mount(config: &mut Value, destination: &str, kind: &str, source: &str, options: &[&str]) {
    let mount =
        json!({"destination": destination, "type": kind, "source": source, "options": options});
    config["mounts"].as_array_mut().unwrap().push(mount);
}

/// Every way to be refused leaves the machine as it was; each is told by name.
#[test]
fn kernel_an_unknown_capability_is_warned_of() {
    let Some(mut bundle) = Bundle::shell("echo ran") else {
        return;
    };
    bundle.config["process"]["capabilities"]["bounding"] = json!(["CAP_NOPE", "CAP_KILL"]);
    let outcome = bundle.run();
    outcome.assert_error(
        0,
        "ignoring unknown or unavailable capabilities: [CAP_NOPE]",
    );
    assert_eq!(outcome.output, "ran\n");
}

#[test]
fn kernel_what_is_refused_leaves_nothing() {
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 16] = [
        (
            |c| c["mounts"][0]["destination"] = json!(""),
            "a destination is empty",
        ),
        (
            |c| mount(c, "/x", "bind", "/no/such", &["bind"]),
            "bind mount of /no/such: no such file or directory",
        ),
        (|c| mount(c, "/x", "nosuchfs", "x", &[]), "nosuchfs"),
        (
            |c| mount(c, "/x", "tmpfs", "x", &["size=nonsense"]),
            "mount tmpfs on /x",
        ),
        (
            |c| mount(c, "/proc/self", "tmpfs", "x", &[]),
            "a mount inside /proc is not permitted",
        ),
        (|c| c["root"]["path"] = json!("nosuch"), "nosuch"),
        (|c| c["process"]["cwd"] = json!("/bin/sh/x"), "/bin/sh/x"),
        (
            |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}]),
            "RLIMIT_NOPE",
        ),
        (
            |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 2, "hard": 1}]),
            "RLIMIT_NOFILE",
        ),
        (
            |c| c["process"]["selinuxLabel"] = json!("a:b:c:s0"),
            "process.selinuxLabel: selinux label is specified in config, but selinux is disabled or not supported",
        ),
        (
            |c| c["linux"]["seccomp"]["defaultAction"] = json!("SCMP_ACT_NOTIFY"),
            "SCMP_ACT_NOTIFY",
        ),
        (
            |c| c["linux"]["sysctl"] = json!({"kernel.panic": "1"}),
            "kernel.panic",
        ),
        (
            |c| c["linux"]["sysctl"] = json!({"net.no.such": "1"}),
            "net/no/such",
        ),
        (
            |c| c["linux"]["resources"]["memory"] = json!({"limit": 64 << 20, "swap": 32 << 20}),
            "must not be less than the memory limit",
        ),
        (
            |c| c["linux"]["resources"]["cpu"] = json!({"cpus": "4096"}),
            "cpuset.cpus",
        ),
        (
            |c| c["linux"]["namespaces"][0]["path"] = json!("/no/such/namespace"),
            "/no/such/namespace",
        ),
    ];
    for (change, words) in changes {
        let Some(mut bundle) = Bundle::shell("echo ran") else {
            return;
        };
        change(&mut bundle.config);
        let outcome = bundle.run();
        outcome.assert_error(1, words);
        assert_eq!(outcome.output, "", "{words}");
    }
}

#[test]
fn kernel_too_little_memory_to_start_is_said_as_such() {
    let Some(mut bundle) = Bundle::shell("echo ran") else {
        return;
    };
    bundle.config["linux"]["resources"]["memory"] = json!({"limit": 4096, "swap": 4096});
    let outcome = bundle.run();
    assert_ne!(outcome.status, 0, "{outcome:?}");
    assert_eq!(outcome.output, "");
}

#[test]
fn kernel_errors_go_to_the_log_as_docker_reads_them() {
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    bundle.config["process"]["args"] = json!(["nope"]);
    bundle.write();
    let log = bundle.path().join("log.json");
    let path = bundle.path().to_str().unwrap();
    let arguments = [
        "--log",
        log.to_str().unwrap(),
        "--log-format",
        "json",
        "run",
        "--bundle",
        path,
        &bundle.id,
    ];
    finish(bundle.mini(&arguments).spawn().unwrap()).assert_error(1, "nope");
    let line: Value = serde_json::from_str(std::fs::read_to_string(&log).unwrap().trim()).unwrap();
    assert_eq!(line["level"], "error");
    let told = line["msg"].as_str().unwrap();
    assert!(
        told.starts_with(
            r#"exec: "nope": executable file not found in $PATH (step find_program: "#
        ),
        "{told}"
    );
    bundle.assert_nothing_left();
}

#[test]
fn kernel_ids_that_are_paths_are_refused() {
    let Some(bundle) = Bundle::shell("true") else {
        return;
    };
    bundle.write();
    let path = bundle.path().to_str().unwrap();
    for id in ["../x", "a/b", "..", "a b", "x;y"] {
        finish(bundle.mini(&["run", "--bundle", path, id]).spawn().unwrap())
            .assert_error(1, "invalid container id");
    }
    bundle.assert_nothing_left();
}

/// Whatever the moment `mini` is killed at, `delete --force` cleans up.
#[test]
fn kernel_a_killed_start_is_cleaned_up_by_force() {
    for after_us in [
        0, 500, 1000, 1500, 2000, 2500, 3000, 4000, 5000, 7000, 10_000,
    ] {
        let Some(bundle) = Bundle::shell("sleep 1000") else {
            return;
        };
        bundle.write();
        let path = bundle.path().to_str().unwrap();
        let mut command = bundle.mini(&["create", "--bundle", path, &bundle.id]);
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(after_us));
        child.kill().unwrap();
        child.wait().unwrap();
        bundle.verb("delete", &["--force"], &[]).success();
        bundle.assert_nothing_left();
    }
}
