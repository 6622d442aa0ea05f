//! Images of both engines: build, tag, push, look for newer ones, save, load; networks; pruning; streams for scripts.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::{
    create::engines,
    house::{House, IMAGE, has},
    terminals::{make, remove},
};

async fn job_of(house: &House, started: &Value) -> Value {
    let path = format!(
        "/jobs/{}",
        started["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{started}"))
    );
    let begun = Instant::now();
    loop {
        let job = house.get(&path).await;
        if !job["finished_at"].is_null() {
            return job;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{job}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn context(dockerfile: &str) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for (name, content) in [("deploy/Dockerfile", dockerfile), ("hello.txt", "hello")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        out.append_data(&mut header, name, content.as_bytes())
            .unwrap();
    }
    out.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_images_are_built_tagged_pushed_checked_saved_and_loaded() {
    let house = House::open().await;
    let registry = std::env::var("CONTAINEROS_TEST_REGISTRY").unwrap();
    for engine in engines() {
        house.connected(engine).await;
        let base = format!("/engines/{engine}/images");
        let tag = format!("{registry}/built-{engine}:{}", std::process::id());
        let dockerfile = format!("FROM {IMAGE}\nCOPY hello.txt /hello.txt\nLABEL made=1\n");
        let path = format!("{base}/build?tag={tag}&dockerfile=deploy/Dockerfile");
        let started = house
            .send("POST", &path, "application/x-tar", context(&dockerfile))
            .await;
        assert_eq!(started.status, 202, "{engine}: {}", started.text());
        let built = job_of(&house, &started.json()).await;
        assert_eq!(built["state"], "done", "{engine}: {built}");
        assert!(
            built["steps"].to_string().contains("COPY hello.txt"),
            "{engine}: {built}"
        );
        let log = house
            .get(&format!("/jobs/{}/log", built["id"].as_str().unwrap()))
            .await;
        assert!(log["lines"].to_string().contains("Step 1/3"), "{log}");
        let escaped = tag.replace('/', "%2F");
        let one = format!("{base}/{escaped}");
        let detail = house.until_ok(&one).await;
        assert!(detail["history"].to_string().contains("COPY"), "{detail}");
        // What is wrong with a Dockerfile is told in the engine's words.
        let bad = json!({ "dockerfile": format!("FROM {IMAGE}\nRUN exit 3\n") });
        let (status, started) = house.post(&format!("{base}/build-dockerfile"), bad).await;
        assert_eq!(status, 202, "{started}");
        let failed = job_of(&house, &started).await;
        assert_eq!(failed["state"], "failed", "{failed}");
        assert!(
            failed["problem"]["detail"].as_str().unwrap().contains('3'),
            "{failed}"
        );
        // To the registry and what it has.
        let (_, started) = house.post(&format!("{one}/push"), json!({})).await;
        let pushed = job_of(&house, &started).await;
        assert_eq!(pushed["state"], "done", "{engine}: {pushed}");
        let check = json!({ "images": [tag] });
        let (status, checked) = house
            .post(&format!("{base}/update-check"), check.clone())
            .await;
        assert_eq!(status, 200, "{checked}");
        assert_eq!(
            checked["items"][0]["state"], "current",
            "{engine}: {checked}"
        );
        // Somebody pushes another one of the same name.
        let newer = format!("{registry}/newer-{engine}:1");
        let other = json!({ "dockerfile": format!("FROM {IMAGE}\nLABEL made=2\n"), "tag": newer });
        let (_, started) = house.post(&format!("{base}/build-dockerfile"), other).await;
        assert_eq!(job_of(&house, &started).await["state"], "done");
        let replaced = format!("{base}/{}", newer.replace('/', "%2F"));
        let aside = format!("{registry}/aside-{engine}:1");
        let (status, _) = house
            .post(&format!("{one}/tag"), json!({ "reference": aside }))
            .await;
        assert_eq!(status, 200);
        let (status, _) = house
            .post(&format!("{replaced}/tag"), json!({ "reference": tag }))
            .await;
        assert_eq!(status, 200);
        let (_, started) = house.post(&format!("{one}/push"), json!({})).await;
        assert_eq!(job_of(&house, &started).await["state"], "done");
        let (status, _) = house
            .post(
                &format!("{base}/{}/tag", aside.replace('/', "%2F")),
                json!({ "reference": tag }),
            )
            .await;
        assert_eq!(status, 200);
        let (_, checked) = house.post(&format!("{base}/update-check"), check).await;
        assert_eq!(checked["items"][0]["state"], "newer", "{engine}: {checked}");
        // Out and in again.
        let saved = house.fetch(&format!("{one}/save")).await;
        assert_eq!(saved.header("content-type"), "application/x-tar");
        for name in [&tag, &aside, &newer] {
            let (_, preview) = house
                .post(
                    &format!("{base}/preview"),
                    json!({ "images": [name], "force": true }),
                )
                .await;
            let token = json!({ "preview_token": preview["token"] });
            assert_eq!(house.post(&format!("{base}/remove"), token).await.0, 200);
        }
        assert_eq!(house.ask(&one).await.0, 404);
        let started = house
            .send(
                "POST",
                &format!("{base}/load"),
                "application/x-tar",
                saved.bytes,
            )
            .await;
        assert_eq!(started.status, 202, "{}", started.text());
        assert_eq!(job_of(&house, &started.json()).await["state"], "done");
        house.until_ok(&one).await;
        let started = house
            .send(
                "POST",
                &format!("{base}/load"),
                "application/x-tar",
                vec![7; 4096],
            )
            .await;
        assert_eq!(
            job_of(&house, &started.json()).await["state"],
            "failed",
            "{engine}"
        );
        let (_, preview) = house
            .post(
                &format!("{base}/preview"),
                json!({ "images": [tag], "force": true }),
            )
            .await;
        house
            .post(
                &format!("{base}/remove"),
                json!({ "preview_token": preview["token"] }),
            )
            .await;
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_networks_are_made_connected_drawn_and_removed() {
    let house = House::open().await;
    for engine in engines() {
        house.connected(engine).await;
        let base = format!("/engines/{engine}/networks");
        let name = format!("net-{engine}-{}", std::process::id());
        let octet = if engine == "docker" { 201 } else { 202 };
        let body = json!({ "name": name, "subnet": format!("10.{octet}.7.0/24"), "gateway": format!("10.{octet}.7.1"), "labels": { "a": "b" } });
        let (status, made) = house.post(&base, body.clone()).await;
        assert_eq!(status, 201, "{engine}: {made}");
        assert_eq!(
            made["summary"]["subnets"],
            json!([format!("10.{octet}.7.0/24")]),
            "{made}"
        );
        assert_eq!(house.post(&base, body).await.0, 409);
        for (wrong, field) in [
            (json!({ "name": "bad name" }), "name"),
            (json!({ "name": "host" }), "name"),
            (json!({ "name": "fine", "subnet": "10.0.0.0/40" }), "subnet"),
            (json!({ "name": "fine", "gateway": "10.0.0.1" }), "gateway"),
        ] {
            let (status, problem) = house.post(&base, wrong).await;
            assert_eq!(
                (status, &problem["errors"][0]["field"]),
                (422, &json!(field)),
                "{problem}"
            );
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let fields = json!({ "init": true, "ports": [{ "container_port": 80, "host_port": port, "host_ip": "127.0.0.1" }] });
        let container = make(&house, engine, &format!("on-{name}"), fields).await;
        let connect = json!({ "container": container, "aliases": ["web"], "ipv4": format!("10.{octet}.7.9") });
        let (status, answer) = house.post(&format!("{base}/{name}/connect"), connect).await;
        assert_eq!(status, 200, "{engine}: {answer}");
        let detail = house.get(&format!("{base}/{name}")).await;
        assert_eq!(
            detail["endpoints"][0]["ipv4"],
            format!("10.{octet}.7.9"),
            "{engine}: {detail}"
        );
        let picture = house.get(&format!("/engines/{engine}/topology")).await;
        let id = made["summary"]["id"].as_str().unwrap();
        let links = picture["links"].as_array().unwrap();
        assert!(
            links.iter().any(|one| one["network"] == id
                && one["container"] == container.as_str()
                && one["ipv4"] == format!("10.{octet}.7.9")),
            "{engine}: {picture}"
        );
        let ports = picture["ports"].as_array().unwrap();
        let ours = ports
            .iter()
            .find(|one| one["container"] == container.as_str())
            .unwrap();
        assert_eq!(
            (&ours["host_port"], &ours["exposed"]),
            (&json!(port), &json!(false)),
            "{picture}"
        );
        // One that is used is not removed, also not by pruning.
        let remove_it = async || {
            let (_, preview) = house
                .post(&format!("{base}/preview"), json!({ "networks": [name] }))
                .await;
            assert_eq!(preview["count"], 1, "{preview}");
            house
                .post(
                    &format!("{base}/remove"),
                    json!({ "preview_token": preview["token"] }),
                )
                .await
                .1
        };
        assert_eq!(remove_it().await["results"][0]["ok"], false, "{engine}");
        let (_, preview) = house
            .post(&format!("{base}/preview"), json!({ "prune": true }))
            .await;
        assert!(!has(&preview["items"], "name", &name), "{preview}");
        let (status, answer) = house
            .post(
                &format!("{base}/{name}/disconnect"),
                json!({ "container": container }),
            )
            .await;
        assert_eq!(status, 200, "{answer}");
        let (_, preview) = house
            .post(
                &format!("/engines/{engine}/prune/preview"),
                json!({ "networks": true }),
            )
            .await;
        assert!(has(&preview["items"], "name", &name), "{preview}");
        assert_eq!(remove_it().await["results"][0]["ok"], true, "{engine}");
        // The dry run of before is no more what would go.
        let token = json!({ "preview_token": preview["token"] });
        let (status, problem) = house.post(&format!("/engines/{engine}/prune"), token).await;
        assert_eq!(
            (status, &problem["code"]),
            (409, &json!("preview_changed")),
            "{problem}"
        );
        remove(&house, engine, &container).await;
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_pruning_takes_what_its_dry_run_told_and_nothing_else() {
    let house = House::open_alone().await;
    for engine in engines() {
        house.connected(engine).await;
        let name = format!("prune-{engine}-{}", std::process::id());
        let ended = make(
            &house,
            engine,
            &format!("{name}-ended"),
            json!({ "command": ["true"] }),
        )
        .await;
        let runs = make(
            &house,
            engine,
            &format!("{name}-runs"),
            json!({ "init": true }),
        )
        .await;
        house
            .until(&format!("/engines/{engine}/containers/{ended}"), |one| {
                one["summary"]["state"] == "exited"
            })
            .await;
        let base = format!("/engines/{engine}/prune");
        let (status, preview) = house
            .post(&format!("{base}/preview"), json!({ "containers": true }))
            .await;
        assert_eq!(status, 200, "{preview}");
        assert!(
            has(&preview["items"], "id", &ended) && !has(&preview["items"], "id", &runs),
            "{preview}"
        );
        let (status, done) = house
            .post(&base, json!({ "preview_token": preview["token"] }))
            .await;
        assert_eq!(status, 200, "{done}");
        assert_eq!(
            done["removed"].as_array().unwrap().len(),
            preview["items"].as_array().unwrap().len(),
            "{done}"
        );
        let list = house.get(&format!("/engines/{engine}/containers")).await;
        assert!(
            !has(&list["items"], "id", &ended) && has(&list["items"], "id", &runs),
            "{list}"
        );
        remove(&house, engine, &runs).await;
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_scripts_stream_events_and_logs_and_read_parts_of_lists() {
    let house = House::open().await;
    for engine in engines() {
        house.connected(engine).await;
        let mut containers =
            Sse::open(&house, &format!("topic=containers&engine={engine}"), None).await;
        assert_eq!(containers.next().await.0, "snap");
        let name = format!("sse-{engine}-{}", std::process::id());
        let command = [
            "sh",
            "-c",
            "i=0; while true; do echo line-$i; i=$((i+1)); sleep 0.05; done",
        ];
        let id = make(
            &house,
            engine,
            &name,
            json!({ "init": true, "command": command }),
        )
        .await;
        containers.until(|_, data| data.contains(&name)).await;
        let last = containers.id.clone();
        drop(containers);
        // It goes on from where it was: no snapshot again.
        let mut again = Sse::open(
            &house,
            &format!("topic=containers&engine={engine}"),
            Some(&last),
        )
        .await;
        house
            .post(
                &format!("/engines/{engine}/containers/{id}/pause"),
                json!({}),
            )
            .await;
        let (kind, _) = again.until(|_, data| data.contains("paused")).await;
        assert_eq!(kind, "delta", "{engine}");
        house
            .post(
                &format!("/engines/{engine}/containers/{id}/unpause"),
                json!({}),
            )
            .await;
        let mut logs = Sse::open(
            &house,
            &format!("topic=logs&engine={engine}&container={id}"),
            None,
        )
        .await;
        logs.until(|_, data| data.contains("line-30")).await;
        let mut stats = Sse::open(
            &house,
            &format!("topic=stats&engine={engine}&container={id}"),
            None,
        )
        .await;
        stats.until(|_, data| data.contains("cpu_percent")).await;
        let list = house
            .fetch(&format!(
                "/engines/{engine}/containers?filter=name:{name}&fields=id,state&limit=5"
            ))
            .await;
        assert_eq!(list.header("x-total-count"), "1");
        assert_eq!(
            list.json()["items"],
            json!([{ "id": id, "state": "running" }])
        );
        let (status, problem) = house
            .ask(&format!("/engines/{engine}/containers?sort=nope"))
            .await;
        assert_eq!(status, 422, "{problem}");
        remove(&house, engine, &id).await;
        let events = house
            .get(&format!(
                "/engines/{engine}/events?filter=action:die&search={name}"
            ))
            .await;
        assert_eq!(
            events["items"].as_array().unwrap().len(),
            1,
            "{engine}: {events}"
        );
    }
    house.close().await;
}

/// A stream of events as a script reads it.
struct Sse {
    bytes: futures_util::stream::BoxStream<'static, Vec<u8>>,
    text: String,
    id: String,
}

impl Sse {
    async fn open(house: &House, query: &str, last: Option<&str>) -> Self {
        let mut request = house
            .http
            .get(format!("{}/api/v1/stream?{query}", house.base))
            .header("cookie", &house.cookie);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let bytes = answer
            .bytes_stream()
            .map(|piece| piece.unwrap().to_vec())
            .boxed();
        Self {
            bytes,
            text: String::new(),
            id: last.unwrap_or_default().to_owned(),
        }
    }

    async fn next(&mut self) -> (String, String) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(str::to_owned)
                };
                if let Some(id) = field("id: ") {
                    self.id = id;
                }
                if let Some(kind) = field("event: ") {
                    return (kind, field("data: ").unwrap_or_default());
                }
                continue;
            }
            let piece = tokio::time::timeout(Duration::from_secs(20), self.bytes.next()).await;
            self.text
                .push_str(&String::from_utf8(piece.unwrap().unwrap()).unwrap());
        }
    }

    async fn until(&mut self, what: impl Fn(&str, &str) -> bool) -> (String, String) {
        let begun = Instant::now();
        loop {
            let (kind, data) = self.next().await;
            if what(&kind, &data) {
                return (kind, data);
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "the last: {kind} {data}"
            );
        }
    }
}
