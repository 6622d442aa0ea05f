//! Published ports: what a container asks for, and the host's ports held for it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use bollard_stubs::models::{PortBinding, PortMap, PortSummary, PortSummaryTypeEnum};
use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Its number in IP headers.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// `tcp` or `udp`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A port that a container wants published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PortRequest {
    /// Port inside the container.
    pub(crate) container_port: u16,
    /// Protocol.
    pub(crate) protocol: Protocol,
    /// Address of the host; `None` is every IPv4 address, or the network's own default.
    pub(crate) host_ip: Option<IpAddr>,
    /// First and last port of the host to choose from; `None` lets the kernel choose.
    pub(crate) host_ports: Option<(u16, u16)>,
}

/// A port of the host that leads to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct PublishedPort {
    /// Port inside the container.
    pub(crate) container_port: u16,
    /// Protocol.
    pub(crate) protocol: Protocol,
    /// Address of the host; `0.0.0.0` is every IPv4 address.
    pub(crate) host_ip: Ipv4Addr,
    /// Port of the host.
    pub(crate) host_port: u16,
}

/// Reads a key of Docker's port maps: `80`, `80/tcp`, `53/udp`.
///
/// # Errors
/// `Invalid` when it is none, `Unsupported` for SCTP.
pub(crate) fn parse_port_key(key: &str) -> Result<(u16, Protocol)> {
    let invalid = || EngineError::Invalid(format!("invalid port specification: {key:?}"));
    let (port, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" | "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => {
            return Err(EngineError::Unsupported(format!(
                "publish port {key}: SCTP is not supported by this engine; use tcp or udp"
            )));
        }
        _ => return Err(invalid()),
    };
    Ok((
        parse_port(port)
            .filter(|port| *port > 0)
            .ok_or_else(invalid)?,
        protocol,
    ))
}

/// Reads digits only: `u16::from_str` takes a leading `+`.
fn parse_port(text: &str) -> Option<u16> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// Reads a host port: nothing or `0` (the kernel chooses), one port, or a range `8000-8010`.
fn parse_host_ports(text: &str) -> Result<Option<(u16, u16)>> {
    let invalid = || EngineError::Invalid(format!("invalid port specification: {text:?}"));
    if text.is_empty() {
        return Ok(None);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let first = parse_port(first).ok_or_else(invalid)?;
    let last = parse_port(last).ok_or_else(invalid)?;
    match (first, last) {
        (0, 0) => Ok(None),
        (0, _) => Err(invalid()),
        _ if first > last => Err(invalid()),
        _ => Ok(Some((first, last))),
    }
}

/// Reads the port bindings of a container's host configuration.
///
/// # Errors
/// `Invalid` for a malformed port or address, `Unsupported` for SCTP and for IPv6 host addresses.
pub(crate) fn parse_bindings(bindings: &PortMap) -> Result<Vec<PortRequest>> {
    let mut requests = Vec::new();
    for (key, bindings) in bindings {
        let (container_port, protocol) = parse_port_key(key)?;
        let unspecified = [PortBinding::default()];
        let bindings = match bindings.as_deref() {
            None | Some([]) => &unspecified,
            Some(bindings) => bindings,
        };
        for binding in bindings {
            let host_ip = match binding.host_ip.as_deref().unwrap_or_default() {
                "" => None,
                text => Some(
                    text.parse::<IpAddr>()
                        .map_err(|_| EngineError::Invalid(format!("invalid IP address: {text}")))?,
                ),
            };
            if host_ip.is_some_and(|address| address.is_ipv6()) {
                return Err(EngineError::Unsupported(
                    "publish a port on an IPv6 address: not supported by this engine; publish it on an IPv4 address".to_owned(),
                ));
            }
            let host_ports = parse_host_ports(binding.host_port.as_deref().unwrap_or_default())?;
            requests.push(PortRequest {
                container_port,
                protocol,
                host_ip,
                host_ports,
            });
        }
    }
    // In a fixed order, so that ranges are handed out the same way each time.
    requests.sort_by_key(|request| (request.protocol, request.container_port, request.host_ports));
    Ok(requests)
}

/// Returns published and merely exposed ports as a container's inspect shows them.
pub(crate) fn port_map<'a>(
    published: &[PublishedPort],
    exposed: impl IntoIterator<Item = &'a str>,
) -> PortMap {
    let mut map: PortMap = exposed
        .into_iter()
        .map(|key| (key.to_owned(), None))
        .collect::<HashMap<_, _>>();
    for port in published {
        let key = format!("{}/{}", port.container_port, port.protocol.as_str());
        let binding = PortBinding {
            host_ip: Some(port.host_ip.to_string()),
            host_port: Some(port.host_port.to_string()),
        };
        map.entry(key)
            .or_default()
            .get_or_insert_default()
            .push(binding);
    }
    map
}

/// Returns published and merely exposed ports as the list of containers shows them.
pub(crate) fn port_summaries<'a>(
    published: &[PublishedPort],
    exposed: impl IntoIterator<Item = &'a str>,
) -> Vec<PortSummary> {
    let summary = |private_port, protocol, public: Option<(Ipv4Addr, u16)>| PortSummary {
        ip: public.map(|(ip, _)| ip.to_string()),
        private_port,
        public_port: public.map(|(_, port)| port),
        typ: Some(match protocol {
            Protocol::Tcp => PortSummaryTypeEnum::TCP,
            Protocol::Udp => PortSummaryTypeEnum::UDP,
        }),
    };
    let mut summaries: Vec<_> = published
        .iter()
        .map(|port| {
            summary(
                port.container_port,
                port.protocol,
                Some((port.host_ip, port.host_port)),
            )
        })
        .collect();
    for (port, protocol) in exposed
        .into_iter()
        .filter_map(|key| parse_port_key(key).ok())
    {
        if !published
            .iter()
            .any(|other| other.container_port == port && other.protocol == protocol)
        {
            summaries.push(summary(port, protocol, None));
        }
    }
    summaries.sort_by_key(|summary| (summary.private_port, summary.public_port));
    summaries
}

/// A port of the host that nobody else can take while this is held: a socket bound to it. The kernel translates
/// packets to it before they would reach the socket.
#[derive(Debug)]
pub(super) struct Reservation {
    /// The port held.
    pub(super) port: u16,
    /// Kept open for its effect; a TCP one listens.
    _socket: OwnedFd,
}

impl Reservation {
    /// Holds a port of the calling thread's namespace; port 0 is any free one.
    pub(super) fn hold(address: Ipv4Addr, port: u16, protocol: Protocol) -> io::Result<Self> {
        use rustix::net;
        let kind = match protocol {
            Protocol::Tcp => net::SocketType::STREAM,
            Protocol::Udp => net::SocketType::DGRAM,
        };
        let flags = net::SocketFlags::CLOEXEC | net::SocketFlags::NONBLOCK;
        let socket = net::socket_with(net::AddressFamily::INET, kind, flags, None)?;
        if protocol == Protocol::Tcp {
            // Connections of a server that just ended do not stand against it; a server that listens does.
            net::sockopt::set_socket_reuseaddr(&socket, true)?;
        }
        net::bind(&socket, &SocketAddr::new(address.into(), port))?;
        if protocol == Protocol::Tcp {
            net::listen(&socket, 64)?;
        }
        let bound = SocketAddr::try_from(net::getsockname(&socket)?)?;
        Ok(Self {
            port: bound.port(),
            _socket: socket,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binding(ip: &str, port: &str) -> PortBinding {
        PortBinding {
            host_ip: Some(ip.to_owned()),
            host_port: Some(port.to_owned()),
        }
    }

    fn parse(key: &str, bindings: Vec<PortBinding>) -> Result<Vec<PortRequest>> {
        parse_bindings(&PortMap::from([(key.to_owned(), Some(bindings))]))
    }

    #[test]
    fn bindings_are_read_as_docker_reads_them() {
        let read = parse(
            "80/tcp",
            vec![
                binding("127.0.0.1", "8080"),
                binding("", "9000-9010"),
                binding("", "0"),
            ],
        )
        .unwrap();
        assert_eq!(read.len(), 3);
        assert!(read.iter().any(
            |request| request.host_ip == Some("127.0.0.1".parse().unwrap())
                && request.host_ports == Some((8080, 8080))
        ));
        assert!(
            read.iter()
                .any(|request| request.host_ports == Some((9000, 9010)))
        );
        assert!(read.iter().any(|request| request.host_ports.is_none()));
        assert_eq!(parse("53/udp", vec![]).unwrap()[0].protocol, Protocol::Udp);
        assert_eq!(
            parse_bindings(&PortMap::from([("80".to_owned(), None)]))
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn bad_bindings_are_refused() {
        for (key, ip, port) in [
            ("0/tcp", "", ""),
            ("80/foo", "", ""),
            ("x", "", ""),
            ("80", "", "70000"),
            ("80", "", "10-5"),
            ("80", "", "+80"),
            ("80", "localhost", ""),
        ] {
            assert!(
                matches!(
                    parse(key, vec![binding(ip, port)]),
                    Err(EngineError::Invalid(_))
                ),
                "{key} {ip} {port}"
            );
        }
        assert!(matches!(
            parse("80/sctp", vec![]),
            Err(EngineError::Unsupported(_))
        ));
    }

    #[test]
    fn held_port_is_refused_to_others() {
        let first = Reservation::hold(Ipv4Addr::LOCALHOST, 0, Protocol::Tcp).unwrap();
        assert!(Reservation::hold(Ipv4Addr::UNSPECIFIED, first.port, Protocol::Tcp).is_err());
        assert!(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, first.port)).is_err());
        let port = first.port;
        drop(first);
        Reservation::hold(Ipv4Addr::LOCALHOST, port, Protocol::Tcp).unwrap();
        let datagrams = Reservation::hold(Ipv4Addr::LOCALHOST, 0, Protocol::Udp).unwrap();
        assert!(std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, datagrams.port)).is_err());
    }

    #[test]
    fn exposed_and_published_ports_are_shown() {
        let published = [PublishedPort {
            container_port: 80,
            protocol: Protocol::Tcp,
            host_ip: Ipv4Addr::UNSPECIFIED,
            host_port: 8080,
        }];
        let map = port_map(&published, ["80/tcp", "443/tcp"]);
        assert_eq!(map["443/tcp"], None);
        assert_eq!(map["80/tcp"], Some(vec![binding("0.0.0.0", "8080")]));
        let summaries = port_summaries(&published, ["80/tcp", "443/tcp"]);
        assert_eq!(
            summaries
                .iter()
                .map(|s| (s.private_port, s.public_port))
                .collect::<Vec<_>>(),
            [(80, Some(8080)), (443, None)]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(key in ".{0,12}", port in "[-+0-9a-z]{0,12}") {
            if let Ok(requests) = parse(&key, vec![binding("", &port)]) {
                for request in requests {
                    prop_assert!(request.container_port > 0);
                    prop_assert!(request.host_ports.is_none_or(|(first, last)| 0 < first && first <= last));
                }
            }
        }
    }
}
