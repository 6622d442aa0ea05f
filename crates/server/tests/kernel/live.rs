//! The live socket, logs, inside and comparisons.

use std::time::Duration;

use bollard::{models::HostConfig, query_parameters::StartContainerOptions};
use serde_json::{Value, json};

use crate::house::{House, has};

#[tokio::test(flavor = "multi_thread")]
async fn kernel_a_container_is_seen_through_the_live_socket() {
    let house = House::open().await;
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
    // Half a processor at most (a busy machine gives less), read from its cgroup.
    let of = |frame: &Value| {
        let all = frame["data"]["stats"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        all.into_iter().find(|s| s["id"] == id.as_str())
    };
    let busy = |f: &Value| {
        of(f).is_some_and(|s| (5.0..60.0).contains(&s["point"]["cpu_percent"].as_f64().unwrap()))
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
    let house = House::open().await;
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
    let house = House::open_alone().await;
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
    assert!(!result["summary"].as_array().unwrap().is_empty());
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
    // One that was being made when it was cancelled goes as soon as it is there.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !house
        .docker
        .list_containers(Some(options.clone()))
        .await
        .unwrap()
        .is_empty()
    {
        assert!(tokio::time::Instant::now() < deadline, "it left containers");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    house.close().await;
}
