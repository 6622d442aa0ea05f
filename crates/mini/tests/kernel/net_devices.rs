//! Network devices of the host that the container gets.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use crate::bundle::{Bundle, finish};

/// A device of the host, taken away again if it is still there.
struct Device(String);

impl Device {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "mt{}x{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        // Every kernel that runs containers has these; the peer stays, and goes with it.
        let peer = format!("{name}p");
        ip(&["link", "add", &name, "type", "veth", "peer", "name", &peer]);
        Self(name)
    }

    fn is_here(&self) -> bool {
        std::path::Path::new("/sys/class/net")
            .join(&self.0)
            .exists()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.is_here() {
            ip(&["link", "del", &self.0]);
        }
    }
}

#[track_caller]
fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
}

#[test]
fn kernel_a_device_moves_with_its_name_addresses_and_settings() {
    let Some(mut bundle) =
        Bundle::shell("ip addr show dev moved0; ip link show dev kept 2>&1 | head -n 1")
    else {
        return;
    };
    let device = Device::new();
    let second = Device::new();
    ip(&[
        "link",
        "set",
        &device.0,
        "mtu",
        "1789",
        "address",
        "00:11:22:33:44:55",
    ]);
    ip(&["addr", "add", "169.254.169.77/32", "dev", &device.0]);
    ip(&[
        "addr",
        "add",
        "10.199.3.4/24",
        "broadcast",
        "10.199.3.255",
        "dev",
        &device.0,
    ]);
    // The host's own: it stays behind.
    ip(&[
        "addr",
        "add",
        "127.0.0.33/32",
        "scope",
        "host",
        "dev",
        &device.0,
    ]);
    ip(&["-6", "addr", "add", "fd00:1234::5/64", "dev", &device.0]);
    bundle.config["linux"]["netDevices"] = json!({&device.0: {"name": "moved0"}, &second.0: {}});
    bundle.set_script(&format!(
        "ip addr show dev moved0; ip link show dev {}",
        second.0
    ));
    let outcome = bundle.run();
    let text = &outcome.output;
    for words in [
        "mtu 1789",
        "00:11:22:33:44:55",
        "inet 169.254.169.77/32",
        "inet 10.199.3.4/24 brd 10.199.3.255",
        "inet6 fd00:1234::5/64",
        ",UP",
        &second.0,
    ] {
        assert!(text.contains(words), "{words}: {outcome:?}");
    }
    assert!(!text.contains("127.0.0.33"), "{outcome:?}");
    // It went with the container's namespace.
    assert!(!device.is_here() && !second.is_here());
}

#[test]
fn kernel_a_device_goes_to_a_namespace_that_is_joined_and_stays_there() {
    let Some(mut bundle) = Bundle::shell("ip link show dev moved1 | grep -c UP") else {
        return;
    };
    let device = Device::new();
    let file = bundle.path().join("netns");
    sys::netns::create(&file).unwrap();
    for namespace in bundle.config["linux"]["namespaces"].as_array_mut().unwrap() {
        if namespace["type"] == "network" {
            namespace["path"] = json!(file);
        }
    }
    bundle.config["linux"]["netDevices"] = json!({&device.0: {"name": "moved1"}});
    let outcome = finish(bundle.start_run());
    assert_eq!(outcome.success(), "1\n");
    assert!(!device.is_here());
    let namespace = sys::netns::open(&file).unwrap();
    let is_there = sys::netns::run(std::os::fd::AsFd::as_fd(&namespace), || {
        Command::new("ip")
            .args(["link", "show", "dev", "moved1"])
            .status()
            .unwrap()
            .success()
    });
    assert!(is_there.unwrap());
    drop(namespace);
    sys::netns::remove(&file).unwrap();
    bundle.assert_nothing_left();
}

#[test]
fn kernel_a_device_that_cannot_move_is_named() {
    let Some(mut bundle) = Bundle::shell("echo ran") else {
        return;
    };
    for (devices, words) in [
        (
            json!({"no-such-dev": {}}),
            "find network device no-such-dev: no such device",
        ),
        (json!({"a/b": {}}), "invalid network device name \"a/b\""),
        (
            json!({"a": {"name": "sixteen-letters-"}}),
            "invalid network device name",
        ),
    ] {
        bundle.config["linux"]["netDevices"] = devices;
        let outcome = bundle.run();
        outcome.assert_error(1, words);
        assert_eq!(outcome.output, "");
    }
    bundle.config["linux"]["netDevices"] = json!({"any": {}});
    bundle.config["linux"]["sysctl"] = json!({});
    bundle.config["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .retain(|one| one["type"] != "network");
    bundle
        .run()
        .assert_error(1, "unable to move network devices without a NET namespace");
}
