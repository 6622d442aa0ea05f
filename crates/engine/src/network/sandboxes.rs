//! The network side of containers as they start, run and end.

use sys::netns;

use super::lease::{give_back, lease};
use super::link;
use super::networks::{Networks, internal};
use super::port::PortRequest;
use super::record::Driver;
use super::sandbox::{Endpoint, EndpointRequest, Sandbox, SandboxRequest};
use crate::error::{EngineError, Result};
use crate::store;

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
    pub(super) fn claim_endpoint(
        &self,
        sandbox: &Sandbox,
        request: &EndpointRequest,
    ) -> Result<Endpoint> {
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

    pub(super) fn register_names(&self, sandbox: &Sandbox) {
        for endpoint in sandbox
            .endpoints
            .iter()
            .filter(|endpoint| !endpoint.dns_names.is_empty())
        {
            self.dns.register(&sandbox.container_id, endpoint);
        }
    }

    /// Writes the sandbox's file, from which it is known again after a restart of the engine.
    pub(super) fn keep(&self, sandbox: &Sandbox) -> Result<()> {
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
    pub(super) fn dismantle(&self, container_id: &str) -> Result<()> {
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

    pub(super) fn publish_endpoint(&self, action: &str, endpoint: &Endpoint, container_id: &str) {
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
