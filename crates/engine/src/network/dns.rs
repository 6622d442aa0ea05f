//! Names of containers: a resolver at 127.0.0.11 in the namespace of each container on a user-defined network.
//!
//! The sockets are opened inside the namespace and served by tasks of the engine. Names of containers are answered
//! from the directory; everything else is relayed, byte for byte, to the host's resolvers.

mod answer;
mod directory;
mod relay;
mod server;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::directory::{Directory, Entry};
use self::server::Server;
use super::sandbox::{Endpoint, Sandbox};

/// Where containers find the resolver.
pub(super) const RESOLVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PORT: u16 = 53;
/// Queries of all containers that are relayed at one time. What comes above is answered with an error at once.
const MAX_RELAYED: usize = 256;

/// The resolver's sockets of one container.
#[derive(Debug)]
pub(super) struct DnsSockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl DnsSockets {
    /// Opens the sockets in the namespace of the calling thread.
    pub(super) fn open() -> std::io::Result<Self> {
        let address = SocketAddrV4::new(RESOLVER_ADDRESS, PORT);
        let (udp, tcp) = (UdpSocket::bind(address)?, TcpListener::bind(address)?);
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        Ok(Self { udp, tcp })
    }
}

/// The names on all networks and the resolvers of all containers.
#[derive(Debug)]
pub(super) struct DnsService {
    runtime: Handle,
    directory: Arc<RwLock<Directory>>,
    relayed: Arc<Semaphore>,
    /// By container id; the guard ends its tasks.
    servers: Mutex<HashMap<String, tokio_util::sync::DropGuard>>,
}

impl DnsService {
    /// A service whose tasks run on `runtime`.
    pub(super) fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            directory: Arc::default(),
            relayed: Arc::new(Semaphore::new(MAX_RELAYED)),
            servers: Mutex::default(),
        }
    }

    /// Makes the names of an endpoint known on its network.
    pub(super) fn register(&self, container_id: &str, endpoint: &Endpoint) {
        let names = endpoint
            .dns_names
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect();
        let addresses = [
            endpoint.ipv4.map(|ipv4| IpAddr::V4(ipv4.address)),
            endpoint.ipv6.map(|ipv6| IpAddr::V6(ipv6.address)),
        ];
        let entry = Entry {
            names,
            addresses: addresses.into_iter().flatten().collect(),
        };
        self.write().insert(
            &endpoint.network_id,
            &endpoint.network_name,
            container_id,
            entry,
        );
    }

    /// Forgets the names of a container on one network.
    pub(super) fn unregister(&self, container_id: &str, network_id: &str) {
        self.write().remove(network_id, container_id);
    }

    /// Serves a container's resolver until [`Self::stop`]; replaces one that is served already.
    pub(super) fn serve(&self, sandbox: &Sandbox, sockets: DnsSockets) -> std::io::Result<()> {
        let _runtime = self.runtime.enter();
        let cancelled = CancellationToken::new();
        let server = Server {
            directory: Arc::clone(&self.directory),
            networks: sandbox
                .endpoints
                .iter()
                .map(|endpoint| endpoint.network_id.clone())
                .collect(),
            resolvers: sandbox
                .dns
                .servers
                .iter()
                .map(|address| SocketAddr::new(*address, PORT))
                .collect(),
            relays: sandbox.gateway_endpoint().is_some(),
            relayed: Arc::clone(&self.relayed),
            cancelled: cancelled.clone(),
        };
        let udp = tokio::net::UdpSocket::from_std(sockets.udp)?;
        let tcp = tokio::net::TcpListener::from_std(sockets.tcp)?;
        server.spawn(&self.runtime, udp, tcp);
        self.servers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(sandbox.container_id.clone(), cancelled.drop_guard());
        Ok(())
    }

    /// Ends a container's resolver.
    pub(super) fn stop(&self, container_id: &str) {
        self.servers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(container_id);
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Directory> {
        self.directory
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
