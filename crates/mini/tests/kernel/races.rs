//! Root file systems made to lead the runtime elsewhere. Each is a way in which a runtime was once led onto its host.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;

use crate::bundle::{Bundle, eventually};

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

/// CVE-2026-41579 of runc, CVE-2026-47766 of crun.
#[test]
fn kernel_a_dev_that_is_a_link_does_not_lead_out() {
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

#[test]
fn kernel_a_proc_or_sys_that_is_a_link_is_refused() {
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

/// CVE-2021-30465: a directory of a shared volume is swapped for a link while a mount on it is made.
#[test]
fn kernel_a_swapped_directory_in_a_volume_does_not_lead_a_mount_out() {
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

/// CVE-2025-31133: /dev/null, which masks are made of, is something else.
#[test]
fn kernel_a_replaced_null_device_is_no_mask() {
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

/// CVE-2025-52881: writes to the kernel's files are led to others by a /proc that is not one.
#[test]
fn kernel_values_for_a_process_are_not_written_to_a_false_proc() {
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
