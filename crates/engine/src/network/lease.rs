//! Taking and giving back the addresses of a network.

use std::collections::HashSet;
use std::net::IpAddr;

use super::ipam::LeaseError;
use super::mac::MacAddress;
use super::networks::{NetworkState, State};
use super::record::{DEFAULT_NETWORK, Driver};
use super::sandbox::{Address, Endpoint, EndpointRequest, FixedAddresses, Sandbox};
use crate::error::{EngineError, Result};
use crate::id;

/// Takes the addresses of an endpoint.
pub(super) fn lease(
    network: &mut NetworkState,
    sandbox: &Sandbox,
    request: &EndpointRequest,
    number: usize,
) -> Result<Endpoint> {
    let record = network.record.clone();
    let holder = sandbox.container_id.as_str();
    let fixed = FixedAddresses {
        ipv4: request.ipv4,
        ipv6: request.ipv6,
    };
    if fixed != FixedAddresses::default() && record.name == DEFAULT_NETWORK {
        return Err(EngineError::Invalid(
            "user specified IP address is supported on user defined networks only".to_owned(),
        ));
    }
    if fixed.ipv4.is_some() && record.subnet(true).is_none_or(|subnet| subnet.automatic) {
        return Err(EngineError::Invalid(
            "user specified IP address is supported only when connecting to networks with user configured subnets".to_owned(),
        ));
    }
    if !request.aliases.is_empty() && !record.has_dns() && record.driver == Driver::Bridge {
        return Err(EngineError::Invalid(
            "network-scoped alias is supported only for containers in user defined networks"
                .to_owned(),
        ));
    }
    let mut ipv4 = None;
    let mut ipv6 = None;
    for wants_ipv4 in [true, false] {
        let leases = if wants_ipv4 {
            network.ipv4.as_mut()
        } else {
            network.ipv6.as_mut()
        };
        let (Some(leases), Some(subnet)) = (leases, record.subnet(wants_ipv4)) else {
            continue;
        };
        let wanted = if wants_ipv4 {
            fixed.ipv4.map(IpAddr::from)
        } else {
            fixed.ipv6.map(IpAddr::from)
        };
        let address = match wanted {
            Some(address) => leases.take(address, holder).map(|()| address),
            None => leases.allocate(holder),
        }
        .map_err(|error| match error {
            LeaseError::Outside => EngineError::Invalid(format!(
                "invalid address for network {}: it is not one of subnet {}",
                record.name, subnet.subnet
            )),
            other => EngineError::Forbidden(other.to_string()),
        })?;
        let prefix_len = subnet.subnet.prefix_len();
        match (address, subnet.gateway) {
            (IpAddr::V4(address), IpAddr::V4(gateway)) => {
                ipv4 = Some(Address {
                    address,
                    prefix_len,
                    gateway: (!record.internal).then_some(gateway),
                });
            }
            (IpAddr::V6(address), IpAddr::V6(gateway)) => {
                ipv6 = Some(Address {
                    address,
                    prefix_len,
                    gateway: (!record.internal).then_some(gateway),
                });
            }
            _ => {}
        }
    }
    let mac = match (record.driver, request.mac, ipv4) {
        (Driver::Bridge, Some(mac), _) => Some(mac),
        (Driver::Bridge, None, Some(ipv4)) => Some(MacAddress::for_address(ipv4.address.into())),
        _ => None,
    };
    Ok(Endpoint {
        id: id::generate()?,
        network_id: record.id.clone(),
        network_name: record.name.clone(),
        number,
        interface: if record.driver == Driver::Bridge {
            format!("eth{number}")
        } else {
            String::new()
        },
        mac,
        ipv4,
        ipv6,
        aliases: request.aliases.clone(),
        dns_names: if record.has_dns() {
            dns_names(sandbox, &request.aliases)
        } else {
            Vec::new()
        },
        fixed,
        gateway_priority: request.gateway_priority,
    })
}

/// The names of a container on a user-defined network: its own, its aliases, its short id, its host name.
fn dns_names(sandbox: &Sandbox, aliases: &[String]) -> Vec<String> {
    let mut names = vec![sandbox.container_name.clone()];
    names.extend(aliases.iter().cloned());
    names.push(id::short(&sandbox.container_id).to_owned());
    names.push(sandbox.hostname.clone());
    let mut seen = HashSet::new();
    names.retain(|name| !name.is_empty() && seen.insert(name.clone()));
    names
}

pub(super) fn give_back(network: &mut NetworkState, container_id: &str) {
    if network.containers.remove(container_id) {
        for leases in [&mut network.ipv4, &mut network.ipv6].into_iter().flatten() {
            leases.release(container_id);
        }
    }
}

/// Marks as taken what a running container has.
pub(super) fn take_back(state: &mut State, sandbox: &Sandbox) {
    for endpoint in &sandbox.endpoints {
        let Some(network) = state.networks.get_mut(&endpoint.network_id) else {
            continue;
        };
        network.containers.insert(sandbox.container_id.clone());
        let addresses = [
            (
                network.ipv4.as_mut(),
                endpoint.ipv4.map(|ipv4| IpAddr::from(ipv4.address)),
            ),
            (
                network.ipv6.as_mut(),
                endpoint.ipv6.map(|ipv6| IpAddr::from(ipv6.address)),
            ),
        ];
        for (leases, address) in addresses {
            if let (Some(leases), Some(address)) = (leases, address)
                && let Err(error) = leases.take(address, &sandbox.container_id)
            {
                tracing::error!(container = sandbox.container_id, %address, %error, "take back an address");
            }
        }
    }
    state
        .sandboxes
        .insert(sandbox.container_id.clone(), sandbox.clone());
}
