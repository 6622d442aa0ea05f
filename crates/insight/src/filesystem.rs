//! What a mount or a layer is for.

use observe::inside::{Layer, Mount};

/// What a mount means, in one sentence.
pub fn mount_sentence(mount: &Mount) -> String {
    let target = mount.target.as_str();
    let access = if mount.read_only {
        "It can only be read."
    } else {
        "It can be written."
    };
    let cgroups = target == "/sys/fs/cgroup" || target.starts_with("/sys/fs/cgroup/");
    let kernel_path = target.starts_with("/proc/") || target.starts_with("/sys/");
    match (target, mount.file_system.as_str()) {
        ("/", "overlay") => {
            format!("The root: the layers of the image, seen as one, with a writable layer on top. {access}")
        }
        ("/", _) => format!("The root of the container. {access}"),
        _ if cgroups => format!("The container's view of its control groups. {access}"),
        _ if kernel_path && mount.root == "/null" => {
            "Hidden: /dev/null is mounted over this file of the kernel.".into()
        }
        _ if kernel_path && mount.file_system == "tmpfs" => {
            "Hidden: an empty directory is mounted over this part of the kernel's files.".into()
        }
        _ if kernel_path && mount.read_only => {
            "Settings of the kernel that the container may read but not change.".into()
        }
        (_, "proc") => "Processes and settings of the kernel, as seen from the container's process namespace.".into(),
        (_, "sysfs") => format!("Devices and drivers of the machine. {access}"),
        ("/dev", _) => "Its own small set of device nodes instead of the machine's.".into(),
        (_, "devpts") => "Its own terminals; those of the host do not appear here.".into(),
        ("/dev/shm", _) => "Memory that its processes share; it counts as memory of the container.".into(),
        (_, "mqueue") => "Its own message queues.".into(),
        ("/etc/hosts" | "/etc/hostname" | "/etc/resolv.conf", _) => {
            "A file that the engine writes for this container: names of hosts and where to ask for them.".into()
        }
        (_, "tmpfs") => format!("Memory used as a file system; it is empty at each start and counts as memory of the container. {access}"),
        _ if mount.root != "/" => {
            format!("A directory or file from outside of the image (a volume or bind mount). It outlives the container. {access}")
        }
        (_, other) => format!("A file system of type {other}. {access}"),
    }
}

/// What a layer means, in one sentence.
pub fn layer_sentence(layer: &Layer) -> &'static str {
    if layer.writable {
        "What the container changed or added; it goes away with the container."
    } else {
        "A part of the image or of the container's start, shared with all containers of the same image and never changed."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(target: &str, file_system: &str, root: &str, read_only: bool) -> Mount {
        Mount {
            target: target.into(),
            source: "x".into(),
            root: root.into(),
            file_system: file_system.into(),
            options: vec![],
            propagation: "private".into(),
            read_only,
        }
    }

    #[test]
    fn the_mounts_of_every_container_are_known() {
        let cases = [
            (mount("/", "overlay", "/", false), "The root: the layers"),
            (mount("/proc", "proc", "/", false), "Processes and settings"),
            (
                mount("/proc/kcore", "devtmpfs", "/null", false),
                "Hidden: /dev/null",
            ),
            (mount("/proc/acpi", "tmpfs", "/", true), "Hidden: an empty"),
            (
                mount("/proc/sys", "proc", "/sys", true),
                "Settings of the kernel",
            ),
            (mount("/dev", "tmpfs", "/", false), "Its own small set"),
            (
                mount("/data", "ext4", "/volumes/a/_data", false),
                "A directory or file",
            ),
            (
                mount("/sys/fs/cgroup", "tmpfs", "/", false),
                "The container's view",
            ),
            (
                mount("/sys/fs/cgroup", "cgroup2", "/", true),
                "The container's view",
            ),
        ];
        for (mount, start) in cases {
            let sentence = mount_sentence(&mount);
            assert!(
                sentence.starts_with(start),
                "{} -> {sentence}",
                mount.target
            );
        }
    }
}
