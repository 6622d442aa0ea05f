//! The accept loop on the unix socket. Our own, since a session of attach needs what `axum::serve` hides: a client that
//! has shut down its sending side still gets its answer (`half_close`), and connections that change protocol.

use std::{
    convert::Infallible,
    fs, io,
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::fs::PermissionsExt as _,
    },
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::body::Body;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{peer, version};
use crate::{
    engine::Engine,
    error::{EngineError, Result},
};

/// How long a client may take to send the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Answers the API on the engine's socket until `shutdown`.
pub(crate) async fn serve(engine: Arc<Engine>, shutdown: &CancellationToken) -> Result<()> {
    let path = engine.config.socket_path();
    let listener = bind(&path).map_err(EngineError::io("listen on", path.display()))?;
    tracing::info!(socket = %path.display(), "the engine answers");
    let router = super::router(Arc::clone(&engine));
    loop {
        let stream = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors or memory: others may give some back.
                    tracing::warn!(%error, "accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let router = router.clone();
        let engine = Arc::clone(&engine);
        let tasks = engine.tasks.clone();
        tasks.spawn(async move {
            let ended = tokio::select! {
                ended = connection(stream, router) => ended,
                () = engine.shutdown.cancelled() => return,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
    drop(fs::remove_file(&path));
    Ok(())
}

async fn connection(stream: UnixStream, router: axum::Router) -> Result<(), hyper::Error> {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(answer(router, request.map(Body::new)).await) }
    });
    let watched = stream.as_fd().try_clone_to_owned();
    let served = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    match watched {
        // Dropping a connection drops its handler: nobody is left to answer.
        Ok(watched) => tokio::select! {
            ended = served => ended,
            () = peer::gone(watched) => Ok(()),
        },
        Err(_) => served.await,
    }
}

/// Answers one request: version prefix off, route, headers on.
async fn answer(router: axum::Router, mut request: http::Request<Body>) -> http::Response<Body> {
    let mut response = match version::strip_prefix(&mut request) {
        Err(refusal) => *refusal,
        Ok(()) => match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
    };
    version::add_headers(&mut response);
    response
}

/// Binds the socket, replacing a stale one. Works for paths longer than a socket address by going through the
/// directory's descriptor.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let dir = fs::File::open(dir)?;
    let short = Path::new("/proc/self/fd")
        .join(dir.as_raw_fd().to_string())
        .join(name);
    if path.symlink_metadata().is_ok() {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(&short)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}
