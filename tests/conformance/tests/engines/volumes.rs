//! Volumes, binds and tmpfs.

use conformance::{Engine, on_both, query};
use serde_json::{Value, json};

on_both! {
    async fn a_named_volume_outlives_its_container(engine: &Engine) {
        let volume = engine.name("vol");
        engine.post("/volumes/create", json!({"Name": volume, "Labels": engine.labels()})).await.expect(201);
        let binds = json!({"HostConfig": {"Binds": [format!("{volume}:/data")]}});
        let writer = engine.start(&["sh", "-c", "echo kept > /data/file"], binds.clone()).await;
        assert_eq!(writer.wait().await, 0);
        engine.delete(&writer.path("?v=1")).await.expect(204);
        let reader = engine.start(&["cat", "/data/file"], binds).await;
        reader.wait().await;
        assert_eq!(reader.logs().await.0, "kept\n");
        let mount = reader.inspect().await["Mounts"][0].clone();
        assert_eq!((&mount["Type"], &mount["Name"], &mount["Destination"], &mount["RW"]), (&json!("volume"), &json!(volume), &json!("/data"), &json!(true)));
    }

    async fn a_volume_in_use_is_not_removed(engine: &Engine) {
        let volume = engine.name("vol");
        engine.post("/volumes/create", json!({"Name": volume, "Labels": engine.labels()})).await.expect(201);
        let container = engine.create(&["true"], json!({"HostConfig": {"Binds": [format!("{volume}:/data")]}})).await;
        let answer = engine.delete(&format!("/volumes/{volume}")).await.expect(409);
        assert!(answer.message().contains("volume is in use") && answer.message().contains(&container.id), "{}", answer.text());
        engine.delete(&container.path("")).await.expect(204);
        engine.delete(&format!("/volumes/{volume}")).await.expect(204);
        let answer = engine.get(&format!("/volumes/{volume}")).await.expect(404);
        assert!(answer.message().to_lowercase().contains("no such volume"), "{}", answer.text());
    }

    async fn volumes_are_listed_by_filter(engine: &Engine) {
        let volume = engine.name("vol");
        engine.post("/volumes/create", json!({"Name": volume, "Labels": engine.labels()})).await.expect(201);
        for filters in [json!({"label": [engine.label()]}), json!({"name": [volume]}), json!({"dangling": ["true"], "name": [volume]})] {
            let list = engine.get(&format!("/volumes?filters={}", query(&filters.to_string()))).await.expect(200).json();
            assert_eq!(list["Volumes"].as_array().unwrap().len(), 1, "{filters}: {list}");
        }
        let item = engine.get(&format!("/volumes/{volume}")).await.expect(200).json();
        assert_eq!((&item["Driver"], &item["Scope"], &item["Labels"]), (&json!("local"), &json!("local"), &engine.labels()));
    }

    async fn an_empty_volume_takes_over_what_the_image_has_there(engine: &Engine) {
        let volume = engine.name("vol");
        engine.post("/volumes/create", json!({"Name": volume, "Labels": engine.labels()})).await.expect(201);
        let container = engine.start(&["ls", "/etc/passwd"], json!({"HostConfig": {"Binds": [format!("{volume}:/etc")]}})).await;
        assert_eq!(container.wait().await, 0);
        let nocopy = engine.name("vol");
        engine.post("/volumes/create", json!({"Name": nocopy, "Labels": engine.labels()})).await.expect(201);
        let container = engine.start(&["ls", "/srv-copy/passwd"], json!({"HostConfig": {"Binds": [format!("{nocopy}:/srv-copy:nocopy")]}})).await;
        assert_ne!(container.wait().await, 0);
    }

    async fn an_anonymous_volume_goes_with_its_container_on_request(engine: &Engine) {
        let container = engine.create(&["true"], json!({"Volumes": {"/data": {}}})).await;
        let name = container.inspect().await["Mounts"][0]["Name"].as_str().unwrap().to_owned();
        engine.get(&format!("/volumes/{name}")).await.expect(200);
        engine.delete(&container.path("?v=1")).await.expect(204);
        engine.get(&format!("/volumes/{name}")).await.expect(404);
    }

    async fn a_bind_is_the_hosts_folder_and_read_only_on_request(engine: &Engine) {
        let folder = std::env::temp_dir().join(engine.name("bind"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("file"), "from the host\n").unwrap();
        let binds = json!({"HostConfig": {"Binds": [format!("{}:/data:ro", folder.display())]}});
        let container = engine.start(&["sh", "-c", "cat /data/file; touch /data/new 2>/dev/null || echo read-only"], binds).await;
        container.wait().await;
        let out = container.logs().await.0;
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(out, "from the host\nread-only\n");
    }

    async fn a_mount_of_a_folder_that_is_not_there_is_refused(engine: &Engine) {
        let mounts = json!({"Image": conformance::IMAGE, "HostConfig": {"Mounts": [{"Type": "bind", "Source": "/no/such/folder", "Target": "/data"}]}});
        let answer = engine.post("/containers/create", mounts).await.expect(400);
        assert!(answer.message().contains("bind source path does not exist"), "{}", answer.text());
    }

    async fn tmpfs_is_memory_of_the_size_asked_for(engine: &Engine) {
        let mounts = json!({"HostConfig": {"Mounts": [{"Type": "tmpfs", "Target": "/mem", "TmpfsOptions": {"SizeBytes": 1_048_576}}]}});
        let container = engine.start(&["sh", "-c", "df -k /mem | tail -1 | awk '{print $2}'"], mounts).await;
        container.wait().await;
        assert_eq!(container.logs().await.0, "1024\n");
    }

    async fn a_bad_volume_name_is_400(engine: &Engine) {
        for name in ["a/b", "-x", "..", "white space"] {
            let answer = engine.post("/volumes/create", json!({"Name": name})).await;
            assert_eq!(answer.status, 400, "{name}: {}", answer.text());
        }
        engine.post("/volumes/prune", Value::Null).await.expect(200);
    }
}
