//! A server over real engines, and those who use it.

use std::time::Duration;

use bollard::{
    Docker,
    models::{ContainerCreateBody, HostConfig},
    query_parameters::{
        CreateContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions,
    },
};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use server::{Server, ServerConfig, config::MiniEndpoint};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use tokio_util::sync::CancellationToken;

pub(crate) const IMAGE: &str = "containeros/starter:latest";

/// Who uses the engines.
static ENGINES: RwLock<()> = RwLock::const_new(());

/// Held as long as a house stands.
#[expect(dead_code, reason = "held, not read")]
enum Place {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

pub(crate) struct House {
    _place: Place,
    _dir: Option<tempfile::TempDir>,
    pub(crate) base: String,
    pub(crate) host: String,
    pub(crate) cookie: String,
    pub(crate) http: reqwest::Client,
    pub(crate) docker: Docker,
    stop: CancellationToken,
    served: Option<tokio::task::JoinHandle<()>>,
}

impl House {
    /// A house beside others over the same engines.
    pub(crate) async fn open() -> Self {
        let place = Place::Shared(ENGINES.read().await);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        Self::open_at(place, &path, Some(dir)).await
    }

    /// One over a state that outlives it.
    pub(crate) async fn open_in(dir: &std::path::Path) -> Self {
        let place = Place::Shared(ENGINES.read().await);
        Self::open_at(place, dir, None).await
    }

    /// The only house: what is done to the engines disturbs no other test.
    pub(crate) async fn open_alone() -> Self {
        let place = Place::Alone(ENGINES.write().await);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        Self::open_at(place, &path, Some(dir)).await
    }

    async fn open_at(place: Place, path: &std::path::Path, dir: Option<tempfile::TempDir>) -> Self {
        // reqwest is built without a choice of its own; installed already is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let docker = std::env::var("CONTAINEROS_TEST_DOCKER")
            .expect("CONTAINEROS_TEST_DOCKER names an engine: run `tests/run conformance`, which starts both");
        let absent = || MiniEndpoint::Absent {
            reason: "not part of this test".into(),
            hint: String::new(),
        };
        let mini = std::env::var("CONTAINEROS_TEST_MINI").ok();
        let mini = mini.map_or_else(absent, |url| {
            MiniEndpoint::Socket(url.trim_start_matches("unix://").into())
        });
        let server = Server::open(ServerConfig {
            state_dir: path.to_owned(),
            listen: "127.0.0.1:0".parse().unwrap(),
            metrics_listen: None,
            insecure_http: false,
            allowed_hosts: Vec::new(),
            docker: Some(docker.clone()),
            mini,
            starter_archive: None,
        })
        .await
        .unwrap();
        let host = server.address().to_string();
        let base = format!("http://{host}");
        let token = server.url().split("#token=").nth(1).map(str::to_owned);
        let stop = CancellationToken::new();
        let over = stop.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "owned by the test, which waits for it"
        )]
        let served = tokio::spawn(async move { server.serve(over).await });
        let http = reqwest::Client::new();
        let mut credentials = json!({ "name": "admin", "password": "a long enough password" });
        if let Some(token) = &token {
            credentials["token"] = json!(token);
        }
        let made = http
            .post(format!(
                "{base}/api/v1/auth/{}",
                if token.is_some() { "setup" } else { "login" }
            ))
            .header("origin", &base)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/json")
            .body(credentials.to_string())
            .send()
            .await
            .unwrap();
        assert!(made.status().is_success(), "{}", made.text().await.unwrap());
        let cookie = made.headers()["set-cookie"]
            .to_str()
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        let docker = Docker::connect_with_unix(
            docker.trim_start_matches("unix://"),
            60,
            bollard::API_DEFAULT_VERSION,
        )
        .unwrap()
        .negotiate_version()
        .await
        .unwrap();
        Self {
            _place: place,
            _dir: dir,
            base,
            host,
            cookie,
            http,
            docker,
            stop,
            served: Some(served),
        }
    }

    /// Signs in once more; returns the cookie.
    pub(crate) async fn log_in(&self) -> String {
        let answer = self
            .http
            .post(format!("{}/api/v1/auth/login", self.base))
            .header("origin", &self.base)
            .header("content-type", "application/json")
            .body(json!({ "name": "admin", "password": "a long enough password" }).to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self
            .http
            .get(format!("{}/api/v1{path}", self.base))
            .header("cookie", &self.cookie)
            .send()
            .await;
        let answer = answer.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let answer = self
            .http
            .post(format!("{}/api/v1{path}", self.base))
            .header("cookie", &self.cookie)
            .header("origin", &self.base)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        (
            status,
            serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default(),
        )
    }

    /// Asks, whatever the answer is.
    pub(crate) async fn ask(&self, path: &str) -> (u16, Value) {
        let told = self.fetch_any(path).await;
        (told.status, told.json())
    }

    /// Fetches bytes.
    pub(crate) async fn fetch(&self, path: &str) -> Told {
        let told = self.fetch_any(path).await;
        assert_eq!(told.status, 200, "{path}: {}", told.text());
        told
    }

    async fn fetch_any(&self, path: &str) -> Told {
        let request = self
            .http
            .get(format!("{}/api/v1{path}", self.base))
            .header("cookie", &self.cookie);
        Told::of(request).await
    }

    /// Asks until there is such a thing.
    pub(crate) async fn until_ok(&self, path: &str) -> Value {
        let begun = std::time::Instant::now();
        loop {
            let (status, told) = self.ask(path).await;
            if status == 200 {
                return told;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{path}: {told}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends bytes.
    pub(crate) async fn send(&self, method: &str, path: &str, kind: &str, bytes: Vec<u8>) -> Told {
        let request = self
            .http
            .request(
                method.parse().unwrap(),
                format!("{}/api/v1{path}", self.base),
            )
            .header("cookie", &self.cookie)
            .header("origin", &self.base)
            .header("content-type", kind)
            .body(bytes);
        Told::of(request).await
    }

    /// Puts bytes.
    pub(crate) async fn put(
        &self,
        path: &str,
        kind: &str,
        if_match: Option<&str>,
        bytes: Vec<u8>,
    ) -> Told {
        let mut request = self
            .http
            .put(format!("{}/api/v1{path}", self.base))
            .header("cookie", &self.cookie)
            .header("origin", &self.base)
            .header("content-type", kind)
            .body(bytes);
        if let Some(etag) = if_match {
            request = request.header("if-match", etag);
        }
        Told::of(request).await
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, what: impl Fn(&Value) -> bool) -> Value {
        let begun = std::time::Instant::now();
        loop {
            let answer = self.get(path).await;
            if what(&answer) {
                return answer;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{path}: {answer}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn connected(&self, engine: &str) {
        let path = format!("/engines/{engine}");
        self.until(&path, |engine| engine["state"] == "connected")
            .await;
    }

    pub(crate) async fn socket(&self) -> Socket {
        let mut request = format!("ws://{}/api/v1/live", self.host)
            .into_client_request()
            .unwrap();
        request
            .headers_mut()
            .insert("cookie", self.cookie.parse().unwrap());
        request
            .headers_mut()
            .insert("origin", self.base.parse().unwrap());
        let stream = tokio::net::TcpStream::connect(&self.host).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, stream)
            .await
            .unwrap();
        let mut socket = Socket(socket);
        let hello = socket.next().await;
        assert_eq!((&hello["t"], &hello["v"]), (&json!("hello"), &json!(1)));
        socket
    }

    pub(crate) async fn run(&self, command: &[&str], host: HostConfig) -> String {
        let body = ContainerCreateBody {
            image: Some(IMAGE.into()),
            cmd: Some(command.iter().map(ToString::to_string).collect()),
            host_config: Some(host),
            ..Default::default()
        };
        let id = self
            .docker
            .create_container(None::<CreateContainerOptions>, body)
            .await
            .unwrap()
            .id;
        self.docker
            .start_container(&id, None::<StartContainerOptions>)
            .await
            .unwrap();
        id
    }

    pub(crate) async fn remove(&self, id: &str) {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        self.docker
            .remove_container(id, Some(options))
            .await
            .unwrap();
    }

    pub(crate) async fn close(mut self) {
        self.stop.cancel();
        let served = self.served.take().unwrap();
        tokio::time::timeout(Duration::from_secs(10), served)
            .await
            .unwrap()
            .unwrap();
    }
}

/// An answer in bytes.
pub(crate) struct Told {
    pub(crate) status: u16,
    headers: http::HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Told {
    async fn of(request: reqwest::RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
        Self {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            bytes: answer.bytes().await.unwrap().to_vec(),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> String {
        let value = self.headers.get(name).map(|value| value.to_str().unwrap());
        value.unwrap_or_default().to_owned()
    }
}

pub(crate) struct Socket(tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>);

impl Socket {
    pub(crate) async fn send(&mut self, message: Value) {
        self.0
            .send(Message::Text(message.to_string().into()))
            .await
            .unwrap();
    }

    pub(crate) async fn next(&mut self) -> Value {
        loop {
            let frame = tokio::time::timeout(Duration::from_secs(20), self.0.next()).await;
            match frame
                .expect("a frame within 20 s")
                .expect("an open socket")
                .unwrap()
            {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(close) => panic!("closed: {close:?}"),
                _ => {}
            }
        }
    }

    /// The next frame of a subscription that holds what is looked for.
    pub(crate) async fn until(&mut self, id: u32, what: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            assert!(
                tokio::time::Instant::now() < deadline,
                "it did not come within 20 s"
            );
            let frame = self.next().await;
            assert_ne!(frame["t"], "err", "{frame}");
            if frame["id"] == id && what(&frame) {
                return frame;
            }
        }
    }
}

pub(crate) fn has(list: &Value, key: &str, value: &str) -> bool {
    list.as_array()
        .is_some_and(|items| items.iter().any(|item| item[key] == value))
}
