//! Files in and out of a container (`docker cp`), changes, export.

use base64::Engine as _;
use conformance::{Engine, on_both, until};
use serde_json::{Value, json};

fn tar_of(name: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o640);
    header.set_uid(0);
    header.set_gid(0);
    builder.append_data(&mut header, name, content).unwrap();
    builder.into_inner().unwrap()
}

fn content_of(archive: &[u8], name: &str) -> String {
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().to_str() == Some(name) {
            return std::io::read_to_string(&mut entry).unwrap();
        }
    }
    panic!("{name} is not in the archive");
}

on_both! {
    async fn files_go_in_and_come_out_of_a_stopped_container(engine: &Engine) {
        let container = engine.create(&["cat", "/tmp/hello.txt"], json!({})).await;
        let path = container.path("/archive?path=/tmp");
        engine.send("PUT", &path, "application/x-tar", tar_of("hello.txt", b"hello from outside\n").into()).await.expect(200);
        let answer = engine.get(&container.path("/archive?path=/tmp/hello.txt")).await.expect(200);
        assert_eq!(content_of(&answer.body, "hello.txt"), "hello from outside\n");
        container.start().await;
        container.wait().await;
        assert_eq!(container.logs().await.0, "hello from outside\n");
    }

    async fn the_stat_header_uses_go_mode_bits(engine: &Engine) {
        let container = engine.create(&["true"], json!({})).await;
        let stat = |path: &'static str| {
            let path = container.path(&format!("/archive?path={path}"));
            async move {
                let answer = engine.call("HEAD", &path, &Value::Null).await.expect(200);
                let header = answer.header("X-Docker-Container-Path-Stat").to_owned();
                let json = base64::engine::general_purpose::STANDARD.decode(header).unwrap();
                serde_json::from_slice::<Value>(&json).unwrap()
            }
        };
        let tmp = stat("/tmp").await;
        assert_eq!(tmp["name"], "tmp");
        // Directory and sticky bit as Go's os.FileMode has them.
        assert_eq!(tmp["mode"].as_u64().unwrap(), (1 << 31) | (1 << 20) | 0o777);
        let file = stat("/etc/passwd").await;
        assert_eq!(file["mode"].as_u64().unwrap() & (1 << 31), 0);
        assert!(file["size"].as_u64().unwrap() > 0);
    }

    async fn a_path_that_is_not_there_is_404_and_links_stay_inside(engine: &Engine) {
        let container = engine.create(&["true"], json!({})).await;
        engine.get(&container.path("/archive?path=/no/such/file")).await.expect(404);
        let mut builder = tar::Builder::new(Vec::new());
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        link.set_mode(0o777);
        builder.append_link(&mut link, "out", "/etc").unwrap();
        let archive = builder.into_inner().unwrap();
        engine.send("PUT", &container.path("/archive?path=/tmp"), "application/x-tar", archive.into()).await.expect(200);
        // The link leads to the container's /etc, not the host's.
        let answer = engine.get(&container.path("/archive?path=/tmp/out/passwd")).await.expect(200);
        assert!(!content_of(&answer.body, "passwd").contains("sshd"));
    }

    async fn changes_name_what_differs_from_the_image(engine: &Engine) {
        let container = engine.start(&["sh", "-c", "echo new > /tmp/new; rm /etc/group; echo more >> /etc/passwd"], json!({})).await;
        container.wait().await;
        let changes = engine.get(&container.path("/changes")).await.expect(200).json();
        for change in [json!({"Path": "/tmp/new", "Kind": 1}), json!({"Path": "/etc/group", "Kind": 2}), json!({"Path": "/etc/passwd", "Kind": 0})] {
            assert!(changes.as_array().unwrap().contains(&change), "{change} in {changes}");
        }
    }

    async fn what_may_not_be_written_to_is_named(engine: &Engine) {
        let volume = engine.name("vol");
        engine.post("/volumes/create", json!({"Name": volume, "Labels": engine.labels()})).await.expect(201);
        let more = json!({"HostConfig": {"ReadonlyRootfs": true, "Binds": [format!("{volume}:/ro:ro"), format!("{volume}:/rw")]}});
        for running in [false, true] {
            let container = engine.create(&["sleep", "1000"], more.clone()).await;
            if running {
                container.start().await;
            }
            let put = |path: &'static str| {
                let path = container.path(&format!("/archive?path={path}"));
                async move { engine.send("PUT", &path, "application/x-tar", tar_of("file", b"x").into()).await }
            };
            // dockerd 20.10 says 500, later ones 400.
            let refused = |answer: conformance::Answer, message: &str| {
                assert!([400, 500].contains(&answer.status) && answer.message() == message, "{}", answer.text());
            };
            refused(put("/tmp").await, "container rootfs is marked read-only");
            refused(put("/ro").await, "mounted volume is marked read-only");
            refused(put("/etc/passwd").await, "extraction point is not a directory");
            assert!(put("/no/such").await.expect(404).message().starts_with("Could not find the file /no/such in container"));
            put("/rw").await.expect(200);
            let answer = engine.get(&container.path("/archive?path=/ro/file")).await.expect(200);
            assert_eq!(content_of(&answer.body, "file"), "x");
        }
    }

    async fn a_file_takes_no_directorys_place_if_that_is_asked(engine: &Engine) {
        let container = engine.start(&["sh", "-c", "mkdir -p /tmp/dir/sub; sleep 1000"], json!({})).await;
        until("a directory", || async { (container.exec(&["ls", "/tmp/dir/sub"]).await.0 == 0).then_some(()) }).await;
        let put = |query: &'static str| {
            let path = container.path(&format!("/archive?path=/tmp{query}"));
            async move { engine.send("PUT", &path, "application/x-tar", tar_of("dir", b"x").into()).await }
        };
        let answer = put("&noOverwriteDirNonDir=true").await;
        assert!(answer.status >= 400 && answer.message().contains("cannot overwrite directory"), "{}", answer.text());
        assert_eq!(container.exec(&["ls", "/tmp/dir"]).await.1, "sub\n");
        put("").await.expect(200);
        assert_eq!(container.exec(&["cat", "/tmp/dir"]).await.1, "x");
    }

    async fn an_export_is_the_root_file_system_alone(engine: &Engine) {
        let more = json!({"Volumes": {"/data": {}}});
        let container = engine.start(&["sh", "-c", "echo new > /tmp/new; echo kept > /data/kept; sleep 1000"], more).await;
        until("a file", || async { (container.exec(&["cat", "/data/kept"]).await.1 == "kept\n").then_some(()) }).await;
        let archive = engine.get(&container.path("/export")).await.expect(200).body;
        assert_eq!(content_of(&archive, "tmp/new"), "new\n");
        let mut read = tar::Archive::new(&archive[..]);
        let names: Vec<_> = read.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
        assert!(!names.iter().any(|name| name.starts_with("data/k") || name.starts_with("proc/1")), "{names:?}");
    }

    async fn a_commit_is_an_image_with_the_changes(engine: &Engine) {
        let container = engine.start(&["sh", "-c", "echo new > /tmp/new; rm /etc/group; sleep 1000"], json!({"Env": ["A=1"]})).await;
        until("a file", || async { (container.exec(&["cat", "/tmp/new"]).await.1 == "new\n").then_some(()) }).await;
        let name = engine.name("made").to_lowercase();
        let path = format!("/commit?container={}&repo={name}&tag=v1&comment=why&author=who&changes=ENV%20B%3D2&changes=CMD%20cat%20%2Ftmp%2Fnew", container.id);
        let answer = engine.post(&path, Value::Null).await.expect(201).json();
        let image = engine.get(&format!("/images/{name}:v1/json")).await.expect(200).json();
        assert_eq!(image["Id"], answer["Id"]);
        assert_eq!((image["Author"].as_str(), image["Comment"].as_str()), (Some("who"), Some("why")));
        assert_eq!(image["Config"]["Cmd"], json!(["/bin/sh", "-c", "cat /tmp/new"]));
        let env = image["Config"]["Env"].as_array().unwrap();
        assert!(env.contains(&json!("A=1")) && env.contains(&json!("B=2")), "{env:?}");
        // It went on after it was frozen.
        assert_eq!(container.inspect().await["State"]["Status"], "running");
        let refused = engine.post(&format!("/commit?container={}&changes=RUN%20x", container.id), Value::Null).await.expect(400);
        assert!(refused.message().to_lowercase().contains("run is not a valid change command"), "{}", refused.text());
        let made = engine.start(&["sh", "-c", "cat /tmp/new; ls /etc/group; true"], json!({"Image": format!("{name}:v1")})).await;
        made.wait().await;
        let (out, err) = made.logs().await;
        assert_eq!(out, "new\n");
        assert!(err.contains("No such file"), "{err}");
        engine.delete(&made.path("?force=1")).await.expect(204);
        engine.delete(&format!("/images/{name}:v1")).await.expect(200);
    }

    async fn a_prune_removes_what_does_not_run_and_fits(engine: &Engine) {
        let label = engine.name("prune");
        let labels = |value: &str| { let mut all = engine.labels(); all[&label] = json!(value); json!({"Labels": all}) };
        let one = engine.create(&["true"], labels("1")).await;
        let running = engine.start(&["sleep", "1000"], labels("1")).await;
        let other = engine.create(&["true"], labels("2")).await;
        let path = format!("/containers/prune?filters=%7B%22label%22%3A%5B%22{label}%3D1%22%5D%7D");
        let answer = engine.post(&path, Value::Null).await.expect(200).json();
        assert_eq!(answer["ContainersDeleted"], json!([one.id]));
        assert_eq!(engine.post(&path, Value::Null).await.expect(200).json(), json!({"ContainersDeleted": null, "SpaceReclaimed": 0}));
        running.inspect().await;
        other.inspect().await;
    }
}
