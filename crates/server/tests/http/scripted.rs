//! An engine that answers what a test needs, and keeps what it was asked.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpListener, task::JoinSet};

/// The id of the container that it makes.
pub(crate) const ID: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As an engine.
    Answers,
    /// It takes requests and says nothing.
    Silent,
    /// It says something that is no HTTP.
    Rubbish,
    /// It says HTTP with something else than an engine's JSON.
    AnotherServer,
}

#[derive(Debug)]
struct Shared {
    mode: Mode,
    asked: Vec<String>,
    /// The container is there.
    exists: bool,
    /// It runs.
    runs: bool,
    volumes: Vec<String>,
    /// How starting a container is answered, when not with success.
    start: Option<(u16, String)>,
    /// How long creating takes.
    create_takes: Duration,
}

/// The engine; it ends with this.
pub(crate) struct ScriptedEngine {
    pub(crate) address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    tasks: JoinSet<()>,
}

impl ScriptedEngine {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared {
            mode: Mode::Answers,
            asked: Vec::new(),
            exists: false,
            runs: false,
            volumes: Vec::new(),
            start: None,
            create_takes: Duration::ZERO,
        }));
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            tasks,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("tcp://{}", self.address)
    }

    pub(crate) fn behave(&self, mode: Mode) {
        self.shared.lock().unwrap().mode = mode;
    }

    pub(crate) fn start_is_refused(&self, status: u16, message: &str) {
        self.shared.lock().unwrap().start = Some((status, message.to_owned()));
    }

    pub(crate) fn create_takes(&self, time: Duration) {
        self.shared.lock().unwrap().create_takes = time;
    }

    /// What it was asked since the last call, without what a server asks by itself.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().unwrap().asked)
    }

    pub(crate) fn has_container(&self) -> bool {
        self.shared.lock().unwrap().exists
    }

    pub(crate) fn runs_container(&self) -> bool {
        self.shared.lock().unwrap().runs
    }

    pub(crate) fn volumes(&self) -> Vec<String> {
        self.shared.lock().unwrap().volumes.clone()
    }

    /// It is gone, with all its connections; returns where it was.
    pub(crate) async fn stop(mut self) -> SocketAddr {
        self.tasks.shutdown().await;
        self.address
    }
}

/// Ends a connection.
#[derive(Debug, thiserror::Error)]
#[error("rubbish")]
struct Garbled;

async fn listen(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            return;
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            if shared.lock().unwrap().mode == Mode::Rubbish {
                drop(stream.write_all(b"\x00\xffrubbish\r\n\r\n").await);
                return;
            }
            let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // A client that leaves is no fault of the engine.
            drop(connection.await);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Mutex<Shared>>,
) -> Result<Response<Body>, Garbled> {
    let mode = shared.lock().unwrap().mode;
    let path = request.uri().path().to_owned();
    let path = match path.split_once("/v1.41/") {
        Some((_, rest)) => format!("/{rest}"),
        None => path,
    };
    match mode {
        Mode::Silent => std::future::pending::<()>().await,
        Mode::AnotherServer => {
            return Ok(Response::new(Body::from("<html>Welcome to nginx!</html>")));
        }
        // A connection that is open already ends.
        Mode::Rubbish => return Err(Garbled),
        Mode::Answers => {}
    }
    let by_itself = [
        "/_ping",
        "/version",
        "/info",
        "/events",
        "/containers/json",
        "/images/json",
        "/volumes",
        "/networks",
    ];
    let reads = request.method() == Method::GET;
    if !(reads && by_itself.contains(&path.as_str())) {
        let line = format!("{} {}", request.method(), request.uri());
        shared.lock().unwrap().asked.push(line);
    }
    if request.method() == Method::POST && path == "/containers/create" {
        let time = shared.lock().unwrap().create_takes;
        tokio::time::sleep(time).await;
    }
    if path == "/_ping" {
        return Ok(Response::new(Body::from("OK")));
    }
    if path == "/events" {
        return Ok(Response::new(Body::from_stream(
            futures_util::stream::pending::<Result<bytes::Bytes, Infallible>>(),
        )));
    }
    let (status, body) = told(&request, &path, &mut shared.lock().unwrap());
    let mut response = Response::new(if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    });
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    Ok(response)
}

fn told(request: &Request<Incoming>, path: &str, shared: &mut Shared) -> (u16, Value) {
    let is = |method: Method, wanted: &str| request.method() == method && path == wanted;
    let container = format!("/containers/{ID}");
    let message = |text: &str| json!({ "message": text });
    if is(Method::GET, "/version") {
        return (
            200,
            json!({ "Version": "0.0.1", "ApiVersion": "1.41", "MinAPIVersion": "1.12" }),
        );
    }
    if is(Method::GET, "/info") {
        return (200, json!({ "ID": "scripted", "NCPU": 2 }));
    }
    if is(Method::GET, "/volumes") {
        return (200, json!({ "Volumes": [] }));
    }
    if let Some(name) = path
        .strip_prefix("/volumes/")
        .filter(|name| *name != "create")
    {
        let known = shared.volumes.iter().any(|volume| volume == name);
        return match (request.method(), known) {
            (&Method::GET, true) => (
                200,
                json!({ "Name": name, "Driver": "local", "Mountpoint": "/v", "Labels": {}, "Options": {}, "Scope": "local" }),
            ),
            (&Method::DELETE, true) => {
                shared.volumes.retain(|volume| volume != name);
                (204, Value::Null)
            }
            _ => (404, message("no such volume")),
        };
    }
    if ["/containers/json", "/images/json", "/networks"].contains(&path) {
        return (200, json!([]));
    }
    if is(Method::POST, "/containers/create") {
        shared.exists = true;
        shared.volumes.push("fresh".to_owned());
        return (201, json!({ "Id": ID, "Warnings": [] }));
    }
    if is(Method::POST, &format!("{container}/start")) {
        if let Some((status, text)) = shared.start.clone() {
            return (status, message(&text));
        }
        shared.runs = true;
        return (204, Value::Null);
    }
    if is(Method::DELETE, &container) {
        shared.exists = false;
        return (204, Value::Null);
    }
    if shared.exists && is(Method::GET, &format!("{container}/json")) {
        let status = if shared.runs { "running" } else { "created" };
        return (
            200,
            json!({
                "Id": ID, "Name": "/made", "Created": "2026-01-01T00:00:00Z", "Image": "sha256:0",
                "State": { "Status": status, "Running": shared.runs, "Pid": 0 },
                "Config": { "Image": "x" }, "HostConfig": {}, "NetworkSettings": {},
            }),
        );
    }
    (404, message(&format!("no such container: {path}")))
}
