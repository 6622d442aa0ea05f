//! Namespaces, root, and what is mounted in it.

use serde_json::json;

use crate::bundle::Bundle;

const KINDS: [&str; 6] = ["cgroup", "ipc", "mnt", "net", "pid", "uts"];

#[test]
fn kernel_every_namespace_is_the_containers_own() {
    let Some(bundle) = Bundle::shell(
        "for kind in cgroup ipc mnt net pid uts user; do readlink /proc/self/ns/$kind; done",
    ) else {
        return;
    };
    let output = bundle.run().success();
    let theirs: Vec<&str> = output.lines().collect();
    assert_eq!(theirs.len(), 7, "{output}");
    for (kind, theirs) in KINDS.iter().zip(&theirs) {
        let ours = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert!(theirs.starts_with(&format!("{kind}:[")), "{theirs}");
        assert_ne!(ours.to_str().unwrap(), *theirs, "{kind} is shared");
    }
    // Not asked for, so it is the host's, which the container can see.
    let ours = std::fs::read_link("/proc/self/ns/user").unwrap();
    assert_eq!(theirs.last(), ours.to_str().as_ref());
}

#[test]
fn kernel_a_namespace_that_is_not_listed_is_the_hosts() {
    let Some(mut bundle) = Bundle::shell("readlink /proc/self/ns/net; readlink /proc/self/ns/ipc")
    else {
        return;
    };
    bundle.config["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "pid"}]);
    bundle.config["linux"]["sysctl"] = json!({});
    bundle.config["hostname"] = json!("");
    let output = bundle.run().success();
    for (line, kind) in output.lines().zip(["net", "ipc"]) {
        let ours = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_eq!(line, ours.to_str().unwrap());
    }
}

#[test]
fn kernel_the_hosts_root_is_gone() {
    let Some(bundle) = Bundle::shell(
        "ls /; echo --; ls /.. ; echo --; cat /proc/self/mountinfo; echo --; ls /proc/1/root/",
    ) else {
        return;
    };
    let output = bundle.run().success();
    let parts: Vec<&str> = output.split("--\n").collect();
    let names = "bin\ndev\netc\nproc\nsys\ntmp\n";
    assert_eq!([parts[0], parts[1], parts[3]], [names; 3]);
    // One mount is the root, and none has a place that is not below it.
    let roots = parts[2]
        .lines()
        .filter(|line| line.split(' ').nth(4) == Some("/"));
    assert_eq!(roots.count(), 1, "{}", parts[2]);
    assert!(
        !parts[2].contains(bundle.path().to_str().unwrap())
            || parts[2]
                .lines()
                .filter(|line| line.contains("/rootfs"))
                .count()
                == 1
    );
}

#[test]
fn kernel_the_root_cannot_be_left_by_chroot() {
    // With the capability that chroot needs: the classic way out of a chroot does not lead out of a changed root.
    let Some(bundle) = Bundle::shell(
        "mkdir -p /tmp/jail/bin && cp /bin/busybox /tmp/jail/bin/ && exec chroot /tmp/jail /bin/busybox sh -c \
         'i=0; while [ $i -lt 64 ]; do cd ..; i=$((i+1)); done; /bin/busybox ls'",
    ) else {
        return;
    };
    let outcome = bundle.run();
    assert_eq!(outcome.success(), "bin\n");
}

#[test]
fn kernel_mounts_do_not_show_on_the_host() {
    let Some(mut bundle) = Bundle::shell(
        "mount -t tmpfs inside-only /tmp && grep -c inside-only /proc/mounts; sleep 100",
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
    bundle.start_detached();
    crate::bundle::eventually("it has mounted", || bundle.detached_output() == "1\n");
    let ours = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!ours.contains("inside-only"));
    bundle.delete();
}

#[test]
fn kernel_proc_sys_and_dev_are_what_the_spec_says() {
    let Some(bundle) =
        Bundle::shell("cat /proc/self/mountinfo; echo --; ls -l /dev; echo --; ps -o pid,args")
    else {
        return;
    };
    let output = bundle.run().success();
    let parts: Vec<&str> = output.split("--\n").collect();
    let mounted = |destination: &str| {
        let line = parts[0]
            .lines()
            .find(|line| line.split(' ').nth(4) == Some(destination))
            .unwrap_or_else(|| panic!("{destination} is not mounted:\n{}", parts[0]));
        let options = line.split(' ').nth(5).unwrap();
        let kind = line.split(" - ").nth(1).unwrap().split(' ').next().unwrap();
        (
            kind.to_owned(),
            options.split(',').map(str::to_owned).collect::<Vec<_>>(),
        )
    };
    for (destination, kind, wanted) in [
        ("/proc", "proc", &["nosuid", "nodev", "noexec"][..]),
        ("/sys", "sysfs", &["ro", "nosuid", "nodev", "noexec"]),
        ("/dev", "tmpfs", &["nosuid"]),
        ("/dev/pts", "devpts", &["nosuid", "noexec"]),
        ("/dev/shm", "tmpfs", &["nosuid", "nodev", "noexec"]),
        ("/dev/mqueue", "mqueue", &["nosuid", "nodev", "noexec"]),
    ] {
        let (found, options) = mounted(destination);
        assert_eq!(found, kind, "{destination}");
        for option in wanted {
            assert!(
                options.iter().any(|have| have == option),
                "{destination}: {options:?}"
            );
        }
    }
    // Its own processes are the only ones.
    assert!(
        parts[2]
            .lines()
            .any(|line| line.trim_start().starts_with("1 ")),
        "{}",
        parts[2]
    );
    assert!(parts[2].lines().count() <= 4, "{}", parts[2]);
    for (name, numbers) in [
        ("null", "1,   3"),
        ("zero", "1,   5"),
        ("full", "1,   7"),
        ("random", "1,   8"),
        ("urandom", "1,   9"),
        ("tty", "5,   0"),
    ] {
        let line = parts[1]
            .lines()
            .find(|line| line.ends_with(&format!(" {name}")))
            .unwrap_or_else(|| panic!("no {name} in {}", parts[1]));
        assert!(
            line.starts_with("crw-rw-rw-") && line.contains(numbers),
            "{line}"
        );
    }
    for link in [
        "fd -> /proc/self/fd",
        "stdin -> /proc/self/fd/0",
        "stdout -> /proc/self/fd/1",
        "stderr -> /proc/self/fd/2",
        "ptmx -> pts/ptmx",
    ] {
        assert!(parts[1].contains(link), "{link} is not in {}", parts[1]);
    }
}

#[test]
fn kernel_a_read_only_root_stays_as_it_is_but_for_its_mounts() {
    let Some(mut bundle) = Bundle::shell(
        "touch /file; echo $?; touch /dev/shm/file; echo $?; touch /v/file; echo $?; touch /r/file; echo $?",
    ) else {
        return;
    };
    bundle.config["root"]["readonly"] = json!(true);
    let volume = bundle.path().join("volume");
    std::fs::create_dir(&volume).unwrap();
    let source = volume.to_str().unwrap().to_owned();
    bundle.push(
        "/mounts",
        json!({"destination": "/v", "type": "bind", "source": source, "options": ["rbind"]}),
    );
    bundle.push(
        "/mounts",
        json!({"destination": "/r", "type": "bind", "source": source, "options": ["rbind", "ro"]}),
    );
    let outcome = bundle.run();
    assert_eq!(outcome.output, "1\n0\n0\n1\n", "{outcome:?}");
    assert!(volume.join("file").exists());
    assert!(!bundle.rootfs().join("file").exists());
}

#[test]
fn kernel_a_namespace_is_joined_by_its_path() {
    let Some(first) = Bundle::shell("echo ready; sleep 1000") else {
        return;
    };
    let Some(mut second) =
        Bundle::shell("hostname; ps -o args | grep -c 'sleep 1000'; readlink /proc/self/ns/net")
    else {
        return;
    };
    first.start_detached();
    let pid = first.pid();
    for (kind, file) in [("uts", "uts"), ("pid", "pid"), ("network", "net")] {
        let namespaces = second.config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != kind);
        namespaces.push(json!({"type": kind, "path": format!("/proc/{pid}/ns/{file}")}));
    }
    second.config["hostname"] = json!("");
    second.config["linux"]["sysctl"] = json!({});
    let network = std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    crate::bundle::eventually("it runs", || first.detached_output() == "ready\n");
    let output = second.run().success();
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "bundle");
    assert!(lines[1].parse::<u32>().unwrap() >= 1, "{output}");
    assert_eq!(lines[2], network.to_str().unwrap());
    first.delete();
}

#[test]
fn kernel_without_a_mount_namespace_the_root_is_changed_and_nothing_is_left_on_the_host() {
    let Some(mut bundle) =
        Bundle::shell("ls /; readlink /proc/self/ns/mnt; echo ready; sleep 1000")
    else {
        return;
    };
    bundle.config["linux"]["namespaces"] = json!([]);
    bundle.config["linux"]["sysctl"] = json!({});
    bundle.config["hostname"] = json!("");
    bundle
        .run()
        .assert_error(1, "without a private MNT namespace");
    bundle.config["linux"]["maskedPaths"] = json!([]);
    bundle.config["linux"]["readonlyPaths"] = json!([]);
    bundle.start_detached();
    crate::bundle::eventually("it runs", || bundle.detached_output().ends_with("ready\n"));
    let ours = std::fs::read_link("/proc/self/ns/mnt").unwrap();
    let names = "bin\ndev\netc\nproc\nsys\ntmp\n";
    let ours = ours.to_str().unwrap();
    assert_eq!(bundle.detached_output(), format!("{names}{ours}\nready\n"));
    let executed = bundle.verb("exec", &[], &["/bin/ls", "/"]).success();
    assert_eq!(executed, names);
    bundle.delete();
    // What cannot start leaves nothing either.
    bundle.config["process"]["args"] = json!(["/nothing"]);
    bundle.run().assert_error(1, "/nothing");
}
