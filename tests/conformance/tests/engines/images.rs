//! Images: list, inspect, history, tag, remove, save, load, pull.

use conformance::{Engine, IMAGE, on_both, query};
use serde_json::{Value, json};

fn registry() -> String {
    std::env::var("CONTAINEROS_TEST_REGISTRY")
        .expect("CONTAINEROS_TEST_REGISTRY is set by tests/run")
}

on_both! {
    async fn the_starter_image_is_listed_and_inspected(engine: &Engine) {
        let filters = query(&json!({"reference": [IMAGE]}).to_string());
        let list = engine.get(&format!("/images/json?filters={filters}")).await.expect(200).json();
        assert_eq!(list.as_array().unwrap().len(), 1);
        assert!(list[0]["RepoTags"].as_array().unwrap().contains(&json!(IMAGE)));
        let image = engine.get(&format!("/images/{IMAGE}/json")).await.expect(200).json();
        assert_eq!(image["Id"], list[0]["Id"]);
        assert_eq!((&image["Os"], &image["RootFS"]["Type"]), (&json!("linux"), &json!("layers")));
        assert!(image["Size"].as_u64().unwrap() > 100_000);
        let history = engine.get(&format!("/images/{IMAGE}/history")).await.expect(200).json();
        assert_eq!(history[0]["Id"], image["Id"]);
    }

    async fn an_image_is_found_by_id_and_prefix(engine: &Engine) {
        let id = engine.get(&format!("/images/{IMAGE}/json")).await.expect(200).json()["Id"].as_str().unwrap().to_owned();
        let hex = id.trim_start_matches("sha256:");
        for key in [id.as_str(), hex, &hex[..12], "containeros/starter", "docker.io/containeros/starter:latest"] {
            assert_eq!(engine.get(&format!("/images/{key}/json")).await.expect(200).json()["Id"], id, "{key}");
        }
    }

    async fn tag_and_untag(engine: &Engine) {
        let name = engine.name("tagged");
        engine.post(&format!("/images/{IMAGE}/tag?repo={name}&tag=v1"), Value::Null).await.expect(201);
        engine.get(&format!("/images/{name}:v1/json")).await.expect(200);
        let removed = engine.delete(&format!("/images/{name}:v1")).await.expect(200).json();
        assert_eq!(removed, json!([{"Untagged": format!("{name}:v1")}]));
        let answer = engine.get(&format!("/images/{name}:v1/json")).await.expect(404);
        assert!(answer.message().contains("No such image"), "{}", answer.text());
    }

    async fn an_invalid_tag_is_400(engine: &Engine) {
        for (repo, tag) in [("UPPER", "x"), ("name", "white%20space"), ("..", "x")] {
            let answer = engine.post(&format!("/images/{IMAGE}/tag?repo={repo}&tag={tag}"), Value::Null).await;
            assert!([400, 500].contains(&answer.status), "{repo}:{tag} {}", answer.text());
        }
    }

    async fn pull_streams_progress_and_pulled_images_run(engine: &Engine) {
        let name = format!("{}/library/starter", registry());
        let mut lines = engine.lines("POST", &format!("/images/create?fromImage={name}&tag=latest")).await;
        let mut all = Vec::new();
        while let Some(line) = lines.next().await {
            assert!(line["error"].is_null(), "{line}");
            all.push(line["status"].as_str().unwrap_or_default().to_owned());
        }
        assert!(all.iter().any(|line| line.starts_with("Pulling from library/starter")), "{all:?}");
        assert!(all.iter().any(|line| line.starts_with("Digest: sha256:")), "{all:?}");
        assert!(all.iter().any(|line| line.starts_with("Status: ")), "{all:?}");
        let image = engine.get(&format!("/images/{name}:latest/json")).await.expect(200).json();
        assert!(image["RepoDigests"].as_array().unwrap().iter().any(|digest| digest.as_str().unwrap().starts_with(&format!("{name}@sha256:"))), "{image}");
        let container = engine.create(&["echo", "pulled"], json!({"Image": format!("{name}:latest")})).await;
        container.start().await;
        assert_eq!(container.wait().await, 0);
        engine.delete(&container.path("")).await.expect(204);
        engine.delete(&format!("/images/{name}:latest")).await.expect(200);
    }

    async fn what_was_pushed_can_be_pulled(engine: &Engine) {
        let name = format!("{}/{}", registry(), engine.name("pushed"));
        // A layer that the registry has elsewhere, and one of this test alone.
        let container = engine.create(&["sh", "-c", "head -c 300000 /dev/urandom > /random"], json!({})).await;
        container.start().await;
        assert_eq!(container.wait().await, 0);
        let repo = query(&name);
        let id = engine.post(&format!("/commit?container={}&repo={repo}&tag=v1", container.id), json!({})).await.expect(201).json()["Id"].as_str().unwrap().to_owned();
        engine.post(&format!("/images/{name}:v1/tag?repo={repo}&tag=v2"), Value::Null).await.expect(201);
        engine.delete(&container.path("")).await.expect(204);
        let push = async |query: &str| {
            let mut lines = engine.lines("POST", &format!("/images/{name}/push{query}")).await;
            let mut all = Vec::new();
            while let Some(line) = lines.next().await {
                assert!(line["error"].is_null(), "{line}");
                all.push(line);
            }
            all
        };
        let first = push("?tag=v1").await;
        let statuses: Vec<&str> = first.iter().filter_map(|line| line["status"].as_str()).collect();
        assert_eq!(statuses[0], format!("The push refers to repository [{name}]"));
        assert!(statuses.contains(&"Pushed"), "{statuses:?}");
        let digest = first.iter().find_map(|line| line["aux"]["Digest"].as_str()).unwrap().to_owned();
        assert!(statuses.iter().any(|status| status.starts_with(&format!("v1: digest: {digest} size: "))), "{statuses:?}");
        // Without a tag all of them; what is there is not sent again.
        let all = push("").await;
        let statuses: Vec<&str> = all.iter().filter_map(|line| line["status"].as_str()).collect();
        assert!(!statuses.contains(&"Pushed") && statuses.contains(&"Layer already exists"), "{statuses:?}");
        assert!(all.iter().any(|line| line["aux"]["Tag"] == "v2"), "{all:?}");
        let digests = engine.get(&format!("/images/{name}:v1/json")).await.expect(200).json()["RepoDigests"].clone();
        assert!(digests.as_array().unwrap().contains(&json!(format!("{name}@{digest}"))), "{digests}");
        engine.delete(&format!("/images/{id}?force=1")).await.expect(200);
        let mut lines = engine.lines("POST", &format!("/images/create?fromImage={repo}&tag=v2")).await;
        while let Some(line) = lines.next().await {
            assert!(line["error"].is_null(), "{line}");
        }
        let again = engine.start(&["sh", "-c", "wc -c < /random"], json!({"Image": format!("{name}:v2")})).await;
        again.wait().await;
        assert_eq!(again.logs().await.0, "300000\n");
        engine.delete(&again.path("")).await.expect(204);
        engine.delete(&format!("/images/{name}:v2?force=1")).await.expect(200);
    }

    async fn a_push_of_what_is_not_here_is_refused(engine: &Engine) {
        let name = format!("{}/{}", registry(), engine.name("nothing"));
        let answer = engine.post(&format!("/images/{name}/push?tag=v1"), Value::Null).await;
        assert!(answer.status == 404 || answer.text().contains("error"), "{} {}", answer.status, answer.text());
        assert!(answer.text().contains("An image does not exist locally with the tag"), "{}", answer.text());
        // A registry that is not there.
        let name = format!("127.0.0.1:1/{}", engine.name("nowhere"));
        engine.post(&format!("/images/{IMAGE}/tag?repo={}&tag=v1", query(&name)), Value::Null).await.expect(201);
        let mut lines = engine.lines("POST", &format!("/images/{name}/push?tag=v1")).await;
        let mut last = Value::Null;
        while let Some(line) = lines.next().await {
            last = line;
        }
        assert!(last["error"].as_str().unwrap().contains("127.0.0.1:1"), "{last}");
        engine.delete(&format!("/images/{name}:v1")).await.expect(200);
    }

    async fn pull_of_what_is_not_there_is_404(engine: &Engine) {
        let answer = engine.post(&format!("/images/create?fromImage={}/no/such&tag=latest", registry()), Value::Null).await;
        assert_eq!(answer.status, 404, "{}", answer.text());
        assert!(answer.message().contains("not found") || answer.message().contains("manifest unknown"), "{}", answer.text());
    }

    async fn an_image_in_use_is_not_removed(engine: &Engine) {
        let name = engine.name("used");
        engine.post(&format!("/images/{IMAGE}/tag?repo={name}&tag=latest"), Value::Null).await.expect(201);
        let container = engine.start(&["sleep", "1000"], json!({"Image": format!("{name}:latest")})).await;
        let id = engine.get(&format!("/images/{name}/json")).await.expect(200).json()["Id"].as_str().unwrap().to_owned();
        let answer = engine.delete(&format!("/images/{id}")).await.expect(409);
        assert!(answer.message().contains("unable to delete") || answer.message().contains("conflict"), "{}", answer.text());
        engine.delete(&container.path("?force=1")).await.expect(204);
        engine.delete(&format!("/images/{name}:latest")).await.expect(200);
    }

    async fn save_and_load_keep_the_image(engine: &Engine) {
        let name = engine.name("saved");
        engine.post(&format!("/images/{IMAGE}/tag?repo={name}&tag=v1"), Value::Null).await.expect(201);
        let before = engine.get(&format!("/images/{name}:v1/json")).await.expect(200).json();
        let archive = engine.get(&format!("/images/{name}:v1/get")).await.expect(200).body;
        engine.delete(&format!("/images/{name}:v1")).await.expect(200);
        let answer = engine.send("POST", "/images/load", "application/x-tar", archive).await.expect(200);
        assert!(answer.text().contains("Loaded image: "), "{}", answer.text());
        let after = engine.get(&format!("/images/{name}:v1/json")).await.expect(200).json();
        assert_eq!(before["RootFS"], after["RootFS"]);
        assert_eq!(before["Config"], after["Config"]);
        engine.delete(&format!("/images/{name}:v1")).await.expect(200);
    }

    async fn load_of_nonsense_says_so_and_changes_nothing(engine: &Engine) {
        let before = engine.get("/images/json?all=1").await.expect(200).json().as_array().unwrap().len();
        let answer = engine.send("POST", "/images/load", "application/x-tar", vec![b'x'; 4096].into()).await;
        assert!(answer.status >= 400 || answer.text().contains("error"), "{}", answer.text());
        assert_eq!(engine.get("/images/json?all=1").await.expect(200).json().as_array().unwrap().len(), before);
    }

    async fn commit_makes_an_image_of_a_container(engine: &Engine) {
        let container = engine.start(&["sh", "-c", "echo committed > /mark"], json!({})).await;
        container.wait().await;
        let name = engine.name("committed");
        engine.post(&format!("/commit?container={}&repo={name}&tag=v1", container.id), json!({})).await.expect(201);
        let again = engine.start(&["cat", "/mark"], json!({"Image": format!("{name}:v1")})).await;
        again.wait().await;
        assert_eq!(again.logs().await.0, "committed\n");
        engine.delete(&again.path("")).await.expect(204);
        engine.delete(&format!("/images/{name}:v1")).await.expect(200);
    }
}
