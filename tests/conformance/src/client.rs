//! A plain HTTP client over a unix socket: what is seen is what is on the wire.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `message` of an error answer.
    pub fn message(&self) -> String {
        self.json()["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The answer itself, when it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Standard output and error out of a multiplexed stream.
    pub fn streams(&self) -> (String, String) {
        streams(self.body.to_vec())
    }
}

/// Standard output and error out of the bytes of a multiplexed stream.
pub fn streams(body: Vec<u8>) -> (String, String) {
    let (mut out, mut err, mut rest) = (Vec::new(), Vec::new(), &body[..]);
    while let Some((header, tail)) = rest.split_at_checked(8) {
        let length = u32::from_be_bytes(header[4..].try_into().unwrap()) as usize;
        let (payload, tail) = tail.split_at_checked(length).expect("a whole frame");
        match header[0] {
            1 => out.extend_from_slice(payload),
            2 => err.extend_from_slice(payload),
            other => panic!("stream {other}"),
        }
        rest = tail;
    }
    assert!(rest.is_empty(), "bytes behind the last frame: {rest:?}");
    (
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    )
}

/// Ends the connection's task when dropped.
#[derive(Debug)]
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer that arrives line by line.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
    _connection: Connection,
}

impl Lines {
    /// The next line as JSON, or `None` at the end.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = line.trim_ascii();
                if !line.is_empty() {
                    return Some(
                        serde_json::from_slice(line)
                            .unwrap_or_else(|error| panic!("{error}: {line:?}")),
                    );
                }
                continue;
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame.unwrap().into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                None if self.buffer.trim_ascii().is_empty() => return None,
                None => self.buffer.push(b'\n'),
            }
        }
    }

    /// Everything that is still to come, as bytes.
    pub async fn rest(mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.buffer);
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame.unwrap().into_data() {
                all.extend_from_slice(&data);
            }
        }
        all
    }
}

/// A connection that became a raw stream.
#[derive(Debug)]
pub struct Hijacked {
    pub status: u16,
    pub stream: UnixStream,
    early: Vec<u8>,
}

impl Hijacked {
    /// Everything until the engine closes.
    pub async fn rest(mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.early);
        self.stream.read_to_end(&mut all).await.unwrap();
        all
    }

    /// Reads until `needle` has come; all that was read.
    pub async fn read_until(&mut self, needle: &str) -> String {
        let mut all = std::mem::take(&mut self.early);
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&all).contains(needle) {
            let count = self.stream.read(&mut chunk).await.unwrap();
            assert!(
                count > 0,
                "ended before {needle:?}: {:?}",
                String::from_utf8_lossy(&all)
            );
            all.extend_from_slice(&chunk[..count]);
        }
        String::from_utf8_lossy(&all).into_owned()
    }
}

async fn send(
    socket: &Path,
    request: Request<Full<Bytes>>,
) -> (http::Response<Incoming>, Connection) {
    let stream = UnixStream::connect(socket)
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "the task ends with the Connection that owns it"
    )]
    let connection = Connection(tokio::spawn(async move {
        // A connection that breaks shows in the answer.
        drop(connection.await);
    }));
    (sender.send_request(request).await.unwrap(), connection)
}

fn request(method: &str, path: &str, kind: &str, body: Bytes) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("Host", "docker")
        .header("Content-Type", kind)
        // Nobody; dockerd wants to be told even that before it pushes.
        .header("x-registry-auth", "e30=")
        .body(Full::new(body))
        .unwrap()
}

pub(crate) async fn call(
    socket: &Path,
    method: &str,
    path: &str,
    kind: &str,
    body: Bytes,
) -> Answer {
    let (response, _connection) = send(socket, request(method, path, kind, body)).await;
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

pub(crate) async fn lines(
    socket: &Path,
    method: &str,
    path: &str,
    kind: &str,
    body: Bytes,
) -> (u16, Lines) {
    let (response, connection) = send(socket, request(method, path, kind, body)).await;
    let status = response.status().as_u16();
    (
        status,
        Lines {
            body: response.into_body(),
            buffer: Vec::new(),
            _connection: connection,
        },
    )
}

pub(crate) async fn hijack(socket: &Path, path: &str, body: &str, upgrade: bool) -> Hijacked {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let upgrade = if upgrade {
        "Connection: Upgrade\r\nUpgrade: tcp\r\n"
    } else {
        ""
    };
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n{upgrade}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    let end = loop {
        if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let count = stream.read(&mut chunk).await.unwrap();
        assert!(
            count > 0,
            "ended in the header: {:?}",
            String::from_utf8_lossy(&answer)
        );
        answer.extend_from_slice(&chunk[..count]);
    };
    let early = answer.split_off(end);
    let head = String::from_utf8(answer).unwrap();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("a status line");
    Hijacked {
        status,
        stream,
        early,
    }
}
