//! The live socket, figures, logs, inside and comparisons over HTTP, against real engines.
//!
//! `CONTAINEROS_TEST_DOCKER` (and, for the comparison of both, `CONTAINEROS_TEST_MINI`) name engines that hold the starter
//! image, as `unix://…`. Without the first these tests say so and do nothing.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says what went wrong by failing"
)]

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
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use tokio_util::sync::CancellationToken;

const IMAGE: &str = "containeros/starter:latest";

struct House {
    _dir: tempfile::TempDir,
    base: String,
    host: String,
    cookie: String,
    http: reqwest::Client,
    docker: Docker,
    stop: CancellationToken,
    served: Option<tokio::task::JoinHandle<()>>,
}

impl House {
    async fn open() -> Option<Self> {
        // reqwest is built without a choice of its own; installed already is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let Ok(docker) = std::env::var("CONTAINEROS_TEST_DOCKER") else {
            eprintln!("SKIPPED: CONTAINEROS_TEST_DOCKER names no engine");
            return None;
        };
        let absent = || MiniEndpoint::Absent {
            reason: "not part of this test".into(),
            hint: String::new(),
        };
        let mini = std::env::var("CONTAINEROS_TEST_MINI").ok();
        let mini = mini.map_or_else(absent, |url| {
            MiniEndpoint::Socket(url.trim_start_matches("unix://").into())
        });
        let dir = tempfile::tempdir().unwrap();
        let server = Server::open(ServerConfig {
            state_dir: dir.path().to_owned(),
            listen: "127.0.0.1:0".parse().unwrap(),
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
        let token = server.url().split("#token=").nth(1).unwrap().to_owned();
        let stop = CancellationToken::new();
        let over = stop.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "owned by the test, which waits for it"
        )]
        let served = tokio::spawn(async move { server.serve(over).await });
        let http = reqwest::Client::new();
        let made = http
            .post(format!("{base}/api/v1/auth/setup"))
            .header("origin", &base)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/json")
            .body(
                json!({"token": token, "name": "admin", "password": "a long enough password"})
                    .to_string(),
            )
            .send()
            .await
            .unwrap();
        assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
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
        Some(Self {
            _dir: dir,
            base,
            host,
            cookie,
            http,
            docker,
            stop,
            served: Some(served),
        })
    }

    async fn get(&self, path: &str) -> Value {
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

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
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

    async fn socket(&self) -> Socket {
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

    async fn run(&self, command: &[&str], host: HostConfig) -> String {
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

    async fn remove(&self, id: &str) {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        self.docker
            .remove_container(id, Some(options))
            .await
            .unwrap();
    }

    async fn close(mut self) {
        self.stop.cancel();
        let served = self.served.take().unwrap();
        tokio::time::timeout(Duration::from_secs(10), served)
            .await
            .unwrap()
            .unwrap();
    }
}

struct Socket(tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>);

impl Socket {
    async fn send(&mut self, message: Value) {
        self.0
            .send(Message::Text(message.to_string().into()))
            .await
            .unwrap();
    }

    async fn next(&mut self) -> Value {
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
    async fn until(&mut self, id: u32, what: impl Fn(&Value) -> bool) -> Value {
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

fn has(list: &Value, key: &str, value: &str) -> bool {
    list.as_array()
        .is_some_and(|items| items.iter().any(|item| item[key] == value))
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_a_container_is_seen_through_the_live_socket() {
    let Some(house) = House::open().await else {
        return;
    };
    let mut socket = house.socket().await;
    socket
        .send(json!({"op": "sub", "id": 1, "topic": "containers", "args": {"engine": "docker"}}))
        .await;
    socket
        .send(json!({"op": "sub", "id": 2, "topic": "stats", "args": {"engine": "docker"}}))
        .await;
    socket
        .send(json!({"op": "sub", "id": 3, "topic": "events", "args": {"engine": "docker"}}))
        .await;
    socket
        .send(json!({"op": "sub", "id": 4, "topic": "host", "args": {}}))
        .await;
    socket.until(1, |f| f["t"] == "snap").await;
    socket
        .until(4, |f| {
            f["data"]["figures"]["memory_total_bytes"].as_u64() > Some(0)
        })
        .await;

    let limits = HostConfig {
        nano_cpus: Some(500_000_000),
        memory: Some(64 << 20),
        ..Default::default()
    };
    let id = house
        .run(&["sh", "-c", "while :; do :; done"], limits)
        .await;
    socket
        .until(1, |f| {
            has(&f["data"]["upsert"], "id", &id)
                && f["data"]["upsert"].to_string().contains("\"running\"")
        })
        .await;
    // Half a processor, read from its cgroup.
    let of = |frame: &Value| {
        let all = frame["data"]["stats"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        all.into_iter().find(|s| s["id"] == id.as_str())
    };
    let busy = |f: &Value| {
        of(f).is_some_and(|s| (40.0..60.0).contains(&s["point"]["cpu_percent"].as_f64().unwrap()))
    };
    let frame = socket.until(2, busy).await;
    let stats = of(&frame).unwrap();
    assert_eq!(stats["source"], "cgroup");
    assert_eq!(stats["point"]["cpu_limit_percent"], 50.0);
    assert_eq!(stats["point"]["memory_limit_bytes"], 64 << 20);

    let inside = house
        .get(&format!("/engines/docker/containers/{id}/inside"))
        .await;
    assert_eq!(inside["certainty"], "measured", "{}", inside["notes"]);
    let pid = inside["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .find(|n| n["kind"] == "pid")
        .unwrap()
        .clone();
    assert_eq!(pid["shared_with_host"], false);
    assert!(pid["inode"].as_u64() > Some(0));

    let history = house
        .get(&format!("/engines/docker/containers/{id}/stats?range_s=60"))
        .await;
    assert!(!history["points"].as_array().unwrap().is_empty());

    // Another socket resumes where this one is.
    house.remove(&id).await;
    let gone = socket
        .until(1, |f| f["data"]["remove"].to_string().contains(&id))
        .await;
    let mut second = house.socket().await;
    second
        .send(json!({"op": "sub", "id": 9, "topic": "containers", "args": {"engine": "docker"}}))
        .await;
    let snap = second.until(9, |f| f["t"] == "snap").await;
    assert!(snap["seq"].as_u64() >= gone["seq"].as_u64());
    assert!(!has(&snap["data"]["items"], "id", &id));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_a_log_is_followed_over_restarts_and_paged() {
    let Some(house) = House::open().await else {
        return;
    };
    let script =
        "for i in $(seq 1 300); do echo out $i; echo err $i >&2; done; sleep 0.3; echo bye";
    let id = house
        .run(&["sh", "-c", script], HostConfig::default())
        .await;
    let mut lines: Vec<String> = Vec::new();
    let mut restarted = false;
    let mut cursor: Option<String> = None;
    // Five sockets one after the other: each goes on at the cursor of the one before.
    for round in 0..5 {
        let mut socket = house.socket().await;
        let args = json!({"engine": "docker", "container": id, "tail": 10_000, "since": cursor});
        socket
            .send(json!({"op": "sub", "id": 1, "topic": "logs", "args": args}))
            .await;
        if round == 2 {
            house
                .docker
                .start_container(&id, None::<StartContainerOptions>)
                .await
                .unwrap();
        }
        let wanted = [200, 601, 700, 900, 1202][round];
        while lines.len() < wanted {
            let frame = socket.until(1, |_| true).await;
            let batch = frame["data"]["lines"].as_array().unwrap();
            lines.extend(
                batch
                    .iter()
                    .map(|line| line["text"].as_str().unwrap().to_owned()),
            );
            restarted |= frame["data"]["restarted"] == true;
            cursor = frame["data"]["cursor"].as_str().map(ToOwned::to_owned);
        }
    }
    assert_eq!(lines.len(), 1202);
    let of = |prefix: &str| -> Vec<String> {
        lines
            .iter()
            .filter(|l| l.starts_with(prefix))
            .cloned()
            .collect()
    };
    let expected = |prefix: &str| -> Vec<String> {
        (0..2)
            .flat_map(|_| (1..=300).map(|n| format!("{prefix} {n}")))
            .collect()
    };
    assert_eq!(of("out"), expected("out"));
    assert_eq!(of("err"), expected("err"));
    assert!(restarted, "the second run is marked");

    let page = house
        .get(&format!(
            "/engines/docker/containers/{id}/logs?search=OUT%20300&tail=5"
        ))
        .await;
    assert_eq!(page["lines"].as_array().unwrap().len(), 2, "{page}");
    let page = house
        .get(&format!("/engines/docker/containers/{id}/logs?tail=3"))
        .await;
    assert_eq!(
        (
            page["lines"][2]["text"].as_str(),
            page["more_before"].as_bool()
        ),
        (Some("bye"), Some(true))
    );
    let text = house
        .get(&format!(
            "/engines/docker/containers/{id}/logs/download?stderr=false"
        ))
        .await;
    assert_eq!(text.as_str().unwrap().lines().count(), 602);
    house.remove(&id).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_engines_are_compared_and_nothing_stays() {
    let Some(house) = House::open().await else {
        return;
    };
    let (status, _) = house.post("/compare", json!({"runs": 0})).await;
    assert_eq!(status, 422);
    let mut socket = house.socket().await;
    socket
        .send(json!({"op": "sub", "id": 1, "topic": "engines", "args": {}}))
        .await;
    let connected = |f: &Value| f.to_string().contains("\"connected\"");
    socket.until(1, connected).await;
    socket
        .send(json!({"op": "sub", "id": 2, "topic": "jobs", "args": {}}))
        .await;
    let (status, started) = house
        .post("/compare", json!({"runs": 6, "command": ["echo", "hi"]}))
        .await;
    assert_eq!(status, 202, "{started}");
    let id = started["id"].as_str().unwrap().to_owned();
    let ended = |f: &Value| {
        f["data"]["upsert"].as_array().is_some_and(|jobs| {
            jobs.iter()
                .any(|j| j["id"] == id.as_str() && !j["finished_at"].is_null())
        })
    };
    let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
    loop {
        let frame = socket.next().await;
        if frame["id"] == 2 && ended(&frame) {
            assert!(frame.to_string().contains("\"done\""), "{frame}");
            break;
        }
        assert!(tokio::time::Instant::now() < deadline);
    }
    let result = house.get(&format!("/compare/{id}")).await;
    assert_eq!(result["finished"], true);
    let docker = &result["engines"][0];
    assert_eq!(docker["samples"].as_array().unwrap().len(), 6);
    assert!(docker["start_ms"]["median"].as_f64() > Some(0.0));
    assert!(docker["engine_memory_bytes"].as_u64() > Some(0), "{docker}");
    assert!(!result["isolation"].as_array().unwrap().is_empty());
    println!(
        "{}",
        serde_json::to_string_pretty(&result["summary"]).unwrap()
    );
    // A second one is cancelled in the middle.
    let (_, started) = house.post("/compare", json!({"runs": 100})).await;
    let job = started["job"].as_str().unwrap().to_owned();
    let (status, _) = house.post(&format!("/jobs/{job}/cancel"), json!({})).await;
    assert_eq!(status, 200);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while house.get(&format!("/jobs/{job}")).await["state"] != "cancelled" {
        assert!(tokio::time::Instant::now() < deadline);
    }
    let filters = std::collections::HashMap::from([("label", vec!["containeros.compare"])]);
    let options = bollard::query_parameters::ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    assert!(
        house
            .docker
            .list_containers(Some(options))
            .await
            .unwrap()
            .is_empty()
    );
    house.close().await;
}
