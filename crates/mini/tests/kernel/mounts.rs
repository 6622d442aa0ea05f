//! Mounts of every kind, with every option, as the container finds them.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, mount_remount, unmount,
};
use serde_json::{Value, json};

use crate::bundle::{Bundle, set_mode};
use crate::user_namespace::remapped;

/// A tmpfs of the host with another in it, taken away again at the end.
struct Volume {
    path: PathBuf,
}

impl Volume {
    fn new(bundle: &Bundle) -> Self {
        let path = bundle.path().join("volume");
        std::fs::create_dir_all(&path).unwrap();
        mount("volume", &path, "tmpfs", MountFlags::empty(), c"").unwrap();
        let below = path.join("below");
        std::fs::create_dir(&below).unwrap();
        mount("below", &below, "tmpfs", MountFlags::empty(), c"").unwrap();
        Self { path }
    }

    /// Sets the flags of the upper mount, and no others.
    fn flags(&self, flags: MountFlags) {
        mount_remount(&self.path, MountFlags::BIND | flags, c"").unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        unmount(self.path.join("below"), UnmountFlags::DETACH).ok();
        unmount(&self.path, UnmountFlags::DETACH).ok();
    }
}

fn bind(bundle: &mut Bundle, source: &Path, destination: &str, options: &[&str]) {
    bundle.push(
        "/mounts",
        json!({"destination": destination, "source": source, "options": options}),
    );
}

fn new_filesystem(bundle: &mut Bundle, kind: &str, destination: &str, options: &[&str]) {
    bundle.push(
        "/mounts",
        json!({"destination": destination, "type": kind, "source": kind, "options": options}),
    );
}

/// Prints the flags of each mount below /mnt, as /proc/self/mountinfo has them, and what is shared with whom.
const FLAGS: &str = r#"awk '$5 ~ "^/mnt" {print $5, $6, ($7 == "-" ? "" : substr($7, 1, 6))}' /proc/self/mountinfo"#;

#[test]
fn kernel_recursive_flags_reach_what_is_mounted_below() {
    let Some(mut bundle) = Bundle::shell(FLAGS) else {
        return;
    };
    let base = bundle.config.clone();
    for (words, own, below) in [
        (&["rbind", "ro"][..], "ro,relatime", "rw,relatime"),
        (&["rbind", "rro"], "ro,relatime", "ro,relatime"),
        (&["rbind", "ro", "rrw"], "rw,relatime", "rw,relatime"),
        (
            &["rbind", "rnosuid", "rnodev"],
            "rw,nosuid,nodev,relatime",
            "rw,nosuid,nodev,relatime",
        ),
        (&["rbind", "rnoexec", "rexec"], "rw,relatime", "rw,relatime"),
        (&["rbind", "rnoatime"], "rw,noatime", "rw,noatime"),
        (&["rbind", "rstrictatime"], "rw", "rw"),
        (&["rbind", "rnostrictatime"], "rw,relatime", "rw,relatime"),
        (
            &["rbind", "rnoatime", "rrelatime"],
            "rw,relatime",
            "rw,relatime",
        ),
        (&["rbind", "rnorelatime"], "rw,relatime", "rw,relatime"),
        (
            &["rbind", "rnodiratime", "rnosymfollow"],
            "rw,nodiratime,relatime,nosymfollow",
            "rw,nodiratime,relatime,nosymfollow",
        ),
    ] {
        bundle.config = base.clone();
        let volume = Volume::new(&bundle);
        bind(&mut bundle, &volume.path, "/mnt", words);
        let outcome = crate::bundle::finish(bundle.start_run());
        let sorted = |flags: &str| {
            let mut words: Vec<String> = flags.split(',').map(str::to_owned).collect();
            words.sort();
            words
        };
        let found: Vec<Vec<String>> = outcome
            .output
            .lines()
            .map(|line| sorted(line.split(' ').nth(1).unwrap()))
            .collect();
        assert_eq!(
            found,
            [sorted(own), sorted(below)],
            "{words:?}: {outcome:?}"
        );
        drop(volume);
        bundle.assert_nothing_left();
    }
}

#[test]
fn kernel_a_bind_mount_has_its_sources_flags_or_those_named() {
    let hard = MountFlags::RDONLY | MountFlags::NOEXEC | MountFlags::NODIRATIME;
    let times = MountFlags::NOATIME;
    let Some(mut bundle) = Bundle::shell(FLAGS) else {
        return;
    };
    let base = bundle.config.clone();
    for (source, words, flags) in [
        (hard, &["bind"][..], "ro,noexec,nodiratime,relatime"),
        (hard, &["bind", "dev"], "rw,nodiratime,relatime"),
        (
            MountFlags::RDONLY,
            &["bind", "nosuid", "nodev", "rprivate"],
            "rw,nosuid,nodev,relatime",
        ),
        (times, &["bind", "norelatime"], "rw,noatime"),
        (times, &["bind", "atime"], "rw,noatime"),
        (times, &["bind", "relatime"], "rw,relatime"),
        (times, &["bind", "nodiratime"], "rw,nodiratime,relatime"),
        (
            times,
            &["bind", "nodiratime", "strictatime"],
            "rw,nodiratime",
        ),
        (MountFlags::NODIRATIME, &["bind", "strictatime"], "rw"),
        (
            MountFlags::empty(),
            &["bind", "remount", "ro"],
            "ro,relatime",
        ),
    ] {
        bundle.config = base.clone();
        let volume = Volume::new(&bundle);
        volume.flags(source);
        bind(&mut bundle, &volume.path, "/mnt", words);
        let outcome = crate::bundle::finish(bundle.start_run());
        let found = outcome.output.trim().split(' ').nth(1);
        assert_eq!(found, Some(flags), "{source:?} {words:?}: {outcome:?}");
    }
}

#[test]
fn kernel_propagation_is_as_asked_for() {
    let Some(mut bundle) = Bundle::shell(FLAGS) else {
        return;
    };
    let base = bundle.config.clone();
    for (words, kind) in [
        (&["rbind"][..], ["", ""]),
        (&["rbind", "rshared"], ["shared", "shared"]),
        (&["rbind", "shared"], ["shared", "master"]),
        (&["rbind", "rslave"], ["master", "master"]),
        (&["rbind", "runbindable"], ["unbind", "unbind"]),
        (&["rbind", "rshared", "private"], ["", "shared"]),
    ] {
        bundle.config = base.clone();
        let volume = Volume::new(&bundle);
        // Shared, as systemd makes the host's mounts: a slave has then a master.
        let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
        mount_change(&volume.path, shared).unwrap();
        bind(&mut bundle, &volume.path, "/mnt", words);
        let outcome = crate::bundle::finish(bundle.start_run());
        let found: Vec<&str> = outcome
            .output
            .lines()
            .map(|line| line.split(' ').nth(2).unwrap())
            .collect();
        assert_eq!(found, kind, "{words:?}: {outcome:?}");
    }
}

#[test]
fn kernel_files_relative_paths_and_paths_with_the_root_are_bound() {
    let Some(mut bundle) =
        Bundle::shell("cat /new/file /tmp/relative /etc/inside; ls -d /dir/config.json")
    else {
        return;
    };
    std::fs::write(bundle.path().join("source"), "x\n").unwrap();
    let source = bundle.path().join("source");
    let root = bundle.rootfs();
    bind(&mut bundle, &source, "/new/file", &["bind", "ro"]);
    bind(&mut bundle, Path::new("source"), "tmp/relative", &["bind"]);
    bind(
        &mut bundle,
        &source,
        root.join("etc/inside").to_str().unwrap(),
        &["bind"],
    );
    bind(&mut bundle, Path::new("."), "/dir", &["bind"]);
    assert_eq!(bundle.run().success(), "x\nx\nx\n/dir/config.json\n");
}

#[test]
fn kernel_a_mount_of_the_container_can_be_the_source_of_the_next() {
    let Some(mut bundle) = Bundle::shell("cat /final/sub/made") else {
        return;
    };
    let root = bundle.rootfs();
    std::fs::create_dir_all(root.join("mnt")).unwrap();
    for name in ["a", "b"] {
        std::fs::create_dir_all(bundle.path().join(name).join("sub")).unwrap();
    }
    std::fs::write(bundle.path().join("b/made"), "of b\n").unwrap();
    bind(&mut bundle, Path::new("a"), "/mnt", &["bind"]);
    bind(&mut bundle, Path::new("b"), "/mnt/sub", &["bind"]);
    bind(&mut bundle, &root.join("mnt"), "/final", &["rbind"]);
    assert_eq!(bundle.run().success(), "of b\n");
}

#[test]
fn kernel_a_tmpfs_has_the_mode_of_what_it_covers() {
    let Some(mut bundle) = Bundle::shell(
        "stat -c %a /there /told /missing/place; grep ' /there ' /proc/mounts | grep -c mode=710",
    ) else {
        return;
    };
    for name in ["there", "told"] {
        std::fs::create_dir(bundle.rootfs().join(name)).unwrap();
        set_mode(&bundle.rootfs().join(name), 0o710);
    }
    new_filesystem(&mut bundle, "tmpfs", "/there", &["nosuid"]);
    new_filesystem(&mut bundle, "tmpfs", "/told", &["mode=1500"]);
    new_filesystem(&mut bundle, "tmpfs", "/missing/place", &[]);
    assert_eq!(bundle.run().success(), "710\n1500\n1777\n1\n");
    let made = bundle.rootfs().join("missing/place");
    assert_eq!(std::fs::metadata(made).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn kernel_a_read_only_tmpfs_takes_the_mounts_in_it_first() {
    let Some(mut bundle) =
        Bundle::shell("touch /ro/x /dev/x; echo y >/ro/in/y && cat /ro/in/y; ls /dev/null")
    else {
        return;
    };
    for mount in bundle.config["mounts"].as_array_mut().unwrap() {
        if mount["destination"] == "/dev" {
            mount["options"].as_array_mut().unwrap().push(json!("ro"));
        }
    }
    new_filesystem(&mut bundle, "tmpfs", "/ro", &["ro"]);
    new_filesystem(&mut bundle, "tmpfs", "/ro/in", &["size=1m"]);
    let outcome = bundle.run();
    assert_eq!(outcome.output, "y\n/dev/null\n", "{outcome:?}");
    assert_eq!(
        outcome.error.matches("Read-only file system").count(),
        2,
        "{outcome:?}"
    );
}

#[test]
fn kernel_copy_up_keeps_everything_and_follows_nothing() {
    let Some(mut bundle) = Bundle::shell(
        "cd /image; stat -c '%a %u:%g %n' . dir dir/set.uid; readlink link; readlink out; [ one -ef dir/two ] && echo same; cat one; \
         stat -c %Y one; [ -p pipe ] && echo pipe; echo new >dir/new; ls out/",
    ) else {
        return;
    };
    let image = bundle.rootfs().join("image");
    let outside = bundle.path().join("outside");
    std::fs::create_dir_all(image.join("dir")).unwrap();
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "").unwrap();
    std::fs::write(image.join("one"), "content\n").unwrap();
    std::fs::hard_link(image.join("one"), image.join("dir/two")).unwrap();
    std::fs::write(image.join("dir/set.uid"), "").unwrap();
    std::os::unix::fs::chown(image.join("dir/set.uid"), Some(12), Some(34)).unwrap();
    set_mode(&image.join("dir/set.uid"), 0o4755);
    set_mode(&image.join("dir"), 0o777);
    set_mode(&image, 0o711);
    symlink("one", image.join("link")).unwrap();
    symlink(&outside, image.join("out")).unwrap();
    let value = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    rustix::fs::setxattr(
        image.join("dir/set.uid"),
        "security.capability",
        value,
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    let status = std::process::Command::new("mkfifo")
        .arg(image.join("pipe"))
        .status()
        .unwrap();
    assert!(status.success());
    let status = std::process::Command::new("touch")
        .args(["-d", "@1000000000"])
        .arg(image.join("one"))
        .status()
        .unwrap();
    assert!(status.success());
    new_filesystem(&mut bundle, "tmpfs", "/image", &["tmpcopyup", "size=4m"]);
    bundle.config["process"]["args"][2] = json!(format!(
        "{}; cat /proc/self/status >/dev/null; sleep 1000",
        bundle.config["process"]["args"][2].as_str().unwrap()
    ));
    bundle.start_detached();
    let lines = format!(
        "711 0:0 .\n777 0:0 dir\n4755 12:34 dir/set.uid\none\n{}\nsame\ncontent\n1000000000\npipe\n",
        outside.display()
    );
    crate::bundle::eventually("it has looked", || bundle.detached_output() == lines);
    // Seen from here, through the process's root.
    let inside = PathBuf::from(format!("/proc/{}/root/image/dir/set.uid", bundle.pid()));
    let mut found = [0u8; 64];
    let length = rustix::fs::getxattr(&inside, "security.capability", &mut found).unwrap();
    assert_eq!(&found[..length], value);
    bundle.delete();
    // The image is as it was.
    assert!(!image.join("dir/new").exists());
}

#[test]
fn kernel_copy_up_that_does_not_fit_names_the_file() {
    let Some(mut bundle) = Bundle::shell("echo ran") else {
        return;
    };
    std::fs::create_dir(bundle.rootfs().join("image")).unwrap();
    std::fs::write(bundle.rootfs().join("image/big"), vec![1u8; 300_000]).unwrap();
    new_filesystem(&mut bundle, "tmpfs", "/image", &["tmpcopyup", "size=64k"]);
    let outcome = bundle.run();
    outcome.assert_error(1, "copy up /image/big: no space left on device");
    outcome.assert_error(1, "raise its size option");
}

#[test]
fn kernel_a_link_is_copied_as_one() {
    let Some(mut bundle) =
        Bundle::shell("readlink /etc/localtime; readlink /tmp/plain; cat /tmp/file")
    else {
        return;
    };
    symlink("../usr/share/zoneinfo/UTC", bundle.path().join("localtime")).unwrap();
    symlink("nowhere", bundle.path().join("plain")).unwrap();
    std::fs::write(bundle.path().join("file"), "no link\n").unwrap();
    // The same link from before is no error.
    symlink("nowhere", bundle.rootfs().join("tmp/plain")).unwrap();
    for (source, destination) in [
        ("localtime", "/etc/localtime"),
        ("plain", "/tmp/plain"),
        ("file", "/tmp/file"),
    ] {
        bind(
            &mut bundle,
            Path::new(source),
            destination,
            &["bind", "copy-symlink"],
        );
    }
    assert_eq!(
        bundle.run().success(),
        "../usr/share/zoneinfo/UTC\nnowhere\nno link\n"
    );
}

#[test]
fn kernel_an_overlay_of_many_long_layers_is_mounted() {
    let Some(mut bundle) =
        Bundle::shell("cat /over/file0 /over/file39; echo new >/over/new; ls /over | wc -l")
    else {
        return;
    };
    let directory = bundle.path().join("layers");
    let mut layers = Vec::new();
    for number in 0..40 {
        let layer = directory.join(format!("a-layer-with-a-name-that-is-long-{number}"));
        std::fs::create_dir_all(&layer).unwrap();
        std::fs::write(layer.join(format!("file{number}")), format!("{number}\n")).unwrap();
        layers.push(layer.to_str().unwrap().to_owned());
    }
    for name in ["upper", "work"] {
        std::fs::create_dir(directory.join(name)).unwrap();
    }
    let (upper, work) = (directory.join("upper"), directory.join("work"));
    let lower = format!("lowerdir={}", layers.join(":"));
    assert!(lower.len() > 2000);
    let options = [
        lower,
        format!("upperdir={}", upper.display()),
        format!("workdir={}", work.display()),
    ];
    let words: Vec<&str> = options.iter().map(String::as_str).collect();
    new_filesystem(&mut bundle, "overlay", "/over", &words);
    assert_eq!(bundle.run().success(), "0\n39\n41\n");
    assert!(upper.join("new").exists());
}

#[test]
fn kernel_an_option_longer_than_the_new_calls_take_goes_by_the_old() {
    let Some(mut bundle) =
        Bundle::shell("cat /over/file; grep -c ' /over overlay ro,nosuid' /proc/mounts")
    else {
        return;
    };
    // One layer whose path alone is too long.
    let layer = bundle.path().join("x".repeat(200)).join("y".repeat(200));
    std::fs::create_dir_all(&layer).unwrap();
    std::fs::create_dir(bundle.path().join("other")).unwrap();
    std::fs::write(layer.join("file"), "long\n").unwrap();
    let option = format!(
        "lowerdir={}:{}",
        layer.display(),
        bundle.path().join("other").display()
    );
    new_filesystem(&mut bundle, "overlay", "/over", &["ro", "nosuid", &option]);
    assert_eq!(bundle.run().success(), "long\n1\n");
}

#[test]
fn kernel_options_of_file_systems_reach_them() {
    let Some(mut bundle) = Bundle::shell(
        "awk '$5 == \"/proc\" {print $6, $NF}' /proc/self/mountinfo; awk '$5 == \"/sync\" {print $6, $NF}' /proc/self/mountinfo; \
         ls /proc | grep -c cpuinfo; ls /queues | wc -l; ls /pts/ptmx; cat /changed; cat /tmp/full >/dev/null",
    ) else {
        return;
    };
    for mount in bundle.config["mounts"].as_array_mut().unwrap() {
        if mount["destination"] == "/proc" {
            mount["options"] = json!(["nosuid", "noexec", "nodev", "hidepid=2", "subset=pid"]);
        }
    }
    bundle.config["linux"]["maskedPaths"] = json!([]);
    bundle.config["linux"]["readonlyPaths"] = json!([]);
    bundle.config["linux"]["sysctl"] = json!({});
    bundle.set_script(
        "awk '$5 == \"/proc\" {print $6, $NF}' /proc/self/mountinfo; awk '$5 == \"/sync\" {print $6, $NF}' /proc/self/mountinfo; \
         ls /proc | grep -c cpuinfo; ls /queues | wc -l; ls /pts/ptmx; dd if=/dev/zero of=/small/x bs=1k count=200 2>/dev/null || echo full",
    );
    new_filesystem(
        &mut bundle,
        "tmpfs",
        "/sync",
        &["sync", "dirsync", "lazytime", "noatime", "defaults"],
    );
    new_filesystem(&mut bundle, "mqueue", "/queues", &["nosuid"]);
    new_filesystem(
        &mut bundle,
        "devpts",
        "/pts",
        &["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    );
    new_filesystem(&mut bundle, "tmpfs", "/small", &["size=1m"]);
    // Changed while it is mounted.
    new_filesystem(
        &mut bundle,
        "tmpfs",
        "/small",
        &["remount", "size=64k", "noexec"],
    );
    let outcome = bundle.run();
    let lines: Vec<&str> = outcome.output.lines().collect();
    assert!(
        lines[0].contains("hidepid=invisible") && lines[0].contains("subset=pid"),
        "{outcome:?}"
    );
    for word in ["noatime", "sync", "dirsync", "lazytime"] {
        assert!(lines[1].contains(word), "{word}: {outcome:?}");
    }
    assert_eq!(&lines[2..], ["0", "0", "/pts/ptmx", "full"], "{outcome:?}");
}

#[test]
fn kernel_what_cannot_be_mounted_says_why() {
    let long = "x".repeat(70_000);
    let Some(mut bundle) = Bundle::shell("echo ran") else {
        return;
    };
    let base = bundle.config.clone();
    for (mount, words) in [
        (
            json!({"destination": "/x", "type": "nosuchfs", "source": "none"}),
            "mount nosuchfs on /x: no such device",
        ),
        (
            json!({"destination": "/x", "type": "tmpfs", "source": "none", "options": ["colour=red"]}),
            "Unknown parameter 'colour'",
        ),
        (
            json!({"destination": "/x", "type": "bind", "source": "/does/not/exist", "options": ["bind"]}),
            "bind mount of /does/not/exist: no such file or directory",
        ),
        (
            json!({"destination": "/x", "type": "bind", "source": "/etc", "options": ["bind", "size=1m"]}),
            "bind mounts cannot have any filesystem-specific options applied",
        ),
        (
            json!({"destination": "/x", "type": "bind", "source": "/etc", "options": ["bind", "tmpcopyup"]}),
            "tmpcopyup is for a tmpfs",
        ),
        (
            json!({"destination": "/x", "type": "sysfs", "source": "sysfs", "options": ["tmpcopyup"]}),
            "tmpcopyup is for a tmpfs",
        ),
        (
            json!({"destination": "/x", "source": "/etc"}),
            "has no type and is no bind mount",
        ),
        (
            json!({"destination": "/", "type": "tmpfs", "source": "tmpfs"}),
            "the place is the container's root itself",
        ),
        (
            json!({"destination": "/proc", "type": "bind", "source": "/etc", "options": ["bind"]}),
            "it is not of type proc",
        ),
        (
            json!({"destination": "/proc/sys", "type": "tmpfs", "source": "tmpfs"}),
            "a mount inside /proc is not permitted",
        ),
        (
            json!({"destination": "/x", "type": "tmpfs", "source": "tmpfs", "options": ["idmap"]}),
            "id-mapped mounts are only supported for bind-mounts",
        ),
        (
            json!({"destination": "/x", "source": "/etc", "options": ["bind", "idmap"]}),
            "must have both uid and gid mappings specified",
        ),
        (
            json!({"destination": "/x", "type": "overlay", "source": "overlay", "options": [format!("lowerdir={long}")]}),
            "mount overlay on /x",
        ),
    ] {
        bundle.config = base.clone();
        bundle.push("/mounts", mount.clone());
        let outcome = bundle.run();
        assert_eq!(outcome.output, "", "{mount}");
        outcome.assert_error(1, words);
    }
}

#[test]
fn kernel_a_mount_shows_the_ids_it_maps() {
    let Some(mut bundle) = Bundle::shell(
        "cd /map; stat -c '%u:%g' one two below/deep; stat -c '%u:%g' /plain/one /all/below/deep",
    ) else {
        return;
    };
    let volume = Volume::new(&bundle);
    for (name, owner) in [("one", 0), ("two", 7), ("below/deep", 0)] {
        let path = volume.path.join(name);
        std::fs::write(&path, "").unwrap();
        std::os::unix::fs::chown(&path, Some(owner), Some(owner)).unwrap();
    }
    let ranges = json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]);
    let mut mount = |destination: &str, options: Value| {
        bundle.push(
            "/mounts",
            json!({"destination": destination, "source": volume.path, "options": options, "uidMappings": ranges, "gidMappings": ranges}),
        );
    };
    mount("/map", json!(["rbind"]));
    mount("/all", json!(["rbind", "ridmap"]));
    bind(&mut bundle, &volume.path, "/plain", &["bind"]);
    let outcome = crate::bundle::finish(bundle.start_run());
    assert_eq!(
        outcome.output, "100000:100000\n100007:100007\n0:0\n0:0\n100000:100000\n",
        "{outcome:?}"
    );
}

#[test]
fn kernel_the_roots_propagation_is_as_asked_for() {
    let Some(mut bundle) = Bundle::shell(
        r#"awk '$5 == "/" {print ($7 == "-" ? "" : substr($7, 1, 6))}' /proc/self/mountinfo"#,
    ) else {
        return;
    };
    let base = bundle.config.clone();
    for (word, kind) in [
        ("", ""),
        ("private", ""),
        ("rprivate", ""),
        ("slave", ""),
        ("shared", "shared"),
        ("rshared", "shared"),
        ("unbindable", "unbind"),
        ("runbindable", "unbind"),
    ] {
        bundle.config = base.clone();
        bundle.config["linux"]["rootfsPropagation"] = json!(word);
        let outcome = bundle.run();
        // A slave has a master where the host's root is shared.
        let found = outcome.output.trim().replace("master", "");
        assert_eq!(found, kind, "{word}: {outcome:?}");
        // The host's mounts are all there still.
        let here = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        for place in [" / /proc ", " / /sys ", " / /dev "] {
            assert!(here.contains(place), "{word}: {here}");
        }
    }
}

#[test]
fn kernel_a_shared_volume_carries_mounts_both_ways() {
    let Some(mut bundle) = Bundle::shell(
        "mount -t tmpfs inside /volume/in && echo mounted; while ! grep -q 'from-host' /proc/mounts; do sleep 0.05; done; echo seen; sleep 1000",
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
    bundle.config["linux"]["rootfsPropagation"] = json!("rshared");
    let volume = bundle.path().join("volume");
    for name in ["in", "out"] {
        std::fs::create_dir_all(volume.join(name)).unwrap();
    }
    mount("volume", &volume, "tmpfs", MountFlags::empty(), c"").unwrap();
    for name in ["in", "out"] {
        std::fs::create_dir_all(volume.join(name)).unwrap();
    }
    mount_change(&volume, MountPropagationFlags::SHARED).unwrap();
    bind(&mut bundle, &volume, "/volume", &["rbind", "rshared"]);
    bundle.start_detached();
    crate::bundle::eventually("it has mounted", || bundle.detached_output() == "mounted\n");
    let here = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(
        here.contains("/volume/in ") && here.contains(" - tmpfs inside"),
        "{here}"
    );
    mount(
        "from-host",
        volume.join("out"),
        "tmpfs",
        MountFlags::empty(),
        c"",
    )
    .unwrap();
    crate::bundle::eventually("it has seen ours", || {
        bundle.detached_output() == "mounted\nseen\n"
    });
    bundle.verb("delete", &["--force"], &[]).success();
    for name in ["in", "out"] {
        unmount(volume.join(name), UnmountFlags::DETACH).unwrap();
    }
    unmount(&volume, UnmountFlags::DETACH).unwrap();
    bundle.assert_nothing_left();
}

#[test]
fn kernel_a_root_that_is_a_link_or_a_mount_is_a_root() {
    let Some(mut bundle) = Bundle::shell("ls /") else {
        return;
    };
    let names = "bin\ndev\netc\nproc\nsys\ntmp\n";
    symlink("rootfs", bundle.path().join("link")).unwrap();
    bundle.config["root"]["path"] = json!("link");
    assert_eq!(bundle.run().success(), names);
    bundle.config["root"]["path"] = json!("rootfs");
    let root = bundle.rootfs();
    rustix::mount::mount_bind(&root, &root).unwrap();
    mount_change(&root, MountPropagationFlags::SHARED).unwrap();
    for word in ["", "rshared", "private"] {
        bundle.config["linux"]["rootfsPropagation"] = json!(word);
        let outcome = crate::bundle::finish(bundle.start_run());
        assert_eq!(outcome.success(), names, "{word}");
    }
    unmount(&root, UnmountFlags::DETACH).unwrap();
    bundle.assert_nothing_left();
}

#[test]
fn kernel_mapped_mounts_in_a_user_namespace_are_made_by_the_runtime() {
    let Some(mut bundle) = remapped(
        "stat -c '%u:%g' /map/one /own/one /plain/one /nested/one; touch /map/new && stat -c '%u:%g' /map/new",
    ) else {
        return;
    };
    let volume = Volume::new(&bundle);
    std::fs::write(volume.path.join("one"), "").unwrap();
    // Nobody but root gets to it by its path.
    let private = bundle.path().join("private");
    std::fs::create_dir_all(private.join("source")).unwrap();
    std::fs::write(private.join("source/one"), "").unwrap();
    set_mode(&private, 0o700);
    let root = bundle.rootfs();
    let ranges = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    for (destination, source, options) in [
        ("/map", &volume.path, json!(["rbind"])),
        // The container's own ranges.
        ("/own", &private.join("source"), json!(["bind", "idmap"])),
        // A source that a mount before brings.
        ("/nested", &root.join("map"), json!(["rbind", "idmap"])),
    ] {
        let mut mount = json!({"destination": destination, "source": source, "options": options});
        if destination == "/map" {
            mount["uidMappings"] = ranges.clone();
            mount["gidMappings"] = ranges.clone();
        }
        if destination == "/nested" {
            // An idmapped mount cannot be mapped again: from the plain one.
            mount["source"] = json!(root.join("plain"));
        }
        if destination == "/own" {
            bind(&mut bundle, &volume.path, "/plain", &["rbind"]);
        }
        bundle.push("/mounts", mount);
    }
    let outcome = crate::bundle::finish(bundle.start_run());
    assert_eq!(
        outcome.output, "0:0\n0:0\n65534:65534\n0:0\n0:0\n",
        "{outcome:?}"
    );
    assert_eq!(std::fs::metadata(volume.path.join("new")).unwrap().uid(), 0);
    drop(volume);
    bundle.assert_nothing_left();
}

#[test]
fn kernel_locked_flags_stay_in_a_user_namespace_unless_named() {
    let Some(mut bundle) = remapped(FLAGS) else {
        return;
    };
    let base = bundle.config.clone();
    let all = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NOATIME;
    for (source, words, found) in [
        (MountFlags::RDONLY, &["rbind"][..], Ok("ro,relatime")),
        (all, &["rbind", "ro"], Ok("ro,nosuid,nodev,noexec,noatime")),
        (
            MountFlags::RDONLY,
            &["rbind", "nosuid"],
            Ok("ro,nosuid,relatime"),
        ),
        (
            MountFlags::RDONLY,
            &["rbind", "rw"],
            Err("cannot clear locked flags ro"),
        ),
        (
            all,
            &["rbind", "exec"],
            Err("cannot clear locked flags noexec"),
        ),
        (
            all,
            &["rbind", "relatime"],
            Err("cannot change locked atime flags noatime"),
        ),
        (
            MountFlags::empty(),
            &["rbind", "noatime"],
            Err("cannot change locked atime flags relatime"),
        ),
    ] {
        bundle.config = base.clone();
        let volume = Volume::new(&bundle);
        volume.flags(source);
        bind(&mut bundle, &volume.path, "/mnt", words);
        let outcome = crate::bundle::finish(bundle.start_run());
        match found {
            Ok(flags) => {
                let line = outcome.output.lines().next().unwrap_or_default();
                assert_eq!(
                    line.split(' ').nth(1),
                    Some(flags),
                    "{words:?}: {outcome:?}"
                );
            }
            Err(words) => {
                outcome.assert_error(1, words);
                outcome.assert_error(1, "operation not permitted");
            }
        }
    }
}

#[test]
fn kernel_a_root_that_is_moved_over_the_hosts_hides_it() {
    let Some(mut bundle) = Bundle::shell(
        "ls /; awk '$4 == \"/\" && ($(NF-2) == \"proc\" || $(NF-2) == \"sysfs\") {print $5}' /proc/self/mountinfo",
    ) else {
        return;
    };
    for word in ["", "rshared"] {
        bundle.config["linux"]["rootfsPropagation"] = json!(word);
        bundle.write();
        let path = bundle.path().to_str().unwrap().to_owned();
        let run = bundle
            .mini(&["run", "--no-pivot", "--bundle", &path, &bundle.id])
            .spawn();
        let outcome = crate::bundle::finish(run.unwrap());
        // Of whole proc and sysfs mounts there are the container's own, by which no mask can be gone round.
        assert_eq!(
            outcome.success(),
            "bin\ndev\netc\nproc\nsys\ntmp\n/proc\n/sys\n"
        );
        let here = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        for place in [" / /proc ", " / /sys "] {
            assert!(here.contains(place), "{here}");
        }
        bundle.assert_nothing_left();
    }
}

#[test]
fn kernel_cgroup_mounts_are_those_that_programs_look_for() {
    let script = "grep ' /sys/fs/cgroup' /proc/mounts | cut -d ' ' -f 2-4 | cut -d , -f 1; \
         for d in /sys/fs/cgroup /sys/fs/cgroup/*; do [ -e $d/cgroup.procs ] && grep -q . $d/cgroup.procs && echo procs; done | sort -u; \
         mkdir /sys/fs/cgroup/pids/made /sys/fs/cgroup/made 2>/dev/null && echo writable; rmdir /sys/fs/cgroup/pids/made /sys/fs/cgroup/made 2>/dev/null; true";
    let Some(mut bundle) = Bundle::shell(script) else {
        return;
    };
    let base = bundle.config.clone();
    for own_namespace in [true, false] {
        for readonly in [true, false] {
            bundle.config = base.clone();
            if !own_namespace {
                let namespaces = bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
                namespaces.retain(|one| one["type"] != "cgroup");
            }
            for mount in bundle.config["mounts"].as_array_mut().unwrap() {
                if mount["destination"] == "/sys/fs/cgroup" {
                    let word = if readonly { "ro" } else { "rw" };
                    mount["options"] = json!(["nosuid", "noexec", "nodev", word]);
                }
            }
            let outcome = bundle.run();
            let lines: Vec<&str> = outcome.output.lines().collect();
            let mounts: Vec<&&str> = lines.iter().filter(|line| line.starts_with('/')).collect();
            assert!(!mounts.is_empty(), "{outcome:?}");
            let word = if readonly { " ro" } else { " rw" };
            assert!(
                mounts.iter().all(|line| line.ends_with(word)),
                "{outcome:?}"
            );
            assert!(
                lines.contains(&"procs"),
                "{own_namespace} {readonly}: {outcome:?}"
            );
            assert!(!(readonly && lines.contains(&"writable")), "{outcome:?}");
        }
    }
    // One hierarchy of its own by its type, where there is one.
    bundle.config = base;
    for mount in bundle.config["mounts"].as_array_mut().unwrap() {
        if mount["destination"] == "/sys/fs/cgroup" {
            mount["type"] = json!("cgroup2");
        }
    }
    bundle.set_script("awk '$2 == \"/sys/fs/cgroup\" {print $3}' /proc/mounts; grep -c . /sys/fs/cgroup/cgroup.procs >/dev/null && echo procs");
    let outcome = bundle.run();
    if std::fs::read_to_string("/proc/mounts")
        .unwrap()
        .contains(" cgroup2 ")
    {
        assert_eq!(outcome.success(), "cgroup2\nprocs\n");
    } else {
        outcome.assert_error(1, "no cgroup v2 hierarchy is mounted");
    }
}
