//! What a container asks of its networks, and what it got: its sandbox.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use bollard_stubs::models::{EndpointIpamConfig, EndpointSettings};
use serde::{Deserialize, Serialize};

use super::mac::MacAddress;
use super::port::{PortRequest, PublishedPort};
use crate::error::{EngineError, Result};

/// The network side of a container that is to start.
#[derive(Clone, Debug, Default)]
pub(crate) struct SandboxRequest {
    /// The container.
    pub(crate) container_id: String,
    /// Its name, without a slash.
    pub(crate) container_name: String,
    /// Its host name, which other containers of a user-defined network can resolve.
    pub(crate) hostname: String,
    /// Its networks. `host` shares the host's namespace; `none`, or nothing, has no link but the loopback.
    pub(crate) endpoints: Vec<EndpointRequest>,
    /// Ports to publish.
    pub(crate) ports: Vec<PortRequest>,
    /// Resolvers, search domains and options of the container's own (`--dns`).
    pub(crate) dns: DnsRequest,
}

/// A container's own DNS settings; what is empty comes from the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DnsRequest {
    /// Resolvers.
    pub(crate) servers: Vec<IpAddr>,
    /// Search domains; a single `.` is none.
    pub(crate) search: Vec<String>,
    /// Options of resolv.conf.
    pub(crate) options: Vec<String>,
}

/// A place on a network that a container wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EndpointRequest {
    /// Name or id of the network.
    pub(crate) network: String,
    /// Further names of the container on this network.
    pub(crate) aliases: Vec<String>,
    /// A fixed IPv4 address.
    pub(crate) ipv4: Option<Ipv4Addr>,
    /// A fixed IPv6 address.
    pub(crate) ipv6: Option<Ipv6Addr>,
    /// A fixed hardware address.
    pub(crate) mac: Option<MacAddress>,
    /// The network with the highest number gives the default gateway.
    pub(crate) gateway_priority: i64,
}

impl EndpointRequest {
    /// Reads Docker's settings of an endpoint on the network with this name or id.
    ///
    /// # Errors
    /// `Invalid` for a malformed address, `Unsupported` for links.
    pub(crate) fn from_settings(network: &str, settings: &EndpointSettings) -> Result<Self> {
        fn parse<T: std::str::FromStr>(kind: &str, text: Option<&str>) -> Result<Option<T>> {
            text.filter(|text| !text.is_empty())
                .map(|text| {
                    text.parse().map_err(|_| {
                        EngineError::Invalid(format!("invalid {kind} address: {text}"))
                    })
                })
                .transpose()
        }
        if settings
            .links
            .as_ref()
            .is_some_and(|links| !links.is_empty())
        {
            return Err(EngineError::Unsupported(
                "link containers: not supported by this engine; put them on one user-defined network, where names resolve"
                    .to_owned(),
            ));
        }
        let ipam = settings.ipam_config.as_ref();
        Ok(Self {
            network: network.to_owned(),
            aliases: settings.aliases.clone().unwrap_or_default(),
            ipv4: parse("IPv4", ipam.and_then(|ipam| ipam.ipv4_address.as_deref()))?,
            ipv6: parse("IPv6", ipam.and_then(|ipam| ipam.ipv6_address.as_deref()))?,
            mac: parse("MAC", settings.mac_address.as_deref())?,
            gateway_priority: settings.gw_priority.unwrap_or_default(),
        })
    }
}

/// A container's place on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    /// Id of the endpoint.
    pub(crate) id: String,
    /// Id of the network.
    pub(crate) network_id: String,
    /// Name of the network.
    pub(crate) network_name: String,
    /// Number among the container's endpoints; decides the names of its links.
    pub(super) number: usize,
    /// Name of the link inside; empty on the host's own network.
    pub(crate) interface: String,
    /// Hardware address; `None` on the host's own network and on `none`.
    pub(crate) mac: Option<MacAddress>,
    /// IPv4 address.
    pub(crate) ipv4: Option<Address<Ipv4Addr>>,
    /// IPv6 address.
    pub(crate) ipv6: Option<Address<Ipv6Addr>>,
    /// The aliases asked for.
    pub(crate) aliases: Vec<String>,
    /// All names that resolve to it on this network; empty where names are not resolved.
    pub(crate) dns_names: Vec<String>,
    /// Which addresses were asked for, as inspect gives them back.
    pub(crate) fixed: FixedAddresses,
    /// Priority as gateway.
    pub(crate) gateway_priority: i64,
}

/// An address with its subnet's prefix length and gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "an address is what it is called everywhere else"
)]
pub(crate) struct Address<T> {
    /// The address.
    pub(crate) address: T,
    /// Prefix length of the subnet.
    pub(crate) prefix_len: u8,
    /// Where packets to other subnets go; `None` on an internal network.
    pub(crate) gateway: Option<T>,
}

/// The addresses that were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FixedAddresses {
    /// IPv4.
    pub(crate) ipv4: Option<Ipv4Addr>,
    /// IPv6.
    pub(crate) ipv6: Option<Ipv6Addr>,
}

impl Endpoint {
    /// Returns the endpoint as a container's inspect shows it.
    pub(crate) fn to_settings(&self) -> EndpointSettings {
        let text = |address: Option<String>| Some(address.unwrap_or_default());
        let fixed = self.fixed;
        EndpointSettings {
            ipam_config: (fixed != FixedAddresses::default()).then(|| EndpointIpamConfig {
                ipv4_address: fixed.ipv4.map(|address| address.to_string()),
                ipv6_address: fixed.ipv6.map(|address| address.to_string()),
                link_local_ips: None,
            }),
            links: None,
            mac_address: text(self.mac.map(|mac| mac.to_string())),
            aliases: (!self.aliases.is_empty()).then(|| self.aliases.clone()),
            driver_opts: None,
            gw_priority: Some(self.gateway_priority),
            network_id: Some(self.network_id.clone()),
            endpoint_id: Some(self.id.clone()),
            gateway: text(
                self.ipv4
                    .and_then(|ipv4| ipv4.gateway)
                    .map(|gateway| gateway.to_string()),
            ),
            ip_address: text(self.ipv4.map(|ipv4| ipv4.address.to_string())),
            ip_prefix_len: Some(self.ipv4.map_or(0, |ipv4| ipv4.prefix_len.into())),
            ipv6_gateway: text(
                self.ipv6
                    .and_then(|ipv6| ipv6.gateway)
                    .map(|gateway| gateway.to_string()),
            ),
            global_ipv6_address: text(self.ipv6.map(|ipv6| ipv6.address.to_string())),
            global_ipv6_prefix_len: Some(self.ipv6.map_or(0, |ipv6| ipv6.prefix_len.into())),
            dns_names: (!self.dns_names.is_empty()).then(|| self.dns_names.clone()),
        }
    }
}

/// The network side of a running container. Kept in the run directory while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sandbox {
    /// The container.
    pub(crate) container_id: String,
    /// Its name.
    pub(crate) container_name: String,
    /// Its host name.
    pub(crate) hostname: String,
    /// File that holds its network namespace; `None` on the host's own network.
    pub(crate) netns_path: Option<PathBuf>,
    /// Its places on networks; the first gives the default gateway.
    pub(crate) endpoints: Vec<Endpoint>,
    /// Its published ports.
    pub(crate) ports: Vec<PublishedPort>,
    /// Its own DNS settings.
    pub(crate) dns: DnsRequest,
}

impl Sandbox {
    /// The endpoint that leads outside and receives published ports.
    pub(super) fn gateway_endpoint(&self) -> Option<&Endpoint> {
        self.endpoints
            .iter()
            .filter(|endpoint| endpoint.ipv4.is_some_and(|ipv4| ipv4.gateway.is_some()))
            .max_by(|one, other| {
                // Docker: highest priority, then the first name of the alphabet.
                one.gateway_priority
                    .cmp(&other.gateway_priority)
                    .then_with(|| other.network_name.cmp(&one.network_name))
            })
    }
}
