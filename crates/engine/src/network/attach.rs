//! Connecting running containers to networks and disconnecting them.

use std::os::fd::AsFd as _;

use sys::netns;

use super::dns::DnsSockets;
use super::lease::give_back;
use super::link;
use super::netlink::RouteSocket;
use super::networks::{Networks, internal};
use super::record::Driver;
use super::sandbox::{Endpoint, EndpointRequest, Sandbox};
use super::wiring::gateways;
use crate::error::{EngineError, Result};

impl Networks {
    /// Connects a running container to one more network.
    ///
    /// # Errors
    /// `Conflict` when the container does not run here, and as [`Self::prepare_sandbox`].
    pub(crate) fn attach(&self, container_id: &str, request: &EndpointRequest) -> Result<Endpoint> {
        let previous = self.running(container_id)?;
        let Some(path) = previous.netns_path.clone() else {
            return Err(EngineError::Forbidden(
                "container cannot be connected to a network beside the host's".to_owned(),
            ));
        };
        let endpoint = self.claim_endpoint(&previous, request)?;
        let mut sandbox = previous.clone();
        sandbox.endpoints.push(endpoint.clone());
        let attached = self.attach_links(&previous, &sandbox, &endpoint, &path);
        if let Err(error) = attached {
            self.drop_endpoint(container_id, &endpoint)?;
            return Err(error);
        }
        self.register_names(&sandbox);
        self.keep(&sandbox)?;
        self.lock()
            .sandboxes
            .insert(container_id.to_owned(), sandbox);
        self.publish_endpoint("connect", &endpoint, container_id);
        Ok(endpoint)
    }

    fn attach_links(
        &self,
        previous: &Sandbox,
        sandbox: &Sandbox,
        endpoint: &Endpoint,
        path: &std::path::Path,
    ) -> Result<()> {
        let dns = self.serves_dns(sandbox);
        let had_dns = self.serves_dns(previous);
        if dns {
            // The old sockets must be closed before the new ones can be opened; what the tasks know changes anyway.
            self.dns.stop(&sandbox.container_id);
        }
        let mut outside = RouteSocket::open().map_err(internal)?;
        let netns = netns::open(path).map_err(internal)?;
        let mut inside = netns::run(netns.as_fd(), RouteSocket::open)
            .map_err(internal)?
            .map_err(internal)?;
        if sandbox
            .gateway_endpoint()
            .is_some_and(|gateway| gateway.id == endpoint.id)
        {
            link::remove_default_routes(&mut inside).map_err(internal)?;
        }
        self.build_endpoint(&mut outside, &mut inside, netns.as_fd(), sandbox, endpoint)?;
        self.move_ports(previous, sandbox)?;
        if dns {
            self.reopen_dns(sandbox, path)?;
        }
        if dns && !had_dns {
            tracing::debug!(
                container = sandbox.container_id,
                "names are resolved from now on; resolv.conf is as it was at start"
            );
        }
        Ok(())
    }

    /// Opens the resolver's sockets again. The old ones close when their tasks have seen that they are to end.
    pub(super) fn reopen_dns(&self, sandbox: &Sandbox, path: &std::path::Path) -> Result<()> {
        const TRIES: usize = 100;
        for _ in 0..TRIES {
            match netns::run_at(path, DnsSockets::open).map_err(internal)? {
                Ok(sockets) => {
                    return self
                        .dns
                        .serve(sandbox, sockets)
                        .map_err(EngineError::io("serve DNS for", &sandbox.container_name));
                }
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
                Err(error) => return Err(EngineError::internal("open", "DNS sockets", error)),
            }
        }
        Err(EngineError::internal(
            "open DNS sockets for",
            &sandbox.container_name,
            "address 127.0.0.11:53 stays in use",
        ))
    }

    /// Disconnects a running container from a network.
    ///
    /// # Errors
    /// `Conflict` when the container does not run here, `Forbidden` when it is not on that network.
    pub(crate) fn detach(&self, container_id: &str, network: &str) -> Result<()> {
        let previous = self.running(container_id)?;
        let network = self.resolve(network)?;
        let mut sandbox = previous.clone();
        let Some(position) = sandbox
            .endpoints
            .iter()
            .position(|endpoint| endpoint.network_id == network.id)
        else {
            return Err(EngineError::Forbidden(format!(
                "container {container_id} is not connected to network {}",
                network.name
            )));
        };
        if network.driver == Driver::Host {
            return Err(EngineError::Forbidden(
                "container cannot be disconnected from host network or connected to host network"
                    .to_owned(),
            ));
        }
        let endpoint = sandbox.endpoints.remove(position);
        let mut outside = RouteSocket::open().map_err(internal)?;
        link::delete(
            &mut outside,
            &self.names.endpoint(container_id, endpoint.number),
        )
        .map_err(internal)?;
        self.dns.unregister(container_id, &endpoint.network_id);
        self.move_ports(&previous, &sandbox)?;
        if let Some(path) = &sandbox.netns_path {
            if let Some(gateway) = sandbox.gateway_endpoint() {
                let add = || {
                    let mut inside = RouteSocket::open()?;
                    link::add_default_routes(&mut inside, &gateway.interface, &gateways(gateway))
                };
                netns::run_at(path, add)
                    .map_err(internal)?
                    .map_err(internal)?;
            }
            if self.serves_dns(&previous) {
                self.dns.stop(container_id);
                self.reopen_dns(&sandbox, path)?;
            }
        }
        self.keep(&sandbox)?;
        {
            let mut state = self.lock();
            state.sandboxes.insert(container_id.to_owned(), sandbox);
            if let Some(network) = state.networks.get_mut(&endpoint.network_id) {
                give_back(network, container_id);
            }
        }
        self.publish_endpoint("disconnect", &endpoint, container_id);
        Ok(())
    }

    fn running(&self, container_id: &str) -> Result<Sandbox> {
        self.sandbox(container_id).ok_or_else(|| {
            EngineError::Conflict(format!("container {container_id} is not running"))
        })
    }

    fn drop_endpoint(&self, container_id: &str, endpoint: &Endpoint) -> Result<()> {
        let mut outside = RouteSocket::open().map_err(internal)?;
        link::delete(
            &mut outside,
            &self.names.endpoint(container_id, endpoint.number),
        )
        .map_err(internal)?;
        if let Some(network) = self.lock().networks.get_mut(&endpoint.network_id) {
            give_back(network, container_id);
        }
        Ok(())
    }
}
