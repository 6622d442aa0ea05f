//! Containers made anew with other settings, on both engines; also when the server is killed at any step.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    create::engines,
    house::House,
    terminals::{make, remove},
};

/// Waits for a job without asking so often that the session has no requests left.
async fn job_of(house: &House, started: &Value) -> Value {
    let path = format!("/jobs/{}", started["id"].as_str().unwrap());
    let begun = Instant::now();
    loop {
        let job = house.get(&path).await;
        if !job["finished_at"].is_null() {
            return job;
        }
        assert!(begun.elapsed() < Duration::from_secs(40), "{job}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn edit(house: &House, engine: &str, container: &str, changes: Value) -> Value {
    let base = format!("/engines/{engine}/containers/{container}/edit");
    let (status, preview) = house.post(&format!("{base}/preview"), changes).await;
    assert_eq!(status, 200, "{preview}");
    let (status, job) = house
        .post(&base, json!({ "preview_token": preview["token"] }))
        .await;
    assert_eq!(status, 202, "{job}");
    job
}

/// What is told of a container, without what differs between any two.
fn settings(inspect: &Value) -> Value {
    let mut told = inspect["json"].clone();
    if told.is_null() {
        told = inspect.clone();
    }
    let mut host = told["HostConfig"].clone();
    // An anonymous volume is named in the new one.
    host.as_object_mut().unwrap().remove("Binds");
    host.as_object_mut().unwrap().remove("Mounts");
    host.as_object_mut().unwrap().remove("ContainerIDFile");
    let mut config = told["Config"].clone();
    config.as_object_mut().unwrap().remove("Hostname");
    config.as_object_mut().unwrap().remove("Volumes");
    let mounts: Vec<Value> = told["Mounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| json!([one["Type"], one["Name"], one["Destination"], one["RW"]]))
        .collect();
    let mut mounts: Vec<String> = mounts.iter().map(Value::to_string).collect();
    mounts.sort();
    json!({ "host": host, "config": config, "mounts": mounts })
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_an_edited_container_keeps_every_other_setting_and_can_be_put_back() {
    let house = House::open().await;
    for engine in engines() {
        house.connected(engine).await;
        let name = format!("edit-{engine}-{}", std::process::id());
        let volume = format!("{name}-data");
        let fields = json!({
            "command": ["sh", "-c", "echo kept > /anonymous/file; sleep 600"], "init": true, "user": "0", "working_dir": "/tmp", "hostname": "given",
            "env": [{ "key": "A", "value": "1" }, { "key": "DB_PASSWORD", "value": "canary-3c1d" }],
            "labels": { "one": "1" }, "tty": true, "open_stdin": true, "cap_drop": ["CHOWN"],
            "ports": [{ "container_port": 80, "host_port": free_port(), "host_ip": "127.0.0.1" }],
            "mounts": [
                { "kind": "volume", "source": volume, "target": "/data" },
                { "kind": "volume", "target": "/anonymous" },
                { "kind": "tmpfs", "target": "/scratch" },
            ],
            "limits": { "memory_bytes": 67_108_864, "cpus": 0.5, "pids": 50 },
            "restart_policy": { "name": "on_failure", "maximum_retry_count": 3 },
        });
        let first = make(&house, engine, &name, fields).await;
        let path = format!("/engines/{engine}/containers/{name}");
        let before = settings(&house.get(&format!("{path}/inspect")).await);
        let changes =
            json!({ "env_set": [{ "key": "B", "value": "2" }], "labels_set": { "two": "2" } });
        let job = edit(&house, engine, &name, changes).await;
        // Meanwhile nobody makes it anew once more, or takes it away.
        let done = job_of(&house, &job).await;
        assert_eq!(done["state"], "done", "{engine}: {done}");
        let second = done["result"].as_str().unwrap().to_owned();
        assert_ne!(second, first);
        let after = house.get(&format!("{path}/inspect")).await;
        let mut told = settings(&after);
        let env = told["config"]["Env"].as_array_mut().unwrap();
        env.retain(|one| one != "B=2");
        told["config"]["Labels"]
            .as_object_mut()
            .unwrap()
            .remove("two");
        assert_eq!(told, before, "{engine}");
        let anonymous = house
            .get(&format!("{path}/files/text?path=/anonymous/file"))
            .await;
        assert_eq!(anonymous["text"], "kept\n");
        let (_, revealed) = house
            .post(&format!("{path}/reveal"), json!({ "key": "DB_PASSWORD" }))
            .await;
        assert_eq!(revealed["value"], "canary-3c1d");
        let all = house.get(&format!("/engines/{engine}/containers")).await;
        let of_name: Vec<&Value> = all["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["name"].as_str().unwrap().contains(&name))
            .collect();
        assert_eq!(of_name.len(), 1, "{engine}: {of_name:?}");
        // One that does not work gives way to the old one.
        for (bad, why) in [
            (
                json!({ "command": ["sh", "-c", "exit 4"], "restart_policy": { "name": "no" } }),
                "exit code 4",
            ),
            (json!({ "command": ["/nonexistent"] }), "127|nonexistent"),
            (json!({ "image": "nope/nope:1" }), "nope"),
        ] {
            let failed = job_of(&house, &edit(&house, engine, &name, bad).await).await;
            assert_eq!(failed["state"], "failed", "{engine}: {failed}");
            assert!(
                why.split('|')
                    .any(|why| failed["problem"]["detail"].as_str().unwrap().contains(why)),
                "{failed}"
            );
            let now = house.get(&path).await;
            assert_eq!(
                (&now["summary"]["id"], &now["summary"]["state"]),
                (&json!(second), &json!("running")),
                "{engine}"
            );
        }
        // Undo of the change: it is as it was at first.
        let revisions = house.get(&format!("/engines/{engine}/revisions")).await;
        let kept = revisions["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["container"] == first)
            .unwrap()
            .clone();
        assert_eq!(
            (&kept["reason"], &kept["by"], &kept["was_running"]),
            (&json!("recreated"), &json!("admin"), &json!(true))
        );
        assert!(!revisions.to_string().contains("canary-3c1d"));
        let restored = restore(&house, engine, &kept).await;
        assert_eq!(restored["state"], "done", "{restored}");
        assert_eq!(
            settings(&house.get(&format!("{path}/inspect")).await),
            before,
            "{engine}"
        );
        // Undo of a removal; what cannot come back is told before.
        let id = restored["result"].as_str().unwrap().to_owned();
        remove(&house, engine, &id).await;
        let revisions = house.get(&format!("/engines/{engine}/revisions")).await;
        let kept = revisions["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["container"] == id.as_str())
            .unwrap()
            .clone();
        assert_eq!(kept["reason"], "removed");
        let (_, preview) = house
            .post(
                &format!(
                    "/engines/{engine}/revisions/{}/preview",
                    kept["id"].as_str().unwrap()
                ),
                json!({}),
            )
            .await;
        assert!(
            preview["warnings"]
                .to_string()
                .contains("outside of its volumes"),
            "{preview}"
        );
        let restored = restore(&house, engine, &kept).await;
        assert_eq!(restored["state"], "done", "{restored}");
        let told = settings(&house.get(&format!("{path}/inspect")).await);
        assert_eq!(
            (&told["host"], &told["config"]),
            (&before["host"], &before["config"]),
            "{engine}"
        );
        // A clone has a life of its own.
        let clone = format!("{name}-clone");
        let (status, cloned) = house
            .post(
                &format!("{path}/clone"),
                json!({ "name": clone, "start": true }),
            )
            .await;
        assert_eq!(status, 201, "{cloned}");
        assert!(cloned["warnings"].to_string().contains(&volume), "{cloned}");
        assert_eq!(
            house
                .post(&format!("{path}/clone"), json!({ "name": clone }))
                .await
                .0,
            409
        );
        let told = house.get(&format!("{path}/inspect")).await;
        let told = if told["json"].is_null() {
            told
        } else {
            told["json"].clone()
        };
        let mounts = told["Mounts"].as_array().unwrap();
        let names: Vec<&Value> = mounts
            .iter()
            .filter(|one| one["Type"] == "volume")
            .map(|one| &one["Name"])
            .collect();
        for one in [&clone, &name] {
            remove(&house, engine, one).await;
        }
        let volumes = format!("/engines/{engine}/volumes");
        let (_, preview) = house
            .post(&format!("{volumes}/preview"), json!({ "names": names }))
            .await;
        house
            .post(
                &format!("{volumes}/remove"),
                json!({ "preview_token": preview["token"] }),
            )
            .await;
    }
    house.close().await;
}

async fn restore(house: &House, engine: &str, kept: &Value) -> Value {
    let base = format!(
        "/engines/{engine}/revisions/{}",
        kept["id"].as_str().unwrap()
    );
    let (status, preview) = house.post(&format!("{base}/preview"), json!({})).await;
    assert_eq!(status, 200, "{preview}");
    let (status, job) = house
        .post(
            &format!("{base}/restore"),
            json!({ "preview_token": preview["token"] }),
        )
        .await;
    assert_eq!(status, 202, "{job}");
    job_of(house, &job).await
}

#[test]
fn kernel_a_server_killed_at_any_step_leaves_exactly_one_container_that_works() {
    for (number, step) in ["create", "stop", "swap", "start", "commit"]
        .iter()
        .enumerate()
    {
        for works in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            killed_at(dir.path(), step, number, works);
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Kills the server as soon as its job tells of a step: its tasks end where they are, as in a process that is killed.
fn killed_at(dir: &Path, step: &str, number: usize, works: bool) {
    let engine = if number % 2 == 0 {
        "docker"
    } else {
        *engines().last().unwrap()
    };
    let name = format!("kill-{step}-{works}-{}", std::process::id());
    let first = runtime();
    let old = first.block_on(async {
        let house = House::open_in(dir).await;
        house.connected(engine).await;
        let old = make(
            &house,
            engine,
            &name,
            json!({ "init": true, "labels": { "killed": name } }),
        )
        .await;
        let command = if works {
            json!(["sleep", "601"])
        } else {
            json!(["sh", "-c", "exit 9"])
        };
        let job = edit(&house, engine, &name, json!({ "command": command })).await;
        let path = format!("/jobs/{}", job["id"].as_str().unwrap());
        let begun = Instant::now();
        loop {
            let job = house.get(&path).await;
            let reached = job["steps"]
                .as_array()
                .unwrap()
                .iter()
                .any(|one| one["id"] == step);
            if reached || !job["finished_at"].is_null() {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{step}: {job}");
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        drop(house);
        old
    });
    first.shutdown_background();
    std::thread::sleep(Duration::from_millis(200));
    let second = runtime();
    second.block_on(async {
        let house = House::open_in(dir).await;
        house.connected(engine).await;
        let list = format!("/engines/{engine}/containers");
        let ours = |list: &Value| -> Vec<Value> {
            let items = list["items"].as_array().unwrap();
            let is_ours = |one: &&Value| one["labels"]["killed"] == name.as_str();
            items.iter().filter(is_ours).cloned().collect()
        };
        house
            .until("/jobs", |jobs| {
                jobs["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|job| !job["finished_at"].is_null())
            })
            .await;
        let left = house
            .until(&list, |list| {
                let left = ours(list);
                left.len() == 1 && left[0]["state"] == "running"
            })
            .await;
        let left = ours(&left);
        assert_eq!(left[0]["name"], name.as_str(), "{step} {works}");
        if !works {
            assert_eq!(
                left[0]["id"],
                old.as_str(),
                "{step}: one that does not work was kept"
            );
        }
        // It can be changed again.
        let job = edit(
            &house,
            engine,
            &name,
            json!({ "labels_set": { "again": "1" } }),
        )
        .await;
        assert_eq!(job_of(&house, &job).await["state"], "done");
        remove(&house, engine, &name).await;
        house.close().await;
    });
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
