//! Bad input: each a clear problem, and nothing half-made.

use std::time::Duration;

use api::operation::OPERATIONS;
use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    scripted::{ID, ScriptedEngine},
    site::{Site, send},
};

/// What must never reach an engine as part of a path, as it stands in a URL.
const TRICKS: [&str; 16] = [
    "..",
    "%2e%2e",
    "x%2f..%2fy",
    "..%2fversion",
    "x/../../version",
    "%2e%2e%2fversion",
    "%252e%252e%252fversion",
    "a%00b",
    "a%3fforce=1",
    "a%23b",
    "a%5c..%5cb",
    "a%0d%0aX:%20y",
    "a%20b",
    "%ff",
    "%c3%a4",
    "-rf",
];

#[tokio::test]
async fn tricks_in_any_identifier_are_refused_and_send_nothing() {
    let engine = ScriptedEngine::start().await;
    let (site, admin) = Site::with(&engine).await;
    engine.asked();
    let host = site.base.trim_start_matches("http://").to_owned();
    for operation in OPERATIONS
        .iter()
        .filter(|operation| operation.path.contains('{'))
    {
        // More than 600 requests: the session's limit is not what is tried here.
        let visitor = site.log_in("ana").await;
        for trick in TRICKS {
            let mut path = format!("/api/v1{}", operation.path);
            for name in [
                "{engine}",
                "{container}",
                "{image}",
                "{volume}",
                "{job}",
                "{comparison}",
            ] {
                let is_last = operation
                    .path
                    .split('/')
                    .rfind(|part| part.starts_with('{'))
                    == Some(name);
                path = path.replace(name, if is_last { trick } else { "docker" });
            }
            // By hand: a client of HTTP would tidy the path up.
            let method = if operation.mutates() { "POST" } else { "GET" };
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: {}\r\nCookie: {}\r\nContent-Type: application/json\r\n\
                 Content-Length: 2\r\nConnection: close\r\n\r\n{{}}",
                site.base, visitor.cookie
            );
            let mut stream = tokio::net::TcpStream::connect(&host).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            let answer = String::from_utf8_lossy(&answer);
            let status = answer.split(' ').nth(1).unwrap_or_default();
            assert!(["400", "404", "405"].contains(&status), "{path}: {answer}");
            assert!(
                answer.contains("application/problem+json"),
                "{path}: {answer}"
            );
        }
    }
    drop(admin);
    assert_eq!(engine.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn bodies_that_are_no_json_of_ours_are_told_so() {
    let engine = ScriptedEngine::start().await;
    let (_site, admin) = Site::with(&engine).await;
    engine.asked();
    let path = "/engines/docker/containers";
    for text in [
        "{",
        "[]",
        "null",
        "\"x\"",
        "7",
        "{\"image\":\"x\"} trailing",
        "{\"image\":\"x\",}",
        "\u{0}",
    ] {
        admin
            .post_text(path, text)
            .await
            .assert_problem(400, "malformed");
    }
    let deep = format!("{{\"env\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    admin
        .post_text(path, &deep)
        .await
        .assert_problem(400, "malformed");
    for (text, field) in [
        (r#"{"image": 5}"#, "image"),
        (r#"{"image": "x", "bogus": 1}"#, "bogus"),
        (
            r#"{"image": "x", "ports": [{"container_port": 70000}]}"#,
            "ports[0].container_port",
        ),
        (
            r#"{"image": "x", "ports": [{"container_port": 80, "protocol": "icmp"}]}"#,
            "ports[0].protocol",
        ),
        (
            r#"{"image": "x", "limits": {"memory_bytes": -1}}"#,
            "limits.memory_bytes",
        ),
        (
            r#"{"image": "x", "limits": {"memory_bytes": "64m"}}"#,
            "limits.memory_bytes",
        ),
        (
            r#"{"image": "x", "restart_policy": {"name": "sometimes"}}"#,
            "restart_policy.name",
        ),
        (r#"{"image": "../x"}"#, "image"),
        (r#"{"image": "x", "name": "a/b"}"#, "name"),
        (
            r#"{"image": "x", "limits": {"memory_bytes": 1}}"#,
            "limits.memory_bytes",
        ),
        (
            r#"{"image": "x", "mounts": [{"source": "v", "target": "x"}]}"#,
            "mounts[0].target",
        ),
    ] {
        let answer = admin.post_text(path, text).await;
        answer.assert_problem(422, "invalid");
        assert_eq!(answer.fields(), [field], "{text}");
    }
    let large = format!("{{\"image\":\"{}\"}}", "x".repeat(1024 * 1024));
    admin
        .post_text(path, &large)
        .await
        .assert_problem(413, "too_large");
    assert_eq!(
        engine.asked(),
        Vec::<String>::new(),
        "nothing of it reached the engine"
    );
}

#[tokio::test]
async fn wrong_queries_are_told_at_their_parameter() {
    let engine = ScriptedEngine::start().await;
    let (_site, admin) = Site::with(&engine).await;
    admin
        .post("/engines/docker/containers", &json!({ "image": "x" }))
        .await;
    for (query, field) in [
        ("logs?tail=abc", "tail"),
        ("logs?since=yesterday", "since"),
        ("stats?range_s=-1", "range_s"),
        ("stats?points=many", "points"),
    ] {
        let answer = admin
            .get(&format!("/engines/docker/containers/{ID}/{query}"))
            .await;
        answer.assert_problem(422, "invalid");
        assert_eq!(answer.fields(), [field], "{query}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_and_send_nothing() {
    let engine = ScriptedEngine::start().await;
    let (site, admin) = Site::with(&engine).await;
    engine.asked();
    for path in [
        "/plugins/x",
        "/engines/docker/exec/x/start",
        "/engines/docker/version",
        "/engines/docker/containers/x/archive",
    ] {
        admin.get(path).await.assert_problem(404, "not_found");
    }
    for method in [Method::DELETE, Method::PUT] {
        let answer = send(
            admin
                .request(method, "/engines/docker/containers")
                .body("{}"),
        )
        .await;
        answer.assert_problem(405, "method_not_allowed");
    }
    admin
        .get("/engines/podman/containers")
        .await
        .assert_problem(404, "not_found");
    // The page's own routes are the page; what looks like a built file and is none is not.
    assert_eq!(
        send(site.http.get(format!("{}/containers", site.base)))
            .await
            .status,
        200
    );
    assert_eq!(
        send(site.http.get(format!("{}/assets/old.js", site.base)))
            .await
            .status,
        404
    );
    assert_eq!(engine.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_container_that_cannot_be_started_leaves_nothing_behind() {
    let engine = ScriptedEngine::start().await;
    let (_site, admin) = Site::with(&engine).await;
    engine.start_is_refused(
        500,
        "driver failed: Bind for 0.0.0.0:8080 failed: port is already allocated",
    );
    let body = json!({
        "image": "x", "name": "web", "start": true,
        "ports": [{ "container_port": 80, "host_port": 8080 }],
        "mounts": [{ "kind": "volume", "source": "fresh", "target": "/data" }],
    });
    let answer = admin.post("/engines/docker/containers", &body).await;
    answer.assert_problem(409, "conflict");
    assert_eq!(answer.fields(), ["ports[0].host_port"]);
    assert!(!engine.has_container(), "the container is gone");
    assert_eq!(
        engine.volumes(),
        Vec::<String>::new(),
        "the volume that was made for it is gone"
    );
    let rows = admin.get("/engines/docker/containers").await.json();
    assert_eq!(rows["items"], json!([]));
}

#[tokio::test]
async fn an_act_goes_on_when_the_client_leaves() {
    let engine = ScriptedEngine::start().await;
    let (site, admin) = Site::with(&engine).await;
    engine.create_takes(Duration::from_millis(600));
    let body = json!({ "image": "x", "name": "web", "start": true });
    let request = admin
        .request(Method::POST, "/engines/docker/containers")
        .body(body.to_string())
        .timeout(Duration::from_millis(200));
    assert!(request.send().await.unwrap_err().is_timeout());
    assert!(
        !engine.has_container(),
        "the client left while it was being made"
    );
    let begun = std::time::Instant::now();
    while !engine.runs_container() {
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "it was never started"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let audit = site.dir.path().join("server/audit.jsonl");
    while !std::fs::read_to_string(&audit)
        .unwrap()
        .contains("\"status\":201")
    {
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "its outcome was never written down"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let verified = site.state.audit.verify().await.unwrap();
    assert!(verified.whole && verified.lines > 2, "{verified:?}");
}
