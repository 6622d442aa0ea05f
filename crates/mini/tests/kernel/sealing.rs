//! What a container must not reach through the runtime: its program, its descriptors, its working directory.

use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd};

use serde_json::json;

use crate::bundle::{Bundle, eventually};

/// CVE-2019-5736: the runtime shows itself in a process namespace, and is opened for writing by /proc/PID/exe.
#[test]
fn kernel_the_runtime_cannot_be_overwritten_from_inside() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_mini")).unwrap();
    // It waits at its gate: process 1 of its namespace is still the runtime.
    let Some(waiting) = Bundle::shell("echo never") else {
        return;
    };
    let Some(mut attacker) = Bundle::shell(
        "readlink /proc/1/exe; exec 4</proc/1/exe; echo opened; : 2>&1 >>/proc/1/exe; : 2>&1 >/proc/1/exe; \
         while [ -e /proc/1/exe ] && ! [ -e /tmp/go ]; do sleep 0.01; done; (: >>/proc/self/fd/4) 2>&1; echo over",
    ) else {
        return;
    };
    waiting.create().success();
    let namespaces = attacker.config["linux"]["namespaces"]
        .as_array_mut()
        .unwrap();
    namespaces.retain(|namespace| namespace["type"] != "pid");
    namespaces.push(json!({"type": "pid", "path": format!("/proc/{}/ns/pid", waiting.pid())}));
    // Seeing another's program takes the right to trace it.
    for set in ["bounding", "effective", "permitted"] {
        for name in ["CAP_SYS_PTRACE", "CAP_SYS_ADMIN"] {
            attacker.push(&format!("/process/capabilities/{set}"), json!(name));
        }
    }
    attacker.config["linux"]["seccomp"] = json!(null);
    // Each attempt in a shell of its own: a failed redirection ends the shell that makes it.
    attacker.set_script(
        "(: >>/proc/1/exe) 2>&1; (: >/proc/1/exe) 2>&1; exec 4</proc/1/exe && echo opened; (: >>/proc/self/fd/4) 2>&1; \
         dd if=/dev/zero of=/proc/1/exe bs=1 count=1 2>&1 | grep open",
    );
    let outcome = attacker.run();
    let lines: Vec<&str> = outcome.output.lines().collect();
    assert_eq!(lines.len(), 5, "{outcome:?}");
    assert!(lines.contains(&"opened"), "{outcome:?}");
    let refused = lines
        .iter()
        .filter(|line| line.contains("Read-only file system") || line.contains("Text file busy"))
        .count();
    assert_eq!(refused, 4, "{outcome:?}");
    assert!(
        lines[0].contains("Read-only file system"),
        "not sealed: {outcome:?}"
    );
    waiting.delete();
    assert!(
        std::fs::read(env!("CARGO_BIN_EXE_mini")).unwrap() == program,
        "the runtime was changed"
    );
}

/// The same by a script whose interpreter is "the program that runs now", through `exec`.
#[test]
fn kernel_a_script_that_is_run_by_the_runtime_itself_harms_nobody() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_mini")).unwrap();
    let Some(bundle) = Bundle::shell("echo ready; sleep 1000") else {
        return;
    };
    let script = bundle.rootfs().join("evil");
    std::fs::write(&script, "#!/proc/self/exe\n").unwrap();
    crate::bundle::set_mode(&script, 0o755);
    bundle.start_detached();
    eventually("it runs", || bundle.detached_output() == "ready\n");
    for _ in 0..5 {
        let outcome = bundle.verb("exec", &[], &["/evil"]);
        assert_ne!(outcome.status, 0, "{outcome:?}");
    }
    bundle.delete();
    assert!(
        std::fs::read(env!("CARGO_BIN_EXE_mini")).unwrap() == program,
        "the runtime was changed"
    );
}

/// Runs `mini` with descriptors of the host open at 3 and above, as a careless caller would.
fn run_with_open_descriptors(bundle: &Bundle, count: usize) -> (i32, String) {
    use std::io::Read as _;
    bundle.write();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let host = std::fs::File::open("/").unwrap();
    let mut descriptors: Vec<BorrowedFd<'_>> = vec![null.as_fd(), writer.as_fd(), writer.as_fd()];
    descriptors.extend(std::iter::repeat_n(host.as_fd(), count));
    let root = bundle.state_root();
    let words = [
        "mini",
        "--root",
        root.to_str().unwrap(),
        "run",
        "--bundle",
        bundle.path().to_str().unwrap(),
        &bundle.id,
    ];
    let argv: Vec<CString> = words
        .iter()
        .map(|word| CString::new(*word).unwrap())
        .collect();
    let path = CString::new(env!("CARGO_BIN_EXE_mini")).unwrap();
    let pid = sys::spawn::spawn(&path, &argv, &descriptors).unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let pid = rustix::process::Pid::from_raw(pid);
    let (_, status) = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())
        .unwrap()
        .unwrap();
    bundle.assert_nothing_left();
    (status.exit_status().unwrap(), text)
}

/// CVE-2024-21626, the first half: no descriptor of the host is open in the program.
#[test]
fn kernel_no_descriptor_of_the_host_is_open_inside() {
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    // `ls` itself opens the directory that it lists, as 3.
    bundle.config["process"]["args"] = json!(["ls", "/proc/self/fd"]);
    assert_eq!(
        run_with_open_descriptors(&bundle, 50),
        (0, "0\n1\n2\n3\n".to_owned())
    );
    // Nor in one that joins later.
    bundle.set_script("sleep 1000");
    bundle.start_detached();
    assert_eq!(
        bundle.verb("exec", &[], &["ls", "/proc/self/fd"]).success(),
        "0\n1\n2\n3\n"
    );
    bundle.delete();
}

/// CVE-2024-21626, the second half: a working directory that is a leaked descriptor.
#[test]
fn kernel_a_working_directory_on_the_host_is_refused() {
    let Some(mut bundle) = Bundle::shell("pwd; ls") else {
        return;
    };
    for number in 3..24 {
        bundle.config["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
        let (status, text) = run_with_open_descriptors(&bundle, 20);
        assert_eq!(status, 1, "{number}: {text}");
        assert!(!text.contains("usr"), "{number}: {text}");
    }
    // By a link of the image's.
    bundle.config["process"]["cwd"] = json!("/way/out");
    std::fs::create_dir(bundle.rootfs().join("way")).unwrap();
    for number in 3..12 {
        let link = bundle.rootfs().join("way/out");
        std::os::unix::fs::symlink(format!("/proc/self/fd/{number}"), &link).unwrap();
        let (status, text) = run_with_open_descriptors(&bundle, 20);
        assert_eq!(status, 1, "{number}: {text}");
        std::fs::remove_file(&link).unwrap();
    }
    // And for those that join.
    bundle.config["process"]["cwd"] = json!("/");
    bundle.set_script("sleep 1000");
    bundle.start_detached();
    for number in 0..20 {
        let cwd = format!("/proc/self/fd/{number}");
        let outcome = bundle.verb("exec", &["--cwd", &cwd], &["ls"]);
        assert_eq!(
            (outcome.status, outcome.output.as_str()),
            (255, ""),
            "{number}: {outcome:?}"
        );
    }
    bundle.delete();
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
