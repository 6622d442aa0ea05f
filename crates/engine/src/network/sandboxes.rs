//! The network side of containers as they start, run and end.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd as _, BorrowedFd};

use sys::netns::{self, NetnsError};

use super::dns::DnsSockets;
use super::link::{self, EndpointSpec, InterfaceAddress};
use super::mac::MacAddress;
use super::netlink::RouteSocket;
use super::networks::{NetworkState, Networks, State, internal, rules};
use super::port::{PortRequest, PublishedPort, Reservation};
use super::record::{DEFAULT_NETWORK, Driver, NetworkRecord};
use super::sandbox::{Address, Endpoint, EndpointRequest, FixedAddresses, Sandbox, SandboxRequest};
use crate::error::{EngineError, Result};
use crate::{id, store};

impl Networks {
    /// Makes the network side of a container: its namespace, links, addresses, published ports and names. The namespace
    /// is complete when this returns; on an error nothing is left.
    ///
    /// # Errors
    /// `NotFound` for an unknown network, `Invalid` or `Forbidden` for an address that cannot be had, `Internal` with
    /// Docker's words for a port in use, and what the kernel refuses.
    pub(crate) fn prepare_sandbox(&self, request: &SandboxRequest) -> Result<Sandbox> {
        // What an earlier run of this container left, should its end have been missed.
        self.release(&request.container_id)?;
        let made = self
            .claim(request)
            .and_then(|sandbox| self.build(sandbox, &request.ports));
        match made {
            Ok(sandbox) => {
                for endpoint in &sandbox.endpoints {
                    self.publish_endpoint("connect", endpoint, &sandbox.container_id);
                }
                Ok(sandbox)
            }
            Err(error) => {
                if let Err(second) = self.dismantle(&request.container_id) {
                    tracing::warn!(container = request.container_id, error = %second, "undo a network that was not finished");
                }
                Err(error)
            }
        }
    }

    /// Takes addresses for all endpoints.
    fn claim(&self, request: &SandboxRequest) -> Result<Sandbox> {
        let mut sandbox = Sandbox {
            container_id: request.container_id.clone(),
            container_name: request.container_name.clone(),
            hostname: request.hostname.clone(),
            netns_path: Some(self.netns_path(&request.container_id)),
            endpoints: Vec::new(),
            ports: Vec::new(),
            dns: request.dns.clone(),
        };
        for endpoint in &request.endpoints {
            let claimed = self.claim_endpoint(&sandbox, endpoint)?;
            sandbox.endpoints.push(claimed);
        }
        if self.driver_of(&sandbox, Driver::Host) {
            if sandbox.endpoints.len() > 1 {
                return Err(EngineError::Invalid(
                    "container cannot be connected to network endpoints beside the host's network"
                        .to_owned(),
                ));
            }
            sandbox.netns_path = None;
        }
        Ok(sandbox)
    }

    fn driver_of(&self, sandbox: &Sandbox, driver: Driver) -> bool {
        let state = self.lock();
        let mut networks = sandbox
            .endpoints
            .iter()
            .filter_map(|endpoint| state.networks.get(&endpoint.network_id));
        networks.any(|network| network.record.driver == driver)
    }

    /// Takes an address on one network for a container.
    fn claim_endpoint(&self, sandbox: &Sandbox, request: &EndpointRequest) -> Result<Endpoint> {
        let (network_id, driver) = {
            let state = self.lock();
            let network = state.find(&request.network)?;
            (network.record.id.clone(), network.record.driver)
        };
        if driver == Driver::Bridge {
            self.ensure_up(&network_id)?;
        }
        let number = (0..link::MAX_ENDPOINTS)
            .find(|number| {
                !sandbox
                    .endpoints
                    .iter()
                    .any(|endpoint| endpoint.number == *number)
            })
            .ok_or_else(|| {
                EngineError::Invalid(format!(
                    "container is on {} networks already",
                    link::MAX_ENDPOINTS
                ))
            })?;
        let mut state = self.lock();
        let network = state
            .networks
            .get_mut(&network_id)
            .ok_or_else(|| EngineError::no_such_network(&request.network))?;
        if !network.containers.insert(sandbox.container_id.clone()) {
            return Err(EngineError::Forbidden(format!(
                "endpoint with name {} already exists in network {}",
                sandbox.container_name, network.record.name
            )));
        }
        let claimed = lease(network, sandbox, request, number);
        if claimed.is_err() {
            give_back(network, &sandbox.container_id);
        }
        claimed
    }

    /// Makes the kernel's side of a claimed sandbox.
    fn build(&self, mut sandbox: Sandbox, ports: &[PortRequest]) -> Result<Sandbox> {
        let reservations = self.reserve_ports(&mut sandbox, ports)?;
        if let Some(path) = sandbox.netns_path.clone() {
            let sockets = self.build_namespace(&sandbox, &path)?;
            let gateway = sandbox
                .gateway_endpoint()
                .and_then(|endpoint| endpoint.ipv4);
            if let (Some(gateway), false) = (gateway, sandbox.ports.is_empty()) {
                self.firewall.publish(gateway.address, &sandbox.ports)?;
            }
            if let Some(sockets) = sockets {
                self.dns
                    .serve(&sandbox, sockets)
                    .map_err(EngineError::io("serve DNS for", &sandbox.container_name))?;
            }
        }
        self.register_names(&sandbox);
        self.keep(&sandbox)?;
        let mut state = self.lock();
        state
            .sandboxes
            .insert(sandbox.container_id.clone(), sandbox.clone());
        state
            .reservations
            .insert(sandbox.container_id.clone(), reservations);
        Ok(sandbox)
    }

    /// Holds the host's ports.
    fn reserve_ports(
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

    /// Makes the namespace with its links. Returns the resolver's sockets for a container whose names are resolved.
    fn build_namespace(
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
    fn build_endpoint(
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
    fn bridge_record(&self, network_id: &str) -> Option<NetworkRecord> {
        let state = self.lock();
        let network = state.networks.get(network_id)?;
        (network.record.driver == Driver::Bridge).then(|| network.record.clone())
    }

    fn register_names(&self, sandbox: &Sandbox) {
        for endpoint in sandbox
            .endpoints
            .iter()
            .filter(|endpoint| !endpoint.dns_names.is_empty())
        {
            self.dns.register(&sandbox.container_id, endpoint);
        }
    }

    /// Writes the sandbox's file, from which it is known again after a restart of the engine.
    fn keep(&self, sandbox: &Sandbox) -> Result<()> {
        let path = self.sandbox_path(&sandbox.container_id);
        let bytes =
            serde_json::to_vec(sandbox).map_err(EngineError::io("write", path.display()))?;
        store::write_atomic_volatile(&path, &bytes)
            .map_err(EngineError::io("write", path.display()))
    }

    /// Lets go of everything that a container has of networks. Nothing there is fine, so it may be repeated.
    ///
    /// # Errors
    /// `Internal` when the kernel refuses.
    pub(crate) fn release(&self, container_id: &str) -> Result<()> {
        let sandbox = self.lock().sandboxes.get(container_id).cloned();
        let dismantled = self.dismantle(container_id);
        for endpoint in sandbox.iter().flat_map(|sandbox| &sandbox.endpoints) {
            self.publish_endpoint("disconnect", endpoint, container_id);
        }
        dismantled
    }

    /// Takes down what there is, known or half-made.
    fn dismantle(&self, container_id: &str) -> Result<()> {
        self.dns.stop(container_id);
        let (sandbox, reservations) = {
            let mut state = self.lock();
            (
                state.sandboxes.remove(container_id),
                state.reservations.remove(container_id),
            )
        };
        let mut results = Vec::new();
        if let Some(sandbox) = &sandbox {
            for endpoint in &sandbox.endpoints {
                self.dns.unregister(container_id, &endpoint.network_id);
            }
            results.push(self.firewall.unpublish(&sandbox.ports));
        }
        drop(reservations);
        let path = self.netns_path(container_id);
        if path.exists() {
            // The links go with the namespace; the kernel does that in its own time, after this returns.
            results.push(netns::remove(&path).map_err(internal));
            self.released.notify_one();
        }
        results.push(
            match std::fs::remove_file(self.sandbox_path(container_id)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(EngineError::internal(
                        "remove",
                        self.sandbox_path(container_id).display(),
                        error,
                    ))
                }
                _ => Ok(()),
            },
        );
        // Last, so that an address is not given to another while it is still in use here.
        let mut state = self.lock();
        for network in state.networks.values_mut() {
            give_back(network, container_id);
        }
        results.into_iter().collect()
    }

    /// Returns the network side of a running container.
    pub(crate) fn sandbox(&self, container_id: &str) -> Option<Sandbox> {
        self.lock().sandboxes.get(container_id).cloned()
    }

    /// Gives a running container its new name.
    ///
    /// # Errors
    /// `Internal` when its file cannot be written.
    pub(crate) fn rename(&self, container_id: &str, name: &str) -> Result<()> {
        let Some(mut sandbox) = self.sandbox(container_id) else {
            return Ok(());
        };
        let previous = std::mem::replace(&mut sandbox.container_name, name.to_owned());
        for endpoint in &mut sandbox.endpoints {
            for own in endpoint
                .dns_names
                .iter_mut()
                .filter(|own| **own == previous)
            {
                name.clone_into(own);
            }
        }
        self.register_names(&sandbox);
        self.keep(&sandbox)?;
        self.lock()
            .sandboxes
            .insert(container_id.to_owned(), sandbox);
        Ok(())
    }

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
    fn reopen_dns(&self, sandbox: &Sandbox, path: &std::path::Path) -> Result<()> {
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

    /// Leads published ports to the address that the container now has outside.
    fn move_ports(&self, previous: &Sandbox, now: &Sandbox) -> Result<()> {
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

    /// Brings back the network side of the containers that run, after a restart of the engine, and removes what others
    /// left. Safe to be killed and repeated.
    ///
    /// # Errors
    /// `Internal` when the run directory or the kernel cannot be read. What goes wrong with one container is logged.
    pub(crate) fn recover(&self, running: &HashSet<String>) -> Result<()> {
        let sandboxes = self.read_sandboxes(running)?;
        let mut used = HashSet::new();
        {
            let mut state = self.lock();
            for sandbox in &sandboxes {
                take_back(&mut state, sandbox);
                used.extend(
                    sandbox
                        .endpoints
                        .iter()
                        .map(|endpoint| endpoint.network_id.clone()),
                );
            }
            used.retain(|id| {
                state
                    .networks
                    .get(id)
                    .is_some_and(|network| network.record.driver == Driver::Bridge)
            });
        }
        self.restore_firewall(&sandboxes, &used)?;
        self.restore_bridges(&used)?;
        for sandbox in &sandboxes {
            if let Err(error) = self.bring_back(sandbox) {
                tracing::error!(container = sandbox.container_id, %error, "bring back the network of a container");
            }
        }
        self.remove_strays(running)
    }

    /// Puts the whole table in place at once, so that no published port is without its translation for a moment.
    fn restore_firewall(&self, sandboxes: &[Sandbox], used: &HashSet<String>) -> Result<()> {
        let networks: Vec<_> = {
            let state = self.lock();
            let used = used.iter().filter_map(|id| state.networks.get(id));
            used.map(|network| (network.record.bridge(&self.names), rules(&network.record)))
                .collect()
        };
        let ports = sandboxes.iter().filter_map(|sandbox| {
            let address = sandbox.gateway_endpoint()?.ipv4?.address;
            Some(sandbox.ports.iter().map(move |port| (address, *port)))
        });
        self.firewall.restore(networks, ports.flatten())
    }

    /// The files of running containers; those of others are left for [`Self::remove_strays`].
    fn read_sandboxes(&self, running: &HashSet<String>) -> Result<Vec<Sandbox>> {
        let mut sandboxes = Vec::new();
        for container_id in running {
            let path = self.sandbox_path(container_id);
            match std::fs::read(&path).map(|bytes| serde_json::from_slice::<Sandbox>(&bytes)) {
                Ok(Ok(sandbox)) => sandboxes.push(sandbox),
                Ok(Err(error)) => {
                    tracing::error!(path = %path.display(), %error, "read the network of a container")
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(EngineError::internal("read", path.display(), error)),
            }
        }
        Ok(sandboxes)
    }

    fn bring_back(&self, sandbox: &Sandbox) -> Result<()> {
        self.register_names(sandbox);
        let mut reservations = Vec::new();
        for port in &sandbox.ports {
            match Reservation::hold(port.host_ip, port.host_port, port.protocol) {
                Ok(reservation) => reservations.push(reservation),
                // The translation goes on without it.
                Err(error) => {
                    tracing::warn!(port = port.host_port, %error, "hold a published port again")
                }
            }
        }
        self.lock()
            .reservations
            .insert(sandbox.container_id.clone(), reservations);
        match &sandbox.netns_path {
            Some(path) if self.serves_dns(sandbox) => self.reopen_dns(sandbox, path),
            _ => Ok(()),
        }
    }

    /// Removes namespaces, files and links of containers that do not run.
    fn remove_strays(&self, running: &HashSet<String>) -> Result<()> {
        for dir in [&self.netns_dir, &self.sandbox_dir] {
            for entry in std::fs::read_dir(dir).map_err(EngineError::io("read", dir.display()))? {
                let entry = entry.map_err(EngineError::io("read", dir.display()))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let container_id = name.strip_suffix(".json").unwrap_or(&name);
                if !running.contains(container_id) {
                    tracing::info!(
                        container_id,
                        "remove the network of a container that does not run"
                    );
                    if let Err(error) = self.dismantle(container_id) {
                        tracing::warn!(container_id, %error, "remove the network of a container");
                    }
                    if entry.path().exists() {
                        netns::remove(&entry.path()).map_err(internal)?;
                    }
                }
            }
        }
        self.remove_stray_links()
    }

    /// Removes outer links of containers that do not run. They go by themselves with their namespace, unless something
    /// still holds that, such as a process that has left the container's other namespaces.
    pub(super) fn remove_stray_links(&self) -> Result<()> {
        let mut socket = RouteSocket::open().map_err(internal)?;
        // In this order, and by index: a container that starts in between has a link of another index.
        let found = link::list(&mut socket).map_err(internal)?;
        let known: HashSet<String> = {
            let state = self.lock();
            let connected = state
                .networks
                .values()
                .flat_map(|network| &network.containers);
            connected.map(|id| link::digits(id).to_owned()).collect()
        };
        for found in found {
            if self
                .names
                .container_of(&found.name)
                .is_some_and(|digits| !known.contains(digits))
            {
                link::delete_index(&mut socket, &found).map_err(internal)?;
            }
        }
        Ok(())
    }

    fn publish_endpoint(&self, action: &str, endpoint: &Endpoint, container_id: &str) {
        let record = self
            .lock()
            .networks
            .get(&endpoint.network_id)
            .map(|network| network.record.clone());
        if let Some(record) = record {
            self.publish(action, &record, Some(container_id));
        }
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

fn gateways(endpoint: &Endpoint) -> Vec<IpAddr> {
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

/// Takes the addresses of an endpoint.
fn lease(
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
            super::ipam::LeaseError::Outside => EngineError::Invalid(format!(
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

fn give_back(network: &mut NetworkState, container_id: &str) {
    if network.containers.remove(container_id) {
        for leases in [&mut network.ipv4, &mut network.ipv6].into_iter().flatten() {
            leases.release(container_id);
        }
    }
}

/// Marks as taken what a running container has.
fn take_back(state: &mut State, sandbox: &Sandbox) {
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
