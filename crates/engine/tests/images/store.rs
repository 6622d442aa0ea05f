use bollard::query_parameters::{
    ListImagesOptions, PruneImagesOptions, RemoveImageOptions, TagImageOptions,
};
use futures_util::TryStreamExt as _;

use super::fixture::{Fixture, TestImage, archive, digest, docker_manifest};

fn status(error: bollard::errors::Error) -> (u16, String) {
    match error {
        bollard::errors::Error::DockerResponseServerError {
            status_code,
            message,
        } => (status_code, message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_an_image_is_loaded_shown_saved_removed_and_loaded_again() {
    let fixture = Fixture::start().await;
    let image = TestImage::new(b"hello");
    let answer = fixture
        .load(image.archive(&["team/app:1", "app"]))
        .await
        .unwrap();
    assert_eq!(
        answer,
        "Loaded image: team/app:1\nLoaded image: app:latest\n"
    );
    assert_eq!(fixture.tags().await, ["app:latest", "team/app:1"]);

    let inspected = fixture.docker.inspect_image("app").await.unwrap();
    assert_eq!(inspected.id.as_deref(), Some(image.id().as_str()));
    assert_eq!(inspected.size, Some(5));
    assert_eq!(inspected.config.unwrap().cmd.unwrap(), ["sh"]);
    let by_prefix = fixture
        .docker
        .inspect_image(&image.id()[7..19])
        .await
        .unwrap();
    assert_eq!(by_prefix.id, inspected.id);
    let history = fixture.docker.image_history("app").await.unwrap();
    assert_eq!((history.len(), history[0].size), (1, 5));

    let saved: Vec<_> = fixture
        .docker
        .export_images(&["team/app:1", "app"])
        .try_collect()
        .await
        .unwrap();
    let saved = saved.concat();
    let again: Vec<_> = fixture
        .docker
        .export_images(&["team/app:1", "app"])
        .try_collect()
        .await
        .unwrap();
    assert_eq!(
        saved,
        again.concat(),
        "the same image gives the same archive"
    );

    // The names survive the engine.
    let fixture = fixture.restart().await;
    assert_eq!(fixture.tags().await, ["app:latest", "team/app:1"]);
    let removed = fixture
        .docker
        .remove_image("team/app:1", None::<RemoveImageOptions>, None)
        .await
        .unwrap();
    assert_eq!(removed[0].untagged.as_deref(), Some("team/app:1"));
    assert_eq!(removed.len(), 1);
    let removed = fixture
        .docker
        .remove_image("app", None::<RemoveImageOptions>, None)
        .await
        .unwrap();
    assert_eq!(removed[1].deleted.as_deref(), Some(image.id().as_str()));
    for dir in [
        "images",
        "references",
        "layers",
        "blobs/sha256",
        "blobs/ingest",
    ] {
        assert!(
            fixture.names(dir).is_empty(),
            "{dir}: {:?}",
            fixture.names(dir)
        );
    }
    fixture.load(saved).await.unwrap();
    assert_eq!(fixture.tags().await, ["app:latest", "team/app:1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_names_move_and_dangling_images_are_pruned() {
    let fixture = Fixture::start().await;
    let (old, new) = (TestImage::new(b"old"), TestImage::new(b"new!"));
    fixture.load(old.archive(&["app:1"])).await.unwrap();
    fixture.load(new.archive(&["app:1"])).await.unwrap();
    assert_eq!(
        fixture
            .docker
            .inspect_image("app:1")
            .await
            .unwrap()
            .id
            .unwrap(),
        new.id()
    );
    let dangling = |wanted: &str| ListImagesOptions {
        filters: Some([("dangling".to_owned(), vec![wanted.to_owned()])].into()),
        ..Default::default()
    };
    let listed = fixture
        .docker
        .list_images(Some(dangling("true")))
        .await
        .unwrap();
    assert_eq!(
        listed
            .iter()
            .map(|image| image.id.as_str())
            .collect::<Vec<_>>(),
        [old.id()]
    );
    assert_eq!(listed[0].labels["made"], "here");
    let pruned = fixture
        .docker
        .prune_images(None::<PruneImagesOptions>)
        .await
        .unwrap();
    assert_eq!(pruned.space_reclaimed, Some(3));
    assert_eq!(
        fixture
            .docker
            .list_images(Some(dangling("true")))
            .await
            .unwrap()
            .len(),
        0
    );

    let tag = |repo: &str, tag: &str| TagImageOptions {
        repo: Some(repo.to_owned()),
        tag: Some(tag.to_owned()),
    };
    fixture
        .docker
        .tag_image("app:1", Some(tag("other/name", "x")))
        .await
        .unwrap();
    assert_eq!(fixture.tags().await, ["app:1", "other/name:x"]);
    let bad = fixture
        .docker
        .tag_image("app:1", Some(tag("Upper", "x")))
        .await
        .unwrap_err();
    assert_eq!(status(bad).0, 400);
    // By id with several repositories only with force.
    let refused = fixture
        .docker
        .remove_image(&new.id(), None::<RemoveImageOptions>, None)
        .await
        .unwrap_err();
    let (code, message) = status(refused);
    assert_eq!(code, 409);
    assert!(
        message.contains("must be forced) - image is referenced in multiple repositories"),
        "{message}"
    );
    let force = RemoveImageOptions {
        force: true,
        ..Default::default()
    };
    fixture
        .docker
        .remove_image(&new.id(), Some(force), None)
        .await
        .unwrap();
    assert!(fixture.tags().await.is_empty());
    assert!(fixture.names("layers").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_what_does_not_exist_is_named_in_dockers_words() {
    let fixture = Fixture::start().await;
    for name in ["nope", "nope:latest"] {
        let error = status(fixture.docker.inspect_image(name).await.unwrap_err());
        assert_eq!(error, (404, "No such image: nope:latest".to_owned()));
    }
    let error = status(
        fixture
            .docker
            .inspect_image("sha256:abc")
            .await
            .unwrap_err(),
    );
    assert_eq!(error.0, 404);
    let error = status(
        fixture
            .docker
            .remove_image("UPPER", None::<RemoveImageOptions>, None)
            .await
            .unwrap_err(),
    );
    assert_eq!(error.0, 400);
    for path in ["../version", "a/../../b", "a%00b"] {
        assert!(fixture.docker.inspect_image(path).await.is_err(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_archives_that_lie_leave_nothing() {
    let fixture = Fixture::start().await;
    let image = TestImage::new(b"hello");
    let other = TestImage::new(b"other");
    let blob = format!("blobs/sha256/{}", &image.id()[7..]);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"no archive at all".to_vec(), "cut short"),
        (archive(&[("readme", b"hi")]), "archive is no image"),
        // The layer is not what the configuration says.
        (
            archive(&[
                ("l", other.layer.as_slice()),
                ("c", &image.config),
                ("manifest.json", &docker_manifest("c", &["x"], &["l"])),
            ]),
            "does not match its diff id",
        ),
        // A blob that is not what its name says.
        (
            archive(&[(&blob, other.config.as_slice())]),
            "does not match its digest",
        ),
        (
            archive(&[("manifest.json", &docker_manifest("c", &["x"], &["l"]))]),
            "no file \"c\"",
        ),
        (
            archive(&[(
                "manifest.json",
                &docker_manifest("../../etc/passwd", &["x"], &[]),
            )]),
            "leads out of the root",
        ),
        (
            archive(&[
                ("c", image.config.as_slice()),
                ("manifest.json", &docker_manifest("c", &["x"], &[])),
            ]),
            "0 layers, but 1",
        ),
        (image.archive(&["Bad Name"]), "invalid reference format"),
        (image.archive(&["x"])[..2000].to_vec(), "cut short"),
    ];
    for (bytes, expected) in cases {
        let error = fixture.load(bytes).await.unwrap_err().to_string();
        assert!(error.contains(expected), "want {expected}: {error}");
        assert!(fixture.tags().await.is_empty());
        for dir in [
            "images",
            "references",
            "blobs/sha256",
            "blobs/ingest",
            "layers",
        ] {
            assert!(
                fixture.names(dir).is_empty(),
                "{expected}: {dir}: {:?}",
                fixture.names(dir)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_a_damaged_record_or_blob_costs_one_image() {
    let fixture = Fixture::start().await;
    let images = [
        TestImage::new(b"a"),
        TestImage::new(b"b"),
        TestImage::new(b"c"),
    ];
    for (image, name) in images.iter().zip(["a", "b", "c"]) {
        fixture.load(image.archive(&[name])).await.unwrap();
    }
    let dir = fixture.engine_dir();
    let hex = |image: &TestImage| image.id()[7..].to_owned();
    std::fs::write(
        dir.join(format!("images/{}.json", hex(&images[0]))),
        b"{\"id\":",
    )
    .unwrap();
    std::fs::write(dir.join(format!("blobs/sha256/{}", hex(&images[1]))), b"{}").unwrap();
    let fixture = fixture.restart().await;
    assert_eq!(fixture.tags().await, ["c:latest"]);
    // Loading again mends it.
    fixture.load(images[1].archive(&["b"])).await.unwrap();
    assert_eq!(fixture.tags().await, ["b:latest", "c:latest"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_images_share_layers_and_keep_them_for_each_other() {
    let fixture = Fixture::start().await;
    let base = TestImage::new(b"base");
    let top = TestImage::new(b"top");
    let config = TestImage::config(&[&digest(&base.layer), &digest(&top.layer)]);
    let both = archive(&[
        ("1", base.layer.as_slice()),
        ("2", &top.layer),
        ("c", &config),
        (
            "manifest.json",
            &docker_manifest("c", &["both"], &["1", "2"]),
        ),
    ]);
    fixture.load(base.archive(&["base"])).await.unwrap();
    fixture.load(both).await.unwrap();
    assert_eq!(fixture.names("layers").len(), 2);
    let options = ListImagesOptions {
        shared_size: true,
        ..Default::default()
    };
    let listed = fixture.docker.list_images(Some(options)).await.unwrap();
    assert!(
        listed.iter().all(|image| image.shared_size == 4),
        "{listed:?}"
    );
    fixture
        .docker
        .remove_image("base", None::<RemoveImageOptions>, None)
        .await
        .unwrap();
    assert_eq!(fixture.names("layers").len(), 2);
    fixture
        .docker
        .remove_image("both", None::<RemoveImageOptions>, None)
        .await
        .unwrap();
    assert!(fixture.names("layers").is_empty());
}
