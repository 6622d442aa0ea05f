//! The kernel's side of a sandbox: its namespace and the links into it.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd as _, BorrowedFd};

use sys::netns::{self, NetnsError};

use super::dns::DnsSockets;
use super::link::{self, EndpointSpec, InterfaceAddress};
use super::mac::MacAddress;
use super::netlink::RouteSocket;
use super::networks::{Networks, internal};
use super::record::{Driver, NetworkRecord};
use super::sandbox::{Endpoint, Sandbox};
use crate::error::{EngineError, Result};

impl Networks {
    /// Makes the namespace with its links. Returns the resolver's sockets for a container whose names are resolved.
    pub(super) fn build_namespace(
        &self,
        sandbox: &Sandbox,
        path: &std::path::Path,
    ) -> Result<Option<DnsSockets>> {
        let dns = self.serves_dns(sandbox);
        let ipv6 = sandbox
            .endpoints
            .iter()
            .any(|endpoint| endpoint.ipv6.is_some());
        let built = netns::create_with(path, |_| {
            let mut inside = RouteSocket::open().map_err(internal)?;
            link::set_up_loopback(&mut inside, ipv6).map_err(internal)?;
            let sockets = dns
                .then(DnsSockets::open)
                .transpose()
                .map_err(EngineError::io("open", "DNS sockets"))?;
            Ok::<_, EngineError>((inside, sockets))
        });
        // Sockets stay in the namespace that they were opened in, so the rest is done from here.
        let (mut inside, sockets) = match built {
            Ok(built) => built?,
            Err(error @ NetnsError::AlreadyExists { .. }) => {
                return Err(EngineError::Conflict(error.to_string()));
            }
            Err(error) => return Err(internal(error)),
        };
        let netns = netns::open(path).map_err(internal)?;
        let mut outside = RouteSocket::open().map_err(internal)?;
        for endpoint in &sandbox.endpoints {
            self.build_endpoint(&mut outside, &mut inside, netns.as_fd(), sandbox, endpoint)?;
        }
        Ok(sockets)
    }

    /// Makes the links of one endpoint, if it has any. `inside` is a socket of the namespace `netns`.
    pub(super) fn build_endpoint(
        &self,
        outside: &mut RouteSocket,
        inside: &mut RouteSocket,
        netns: BorrowedFd<'_>,
        sandbox: &Sandbox,
        endpoint: &Endpoint,
    ) -> Result<()> {
        let Some(record) = self.bridge_record(&endpoint.network_id) else {
            return Ok(());
        };
        let addresses = interface_addresses(endpoint);
        let outer_name = self.names.endpoint(&sandbox.container_id, endpoint.number);
        let spec = EndpointSpec {
            outer_name: &outer_name,
            bridge_index: self.ensure_up(&endpoint.network_id)?,
            inner_name: &endpoint.interface,
            mac: endpoint
                .mac
                .unwrap_or_else(|| MacAddress::for_address(Ipv4Addr::UNSPECIFIED.into())),
            addresses: &addresses,
            mtu: record.mtu(),
            isolated: !record.connects_containers(),
        };
        self.create_links(outside, netns, &spec, &endpoint.network_id)?;
        let leads_outside = sandbox
            .gateway_endpoint()
            .is_some_and(|gateway| gateway.id == endpoint.id);
        let gateways = if leads_outside {
            gateways(endpoint)
        } else {
            Vec::new()
        };
        link::configure_endpoint(inside, &spec, &gateways).map_err(internal)
    }

    /// Makes a pair of links; deals with what is left of an earlier run, and with a bridge that someone deleted.
    fn create_links(
        &self,
        outside: &mut RouteSocket,
        netns: BorrowedFd<'_>,
        spec: &EndpointSpec<'_>,
        network_id: &str,
    ) -> Result<()> {
        const TRIES: usize = 3;
        let mut spec = spec.clone();
        let mut tried = 1;
        loop {
            let refused = match link::create_endpoint(outside, netns, &spec) {
                Ok(()) => return Ok(()),
                Err(error) if tried == TRIES => return Err(internal(error)),
                Err(error) => error,
            };
            tried += 1;
            if refused.is(rustix::io::Errno::NODEV) || refused.is(rustix::io::Errno::INVAL) {
                tracing::warn!(network_id, error = %refused, "bridge is gone; make it again");
                self.forget_bridge(network_id);
                spec.bridge_index = self.ensure_up(network_id)?;
            } else if !refused.is(rustix::io::Errno::EXIST) {
                return Err(internal(refused));
            }
            link::delete(outside, spec.outer_name).map_err(internal)?;
        }
    }

    /// The record of a network with links.
    pub(super) fn bridge_record(&self, network_id: &str) -> Option<NetworkRecord> {
        let state = self.lock();
        let network = state.networks.get(network_id)?;
        (network.record.driver == Driver::Bridge).then(|| network.record.clone())
    }
}

fn interface_addresses(endpoint: &Endpoint) -> Vec<InterfaceAddress> {
    let ipv4 = endpoint.ipv4.map(|ipv4| InterfaceAddress {
        address: ipv4.address.into(),
        prefix_len: ipv4.prefix_len,
    });
    let ipv6 = endpoint.ipv6.map(|ipv6| InterfaceAddress {
        address: ipv6.address.into(),
        prefix_len: ipv6.prefix_len,
    });
    ipv4.into_iter().chain(ipv6).collect()
}

pub(super) fn gateways(endpoint: &Endpoint) -> Vec<IpAddr> {
    let ipv4 = endpoint
        .ipv4
        .and_then(|ipv4| ipv4.gateway)
        .map(IpAddr::from);
    let ipv6 = endpoint
        .ipv6
        .and_then(|ipv6| ipv6.gateway)
        .map(IpAddr::from);
    ipv4.into_iter().chain(ipv6).collect()
}
