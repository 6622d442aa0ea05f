//! The tasks that answer one container's queries.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::answer::{Decision, Names, decide, refuse};
use super::directory::Directory;
use super::relay::{Transport, read_message, relay, write_message};

/// Queries and connections of one container that are worked on at one time; more wait in the kernel.
const MAX_PER_CONTAINER: usize = 64;
/// A connection on which nothing is asked for this long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Larger datagrams than any client sends are cut.
const MAX_DATAGRAM_BYTES: usize = 4096;
/// A pause after an error of a socket that may go on, so that it cannot use up a core.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// The resolver of one container.
#[derive(Debug)]
pub(super) struct Server {
    /// All names.
    pub(super) directory: Arc<RwLock<Directory>>,
    /// The container's networks.
    pub(super) networks: Vec<String>,
    /// Resolvers of the container's own; none is the host's.
    pub(super) resolvers: Vec<SocketAddr>,
    /// Whether queries about other names leave at all: not from a container with internal networks only.
    pub(super) relays: bool,
    /// Shared by all containers.
    pub(super) relayed: Arc<Semaphore>,
    /// Ends the tasks.
    pub(super) cancelled: CancellationToken,
}

struct View<'a> {
    directory: &'a RwLock<Directory>,
    networks: &'a [String],
}

impl Names for View<'_> {
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let directory = self
            .directory
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        directory.addresses(self.networks, name)
    }

    fn name_of(&self, address: IpAddr) -> Option<String> {
        let directory = self
            .directory
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        directory.name_of(self.networks, address)
    }
}

/// Moves round the order of answers, over all containers.
static ROTATION: AtomicUsize = AtomicUsize::new(0);

impl Server {
    /// Answers on both sockets until cancelled.
    pub(super) fn spawn(self, runtime: &Handle, udp: UdpSocket, tcp: TcpListener) {
        let cancelled = self.cancelled.clone();
        // The task ends by the token, which the container's entry in the service owns.
        drop(runtime.spawn(async move {
            let server = Arc::new(self);
            let both = async {
                tokio::join!(
                    Arc::clone(&server).serve_datagrams(Arc::new(udp)),
                    Arc::clone(&server).serve_streams(tcp)
                );
            };
            cancelled.run_until_cancelled(both).await;
        }));
    }

    async fn serve_datagrams(self: Arc<Self>, socket: Arc<UdpSocket>) {
        let mut relaying = JoinSet::new();
        let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
        loop {
            while relaying.len() >= MAX_PER_CONTAINER {
                relaying.join_next().await;
            }
            let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
                tokio::time::sleep(ERROR_PAUSE).await;
                continue;
            };
            while relaying.try_join_next().is_some() {}
            let query = buffer.get(..length).unwrap_or_default();
            match self.decide(query, None) {
                Decision::Reply(reply) => send(&socket, &reply, client).await,
                Decision::Ignore => {}
                Decision::Relay => {
                    let (server, socket, query) =
                        (Arc::clone(&self), Arc::clone(&socket), query.to_vec());
                    relaying.spawn(async move {
                        if let Some(reply) = server.relay(&query, Transport::Udp).await {
                            send(&socket, &reply, client).await;
                        }
                    });
                }
            }
        }
    }

    async fn serve_streams(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            while connections.len() >= MAX_PER_CONTAINER {
                connections.join_next().await;
            }
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(ERROR_PAUSE).await;
                continue;
            };
            while connections.try_join_next().is_some() {}
            let server = Arc::clone(&self);
            connections.spawn(async move {
                // A client that goes away in the middle is its own affair.
                server.serve_stream(stream).await.ok();
            });
        }
    }

    async fn serve_stream(&self, mut stream: TcpStream) -> io::Result<()> {
        while let Ok(query) = timeout(IDLE_TIMEOUT, read_message(&mut stream)).await {
            let query = query?;
            let reply = match self.decide(&query, Some(usize::from(u16::MAX))) {
                Decision::Reply(reply) => Some(reply),
                Decision::Ignore => None,
                Decision::Relay => self.relay(&query, Transport::Tcp).await,
            };
            let Some(reply) = reply else { break };
            write_message(&mut stream, &reply).await?;
        }
        Ok(())
    }

    fn decide(&self, query: &[u8], max_bytes: Option<usize>) -> Decision {
        let names = View {
            directory: &self.directory,
            networks: &self.networks,
        };
        let decision = decide(
            query,
            &names,
            ROTATION.fetch_add(1, Ordering::Relaxed),
            max_bytes,
        );
        if decision == Decision::Relay && !self.relays {
            return refuse(query, ResponseCode::NXDomain);
        }
        decision
    }

    /// The answer of another resolver, or one that says that there is none.
    async fn relay(&self, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let answer = match self.relayed.try_acquire() {
            Ok(_permit) => relay(query, &self.resolvers, transport).await,
            Err(_too_many) => None,
        };
        answer.or_else(|| match refuse(query, ResponseCode::ServFail) {
            Decision::Reply(reply) => Some(reply),
            Decision::Relay | Decision::Ignore => None,
        })
    }
}

async fn send(socket: &UdpSocket, reply: &[u8], client: SocketAddr) {
    if let Err(error) = socket.send_to(reply, client).await {
        tracing::debug!(%client, %error, "answer a DNS query");
    }
}
