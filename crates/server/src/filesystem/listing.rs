//! What a directory holds: by the container's own tools when it runs and has them; else from the head of the archive that the
//! engine packs, which holds all the depths of the directory, too, and is therefore cut.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use api::file::{FileEntry, FileKind, FileListing};
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use futures_util::StreamExt as _;
use jiff::Timestamp;

use super::{
    path::CleanPath,
    scan::{Entry, EntryKind, Item, Scan},
    tools,
};
use crate::{
    engines::{CallError, Engine},
    http::ApiError,
};

/// Entries at most.
const MOST: usize = 50_000;
/// So much of an archive is read, in bytes, and for so long.
const MOST_BYTES: usize = 256 * 1024 * 1024;
const LONGEST: Duration = Duration::from_secs(8);
/// Lists the directory `$1`: for each entry `//MODE UID GID SIZE TIME ./NAME` (no name holds a slash), then links with
/// their targets, with zero bytes between.
const SCRIPT: &str = r#"cd "$1" || { if [ -e "$1" ]; then exit 20; else exit 21; fi; }
command -v find >/dev/null && command -v stat >/dev/null || exit 22
find . ! -name . -prune -exec stat -c '//%f %u %g %s %Y %n' {} + || exit 22
printf '\0'
find . ! -name . -prune -type l -exec sh -c 'for f; do printf "%s\0%s\0" "$f" "$(readlink "$f")"; done' sh {} +
exit 0"#;

/// Lists a directory.
///
/// # Errors
/// When there is no such directory.
pub(crate) async fn list(
    engine: &Engine,
    container: &str,
    runs: bool,
    real: &CleanPath,
    shown: &CleanPath,
) -> Result<FileListing, ApiError> {
    if runs {
        match tools::run(
            engine,
            container,
            &["sh", "-c", SCRIPT, "sh", real.as_str()],
        )
        .await
        {
            Ok(done) if done.exit_code == 0 => {
                let (items, all) = read_script(&done.output);
                let incomplete =
                    (done.cut || !all).then(|| format!("only the first {} entries", items.len()));
                return Ok(FileListing {
                    path: shown.as_str().to_owned(),
                    items,
                    incomplete,
                    can_rename: true,
                });
            }
            Ok(done) if done.exit_code == 20 => return Err(not_a_directory(shown)),
            Ok(done) if done.exit_code == 21 => {
                return Err(ApiError::not_found(format!(
                    "directory: {}",
                    shown.as_str()
                )));
            }
            // It has no such tools, or is frozen.
            Ok(done) => {
                tracing::debug!(done.exit_code, done.complaint, "list a directory by tools");
            }
            Err(error @ CallError::Unreachable { .. }) => return Err(error.into()),
            Err(error) => tracing::debug!(%error, "list a directory by tools"),
        }
    }
    from_archive(engine, container, real, shown).await
}

fn not_a_directory(path: &CleanPath) -> ApiError {
    ApiError::invalid_field(
        "path",
        format!("{} is no directory that can be entered", path.as_str()),
    )
}

/// Reads what the script wrote; tells whether that was all.
fn read_script(output: &[u8]) -> (Vec<FileEntry>, bool) {
    let mut parts = output.split(|byte| *byte == 0);
    let stats = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let mut found = BTreeMap::new();
    let mut all = true;
    for record in stats.split("//").filter(|record| !record.is_empty()) {
        if found.len() >= MOST {
            all = false;
            break;
        }
        let Some(entry) = read_stat(record) else {
            continue;
        };
        found.insert(entry.name.clone(), entry);
    }
    let links: Vec<String> = parts
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect();
    for pair in links.chunks_exact(2) {
        if let [name, target] = pair
            && let Some(entry) = found.get_mut(name.trim_start_matches("./"))
        {
            entry.link_target = Some(target.clone());
        }
    }
    (found.into_values().collect(), all)
}

/// `MODE UID GID SIZE TIME ./NAME` with the mode in hexadecimal as the kernel has it.
fn read_stat(record: &str) -> Option<FileEntry> {
    let record = record.strip_suffix('\n').unwrap_or(record);
    let mut words = record.splitn(6, ' ');
    let mode = u32::from_str_radix(words.next()?, 16).ok()?;
    let uid = words.next()?.parse().ok();
    let gid = words.next()?.parse().ok();
    let size = words.next()?.parse().ok()?;
    let time: i64 = words.next()?.parse().ok()?;
    let name = words.next()?.strip_prefix("./")?.to_owned();
    let kind = match mode & 0o170_000 {
        0o100_000 => FileKind::File,
        0o040_000 => FileKind::Directory,
        0o120_000 => FileKind::Link,
        _ => FileKind::Special,
    };
    Some(FileEntry {
        name,
        kind,
        size_bytes: size,
        mode: mode & 0o7777,
        uid,
        gid,
        modified_at: Timestamp::from_second(time).ok(),
        link_target: None,
    })
}

async fn from_archive(
    engine: &Engine,
    container: &str,
    real: &CleanPath,
    shown: &CleanPath,
) -> Result<FileListing, ApiError> {
    let docker = engine.docker()?;
    // With the point at its end the entries are named from the directory itself.
    let path = format!("{}/.", real.as_str().trim_end_matches('/'));
    let options = DownloadFromContainerOptionsBuilder::default()
        .path(&path)
        .build();
    let mut stream = std::pin::pin!(docker.download_from_container(container, Some(options)));
    let begun = Instant::now();
    let (mut scan, mut found, mut read) = (Scan::default(), BTreeMap::new(), 0);
    let mut incomplete = None;
    loop {
        let left = LONGEST.saturating_sub(begun.elapsed());
        let piece = match tokio::time::timeout(left, stream.next()).await {
            Ok(None) => break,
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(error))) => return Err(engine.named(error).into()),
            Err(_elapsed) => {
                incomplete = Some("the directory is large, and of a container that does not run or has no tools the engine tells it only with all that is below".to_owned());
                break;
            }
        };
        read += piece.len();
        let mut items = Vec::new();
        scan.push(piece, &mut items)
            .map_err(|error| CallError::Garbled {
                engine: engine.name.clone(),
                what: error.to_string(),
            })?;
        for item in items {
            if let Item::Entry(entry) = item {
                take(&mut found, &entry);
            }
        }
        if read > MOST_BYTES || found.len() > MOST {
            incomplete = Some("the directory is large, and of a container that does not run or has no tools the engine tells it only with all that is below".to_owned());
            break;
        }
    }
    Ok(FileListing {
        path: shown.as_str().to_owned(),
        items: found.into_values().collect(),
        incomplete,
        can_rename: false,
    })
}

/// Takes an entry that stands in the directory itself; what is deeper tells at least of its directory.
fn take(found: &mut BTreeMap<String, FileEntry>, entry: &Entry) {
    let name = entry.name.trim_start_matches("./").trim_end_matches('/');
    if name.is_empty() || name == "." || name.contains('/') {
        return;
    }
    let kind = match entry.kind {
        EntryKind::File | EntryKind::HardLink => FileKind::File,
        EntryKind::Directory => FileKind::Directory,
        EntryKind::Link => FileKind::Link,
        EntryKind::Special => FileKind::Special,
    };
    found.insert(
        name.to_owned(),
        FileEntry {
            name: name.to_owned(),
            kind,
            size_bytes: entry.size,
            mode: entry.mode,
            uid: Some(entry.uid),
            gid: Some(entry.gid),
            modified_at: Timestamp::from_second(entry.mtime).ok(),
            link_target: (kind == FileKind::Link).then(|| entry.link.clone()),
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_writes_is_read_whatever_names_are() {
        let output = b"//41ed 0 0 4096 1700000000 ./dir\n//81a4 1000 100 12 1700000001 ./two words\n//81a4 0 0 1 5 ./new\nline\n//a1ff 0 0 7 9 ./link\n\0./link\0/bin/sh\0";
        let (items, all) = read_script(output);
        assert!(all);
        let told: Vec<_> = items
            .iter()
            .map(|e| (e.name.as_str(), e.kind, e.mode, e.uid))
            .collect();
        assert_eq!(
            told,
            [
                ("dir", FileKind::Directory, 0o755, Some(0)),
                ("link", FileKind::Link, 0o777, Some(0)),
                ("new\nline", FileKind::File, 0o644, Some(0)),
                ("two words", FileKind::File, 0o644, Some(1000)),
            ]
        );
        assert_eq!(
            items.get(1).unwrap().link_target.as_deref(),
            Some("/bin/sh")
        );
    }

    proptest::proptest! {
        #[test]
        fn any_output_is_read(output in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            drop(read_script(&output));
        }
    }
}
