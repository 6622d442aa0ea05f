use std::io::Write as _;

use super::*;

fn archive(name: &str, data: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, data).unwrap();
    builder.into_inner().unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn kernel_a_layer_is_added_once_in_any_compression() {
    let dir = tempfile::tempdir().unwrap();
    let store = LayerStore::open(dir.path().join("layers")).unwrap();
    let plain = archive("file", b"hello");
    let expected = Digest::of(&plain);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::stream::encode_all(plain.as_slice(), 1).unwrap();
    for bytes in [plain.clone(), gzip, zstd] {
        let (id, _pins) = store.add(bytes.as_slice(), None).unwrap();
        assert_eq!(id, expected);
    }
    assert_eq!(names(&dir.path().join("layers")), [expected.hex()]);
    assert_eq!(store.size_bytes(&expected), Some(5));
    assert_eq!(
        fs::read(store.diff_dir(&expected).join("file")).unwrap(),
        b"hello"
    );
}

#[test]
fn kernel_wrong_or_damaged_content_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = LayerStore::open(dir.path().join("layers")).unwrap();
    let plain = archive("file", &vec![7; 100_000]);
    let wrong = store
        .add(plain.as_slice(), Some(&Digest::of(b"other")))
        .unwrap_err();
    assert!(matches!(wrong, LayerError::WrongContent { .. }));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut gzip = gzip.finish().unwrap();
    gzip.truncate(gzip.len() - 10);
    assert!(matches!(
        store.add(gzip.as_slice(), None),
        Err(LayerError::Invalid(_))
    ));
    let mut zstd = zstd::stream::encode_all(plain.as_slice(), 1).unwrap();
    let middle = zstd.len() / 2;
    zstd[middle] ^= 0xff;
    assert!(
        store
            .add(zstd.as_slice(), Some(&Digest::of(&plain)))
            .is_err()
    );
    let error = store.add(&b"\xfd7zXZ\0rest"[..], None).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("xz compression is not supported"),
        "{error}"
    );
    assert!(names(&dir.path().join("layers")).is_empty());
}

#[test]
fn kernel_what_was_cut_short_is_gone_after_opening() {
    let dir = tempfile::tempdir().unwrap();
    let layers = dir.path().join("layers");
    let kept = {
        let store = LayerStore::open(layers.clone()).unwrap();
        store.add(archive("file", b"x").as_slice(), None).unwrap().0
    };
    fs::create_dir_all(layers.join(".staging-1-0/diff/half")).unwrap();
    fs::create_dir_all(layers.join(".removed-1-0/diff")).unwrap();
    fs::create_dir_all(layers.join("ab").join("diff")).unwrap();
    let store = LayerStore::open(layers.clone()).unwrap();
    assert_eq!(names(&layers), [kept.hex()]);
    assert!(store.size_bytes(&kept).is_some());
}

#[test]
fn kernel_collection_spares_what_is_used_or_held() {
    let dir = tempfile::tempdir().unwrap();
    let store = LayerStore::open(dir.path().join("layers")).unwrap();
    let (used, _) = store.add(archive("used", b"x").as_slice(), None).unwrap();
    let (held, pins) = store.add(archive("held", b"x").as_slice(), None).unwrap();
    let (idle, _) = store.add(archive("idle", b"xyz").as_slice(), None).unwrap();
    let used = BTreeSet::from([used]);
    assert_eq!(store.collect(&used), 3);
    assert_eq!(store.size_bytes(&idle), None);
    assert!(store.size_bytes(&held).is_some());
    drop(pins);
    assert_eq!(store.collect(&used), 1);
    assert_eq!(names(&dir.path().join("layers")).len(), 1);
}

#[test]
fn kernel_a_full_file_system_is_named_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("small");
    fs::create_dir(&target).unwrap();
    rustix::mount::mount(
        "tmpfs",
        &target,
        "tmpfs",
        rustix::mount::MountFlags::empty(),
        Some(c"size=24m"),
    )
    .unwrap();
    let result = {
        let store = LayerStore::open(target.join("layers")).unwrap();
        let error = store
            .add(archive("large", &vec![1; 20 << 20]).as_slice(), None)
            .unwrap_err();
        (error.to_string(), names(&target.join("layers")))
    };
    rustix::mount::unmount(&target, rustix::mount::UnmountFlags::DETACH).unwrap();
    assert!(
        result.0.starts_with("no space left on device"),
        "{}",
        result.0
    );
    assert!(result.1.is_empty(), "{:?}", result.1);
}
