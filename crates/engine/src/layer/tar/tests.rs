use proptest::prelude::*;

use super::*;

fn read_all(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut reader = TarReader::new(bytes);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut data = Vec::new();
        reader.read_to_end(&mut data).map_err(TarError::Read)?;
        entries.push((entry, data));
    }
    Ok(entries)
}

fn archive(path: &str, data: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(data.len() as u64);
    header.set_mode(0o4755);
    header.set_uid(7);
    header.set_gid(8);
    header.set_mtime(9);
    builder.append_data(&mut header, path, data).unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn a_file_is_read_with_its_metadata() {
    let entries = read_all(&archive("a/b", b"hello")).unwrap();
    let (entry, data) = &entries[0];
    assert_eq!(entry.path, b"a/b");
    assert_eq!(entry.kind, Kind::File);
    assert_eq!((entry.mode, entry.uid, entry.gid), (0o4755, 7, 8));
    assert_eq!(entry.mtime_seconds, 9);
    assert_eq!(data, b"hello");
    assert_eq!(entries.len(), 1);
}

#[test]
fn long_names_are_whole() {
    let name = "d/".repeat(150) + "file";
    let entries = read_all(&archive(&name, b"x")).unwrap();
    assert_eq!(entries[0].0.path, name.as_bytes());
}

#[test]
fn pax_records_override_the_header() {
    let mut builder = tar::Builder::new(Vec::new());
    builder
        .append_pax_extensions([
            ("path", b"renamed".as_slice()),
            ("mtime", b"-1.25"),
            ("uid", b"100000"),
            ("SCHILY.xattr.user.note", b"a=b\0c"),
        ])
        .unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(1);
    header.set_mode(0o644);
    builder.append_data(&mut header, "name", &b"x"[..]).unwrap();
    let entries = read_all(&builder.into_inner().unwrap()).unwrap();
    let entry = &entries[0].0;
    assert_eq!(entry.path, b"renamed");
    assert_eq!(
        (entry.mtime_seconds, entry.mtime_nanoseconds),
        (-2, 750_000_000)
    );
    assert_eq!(entry.uid, 100_000);
    assert_eq!(entry.xattrs, [(b"user.note".to_vec(), b"a=b\0c".to_vec())]);
}

#[test]
fn lies_are_refused() {
    let good = archive("a", &[1; 600]);
    let cut = read_all(&good[..700]).unwrap_err().to_string();
    assert!(cut.contains("cut short"), "{cut}");

    let mut checksum = good.clone();
    checksum[0] = b'b';
    assert!(
        read_all(&checksum)
            .unwrap_err()
            .to_string()
            .contains("checksum")
    );

    // A size of 8 EiB with no data behind it: an error, not an allocation.
    let mut header = tar::Header::new_gnu();
    header.set_path("huge").unwrap();
    header.set_size(u64::MAX / 2);
    header.set_cksum();
    assert!(read_all(header.as_bytes()).is_err());

    // A long name of 3 GiB.
    let mut header = tar::Header::new_gnu();
    header.set_path("././@LongLink").unwrap();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(3 << 30);
    header.set_cksum();
    assert!(
        read_all(header.as_bytes())
            .unwrap_err()
            .to_string()
            .contains("1 MiB")
    );

    let mut header = tar::Header::new_gnu();
    header.set_path("chown-nothing").unwrap();
    header.set_size(0);
    header.set_uid(u64::from(u32::MAX));
    header.set_cksum();
    assert!(
        read_all(header.as_bytes())
            .unwrap_err()
            .to_string()
            .contains("owner")
    );
}

#[test]
fn zeros_inside_an_archive_do_not_hide_entries() {
    let mut bytes = vec![0; 512];
    bytes.extend(archive("hidden", b""));
    assert!(read_all(&bytes).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _result = read_all(&bytes);
    }

    #[test]
    fn a_damaged_header_is_refused_or_read_without_panic(
        kind in prop::sample::select(b"0123456xgLKSV".to_vec()),
        size in 0_u64..2000,
        fill: [u8; 24],
        at in 100_usize..500,
    ) {
        let mut header = tar::Header::new_gnu();
        header.set_path("name").unwrap();
        header.set_size(size);
        let bytes = header.as_mut_bytes();
        bytes[at..at + 12].copy_from_slice(&fill[..12]);
        bytes[156] = kind;
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(&fill);
        bytes.resize(4096, b'1');
        let _result = read_all(&bytes);
    }

    #[test]
    fn any_pax_header_is_refused_or_read_without_panic(text in "([0-9]{1,3} [a-zA-Z.]{0,20}=[0-9,.\\-]{0,20}\n){0,4}") {
        if let Ok(records) = PaxRecords::parse(text.as_bytes()) {
            let _read = (records.mtime(), records.sparse_map(), records.sparse_size(), records.path());
        }
    }
}
