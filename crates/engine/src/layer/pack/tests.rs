use std::{
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::Path,
};

use super::*;
use crate::layer::{
    root::RootFd,
    tar::TarReader,
    unpack::{Placement, unpack_files},
};

fn open(path: &Path) -> File {
    File::open(path).unwrap()
}

/// Names, kinds and link targets of an archive.
fn listing(archive: &[u8]) -> Vec<(String, Kind, String)> {
    let mut reader = TarReader::new(archive);
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        found.push((text(entry.path), entry.kind, text(entry.link)));
    }
    found
}

fn packed(top: &Path, archived: &str) -> Vec<u8> {
    let mut packer = Packer::new(Vec::new(), Form::Files, HashSet::new());
    packer.add_tree(open(top), archived.as_bytes()).unwrap();
    packer.finish().unwrap()
}

fn names(archive: &[u8]) -> Vec<String> {
    listing(archive)
        .into_iter()
        .map(|(name, ..)| name)
        .collect()
}

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("b/c")).unwrap();
    std::fs::write(dir.path().join("b/file"), "content").unwrap();
    std::fs::write(dir.path().join("a"), "").unwrap();
    dir
}

#[test]
fn entries_come_in_order_below_the_name_they_get() {
    let dir = tree();
    assert_eq!(
        names(&packed(dir.path(), "x")),
        ["x/", "x/a", "x/b/", "x/b/c/", "x/b/file"]
    );
    assert_eq!(
        names(&packed(dir.path(), ".")),
        ["./", "./a", "./b/", "./b/c/", "./b/file"]
    );
    assert_eq!(
        names(&packed(dir.path(), "/")),
        ["/", "/a", "/b/", "/b/c/", "/b/file"]
    );
    assert_eq!(packed(dir.path(), "x"), packed(dir.path(), "x"));
}

#[test]
fn kernel_a_tree_comes_back_as_it_was() {
    let dir = tree();
    let path = |name: &str| dir.path().join(name);
    std::fs::set_permissions(path("b"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    std::fs::set_permissions(path("b/file"), std::fs::Permissions::from_mode(0o4751)).unwrap();
    symlink("/etc/passwd", path("b/link")).unwrap();
    std::fs::hard_link(path("b/file"), path("z")).unwrap();
    std::os::unix::fs::chown(path("a"), Some(3_000_000), Some(7)).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path("fifo"),
        FileType::Fifo,
        Mode::from(0o600),
        0,
    )
    .unwrap();
    drop(UnixListener::bind(path("socket")).unwrap());
    xattr::set(path("a"), "user.note", b"kept").unwrap();
    let archive = packed(dir.path(), ".");
    let kinds = listing(&archive);
    assert!(kinds.contains(&("./z".into(), Kind::HardLink, "./b/file".into())));
    assert!(kinds.contains(&("./b/link".into(), Kind::Symlink, "/etc/passwd".into())));
    assert!(kinds.contains(&("./fifo".into(), Kind::Fifo, String::new())));
    assert!(!kinds.iter().any(|(name, ..)| name == "./socket"));

    let target = tempfile::tempdir().unwrap();
    let root = RootFd::new(open(target.path()).into());
    unpack_files(archive.as_slice(), &root, Placement::default()).unwrap();
    let back = |name: &str| target.path().join(name).symlink_metadata().unwrap();
    assert_eq!(back("b").mode() & 0o7777, 0o1777);
    assert_eq!(back("b/file").mode() & 0o7777, 0o4751);
    assert_eq!(back("b/file").ino(), back("z").ino());
    assert_eq!((back("a").uid(), back("a").gid()), (3_000_000, 7));
    assert_eq!(
        xattr::get(target.path().join("a"), "user.note")
            .unwrap()
            .unwrap(),
        b"kept"
    );
    assert_eq!(
        back("b/file").mtime(),
        path("b/file").metadata().unwrap().mtime()
    );
    assert_eq!(packed(target.path(), "."), archive);
}

#[test]
fn kernel_closed_file_systems_are_mount_points_only() {
    let dir = tree();
    let tree = sys::mountns::Tree::build(|| {
        for place in [
            dir.path().to_owned(),
            dir.path().join("m"),
            dir.path().join("n"),
        ] {
            drop(std::fs::create_dir(&place));
            let flags = rustix::mount::MountFlags::empty();
            rustix::mount::mount("none", &place, "tmpfs", flags, c"").unwrap();
            std::fs::write(place.join("inside"), "").unwrap();
        }
        Ok::<_, std::io::Error>(dir.path())
    })
    .unwrap();
    let closed = rustix::fs::statat(&tree, "m", rustix::fs::AtFlags::empty())
        .unwrap()
        .st_dev;
    let list = |name: &str| {
        let mut packer = Packer::new(Vec::new(), Form::Files, HashSet::from([closed]));
        packer.add(&tree, name.as_bytes(), b"x").unwrap();
        names(&packer.finish().unwrap())
    };
    assert_eq!(list("."), ["x/", "x/inside", "x/m/", "x/n/", "x/n/inside"]);
    // Who names it gets it.
    assert_eq!(list("m"), ["x/", "x/inside"]);
}

#[test]
fn kernel_a_tree_that_is_shuffled_meanwhile_shows_nothing_of_the_host() {
    let host = tempfile::tempdir().unwrap();
    std::fs::create_dir(host.path().join("sub")).unwrap();
    std::fs::write(host.path().join("sub/secret"), "SECRET").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(path("real/sub")).unwrap();
    std::fs::write(path("real/sub/secret"), "mine").unwrap();
    symlink(host.path(), path("link")).unwrap();
    symlink(host.path().join("sub/secret"), path("filelink")).unwrap();
    std::fs::write(path("file"), "mine").unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for (one, other) in [("real", "link"), ("file", "filelink")] {
                    renameat_with(CWD, path(one), CWD, path(other), RenameFlags::EXCHANGE).unwrap();
                }
            }
        });
        for _ in 0..2000 {
            let archive = packed(dir.path(), ".");
            assert!(!archive.windows(6).any(|bytes| bytes == b"SECRET"));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn kernel_overlay_marks_become_whiteouts_and_back() {
    use crate::layer::LayerStore;
    let upper = tempfile::tempdir().unwrap();
    let path = |name: &str| upper.path().join(name);
    std::fs::create_dir_all(path("dir/below")).unwrap();
    std::fs::write(path("dir/new"), "new").unwrap();
    for gone in ["gone", "dir/below/gone"] {
        let device = FileType::CharacterDevice;
        rustix::fs::mknodat(rustix::fs::CWD, path(gone), device, Mode::empty(), 0).unwrap();
    }
    xattr::set(path("dir"), "trusted.overlay.opaque", b"y").unwrap();
    let pack = || {
        let mut packer = Packer::new(Vec::new(), Form::Layer, HashSet::new());
        packer.add_content(open(upper.path()), b"").unwrap();
        packer.finish().unwrap()
    };
    let archive = pack();
    assert_eq!(
        names(&archive),
        [
            "dir/",
            "dir/.wh..wh..opq",
            "dir/below/",
            "dir/below/.wh.gone",
            "dir/new",
            ".wh.gone"
        ]
    );
    let store_dir = tempfile::tempdir().unwrap();
    let store = LayerStore::open(store_dir.path().join("layers")).unwrap();
    let (diff_id, _pins) = store.add(archive.as_slice(), None).unwrap();
    let diff = store.diff_dir(&diff_id);
    let is_whiteout = |name: &str| is_whiteout(&rustix::fs::stat(diff.join(name)).unwrap());
    assert!(is_whiteout("gone") && is_whiteout("dir/below/gone"));
    assert!(is_opaque(open(&diff.join("dir"))));
    assert_eq!(pack(), archive);
}
