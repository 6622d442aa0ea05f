//! A container of a test.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Answer;
use crate::engine::{Engine, query, until};

/// A container that a test made.
#[derive(Clone, Debug)]
pub struct Container {
    engine: Engine,
    pub id: String,
}

impl Container {
    pub(crate) fn new(engine: Engine, id: String) -> Self {
        Self { engine, id }
    }

    /// `/containers/ID` + rest.
    pub fn path(&self, rest: &str) -> String {
        format!("/containers/{}{rest}", self.id)
    }

    pub async fn start(&self) {
        self.engine
            .post(&self.path("/start"), Value::Null)
            .await
            .expect(204);
    }

    pub async fn inspect(&self) -> Value {
        self.engine
            .get(&self.path("/json"))
            .await
            .expect(200)
            .json()
    }

    pub async fn state(&self) -> String {
        self.inspect().await["State"]["Status"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Waits until it has stopped; its exit code.
    pub async fn wait(&self) -> i64 {
        let answer = self
            .engine
            .post(&self.path("/wait"), Value::Null)
            .await
            .expect(200);
        answer.json()["StatusCode"].as_i64().unwrap()
    }

    /// Waits until inspect shows this state.
    pub async fn until_state(&self, state: &str) {
        until(&format!("state {state}"), || async {
            (self.state().await == state).then_some(())
        })
        .await;
    }

    /// Whole log: standard output and error.
    pub async fn logs(&self) -> (String, String) {
        self.engine
            .get(&self.path("/logs?stdout=1&stderr=1"))
            .await
            .expect(200)
            .streams()
    }

    /// Waits until the log's standard output holds `needle`.
    pub async fn until_log(&self, needle: &str) -> String {
        until(&format!("{needle:?} in the log"), || async {
            let (out, _) = self.logs().await;
            out.contains(needle).then_some(out)
        })
        .await
    }

    /// Runs a command inside; exit code, standard output, standard error.
    pub async fn exec(&self, command: &[&str]) -> (i64, String, String) {
        let id = self
            .exec_create(json!({"AttachStdout": true, "AttachStderr": true, "Cmd": command}))
            .await;
        let stream = self
            .engine
            .hijack(
                &format!("/exec/{id}/start"),
                &json!({"Detach": false, "Tty": false}),
            )
            .await;
        assert_eq!(stream.status, 101);
        let body = tokio::time::timeout(Duration::from_secs(30), stream.rest())
            .await
            .expect("exec ends within 30 s");
        let (out, err) = Answer {
            status: 200,
            headers: http::HeaderMap::new(),
            body: body.into(),
        }
        .streams();
        let code = until("the exec's exit code", || async {
            self.engine
                .get(&format!("/exec/{id}/json"))
                .await
                .expect(200)
                .json()["ExitCode"]
                .as_i64()
        })
        .await;
        (code, out, err)
    }

    /// The id of a new exec.
    pub async fn exec_create(&self, body: Value) -> String {
        let answer = self
            .engine
            .post(&self.path("/exec"), body)
            .await
            .expect(201)
            .json();
        answer["Id"].as_str().unwrap().to_owned()
    }

    /// Names of the events of this container so far, oldest first.
    pub async fn events(&self) -> Vec<String> {
        let filters = query(&json!({"container": [self.id]}).to_string());
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs()
            + 1;
        let path = format!("/events?since={}&until={now}&filters={filters}", now - 600);
        let mut lines = self.engine.lines("GET", &path).await;
        let mut names = Vec::new();
        while let Some(event) = lines.next().await {
            names.push(event["Action"].as_str().unwrap().to_owned());
        }
        names
    }
}
