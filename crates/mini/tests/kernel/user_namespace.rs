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
