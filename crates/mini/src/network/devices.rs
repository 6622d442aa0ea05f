//! `linux.netDevices`: network devices of the host that the container gets, with their addresses.
//!
//! A device leaves its namespace by a message to the kernel, renamed in the same step, so that no name is taken in between.
//! The kernel takes its addresses away with that; those that are the user's and reach beyond the host are given back.
//!
//! Source: runtime-spec config-linux.md, Network Devices; `man 7 rtnetlink`.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sys::namespace::{Namespaces, enter};

use crate::error::{Error, Result};
use crate::network::netlink::{Address, Socket};
use crate::spec::{NamespaceKind, NetDevice, Spec};

/// Longest name of a device, in bytes.
const MAX_NAME_BYTES: usize = 15;

/// Checks names, and that there is a namespace to move devices to.
///
/// # Errors
/// `Invalid`.
pub fn validate(spec: &Spec, devices: &BTreeMap<String, NetDevice>) -> Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    if spec.namespace(NamespaceKind::Network).is_none() {
        return Err(
            Error::invalid("unable to move network devices without a NET namespace")
                .with_hint("add {\"type\": \"network\"} to linux.namespaces"),
        );
    }
    for (name, device) in devices {
        for name in [name, &device.name] {
            let known = name.is_empty() && name == &device.name;
            let valid = !name.is_empty()
                && name.len() <= MAX_NAME_BYTES
                && name != "."
                && name != ".."
                && !name.contains(['/', ':'])
                && !name.contains(char::is_whitespace);
            if !known && !valid {
                return Err(Error::invalid(format!(
                    "linux.netDevices: invalid network device name {name:?}"
                ))
                .with_hint("a name has 1 to 15 bytes, none of them / or white space"));
            }
        }
    }
    Ok(())
}

/// Moves the devices to the network namespace of the container's first process, or to the one that it joins.
///
/// # Errors
/// `Sys` with the device's name.
pub fn move_all(spec: &Spec, devices: &BTreeMap<String, NetDevice>, pid: i32) -> Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    let path = match spec.namespace(NamespaceKind::Network) {
        Some(namespace) if !namespace.path.is_empty() => namespace.path.clone(),
        _ => format!("/proc/{pid}/ns/net"),
    };
    let namespace = open(&path)?;
    let mut here = Socket::open()?;
    let mut there = socket_in(&namespace, &path)?;
    for (name, device) in devices {
        let new_name = if device.name.is_empty() {
            name
        } else {
            &device.name
        };
        move_one(&mut here, &mut there, &namespace, name, new_name)?;
    }
    Ok(())
}

fn move_one(
    here: &mut Socket,
    there: &mut Socket,
    namespace: &OwnedFd,
    name: &str,
    new_name: &str,
) -> Result<()> {
    let error = |operation: &str, errno: Errno| {
        let error = Error::sys(operation, format!("network device {name}"), errno);
        match errno {
            Errno::NODEV => error.with_hint("no such device is on the host: `ip link` lists them"),
            Errno::EXIST => error.with_hint(format!(
                "the container's network namespace has a device {new_name} already"
            )),
            _ => error,
        }
    };
    let index = here.index_of(name).map_err(|errno| error("find", errno))?;
    here.set_up(index, false)
        .map_err(|errno| error("take down", errno))?;
    let addresses: Vec<Address> = here
        .addresses(index)
        .map_err(|errno| error("list the addresses of", errno))?
        .into_iter()
        .filter(Address::outlives_a_move)
        .collect();
    here.move_to(index, new_name, namespace.as_raw_fd())
        .map_err(|errno| error("move", errno))?;
    let index = there
        .index_of(new_name)
        .map_err(|errno| error("find in the container", errno))?;
    for address in &addresses {
        there
            .add_address(index, address)
            .map_err(|errno| error("give back an address of", errno))?;
    }
    there
        .set_up(index, true)
        .map_err(|errno| error("bring up in the container", errno))
}

fn open(path: &str) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::sys("open namespace", path, errno))
}

/// A socket belongs to the namespace that this process is in when it is opened.
fn socket_in(namespace: &OwnedFd, path: &str) -> Result<Socket> {
    let own = open("/proc/self/ns/net")?;
    enter(namespace.as_fd(), Namespaces::NET)
        .map_err(|error| Error::sys("enter namespace", path, error))?;
    let socket = Socket::open();
    enter(own.as_fd(), Namespaces::NET)
        .map_err(|error| Error::sys("leave namespace", path, error))?;
    socket
}
