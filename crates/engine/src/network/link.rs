//! Links: a bridge for each network, a pair of virtual Ethernet links for each endpoint.
//!
//! Names tell whose a link is, so that what a crash leaves is found by listing: `PREFIX0` is the bridge of the default
//! network, `PREFIX-01234567` that of the network with this id, `PREFIXa01234567` the outer end of the first endpoint
//! (`b` the second, …) of the container with this id. PREFIX is `mini`, or `m` and a tag for an engine with a run
//! directory of its own.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVeth, LinkAttribute,
    LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::mac::MacAddress;
use super::netlink::{NetlinkError, Request, RouteSocket};
use super::subnet::Subnet;

/// Endpoints of one container have the letters `a` to `z`.
pub(super) const MAX_ENDPOINTS: usize = 26;

/// The names of one engine's links.
#[derive(Clone, Debug)]
pub(crate) struct LinkNames {
    prefix: String,
}

impl LinkNames {
    /// Names for the engine with this tag, see `EngineConfig::instance_tag`; plain ones without a tag.
    pub(crate) fn new(tag: Option<&str>) -> Self {
        // Five of the six digits: name, letter and eight digits of an id must fit the kernel's 15 bytes.
        let prefix = tag.map_or_else(
            || "mini".to_owned(),
            |tag| format!("m{}", tag.get(..5).unwrap_or(tag)),
        );
        Self { prefix }
    }

    /// What all names begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The bridge of the default network.
    pub(super) fn default_bridge(&self) -> String {
        format!("{}0", self.prefix)
    }

    /// The bridge of another network.
    pub(super) fn bridge(&self, network_id: &str) -> String {
        format!("{}-{}", self.prefix, digits(network_id))
    }

    /// The outer end of a container's `index`th endpoint.
    pub(super) fn endpoint(&self, container_id: &str, index: usize) -> String {
        let letter = b"abcdefghijklmnopqrstuvwxyz"
            .get(index)
            .copied()
            .unwrap_or(b'z');
        format!(
            "{}{}{}",
            self.prefix,
            char::from(letter),
            digits(container_id)
        )
    }

    /// Whether a link of this name is the outer end of an endpoint; returns the digits of the container's id.
    pub(super) fn container_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        let rest = name.strip_prefix(&self.prefix)?;
        let id = rest.strip_prefix(|letter: char| letter.is_ascii_lowercase())?;
        is_digits(id).then_some(id)
    }

    /// Whether a link of this name is a bridge of this engine.
    pub(super) fn is_bridge(&self, name: &str) -> bool {
        name.strip_prefix(&self.prefix)
            .is_some_and(|rest| rest == "0" || rest.strip_prefix('-').is_some_and(is_digits))
    }
}

/// The part of an id that link names hold.
pub(super) fn digits(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn is_digits(text: &str) -> bool {
    text.len() == 8
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// An address with the prefix length of its subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InterfaceAddress {
    /// The address.
    pub(super) address: IpAddr,
    /// Prefix length of the subnet.
    pub(super) prefix_len: u8,
}

/// What a bridge is made of.
#[derive(Clone, Debug)]
pub(super) struct BridgeSpec<'a> {
    /// Name of the link.
    pub(super) name: &'a str,
    /// The gateways' addresses.
    pub(super) addresses: &'a [InterfaceAddress],
    /// Its hardware address. A bridge without a fixed one takes that of its ports as they come and go.
    pub(super) mac: MacAddress,
    /// Largest packet, in bytes.
    pub(super) mtu: u32,
}

/// What a pair of links is made of.
#[derive(Clone, Debug)]
pub(super) struct EndpointSpec<'a> {
    /// Name of the outer end.
    pub(super) outer_name: &'a str,
    /// Index of the bridge.
    pub(super) bridge_index: u32,
    /// Name inside, `eth0`.
    pub(super) inner_name: &'a str,
    /// Hardware address inside.
    pub(super) mac: MacAddress,
    /// Addresses inside.
    pub(super) addresses: &'a [InterfaceAddress],
    /// Largest packet, in bytes.
    pub(super) mtu: u32,
    /// The port may not talk to other such ports of the bridge.
    pub(super) isolated: bool,
}

/// Makes a bridge, gives it its addresses and brings it up. One that is there already is brought to this shape.
/// Returns its index.
pub(super) fn ensure_bridge(
    socket: &mut RouteSocket,
    spec: &BridgeSpec<'_>,
) -> Result<u32, NetlinkError> {
    let mut link = LinkMessage::default();
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    link.attributes = vec![
        LinkAttribute::IfName(spec.name.to_owned()),
        LinkAttribute::Address(spec.mac.octets().to_vec()),
        LinkAttribute::Mtu(spec.mtu),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]),
    ];
    socket.submit(vec![Request {
        operation: format!("create bridge {}", spec.name),
        flags: NLM_F_CREATE,
        message: RouteNetlinkMessage::NewLink(link),
    }])?;
    let index = index_of(socket, spec.name)?;
    // Before the addresses, which IPv6 would otherwise test for duplicates first.
    set_bridge_settings(spec)
        .map_err(|source| NetlinkError::of(format!("set up bridge {}", spec.name), source))?;
    let addresses = spec
        .addresses
        .iter()
        .map(|address| add_address(index, *address, spec.name))
        .collect();
    match socket.submit(addresses) {
        Err(error) if !error.is(rustix::io::Errno::EXIST) => Err(error),
        _ => Ok(index),
    }
}

/// `route_localnet` lets the host's own 127.0.0.1 be translated to a container; the firewall drops what comes from
/// anywhere else for 127.0.0.0/8, so nothing but the host gains by it.
fn set_bridge_settings(spec: &BridgeSpec<'_>) -> io::Result<()> {
    let ipv6 = spec
        .addresses
        .iter()
        .any(|address| address.address.is_ipv6());
    sys::netns::write_sysctl(&format!("ipv4/conf/{}/route_localnet", spec.name), "1")?;
    sys::netns::write_sysctl(&format!("ipv4/conf/{}/rp_filter", spec.name), "1")?;
    for (setting, value) in [
        ("accept_ra", "0"),
        ("disable_ipv6", if ipv6 { "0" } else { "1" }),
    ] {
        optional(sys::netns::write_sysctl(
            &format!("ipv6/conf/{}/{setting}", spec.name),
            value,
        ))?;
    }
    Ok(())
}

/// A kernel without IPv6 lacks the settings, and needs none.
fn optional(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Sets up a sandbox's own link and settings. Runs on the sandbox's thread, before its first endpoint.
pub(super) fn set_up_loopback(socket: &mut RouteSocket, ipv6: bool) -> Result<(), NetlinkError> {
    let settings = || {
        if !ipv6 {
            optional(sys::netns::write_sysctl("ipv6/conf/all/disable_ipv6", "1"))?;
            optional(sys::netns::write_sysctl(
                "ipv6/conf/default/disable_ipv6",
                "1",
            ))?;
        }
        optional(sys::netns::write_sysctl("ipv6/conf/default/accept_ra", "0"))?;
        // What Docker grants to programs without privileges: low ports and `ping` without a raw socket.
        sys::netns::write_sysctl("ipv4/ip_unprivileged_port_start", "0")?;
        sys::netns::write_sysctl("ipv4/ping_group_range", "0 2147483647")
    };
    settings().map_err(|source| NetlinkError::of("set up network namespace".to_owned(), source))?;
    socket.submit(vec![set_up(1, "lo")])
}

fn set_up(index: u32, name: &str) -> Request {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    Request {
        operation: format!("set link {name} up"),
        flags: 0,
        message: RouteNetlinkMessage::SetLink(link),
    }
}

/// Makes a pair of links: the outer end on the bridge, the inner one in the namespace `netns` with its name, hardware
/// address. `outside` is a socket of the host's namespace.
pub(super) fn create_endpoint(
    outside: &mut RouteSocket,
    netns: BorrowedFd<'_>,
    spec: &EndpointSpec<'_>,
) -> Result<(), NetlinkError> {
    let mut peer = LinkMessage::default();
    // Not up yet: the kernel refuses that for the second of a pair while the pair is being made.
    peer.attributes = vec![
        LinkAttribute::IfName(spec.inner_name.to_owned()),
        LinkAttribute::Address(spec.mac.octets().to_vec()),
        LinkAttribute::Mtu(spec.mtu),
        LinkAttribute::NetNsFd(netns.as_raw_fd()),
    ];
    let mut pair = LinkMessage::default();
    pair.header.flags = LinkFlags::Up;
    pair.header.change_mask = LinkFlags::Up;
    pair.attributes = vec![
        LinkAttribute::IfName(spec.outer_name.to_owned()),
        LinkAttribute::Mtu(spec.mtu),
        LinkAttribute::Controller(spec.bridge_index),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]),
    ];
    let mut port = LinkMessage::default();
    port.attributes = vec![
        LinkAttribute::IfName(spec.outer_name.to_owned()),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            // Hairpin: with br_netfilter a container reaches its own published port through the port it came from.
            LinkInfo::PortData(InfoPortData::BridgePort(vec![
                InfoBridgePort::HairpinMode(true),
                InfoBridgePort::Isolated(spec.isolated),
            ])),
        ]),
    ];
    outside.submit(vec![
        Request {
            operation: format!("create links {} and {}", spec.outer_name, spec.inner_name),
            flags: NLM_F_CREATE | NLM_F_EXCL,
            message: RouteNetlinkMessage::NewLink(pair),
        },
        Request {
            operation: format!("set up bridge port {}", spec.outer_name),
            flags: 0,
            message: RouteNetlinkMessage::NewLink(port),
        },
    ])
}

/// Brings the inner link up and gives it its addresses and, for the endpoint that leads outside, the default routes. `inside` is a
/// socket of the sandbox.
pub(super) fn configure_endpoint(
    inside: &mut RouteSocket,
    spec: &EndpointSpec<'_>,
    gateways: &[IpAddr],
) -> Result<(), NetlinkError> {
    let index = index_of(inside, spec.inner_name)?;
    let mut requests = vec![set_up(index, spec.inner_name)];
    let addresses = spec.addresses.iter();
    requests.extend(addresses.map(|address| add_address(index, *address, spec.inner_name)));
    requests.extend(
        gateways
            .iter()
            .map(|gateway| default_route(index, *gateway)),
    );
    inside.submit(requests)
}

/// Adds the default routes by `gateways` on the link `name`. One that is there already is fine.
pub(super) fn add_default_routes(
    inside: &mut RouteSocket,
    name: &str,
    gateways: &[IpAddr],
) -> Result<(), NetlinkError> {
    let index = index_of(inside, name)?;
    match inside.submit(
        gateways
            .iter()
            .map(|gateway| default_route(index, *gateway))
            .collect(),
    ) {
        Err(error) if !error.is(rustix::io::Errno::EXIST) => Err(error),
        _ => Ok(()),
    }
}

fn default_route(index: u32, gateway: IpAddr) -> Request {
    let mut route = RouteMessage::default();
    route.header.address_family = family(gateway);
    route.header.table = RouteHeader::RT_TABLE_MAIN;
    route.header.protocol = RouteProtocol::Boot;
    route.header.kind = RouteType::Unicast;
    route.attributes = vec![
        RouteAttribute::Gateway(RouteAddress::from(gateway)),
        RouteAttribute::Oif(index),
    ];
    Request {
        operation: format!("add default route by {gateway}"),
        flags: NLM_F_CREATE | NLM_F_EXCL,
        message: RouteNetlinkMessage::NewRoute(route),
    }
}

/// Removes the default routes of the socket's namespace.
pub(super) fn remove_default_routes(socket: &mut RouteSocket) -> Result<(), NetlinkError> {
    let routes = socket.list(
        "list routes",
        RouteNetlinkMessage::GetRoute(RouteMessage::default()),
    )?;
    let requests = routes.into_iter().filter_map(|message| {
        let RouteNetlinkMessage::NewRoute(route) = message else {
            return None;
        };
        let leads_outside = route
            .attributes
            .iter()
            .any(|attribute| matches!(attribute, RouteAttribute::Gateway(_)));
        (route.header.destination_prefix_length == 0 && leads_outside).then(|| Request {
            operation: "remove default route".to_owned(),
            flags: 0,
            message: RouteNetlinkMessage::DelRoute(route),
        })
    });
    socket.submit(requests.collect())
}

fn add_address(
    index: u32,
    InterfaceAddress {
        address,
        prefix_len,
    }: InterfaceAddress,
    link: &str,
) -> Request {
    let mut message = AddressMessage::default();
    message.header.family = family(address);
    message.header.prefix_len = prefix_len;
    message.header.index = index;
    // No wait for duplicate address detection: the addresses are ours to give.
    if address.is_ipv6() {
        message.header.flags = AddressHeaderFlags::Nodad;
    }
    message.attributes = vec![
        AddressAttribute::Local(address),
        AddressAttribute::Address(address),
    ];
    if let (IpAddr::V4(_), Some(IpAddr::V4(broadcast))) =
        (address, Subnet::new(address, prefix_len).map(Subnet::last))
    {
        message
            .attributes
            .push(AddressAttribute::Broadcast(broadcast));
    }
    Request {
        operation: format!("add address {address}/{prefix_len} to {link}"),
        flags: NLM_F_CREATE | NLM_F_EXCL,
        message: RouteNetlinkMessage::NewAddress(message),
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

/// Removes a link (of a pair: both). One that is not there is fine.
pub(super) fn delete(socket: &mut RouteSocket, name: &str) -> Result<(), NetlinkError> {
    let mut link = LinkMessage::default();
    link.attributes = vec![LinkAttribute::IfName(name.to_owned())];
    delete_link(socket, name, link)
}

/// Removes this very link, not another that has got its name since.
pub(super) fn delete_index(socket: &mut RouteSocket, found: &Link) -> Result<(), NetlinkError> {
    let mut link = LinkMessage::default();
    link.header.index = found.index;
    delete_link(socket, &found.name, link)
}

fn delete_link(
    socket: &mut RouteSocket,
    name: &str,
    link: LinkMessage,
) -> Result<(), NetlinkError> {
    let request = Request {
        operation: format!("delete link {name}"),
        flags: 0,
        message: RouteNetlinkMessage::DelLink(link),
    };
    match socket.submit(vec![request]) {
        Err(error) if !error.is(rustix::io::Errno::NODEV) => Err(error),
        _ => Ok(()),
    }
}

/// A link of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Its name.
    pub(super) name: String,
    /// Its index.
    pub(super) index: u32,
}

/// Returns all links of the socket's namespace.
pub(super) fn list(socket: &mut RouteSocket) -> Result<Vec<Link>, NetlinkError> {
    let found = socket.list(
        "list links",
        RouteNetlinkMessage::GetLink(LinkMessage::default()),
    )?;
    Ok(found
        .into_iter()
        .filter_map(|message| {
            let RouteNetlinkMessage::NewLink(link) = message else {
                return None;
            };
            let name = link
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    LinkAttribute::IfName(name) => Some(name.clone()),
                    _ => None,
                })?;
            Some(Link {
                name,
                index: link.header.index,
            })
        })
        .collect())
}

fn index_of(socket: &mut RouteSocket, name: &str) -> Result<u32, NetlinkError> {
    list(socket)?
        .into_iter()
        .find(|link| link.name == name)
        .map(|link| link.index)
        .ok_or_else(|| {
            NetlinkError::of(format!("find link {name}"), rustix::io::Errno::NODEV.into())
        })
}

/// Returns the subnets that the host's addresses and routes occupy, the default route excepted, with the link's index.
pub(super) fn occupied_subnets(
    socket: &mut RouteSocket,
) -> Result<Vec<(Subnet, u32)>, NetlinkError> {
    let addresses = socket.list(
        "list addresses",
        RouteNetlinkMessage::GetAddress(AddressMessage::default()),
    )?;
    let routes = socket.list(
        "list routes",
        RouteNetlinkMessage::GetRoute(RouteMessage::default()),
    )?;
    let of_address = |message: RouteNetlinkMessage| {
        let RouteNetlinkMessage::NewAddress(message) = message else {
            return None;
        };
        let subnet = message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                AddressAttribute::Address(address) => {
                    Subnet::new(*address, message.header.prefix_len)
                }
                _ => None,
            })?;
        Some((subnet, message.header.index))
    };
    let of_route = |message: RouteNetlinkMessage| {
        let RouteNetlinkMessage::NewRoute(message) = message else {
            return None;
        };
        let prefix_len = message.header.destination_prefix_length;
        let subnet = message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(address)) => {
                    Subnet::new((*address).into(), prefix_len)
                }
                RouteAttribute::Destination(RouteAddress::Inet6(address)) => {
                    Subnet::new((*address).into(), prefix_len)
                }
                _ => None,
            })?;
        let link = message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            });
        Some((subnet, link.unwrap_or(0)))
    };
    Ok(addresses
        .into_iter()
        .filter_map(of_address)
        .chain(routes.into_iter().filter_map(of_route))
        .filter(|(subnet, _)| subnet.prefix_len() > 0)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_kernel_and_tell_whose_they_are() {
        let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        for names in [LinkNames::new(None), LinkNames::new(Some("a1b2c3"))] {
            for name in [
                names.default_bridge(),
                names.bridge(id),
                names.endpoint(id, 25),
            ] {
                assert!(name.len() <= 15, "{name}");
            }
            assert_eq!(names.container_of(&names.endpoint(id, 0)), Some("01234567"));
            assert_eq!(names.container_of(&names.bridge(id)), None);
            assert_eq!(names.container_of(&names.default_bridge()), None);
            assert!(names.is_bridge(&names.bridge(id)) && names.is_bridge(&names.default_bridge()));
            assert!(!names.is_bridge(&names.endpoint(id, 0)));
        }
        let (plain, tagged) = (LinkNames::new(None), LinkNames::new(Some("a1b2c3")));
        assert_eq!(plain.container_of(&tagged.endpoint(id, 0)), None);
        assert_eq!(tagged.container_of(&plain.endpoint(id, 0)), None);
    }
}
