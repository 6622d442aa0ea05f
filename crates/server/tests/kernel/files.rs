//! Files in containers and volumes of both engines.

use serde_json::{Value, json};

use crate::{
    create::engines,
    house::{House, has},
    terminals::{make, remove},
};

fn named<'a>(listing: &'a Value, name: &str) -> &'a Value {
    let items = listing["items"].as_array().unwrap();
    items
        .iter()
        .find(|item| item["name"] == name)
        .unwrap_or_else(|| panic!("no {name}: {listing}"))
}

/// Every act on files, the same in a running container, a stopped one and a volume; `base` is where they are.
async fn through_the_acts(house: &House, base: &str, root: &str, runs: bool) {
    let path = |act: &str, path: &str| format!("{base}/files{act}?path={root}{path}");
    // A directory, a file of a strange name in it, and what they are.
    let made = house
        .post(
            &format!("{base}/files/directory"),
            json!({ "path": format!("{root}/d") }),
        )
        .await;
    assert_eq!(
        (made.0, &made.1["kind"]),
        (201, &json!("directory")),
        "{base}: {}",
        made.1
    );
    let again = house
        .post(
            &format!("{base}/files/directory"),
            json!({ "path": format!("{root}/d") }),
        )
        .await;
    assert_eq!(again.0, 409, "{}", again.1);
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let put = house
        .put(
            &path("/upload", "/d/two%20words%0A.bin&mode=416"),
            "application/octet-stream",
            None,
            content.clone(),
        )
        .await;
    assert_eq!(put.status, 200, "{base}: {}", put.text());
    let got = house
        .fetch(&path("/download", "/d/two%20words%0A.bin"))
        .await;
    assert!(got.bytes == content, "{base}: {} bytes", got.bytes.len());
    assert_eq!(got.header("content-security-policy"), "sandbox");
    assert!(
        got.header("content-disposition")
            .starts_with("attachment; filename=\"two_words_.bin\"")
    );
    let listing = house.get(&path("", "/d")).await;
    let file = named(&listing, "two words\n.bin");
    assert_eq!(
        (&file["size_bytes"], &file["mode"], &file["uid"]),
        (&json!(3_000_000), &json!(416), &json!(0))
    );
    let stat = house.get(&path("/stat", "/d/two%20words%0A.bin")).await;
    assert_eq!(
        (&stat["kind"], &stat["mode"]),
        (&json!("file"), &json!(416)),
        "{stat}"
    );
    // Text is replaced only as long as it is what was read.
    let edit = async |text: &str, etag: Option<&str>| {
        let body = json!({ "text": text }).to_string();
        house
            .put(
                &path("/text", "/d/note.txt"),
                "application/json",
                etag,
                body.into_bytes(),
            )
            .await
    };
    let first = edit("one\n", None).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let read = house.fetch(&path("/text", "/d/note.txt")).await;
    assert_eq!(read.header("etag"), first.header("etag"));
    assert_eq!(edit("lost\n", None).await.status, 428);
    let second = edit("two\n", Some(&first.header("etag"))).await;
    assert_eq!(second.status, 200, "{}", second.text());
    let late = edit("three\n", Some(&first.header("etag"))).await;
    assert_eq!(
        (late.status, &late.json()["code"]),
        (412, &json!("stale")),
        "{}",
        late.text()
    );
    assert_eq!(
        house.fetch(&path("/text", "/d/note.txt")).await.json()["text"],
        "two\n"
    );
    // A directory comes as an archive, and an archive goes into a directory.
    let archive = house.fetch(&path("/download", "/d")).await;
    assert_eq!(archive.header("content-type"), "application/x-tar");
    let unpacked = house
        .put(
            &path("/upload", "/&unpack=true"),
            "application/x-tar",
            None,
            renamed(&archive.bytes),
        )
        .await;
    assert_eq!(unpacked.status, 200, "{}", unpacked.text());
    assert_eq!(
        house
            .fetch(&path("/download", "/copy/note.txt"))
            .await
            .bytes,
        b"two\n"
    );
    for name in ["../evil", "/etc/evil"] {
        let hostile = house
            .put(
                &path("/upload", "/&unpack=true"),
                "application/x-tar",
                None,
                hostile(name),
            )
            .await;
        assert_eq!(hostile.status, 422, "{name}: {}", hostile.text());
    }
    let (status, _) = house
        .ask(&format!("{base}/files/stat?path=/etc/evil"))
        .await;
    assert_eq!(status, 404);
    for trick in ["..", "/..", "/a/../../b", "relative", "/%00"] {
        let (status, problem) = house.ask(&format!("{base}/files?path={trick}")).await;
        assert_eq!(status, 422, "{trick}: {problem}");
    }
    let (status, problem) = house.ask(&path("", "/nowhere")).await;
    assert_eq!(status, 404, "{problem}");
    // Renaming and removing need a running container.
    let moving = json!({ "from": format!("{root}/copy"), "to": format!("{root}/moved") });
    let (status, moved) = house
        .post(&format!("{base}/files/rename"), moving.clone())
        .await;
    if !runs {
        assert_eq!(status, 409, "{moved}");
        assert!(
            moved["hint"].as_str().unwrap().contains("start it"),
            "{moved}"
        );
        return;
    }
    assert_eq!((status, &moved["name"]), (200, &json!("moved")), "{moved}");
    assert_eq!(
        house.post(&format!("{base}/files/rename"), moving).await.0,
        404
    );
    let ask = json!({ "paths": [format!("{root}/moved"), format!("{root}/d/note.txt")] });
    let (_, preview) = house.post(&format!("{base}/files/preview"), ask).await;
    assert_eq!(preview["count"], 2, "{preview}");
    assert!(
        preview["freed_bytes"].as_u64().unwrap() >= 3_000_000,
        "{preview}"
    );
    let token = json!({ "preview_token": preview["token"] });
    let (status, gone) = house
        .post(&format!("{base}/files/remove"), token.clone())
        .await;
    assert_eq!(status, 200, "{gone}");
    assert_eq!(
        house.post(&format!("{base}/files/remove"), token).await.0,
        409
    );
    let listing = house.get(&path("", "/")).await;
    assert!(!has(&listing["items"], "name", "moved"), "{listing}");
    assert!(has(&listing["items"], "name", "d"), "{listing}");
}

/// The same archive with `d` called `copy`.
fn renamed(archive: &[u8]) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    let mut read = tar::Archive::new(archive);
    for entry in read.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let path = std::path::Path::new("copy").join(path.strip_prefix("d").unwrap());
        let mut header = entry.header().clone();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        out.append_data(&mut header, path, content.as_slice())
            .unwrap();
    }
    out.into_inner().unwrap()
}

fn hostile(name: &str) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(0o644);
    header.set_size(4);
    header.set_cksum();
    let mut archive = header.as_bytes().to_vec();
    archive.extend(b"evil");
    archive.extend([0; 508 + 1024]);
    archive
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_files_of_containers_are_listed_read_written_and_removed() {
    let house = House::open().await;
    for engine in engines() {
        house.connected(engine).await;
        let name = format!("files-{engine}-{}", std::process::id());
        let command = [
            "sh",
            "-c",
            "ln -s /bin/sh /tmp/shell; mkfifo /tmp/pipe; chown 12:34 /tmp/pipe; sleep 600",
        ];
        let id = make(&house, engine, &name, json!({ "command": command })).await;
        let base = format!("/engines/{engine}/containers/{id}");
        let listed = format!("{base}/files?path=/tmp");
        let listing = house
            .until(&listed, |listing| has(&listing["items"], "name", "pipe"))
            .await;
        assert_eq!(
            named(&listing, "shell")["link_target"],
            "/bin/sh",
            "{engine}"
        );
        let told = |listing: &Value| {
            let pipe = named(listing, "pipe");
            (
                pipe["kind"].clone(),
                pipe["uid"].clone(),
                pipe["gid"].clone(),
            )
        };
        assert_eq!(told(&listing), (json!("special"), json!(12), json!(34)));
        assert_eq!(listing["can_rename"], true);
        through_the_acts(&house, &base, "/tmp", true).await;
        house
            .post(&format!("{base}/stop"), json!({ "timeout_s": 0 }))
            .await;
        let stopped = house.get(&listed).await;
        assert_eq!(
            (&stopped["can_rename"], &stopped["incomplete"]),
            (&json!(false), &Value::Null),
            "{stopped}"
        );
        assert_eq!(told(&stopped), told(&listing));
        assert_eq!(named(&stopped, "shell")["link_target"], "/bin/sh");
        house
            .post(
                &format!("{base}/files/directory"),
                json!({ "path": "/tmp/still" }),
            )
            .await;
        through_the_acts(&house, &base, "/tmp/still", false).await;
        remove(&house, engine, &id).await;
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_volumes_are_browsed_backed_up_restored_and_cloned() {
    let house = House::open().await;
    for engine in engines() {
        house.connected(engine).await;
        let name = format!("vol-{engine}-{}", std::process::id());
        let volumes = format!("/engines/{engine}/volumes");
        assert_eq!(house.post(&volumes, json!({ "name": name })).await.0, 201);
        let base = format!("{volumes}/{name}");
        through_the_acts(&house, &base, "", true).await;
        // Nobody sees the container that reaches into it.
        let containers = house.get(&format!("/engines/{engine}/containers")).await;
        assert!(
            !containers.to_string().contains("containeros-files"),
            "{containers}"
        );
        assert_eq!(house.get(&base).await["summary"]["used_by"], json!([]));
        let backup = house.fetch(&format!("{base}/backup")).await;
        assert!(
            backup
                .header("content-disposition")
                .contains(&format!("{name}.tar"))
        );
        let copy = format!("{name}-copy");
        let (status, job) = house
            .post(&format!("{base}/clone"), json!({ "name": copy }))
            .await;
        assert_eq!(status, 202, "{job}");
        let path = format!("/jobs/{}", job["id"].as_str().unwrap());
        let ended = house
            .until(&path, |job| !job["finished_at"].is_null())
            .await;
        assert_eq!(ended["state"], "done", "{ended}");
        let third = format!("{name}-third");
        assert_eq!(house.post(&volumes, json!({ "name": third })).await.0, 201);
        let restore = format!("{volumes}/{third}/restore");
        let restored = house
            .put(&restore, "application/x-tar", None, backup.bytes.clone())
            .await;
        assert_eq!(restored.status, 200, "{}", restored.text());
        let listing = async |volume: &str| {
            house
                .get(&format!("{volumes}/{volume}/files?path=/d"))
                .await["items"]
                .clone()
        };
        let original = listing(&name).await;
        assert!(has(&original, "name", "two words\n.bin"), "{original}");
        assert_eq!(listing(&copy).await, original, "{engine}");
        assert_eq!(listing(&third).await, original, "{engine}");
        // Under the feet of a running container only when it is wanted.
        let mounts = json!([{ "kind": "volume", "source": third, "target": "/data" }]);
        let user = make(
            &house,
            engine,
            &format!("user-{name}"),
            json!({ "mounts": mounts }),
        )
        .await;
        assert_eq!(
            house
                .put(&restore, "application/x-tar", None, backup.bytes.clone())
                .await
                .status,
            409
        );
        let forced = house
            .put(
                &format!("{restore}?force=true"),
                "application/x-tar",
                None,
                backup.bytes,
            )
            .await;
        assert_eq!(forced.status, 200, "{}", forced.text());
        remove(&house, engine, &user).await;
        // They can be removed at once although they were looked into a moment ago.
        let (_, preview) = house
            .post(
                &format!("{volumes}/preview"),
                json!({ "names": [name, copy, third] }),
            )
            .await;
        let token = json!({ "preview_token": preview["token"] });
        let (status, removed) = house.post(&format!("{volumes}/remove"), token).await;
        assert_eq!(status, 200);
        assert!(
            removed["results"]
                .as_array()
                .unwrap()
                .iter()
                .all(|one| one["ok"] == true),
            "{removed}"
        );
    }
    house.close().await;
}
