//! Where a channel may lead. A message is sent by this machine, so an address that only this machine reaches (its own
//! services, its network, its cloud's metadata) would lend the server's place to who may set a channel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Returns why an address is not for messages.
pub(super) fn check(ip: IpAddr, allow_private: bool) -> Result<(), &'static str> {
    let ip = match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    };
    let (never, private) = match ip {
        IpAddr::V4(ip) => (is_never_v4(ip), is_private_v4(ip)),
        IpAddr::V6(ip) => (is_never_v6(ip), is_private_v6(ip)),
    };
    if never {
        return Err("this address is not for messages: it is link-local, multicast or reserved");
    }
    if private && !allow_private {
        return Err(
            "this address is on this machine or in a private network: allow that in the channel",
        );
    }
    Ok(())
}

/// Link-local holds the metadata services of clouds (169.254.169.254).
fn is_never_v4(ip: Ipv4Addr) -> bool {
    let [a, ..] = ip.octets();
    ip.is_link_local() || ip.is_multicast() || ip.is_broadcast() || a == 0 || a >= 240
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    ip.is_private()
        || ip.is_loopback()
        // Carrier-grade NAT (RFC 6598) and benchmarking networks (RFC 2544).
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (18..20).contains(&b))
}

fn is_never_v6(ip: Ipv6Addr) -> bool {
    let first = ip.segments()[0];
    // fe80::/10, and AWS's metadata service by its own name.
    ip.is_unspecified()
        || ip.is_multicast()
        || (first & 0xffc0) == 0xfe80
        || ip == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    // fc00::/7; and what carries IPv4 addresses in it (NAT64, 6to4), which would lead past the rules for those.
    ip.is_loopback()
        || (segments[0] & 0xfe00) == 0xfc00
        || segments[..2] == [0x64, 0xff9b]
        || segments[0] == 0x2002
}

/// Looks names up and leaves out what is not for messages: what is connected to is what was checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guarded {
    pub(super) allow_private: bool,
}

/// A name that leads nowhere a message may go.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

impl Guarded {
    /// Returns the addresses of a host that messages may go to.
    pub(super) async fn look_up(self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let found = tokio::net::lookup_host((host, port))
            .await
            .map_err(|error| format!("look up {host}: {error}"))?;
        let mut refused = "the name has no address";
        let good: Vec<SocketAddr> = found
            .filter(|address| match check(address.ip(), self.allow_private) {
                Ok(()) => true,
                Err(why) => {
                    refused = why;
                    false
                }
            })
            .collect();
        if good.is_empty() {
            Err(format!("{host}: {refused}"))
        } else {
            Ok(good)
        }
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let guarded = *self;
        Box::pin(async move {
            let found = guarded.look_up(name.as_str(), 0).await.map_err(Refused)?;
            let found: Addrs = Box::new(found.into_iter());
            Ok(found)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_unless_private_ones_are_allowed_and_some_never() {
        let check = |text: &str, allow| check(text.parse().unwrap(), allow).is_ok();
        for public in ["1.1.1.1", "9.9.9.9", "2606:4700::1111", "::ffff:1.1.1.1"] {
            assert!(check(public, false), "{public}");
        }
        for private in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "::1",
            "fd12::1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "::ffff:127.0.0.1",
        ] {
            assert!(!check(private, false) && check(private, true), "{private}");
        }
        for never in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
        ] {
            assert!(!check(never, true), "{never}");
        }
    }
}
