//! Version, info, ping, events.

use conformance::{Engine, deadline, on_both, query};
use serde_json::{Value, json};

on_both! {
    async fn ping_tells_versions_in_headers(engine: &Engine) {
        for method in ["GET", "HEAD"] {
            let answer = engine.call(method, "/_ping", &Value::Null).await.expect(200);
            assert!(answer.header("api-version").starts_with("1."), "{:?}", answer.headers);
            assert_eq!(answer.header("ostype"), "linux");
            assert_eq!(answer.text(), if method == "GET" { "OK" } else { "" });
        }
    }

    async fn version_and_info_fit_together(engine: &Engine) {
        let version = engine.get("/version").await.expect(200).json();
        let info = engine.get("/info").await.expect(200).json();
        assert_eq!((&version["Os"], &info["OSType"]), (&json!("linux"), &json!("linux")));
        assert_eq!(info["ServerVersion"], version["Version"]);
        assert_eq!(info["NCPU"].as_u64().unwrap(), std::thread::available_parallelism().unwrap().get() as u64);
        assert!(info["MemTotal"].as_u64().unwrap() > 1 << 30);
        assert!(["1", "2"].contains(&info["CgroupVersion"].as_str().unwrap()));
        assert!(info["ID"].is_string() && info["Name"].is_string() && info["Driver"].is_string());
    }

    async fn old_and_new_paths_are_answered(engine: &Engine) {
        for version in ["1.24", "1.30", "1.41"] {
            engine.get(&format!("/v{version}/containers/json")).await.expect(200);
        }
    }

    async fn events_of_a_run_come_in_order(engine: &Engine) {
        let filters = query(&json!({"label": [engine.label()], "type": ["container"]}).to_string());
        let mut lines = engine.lines("GET", &format!("/events?filters={filters}")).await;
        let container = engine.create(&["sh", "-c", "exit 5"], json!({"HostConfig": {"AutoRemove": true}})).await;
        container.start().await;
        let mut actions = Vec::new();
        loop {
            let event = deadline("an event", lines.next()).await.unwrap();
            assert_eq!((&event["Type"], &event["Actor"]["ID"]), (&json!("container"), &json!(container.id)));
            assert!(event["timeNano"].as_i64().unwrap() / 1_000_000_000 == event["time"].as_i64().unwrap());
            let action = event["Action"].as_str().unwrap().to_owned();
            if action == "die" {
                assert_eq!(event["Actor"]["Attributes"]["exitCode"], "5");
                assert_eq!(event["Actor"]["Attributes"]["image"], conformance::IMAGE);
            }
            let last = action == "destroy";
            actions.push(action);
            if last {
                break;
            }
        }
        assert_eq!(actions, ["create", "start", "die", "destroy"]);
    }

    async fn events_of_the_past_end(engine: &Engine) {
        let container = engine.start(&["true"], json!({})).await;
        container.wait().await;
        assert!(container.events().await.starts_with(&["create".to_owned(), "start".to_owned()]));
    }

    async fn events_are_filtered_by_what_happened_and_to_whom(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({})).await;
        container.exec(&["true"]).await;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1;
        for (mut filters, expected) in [
            (json!({"event": ["create", "start"]}), vec!["create", "start"]),
            (json!({"event": ["exec_create"]}), vec!["exec_create: true"]),
            (json!({"event": ["sta"]}), vec![]),
            (json!({"event": ["start"], "type": ["image"]}), vec![]),
            (json!({"event": ["start"], "image": [conformance::IMAGE]}), vec!["start"]),
            (json!({"event": ["start"], "label": ["no.such.label"]}), vec![]),
        ] {
            filters["container"] = json!([container.id]);
            let path = format!("/events?since={}&until={now}&filters={}", now - 600, query(&filters.to_string()));
            let mut lines = engine.lines("GET", &path).await;
            let mut actions = Vec::new();
            while let Some(event) = deadline("the end of events", lines.next()).await {
                // dockerd leaves a space where the arguments of the command would be.
                actions.push(event["Action"].as_str().unwrap().trim_end().to_owned());
            }
            assert_eq!(actions, expected, "{filters}");
        }
    }

    async fn events_that_end_before_they_begin_are_refused(engine: &Engine) {
        let answer = engine.get("/events?since=3&until=2").await.expect(400);
        assert_eq!(answer.message(), "`since` time (3) cannot be after `until` time (2)");
    }

    async fn a_registry_that_is_not_there_signs_nobody_in(engine: &Engine) {
        let body = json!({"username": "u", "password": "p", "serveraddress": "127.0.0.1:1"});
        let answer = engine.post("/auth", body).await;
        assert!(answer.status >= 500, "{}", answer.text());
        assert!(answer.message().to_lowercase().contains("connection refused"), "{}", answer.message());
    }

    async fn disk_usage_counts_images_containers_and_volumes(engine: &Engine) {
        let container = engine.create(&["true"], json!({})).await;
        let usage = engine.get("/system/df").await.expect(200).json();
        assert!(usage["LayersSize"].as_u64().unwrap() > 0);
        assert!(usage["Containers"].as_array().unwrap().iter().any(|item| item["Id"] == container.id));
        assert!(usage["Images"].as_array().unwrap().iter().any(|item| item["RepoTags"].to_string().contains("containeros/starter")));
    }
}
