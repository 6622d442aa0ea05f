//! Listening: our own accept loop, with limits that axum's has not.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::Router;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service as _;

use super::{
    Peer,
    tls::{self, TlsError},
};

/// Connections of one address at a time.
const CONNECTIONS_PER_IP: usize = 512;
/// How long a request's head, or a TLS handshake, may take.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// Largest head of a request, in bytes.
const HEAD_BYTES: usize = 32 * 1024;
/// How long connections may go on after the end was asked for.
const FAREWELL: Duration = Duration::from_secs(3);

/// A socket that listens, with TLS when others reach it.
#[derive(Debug)]
pub(crate) struct Listener {
    tcp: TcpListener,
    tls: Option<tls::Tls>,
    /// Where.
    pub(crate) address: SocketAddr,
}

/// Why nobody can connect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// The address.
    #[error("listen on {address}: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// TLS.
    #[error("{0}")]
    Tls(String),
}

impl From<TlsError> for ListenError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error.to_string())
    }
}

impl Listener {
    /// Binds the address.
    pub(crate) async fn bind(
        address: SocketAddr,
        with_tls: bool,
        state_dir: &Path,
        names: &[String],
    ) -> Result<Self, ListenError> {
        let bind = |source| ListenError::Bind { address, source };
        let tcp = TcpListener::bind(address).await.map_err(bind)?;
        let address = tcp.local_addr().map_err(bind)?;
        let tls = if with_tls {
            Some(tls::load(state_dir, address, names)?)
        } else {
            None
        };
        Ok(Self { tcp, tls, address })
    }

    /// SHA-256 of the certificate, when there is one.
    pub(crate) fn fingerprint(&self) -> Option<&str> {
        self.tls.as_ref().map(|tls| tls.fingerprint.as_str())
    }
}

/// Serves until `stop`; then lets open requests end for a moment.
pub(crate) async fn serve(listener: Listener, router: Router, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let counts: Arc<Mutex<HashMap<IpAddr, usize>>> = Arc::default();
    let acceptor = listener.tls.map(|tls| TlsAcceptor::from(tls.config));
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.tcp.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: others must end first.
                    tracing::warn!(%error, "accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let Some(place) = Place::take(&counts, peer.ip()) else {
            continue;
        };
        let (router, acceptor, stop) = (router.clone(), acceptor.clone(), stop.clone());
        connections.spawn(async move {
            let _place = place;
            connection(stream, peer, acceptor, router, stop).await;
        });
    }
    connections.close();
    if timeout(FAREWELL, connections.wait()).await.is_err() {
        tracing::debug!("some connections did not end in time");
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "set TCP_NODELAY");
    }
    let Some(acceptor) = acceptor else {
        return requests(TokioIo::new(stream), peer, router, stop).await;
    };
    match timeout(HEAD_LIMIT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => requests(TokioIo::new(stream), peer, router, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, %peer, "TLS handshake"),
        Err(_elapsed) => {}
    }
}

async fn requests<S>(stream: TokioIo<S>, peer: SocketAddr, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.clone().call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(stream, service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "connection");
    }
}

/// One of an address's connections; given back when it ends.
struct Place {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    ip: IpAddr,
}

impl Place {
    fn take(counts: &Arc<Mutex<HashMap<IpAddr, usize>>>, ip: IpAddr) -> Option<Self> {
        let mut held = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(ip).or_default();
        if *count >= CONNECTIONS_PER_IP {
            return None;
        }
        *count += 1;
        Some(Self {
            counts: Arc::clone(counts),
            ip,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.ip);
            }
        }
    }
}
