//! Lists of containers and their filters.

use conformance::{Engine, on_both, query};
use serde_json::json;

on_both! {
    async fn list_shows_running_ones_and_all_on_request(engine: &Engine) {
        let running = engine.start(&["sleep", "1000"], json!({})).await;
        let created = engine.create(&["true"], json!({})).await;
        let filter = query(&json!({"label": [engine.label()]}).to_string());
        let ids = |all: u8| {
            let path = format!("/containers/json?all={all}&filters={filter}");
            async move {
                let list = engine.get(&path).await.expect(200).json();
                let mut ids: Vec<String> = list.as_array().unwrap().iter().map(|item| item["Id"].as_str().unwrap().to_owned()).collect();
                ids.sort();
                ids
            }
        };
        assert_eq!(ids(0).await, std::slice::from_ref(&running.id));
        let mut both = vec![running.id.clone(), created.id.clone()];
        both.sort();
        assert_eq!(ids(1).await, both);
    }

    async fn an_item_says_what_the_row_needs(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({})).await;
        let filter = query(&json!({"id": [container.id]}).to_string());
        let item = engine.get(&format!("/containers/json?size=1&filters={filter}")).await.expect(200).json()[0].clone();
        assert!(item["Names"][0].as_str().unwrap().starts_with('/'));
        assert_eq!((&item["State"], &item["Image"], &item["Command"]), (&json!("running"), &json!(conformance::IMAGE), &json!("sleep 1000")));
        assert!(item["Status"].as_str().unwrap().starts_with("Up "), "{item}");
        assert!(item["ImageID"].as_str().unwrap().starts_with("sha256:"));
        assert!(item["Created"].as_u64().unwrap() > 1_700_000_000);
        assert!(item["SizeRootFs"].as_u64().unwrap() > 0);
        assert!(item["Ports"].is_array() && item["Mounts"].is_array());
        assert!(item["NetworkSettings"]["Networks"]["bridge"]["IPAddress"].as_str().unwrap().contains('.'));
    }

    async fn filters_choose(engine: &Engine) {
        let exited = engine.start(&["sh", "-c", "exit 3"], json!({"Labels": {"kind": "one"}})).await;
        exited.wait().await;
        let running = engine.start(&["sleep", "1000"], json!({"Labels": {"kind": "two"}})).await;
        let name = exited.inspect().await["Name"].as_str().unwrap().trim_start_matches('/').to_owned();
        for (more, expected) in [
            (json!({"status": ["exited"]}), &exited),
            (json!({"status": ["running"]}), &running),
            (json!({"exited": ["3"]}), &exited),
            (json!({"label": [engine.label(), "kind=two"]}), &running),
            (json!({"name": [format!("^/?{name}$")]}), &exited),
            (json!({"before": [running.id]}), &exited),
            (json!({"since": [exited.id]}), &running),
        ] {
            let mut filters = json!({"label": [engine.label()]});
            for (key, value) in more.as_object().unwrap() {
                filters[key] = value.clone();
            }
            let list = engine.get(&format!("/containers/json?all=1&filters={}", query(&filters.to_string()))).await.expect(200).json();
            let ids: Vec<&str> = list.as_array().unwrap().iter().map(|item| item["Id"].as_str().unwrap()).collect();
            assert_eq!(ids, [expected.id.as_str()], "{filters}");
        }
    }

    async fn the_old_form_of_filters_is_understood(engine: &Engine) {
        let container = engine.create(&["true"], json!({})).await;
        let filters = json!({"label": {(engine.label()): true}, "status": {"created": true}});
        let list = engine.get(&format!("/containers/json?all=1&filters={}", query(&filters.to_string()))).await.expect(200).json();
        assert_eq!(list[0]["Id"], container.id);
    }

    async fn limit_gives_the_newest(engine: &Engine) {
        let first = engine.create(&["true"], json!({})).await;
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        let second = engine.create(&["true"], json!({})).await;
        let filter = query(&json!({"label": [engine.label()]}).to_string());
        let list = engine.get(&format!("/containers/json?all=1&filters={filter}")).await.expect(200).json();
        assert_eq!((&list[0]["Id"], &list[1]["Id"]), (&json!(second.id), &json!(first.id)));
    }
}
