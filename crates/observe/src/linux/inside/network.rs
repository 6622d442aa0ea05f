//! Interfaces, addresses and listening sockets of a container, without entering its network namespace.
//!
//! Source: man 5 proc_pid_net; kernel networking/proc_net_tcp.rst.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::inside::{Fact, Interface, Socket};
use crate::linux::proc;

/// `TCP_LISTEN`, and `TCP_CLOSE` as UDP has it for a socket without a peer.
const LISTENING: [(&str, &str); 4] = [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")];

pub(super) fn interfaces(pid: u32) -> Fact<Vec<Interface>> {
    let read = |name: &str| proc::read(pid, name);
    let all = read("net/dev")
        .map_err(|error| proc::words(&error))
        .map(|content| {
            let v4 = addresses_v4(
                &read("net/fib_trie").unwrap_or_default(),
                &read("net/route").unwrap_or_default(),
            );
            let v6 = addresses_v6(&read("net/if_inet6").unwrap_or_default());
            proc::interfaces(&content)
                .into_iter()
                .map(|counters| Interface {
                    mac: mac(pid, &counters.name),
                    addresses: v4
                        .iter()
                        .chain(&v6)
                        .filter(|(name, _)| *name == counters.name)
                        .map(|(_, address)| address.clone())
                        .collect(),
                    received_bytes_total: counters.received_bytes_total,
                    sent_bytes_total: counters.sent_bytes_total,
                    name: counters.name,
                })
                .collect()
        });
    Fact::with_command(
        format!("/proc/{pid}/net/dev"),
        format!("nsenter -t {pid} -n ip -s addr"),
        all,
    )
}

/// The container's own view of its interface, if it has `/sys` mounted. Its file system is not trusted: links in it
/// may not lead out, and what is opened must be sysfs.
fn mac(pid: u32, interface: &str) -> Option<String> {
    const SYSFS_MAGIC: i128 = 0x6265_6572;
    let root = rustix::fs::open(
        proc::path(pid, "root"),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .ok()?;
    let file = rustix::fs::openat2(
        &root,
        format!("sys/class/net/{interface}/address"),
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
    .ok()?;
    if i128::from(rustix::fs::fstatfs(&file).ok()?.f_type) != SYSFS_MAGIC {
        return None;
    }
    let mut buffer = [0_u8; 64];
    let n = rustix::io::read(&file, &mut buffer).ok()?;
    let text = std::str::from_utf8(buffer.get(..n)?).ok()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Interface and address with prefix: local addresses from the routing trie, their interface from the route to their network.
fn addresses_v4(fib_trie: &str, route: &str) -> Vec<(String, String)> {
    let routes: Vec<(&str, u32, u32)> = route
        .lines()
        .skip(1)
        .filter_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            // The kernel prints these as it has them in memory: network order read as a number of this machine.
            let hex = |index: usize| {
                u32::from_str_radix(words.get(index)?, 16)
                    .ok()
                    .map(|number| u32::from_be_bytes(number.to_ne_bytes()))
            };
            let (destination, gateway, mask) = (hex(1)?, hex(2)?, hex(7)?);
            (mask != 0 && gateway == 0).then_some((*words.first()?, destination, mask))
        })
        .collect();
    let mut out: Vec<(String, String)> = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in fib_trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = last.filter(|address| !address.is_loopback())
        {
            let number = u32::from(address);
            let best = routes
                .iter()
                .filter(|(_, destination, mask)| number & mask == *destination)
                .max_by_key(|(_, _, mask)| mask.count_ones());
            if let Some((name, _, mask)) = best {
                let entry = (
                    (*name).to_owned(),
                    format!("{address}/{}", mask.count_ones()),
                );
                // The trie is printed for two tables.
                if !out.contains(&entry) {
                    out.push(entry);
                }
            }
        }
    }
    out
}

/// Lines `fe80…(32 digits) index prefix scope flags name`.
fn addresses_v6(if_inet6: &str) -> Vec<(String, String)> {
    if_inet6
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let address = Ipv6Addr::from(u128::from_str_radix(words.first()?, 16).ok()?);
            let prefix = u8::from_str_radix(words.get(2)?, 16).ok()?;
            Some(((*words.get(5)?).to_owned(), format!("{address}/{prefix}")))
        })
        .collect()
}

pub(super) fn sockets(pid: u32) -> Fact<Vec<Socket>> {
    let mut all = Vec::new();
    let mut failure = None;
    for (protocol, state) in LISTENING {
        match proc::read(pid, &format!("net/{protocol}")) {
            Ok(content) => all.extend(listening(&content, protocol, state)),
            // Without IPv6 in the kernel the files of version 6 are not there.
            Err(error) if protocol == "tcp" => failure = Some(proc::words(&error)),
            Err(_) => {}
        }
    }
    all.sort_by(|a: &Socket, b: &Socket| (a.port, &a.protocol).cmp(&(b.port, &b.protocol)));
    all.dedup();
    Fact::with_command(
        format!("/proc/{pid}/net/tcp"),
        format!("nsenter -t {pid} -n ss -lntu"),
        failure.map_or(Ok(all), Err),
    )
}

fn listening(content: &str, protocol: &str, state: &str) -> Vec<Socket> {
    content
        .lines()
        .skip(1)
        .filter_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            if *words.get(3)? != state {
                return None;
            }
            let (address, port) = words.get(1)?.split_once(':')?;
            Some(Socket {
                protocol: protocol.to_owned(),
                address: address_of_hex(address)?.to_string(),
                port: u16::from_str_radix(port, 16).ok()?,
            })
        })
        .collect()
}

/// Each group of eight digits is four bytes as this machine reads a number.
fn address_of_hex(digits: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        u32::from_str_radix(digits.get(at..at + 8)?, 16)
            .ok()
            .map(|number| u32::from_be_bytes(number.to_ne_bytes()))
    };
    match digits.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut number = 0_u128;
            for at in [0, 8, 16, 24] {
                number = number << 32 | u128::from(word(at)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(number)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn an_address_finds_its_interface_and_prefix() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
                    |-- 172.17.0.2\n           /32 host LOCAL\n     |-- 127.0.0.1\n  /32 host LOCAL\n\
                    Local:\n |-- 172.17.0.2\n           /32 host LOCAL\n";
        let route = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
                     eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        assert_eq!(
            addresses_v4(trie, route),
            [("eth0".to_owned(), "172.17.0.2/16".to_owned())]
        );
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn listening_sockets_of_both_versions() {
        let tcp = "  sl  local_address rem_address   st\n\
                   0: 0100007F:1F90 00000000:0000 0A 0\n   1: 00000000:0050 00000000:0000 01 0\n";
        let found = listening(tcp, "tcp", "0A");
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].address.as_str(), found[0].port),
            ("127.0.0.1", 8080)
        );
        assert_eq!(
            address_of_hex("00000000000000000000000001000000")
                .unwrap()
                .to_string(),
            "::1"
        );
    }

    #[test]
    fn version_6_addresses() {
        let found = addresses_v6("fe800000000000000042acfffe110002 05 40 20 80     eth0\n");
        assert_eq!(
            found,
            [("eth0".to_owned(), "fe80::42:acff:fe11:2/64".to_owned())]
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(a in "\\PC*", b in "\\PC*") {
            let _ = (addresses_v4(&a, &b), addresses_v6(&a), listening(&b, "tcp", "0A"));
            let _ = address_of_hex(&a);
        }
    }
}
