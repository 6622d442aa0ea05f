//! Making containers on each engine: what is wrong with a request stands at its field, the same on both, and nothing is left.

use serde_json::{Value, json};

use crate::house::{House, IMAGE};

/// Engines of this house.
pub(crate) fn engines() -> Vec<&'static str> {
    let mini = std::env::var_os("CONTAINEROS_TEST_MINI").map(|_| "mini");
    std::iter::once("docker").chain(mini).collect()
}

async fn names(house: &House, engine: &str, kind: &str) -> Vec<String> {
    let list = house.get(&format!("/engines/{engine}/{kind}")).await;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
    items.iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_bad_requests_are_told_at_their_field_and_leave_nothing() {
    let house = House::open().await;
    for engine in engines() {
        let path = format!("/engines/{engine}/containers");
        house.connected(engine).await;
        let name = format!("held-{engine}-{}", std::process::id());
        let port = free_port();
        let held = json!({
            "image": IMAGE, "name": name, "command": ["sleep", "300"], "start": true,
            "ports": [{ "container_port": 80, "host_port": port, "host_ip": "127.0.0.1" }],
        });
        let (status, made) = house.post(&path, held).await;
        assert_eq!(status, 201, "{engine}: {made}");
        let id = made["id"].as_str().unwrap().to_owned();
        // A program of ours listens there, not a container.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listened = listener.local_addr().unwrap().port();
        let published = |port: u16| json!([{ "container_port": 80, "host_port": port, "host_ip": "127.0.0.1" }]);
        for (fields, expected, field) in [
            (json!({ "image": "nope/nope:1" }), 422, "image"),
            (json!({ "name": name }), 409, "name"),
            (
                json!({ "ports": published(port) }),
                409,
                "ports[0].host_port",
            ),
            (
                json!({ "ports": published(listened) }),
                409,
                "ports[0].host_port",
            ),
            (
                json!({ "limits": { "memory_bytes": 1 } }),
                422,
                "limits.memory_bytes",
            ),
            (json!({ "limits": { "cpus": 1000.0 } }), 422, "limits.cpus"),
            (
                json!({ "limits": { "cpuset": "999" } }),
                422,
                "limits.cpuset",
            ),
            (json!({ "limits": { "pids": 0 } }), 422, "limits.pids"),
            (json!({ "command": ["/nonexistent"] }), 422, "command"),
            (json!({ "user": "nobody-of-this-name" }), 422, "user"),
            (json!({ "network": "no-such-network" }), 422, "network"),
            (json!({ "cap_add": ["BOGUS"] }), 422, "cap_add"),
            (
                json!({ "mounts": [{ "kind": "bind", "source": "/nonexistent/x", "target": "/x" }] }),
                422,
                "mounts",
            ),
        ] {
            let mut body = json!({ "image": IMAGE, "name": format!("bad-{name}"), "start": true, "command": ["true"] });
            for (key, value) in fields.as_object().unwrap() {
                body[key] = value.clone();
            }
            // Made for it, and gone with it.
            if body.get("mounts").is_none() {
                body["mounts"] = json!([{ "kind": "volume", "source": format!("fresh-{name}"), "target": "/data" }]);
            }
            let (status, problem) = house.post(&path, body).await;
            assert_eq!(status, expected, "{engine} {fields}: {problem}");
            assert_eq!(
                problem["errors"][0]["field"], field,
                "{engine} {fields}: {problem}"
            );
            for part in ["code", "detail", "hint", "request_id"] {
                assert!(
                    problem[part].as_str().is_some_and(|text| !text.is_empty()),
                    "{part}: {problem}"
                );
            }
        }
        assert!(
            !names(&house, engine, "containers")
                .await
                .contains(&format!("bad-{name}"))
        );
        assert!(
            !names(&house, engine, "volumes")
                .await
                .contains(&format!("fresh-{name}"))
        );
        let (_, preview) = house
            .post(
                &format!("{path}/preview"),
                json!({ "ids": [id], "force": true, "volumes": true }),
            )
            .await;
        let remove = json!({ "preview_token": preview["token"] });
        assert_eq!(
            house.post(&format!("{path}/{id}/remove"), remove).await.0,
            200
        );
    }
    house.close().await;
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_a_life_on_each_engine_is_told_the_same_way() {
    let house = House::open().await;
    for engine in engines() {
        house.connected(engine).await;
        let path = format!("/engines/{engine}/containers");
        let name = format!("life-{engine}-{}", std::process::id());
        let body = json!({
            "image": IMAGE, "name": name, "command": ["lab", "log", "--rate", "20"],
            "env": [{ "key": "DB_PASSWORD", "value": "canary-7f3a" }], "start": true,
        });
        let (status, made) = house.post(&path, body).await;
        assert_eq!(status, 201, "{made}");
        let one = format!("{path}/{name}");
        for (act, body, state) in [
            ("pause", json!({}), "paused"),
            ("unpause", json!({}), "running"),
            ("restart", json!({ "timeout_s": 0 }), "running"),
            ("stop", json!({ "timeout_s": 5 }), "exited"),
            ("start", json!({}), "running"),
            ("kill", json!({ "signal": "KILL" }), "exited"),
        ] {
            let (status, answer) = house.post(&format!("{one}/{act}"), body).await;
            assert_eq!(status, 200, "{engine} {act}: {answer}");
            // A kill is answered before the container has ended.
            let seen = house
                .until(&one, |detail| detail["summary"]["state"] == state)
                .await;
            assert_eq!(seen["summary"]["name"], name, "{engine} {act}");
        }
        let ended = house.get(&one).await;
        assert_eq!(ended["summary"]["exit_code"], 137, "{engine}: {ended}");
        assert!(
            ended["exit"]["sentence"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{ended}"
        );
        // The secret is nowhere but where it is asked for.
        for place in ["", "/inspect", "/logs?tail=5"] {
            let told = house.get(&format!("{one}{place}")).await.to_string();
            assert!(!told.contains("canary-7f3a"), "{engine} {place}");
        }
        let (_, revealed) = house
            .post(&format!("{one}/reveal"), json!({ "key": "DB_PASSWORD" }))
            .await;
        assert_eq!(revealed["value"], "canary-7f3a");
        // A running container is not removed without force.
        assert_eq!(house.post(&format!("{one}/start"), json!({})).await.0, 200);
        let remove = async |force: bool| {
            let ask = json!({ "ids": [name], "force": force });
            let (_, preview) = house.post(&format!("{path}/preview"), ask).await;
            assert_eq!(preview["count"], 1, "{preview}");
            let token = json!({ "preview_token": preview["token"] });
            house.post(&format!("{one}/remove"), token).await
        };
        assert_eq!(remove(false).await.0, 409, "{engine}");
        assert_eq!(remove(true).await.0, 200, "{engine}");
        let (status, _) = house.post(&format!("{one}/start"), json!({})).await;
        assert_eq!(status, 404, "{engine}");
    }
    house.close().await;
}
