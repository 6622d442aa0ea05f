//! An engine under test: its socket, names of the test's own, and the tidying up afterwards.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::client::{self, Answer, Hijacked, Lines};
use crate::container::Container;

/// The starter image; both engines have it.
pub const IMAGE: &str = "containeros/starter:latest";
/// How long a test may take: dockerd is slow on two cores with other tests beside it.
const TEST_DEADLINE: Duration = Duration::from_mins(2);

/// Waits for `what`, at most 20 s.
pub async fn deadline<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .unwrap_or_else(|_| panic!("{what} takes over 20 s"))
}

/// Asks again every 20 ms until `probe` gives a value, at most 20 s.
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> T {
    deadline(what, async {
        loop {
            if let Some(value) = probe().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// One of the two engines, as one test uses it.
#[derive(Clone, Debug)]
pub struct Engine {
    socket: PathBuf,
    /// Of every name and label value of this test.
    pub prefix: String,
}

impl Engine {
    /// dockerd.
    pub fn docker(test: &str) -> Self {
        Self::new("CONTAINEROS_TEST_DOCKER", "docker", test)
    }

    /// Mini.
    pub fn mini(test: &str) -> Self {
        Self::new("CONTAINEROS_TEST_MINI", "mini", test)
    }

    fn new(variable: &str, name: &str, test: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let address = std::env::var(variable).unwrap_or_else(|_| {
            panic!("{variable} is not set: run `tests/run conformance`, which starts both engines")
        });
        let socket = PathBuf::from(address.strip_prefix("unix://").expect("a unix:// address"));
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // A container's name is a host name too, of which a part has at most 63 characters.
        let test: String = test.replace('_', "-").chars().take(24).collect();
        let prefix = format!("cos-{name}-{}-{count}-{test}", std::process::id());
        Self { socket, prefix }
    }

    /// Runs a test's body, removes what it made whether it passed or not, then passes its panic on.
    pub async fn run<F>(self, body: F)
    where
        F: FnOnce(Self) -> Pin<Box<dyn Future<Output = ()> + Send>>,
    {
        let engine = self.clone();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(tokio::time::timeout(TEST_DEADLINE, body(engine)));
        let outcome = tasks.join_next().await.unwrap();
        self.tidy().await;
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(_)) => panic!("the test takes over {TEST_DEADLINE:?}"),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Removes every container, image, network and volume that bears the test's label.
    pub async fn tidy(&self) {
        let filter = query(&json!({"label": [self.label()]}).to_string());
        for container in self
            .get(&format!("/containers/json?all=1&filters={filter}"))
            .await
            .json()
            .as_array()
            .unwrap()
        {
            let id = container["Id"].as_str().unwrap();
            let answer = self.delete(&format!("/containers/{id}?force=1&v=1")).await;
            assert!(
                [204, 404, 409].contains(&answer.status),
                "{}",
                answer.text()
            );
        }
        for image in self
            .get(&format!("/images/json?filters={filter}"))
            .await
            .json()
            .as_array()
            .unwrap()
        {
            let id = image["Id"].as_str().unwrap();
            let answer = self.delete(&format!("/images/{id}?force=1")).await;
            assert!(
                [200, 404, 409].contains(&answer.status),
                "{}",
                answer.text()
            );
        }
        for network in self
            .get(&format!("/networks?filters={filter}"))
            .await
            .json()
            .as_array()
            .unwrap()
        {
            self.delete(&format!("/networks/{}", network["Id"].as_str().unwrap()))
                .await
                .expect(204);
        }
        let volumes = self.get(&format!("/volumes?filters={filter}")).await.json();
        for volume in volumes["Volumes"].as_array().into_iter().flatten() {
            self.delete(&format!("/volumes/{}", volume["Name"].as_str().unwrap()))
                .await
                .expect(204);
        }
    }

    /// The label, as `key=value`, that everything of this test bears.
    pub fn label(&self) -> String {
        format!("containeros.test={}", self.prefix)
    }

    /// The same as an object for request bodies.
    pub fn labels(&self) -> Value {
        json!({"containeros.test": self.prefix})
    }

    pub async fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            Bytes::new()
        } else {
            body.to_string().into()
        };
        self.send(method, path, "application/json", body).await
    }

    /// Sends any bytes as the body.
    pub async fn send(&self, method: &str, path: &str, kind: &str, body: Bytes) -> Answer {
        let what = format!("{method} {path}");
        tokio::time::timeout(
            Duration::from_mins(1),
            client::call(&self.socket, method, path, kind, body),
        )
        .await
        .unwrap_or_else(|_| panic!("{what} takes over 60 s"))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, &body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, &Value::Null).await
    }

    /// A request whose answer comes line by line.
    pub async fn lines(&self, method: &str, path: &str) -> Lines {
        let (status, lines) =
            client::lines(&self.socket, method, path, "application/json", Bytes::new()).await;
        assert_eq!(status, 200, "{path}");
        lines
    }

    /// A request that makes the connection a raw stream.
    pub async fn hijack(&self, path: &str, body: &Value) -> Hijacked {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        client::hijack(&self.socket, path, &body, true).await
    }

    /// Creates a container of the starter image with this command, plus whatever `more` sets at the top or in `HostConfig`.
    pub async fn create(&self, command: &[&str], more: Value) -> Container {
        let mut body = json!({"Image": IMAGE, "Cmd": command, "Labels": self.labels()});
        merge(&mut body, more);
        let answer = self
            .post(&format!("/containers/create?name={}", self.name("c")), body)
            .await
            .expect(201)
            .json();
        Container::new(self.clone(), answer["Id"].as_str().unwrap().to_owned())
    }

    /// Creates and starts.
    pub async fn start(&self, command: &[&str], more: Value) -> Container {
        let container = self.create(command, more).await;
        container.start().await;
        container
    }

    /// A name that nobody else uses.
    pub fn name(&self, kind: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("{}-{kind}{count}", self.prefix)
    }
}

/// Puts `more` over `base`, objects member by member.
fn merge(base: &mut Value, more: Value) {
    match (base, more) {
        (Value::Object(base), Value::Object(more)) => {
            for (key, value) in more {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (base, more) => *base = more,
    }
}

/// Percent-encodes for a query string.
pub fn query(text: &str) -> String {
    use std::fmt::Write;

    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
        out
    })
}
