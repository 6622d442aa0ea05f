//! A build's context, and what is copied from it, on the real file system.

use std::{fs, os::unix::fs::symlink, path::Path, sync::Arc};

use super::{
    area::Area,
    copy::{self, CopyRequest, Source},
};
use crate::{EngineConfig, engine::Engine};

struct Fixture {
    _dir: tempfile::TempDir,
    engine: Arc<Engine>,
    area: Arc<Area>,
    _runtime: tokio::runtime::Runtime,
}

fn fixture() -> Fixture {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    let config = EngineConfig::new(place("state"), place("run"), "/nonexistent/mini".into());
    let engine = runtime.block_on(Engine::open(config)).unwrap();
    let area = Area::create(&engine).unwrap();
    Fixture {
        _dir: dir,
        engine,
        area,
        _runtime: runtime,
    }
}

fn listed(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn kernel_a_fetched_context_is_filtered_as_its_patterns_say() {
    let fixture = fixture();
    let context = fixture.area.context();
    fs::write(context.join("Dockerfile"), "FROM scratch").unwrap();
    fs::write(
        context.join(".dockerignore"),
        "*\n!Dockerfile\n!d/keep\nout\n",
    )
    .unwrap();
    fs::create_dir_all(context.join("d/deep")).unwrap();
    for name in ["a", "d/keep", "d/other", "d/deep/x"] {
        fs::write(context.join(name), "").unwrap();
    }
    let outside = fixture.engine.config.state_dir.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "").unwrap();
    symlink(&outside, context.join("out")).unwrap();
    assert_eq!(
        fixture.area.read_dockerfile("Dockerfile", false).unwrap(),
        "FROM scratch"
    );
    assert_eq!(listed(&context), ["Dockerfile", "d"]);
    assert_eq!(listed(&context.join("d")), ["keep"]);
    assert_eq!(listed(&outside), ["file"]);
}

#[test]
fn kernel_a_dockerfile_is_read_inside_the_context_alone() {
    let fixture = fixture();
    let context = fixture.area.context();
    let outside = fixture.engine.config.state_dir.join("secret");
    fs::write(&outside, "FROM secret").unwrap();
    symlink(&outside, context.join("Dockerfile")).unwrap();
    let error = fixture
        .area
        .read_dockerfile("Dockerfile", true)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("Cannot locate specified Dockerfile"),
        "{error}"
    );
    let error = fixture
        .area
        .read_dockerfile("../../../secret", true)
        .unwrap_err();
    assert!(error.to_string().contains("Cannot locate"), "{error}");
}

#[test]
fn kernel_the_digest_tells_content_and_names_but_not_times() {
    let fixture = fixture();
    let context = fixture.area.context();
    fs::create_dir(context.join("d")).unwrap();
    fs::write(context.join("d/a"), "one").unwrap();
    let digest = || copy::digest_of(&fixture.area, "d").unwrap();
    let first = digest();
    let file = fs::File::options()
        .write(true)
        .open(context.join("d/a"))
        .unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(digest(), first);
    fs::write(context.join("d/a"), "two").unwrap();
    let second = digest();
    assert_ne!(second, first);
    fs::rename(context.join("d/a"), context.join("d/b")).unwrap();
    assert_ne!(digest(), second);
    assert!(copy::digest_of(&fixture.area, "missing").is_err());
}

#[test]
fn kernel_nothing_is_left_of_a_build() {
    let fixture = fixture();
    let builds = fixture.engine.config.engine_dir().join("build");
    let image = fixture
        .engine
        .images
        .derive(crate::image::DeriveSource {
            parent: None,
            config: crate::image::Defaults::default(),
            created_by: String::new(),
            author: String::new(),
            step: crate::image::Digest::of(b"step"),
            platform: crate::image::Platform::host(),
        })
        .unwrap();
    let request = CopyRequest {
        name: "COPY".to_owned(),
        sources: vec![Source::Inline {
            name: "file".to_owned(),
            content: b"text".to_vec(),
        }],
        destination: "/d/".to_owned(),
        owner: None,
        keep_owner: false,
        mode: None,
        extract: false,
    };
    let area = Arc::clone(&fixture.area);
    let packed = area
        .with_files(&image, |files| {
            copy::pack(
                &area,
                &copy::Origin::Context(area.context()),
                &request,
                files,
            )
        })
        .unwrap();
    let source = crate::image::CommitSource {
        parent: Some(image.id.clone()),
        ..crate::image::CommitSource::default()
    };
    let made = copy::apply(&fixture.engine, &area, &image, &packed, &request, source).unwrap();
    assert_eq!(made.parent.as_ref(), Some(&image.id));
    assert_eq!(made.layers.len(), 1);
    let mounted = area.mounted(&made).unwrap();
    assert_eq!(fs::read(mounted.join("d/file")).unwrap(), b"text");
    drop((area, fixture.area));
    assert_eq!(listed(&builds), Vec::<String>::new());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(builds.to_str().unwrap()));
}
