//! Connections that stop being HTTP: attach and exec.
//!
//! A client that asks for an upgrade gets `101 UPGRADED` and the connection itself; an older one gets `200` and a body
//! without an end. Half of it may be closed: the end of the client's side is the end of standard input and nothing else.

use std::{os::fd::AsFd as _, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UnixStream,
};
use tokio_util::io::{ReaderStream, StreamReader};

use super::{
    logs::{MULTIPLEXED_STREAM, RAW_STREAM},
    peer,
    version::{ApiVersion, MULTIPLEXED_SINCE},
};
use crate::{
    engine::Engine,
    error::{EngineError, Result},
};

/// How long a client may take to close after the end of its stream.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes that are passed on at once.
const BUFFER_BYTES: usize = 32 * 1024;

/// The media type of a stream.
pub(super) fn content_type(version: ApiVersion, terminal: bool) -> HeaderValue {
    HeaderValue::from_static(if terminal || version < MULTIPLEXED_SINCE {
        RAW_STREAM
    } else {
        MULTIPLEXED_STREAM
    })
}

/// Whether the client asks for the connection itself.
pub(super) fn wants_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

/// What happens with a stream besides passing bytes on.
pub(super) struct Session {
    /// Of the process: the connection, and what it said already.
    pub(super) process: Option<(UnixStream, Vec<u8>)>,
    /// Sent to the client first.
    pub(super) preface: BoxStream<'static, Result<Bytes>>,
    /// The keys that leave the process running; none without a terminal.
    pub(super) detach_keys: Option<DetachKeys>,
    /// Whether the client's bytes go to the process.
    pub(super) stdin: bool,
    /// The media type.
    pub(super) content_type: HeaderValue,
}

/// Bytes that are there already, as a [`Session::preface`].
pub(super) fn preface(bytes: Vec<u8>) -> BoxStream<'static, Result<Bytes>> {
    let pieces = (!bytes.is_empty()).then(|| Ok(bytes.into()));
    futures_util::stream::iter(pieces).boxed()
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The process's output is delivered.
    Delivered,
    /// The client left by its detach keys.
    Detached,
    /// The client is gone.
    Gone,
}

/// Answers a request with a session. `ended` runs when it is over, before the client sees the end.
pub(super) fn respond<F, R>(
    engine: &Arc<Engine>,
    request: Request,
    session: Session,
    ended: F,
) -> Response
where
    F: FnOnce(Ending) -> R + Send + 'static,
    R: Future<Output = ()> + Send,
{
    let shutdown = engine.shutdown.clone();
    let content_type = session.content_type.clone();
    if !wants_upgrade(request.headers()) {
        return without_upgrade(engine, request, session, ended);
    }
    let upgrade = hyper::upgrade::on(request);
    engine.tasks.spawn(async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => {
                tracing::debug!(%error, "upgrade a connection");
                return;
            }
        };
        let Ok(parts) = upgraded.downcast::<TokioIo<UnixStream>>() else {
            tracing::error!("an upgraded connection is of an unknown kind");
            return;
        };
        let client = parts.io.into_inner();
        tokio::select! {
            () = run(client, parts.read_buf.to_vec(), session, ended) => {}
            () = shutdown.cancelled() => {}
        }
    });
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("tcp")),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

async fn run<F, R>(client: UnixStream, early: Vec<u8>, session: Session, ended: F)
where
    F: FnOnce(Ending) -> R,
    R: Future<Output = ()>,
{
    let watched = client.as_fd().try_clone_to_owned();
    let (mut reader, mut writer) = client.into_split();
    let Session {
        process,
        preface,
        detach_keys,
        stdin,
        ..
    } = session;
    let gone = async {
        match watched {
            Ok(watched) => peer::gone(watched).await,
            Err(_) => std::future::pending().await,
        }
    };
    let ending = tokio::select! {
        ending = pass(&mut reader, &mut writer, Pass { process, preface, early, detach_keys, stdin }) => ending,
        () = gone => Ending::Gone,
    };
    ended(ending).await;
    drop(writer.shutdown().await);
    if ending != Ending::Gone {
        // What the client sent and nobody read would turn its end of stream into an error: it is read until the client
        // closes too.
        let mut unread = tokio::io::sink();
        let rest = tokio::io::copy(&mut reader, &mut unread);
        drop(tokio::time::timeout(LINGER, rest).await);
    }
}

struct Pass {
    process: Option<(UnixStream, Vec<u8>)>,
    preface: BoxStream<'static, Result<Bytes>>,
    /// What the client sent with its request.
    early: Vec<u8>,
    detach_keys: Option<DetachKeys>,
    stdin: bool,
}

/// Passes bytes both ways until the process's output ends or the client leaves.
async fn pass<R, W>(reader: &mut R, writer: &mut W, mut pass: Pass) -> Ending
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    while let Some(piece) = pass.preface.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                tracing::warn!(%error, "read what comes before a stream");
                break;
            }
        };
        if writer.write_all(&piece).await.is_err() {
            return Ending::Gone;
        }
    }
    let Some((process, said)) = pass.process else {
        return Ending::Delivered;
    };
    let (mut from_process, mut to_process) = process.into_split();
    let output = async {
        if writer.write_all(&said).await.is_err() {
            return Ending::Gone;
        }
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = from_process.read(&mut buffer).await.unwrap_or(0);
            let bytes = buffer.get(..count).unwrap_or_default();
            if bytes.is_empty() {
                return Ending::Delivered;
            }
            if writer.write_all(bytes).await.is_err() || writer.flush().await.is_err() {
                return Ending::Gone;
            }
        }
    };
    let input = async {
        let mut keys = pass.detach_keys;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut received = pass.early;
        loop {
            if !received.is_empty() {
                let (bytes, detached) = match &mut keys {
                    Some(keys) => keys.filter(&received),
                    None => (received, false),
                };
                // A process that takes no more input is no reason to stop showing its output.
                let taken = !pass.stdin || to_process.write_all(&bytes).await.is_ok();
                if detached {
                    return;
                }
                if !taken {
                    break;
                }
            }
            let count = reader.read(&mut buffer).await.unwrap_or(0);
            received = buffer.get(..count).unwrap_or_default().to_vec();
            if received.is_empty() {
                break;
            }
        }
        drop(to_process.shutdown().await);
        // From here on the output alone decides.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ending = output => ending,
        () = input => Ending::Detached,
    }
}

fn without_upgrade<F, R>(
    engine: &Arc<Engine>,
    request: Request,
    session: Session,
    ended: F,
) -> Response
where
    F: FnOnce(Ending) -> R + Send + 'static,
    R: Future<Output = ()> + Send,
{
    let (client, ours) = tokio::io::duplex(BUFFER_BYTES);
    let content_type = session.content_type.clone();
    let shutdown = engine.shutdown.clone();
    let stdin = session.stdin;
    engine.tasks.spawn(async move {
        let body = request.into_body().into_data_stream();
        let mut reader = StreamReader::new(body.map_err(std::io::Error::other));
        let (_, mut writer) = tokio::io::split(ours);
        let what = Pass {
            process: session.process,
            preface: session.preface,
            early: Vec::new(),
            detach_keys: session.detach_keys,
            stdin,
        };
        tokio::select! {
            ending = pass(&mut reader, &mut writer, what) => {
                ended(ending).await;
                drop(writer.shutdown().await);
            }
            () = shutdown.cancelled() => {}
        }
    });
    let body = Body::from_stream(ReaderStream::new(client));
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// Finds the keys by which a client leaves a terminal: `ctrl-p,ctrl-q` unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DetachKeys {
    keys: Vec<u8>,
    /// How many of them came in a row.
    seen: usize,
}

impl DetachKeys {
    /// Reads keys such as `ctrl-p,ctrl-q` or `a,ctrl-[`; the default when there are none.
    ///
    /// # Errors
    /// `Invalid` for an unknown key.
    pub(super) fn parse(text: Option<&str>) -> Result<Self> {
        let text = text
            .filter(|text| !text.is_empty())
            .unwrap_or("ctrl-p,ctrl-q");
        let keys = text
            .split(',')
            .map(|key| {
                let unknown =
                    || EngineError::Invalid(format!("Invalid detach keys ({text}) provided"));
                let lower = key.to_ascii_lowercase();
                match (
                    key.as_bytes(),
                    lower.strip_prefix("ctrl-").map(str::as_bytes),
                ) {
                    ([key], _) => Ok(*key),
                    (_, Some([key @ b'a'..=b'z'])) => Ok(key - b'a' + 1),
                    (_, Some(b"@")) => Ok(0),
                    (_, Some([key @ b'['..=b'_'])) => Ok(key - b'[' + 27),
                    (_, Some(b"del")) => Ok(127),
                    _ => Err(unknown()),
                }
            })
            .collect::<Result<Vec<u8>>>()?;
        Ok(Self { keys, seen: 0 })
    }

    /// Returns the bytes that go to the process, and whether the client leaves.
    fn filter(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.keys.get(self.seen) == Some(byte) {
                self.seen += 1;
                if self.seen == self.keys.len() {
                    return (passed, true);
                }
                continue;
            }
            // What looked like the beginning was none.
            passed.extend_from_slice(self.keys.get(..self.seen).unwrap_or_default());
            self.seen = usize::from(self.keys.first() == Some(byte));
            if self.seen == 0 {
                passed.push(*byte);
            } else if self.keys.len() == 1 {
                return (passed, true);
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read() {
        assert_eq!(DetachKeys::parse(None).unwrap().keys, [16, 17]);
        assert_eq!(
            DetachKeys::parse(Some("a,ctrl-[,CTRL-Z,ctrl-@"))
                .unwrap()
                .keys,
            [b'a', 27, 26, 0]
        );
        for bad in ["ctrl-", "ab", "ctrl-1", "a,,b"] {
            assert!(DetachKeys::parse(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_leave_also_when_split_and_false_starts_are_passed_on() {
        let mut keys = DetachKeys::parse(None).unwrap();
        assert_eq!(keys.filter(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(keys.filter(b"c\x10\x10"), (b"\x10c\x10".to_vec(), false));
        assert_eq!(keys.filter(b"\x11rest"), (b"".to_vec(), true));
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_without_the_keys(pieces in proptest::collection::vec(proptest::collection::vec(0_u8..16, 0..20), 0..20)) {
            let mut keys = DetachKeys::parse(None).unwrap();
            let mut passed = Vec::new();
            for piece in &pieces {
                passed.extend(keys.filter(piece).0);
            }
            proptest::prop_assert_eq!(passed, pieces.concat());
        }
    }
}
