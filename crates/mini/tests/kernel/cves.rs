//! The vulnerabilities that container runtimes have had, each tried here: runc's, and crun's of 2026.
//!
//! Source: the advisories of github.com/opencontainers/runc and github.com/containers/crun by these numbers.

use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, Mode, RenameFlags, renameat_with};
use serde_json::json;

use crate::bundle::{Bundle, eventually};
use crate::terminal::{read_until, receive_master};

/// A directory of the host that no container was given.
fn outside(bundle: &Bundle) -> std::path::PathBuf {
    let outside = bundle.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    outside
}

#[track_caller]
fn assert_untouched(outside: &Path) {
    let found: Vec<_> = std::fs::read_dir(outside)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(found.is_empty(), "made outside of the root: {found:?}");
}

/// Overwriting the runtime by `/proc/PID/exe`: from a process namespace that it shows itself in.
#[test]
fn kernel_cve_2019_5736_the_runtime_cannot_be_overwritten_from_inside() {
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
fn kernel_cve_2019_5736_a_script_that_is_run_by_the_runtime_itself_harms_nobody() {
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

/// A directory of a shared volume is swapped for a link while a mount on it is made.
#[test]
fn kernel_cve_2021_30465_a_swapped_directory_does_not_lead_a_mount_out() {
    let Some(mut bundle) = Bundle::shell("true") else {
        return;
    };
    let outside = outside(&bundle);
    let volume = bundle.path().join("volume");
    std::fs::create_dir_all(volume.join("place")).unwrap();
    // As seen from the container the link leads to a directory of its root; as seen from the host, out of it.
    symlink(&outside, volume.join("link")).unwrap();
    bundle.push(
        "/mounts",
        json!({"destination": "/volume", "type": "bind", "source": volume, "options": ["rbind"]}),
    );
    for name in ["one", "two", "three"] {
        bundle.push("/mounts", json!({"destination": format!("/volume/place/{name}"), "type": "tmpfs", "source": "raced"}));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let (stop, volume) = (Arc::clone(&stop), volume.clone());
        move || {
            let mut swaps = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                renameat_with(
                    CWD,
                    volume.join("place"),
                    CWD,
                    volume.join("link"),
                    RenameFlags::EXCHANGE,
                )
                .unwrap();
                swaps += 1;
            }
            swaps
        }
    });
    let mut ended_well = 0;
    for _ in 0..60 {
        let outcome = bundle.run();
        ended_well += u32::from(outcome.status == 0);
        assert_untouched(&outside);
    }
    stop.store(true, Ordering::Relaxed);
    let swaps = swapper.join().unwrap();
    assert!(swaps > 1000, "{swaps} swaps are no race");
    assert!(ended_well > 0, "no start was possible at all");
}

/// An image whose /proc or /sys is a link chooses what is masked (a return of CVE-2019-19921).
#[test]
fn kernel_cve_2023_27561_a_proc_or_sys_that_is_a_link_is_refused() {
    for name in ["proc", "sys"] {
        let Some(bundle) = Bundle::shell("echo ran") else {
            return;
        };
        std::fs::remove_dir(bundle.rootfs().join(name)).unwrap();
        std::fs::create_dir(bundle.rootfs().join("elsewhere")).unwrap();
        symlink("elsewhere", bundle.rootfs().join(name)).unwrap();
        let outcome = bundle.run();
        assert_eq!(
            (outcome.status, outcome.output.as_str()),
            (1, ""),
            "{outcome:?}"
        );
        assert!(outcome.error.contains("symbolic link"), "{outcome:?}");
    }
}

/// An image whose /proc is a link, or has no /proc mounted at all: what a security module is told goes to the image's own
/// files, and the program runs without its profile.
#[test]
fn kernel_cve_2023_28642_nothing_is_told_to_a_false_proc_of_the_image() {
    let Some(mut bundle) = Bundle::shell("echo ran; sleep 1000") else {
        return;
    };
    let fake = bundle.rootfs().join("fake");
    let files = [
        "self/attr/exec",
        "self/attr/apparmor/exec",
        "self/oom_score_adj",
        "sys/net/ipv4/ip_unprivileged_port_start",
    ];
    for file in files {
        let file = fake.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "").unwrap();
    }
    let assert_untold = || {
        for file in files {
            assert_eq!(
                std::fs::read_to_string(fake.join(file)).unwrap(),
                "",
                "{file}"
            );
        }
    };
    std::fs::remove_dir(bundle.rootfs().join("proc")).unwrap();
    symlink("fake", bundle.rootfs().join("proc")).unwrap();
    bundle.config["process"]["oomScoreAdj"] = json!(123);
    // With the mount it is refused.
    bundle
        .run()
        .assert_error(1, "must be mounted on ordinary directory");
    assert_untold();
    // Without, the kernel is told and not the image.
    bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/proc"));
    bundle.config["linux"]["maskedPaths"] = json!([]);
    bundle.config["linux"]["readonlyPaths"] = json!([]);
    bundle.start_detached();
    let told = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", bundle.pid())).unwrap();
    assert_eq!(told, "123\n");
    assert_untold();
    bundle.delete();
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

/// The first half: a leaked descriptor of the host.
#[test]
fn kernel_cve_2024_21626_no_descriptor_of_the_host_is_open_inside() {
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

/// The second half: a working directory that is a leaked descriptor.
#[test]
fn kernel_cve_2024_21626_a_working_directory_on_the_host_is_refused() {
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

/// /dev/null, which masks are made of, is something else.
#[test]
fn kernel_cve_2025_31133_a_replaced_null_device_is_no_mask() {
    let Some(mut bundle) = Bundle::shell("echo ran") else {
        return;
    };
    let dev = bundle.path().join("fake-dev");
    std::fs::create_dir(&dev).unwrap();
    let secret = bundle.path().join("secret");
    std::fs::write(&secret, "of the host").unwrap();
    bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    bundle.push(
        "/mounts",
        json!({"destination": "/dev", "type": "bind", "source": dev, "options": ["rbind"]}),
    );
    for link in [true, false] {
        if link {
            symlink("/proc/sys/kernel/core_pattern", dev.join("null")).unwrap();
        } else {
            std::fs::write(dev.join("null"), "").unwrap();
        }
        let outcome = bundle.run();
        assert_eq!(
            (outcome.status, outcome.output.as_str()),
            (1, ""),
            "{outcome:?}"
        );
        std::fs::remove_file(dev.join("null")).unwrap();
    }
    // The same while it changes: a start either masks with the true device or does not happen.
    rustix::fs::mknodat(
        CWD,
        dev.join("null"),
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::from_raw_mode(0o666),
        rustix::fs::makedev(1, 3),
    )
    .unwrap();
    symlink("/proc/sys/kernel/core_pattern", dev.join("swap")).unwrap();
    bundle.set_script("wc -c </proc/timer_list; echo x >/proc/sys/kernel/core_pattern");
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let (stop, dev) = (Arc::clone(&stop), dev.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                renameat_with(
                    CWD,
                    dev.join("null"),
                    CWD,
                    dev.join("swap"),
                    RenameFlags::EXCHANGE,
                )
                .unwrap();
            }
        }
    });
    for _ in 0..40 {
        let outcome = bundle.run();
        if outcome.error.contains("Read-only file system") {
            // Where the test's files are on a file system without devices, the mask cannot even be opened.
            assert!(
                ["0\n", ""].contains(&outcome.output.as_str()),
                "{outcome:?}"
            );
        }
        assert_eq!(
            std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(),
            pattern
        );
    }
    stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
}

/// The terminal is something else.
#[test]
fn kernel_cve_2025_52565_a_false_devpts_gives_no_terminal() {
    let Some(mut bundle) = Bundle::shell("echo ran") else {
        return;
    };
    bundle.config["process"]["terminal"] = json!(true);
    let fake = bundle.path().join("fake-pts");
    std::fs::create_dir(&fake).unwrap();
    let secret = bundle.path().join("secret");
    std::fs::write(&secret, "of the host").unwrap();
    bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| mount["destination"] != "/dev/pts");
    bundle.push(
        "/mounts",
        json!({"destination": "/dev/pts", "type": "bind", "source": fake, "options": ["rbind"]}),
    );
    let socket = bundle.path().join("console.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let path = bundle.path().to_str().unwrap().to_owned();
    for kind in ["file", "link", "device"] {
        let ptmx = fake.join("ptmx");
        match kind {
            "file" => std::fs::write(&ptmx, "").unwrap(),
            "link" => std::os::unix::fs::symlink("/dev/null", &ptmx).unwrap(),
            // The host's own multiplexer by its number: a terminal of the host's.
            _ => rustix::fs::mknodat(
                rustix::fs::CWD,
                &ptmx,
                rustix::fs::FileType::CharacterDevice,
                Mode::from_raw_mode(0o666),
                rustix::fs::makedev(5, 2),
            )
            .unwrap(),
        }
        bundle.write();
        let outcome = bundle.create_with(&[
            "--bundle",
            &path,
            "--console-socket",
            socket.to_str().unwrap(),
        ]);
        assert_eq!(outcome.status, 1, "{kind}: {outcome:?}");
        assert!(outcome.error.contains("/dev/pts"), "{kind}: {outcome:?}");
        bundle.assert_nothing_left();
        std::fs::remove_file(&ptmx).unwrap();
    }
}

/// Writes to the kernel's files are led to others by a /proc that is not one: of a running container.
#[test]
fn kernel_cve_2025_52881_values_for_a_process_are_not_written_to_a_false_proc() {
    let Some(mut bundle) = Bundle::shell(
        "mount -t tmpfs false /proc && mkdir -p /proc/self/attr /proc/thread-self && : >/proc/self/oom_score_adj && : >/proc/self/attr/exec && echo ready; sleep 1000",
    ) else {
        return;
    };
    for set in ["bounding", "effective", "permitted"] {
        bundle.push(
            &format!("/process/capabilities/{set}"),
            json!("CAP_SYS_ADMIN"),
        );
    }
    bundle.config["linux"]["seccomp"] = json!(null);
    bundle.config["linux"]["maskedPaths"] = json!([]);
    bundle.config["linux"]["readonlyPaths"] = json!([]);
    bundle.start_detached();
    eventually("it has covered /proc", || {
        bundle.detached_output() == "ready\n"
    });
    let mut process = bundle.config["process"].clone();
    process["args"] = json!([
        "/bin/sh",
        "-c",
        "cat /proc/self/oom_score_adj; echo over; sleep 1000"
    ]);
    process["oomScoreAdj"] = json!(321);
    let file = bundle.path().join("process.json");
    std::fs::write(&file, process.to_string()).unwrap();
    let pid_file = bundle.path().join("pid");
    let said = std::fs::File::create(bundle.path().join("said")).unwrap();
    let arguments = [
        "exec",
        "--detach",
        "--process",
        file.to_str().unwrap(),
        "--pid-file",
        pid_file.to_str().unwrap(),
        &bundle.id,
    ];
    let status = bundle
        .mini(&arguments)
        .stdout(said)
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    eventually("it has looked", || {
        std::fs::read_to_string(bundle.path().join("said")).unwrap() == "over\n"
    });
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    assert_eq!(
        std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap(),
        "321\n"
    );
    bundle.delete();
}

/// The same of the container's first process: mounts that bring files of the image where the kernel's are written.
#[test]
fn kernel_cve_2025_52881_no_mount_takes_the_place_of_the_kernels_files() {
    let Some(mut bundle) = Bundle::shell("echo ran") else {
        return;
    };
    let fake = bundle.path().join("fake");
    std::fs::create_dir(&fake).unwrap();
    std::fs::write(fake.join("file"), "").unwrap();
    symlink("/proc", bundle.rootfs().join("way")).unwrap();
    let base = bundle.config.clone();
    for (destination, source, words) in [
        ("/proc", ".", "it is not of type proc"),
        ("/proc/sys", ".", "a mount inside /proc is not permitted"),
        (
            "/proc/self/attr",
            ".",
            "a mount inside /proc is not permitted",
        ),
        (
            "/proc/version",
            "file",
            "a mount inside /proc is not permitted",
        ),
        ("/way/sys", ".", "a mount inside /proc is not permitted"),
        (
            "/proc/../proc/sys/kernel",
            ".",
            "a mount inside /proc is not permitted",
        ),
    ] {
        bundle.config = base.clone();
        bundle.push(
            "/mounts",
            json!({"destination": destination, "type": "bind", "source": fake.join(source), "options": ["bind"]}),
        );
        let outcome = bundle.run();
        assert_eq!(outcome.output, "", "{destination}: {outcome:?}");
        outcome.assert_error(1, words);
    }
}

/// An image whose /dev is a link, and nothing mounted on it: runc took away a file `ptmx` on the host, and made its links
/// there.
#[test]
fn kernel_cve_2026_41579_links_of_dev_are_not_made_on_the_host() {
    let Some(mut bundle) = Bundle::shell("readlink /dev/ptmx") else {
        return;
    };
    bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    let outside = outside(&bundle);
    for absolute in [true, false] {
        std::fs::write(outside.join("ptmx"), "of the host").unwrap();
        let target = if absolute {
            outside.clone()
        } else {
            Path::new("../outside").to_owned()
        };
        let dev = bundle.rootfs().join("dev");
        std::fs::remove_dir(&dev)
            .or_else(|_| std::fs::remove_file(&dev))
            .unwrap();
        symlink(target, &dev).unwrap();
        let outcome = bundle.run();
        let kept = std::fs::read_to_string(outside.join("ptmx"));
        assert_eq!(kept.unwrap(), "of the host", "{outcome:?}");
        std::fs::remove_file(outside.join("ptmx")).unwrap();
        assert_untouched(&outside);
        assert_eq!(outcome.output, "pts/ptmx\n", "{outcome:?}");
    }
}

/// An image whose /dev is a link: crun made its devices on the host.
#[test]
fn kernel_cve_2026_47766_a_dev_that_is_a_link_does_not_lead_out() {
    for absolute in [true, false] {
        let Some(bundle) = Bundle::shell("ls -l /dev/null | cut -c1") else {
            return;
        };
        let outside = outside(&bundle);
        std::fs::remove_dir(bundle.rootfs().join("dev")).unwrap();
        let target = if absolute {
            outside.clone()
        } else {
            Path::new("../outside").to_owned()
        };
        symlink(target, bundle.rootfs().join("dev")).unwrap();
        let outcome = bundle.run();
        assert_untouched(&outside);
        assert_eq!(outcome.output, "c\n", "{outcome:?}");
    }
}

/// /dev/console is a link: it was made outside of the root (crun).
#[test]
fn kernel_cve_2026_88264_a_console_that_is_a_link_does_not_lead_out() {
    let Some(mut bundle) = Bundle::shell("tty; readlink /dev/console; echo end") else {
        return;
    };
    bundle.config["process"]["terminal"] = json!(true);
    // No tmpfs on /dev: the image's own.
    bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| mount["destination"] != "/dev");
    let outside = bundle.path().join("outside");
    std::fs::write(&outside, "of the host").unwrap();
    std::os::unix::fs::symlink(&outside, bundle.rootfs().join("dev/console")).unwrap();
    let socket = bundle.path().join("console.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    bundle.write();
    let path = bundle.path().to_str().unwrap().to_owned();
    bundle
        .create_with(&[
            "--bundle",
            &path,
            "--console-socket",
            socket.to_str().unwrap(),
        ])
        .success();
    let mut master = receive_master(&listener);
    bundle.verb("start", &[], &[]).success();
    let text = read_until(&mut master, "end");
    assert!(text.contains("/dev/pts/0"), "{text:?}");
    bundle.delete();
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "of the host");
}

/// /dev/null is a link, and nothing mounted on /dev: the standard streams were led to a file of the host (crun).
#[test]
fn kernel_cve_2026_88265_standard_streams_are_not_led_to_a_file_of_the_host() {
    let Some(mut bundle) = Bundle::shell("cat; echo written; readlink /proc/self/fd/0") else {
        return;
    };
    bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| mount["destination"] != "/dev");
    let secret = bundle.path().join("secret");
    std::fs::write(&secret, "of the host\n").unwrap();
    let null = bundle.rootfs().join("dev/null");
    symlink(&secret, &null).unwrap();
    let outcome = bundle.run();
    assert_eq!(
        (outcome.status, outcome.output.as_str()),
        (1, ""),
        "{outcome:?}"
    );
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "of the host\n");
    // The true one is taken, from the container's own /dev.
    std::fs::remove_file(&null).unwrap();
    assert_eq!(bundle.run().success(), "written\n/dev/null\n");
}

/// What they have in common: a mount point is looked up inside.
#[test]
fn kernel_mount_points_are_made_inside_whatever_the_links_say() {
    let Some(mut bundle) = Bundle::shell("cat /a/b/file; cat /up/file") else {
        return;
    };
    let outside = outside(&bundle);
    let volume = bundle.path().join("volume");
    std::fs::create_dir(&volume).unwrap();
    std::fs::write(volume.join("file"), "inside\n").unwrap();
    symlink(&outside, bundle.rootfs().join("a")).unwrap();
    symlink("../../../../../../../../..", bundle.rootfs().join("up")).unwrap();
    for destination in ["/a/b", "/up/new/../up2"] {
        bundle.push("/mounts", json!({"destination": destination, "type": "bind", "source": volume, "options": ["bind"]}));
    }
    bundle.set_script("cat /a/b/file; cat /up2/file");
    let outcome = bundle.run();
    assert_eq!(outcome.output, "inside\ninside\n", "{outcome:?}");
    assert_untouched(&outside);
}

/// What these tests look for is seen when it happens.
#[test]
fn kernel_what_an_attack_leaves_is_noticed() {
    let Some(bundle) = Bundle::shell("true") else {
        return;
    };
    let outside = outside(&bundle);
    assert_untouched(&outside);
    std::fs::write(outside.join("made"), "").unwrap();
    assert!(std::panic::catch_unwind(|| assert_untouched(&outside)).is_err());
}
