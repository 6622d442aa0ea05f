//! Terminals in containers of both engines, over the binary socket.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use crate::{
    create::engines,
    house::{House, IMAGE},
};

/// The client's end of a terminal.
struct Tty {
    socket: tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>,
    /// Offset after the last byte received.
    at: u64,
    text: Vec<u8>,
    exit_code: Option<i32>,
    closed: Option<u16>,
    /// Tells the server what it read.
    acks: bool,
}

impl Tty {
    async fn connect(house: &House, id: &str, from: Option<u64>) -> Self {
        let from = from.map(|from| format!("?from={from}")).unwrap_or_default();
        let mut request = format!("ws://{}/api/v1/terminals/{id}/io{from}", house.host)
            .into_client_request()
            .unwrap();
        let headers = request.headers_mut();
        headers.insert("cookie", house.cookie.parse().unwrap());
        headers.insert("origin", house.base.parse().unwrap());
        let stream = tokio::net::TcpStream::connect(&house.host).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, stream)
            .await
            .unwrap();
        Self {
            socket,
            at: 0,
            text: Vec::new(),
            exit_code: None,
            closed: None,
            acks: true,
        }
    }

    async fn send(&mut self, kind: u8, bytes: &[u8]) {
        let mut frame = vec![kind];
        frame.extend_from_slice(bytes);
        self.socket
            .send(Message::Binary(frame.into()))
            .await
            .unwrap();
    }

    async fn say(&mut self, text: &str) {
        self.send(0, text.as_bytes()).await;
    }

    /// Takes one frame; `false` when none came in time or the socket is closed.
    async fn take(&mut self, limit: Duration) -> bool {
        let Ok(frame) = tokio::time::timeout(limit, self.socket.next()).await else {
            return false;
        };
        match frame {
            Some(Ok(Message::Binary(bytes))) => {
                let (kind, rest) = bytes.split_first().unwrap();
                match kind {
                    0 => {
                        self.text.extend_from_slice(rest);
                        self.at += rest.len() as u64;
                        if self.acks {
                            let at = self.at.to_be_bytes();
                            let mut frame = vec![3];
                            frame.extend_from_slice(&at);
                            // The server may have closed meanwhile: what it sent before is read all the same.
                            drop(self.socket.send(Message::Binary(frame.into())).await);
                        }
                    }
                    2 => self.exit_code = Some(i32::from_be_bytes(rest.try_into().unwrap())),
                    4 => self.at = u64::from_be_bytes(rest.try_into().unwrap()),
                    other => panic!("frame {other}"),
                }
                true
            }
            Some(Ok(Message::Close(close))) => {
                self.closed = close.map(|close| close.code.into());
                false
            }
            Some(Ok(_)) => true,
            Some(Err(_)) | None => false,
        }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// Reads until the text is there.
    async fn until(&mut self, wanted: &str) {
        let begun = Instant::now();
        while !self.shown().contains(wanted) {
            let more = self.take(Duration::from_secs(15)).await;
            assert!(
                more && begun.elapsed() < Duration::from_secs(20),
                "no {wanted:?} in {:?}",
                self.shown()
            );
        }
    }

    async fn until_closed(&mut self) {
        let begun = Instant::now();
        while self.take(Duration::from_secs(15)).await {
            assert!(begun.elapsed() < Duration::from_secs(20));
        }
    }
}

async fn open(house: &House, engine: &str, container: &str, body: Value) -> Value {
    let path = format!("/engines/{engine}/containers/{container}/terminals");
    let (status, made) = house.post(&path, body).await;
    assert_eq!(status, 201, "{engine}: {made}");
    made
}

/// Makes a container; removed by [`remove`].
pub(crate) async fn make(house: &House, engine: &str, name: &str, fields: Value) -> String {
    let mut body =
        json!({ "image": IMAGE, "name": name, "command": ["sleep", "600"], "start": true });
    for (key, value) in fields.as_object().unwrap() {
        body[key] = value.clone();
    }
    let (status, made) = house
        .post(&format!("/engines/{engine}/containers"), body)
        .await;
    assert_eq!(status, 201, "{engine}: {made}");
    made["id"].as_str().unwrap().to_owned()
}

pub(crate) async fn remove(house: &House, engine: &str, id: &str) {
    let path = format!("/engines/{engine}/containers");
    let ask = json!({ "ids": [id], "force": true, "volumes": true });
    let (_, preview) = house.post(&format!("{path}/preview"), ask).await;
    let token = json!({ "preview_token": preview["token"] });
    let (status, answer) = house.post(&format!("{path}/{id}/remove"), token).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_a_shell_is_found_and_told_its_size_user_and_exit_code() {
    let house = House::open().await;
    for engine in engines() {
        house.connected(engine).await;
        let name = format!("term-{engine}-{}", std::process::id());
        let container = make(&house, engine, &name, json!({})).await;
        let body = json!({
            "columns": 111, "rows": 33, "user": "1000:1000", "working_dir": "/tmp",
            "env": [{ "key": "GREETING", "value": "hé $x" }],
        });
        let made = open(&house, engine, &container, body).await;
        assert!(
            made["command"][0].as_str().unwrap().ends_with("sh"),
            "{made}"
        );
        let id = made["id"].as_str().unwrap();
        let mut tty = Tty::connect(&house, id, None).await;
        tty.say("stty size; id -u; pwd; echo \"[$GREETING] [$TERM]\"\n")
            .await;
        tty.until("33 111").await;
        tty.until("[hé $x] [xterm-256color]").await;
        assert!(tty.shown().contains("1000\r\n/tmp\r\n"), "{}", tty.shown());
        // Bytes below 3 are bytes, at the beginning of a piece, too.
        tty.say("sleep 0.3; printf '\\001\\000\\002\\000\\000raw'\n")
            .await;
        tty.until("\u{1}\0\u{2}\0\0raw").await;
        tty.send(1, &[0, 60, 0, 20]).await;
        tty.say("stty size\n").await;
        tty.until("20 60").await;
        // Another at the same time, with a life of its own.
        let other = open(&house, engine, &container, json!({ "command": ["cat"] })).await;
        let mut cat = Tty::connect(&house, other["id"].as_str().unwrap(), None).await;
        cat.say("meow\n").await;
        cat.until("meow\r\nmeow").await;
        tty.say("exit 7\n").await;
        tty.until_closed().await;
        assert_eq!(
            (tty.exit_code, tty.closed),
            (Some(7), Some(1000)),
            "{engine}"
        );
        let told = house.get(&format!("/terminals/{id}")).await;
        assert_eq!(
            (&told["state"], &told["exit_code"]),
            (&json!("ended"), &json!(7))
        );
        cat.say("still\n").await;
        cat.until("still\r\nstill").await;
        let list = house.get("/terminals").await;
        assert_eq!(list["items"].as_array().unwrap().len(), 2, "{list}");
        remove(&house, engine, &container).await;
        cat.until_closed().await;
        house.get(&format!("/terminals/{id}")).await;
        let closing = format!("/terminals/{id}/close");
        assert_eq!(house.post(&closing, json!({})).await.0, 200);
        for terminal in list["items"].as_array().unwrap() {
            let id = terminal["id"].as_str().unwrap();
            house
                .post(&format!("/terminals/{id}/close"), json!({}))
                .await;
        }
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_a_lost_connection_loses_nothing_and_a_slow_one_makes_the_program_wait() {
    let house = House::open().await;
    for engine in engines() {
        house.connected(engine).await;
        let name = format!("drop-{engine}-{}", std::process::id());
        let container = make(&house, engine, &name, json!({})).await;
        let made = open(&house, engine, &container, json!({})).await;
        let id = made["id"].as_str().unwrap().to_owned();
        let mut tty = Tty::connect(&house, &id, None).await;
        tty.say("echo be''fore; sleep 1; echo af''ter\n").await;
        tty.until("before").await;
        let at = tty.at;
        drop(tty);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let mut tty = Tty::connect(&house, &id, Some(at)).await;
        tty.until("after").await;
        assert!(!tty.shown().contains("before"), "{}", tty.shown());
        // Without acknowledgement no more than the window comes; with it all of it, in order.
        tty.acks = false;
        tty.text.clear();
        tty.say("stty -echo; i=0; while [ $i -lt 60000 ]; do echo line-$i; i=$((i+1)); done; echo all''out\n").await;
        while tty.take(Duration::from_millis(1500)).await {}
        let stalled = tty.text.len();
        assert!(
            (200_000..=262_144).contains(&stalled),
            "{engine}: {stalled}"
        );
        tty.acks = true;
        let at = tty.at.to_be_bytes();
        tty.send(3, &at).await;
        tty.until("allout").await;
        let text = tty.shown();
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("line-"))
            .collect();
        assert_eq!(lines.len(), 60_000, "{engine}");
        assert!(
            lines
                .iter()
                .enumerate()
                .all(|(n, line)| **line == format!("line-{n}"))
        );
        // A flood does not make it deaf.
        tty.say("yes\n").await;
        let flood = Instant::now();
        while flood.elapsed() < Duration::from_secs(1) {
            tty.take(Duration::from_secs(1)).await;
        }
        tty.text.clear();
        tty.say("\u{3}").await;
        tty.say("echo awa''ke\n").await;
        tty.until("awake").await;
        // A second connection takes over.
        let mut second = Tty::connect(&house, &id, None).await;
        tty.until_closed().await;
        assert_eq!(tty.closed, Some(4010));
        second.say("echo sec''ond\n").await;
        second.until("second").await;
        // What is sent to a closed connection would take the end of it away.
        second.acks = false;
        remove(&house, engine, &container).await;
        second.until_closed().await;
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_closing_a_terminal_ends_what_runs_in_it() {
    let mut house = House::open().await;
    for engine in engines() {
        house.connected(engine).await;
        let name = format!("hang-{engine}-{}", std::process::id());
        let container = make(&house, engine, &name, json!({})).await;
        let made = open(&house, engine, &container, json!({})).await;
        let id = made["id"].as_str().unwrap().to_owned();
        let mut tty = Tty::connect(&house, &id, None).await;
        // One that heeds no hang-up, and one in the background.
        tty.say("(trap '' HUP; sleep 4711) & sleep 4712 & echo rea''dy\n")
            .await;
        tty.until("ready").await;
        let top = format!("/engines/{engine}/containers/{container}/top");
        house
            .until(&top, |top| top.to_string().contains("sleep 4712"))
            .await;
        let (status, closed) = house
            .post(&format!("/terminals/{id}/close"), json!({}))
            .await;
        assert_eq!(
            (status, &closed["state"]),
            (200, &json!("ended")),
            "{closed}"
        );
        house
            .until(&top, |top| {
                let top = top.to_string();
                !top.contains("4711") && !top.contains("4712") && top.contains("sleep 600")
            })
            .await;
        tty.until_closed().await;
        // Signing out ends the terminals of that session, too.
        let made = open(
            &house,
            engine,
            &container,
            json!({ "command": ["sleep", "4713"] }),
        )
        .await;
        let mut tty = Tty::connect(&house, made["id"].as_str().unwrap(), None).await;
        house
            .until(&top, |top| top.to_string().contains("4713"))
            .await;
        let cookie = house.log_in().await;
        assert_eq!(house.post("/auth/logout", json!({})).await.0, 204);
        tty.until_closed().await;
        assert_eq!(tty.closed, Some(4401), "{engine}");
        house.cookie = cookie;
        house
            .until(&top, |top| !top.to_string().contains("4713"))
            .await;
        remove(&house, engine, &container).await;
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_the_containers_own_terminal_can_be_attached_to() {
    let house = House::open().await;
    for engine in engines() {
        house.connected(engine).await;
        let name = format!("own-{engine}-{}", std::process::id());
        let fields = json!({ "command": ["sh"], "tty": true, "open_stdin": true });
        let container = make(&house, engine, &name, fields).await;
        let made = open(
            &house,
            engine,
            &container,
            json!({ "attach": true, "columns": 99, "rows": 22 }),
        )
        .await;
        assert_eq!(made["attach"], true, "{made}");
        let id = made["id"].as_str().unwrap().to_owned();
        let mut tty = Tty::connect(&house, &id, None).await;
        tty.say("echo $$; stty size\n").await;
        tty.until("22 99").await;
        assert!(tty.shown().contains("\r\n1\r\n"), "{}", tty.shown());
        // Closing leaves the container alone; ending its program ends the terminal.
        house
            .post(&format!("/terminals/{id}/close"), json!({}))
            .await;
        let detail = house
            .get(&format!("/engines/{engine}/containers/{container}"))
            .await;
        assert_eq!(detail["summary"]["state"], "running", "{engine}");
        let made = open(&house, engine, &container, json!({ "attach": true })).await;
        let mut tty = Tty::connect(&house, made["id"].as_str().unwrap(), None).await;
        tty.say("exit 3\n").await;
        tty.until_closed().await;
        assert_eq!(tty.exit_code, Some(3), "{engine}");
        remove(&house, engine, &container).await;
    }
    house.close().await;
}
