//! Who the program is, what it may do, and what it is given.

use serde_json::json;

use crate::bundle::{Bundle, eventually, finish, status_field};

#[test]
fn kernel_capabilities_are_dockers_and_no_more() {
    let Some(bundle) = Bundle::shell("cat /proc/self/status") else {
        return;
    };
    let status = bundle.run().success();
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(status_field(&status, set), "00000000a80425fb", "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(status_field(&status, set), "0000000000000000", "{set}");
    }
}

#[test]
fn kernel_a_user_without_rights_has_none_left_but_may_be_given_ambient_ones() {
    let Some(mut bundle) = Bundle::shell("cat /proc/self/status; id") else {
        return;
    };
    bundle.config["process"]["user"] =
        json!({"uid": 1000, "gid": 1001, "additionalGids": [44, 2000]});
    let status = bundle.run().success();
    for set in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
        assert_eq!(status_field(&status, set), "0000000000000000", "{set}");
    }
    assert_eq!(status_field(&status, "CapBnd"), "00000000a80425fb");
    assert_eq!(status_field(&status, "Uid"), "1000\t1000\t1000\t1000");
    assert_eq!(status_field(&status, "Gid"), "1001\t1001\t1001\t1001");
    assert_eq!(status_field(&status, "Groups"), "44 2000");
    for set in ["inheritable", "ambient"] {
        bundle.config["process"]["capabilities"][set] = json!(["CAP_NET_BIND_SERVICE"]);
    }
    let status = bundle.run().success();
    assert_eq!(status_field(&status, "CapEff"), "0000000000000400");
    assert_eq!(status_field(&status, "CapAmb"), "0000000000000400");
}

#[test]
fn kernel_no_new_privs_and_the_filter_are_on() {
    let Some(mut bundle) = Bundle::shell("cat /proc/self/status") else {
        return;
    };
    let status = bundle.run().success();
    assert_eq!(status_field(&status, "NoNewPrivs"), "1");
    assert_eq!(status_field(&status, "Seccomp"), "2");
    assert_eq!(status_field(&status, "Seccomp_filters"), "1");
    bundle.config["process"]["noNewPrivileges"] = json!(false);
    let status = bundle.run().success();
    assert_eq!(status_field(&status, "NoNewPrivs"), "0");
    assert_eq!(status_field(&status, "Seccomp"), "2");
}

#[test]
fn kernel_a_blocked_call_answers_what_the_profile_says() {
    let Some(mut bundle) = Bundle::shell("unshare -U true; echo $?; mkdir /tmp/a; ls /tmp") else {
        return;
    };
    // Docker's profile: a user namespace needs CAP_SYS_ADMIN, though the kernel would give one to anybody.
    let outcome = bundle.run();
    assert!(
        outcome
            .error
            .contains("unshare(0x10000000): Operation not permitted"),
        "{outcome:?}"
    );
    assert_eq!(outcome.output, "1\na\n");
    // With errno 71, EPROTO, which no kernel would ever answer to mkdir by itself.
    bundle.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71}],
    });
    bundle.set_script("mkdir /tmp/b; ls /tmp");
    let outcome = bundle.run();
    assert!(outcome.error.contains("Protocol error"), "{outcome:?}");
    assert_eq!(outcome.output, "a\n");
    // And one whose argument decides: sockets, but none of netlink (16).
    bundle.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71,
            "args": [{"index": 0, "value": 16, "op": "SCMP_CMP_EQ"}]}],
    });
    bundle.set_script("ip link; ifconfig lo 127.0.0.1; echo $?");
    let outcome = bundle.run();
    assert!(outcome.error.contains("Protocol error"), "{outcome:?}");
}

#[test]
fn kernel_a_filter_can_kill() {
    let Some(mut bundle) = Bundle::shell("mkdir /tmp/x; echo $?") else {
        return;
    };
    bundle.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}],
    });
    let outcome = bundle.run();
    // 128 + SIGSYS.
    assert_eq!(outcome.output, "159\n", "{outcome:?}");
}

#[test]
fn kernel_limits_user_directory_environment_and_names_are_set() {
    let Some(mut bundle) = Bundle::shell(
        "cat /proc/self/limits; echo --; pwd; hostname; cat /proc/sys/kernel/domainname; umask; env; cat /proc/self/oom_score_adj",
    ) else {
        return;
    };
    bundle.config["process"]["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "soft": 111, "hard": 222},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_NPROC", "soft": 333, "hard": 444},
    ]);
    bundle.config["process"]["cwd"] = json!("/made/by/mini");
    bundle.config["process"]["env"] = json!(["PATH=/bin", "A=b c", "EMPTY="]);
    bundle.config["process"]["user"]["umask"] = json!(0o27);
    bundle.config["process"]["oomScoreAdj"] = json!(123);
    bundle.config["hostname"] = json!("box");
    bundle.config["domainname"] = json!("example.org");
    let output = bundle.run().success();
    let (limits, rest) = output.split_once("--\n").unwrap();
    let limit = |name: &str| {
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(limit("Max open files"), "111 222");
    assert_eq!(limit("Max core file size"), "0 0");
    assert_eq!(limit("Max processes"), "333 444");
    let rest: Vec<&str> = rest.lines().collect();
    assert_eq!(rest[..4], ["/made/by/mini", "box", "example.org", "0027"]);
    let env = &rest[4..rest.len() - 1];
    for wanted in ["A=b c", "EMPTY=", "PATH=/bin", "HOME=/"] {
        assert!(env.contains(&wanted), "{wanted} is not in {env:?}");
    }
    // Nothing of the test's own environment.
    assert!(
        env.iter().all(|entry| !entry.starts_with("CARGO")),
        "{env:?}"
    );
    assert_eq!(rest.last(), Some(&"123"));
}

#[test]
fn kernel_home_comes_from_the_containers_users() {
    let Some(mut bundle) = Bundle::shell("echo $HOME") else {
        return;
    };
    std::fs::write(
        bundle.rootfs().join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\n",
    )
    .unwrap();
    bundle.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    assert_eq!(bundle.run().success(), "/home/me\n");
}

#[test]
fn kernel_signals_are_as_a_shell_would_give_them() {
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    // No shell, which would ignore some for itself.
    bundle.config["process"]["args"] = json!(["cat", "/proc/self/status"]);
    let status = bundle.run().success();
    assert_eq!(status_field(&status, "SigBlk"), "0000000000000000");
    assert_eq!(status_field(&status, "SigIgn"), "0000000000000000");
}

#[test]
fn kernel_exit_status_and_signal_are_passed_on() {
    for (script, wanted) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -TERM $$; sleep 9", 143),
        ("kill -KILL $$", 137),
    ] {
        let Some(bundle) = Bundle::new() else { return };
        let mut bundle = bundle;
        // The shell is not process 1, which the kernel would spare.
        bundle.config["process"]["args"] =
            json!(["/bin/sh", "-c", format!("sh -c '{script}'; exit $?")]);
        assert_eq!(bundle.run().status, wanted, "{script}");
    }
}

#[test]
fn kernel_a_signal_that_ends_the_program_is_its_status() {
    let Some(bundle) = Bundle::shell("echo ready; sleep 1000") else {
        return;
    };
    let mut child = bundle.start_run();
    let mut line = String::new();
    let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    bundle.verb("kill", &[], &["KILL"]).success();
    assert_eq!(finish(child).status, 137);
    bundle.assert_nothing_left();
}

#[test]
fn kernel_signals_to_run_reach_the_program() {
    let Some(bundle) =
        Bundle::shell("trap 'echo got it; exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    else {
        return;
    };
    let mut child = bundle.start_run();
    let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut reader, &mut rest).unwrap();
    assert_eq!(rest, "got it\n");
    assert_eq!(finish(child).status, 5);
    bundle.assert_nothing_left();
}

#[test]
fn kernel_input_and_output_are_pipes_of_the_caller() {
    let Some(bundle) = Bundle::shell("cat; echo done >&2") else {
        return;
    };
    bundle.write();
    let path = bundle.path().to_str().unwrap();
    let mut child = bundle
        .mini(&["run", "--bundle", path, &bundle.id])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"through the pipe\n").unwrap();
    let outcome = finish(child);
    assert_eq!(
        (outcome.output.as_str(), outcome.error.as_str()),
        ("through the pipe\n", "done\n")
    );
    bundle.assert_nothing_left();
}

#[test]
fn kernel_sysctls_are_the_containers_own() {
    let before = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    let other = if before.trim() == "1" { "0" } else { "1" };
    let Some(mut bundle) =
        Bundle::shell("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax")
    else {
        return;
    };
    bundle.config["linux"]["sysctl"] =
        json!({"net.ipv4.ip_forward": other, "kernel.msgmax": "12345"});
    assert_eq!(bundle.run().success(), format!("{other}\n12345\n"));
    assert_eq!(
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(),
        before
    );
}

#[test]
fn kernel_the_runtimes_own_environment_stays_outside() {
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    bundle.config["process"]["args"] = json!(["env"]);
    bundle.config["process"]["env"] = json!(["PATH=/bin"]);
    assert_eq!(bundle.run().success(), "PATH=/bin\nHOME=/\n");
}

#[test]
fn kernel_capabilities_that_there_are_not_are_told_and_left_out() {
    let Some(mut bundle) = Bundle::shell("grep -E 'Cap(Bnd|Amb)' /proc/self/status") else {
        return;
    };
    bundle.config["process"]["capabilities"] = json!({
        "bounding": ["CAP_UNKNOWN", "UNKNOWN_CAP", "CAP_KILL"],
        "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"], "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_KILL", "CAP_CHOWN"],
    });
    let outcome = bundle.run();
    for words in [
        "ignoring unknown or unavailable capabilities: [CAP_UNKNOWN UNKNOWN_CAP]",
        "can't raise ambient capability CAP_CHOWN: ",
    ] {
        assert!(outcome.error.contains(words), "{outcome:?}");
    }
    assert_eq!(
        outcome.success(),
        "CapBnd:\t0000000000000020\nCapAmb:\t0000000000000020\n"
    );
}

#[test]
fn kernel_a_security_profile_is_applied_or_refused_with_the_reason() {
    let Some(mut bundle) = Bundle::shell("cat /proc/self/attr/current 2>/dev/null; echo ran")
    else {
        return;
    };
    bundle.config["process"]["apparmorProfile"] = json!("unconfined");
    assert!(bundle.run().success().ends_with("ran\n"));
    bundle.config["process"]["apparmorProfile"] = json!("no-such-profile");
    let outcome = bundle.run();
    assert_eq!(outcome.output, "");
    // On a machine with AppArmor the profile is not loaded, on another no profile can be.
    let words = if std::path::Path::new("/sys/kernel/security/apparmor").exists() {
        "apparmor failed to apply profile"
    } else {
        "apparmor: config provided but apparmor not supported"
    };
    outcome.assert_error(1, words);
    outcome.assert_error(1, "no-such-profile");
    bundle.config["process"]["apparmorProfile"] = json!("");
    bundle.config["linux"]["mountLabel"] = json!("system_u:object_r:container_file_t:s0:c1,c2");
    let outcome = bundle.run();
    if !std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        outcome.assert_error(1, "linux.mountLabel: selinux label is specified in config, but selinux is disabled or not supported");
    }
}

/// What is a container's first process with `--init` passes every signal on, real-time ones too.
#[test]
fn kernel_an_init_passes_real_time_signals_on() {
    use std::os::fd::AsFd as _;
    use std::os::unix::process::CommandExt as _;

    let said = tempfile::NamedTempFile::new().unwrap();
    let script = "for n in 34 37 64; do trap \"echo got $n\" $n; done; trap 'exit 7' USR1; echo ready; while :; do sleep 0.05; done";
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_mini"))
        .arg0(mini::reaper::NAME)
        .args(["--", "busybox", "sh", "-c", script])
        .stdout(said.reopen().unwrap())
        .spawn()
        .unwrap();
    let pidfd = rustix::process::pidfd_open(
        rustix::process::Pid::from_child(&child),
        rustix::process::PidfdFlags::empty(),
    )
    .unwrap();
    let told = |words: &str| {
        eventually(words, || {
            std::fs::read_to_string(said.path())
                .unwrap()
                .contains(words)
        });
    };
    told("ready");
    for number in [34, 37, 64] {
        sys::signal::send(pidfd.as_fd(), number).unwrap();
        told(&format!("got {number}"));
    }
    sys::signal::send(pidfd.as_fd(), 10).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7));
}
