use std::{
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::Command,
};

use super::*;

/// Entries of a hostile or odd archive, written without the checks that the tar crate makes.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn entry(mut self, kind: u8, path: &str, link: &str, data: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_size(data.len() as u64);
        header.set_mode(if kind == b'5' { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.as_mut_bytes()[156] = kind;
        if matches!(kind, b'3' | b'4') {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str, data: &[u8]) -> Self {
        self.entry(b'0', path, "", data)
    }

    fn directory(self, path: &str) -> Self {
        self.entry(b'5', path, "", b"")
    }

    fn symlink(self, path: &str, to: &str) -> Self {
        self.entry(b'2', path, to, b"")
    }

    fn hard_link(self, path: &str, to: &str) -> Self {
        self.entry(b'1', path, to, b"")
    }

    fn unpack(&self, root: &Path) -> Result<u64, LayerError> {
        std::fs::create_dir_all(root).unwrap();
        let fd = RootFd::open(root).unwrap();
        unpack(self.0.as_slice(), &fd, Limits::default(), &Form::Layer).map(|(_rest, bytes)| bytes)
    }
}

fn scratch() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("outside"), b"untouched").unwrap();
    let root = dir.path().join("root");
    (dir, root)
}

#[test]
fn kernel_paths_out_of_the_root_are_refused() {
    for path in ["../outside", "a/../../outside", "/../outside"] {
        let (dir, root) = scratch();
        let error = Archive::default()
            .file(path, b"x")
            .unpack(&root)
            .unwrap_err();
        assert!(
            error.to_string().contains("leads out of the root"),
            "{error}"
        );
        assert_eq!(
            std::fs::read(dir.path().join("outside")).unwrap(),
            b"untouched"
        );
    }
}

#[test]
fn kernel_absolute_names_stay_inside() {
    let (_dir, root) = scratch();
    Archive::default()
        .file("/etc/inside", b"x")
        .unpack(&root)
        .unwrap();
    assert_eq!(std::fs::read(root.join("etc/inside")).unwrap(), b"x");
}

#[test]
fn kernel_a_link_followed_by_a_write_through_it_stays_inside() {
    let (dir, root) = scratch();
    let target = dir.path().to_str().unwrap().to_owned();
    // Relative out of the root: `..` of the root is the root.
    Archive::default()
        .symlink("up", "../..")
        .file("up/outside", b"x")
        .unpack(&root)
        .unwrap();
    assert_eq!(std::fs::read(root.join("outside")).unwrap(), b"x");
    // Absolute: leads to a path inside the root that does not exist.
    let error = Archive::default()
        .symlink("abs", &target)
        .file("abs/outside", b"x")
        .unpack(&root)
        .unwrap_err();
    assert!(error.to_string().contains("points to nothing"), "{error}");
    assert_eq!(
        std::fs::read(dir.path().join("outside")).unwrap(),
        b"untouched"
    );
}

#[test]
fn kernel_a_link_at_the_name_itself_is_replaced_not_followed() {
    let (dir, root) = scratch();
    let outside = dir.path().join("outside");
    Archive::default()
        .symlink("f", outside.to_str().unwrap())
        .file("f", b"mine")
        .unpack(&root)
        .unwrap();
    assert_eq!(std::fs::read(root.join("f")).unwrap(), b"mine");
    assert!(root.join("f").symlink_metadata().unwrap().is_file());
    assert_eq!(std::fs::read(outside).unwrap(), b"untouched");
}

#[test]
fn kernel_hard_links_lead_to_the_layer_only() {
    let (dir, root) = scratch();
    let outside = dir.path().join("outside");
    for target in [outside.to_str().unwrap(), "../outside", "missing", ".", "/"] {
        let error = Archive::default()
            .hard_link("l", target)
            .unpack(&root)
            .unwrap_err();
        assert!(matches!(error, LayerError::Invalid(_)), "{target}: {error}");
    }
    // Through a link: still inside.
    let error = Archive::default()
        .symlink("up", "../..")
        .hard_link("l", "up/no-such")
        .unpack(&root)
        .unwrap_err();
    assert!(error.to_string().contains("not there"), "{error}");
    assert_eq!(std::fs::metadata(outside).unwrap().nlink(), 1);
}

#[test]
fn kernel_hard_links_inside_share_their_file() {
    let (_dir, root) = scratch();
    let bytes = Archive::default()
        .file("a", b"x")
        .hard_link("d/b", "/a")
        .unpack(&root)
        .unwrap();
    let (a, b) = (
        root.join("a").metadata().unwrap(),
        root.join("d/b").metadata().unwrap(),
    );
    assert_eq!(a.ino(), b.ino());
    assert_eq!(bytes, 1);
}

#[test]
fn kernel_device_nodes_are_left_out() {
    let (_dir, root) = scratch();
    Archive::default()
        .entry(b'3', "null", "", b"")
        .entry(b'4', "disk", "", b"")
        .entry(b'6', "pipe", "", b"")
        .unpack(&root)
        .unwrap();
    assert!(!root.join("null").exists() && !root.join("disk").exists());
    assert!(
        root.join("pipe")
            .symlink_metadata()
            .unwrap()
            .file_type()
            .is_fifo()
    );
}

#[test]
fn kernel_whiteouts_become_overlay_marks() {
    let (_dir, root) = scratch();
    Archive::default()
        .file(".wh.gone", b"")
        .directory("d")
        .file("d/.wh..wh..opq", b"")
        .file("d/.wh.old", b"")
        .file(".wh..wh.plnk", b"")
        // Removed from below and filled by this layer, in both orders.
        .file(".wh.both", b"")
        .directory("both")
        .file("both/new", b"")
        .file("keep", b"mine")
        .file(".wh.keep", b"")
        .directory("late")
        .file(".wh.late", b"")
        .unpack(&root)
        .unwrap();
    for name in ["gone", "d/old"] {
        let meta = root.join(name).symlink_metadata().unwrap();
        assert!(meta.file_type().is_char_device(), "{name}");
        assert_eq!(meta.rdev(), 0);
    }
    for name in ["d", "both", "late"] {
        let opaque = xattr::get(root.join(name), "trusted.overlay.opaque").unwrap();
        assert_eq!(opaque.as_deref(), Some(b"y".as_slice()), "{name}");
    }
    assert!(root.join("both/new").exists());
    assert_eq!(std::fs::read(root.join("keep")).unwrap(), b"mine");
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 5);
}

#[test]
fn kernel_whiteouts_of_dots_are_refused() {
    for name in [".wh.", ".wh..", ".wh...", "d/.wh..."] {
        let (_dir, root) = scratch();
        let error = Archive::default()
            .file(name, b"")
            .unpack(&root)
            .unwrap_err();
        assert!(
            error.to_string().contains("invalid whiteout"),
            "{name}: {error}"
        );
    }
}

#[test]
fn kernel_overlay_attributes_do_not_come_from_outside() {
    let (_dir, root) = scratch();
    let mut builder = tar::Builder::new(Vec::new());
    builder
        .append_pax_extensions([
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc".as_slice()),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.note", b"kept"),
        ])
        .unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(0o755);
    builder
        .append_data(&mut header, "d/", std::io::empty())
        .unwrap();
    let archive = Archive(builder.into_inner().unwrap());
    archive.unpack(&root).unwrap();
    let names: Vec<_> = xattr::list(root.join("d")).unwrap().collect();
    assert!(
        names
            .iter()
            .all(|name| !name.to_string_lossy().contains("overlay")),
        "{names:?}"
    );
}

#[test]
fn kernel_set_uid_and_directory_times_survive() {
    let (_dir, root) = scratch();
    let mut archive = Archive::default().directory("d").file("d/f", b"x");
    let mut header = tar::Header::new_gnu();
    header.set_path("d/su").unwrap();
    header.set_mode(0o4755);
    header.set_uid(12);
    header.set_gid(34);
    header.set_size(0);
    header.set_mtime(1);
    header.set_cksum();
    archive.0.extend_from_slice(header.as_bytes());
    archive.unpack(&root).unwrap();
    let meta = root.join("d/su").metadata().unwrap();
    assert_eq!(meta.permissions().mode() & 0o7777, 0o4755);
    assert_eq!((meta.uid(), meta.gid(), meta.mtime()), (12, 34, 1));
    assert_eq!(root.join("d").metadata().unwrap().mtime(), 1_700_000_000);
}

#[test]
fn kernel_limits_hold() {
    let (_dir, root) = scratch();
    std::fs::create_dir_all(&root).unwrap();
    let fd = RootFd::open(&root).unwrap();
    let limits = Limits {
        entries: 2,
        file_bytes: 10,
        reserve_bytes: 0,
    };
    let many = Archive::default()
        .directory("a")
        .directory("b")
        .directory("c");
    assert!(
        unpack(many.0.as_slice(), &fd, limits, &Form::Layer)
            .unwrap_err()
            .to_string()
            .contains("entries")
    );
    let large = Archive::default().file("large", &[0; 11]);
    assert!(
        unpack(large.0.as_slice(), &fd, limits, &Form::Layer)
            .unwrap_err()
            .to_string()
            .contains("larger")
    );
    let full = Limits {
        reserve_bytes: u64::MAX,
        ..Limits::default()
    };
    let small = Archive::default().file("small", b"x");
    assert!(matches!(
        unpack(small.0.as_slice(), &fd, full, &Form::Layer),
        Err(LayerError::NoSpace(_))
    ));
}

/// `find -printf` of a tree: everything that GNU tar and we must agree on.
fn listing(root: &Path) -> String {
    let output = Command::new("/usr/bin/find")
        .args([".", "-printf", "%P %y %m %U %G %s %T@ %l %n\\n"])
        .current_dir(root)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // The size of a directory depends on what has been in it; the root itself is not in the archive.
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(|line| {
            let mut fields: Vec<&str> = line.split(' ').collect();
            if fields[1] == "d" {
                fields[5] = "-";
            }
            fields.join(" ")
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn kernel_benign_archives_give_the_tree_that_gnu_tar_gives() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    let long = "n".repeat(120);
    std::fs::create_dir_all(source.join(format!("a/{long}/{long}"))).unwrap();
    std::fs::write(source.join(format!("a/{long}/{long}/file")), b"deep").unwrap();
    std::fs::write(source.join("large"), vec![7; 300_000]).unwrap();
    std::fs::hard_link(source.join("large"), source.join("large-again")).unwrap();
    std::os::unix::fs::symlink(format!("a/{long}"), source.join("link")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", source.join("absolute")).unwrap();
    std::fs::set_permissions(source.join("a"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    std::os::unix::fs::chown(source.join("large"), Some(1234), Some(70_000)).unwrap();
    let sparse = std::fs::File::create(source.join("sparse")).unwrap();
    sparse.set_len(3 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", 1 << 20).unwrap();
    for options in [
        ["--format=gnu", "--no-acls"].as_slice(),
        &["--format=gnu", "--sparse"],
        &["--format=pax"],
        &["--format=pax", "--sparse"],
        &["--format=pax", "--sparse", "--sparse-version=0.1"],
        &["--format=pax", "--sparse", "--sparse-version=0.0"],
    ] {
        let archive = dir.path().join("archive.tar");
        let tar = |arguments: &[&str]| {
            let status = Command::new("/usr/bin/tar")
                .args(arguments)
                .status()
                .unwrap();
            assert!(status.success(), "{arguments:?}");
        };
        let (source, file) = (source.to_str().unwrap(), archive.to_str().unwrap());
        tar(&[options, &["-C", source, "-cf", file, "."]].concat());
        let (theirs, ours) = (dir.path().join("theirs"), dir.path().join("ours"));
        std::fs::create_dir(&theirs).unwrap();
        tar(&["-C", theirs.to_str().unwrap(), "--same-owner", "-xpf", file]);
        Archive(std::fs::read(&archive).unwrap())
            .unpack(&ours)
            .unwrap();
        assert_eq!(listing(&ours), listing(&theirs), "{options:?}");
        for name in ["large", "sparse"] {
            let read = |root: &Path| std::fs::read(root.join(name)).unwrap();
            assert_eq!(read(&ours), read(&theirs), "{name} {options:?}");
        }
        std::fs::remove_dir_all(theirs).unwrap();
        std::fs::remove_dir_all(ours).unwrap();
    }
}

/// Unpacks files into `directory` of `root`.
fn place(archive: &Archive, root: &Path, placement: Placement) -> Result<(), LayerError> {
    unpack_files(
        archive.0.as_slice(),
        &RootFd::open(root).unwrap(),
        placement,
    )
}

fn below(directory: &str) -> Placement {
    Placement {
        directory: directory.into(),
        ..Placement::default()
    }
}

#[test]
fn kernel_files_go_over_what_is_there() {
    let (dir, root) = scratch();
    std::fs::create_dir_all(root.join("app/data")).unwrap();
    std::fs::set_permissions(root.join("app"), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(root.join("app/data/old"), "old").unwrap();
    let archive = Archive::default()
        .directory("./")
        .directory("data/")
        .file("data/new", b"new")
        .file("data/.wh.old", b"")
        .file("data/.wh..wh..opq", b"")
        .hard_link("data/again", "data/new")
        .symlink("data/up", "../../../outside");
    place(&archive, &root, below("app")).unwrap();
    // The directory itself keeps its mode; marks of layers are files like others here.
    assert_eq!(
        root.join("app").metadata().unwrap().permissions().mode() & 0o7777,
        0o700
    );
    let inside = |name: &str| root.join("app/data").join(name);
    for name in ["old", "new", "again", ".wh.old", ".wh..wh..opq"] {
        assert!(inside(name).is_file(), "{name}");
    }
    assert_eq!(inside("new").metadata().unwrap().nlink(), 2);
    assert!(xattr::get(inside(""), OPAQUE_XATTR).unwrap().is_none());
    assert_eq!(
        std::fs::read(dir.path().join("outside")).unwrap(),
        b"untouched"
    );
    // Out of the directory is out, though it would still be in the root.
    let error = place(&Archive::default().file("../x", b""), &root, below("app")).unwrap_err();
    assert!(error.to_string().contains("leads out"), "{error}");
    let archive = Archive::default().hard_link("l", "../../outside");
    assert!(place(&archive, &root, below("app")).is_err());
}

#[test]
fn kernel_a_file_takes_no_directorys_place_if_that_is_asked() {
    let (_dir, root) = scratch();
    std::fs::create_dir_all(root.join("tmp/dir/sub")).unwrap();
    std::fs::write(root.join("tmp/file"), "").unwrap();
    let careful = Placement {
        keep_kinds: true,
        ..below("tmp")
    };
    let error = place(
        &Archive::default().file("dir", b"x"),
        &root,
        careful.clone(),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"cannot overwrite directory "/tmp/dir" with non-directory "dir""#
    );
    let error = place(
        &Archive::default().directory("file"),
        &root,
        careful.clone(),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"cannot overwrite non-directory "/tmp/file" with directory "file""#
    );
    place(
        &Archive::default().file("file", b"x").directory("dir"),
        &root,
        careful,
    )
    .unwrap();
    assert!(root.join("tmp/dir/sub").exists());
    let archive = Archive::default().file("dir", b"x").directory("file");
    place(&archive, &root, below("tmp")).unwrap();
    assert!(root.join("tmp/dir").is_file() && root.join("tmp/file").is_dir());
}

#[test]
fn kernel_an_owner_can_be_given() {
    let (_dir, root) = scratch();
    std::fs::create_dir(&root).unwrap();
    let placement = Placement {
        owner: Some((12, 34)),
        ..Placement::default()
    };
    let archive = Archive::default()
        .directory("d")
        .file("d/f", b"")
        .symlink("d/l", "x");
    place(&archive, &root, placement).unwrap();
    for name in ["d", "d/f", "d/l"] {
        let meta = root.join(name).symlink_metadata().unwrap();
        assert_eq!((meta.uid(), meta.gid()), (12, 34), "{name}");
    }
}

#[test]
fn kernel_files_never_leave_a_root_that_is_shuffled_meanwhile() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let (dir, root) = scratch();
    let host = dir.path().join("host");
    std::fs::create_dir_all(host.join("sub")).unwrap();
    std::fs::create_dir_all(root.join("app/real/sub")).unwrap();
    let up = format!("../../../../../../../../..{}", host.display());
    let up = Path::new(&up);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for (name, target) in [("app/link", host.as_path()), ("app/up", up)] {
                    let (one, other) = (root.join("app/real"), root.join(name));
                    // What the unpacker has put in its place is put aside.
                    drop(std::os::unix::fs::symlink(target, &other));
                    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).ok();
                }
            }
        });
        let archive = Archive::default()
            .directory("real")
            .directory("real/sub")
            .file("real/sub/file", b"x")
            .file("real/file", b"x")
            .symlink("real/l", "x");
        for _ in 0..2000 {
            drop(place(&archive, &root, below("app")));
            drop(place(
                &Archive::default().file("sub/other", b"x"),
                &root,
                below("app/real"),
            ));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let found: Vec<_> = std::fs::read_dir(&host)
        .unwrap()
        .map(|one| one.unwrap().file_name())
        .collect();
    assert_eq!(found, ["sub"]);
    assert_eq!(std::fs::read_dir(host.join("sub")).unwrap().count(), 0);
}
