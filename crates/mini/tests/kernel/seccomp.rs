//! System call filters: what each action does, the supervisor that is asked, other architectures, and what the filter must not
//! get in the way of.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::mpsc;

use serde_json::{Value, json};
use sys::seccomp::{Answer, answer, receive};

use crate::bundle::{Bundle, DEADLINE, set_mode};

/// A supervisor as runc's tests have one: answers for `mkdir` (done, without doing anything) and `chmod` (ENOMEDIUM), and lets
/// everything else go on. Ends with the processes that it is asked by.
struct Agent {
    path: PathBuf,
    states: mpsc::Receiver<Value>,
    asked: mpsc::Receiver<String>,
}

const ENOMEDIUM: i32 = 123;

impl Agent {
    fn new(bundle: &Bundle, processes: usize) -> Self {
        let path = bundle.path().join("agent.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (state_sender, states) = mpsc::channel();
        let (asked_sender, asked) = mpsc::channel();
        std::thread::spawn(move || {
            for _ in 0..processes {
                let (socket, _) = listener.accept().unwrap();
                let mut buffer = vec![0; 4096];
                let (length, descriptor) =
                    sys::socket::receive_descriptor(socket.as_fd(), &mut buffer).unwrap();
                state_sender
                    .send(serde_json::from_slice(&buffer[..length]).unwrap())
                    .unwrap();
                let asked_sender = asked_sender.clone();
                std::thread::spawn(move || serve(&descriptor.unwrap(), &asked_sender));
            }
        });
        Self {
            path,
            states,
            asked,
        }
    }

    fn state(&self) -> Value {
        self.states.recv_timeout(DEADLINE).unwrap()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.try_iter().collect()
    }
}

fn serve(listener: &OwnedFd, asked: &mpsc::Sender<String>) {
    use rustix::event::{PollFd, PollFlags, poll};
    loop {
        let mut ready = [PollFd::new(listener, PollFlags::IN)];
        poll(&mut ready, None).unwrap();
        // All processes under the filter are gone.
        if ready[0].revents().contains(PollFlags::HUP) {
            return;
        }
        let Ok(stopped) = receive(listener.as_fd()) else {
            continue;
        };
        let name = name_of(stopped.call.number);
        let reply = match name {
            "mkdir" | "mkdirat" => Answer::Result(0),
            "chmod" | "fchmod" | "fchmodat" => Answer::Errno(ENOMEDIUM),
            _ => Answer::Continue,
        };
        // The process may be gone by now, and the test be over.
        drop(answer(listener.as_fd(), stopped.id, reply));
        drop(asked.send(name.to_owned()));
    }
}

fn name_of(number: i32) -> &'static str {
    let number = u32::try_from(number).unwrap();
    let calls = mini::seccomp::arch::Arch::NATIVE.calls();
    let call = calls.into_iter().find(|(_, entry)| *entry == number);
    call.map_or("?", |(name, _)| name)
}

/// Everything is permitted but what `rules` say.
fn profile(rules: &Value) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_NATIVE"],
        "syscalls": rules,
    })
}

fn notifying(agent: &Agent, calls: &Value) -> Value {
    let mut profile = profile(&json!([{"names": calls, "action": "SCMP_ACT_NOTIFY"}]));
    profile["listenerPath"] = json!(agent.path);
    profile["listenerMetadata"] = json!("bar");
    profile
}

#[test]
fn kernel_a_supervisor_answers_for_calls_it_is_asked_about() {
    for no_new_privileges in [false, true] {
        let Some(mut bundle) =
            Bundle::shell("mkdir /tmp/x && chmod 700 /tmp; ls /tmp; echo status $?")
        else {
            return;
        };
        let agent = Agent::new(&bundle, 1);
        bundle.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        bundle.config["annotations"] = json!({"kind": "test"});
        bundle.config["linux"]["seccomp"] = notifying(
            &agent,
            &json!(["mkdir", "mkdirat", "chmod", "fchmod", "fchmodat"]),
        );
        let outcome = bundle.run();
        assert_eq!(outcome.output, "status 0\n", "{outcome:?}");
        assert!(outcome.error.contains("No medium found"), "{outcome:?}");
        let state = agent.state();
        let pid = state["pid"].as_i64().unwrap();
        assert!(pid > 0, "{state}");
        let version = state["ociVersion"].as_str().unwrap();
        assert_eq!(
            state,
            json!({
                "ociVersion": version, "fds": ["seccompFd"], "pid": pid, "metadata": "bar",
                "state": {"ociVersion": version, "id": bundle.id, "status": "creating", "pid": pid,
                    "bundle": bundle.path(), "annotations": {"kind": "test"}},
            })
        );
    }
}

#[test]
fn kernel_a_supervisor_gets_a_listener_for_each_process() {
    for no_new_privileges in [false, true] {
        let Some(mut bundle) = Bundle::shell("sleep 1000") else {
            return;
        };
        let agent = Agent::new(&bundle, 2);
        bundle.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        bundle.config["linux"]["seccomp"] = notifying(&agent, &json!(["mkdir", "mkdirat"]));
        bundle.start_detached();
        let first = agent.state();
        assert_eq!(first["pid"], json!(bundle.pid()));
        let outcome = bundle.verb(
            "exec",
            &[],
            &["sh", "-c", "mkdir /tmp/x && ls /tmp && echo pid $$"],
        );
        let inside = outcome.success();
        assert!(inside.starts_with("pid "), "{inside}");
        let second = agent.state();
        assert_eq!(second["state"]["status"], "running");
        assert_eq!(second["state"]["pid"], first["pid"]);
        assert_ne!(second["pid"], first["pid"]);
        bundle.delete();
    }
}

/// Those that `mini` makes itself after the filter holds.
#[test]
fn kernel_a_start_does_not_wait_for_a_supervisor_that_does_not_know_it_yet() {
    for no_new_privileges in [false, true] {
        let Some(mut bundle) = Bundle::shell("echo ran") else {
            return;
        };
        let agent = Agent::new(&bundle, 1);
        bundle.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        bundle.config["linux"]["seccomp"] = notifying(
            &agent,
            &json!([
                "execve",
                "openat",
                "open",
                "read",
                "close",
                "fcntl",
                "sendto",
                "sendmsg",
                "recvfrom",
                "recvmsg",
                "brk",
                "mmap",
                "munmap",
                "poll",
                "ppoll",
                "prctl",
                "setresuid",
                "capset",
                "close_range"
            ]),
        );
        let outcome = bundle.run();
        assert_eq!(outcome.output, "ran\n", "{outcome:?}");
        let asked = agent.asked();
        for name in ["read", "close", "execve"] {
            assert!(asked.iter().any(|asked| asked == name), "{asked:?}");
        }
    }
}

/// As runc's tests look for them.
#[test]
fn kernel_the_flags_of_a_filter_are_in_the_debug_log() {
    let Some(mut bundle) = Bundle::shell("true") else {
        return;
    };
    for (flags, number) in [
        (json!(null), 4),
        (json!([]), 0),
        (json!(["SECCOMP_FILTER_FLAG_TSYNC"]), 0),
        (
            json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]),
            6,
        ),
    ] {
        bundle.config["linux"]["seccomp"] = profile(&json!([]));
        bundle.config["linux"]["seccomp"]["flags"] = flags;
        bundle.write();
        let path = bundle.path().to_str().unwrap();
        let run = bundle
            .mini(&["--debug", "run", "--bundle", path, &bundle.id])
            .spawn();
        let outcome = crate::bundle::finish(run.unwrap());
        let words = format!("\"seccomp filter flags: {number}\"");
        outcome.assert_error(0, &words);
        bundle.assert_nothing_left();
    }
}

#[test]
fn kernel_calls_fail_when_the_supervisor_is_gone() {
    let Some(mut bundle) = Bundle::shell("echo ready; sleep 1; mkdir /tmp/x") else {
        return;
    };
    let path = bundle.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let gone = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let received = sys::socket::receive_descriptor(socket.as_fd(), &mut [0; 4096]).unwrap();
        drop(received.1.unwrap());
    });
    let mut filter =
        profile(&json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]));
    filter["listenerPath"] = json!(path);
    bundle.config["linux"]["seccomp"] = filter;
    let outcome = bundle.run();
    gone.join().unwrap();
    outcome.assert_error(1, "Function not implemented");
}

#[test]
fn kernel_a_profile_that_nobody_answers_for_is_refused() {
    let Some(mut bundle) = Bundle::shell("echo ran") else {
        return;
    };
    let rules = |call: &str| json!([{"names": [call], "action": "SCMP_ACT_NOTIFY"}]);
    let words = "failed to connect with seccomp agent";
    for (path, call, words) in [
        (json!(bundle.path().join("nobody.sock")), "mkdir", words),
        (json!("@nobody-listens-here"), "mkdir", words),
        (json!(""), "mkdir", "listenerPath is not set"),
        (
            json!("/x"),
            "write",
            "SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ),
    ] {
        for no_new_privileges in [false, true] {
            bundle.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
            bundle.config["linux"]["seccomp"] = profile(&rules(call));
            bundle.config["linux"]["seccomp"]["listenerPath"] = path.clone();
            let outcome = bundle.run();
            outcome.assert_error(1, words);
            assert_eq!(outcome.output, "");
        }
    }
    // Without anything to ask, nobody is looked for.
    bundle.config["linux"]["seccomp"] = profile(&json!([]));
    bundle.config["linux"]["seccomp"]["listenerPath"] = json!("/nobody.sock");
    assert_eq!(bundle.run().success(), "ran\n");
}

#[test]
fn kernel_each_action_does_what_it_says() {
    let Some(mut bundle) = Bundle::shell("mkdir /tmp/x && echo made") else {
        return;
    };
    bundle.config["process"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]);
    let killed = 128 + 31;
    for (action, errno, status, said) in [
        ("SCMP_ACT_ERRNO", json!(null), 1, "Operation not permitted"),
        ("SCMP_ACT_ERRNO", json!(100), 1, "Network is down"),
        // Without a tracer.
        ("SCMP_ACT_TRACE", json!(null), 1, "Function not implemented"),
        ("SCMP_ACT_KILL", json!(null), killed, ""),
        ("SCMP_ACT_KILL_THREAD", json!(null), killed, ""),
        ("SCMP_ACT_KILL_PROCESS", json!(null), killed, ""),
        ("SCMP_ACT_TRAP", json!(null), killed, ""),
        ("SCMP_ACT_LOG", json!(null), 0, ""),
    ] {
        for no_new_privileges in [false, true] {
            bundle.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
            bundle.config["linux"]["seccomp"] = profile(
                &json!([{"names": ["mkdir", "mkdirat"], "action": action, "errnoRet": errno}]),
            );
            // The shell is the first process, and its child the one that is killed.
            bundle.set_script("mkdir /tmp/x; status=$?; rmdir /tmp/x 2>/dev/null; exit $status");
            let outcome = bundle.run();
            assert_eq!(outcome.status, status, "{action} {outcome:?}");
            assert!(outcome.error.contains(said), "{action} {outcome:?}");
        }
    }
}

#[test]
fn kernel_hooks_of_start_container_are_under_the_filter() {
    let Some(mut bundle) = Bundle::shell("echo ran") else {
        return;
    };
    bundle.config["process"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]);
    bundle.config["hooks"] = json!({"startContainer": [
        {"path": "/bin/sh", "args": ["sh", "-c", "mkdir /tmp/foo"]},
    ]});
    for no_new_privileges in [false, true] {
        bundle.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        bundle.config["linux"]["seccomp"] =
            profile(&json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL"}]));
        let outcome = bundle.run();
        assert_eq!(
            (outcome.status, outcome.output.as_str()),
            (1, ""),
            "{outcome:?}"
        );
        for words in ["error running startContainer hook", "bad system call"] {
            assert!(outcome.error.contains(words), "{outcome:?}");
        }
    }
}

/// A profile without sockets, polling and newer calls is no reason for a start to go wrong.
#[test]
fn kernel_the_filter_need_not_permit_what_only_a_runtime_does() {
    let Some(mut bundle) = Bundle::shell("echo ran") else {
        return;
    };
    let calls = json!([
        "close_range",
        "fsopen",
        "fsconfig",
        "fspick",
        "openat2",
        "open_tree",
        "move_mount",
        "mount_setattr",
        "sendto",
        "sendmsg",
        "recvfrom",
        "recvmsg",
        "socket",
        "socketpair",
        "poll",
        "ppoll",
        "pidfd_open",
        "pidfd_getfd",
        "clone3"
    ]);
    for no_new_privileges in [false, true] {
        bundle.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        bundle.config["linux"]["seccomp"] =
            profile(&json!([{"names": calls, "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]));
        assert_eq!(bundle.run().success(), "ran\n");
        bundle.start_detached();
        crate::bundle::eventually("it has run", || bundle.detached_output() == "ran\n");
        bundle.delete();
    }
}

/// A program of a few instructions: no libc, which would hide what the kernel answers.
#[cfg(target_arch = "x86_64")]
fn program(code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let size = HEADERS + u64::try_from(code.len()).unwrap();
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    elf.extend([2_u16, 62].iter().flat_map(|half| half.to_le_bytes()));
    elf.extend(1_u32.to_le_bytes());
    elf.extend(
        [BASE + HEADERS, 64, 0]
            .iter()
            .flat_map(|word| word.to_le_bytes()),
    );
    elf.extend(0_u32.to_le_bytes());
    elf.extend(
        [64_u16, 56, 1, 0, 0, 0]
            .iter()
            .flat_map(|half| half.to_le_bytes()),
    );
    // One segment that is loaded, to be read and executed.
    elf.extend([1_u32, 5].iter().flat_map(|half| half.to_le_bytes()));
    elf.extend(
        [0, BASE, BASE, size, size, 4096]
            .iter()
            .flat_map(|word| word.to_le_bytes()),
    );
    elf.extend(code);
    elf
}

/// Makes one call by the given gate, and ends with the low byte of what came of it, its sign turned.
#[cfg(target_arch = "x86_64")]
fn one_call(gate: [u8; 2], number: u32) -> Vec<u8> {
    // mov eax, number; GATE; neg eax; mov edi, eax; mov eax, 60 (exit); syscall
    let [a, b, c, d] = number.to_le_bytes();
    program(&[
        0xb8, a, b, c, d, gate[0], gate[1], 0xf7, 0xd8, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 0x05,
    ])
}

#[cfg(target_arch = "x86_64")]
const SYSCALL: [u8; 2] = [0x0f, 0x05];
#[cfg(target_arch = "x86_64")]
const INT_80: [u8; 2] = [0xcd, 0x80];

/// What a program ends with in the container, and on the host.
#[cfg(target_arch = "x86_64")]
fn ends_with(bundle: &mut Bundle, gate: [u8; 2], number: u32) -> (i32, i32) {
    use std::os::unix::process::ExitStatusExt as _;
    let path = bundle.rootfs().join("probe");
    // By another process: see `Bundle::new`.
    let image = bundle.path().join("image");
    std::fs::write(&image, one_call(gate, number)).unwrap();
    let copied = std::process::Command::new("cp")
        .arg(&image)
        .arg(&path)
        .status()
        .unwrap();
    assert!(copied.success());
    set_mode(&path, 0o755);
    bundle.config["process"]["args"] = json!(["/probe"]);
    let inside = bundle.run().status;
    let outside = std::process::Command::new(&path).status().unwrap();
    let outside = outside
        .code()
        .unwrap_or_else(|| 128 + outside.signal().unwrap());
    (inside, outside)
}

#[cfg(target_arch = "x86_64")]
#[test]
fn kernel_calls_that_are_newer_than_the_profile_do_not_exist() {
    const EPERM: i32 = 1;
    const ENOSYS: i32 = 38;
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    // Docker's profile, which refuses with EPERM.
    assert_eq!(ends_with(&mut bundle, SYSCALL, 1000), (ENOSYS, ENOSYS));
    let reboot = 169;
    assert_eq!(ends_with(&mut bundle, SYSCALL, reboot).0, EPERM);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn kernel_the_other_ways_into_the_kernel_are_closed_too() {
    const KILLED: i32 = 128 + 31;
    const EPERM: i32 = 1;
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    let (getpid_32, socket_32, x32) = (20, 359, 0x4000_0000 + 39);
    // Whether this kernel has that way at all: without it there is a signal, or ENOSYS.
    let rules = json!([{"names": ["socket"], "action": "SCMP_ACT_ERRNO"}]);
    bundle.config["linux"]["seccomp"] = profile(&rules);
    let (inside, outside) = ends_with(&mut bundle, INT_80, getpid_32);
    let has_int_80 = !(128..=160).contains(&outside);
    if has_int_80 {
        assert_eq!(inside, KILLED, "outside {outside}");
    } else {
        assert!(inside > 128, "{inside}, outside {outside}");
    }
    assert_eq!(ends_with(&mut bundle, SYSCALL, x32).0, KILLED);
    bundle.config["linux"]["seccomp"]["architectures"] =
        json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    if has_int_80 {
        assert_eq!(ends_with(&mut bundle, INT_80, getpid_32).0, 255);
        assert_eq!(ends_with(&mut bundle, INT_80, socket_32).0, EPERM);
    }
    // Permitted by the filter; few kernels have these calls.
    let (inside, outside) = ends_with(&mut bundle, SYSCALL, x32);
    assert!(
        inside == outside || inside == 255,
        "{inside}, outside {outside}"
    );
}
