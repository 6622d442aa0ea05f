//! Files in and out of a container (`docker cp`), changes, export.

use base64::Engine as _;
use conformance::{Engine, on_both};
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
}
