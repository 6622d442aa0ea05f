use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::layer::{ChangeKind, store::Pins};

/// A layer of files; a name that ends with a slash is a directory, `None` is a whiteout.
fn layer(store: &Arc<LayerStore>, files: &[(&str, Option<&[u8]>)]) -> (Digest, Pins) {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(data.map_or(0, |data| data.len() as u64));
        if name.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
        }
        let path = match (data, name.rsplit_once('/')) {
            (Some(_), _) => (*name).to_owned(),
            (None, Some((dir, file))) => format!("{dir}/.wh.{file}"),
            (None, None) => format!(".wh.{name}"),
        };
        builder
            .append_data(&mut header, path, data.unwrap_or_default())
            .unwrap();
    }
    store
        .add(builder.into_inner().unwrap().as_slice(), None)
        .unwrap()
}

fn image(layers: Vec<Digest>) -> Image {
    Image {
        id: Digest::of(b"image"),
        config: crate::image::ImageConfig::default(),
        repo_tags: Vec::new(),
        repo_digests: Vec::new(),
        size_bytes: 0,
        created_ns: None,
        tagged_ns: 0,
        layers,
        parent: None,
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    layers: Arc<LayerStore>,
    pins: Vec<Pins>,
    image: Image,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    // Longer than what one option of a mount may be.
    let deep = dir.path().join("d".repeat(200)).join("e".repeat(200));
    let layers = LayerStore::open(deep.join("layers")).unwrap();
    let low = layer(
        &layers,
        &[
            ("etc/", Some(b"")),
            ("etc/a", Some(b"1")),
            ("etc/b", Some(b"1")),
            ("gone", Some(b"1")),
        ],
    );
    let middle = layer(&layers, &[("etc/a", Some(b"22")), ("gone", None)]);
    let image = image(vec![
        low.0.clone(),
        middle.0.clone(),
        low.0.clone(),
        middle.0.clone(),
    ]);
    Fixture {
        dir,
        layers,
        pins: vec![low.1, middle.1],
        image,
    }
}

fn open(fixture: &Fixture, driver: Driver) -> Snapshots {
    let snapshots = Snapshots::open(
        fixture.dir.path().join("snapshots"),
        Arc::clone(&fixture.layers),
    )
    .unwrap();
    assert_eq!(snapshots.driver(), Driver::Overlay);
    let mut snapshots = Arc::into_inner(snapshots).unwrap();
    snapshots.driver = driver;
    snapshots
}

#[test]
fn kernel_both_drivers_show_the_same_tree_and_changes() {
    for driver in [Driver::Overlay, Driver::Copy] {
        let fixture = fixture();
        let snapshots = open(&fixture, driver);
        snapshots.prepare("c1", &fixture.image).unwrap();
        let root = fixture.dir.path().join("root");
        snapshots.mount("c1", &root).unwrap();
        assert_eq!(fs::read(root.join("etc/a")).unwrap(), b"22");
        assert_eq!(fs::read(root.join("etc/b")).unwrap(), b"1");
        assert!(!root.join("gone").exists());
        assert_eq!(
            root.metadata().unwrap().permissions().mode() & 0o7777,
            0o755
        );

        assert!(snapshots.changes("c1").unwrap().is_empty(), "{driver:?}");
        assert_eq!(snapshots.size("c1").unwrap(), 0, "{driver:?}");
        fs::write(root.join("etc/a"), b"changed").unwrap();
        fs::remove_file(root.join("etc/b")).unwrap();
        fs::create_dir(root.join("new")).unwrap();
        fs::write(root.join("new/file"), b"123").unwrap();
        let changes = snapshots.changes("c1").unwrap();
        let changes: Vec<_> = changes
            .iter()
            .map(|one| (one.path.to_str().unwrap(), one.kind))
            .collect();
        for wanted in [
            ("/etc/a", ChangeKind::Modified),
            ("/etc/b", ChangeKind::Deleted),
            ("/new", ChangeKind::Added),
            ("/new/file", ChangeKind::Added),
        ] {
            assert!(changes.contains(&wanted), "{driver:?}: {changes:?}");
        }
        if driver == Driver::Overlay {
            assert_eq!(snapshots.size("c1").unwrap(), 10);
        }
        snapshots.unmount(&root).unwrap();
        snapshots.unmount(&root).unwrap();
        assert!(!root.join("etc").exists());
        snapshots.mount("c1", &root).unwrap();
        assert_eq!(fs::read(root.join("new/file")).unwrap(), b"123");
        snapshots.unmount(&root).unwrap();
        snapshots.remove("c1").unwrap();
        snapshots.remove("c1").unwrap();
        assert!(snapshots.mount("c1", &root).is_err());
        assert_eq!(
            fs::read_dir(fixture.dir.path().join("snapshots"))
                .unwrap()
                .count(),
            0
        );
    }
}

#[test]
fn kernel_snapshots_survive_and_hold_their_layers() {
    let mut fixture = fixture();
    {
        let snapshots = open(&fixture, Driver::Overlay);
        snapshots.prepare("c1", &fixture.image).unwrap();
        snapshots.prepare("c2", &fixture.image).unwrap();
    }
    fs::create_dir_all(fixture.dir.path().join("snapshots/.staging-c3/upper")).unwrap();
    fixture.pins.clear();
    let snapshots = open(&fixture, Driver::Overlay);
    assert_eq!(snapshots.used_layers().len(), 2);
    assert_eq!(fixture.layers.collect(&snapshots.used_layers()), 0);
    snapshots.retain(&HashSet::from(["c2".to_owned()])).unwrap();
    assert_eq!(
        fs::read_dir(fixture.dir.path().join("snapshots"))
            .unwrap()
            .count(),
        1
    );
    snapshots.remove("c2").unwrap();
    assert!(fixture.layers.collect(&snapshots.used_layers()) > 0);
    let error = snapshots.prepare("c4", &fixture.image).unwrap_err();
    assert!(matches!(error, LayerError::NotFound(_)), "{error}");
}

#[test]
fn kernel_a_mount_is_quick() {
    let fixture = fixture();
    let snapshots = open(&fixture, Driver::Overlay);
    snapshots.prepare("c1", &fixture.image).unwrap();
    let root = fixture.dir.path().join("root");
    let begin = std::time::Instant::now();
    for _ in 0..20 {
        snapshots.mount("c1", &root).unwrap();
        snapshots.unmount(&root).unwrap();
    }
    let each = begin.elapsed() / 20;
    // The kernel's own cost is 0.65 ms; this only notices something out of all proportion.
    assert!(each < std::time::Duration::from_millis(50), "{each:?}");
    println!("mount and unmount: {each:?}");
}

#[test]
fn kernel_changes_of_both_drivers_are_a_layer_that_makes_the_same_tree() {
    let fixture = fixture();
    for driver in [Driver::Overlay, Driver::Copy] {
        let snapshots = open(&fixture, driver);
        snapshots.prepare("c1", &fixture.image).unwrap();
        let root = fixture.dir.path().join("root");
        snapshots.mount("c1", &root).unwrap();
        fs::set_permissions(root.join("etc"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::remove_file(root.join("etc/b")).unwrap();
        fs::create_dir(root.join("new")).unwrap();
        fs::write(root.join("new/file"), b"123").unwrap();
        fs::rename(root.join("new"), root.join("newer")).unwrap();
        for name in ["newer/file", "newer", "etc"] {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(7);
            fs::File::open(root.join(name))
                .unwrap()
                .set_modified(time)
                .unwrap();
        }
        snapshots.unmount(&root).unwrap();
        let archive = snapshots.pack_changes("c1", Vec::new()).unwrap();
        assert!(archive == snapshots.pack_changes("c1", Vec::new()).unwrap());

        let (diff_id, _pins) = fixture.layers.add(archive.as_slice(), None).unwrap();
        let mut committed = fixture.image.clone();
        committed.layers.push(diff_id);
        snapshots.prepare("c2", &committed).unwrap();
        snapshots.mount("c2", &root).unwrap();
        assert_eq!(fs::read(root.join("newer/file")).unwrap(), b"123");
        assert!(!root.join("etc/b").exists() && !root.join("new").exists());
        assert_eq!(fs::read(root.join("etc/a")).unwrap(), b"22");
        assert_eq!(
            root.join("etc").metadata().unwrap().permissions().mode() & 0o7777,
            0o1777
        );
        snapshots.unmount(&root).unwrap();
        snapshots.remove("c1").unwrap();
        snapshots.remove("c2").unwrap();
    }
}

#[test]
fn kernel_a_view_to_read_changes_nothing() {
    use std::io::{Read as _, Write as _};
    let read = |root: &OwnedFd, name: &str| {
        let file = rustix::fs::openat(
            root,
            name,
            rustix::fs::OFlags::RDONLY,
            rustix::fs::Mode::empty(),
        );
        let mut text = String::new();
        fs::File::from(file?).read_to_string(&mut text).unwrap();
        Ok::<_, Errno>(text)
    };
    let write = |root: &OwnedFd, name: &str| {
        let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CREATE;
        let file = rustix::fs::openat(root, name, flags, rustix::fs::Mode::from(0o600)).unwrap();
        fs::File::from(file).write_all(b"written").unwrap();
    };
    let fixture = fixture();
    let snapshots = open(&fixture, Driver::Overlay);
    snapshots.prepare("c1", &fixture.image).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let view = |access, name: &str| {
        let scratch = scratch.path().join(name);
        fs::create_dir(&scratch).unwrap();
        snapshots.view("c1", access, &scratch).unwrap()
    };
    let to_write = view(Access::Write, "w");
    write(&to_write, "kept");
    drop(to_write);
    let to_read = view(Access::Read, "r");
    assert_eq!(read(&to_read, "etc/a").unwrap(), "22");
    assert_eq!(read(&to_read, "kept").unwrap(), "written");
    assert!(read(&to_read, "gone").is_err());
    assert_eq!(rustix::fs::fstat(&to_read).unwrap().st_mode & 0o7777, 0o755);
    write(&to_read, "lost");
    assert_eq!(snapshots.changes("c1").unwrap().len(), 1);
    // Two at a time, and beside the one that runs.
    let second = view(Access::Read, "s");
    assert!(read(&second, "lost").is_err());
}

#[test]
fn kernel_what_the_runtime_mounts_on_is_no_change() {
    let fixture = fixture();
    for driver in [Driver::Overlay, Driver::Copy] {
        let snapshots = open(&fixture, driver);
        let id = format!("{driver:?}");
        snapshots.prepare(&id, &fixture.image).unwrap();
        let root = fixture.dir.path().join("root");
        snapshots.mount(&id, &root).unwrap();
        for made in ["proc", "sys", "dev", "dev/pts", "dev/shm"] {
            fs::create_dir(root.join(made)).unwrap();
        }
        for made in [
            "etc/hosts",
            "etc/resolv.conf",
            "etc/hostname",
            "dev/console",
        ] {
            fs::write(root.join(made), "").unwrap();
        }
        let changes = || {
            let changes = snapshots.changes(&id).unwrap();
            let paths = changes
                .into_iter()
                .map(|change| change.path.to_str().unwrap().to_owned());
            paths.collect::<Vec<_>>()
        };
        assert_eq!(changes(), [""; 0], "{driver:?}");
        let archive = snapshots.pack_changes(&id, Vec::new()).unwrap();
        assert!(archive.iter().all(|byte| *byte == 0), "{driver:?}");
        fs::write(root.join("etc/hosts"), "own").unwrap();
        fs::write(root.join("dev/disk"), "own").unwrap();
        let mut expected = vec!["/dev", "/dev/disk", "/etc", "/etc/hosts"];
        if driver == Driver::Copy {
            // Times of directories are not compared.
            expected.retain(|path| *path != "/etc");
        }
        assert_eq!(changes(), expected, "{driver:?}");
        snapshots.unmount(&root).unwrap();
        snapshots.remove(&id).unwrap();
    }
}
