//! Asking other resolvers: the query goes on as it came, the answer comes back as it is.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::network::resolv_conf::ResolvConf;

/// How long one resolver may take before the next is asked.
const RESOLVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the list of resolvers is gone through.
const ROUNDS: usize = 2;

/// How a query came and goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// A datagram.
    Udp,
    /// A stream, each message behind its length.
    Tcp,
}

/// Returns the answer of the first resolver that gives one; `None` when none does. With no `resolvers` the host's are
/// asked, read anew each time, since a host's network may change.
pub(super) async fn relay(
    query: &[u8],
    resolvers: &[SocketAddr],
    transport: Transport,
) -> Option<Vec<u8>> {
    let of_host;
    let resolvers = if resolvers.is_empty() {
        of_host = ResolvConf::of_host().await.resolvers();
        of_host.as_slice()
    } else {
        resolvers
    };
    for resolver in std::iter::repeat_n(resolvers, ROUNDS).flatten() {
        let answered = match transport {
            Transport::Udp => timeout(RESOLVER_TIMEOUT, ask_by_datagram(query, *resolver)).await,
            Transport::Tcp => timeout(RESOLVER_TIMEOUT, ask_by_stream(query, *resolver)).await,
        };
        match answered {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::debug!(%resolver, %error, "ask a resolver"),
            Err(_elapsed) => tracing::debug!(%resolver, "resolver does not answer"),
        }
    }
    None
}

async fn ask_by_datagram(query: &[u8], resolver: SocketAddr) -> io::Result<Vec<u8>> {
    let any: SocketAddr = if resolver.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    // A new socket for each query: its random port, and taking answers from the resolver only, make forging hard.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(resolver).await?;
    socket.send(query).await?;
    let mut answer = vec![0; 65_535];
    loop {
        let length = socket.recv(&mut answer).await?;
        // An answer to something else, by its number.
        if length >= 2 && answer.get(..2) == query.get(..2) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn ask_by_stream(query: &[u8], resolver: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(resolver).await?;
    write_message(&mut stream, query).await?;
    read_message(&mut stream).await
}

/// Writes a message behind its length.
pub(super) async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_too_long| io::ErrorKind::InvalidData)?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(message);
    stream.write_all(&bytes).await
}

/// Reads a message behind its length.
pub(super) async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}
