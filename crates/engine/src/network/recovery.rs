//! Finding the network side of running containers again after a restart of the engine, and removing what is left of
//! others.

use std::collections::HashSet;

use sys::netns;

use super::lease::take_back;
use super::link;
use super::netlink::RouteSocket;
use super::networks::{Networks, internal, rules};
use super::port::Reservation;
use super::record::Driver;
use super::sandbox::Sandbox;
use crate::error::{EngineError, Result};

impl Networks {
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
                    tracing::error!(path = %path.display(), %error, "read the network of a container");
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
                    tracing::warn!(port = port.host_port, %error, "hold a published port again");
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
}
