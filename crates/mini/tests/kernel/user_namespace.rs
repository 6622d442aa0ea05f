//! Containers whose root is not the host's.

use serde_json::json;

use crate::bundle::{Bundle, status_field};

/// The host's id of the containers' root here.
pub(crate) const ROOT: u32 = 100_000;

/// A bundle as dockerd with `--userns-remap` makes it: 65536 ids, all files the container's root's.
pub(crate) fn remapped(script: &str) -> Option<Bundle> {
    let mut bundle = Bundle::shell(script)?;
    map(&mut bundle, ROOT);
    Some(bundle)
}

fn map(bundle: &mut Bundle, root: u32) {
    bundle.push("/linux/namespaces", json!({"type": "user"}));
    let ids = json!([{"containerID": 0, "hostID": root, "size": 65_536}]);
    // Docker's range of groups ends beyond the last id here.
    bundle.config["linux"]["sysctl"]["net.ipv4.ping_group_range"] = json!("0 1000");
    bundle.config["linux"]["uidMappings"] = ids.clone();
    bundle.config["linux"]["gidMappings"] = ids;
    give(&bundle.rootfs(), root);
}

/// Makes all below a directory a user's, links themselves.
pub(crate) fn give(path: &std::path::Path, id: u32) {
    std::os::unix::fs::lchown(path, Some(id), Some(id)).unwrap();
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), id);
        }
    }
}

#[test]
fn kernel_a_remapped_root_is_root_inside_and_nobody_outside() {
    let Some(bundle) = remapped(
        "id -u; id -g; cat /proc/self/uid_map; cat /proc/self/setgroups; touch /file; stat -c %u:%g /file; sleep 1000",
    ) else {
        return;
    };
    bundle.start_detached();
    crate::bundle::eventually("it runs", || bundle.detached_output().contains("0:0"));
    let output = bundle.detached_output();
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[..2], ["0", "0"], "{output}");
    let map: Vec<&str> = lines[2].split_whitespace().collect();
    assert_eq!(map, ["0", "100000", "65536"]);
    assert_eq!(lines[3..], ["allow", "0:0"]);
    use std::os::unix::fs::MetadataExt as _;
    let file = std::fs::metadata(bundle.rootfs().join("file")).unwrap();
    assert_eq!((file.uid(), file.gid()), (ROOT, ROOT));
    let status = std::fs::read_to_string(format!("/proc/{}/status", bundle.pid())).unwrap();
    assert_eq!(
        status_field(&status, "Uid"),
        "100000\t100000\t100000\t100000"
    );
    bundle.delete();
}

#[test]
fn kernel_every_other_namespace_belongs_to_the_user_namespace() {
    let Some(bundle) = remapped("echo ready; sleep 1000") else {
        return;
    };
    bundle.start_detached();
    let pid = bundle.pid();
    let user = std::fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "uts"] {
        let file = std::fs::File::open(format!("/proc/{pid}/ns/{kind}")).unwrap();
        let owner = sys::namespace::owner_of(std::os::fd::AsFd::as_fd(&file)).unwrap();
        let owner = std::fs::read_link(format!(
            "/proc/self/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(&owner)
        ))
        .unwrap();
        assert_eq!(owner, user, "{kind} belongs to another");
    }
    bundle.delete();
}

#[test]
fn kernel_file_systems_and_devices_work_in_a_user_namespace() {
    let Some(bundle) = remapped(
        "echo x > /dev/null; head -c 4 /dev/zero | wc -c; [ -c /dev/null ] && [ -c /dev/tty ] && echo devices; \
         mkdir /dev/mqueue/d 2>/dev/null; touch /dev/mqueue/q && stat -c %u /dev/mqueue/q; \
         touch /dev/shm/f && stat -c %u /dev/shm/f; ls /sys/class/net; cat /proc/sys/kernel/hostname; \
         stat -c %u:%g /dev/pts; awk '$5==\"/proc\"||$5==\"/sys\"||$5==\"/dev/mqueue\"{print $5}' /proc/self/mountinfo; \
         cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
    ) else {
        return;
    };
    let outcome = bundle.run();
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let lines: Vec<&str> = outcome.output.lines().collect();
    for line in ["4", "devices", "lo", "0:0", "/proc", "/sys", "/dev/mqueue"] {
        assert!(lines.contains(&line), "{line} is not in {outcome:?}");
    }
    assert_eq!(
        lines.iter().filter(|line| **line == "0").count(),
        3,
        "{outcome:?}"
    );
}

#[test]
fn kernel_exec_is_the_remapped_root_too_with_its_streams_and_without_the_hosts_rights() {
    let Some(bundle) = remapped("sleep 1000") else {
        return;
    };
    bundle.start_detached();
    let script = "id -u; readlink /proc/self/ns/user; cat /proc/self/status /proc/self/cgroup; echo open > /dev/stdout";
    let output = bundle
        .verb("exec", &[], &["/bin/sh", "-c", script])
        .success();
    let lines: Vec<&str> = output.lines().collect();
    let user = std::fs::read_link(format!("/proc/{}/ns/user", bundle.pid())).unwrap();
    assert_eq!(lines[..2], ["0", user.to_str().unwrap()], "{output}");
    assert_eq!(lines.last(), Some(&"open"), "{output}");
    // In the container's namespaces it is in the cgroup's root.
    assert!(lines.contains(&"0::/"), "{output}");
    let executed = |key| status_field(&output, key).to_owned();
    assert_eq!(executed("Uid"), "0\t0\t0\t0");
    let first = std::fs::read_to_string(format!("/proc/{}/status", bundle.pid())).unwrap();
    assert_eq!(executed("CapEff"), status_field(&first, "CapEff"));
    let user = bundle
        .verb(
            "exec",
            &["--user", "7:8"],
            &["/bin/sh", "-c", "id -u; id -g"],
        )
        .success();
    assert_eq!(user, "7\n8\n");
    bundle
        .verb("exec", &["--user", "70000"], &["/bin/true"])
        .assert_error(255, "70000");
    bundle.delete();
}

#[test]
fn kernel_all_namespaces_of_a_remapped_container_are_joined_by_their_paths() {
    let Some(first) = remapped("sleep 1000") else {
        return;
    };
    let Some(mut second) = remapped(
        "for kind in cgroup ipc net pid user uts; do readlink /proc/self/ns/$kind; done; id -u; sleep 1000",
    ) else {
        return;
    };
    first.start_detached();
    let pid = first.pid();
    let kinds = [
        ("cgroup", "cgroup"),
        ("ipc", "ipc"),
        ("network", "net"),
        ("pid", "pid"),
        ("user", "user"),
        ("uts", "uts"),
    ];
    second.config["linux"]["namespaces"] = json!([{"type": "mount"}]);
    for (kind, file) in kinds {
        let path = format!("/proc/{pid}/ns/{file}");
        second.push("/linux/namespaces", json!({"type": kind, "path": path}));
    }
    second.config["hostname"] = json!("");
    for list in ["uidMappings", "gidMappings"] {
        second.config["linux"][list] = json!(null);
    }
    second.start_detached();
    crate::bundle::eventually("it runs", || second.detached_output().ends_with("\n0\n"));
    let output = second.detached_output();
    for ((_, file), line) in kinds.iter().zip(output.lines()) {
        let theirs = std::fs::read_link(format!("/proc/{pid}/ns/{file}")).unwrap();
        assert_eq!(line, theirs.to_str().unwrap(), "{output}");
    }
    let executed = second
        .verb("exec", &[], &["/bin/readlink", "/proc/self/ns/user"])
        .success();
    let user = std::fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
    assert_eq!(executed.trim(), user.to_str().unwrap());
    second.delete();
    // Ids of its own for a namespace that has some.
    second.config["linux"]["uidMappings"] =
        json!([{"containerID": 0, "hostID": 200_000, "size": 10}]);
    second.run().assert_error(
        1,
        "differs from the ids of the user namespace that is joined",
    );
    first.delete();
}

#[test]
fn kernel_a_namespace_of_the_host_is_joined_before_a_new_user_namespace() {
    let Some(mut bundle) = remapped("readlink /proc/self/ns/net; id -u; hostname x; echo $?")
    else {
        return;
    };
    let namespaces = bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "network");
    namespaces.push(json!({"type": "network", "path": "/proc/self/ns/net"}));
    bundle.config["linux"]["sysctl"] = json!({});
    // Whoever does not own the network may not mount its sysfs: the host's is shown, as with crun.
    let output = bundle.run().success();
    let ours = std::fs::read_link("/proc/self/ns/net").unwrap();
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[..2], [ours.to_str().unwrap(), "0"]);
}

#[test]
fn kernel_a_path_that_is_no_namespace_of_its_kind_is_refused() {
    let Some(mut bundle) = Bundle::shell("true") else {
        return;
    };
    for (path, words) in [
        (
            "/proc/self/ns/uts",
            "is a uts namespace, not a net namespace",
        ),
        ("/proc/self/status", "is not a namespace"),
        ("/nonexistent", "open namespace /nonexistent: no such file"),
    ] {
        let namespaces = bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({"type": "network", "path": path}));
        bundle.run().assert_error(1, words);
    }
}

#[test]
fn kernel_a_source_in_another_users_private_directory_is_mounted() {
    let Some(mut bundle) = remapped("cat /volume/file; mount | grep ' /volume '") else {
        return;
    };
    let home = bundle.path().join("home");
    std::fs::create_dir_all(home.join("volume")).unwrap();
    std::fs::write(home.join("volume/file"), "private\n").unwrap();
    // Neither the host's root without its rights nor the container's is let through.
    give(&home, 4321);
    crate::bundle::set_mode(&home, 0o700);
    let source = home.join("volume");
    bundle.push(
        "/mounts",
        json!({"destination": "/volume", "type": "bind", "source": source, "options": ["rbind", "ro"]}),
    );
    let output = bundle.run().success();
    assert!(output.starts_with("private\n"), "{output}");
    assert!(output.contains("ro"), "{output}");
    bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .last_mut()
        .unwrap()["source"] = json!(home.join("nothing"));
    bundle.run().assert_error(1, "home/nothing");
}

#[test]
fn kernel_pipes_and_the_terminal_are_the_containers_roots() {
    let Some(mut bundle) =
        remapped("echo a > /dev/stdout; echo b > /proc/self/fd/2; cat /dev/stdin")
    else {
        return;
    };
    let outcome = bundle.run();
    assert_eq!(
        (outcome.output.as_str(), outcome.error.as_str()),
        ("a\n", "b\n")
    );
    assert_eq!(outcome.status, 0, "{outcome:?}");
    bundle.config["process"]["user"] = json!({"uid": 5, "gid": 6});
    let outcome = bundle.run();
    assert_eq!(
        (outcome.output.as_str(), outcome.error.as_str()),
        ("a\n", "b\n")
    );
}

/// Podman's `--userns=keep-id`: the user's own id inside is the one outside, all others are of the range.
#[test]
fn kernel_ids_may_be_kept_inside() {
    let Some(mut bundle) = remapped("id -u; stat -c %u:%g /mine; cat /proc/self/uid_map | wc -l")
    else {
        return;
    };
    let ids = json!([
        {"containerID": 0, "hostID": ROOT, "size": 1000},
        {"containerID": 1000, "hostID": 4321, "size": 1},
        {"containerID": 1001, "hostID": ROOT + 1001, "size": 64_535},
    ]);
    bundle.config["linux"]["uidMappings"] = ids.clone();
    bundle.config["linux"]["gidMappings"] = ids;
    bundle.config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [10]});
    std::fs::write(bundle.rootfs().join("mine"), "").unwrap();
    give(&bundle.rootfs().join("mine"), 4321);
    assert_eq!(bundle.run().success(), "1000\n1000:1000\n3\n");
}

#[test]
fn kernel_a_delegated_cgroup_is_the_containers_users() {
    let Some(mut bundle) = remapped("sleep 1000") else {
        return;
    };
    let layout = cgroups::Layout::detect().unwrap();
    for mount in bundle.config["mounts"].as_array_mut().unwrap() {
        if mount["type"] == "cgroup" {
            let options = mount["options"].as_array_mut().unwrap();
            options.retain(|option| option != "ro");
        }
    }
    bundle.start_detached();
    use std::os::unix::fs::MetadataExt as _;
    for directory in bundle.cgroup_directories() {
        let v2 = layout
            .v2()
            .is_some_and(|v2| directory.starts_with(&v2.mount_point));
        let owner = std::fs::metadata(&directory).unwrap().uid();
        let processes = std::fs::metadata(directory.join("cgroup.procs")).unwrap();
        let expected = if v2 { ROOT } else { 0 };
        assert_eq!(
            (owner, processes.uid()),
            (expected, expected),
            "{}",
            directory.display()
        );
    }
    bundle.delete();
}

#[test]
fn kernel_a_container_cannot_trace_what_joins_it() {
    // What joins it must not be open to it before it is the program (CVE-2016-9962): neither to a root with the same rights, nor
    // in a user namespace to one that may trace everybody in there.
    let script = "while :; do for p in /proc/[0-9]*; do n=${p#/proc/}; [ $n -gt 2 ] || continue; \
                  e=$(readlink $p/exe 2>/dev/null); case \"$e\" in *mini*|*memfd*) echo \"seen $e\";; esac; done; done";
    for remap in [false, true] {
        let Some(mut bundle) = Bundle::shell(script) else {
            return;
        };
        if remap {
            map(&mut bundle, ROOT);
            for set in ["bounding", "effective", "permitted"] {
                let set = format!("/process/capabilities/{set}");
                bundle.push(&set, json!("CAP_SYS_PTRACE"));
            }
        }
        bundle.start_detached();
        for _ in 0..20 {
            bundle.verb("exec", &[], &["/bin/true"]).success();
        }
        let seen = bundle.detached_output().lines().count();
        assert_eq!(seen, 0, "remapped: {remap}");
        bundle.delete();
    }
}
