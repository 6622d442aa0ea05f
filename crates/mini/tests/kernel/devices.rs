//! Devices that the spec asks for, and what an image has in their place.

use std::os::unix::fs::symlink;

use serde_json::json;

use crate::bundle::Bundle;

const DOES: &str = "stat -c '%F %a %u:%g %t:%T' /dev/one /dev/two /dev/deep/block /dev/pipe; [ -e /dev/ptmx ] && readlink /dev/ptmx";

#[test]
fn kernel_devices_of_each_type_have_owner_and_mode() {
    let Some(mut bundle) = Bundle::shell(DOES) else {
        return;
    };
    bundle.config["linux"]["devices"] = json!([
        {"path": "/dev/one", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 12, "gid": 34},
        {"path": "/dev/two", "type": "u", "major": 1, "minor": 5, "fileMode": 0o600},
        {"path": "/dev/deep/block", "type": "b", "major": 7, "minor": 99, "fileMode": 0o660, "gid": 6},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o622},
        // Named again, as Docker's --privileged does: the default ones, and the multiplexer, which stays a link.
        {"path": "/dev/tty", "type": "c", "major": 5, "minor": 0},
        {"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2},
    ]);
    let output = bundle.run().success();
    assert_eq!(
        output,
        "character special file 640 12:34 1:3\ncharacter special file 600 0:0 1:5\n\
         block special file 660 0:6 7:63\nfifo 622 0:0 0:0\npts/ptmx\n"
    );
}

#[test]
fn kernel_what_is_not_the_device_is_not_taken_for_it() {
    let Some(mut bundle) = Bundle::shell("readlink /dev/ptmx; echo ran") else {
        return;
    };
    bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| mount["destination"] != "/dev");
    let dev = bundle.rootfs().join("dev");
    let take_away = |path: &std::path::Path| std::fs::remove_file(path).unwrap();
    // A file, a link to a file, another device.
    for kind in ["file", "link", "device"] {
        let path = dev.join("zero");
        match kind {
            "file" => std::fs::write(&path, "").unwrap(),
            "link" => symlink("/etc/none", &path).unwrap(),
            _ => rustix::fs::mknodat(
                rustix::fs::CWD,
                &path,
                rustix::fs::FileType::CharacterDevice,
                rustix::fs::Mode::from_raw_mode(0o666),
                rustix::fs::makedev(1, 9),
            )
            .unwrap(),
        }
        let outcome = bundle.run();
        assert_eq!(outcome.output, "", "{kind}: {outcome:?}");
        outcome.assert_error(1, "/dev/zero is not the device 1:5");
        take_away(&path);
    }
    // The image's own multiplexer gives way to the container's.
    if dev.join("ptmx").symlink_metadata().is_ok() {
        take_away(&dev.join("ptmx"));
    }
    std::fs::write(dev.join("ptmx"), "").unwrap();
    assert_eq!(bundle.run().success(), "pts/ptmx\nran\n");
    bundle.config["linux"]["devices"] =
        json!([{"path": "/dev/x", "type": "z", "major": 1, "minor": 1}]);
    bundle.run().assert_error(1, "unknown type \"z\"");
}
