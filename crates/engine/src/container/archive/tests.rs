use std::{fs, os::unix::fs::symlink, path::Path};

use proptest::prelude::*;

use super::{
    super::engine_fixture::{Fixture, ID_PASSWD, fixture, tar_of},
    *,
};
use crate::layer::TarReader;

#[test]
fn paths_mean_what_they_mean_to_docker() {
    let wanted = |text: &str| {
        let wanted = Wanted::parse(text).unwrap();
        (wanted.path, wanted.through, wanted.base)
    };
    for (text, path, through, base) in [
        ("/a/b", "a/b", false, "b"),
        ("a/b", "a/b", false, "b"),
        ("/a/b/", "a/b", true, "b"),
        ("/a/b/.", "a/b", true, "."),
        ("/a/b/./", "a/b", true, "."),
        ("/a/../../b", "b", false, "b"),
        ("/a/..", "", true, "/"),
        ("/", "", true, "/"),
        ("/.", "", true, "."),
        (".", "", true, "."),
        ("a//./b", "a/b", false, "b"),
    ] {
        assert_eq!(wanted(text), (path.into(), through, base.into()), "{text}");
    }
    assert!(Wanted::parse("/a\0b").is_err());
}

#[test]
fn modes_are_those_of_go() {
    for (mode, go) in [
        (0o100_644, 0o644),
        (0o040_755, 1 << 31 | 0o755),
        (0o041_777, 1 << 31 | 1 << 20 | 0o777),
        (0o104_755, 1 << 23 | 0o755),
        (0o102_755, 1 << 22 | 0o755),
        (0o120_777, 1 << 27 | 0o777),
        (0o010_600, 1 << 25 | 0o600),
        (0o140_755, 1 << 24 | 0o755),
        (0o020_666, 1 << 26 | 1 << 21 | 0o666),
        (0o060_660, 1 << 26 | 0o660),
    ] {
        assert_eq!(go_mode(mode), go, "{mode:o}");
    }
}

proptest! {
    #[test]
    fn no_path_leads_out_and_none_breaks_the_parser(text in "[a./\u{e4}]{0,20}") {
        let wanted = Wanted::parse(&text).unwrap();
        let parts: Vec<_> = wanted.path.split('/').collect();
        prop_assert!(wanted.path.is_empty() || parts.iter().all(|part| !matches!(*part, "" | "." | "..")));
        prop_assert!(!wanted.base.is_empty());
    }
}

impl Fixture {
    fn files(&self, access: Access) -> ContainerFiles {
        self.engine
            .container_files(&self.container, access)
            .unwrap()
    }

    fn find(&self, path: &str) -> Result<PathStat> {
        Ok(self.files(Access::Read).find("box", path)?.stat)
    }

    fn packed(&self, path: &str) -> Vec<u8> {
        let files = self.files(Access::Read);
        let mut archive = Vec::new();
        files
            .pack(&files.find("box", path).unwrap(), &mut archive)
            .unwrap();
        archive
    }

    fn names(&self, path: &str) -> Vec<String> {
        let archive = self.packed(path);
        let mut reader = TarReader::new(archive.as_slice());
        let mut names = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            names.push(String::from_utf8(entry.path).unwrap());
        }
        names
    }

    fn content(&self, path: &str) -> String {
        let archive = self.packed(path);
        let mut reader = TarReader::new(archive.as_slice());
        reader.next_entry().unwrap().unwrap();
        std::io::read_to_string(&mut reader).unwrap()
    }

    fn extract(&self, path: &str, files: &[(&str, &str)], options: ExtractOptions) -> Result<()> {
        let archive = tar_of(files);
        let record = self.container.record();
        self.files(Access::Write)
            .extract(("box", path), &record, options, archive.as_slice())
    }
}

#[test]
fn kernel_what_is_at_a_path_is_told_and_copied() {
    let box_ = fixture(|_record| {});
    let file = box_.find("/etc/passwd").unwrap();
    assert_eq!((file.name.as_str(), file.mode), ("passwd", 0o644));
    assert_eq!(file.size, i64::try_from(ID_PASSWD.len()).unwrap());
    assert_eq!(file.mtime, "2023-11-14T22:13:20.000000000Z");
    assert_eq!(box_.content("etc/passwd"), ID_PASSWD);
    assert_eq!(box_.names("/tmp"), ["tmp/", "tmp/old"]);
    assert_eq!(box_.names("/tmp/."), ["./", "./old"]);
    assert_eq!(
        box_.names("/dir/"),
        ["dir/", "dir/hosts", "dir/link", "dir/passwd"]
    );
    // A link by its name is a link; with a slash it is where it leads.
    assert_eq!(box_.names("/dir"), ["dir"]);
    assert!(
        box_.names("/")
            .starts_with(&["/".to_owned(), "/.dockerenv".to_owned()])
    );
    let message = box_.find("/no/such").unwrap_err().to_string();
    assert_eq!(message, "Could not find the file /no/such in container box");
    assert!(matches!(
        box_.find("/etc/passwd/"),
        Err(EngineError::Invalid(_))
    ));
    assert!(matches!(
        box_.find("/etc/passwd/x"),
        Err(EngineError::NotFound(_))
    ));
    assert!(matches!(
        box_.find(&"x".repeat(300)),
        Err(EngineError::Invalid(_))
    ));
}

#[test]
fn kernel_links_are_followed_inside_only() {
    let box_ = fixture(|_record| {});
    let target = |path: &str| box_.find(path).unwrap().link_target;
    assert_eq!(target("/dir"), "/etc");
    assert_eq!(target("/chain"), "/etc/passwd");
    assert_eq!(target("/dir/link"), "/etc/passwd");
    assert_eq!(target("/out"), "/etc");
    assert_eq!(target("/nowhere"), "/etc/missing/x");
    assert!(matches!(box_.find("/loop"), Err(EngineError::Invalid(_))));
    // The container's file, not the host's.
    assert_eq!(box_.content("/out/passwd"), ID_PASSWD);
    box_.extract("/out", &[("written", "x")], ExtractOptions::default())
        .unwrap();
    assert_eq!(box_.content("/etc/written"), "x");
    assert!(!Path::new("/etc/written").exists());
}

#[test]
fn kernel_volumes_and_binds_are_there() {
    let box_ = fixture(|_record| {});
    assert_eq!(box_.content("/host/file"), "of the host");
    assert_eq!(box_.content("/etc/hosts"), "of the host");
    box_.extract("/data", &[("kept", "x")], ExtractOptions::default())
        .unwrap();
    assert_eq!(box_.content("/data/kept"), "x");
    let volume = box_.engine.volumes.inspect("vol").unwrap().mountpoint;
    assert_eq!(fs::read(Path::new(&volume).join("kept")).unwrap(), b"x");
    // Nothing of it is in the container's own layer but what it is mounted on.
    let changes = box_
        .engine
        .images
        .snapshots()
        .changes(box_.container.id())
        .unwrap();
    let paths: Vec<_> = changes
        .iter()
        .map(|change| change.path.to_str().unwrap())
        .collect();
    assert_eq!(paths, ["/data", "/host"]);
}

#[test]
fn kernel_to_look_changes_nothing_and_nothing_stays_mounted() {
    let box_ = fixture(|_record| {});
    let (one, other) = (box_.files(Access::Read), box_.files(Access::Read));
    assert!(one.find("box", "/data").is_ok() && other.find("box", "/host/file").is_ok());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(box_.dir.path().to_str().unwrap()));
    drop((one, other));
    let changes = box_
        .engine
        .images
        .snapshots()
        .changes(box_.container.id())
        .unwrap();
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn kernel_what_is_read_only_is_not_written_to() {
    let box_ = fixture(|record| record.host_config.readonly_rootfs = Some(true));
    let message = |path: &str| {
        box_.extract(path, &[("x", "x")], ExtractOptions::default())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(message("/tmp"), "container rootfs is marked read-only");
    assert_eq!(message("/host"), "mounted volume is marked read-only");
    box_.extract("/data", &[("x", "x")], ExtractOptions::default())
        .unwrap();
    assert_eq!(
        message("/etc/passwd"),
        "extraction point is not a directory"
    );
    assert_eq!(
        message("/no"),
        "Could not find the file /no in container box"
    );
    // A way around through a link ends at the same mount.
    assert!(message("/dir").contains("rootfs is marked"));
}

#[test]
fn kernel_files_can_be_given_to_the_containers_user() {
    let box_ = fixture(|record| record.config.user = Some("web".into()));
    let options = ExtractOptions {
        to_its_user: true,
        ..ExtractOptions::default()
    };
    box_.extract("/tmp", &[("mine", "x")], options).unwrap();
    let entry = TarReader::new(box_.packed("/tmp/mine").as_slice())
        .next_entry()
        .unwrap()
        .unwrap();
    assert_eq!((entry.uid, entry.gid), (33, 44));
}

#[test]
fn kernel_hostile_archives_stay_in_their_directory() {
    let box_ = fixture(|_record| {});
    let plain = ExtractOptions::default();
    let evil = Archive::default().entry(b'0', "../etc/passwd", "", b"x");
    assert!(
        box_.files(Access::Write)
            .extract(
                ("box", "/tmp"),
                &box_.container.record(),
                plain,
                evil.0.as_slice()
            )
            .is_err()
    );
    let node = Archive::default()
        .entry(b'4', "disk", "", b"")
        .entry(b'0', "/etc/passwd", "", b"y");
    box_.files(Access::Write)
        .extract(
            ("box", "/tmp"),
            &box_.container.record(),
            plain,
            node.0.as_slice(),
        )
        .unwrap();
    // A device is left out, an absolute name begins at the directory.
    assert_eq!(
        box_.names("/tmp"),
        ["tmp/", "tmp/etc/", "tmp/etc/passwd", "tmp/old"]
    );
    assert_eq!(box_.content("/etc/passwd"), ID_PASSWD);
    for cut in [10, 600] {
        let broken = &evil.0[..cut];
        assert!(
            box_.files(Access::Write)
                .extract(("box", "/tmp"), &box_.container.record(), plain, broken)
                .is_err()
        );
    }
}

/// Entries without the checks that the tar crate makes.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn entry(mut self, kind: u8, path: &str, link: &str, data: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.as_mut_bytes()[156] = kind;
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_device_major(8).unwrap();
        header.set_device_minor(0).unwrap();
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }
}

#[test]
fn kernel_the_file_system_of_a_process_that_is_not_the_containers_is_refused() {
    let box_ = fixture(|_record| {});
    let own = i32::try_from(std::process::id()).unwrap();
    assert!(
        super::super::filesystem::running_root(&box_.container, own)
            .unwrap()
            .is_none()
    );
}

#[test]
fn kernel_a_container_that_shuffles_its_volume_never_gets_at_the_host() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let box_ = fixture(|_record| {});
    let host = tempfile::tempdir().unwrap();
    fs::create_dir(host.path().join("sub")).unwrap();
    fs::write(host.path().join("sub/secret"), "SECRET").unwrap();
    let volume = box_.engine.volumes.inspect("vol").unwrap().mountpoint;
    let volume = Path::new(&volume);
    fs::create_dir_all(volume.join("real/sub")).unwrap();
    fs::write(volume.join("real/sub/secret"), "mine").unwrap();
    symlink(host.path(), volume.join("link")).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let (one, other) = (volume.join("real"), volume.join("link"));
                renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).ok();
            }
        });
        for round in 0..200 {
            let path = if round % 2 == 0 {
                "/data/real"
            } else {
                "/data/real/sub"
            };
            let files = box_.files(Access::Write);
            let mut archive = Vec::new();
            if let Ok(found) = files.find("box", path) {
                drop(files.pack(&found, &mut archive));
            }
            assert!(!archive.windows(6).any(|bytes| bytes == b"SECRET"));
            let upload = tar_of(&[("sub/", ""), ("sub/planted", "x"), ("planted", "x")]);
            let record = box_.container.record();
            let plain = ExtractOptions::default();
            drop(files.extract(("box", path), &record, plain, upload.as_slice()));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(fs::read_dir(host.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(host.path().join("sub")).unwrap().count(), 1);
}

#[test]
fn kernel_an_export_is_the_root_file_system_alone() {
    let box_ = fixture(|_record| {});
    box_.extract("/data", &[("in-volume", "x")], ExtractOptions::default())
        .unwrap();
    box_.extract("/tmp", &[("new", "x")], ExtractOptions::default())
        .unwrap();
    let mut archive = Vec::new();
    let files = box_.engine.container_rootfs(&box_.container).unwrap();
    files.pack_all(&mut archive).unwrap();
    let mut reader = TarReader::new(archive.as_slice());
    let mut names = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        names.push(String::from_utf8(entry.path).unwrap());
    }
    assert!(names.contains(&"tmp/new".to_owned()) && names.contains(&"data/".to_owned()));
    assert!(
        !names
            .iter()
            .any(|name| name.starts_with("data/i") || name.starts_with("host/f"))
    );
}
