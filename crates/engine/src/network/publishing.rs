//! Holding the host's ports for containers, and leading them to where the container is.

use std::net::{IpAddr, Ipv4Addr};

use super::networks::Networks;
use super::port::{PortRequest, PublishedPort, Reservation};
use super::sandbox::Sandbox;
use crate::error::{EngineError, Result};

impl Networks {
    /// Holds the host's ports.
    pub(super) fn reserve_ports(
        &self,
        sandbox: &mut Sandbox,
        requests: &[PortRequest],
    ) -> Result<Vec<Reservation>> {
        let Some(endpoint) = sandbox.gateway_endpoint().cloned() else {
            // As Docker: without a network that leads outside there is nothing to publish on.
            return Ok(Vec::new());
        };
        let default_ip = {
            let state = self.lock();
            state
                .networks
                .get(&endpoint.network_id)
                .map_or(Ipv4Addr::UNSPECIFIED, |network| {
                    network.record.host_binding()
                })
        };
        let mut held = Vec::new();
        for request in requests {
            let host_ip = match request.host_ip {
                None => default_ip,
                Some(IpAddr::V4(address)) => address,
                Some(IpAddr::V6(address)) => {
                    return Err(EngineError::Unsupported(format!(
                        "publish a port on {address}: not supported by this engine"
                    )));
                }
            };
            let reservation = self.reserve(host_ip, request).map_err(|cause| {
                EngineError::Internal(format!(
                    "driver failed programming external connectivity on endpoint {} ({}): {cause}",
                    sandbox.container_name, endpoint.id
                ))
            })?;
            sandbox.ports.push(PublishedPort {
                container_port: request.container_port,
                protocol: request.protocol,
                host_ip,
                host_port: reservation.port,
            });
            held.push(reservation);
        }
        Ok(held)
    }

    /// Holds the first free port of a request; says in Docker's words why there is none.
    fn reserve(&self, host_ip: Ipv4Addr, request: &PortRequest) -> Result<Reservation, String> {
        let (first, last) = request.host_ports.unwrap_or((0, 0));
        let mut refusal = String::new();
        for port in first..=last {
            match Reservation::hold(host_ip, port, request.protocol) {
                Ok(reservation) => return Ok(reservation),
                Err(error) => {
                    let ours = self
                        .lock()
                        .sandboxes
                        .values()
                        .flat_map(|sandbox| &sandbox.ports)
                        .any(|other| {
                            other.host_port == port
                                && other.protocol == request.protocol
                                && (other.host_ip == host_ip
                                    || other.host_ip.is_unspecified()
                                    || host_ip.is_unspecified())
                        });
                    let protocol = request.protocol.as_str();
                    refusal = match error.kind() {
                        std::io::ErrorKind::AddrInUse if ours => {
                            format!("Bind for {host_ip}:{port} failed: port is already allocated")
                        }
                        std::io::ErrorKind::AddrInUse => {
                            format!(
                                "listen {protocol}4 {host_ip}:{port}: bind: address already in use"
                            )
                        }
                        std::io::ErrorKind::AddrNotAvailable => {
                            format!(
                                "listen {protocol}4 {host_ip}:{port}: bind: cannot assign requested address"
                            )
                        }
                        _ => format!("listen {protocol}4 {host_ip}:{port}: {error}"),
                    };
                }
            }
        }
        Err(if first == last {
            refusal
        } else {
            format!("all ports are allocated in {first}-{last}: {refusal}")
        })
    }

    /// Leads published ports to the address that the container now has outside.
    pub(super) fn move_ports(&self, previous: &Sandbox, now: &Sandbox) -> Result<()> {
        let address = |sandbox: &Sandbox| {
            sandbox
                .gateway_endpoint()
                .and_then(|endpoint| endpoint.ipv4)
                .map(|ipv4| ipv4.address)
        };
        if address(previous) == address(now) || now.ports.is_empty() {
            return Ok(());
        }
        self.firewall.unpublish(&now.ports)?;
        address(now).map_or(Ok(()), |address| self.firewall.publish(address, &now.ports))
    }
}
