//! Alerts from the rule to the receiver: a web server and a mail server of the test's own take what is sent.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use api::auth::Role;
use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    task::JoinSet,
};

use crate::{
    scripted::ScriptedEngine,
    site::{Site, Visitor},
};

/// One request that the receiver took.
#[derive(Clone, Debug)]
struct Taken {
    path: String,
    headers: http::HeaderMap,
    body: Value,
}

#[derive(Default)]
struct Shelf {
    taken: Vec<Taken>,
    /// What it answers; 200 when nothing.
    answers: Option<u16>,
}

/// A web server that keeps what it is sent.
struct Receiver {
    address: SocketAddr,
    shelf: Arc<Mutex<Shelf>>,
    _tasks: JoinSet<()>,
}

async fn take(State(shelf): State<Arc<Mutex<Shelf>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut shelf = shelf.lock().unwrap();
    shelf.taken.push(Taken {
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    });
    match shelf.answers {
        None => StatusCode::OK.into_response(),
        Some(302) => (StatusCode::FOUND, [("location", "/elsewhere")]).into_response(),
        Some(status) => {
            let told = "CANARY of the other server";
            (StatusCode::from_u16(status).unwrap(), told).into_response()
        }
    }
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shelf: Arc<Mutex<Shelf>> = Arc::default();
        let router = Router::new().fallback(take).with_state(Arc::clone(&shelf));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = hyper_util::service::TowerToHyperService::new(router.clone());
                connections.spawn(async move {
                    let io = hyper_util::rt::TokioIo::new(stream);
                    let served = hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .await;
                    // Who sent may be gone already.
                    drop(served);
                });
            }
        });
        Self {
            address,
            shelf,
            _tasks: tasks,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn answers(&self, status: Option<u16>) {
        self.shelf.lock().unwrap().answers = status;
    }

    fn all(&self) -> Vec<Taken> {
        std::mem::take(&mut self.shelf.lock().unwrap().taken)
    }

    /// Waits for one that fits.
    async fn wait(&self, limit: Duration, fits: impl Fn(&Taken) -> bool) -> Taken {
        let begun = Instant::now();
        loop {
            if let Some(found) = self.all().into_iter().find(&fits) {
                return found;
            }
            assert!(begun.elapsed() < limit, "nothing came");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn channel(admin: &Visitor, target: Value, more: Value) -> String {
    let mut body = json!({ "name": "c", "target": target, "allow_private": true });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    let made = admin.post("/alert-channels", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()["id"].as_str().unwrap().to_owned()
}

async fn only_rule(admin: &Visitor, rule: Value) -> String {
    // Those that a server has from the beginning would ring too.
    let rules = admin.get("/alert-rules").await.json();
    for old in rules["items"].as_array().unwrap() {
        let path = format!("/alert-rules/{}/remove", old["id"].as_str().unwrap());
        assert_eq!(admin.post(&path, &json!({})).await.status, 200);
    }
    let made = admin.post("/alert-rules", &rule).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()["id"].as_str().unwrap().to_owned()
}

async fn test(admin: &Visitor, channel: &str) -> Value {
    let path = format!("/alert-channels/{channel}/test");
    let answer = admin.post(&path, &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn an_engine_that_goes_down_is_told_once_and_again_when_it_is_back() {
    let engine = ScriptedEngine::start().await;
    let (site, admin) = Site::with(&engine).await;
    let receiver = Receiver::start().await;
    let hook = json!({ "kind": "webhook", "url": receiver.url("/hook"), "authorization": "Bearer CANARY" });
    channel(&admin, hook, json!({})).await;
    let rule = json!({ "name": "Engine away", "condition": { "kind": "engine_down" }, "severity": "critical", "engine": "docker" });
    let id = only_rule(&admin, rule).await;
    let address = engine.stop().await;
    let fires = receiver
        .wait(Duration::from_secs(15), |t| t.body["status"] == "firing")
        .await;
    assert_eq!(fires.headers["authorization"], "Bearer CANARY");
    assert_eq!(fires.body["severity"], "critical");
    assert_eq!(fires.body["alerts"][0]["rule"], id.as_str());
    assert_eq!(fires.body["alerts"][0]["engine"], "docker");
    let listed = admin.get("/alerts?firing=true").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert!(
        listed["items"][0]["text"]
            .as_str()
            .unwrap()
            .contains("docker")
    );
    let _engine = ScriptedEngine::start_at(address).await;
    let over = receiver
        .wait(Duration::from_secs(40), |t| !t.body.is_null())
        .await;
    assert_eq!(over.body["status"], "resolved", "told once only: {over:?}");
    let listed = admin.get("/alerts").await.json();
    assert!(listed["items"][0]["resolved_at"].is_string());
    assert_eq!(
        admin.get("/alerts?firing=true").await.json()["items"],
        json!([])
    );
    let audit = std::fs::read_to_string(site.dir.path().join("server/audit.jsonl")).unwrap();
    assert!(!audit.contains("CANARY"));
}

#[tokio::test]
async fn each_kind_of_channel_gets_what_it_takes() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let receiver = Receiver::start().await;
    for (target, path, header, pointer) in [
        (
            json!({ "kind": "webhook", "url": receiver.url("/a?b=c") }),
            "/a",
            None,
            "/title",
        ),
        (
            json!({ "kind": "ntfy", "url": receiver.url("/topic"), "token": "tk_1" }),
            "/",
            Some(("authorization", "Bearer tk_1")),
            "/title",
        ),
        (
            json!({ "kind": "slack", "url": receiver.url("/services/T/B/x") }),
            "/services/T/B/x",
            None,
            "/text",
        ),
        (
            json!({ "kind": "discord", "url": receiver.url("/api/webhooks/1/x") }),
            "/api/webhooks/1/x",
            None,
            "/content",
        ),
        (
            json!({ "kind": "gotify", "url": receiver.url("/"), "token": "A.x" }),
            "/message",
            Some(("x-gotify-key", "A.x")),
            "/title",
        ),
        (
            json!({ "kind": "telegram", "token": "1:x", "chat_id": "-100", "server": receiver.url("") }),
            "/bot1:x/sendMessage",
            None,
            "/text",
        ),
    ] {
        let id = channel(&admin, target.clone(), json!({})).await;
        let told = test(&admin, &id).await;
        assert_eq!(
            told,
            json!({ "delivered": true, "error": null }),
            "{target}"
        );
        let taken = receiver.all();
        assert_eq!(taken.len(), 1, "{target}");
        assert_eq!(taken[0].path, path, "{target}");
        if let Some((name, value)) = header {
            assert_eq!(taken[0].headers[name], value, "{target}");
        }
        let text = taken[0].body.pointer(pointer).unwrap().as_str().unwrap();
        assert!(text.contains("Test from ContainerOS"), "{text}");
        let listed = admin.get("/alert-channels").await.json();
        assert!(
            listed["items"]
                .as_array()
                .unwrap()
                .iter()
                .any(|c| c["id"] == id.as_str() && c["last_sent_at"].is_string())
        );
    }
}

/// Takes one letter and returns what was said (RFC 5321).
async fn mail_server(listener: TcpListener) -> Vec<String> {
    let (stream, _) = listener.accept().await.unwrap();
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut said = Vec::new();
    let mut in_letter = false;
    write.write_all(b"220 mail.test\r\n").await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = if in_letter {
            in_letter = line != ".";
            if in_letter { "" } else { "250 taken\r\n" }
        } else if line.starts_with("DATA") {
            in_letter = true;
            "354 go on\r\n"
        } else if line.starts_with("QUIT") {
            "221 bye\r\n"
        } else {
            "250 fine\r\n"
        };
        said.push(line);
        if write.write_all(answer.as_bytes()).await.is_err() {
            break;
        }
    }
    said
}

#[tokio::test]
async fn a_letter_is_written_as_mail_servers_take_it() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = JoinSet::new();
    server.spawn(mail_server(listener));
    let target = json!({
        "kind": "email", "host": "127.0.0.1", "port": port, "security": "none",
        "from": "ContainerOS <cos@box.lan>", "to": ["ana@example.org", "Olaf <olaf@example.org>"]
    });
    let id = channel(&admin, target, json!({})).await;
    assert_eq!(test(&admin, &id).await["error"], Value::Null);
    let said = server.join_next().await.unwrap().unwrap();
    let text = said.join("\n");
    for part in [
        "MAIL FROM:<cos@box.lan>",
        "RCPT TO:<ana@example.org>",
        "RCPT TO:<olaf@example.org>",
        "Subject: Test from ContainerOS",
        "This channel works.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn a_channel_leads_nowhere_it_should_not_and_tells_nothing_of_what_is_there() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let receiver = Receiver::start().await;
    let slack = |url: &str| json!({ "kind": "slack", "url": url });
    let refused = |private: bool| json!({ "allow_private": private });
    let port = receiver.address.port();
    for (url, private) in [
        (receiver.url("/x"), false),
        (format!("http://localhost:{port}/x"), false),
        (format!("http://[::ffff:127.0.0.1]:{port}/x"), false),
        (format!("http://127.1:{port}/x"), false),
        (format!("http://2130706433:{port}/x"), false),
        ("http://169.254.169.254/latest/meta-data".to_owned(), true),
        ("http://[::ffff:169.254.169.254]/".to_owned(), true),
        ("http://0.0.0.0:1/".to_owned(), true),
    ] {
        let id = channel(&admin, slack(&url), refused(private)).await;
        let told = test(&admin, &id).await;
        assert_eq!(told["delivered"], false, "{url}");
        let error = told["error"].as_str().unwrap();
        assert!(error.contains("address is"), "{url}: {error}");
    }
    assert!(receiver.all().is_empty(), "something was sent");
    // No redirect is followed, and of an answer only its status is told.
    let id = channel(&admin, slack(&receiver.url("/CANARY")), json!({})).await;
    for (status, words) in [(302, "302"), (500, "500"), (403, "403")] {
        receiver.answers(Some(status));
        let told = test(&admin, &id).await;
        let error = told["error"].as_str().unwrap();
        assert!(
            error.contains(words) && !error.contains("CANARY"),
            "{error}"
        );
        assert_eq!(receiver.all().len(), 1, "{status}");
    }
    let listed = admin.get("/alert-channels").await.text;
    assert!(!listed.contains("CANARY"), "{listed}");
    for file in ["server.db", "server.db-wal", "audit.jsonl"] {
        let bytes = std::fs::read(site.dir.path().join("server").join(file)).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&bytes).contains("CANARY"),
            "{file}"
        );
    }
    // Nor where nothing listens is the address told.
    let gone = channel(&admin, slack("http://127.0.0.1:1/CANARY"), json!({})).await;
    let told = test(&admin, &gone).await.to_string();
    assert!(!told.contains("CANARY"), "{told}");
    let vera = site.user("vera", Role::Viewer).await;
    vera.get("/alert-channels")
        .await
        .assert_problem(403, "forbidden");
}

#[tokio::test]
async fn in_quiet_hours_it_is_shown_and_sent_when_they_end() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let receiver = Receiver::start().await;
    let minute = jiff::Timestamp::now().as_second() / 60 % 1440;
    let day = |minute: i64| {
        let minute = minute.rem_euclid(1440);
        format!("{:02}:{:02}", minute / 60, minute % 60)
    };
    let hours =
        json!({ "from": day(minute - 60), "until": day(minute + 60), "critical_passes": true });
    let hook = json!({ "kind": "webhook", "url": receiver.url("/quiet") });
    let id = channel(&admin, hook, json!({ "quiet_hours": hours })).await;
    // There is no engine at that address.
    let rule =
        json!({ "name": "r", "condition": { "kind": "engine_down" }, "severity": "warning" });
    let rule_id = only_rule(&admin, rule.clone()).await;
    let begun = Instant::now();
    while admin.get("/alerts?firing=true").await.json()["items"] == json!([]) {
        assert!(begun.elapsed() < Duration::from_secs(15), "it never fired");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(receiver.all().is_empty(), "it is quiet");
    let change = json!({ "no_quiet_hours": true });
    let path = format!("/alert-channels/{id}");
    let changed = admin.patch(&path, &change).await;
    assert_eq!(
        changed.json()["quiet_hours"],
        Value::Null,
        "{}",
        changed.text
    );
    let taken = receiver.wait(Duration::from_secs(10), |_| true).await;
    assert_eq!(taken.body["status"], "firing");
    // A server that does not take it is asked again, and what it said is shown.
    receiver.answers(Some(503));
    let mut off = rule;
    off["enabled"] = json!(false);
    let path = format!("/alert-rules/{rule_id}");
    assert_eq!(admin.put(&path, &off).await.json()["enabled"], false);
    receiver.wait(Duration::from_secs(10), |_| true).await;
    let begun = Instant::now();
    loop {
        let listed = admin.get("/alert-channels").await.json();
        if let Some(error) = listed["items"][0]["last_error"].as_str() {
            assert!(error.contains("503"), "{error}");
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{listed}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    receiver.answers(None);
    let due = site.state.db.run("make it due", |c| {
        c.execute("UPDATE alert_notices SET due_at_ms = 0", [])
    });
    assert_eq!(due.await.unwrap(), 1);
    let over = receiver.wait(Duration::from_secs(10), |_| true).await;
    assert_eq!(over.body["status"], "resolved");
}

#[tokio::test]
async fn what_is_wrong_with_a_rule_is_told_and_a_server_has_some_from_the_beginning() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let rules = admin.get("/alert-rules").await.json();
    let kinds: Vec<&str> = rules["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["condition"]["kind"].as_str().unwrap())
        .collect();
    for kind in [
        "container_down",
        "unhealthy",
        "restart_loop",
        "out_of_memory",
        "disk_above",
        "engine_down",
    ] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    for (change, field) in [
        (json!({ "name": "" }), "name"),
        (json!({ "for_s": 86_401 }), "for_s"),
        (json!({ "container": "" }), "container"),
        (
            json!({ "condition": { "kind": "cpu_above", "percent": 101 } }),
            "condition.percent",
        ),
        (
            json!({ "condition": { "kind": "cpu_above", "percent": 0 } }),
            "condition.percent",
        ),
        (
            json!({ "condition": { "kind": "restart_loop", "restarts": 1, "within_s": 60 } }),
            "condition.restarts",
        ),
    ] {
        let mut body =
            json!({ "name": "r", "condition": { "kind": "unhealthy" }, "severity": "info" });
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        let answer = admin.post("/alert-rules", &body).await;
        answer.assert_problem(422, "invalid");
        assert_eq!(answer.fields(), [field]);
    }
    let nowhere = json!({ "name": "r", "condition": { "kind": "unhealthy" }, "severity": "info", "engine": "nope" });
    admin
        .post("/alert-rules", &nowhere)
        .await
        .assert_problem(404, "not_found");
    let unknown = json!({ "name": "r", "condition": { "kind": "unhealthy" }, "severity": "info", "chanels": [] });
    let answer = admin.post("/alert-rules", &unknown).await;
    assert!([400, 422].contains(&answer.status), "{}", answer.text);
    let bad = json!({ "name": "c", "target": { "kind": "slack", "url": "ftp://x" } });
    assert_eq!(
        admin.post("/alert-channels", &bad).await.fields(),
        ["target.url"]
    );
}
