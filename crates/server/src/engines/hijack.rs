//! Streams that leave HTTP: the terminal of an exec or of a container, byte for byte.
//!
//! A client of our own, because the Docker client in use takes a terminal's bytes below 3 for the head of a frame. Where it
//! cannot connect by itself (TLS), the Docker client's stream is used all the same.

use std::{io, pin::Pin};

use bollard::{
    container::LogOutput, exec::StartExecOptions, query_parameters::AttachContainerOptionsBuilder,
};
use futures_util::TryStreamExt as _;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::{io::StreamReader, sync::CancellationToken, task::TaskTracker};

use super::{CallError, Endpoint, Engine};

/// Largest error message that is read, in bytes.
const LARGEST: usize = 64 * 1024;
/// How long the engine may take until bytes flow.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(20);

/// Bytes from the terminal.
pub(crate) type Output = Pin<Box<dyn AsyncRead + Send>>;
/// Bytes to the terminal.
pub(crate) type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// What is connected to.
#[derive(Clone, Debug)]
pub(crate) enum Raw {
    /// Starts an exec that was made with a terminal.
    Exec(String),
    /// A container's own terminal.
    Container(String),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Engine {
    /// Connects to a terminal. `tasks` and `over` own the connection, which ends with `over` at the latest.
    ///
    /// # Errors
    /// [`CallError`]: the engine's words when it refuses.
    pub(crate) async fn hijack(
        &self,
        raw: &Raw,
        tasks: &TaskTracker,
        over: &CancellationToken,
    ) -> Result<(Output, Input), CallError> {
        let docker = self.docker()?;
        let endpoint = self
            .endpoint
            .as_ref()
            .ok_or_else(|| self.lost_because("it has no address"))?;
        let work = async {
            match connect(endpoint).await {
                Some(Ok(stream)) => {
                    let version = docker.client_version();
                    self.upgrade(stream, &format!("/v{version}"), raw, tasks, over)
                        .await
                }
                Some(Err(error)) => Err(self.lost_because(&error.to_string())),
                None => self.through_client(docker, raw).await,
            }
        };
        match tokio::time::timeout(LIMIT, work).await {
            Ok(connected) => connected,
            Err(_elapsed) => Err(CallError::Timeout {
                engine: self.name.clone(),
                seconds: LIMIT.as_secs(),
            }),
        }
    }

    async fn upgrade(
        &self,
        stream: Box<dyn Stream>,
        prefix: &str,
        raw: &Raw,
        tasks: &TaskTracker,
        over: &CancellationToken,
    ) -> Result<(Output, Input), CallError> {
        let lost = |error: hyper::Error| self.lost_because(&error.to_string());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(lost)?;
        let over = over.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                // What ends the connection is told to who reads from it.
                ended = connection.with_upgrades() => drop(ended),
            }
        });
        let (path, body) = match raw {
            Raw::Exec(id) => (
                format!("{prefix}/exec/{id}/start"),
                r#"{"Detach":false,"Tty":true}"#,
            ),
            Raw::Container(id) => (
                format!("{prefix}/containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1"),
                "",
            ),
        };
        let request = Request::post(path)
            .header(header::HOST, "engine")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "tcp")
            .body(Full::new(bytes::Bytes::from_static(body.as_bytes())))
            .map_err(|error| self.lost_because(&error.to_string()))?;
        let answer = sender.send_request(request).await.map_err(lost)?;
        if answer.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            let status = answer.status().as_u16();
            let words = Limited::new(answer.into_body(), LARGEST).collect().await;
            let words = words
                .map(http_body_util::Collected::to_bytes)
                .unwrap_or_default();
            let message = serde_json::from_slice::<serde_json::Value>(&words)
                .ok()
                .and_then(|json| json.get("message")?.as_str().map(str::to_owned))
                .unwrap_or_else(|| String::from_utf8_lossy(&words).trim().to_owned());
            return Err(CallError::Refused { status, message });
        }
        let upgraded = hyper::upgrade::on(answer).await.map_err(lost)?;
        let (output, input) = tokio::io::split(TokioIo::new(upgraded));
        Ok((Box::pin(output), Box::pin(input)))
    }

    async fn through_client(
        &self,
        docker: bollard::Docker,
        raw: &Raw,
    ) -> Result<(Output, Input), CallError> {
        let name = |error| super::call::name(&self.name, error);
        let (output, input): (Pin<Box<dyn futures_util::Stream<Item = _> + Send>>, Input) =
            match raw {
                Raw::Exec(id) => {
                    let options = StartExecOptions {
                        tty: true,
                        ..Default::default()
                    };
                    match docker.start_exec(id, Some(options)).await.map_err(name)? {
                        bollard::exec::StartExecResults::Attached { output, input } => {
                            (output, input)
                        }
                        bollard::exec::StartExecResults::Detached => {
                            return Err(self.lost_because("it detached"));
                        }
                    }
                }
                Raw::Container(id) => {
                    let options = AttachContainerOptionsBuilder::default()
                        .stream(true)
                        .stdin(true)
                        .stdout(true)
                        .stderr(true)
                        .build();
                    let attached = docker
                        .attach_container(id, Some(options))
                        .await
                        .map_err(name)?;
                    (attached.output, attached.input)
                }
            };
        let bytes = output
            .map_ok(LogOutput::into_bytes)
            .map_err(|error| io::Error::other(error.to_string()));
        Ok((Box::pin(StreamReader::new(bytes)), input))
    }

    fn lost_because(&self, reason: &str) -> CallError {
        CallError::Unreachable {
            engine: self.name.clone(),
            reason: reason.to_owned(),
            hint: None,
        }
    }
}

/// Connects to an engine; `None` when its kind of address needs the Docker client.
async fn connect(endpoint: &Endpoint) -> Option<io::Result<Box<dyn Stream>>> {
    let (scheme, rest) = endpoint.url.split_once("://")?;
    match scheme {
        #[cfg(unix)]
        "unix" => {
            let stream = tokio::net::UnixStream::connect(endpoint.connectable()).await;
            Some(stream.map(|stream| Box::new(stream) as Box<dyn Stream>))
        }
        #[cfg(windows)]
        "npipe" => {
            let pipe = rest.replace('/', "\\");
            let stream = tokio::net::windows::named_pipe::ClientOptions::new().open(pipe);
            Some(stream.map(|stream| Box::new(stream) as Box<dyn Stream>))
        }
        "tcp" | "http" if endpoint.certificates.is_none() => {
            let stream = tokio::net::TcpStream::connect(rest.trim_end_matches('/')).await;
            Some(stream.map(|stream| Box::new(stream) as Box<dyn Stream>))
        }
        _ => None,
    }
}
