//! A server of its own for each test, and those who use it.

use std::time::{Duration, Instant};

use api::auth::Role;
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use server::{AppState, Server, ServerConfig, config::MiniEndpoint};
use tokio_util::sync::CancellationToken;

use crate::scripted::ScriptedEngine;

pub(crate) const PASSWORD: &str = "correct horse battery";

/// A running server.
pub(crate) struct Site {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) base: String,
    pub(crate) url: String,
    pub(crate) state: AppState,
    /// Where figures are told without sign-in.
    pub(crate) monitoring: String,
    pub(crate) http: reqwest::Client,
    stop: CancellationToken,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic_with(&self.text, &error))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// It is an RFC 9457 problem with everything that one of ours has.
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(
            self.headers["content-type"], "application/problem+json",
            "{}",
            self.text
        );
        let json = self.json();
        assert_eq!(json["code"], code, "{json}");
        assert_eq!(json["status"], status, "{json}");
        for part in ["type", "title", "detail", "hint", "request_id"] {
            assert!(
                json[part].as_str().is_some_and(|text| !text.is_empty()),
                "{part}: {json}"
            );
        }
        assert_eq!(
            json["request_id"],
            self.headers["x-request-id"].to_str().unwrap()
        );
    }

    /// The fields that it names.
    pub(crate) fn fields(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn panic_with(text: &str, error: &dyn std::fmt::Display) -> Value {
    unreachable!("{error}: {text:?}")
}

impl Site {
    /// A server whose Docker is at this address, and who has no Mini.
    pub(crate) async fn open(docker: &str) -> Self {
        // reqwest is built without a choice of its own; installed already is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let dir = tempfile::tempdir().unwrap();
        let server = Server::open(ServerConfig {
            state_dir: dir.path().to_owned(),
            listen: "127.0.0.1:0".parse().unwrap(),
            metrics_listen: Some("127.0.0.1:0".parse().unwrap()),
            insecure_http: false,
            allowed_hosts: vec!["box.lan".to_owned()],
            docker: Some(docker.to_owned()),
            mini: MiniEndpoint::Absent {
                reason: "not part of this test".into(),
                hint: "none".into(),
            },
            starter_archive: None,
        })
        .await
        .unwrap();
        let base = format!("http://{}", server.address());
        let monitoring = format!("http://{}", server.monitoring_address().unwrap());
        let (url, state) = (server.url(), server.state().clone());
        let stop = CancellationToken::new();
        let over = stop.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends with the runtime of its test at the latest"
        )]
        drop(tokio::spawn(async move { server.serve(over).await }));
        Self {
            dir,
            base,
            url,
            state,
            monitoring,
            http: reqwest::Client::new(),
            stop,
        }
    }

    /// A server without any engine.
    pub(crate) async fn alone() -> Self {
        Self::open("tcp://127.0.0.1:1").await
    }

    /// A server with an engine that is connected, and its administrator.
    pub(crate) async fn with(engine: &ScriptedEngine) -> (Self, Visitor) {
        let site = Self::open(&engine.url()).await;
        let admin = site.set_up().await;
        let wait = Duration::from_secs(5);
        admin.engine_becomes("connected", wait).await;
        (site, admin)
    }

    pub(crate) fn token(&self) -> String {
        self.url.split("#token=").nth(1).unwrap().to_owned()
    }

    /// Nobody who is signed in.
    pub(crate) fn visitor(&self) -> Visitor {
        Visitor {
            base: self.base.clone(),
            http: self.http.clone(),
            cookie: String::new(),
            token: None,
        }
    }

    /// Makes the administrator.
    pub(crate) async fn set_up(&self) -> Visitor {
        let body = json!({ "token": self.token(), "name": "ana", "password": PASSWORD });
        let answer = self.visitor().post("/auth/setup", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        self.visitor().with_cookie_of(&answer)
    }

    /// Makes a user and signs in.
    pub(crate) async fn user(&self, name: &str, role: Role) -> Visitor {
        let made = server::auth::put_user(&self.state.db, name, PASSWORD, role, false).await;
        assert!(made.unwrap());
        self.log_in(name).await
    }

    pub(crate) async fn log_in(&self, name: &str) -> Visitor {
        self.log_in_with(name, PASSWORD).await
    }

    /// The password opens nothing (any more).
    pub(crate) async fn refuse_log_in(&self, name: &str, password: &str) {
        let body = json!({ "name": name, "password": password });
        let answer = self.visitor().post("/auth/login", &body).await;
        answer.assert_problem(401, "wrong_credentials");
    }

    pub(crate) async fn log_in_with(&self, name: &str, password: &str) -> Visitor {
        let body = json!({ "name": name, "password": password });
        let answer = self.visitor().post("/auth/login", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        self.visitor().with_cookie_of(&answer)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Someone with a browser's manners and perhaps a session.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    pub(crate) base: String,
    pub(crate) http: reqwest::Client,
    pub(crate) cookie: String,
    /// A program's: it sends neither cookie nor origin.
    pub(crate) token: Option<String>,
}

impl Visitor {
    pub(crate) fn with_token(&self, secret: &str) -> Self {
        Self {
            token: Some(secret.to_owned()),
            ..self.clone()
        }
    }

    pub(crate) fn with_cookie_of(&self, answer: &Answer) -> Self {
        let cookie = answer.headers["set-cookie"].to_str().unwrap();
        Self {
            cookie: cookie.split(';').next().unwrap().to_owned(),
            ..self.clone()
        }
    }

    /// A request as a browser sends it from our own page, or as a program with a token sends it.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        if let Some(token) = &self.token {
            return self
                .http
                .request(method, format!("{}/api/v1{path}", self.base))
                .header("content-type", "application/json")
                .header("authorization", format!("Bearer {token}"));
        }
        let request = self
            .http
            .request(method.clone(), format!("{}/api/v1{path}", self.base))
            .header("sec-fetch-site", "same-origin")
            .header("cookie", &self.cookie);
        if method == Method::GET {
            request
        } else {
            request
                .header("origin", &self.base)
                .header("content-type", "application/json")
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, &body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PATCH, path).body(body.to_string())).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PUT, path).body(body.to_string())).await
    }

    pub(crate) async fn post_text(&self, path: &str, body: &str) -> Answer {
        send(self.request(Method::POST, path).body(body.to_owned())).await
    }

    /// Waits until the engine is in a state, and tells how long it took.
    pub(crate) async fn engine_becomes(&self, state: &str, limit: Duration) -> Duration {
        let begun = Instant::now();
        loop {
            let engine = self.get("/engines/docker").await.json();
            if engine["state"] == state {
                return begun.elapsed();
            }
            assert!(
                begun.elapsed() < limit,
                "not {state} after {limit:?}: {engine}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Sends and reads to the end.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}
