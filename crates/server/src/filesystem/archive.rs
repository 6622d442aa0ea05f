//! Files through the engine's archive endpoints.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::{
    path::CleanPath,
    scan::{Entry, EntryKind, Item, NotTar, Scan},
};
use crate::{
    engines::{CallError, Engine},
    http::ApiError,
};

/// The engine must begin to answer within this time.
const FIRST_ANSWER: std::time::Duration = std::time::Duration::from_secs(30);

/// What a path holds, as it streams by.
pub(crate) enum Content {
    /// A file: its header, then its bytes.
    File(
        Entry,
        futures_util::stream::BoxStream<'static, io::Result<Bytes>>,
    ),
    /// Anything else: the archive as the engine packs it.
    Archive(futures_util::stream::BoxStream<'static, io::Result<Bytes>>),
}

/// Asks the engine for what a path of a container holds.
///
/// # Errors
/// The engine's words, such as that there is no such file.
pub(crate) async fn read_file(
    engine: &Engine,
    container: &str,
    path: &CleanPath,
) -> Result<Content, ApiError> {
    let docker = engine.docker()?;
    let id = container.to_owned();
    let options = DownloadFromContainerOptionsBuilder::default()
        .path(path.as_str())
        .build();
    // Boxed: the stream must own its client.
    let mut stream = async_stream(docker, id, options).boxed();
    let (mut scan, mut seen, mut items) = (Scan::default(), Vec::new(), Vec::new());
    let entry = loop {
        let piece = match tokio::time::timeout(FIRST_ANSWER, stream.next()).await {
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(error))) => return Err(engine.named(error).into()),
            Ok(None) => return Err(garbled(engine, "it packed nothing").into()),
            Err(_elapsed) => {
                return Err(CallError::Timeout {
                    engine: engine.name.clone(),
                    seconds: FIRST_ANSWER.as_secs(),
                }
                .into());
            }
        };
        seen.push(piece.clone());
        scan.push(piece, &mut items)
            .map_err(|error| garbled(engine, &error.to_string()))?;
        if let Some(Item::Entry(entry)) = items.first() {
            break entry.clone();
        }
    };
    let rest = stream.map(|piece| piece.map_err(|error| io::Error::other(error.to_string())));
    if entry.kind != EntryKind::File {
        let seen = futures_util::stream::iter(seen.into_iter().map(Ok));
        return Ok(Content::Archive(seen.chain(rest).boxed()));
    }
    let first = data_of(items);
    let bytes = rest.flat_map(move |piece| {
        let mut items = Vec::new();
        let read = piece.and_then(|piece| scan.push(piece, &mut items).map_err(io::Error::other));
        let failed = read.err().map(Err);
        futures_util::stream::iter(data_of(items).into_iter().map(Ok).chain(failed))
    });
    let bytes = futures_util::stream::iter(first.into_iter().map(Ok)).chain(bytes);
    Ok(Content::File(entry, bytes.boxed()))
}

fn data_of(items: Vec<Item>) -> Vec<Bytes> {
    let data = items.into_iter().filter_map(|item| match item {
        Item::Data(bytes) => Some(bytes),
        Item::Entry(_) => None,
    });
    data.collect()
}

fn async_stream(
    docker: bollard::Docker,
    id: String,
    options: bollard::query_parameters::DownloadFromContainerOptions,
) -> impl Stream<Item = Result<Bytes, bollard::errors::Error>> + Send + 'static {
    docker.download_from_container(&id, Some(options))
}

fn garbled(engine: &Engine, what: &str) -> CallError {
    CallError::Garbled {
        engine: engine.name.clone(),
        what: what.to_owned(),
    }
}

/// An archive that is let through only as long as it is one and names nothing outside the directory that it goes to.
pub(crate) fn checked<E: std::fmt::Display>(
    archive: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> (
    impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    Arc<OnceLock<NotTar>>,
) {
    let mut scan = Scan::default();
    let wrong = Arc::new(OnceLock::new());
    let tell = Arc::clone(&wrong);
    let stop = move |error: NotTar| {
        // The first fault is the one that stopped it.
        drop(tell.set(error.clone()));
        io::Error::other(error)
    };
    let stream = archive.map(move |piece| {
        let piece = piece.map_err(|error| io::Error::other(error.to_string()))?;
        let mut items = Vec::new();
        scan.push(piece.clone(), &mut items).map_err(&stop)?;
        for item in &items {
            if let Item::Entry(entry) = item
                && (walks(&entry.name) || (entry.kind == EntryKind::HardLink && walks(&entry.link)))
            {
                return Err(stop(NotTar("an entry's name leads out of the directory")));
            }
        }
        Ok(piece)
    });
    (stream, wrong)
}

fn walks(name: &str) -> bool {
    name.starts_with('/') || name.split('/').any(|part| part == "..")
}

/// The header of one entry, with an extended one before it when the name or size needs it.
pub(crate) fn header_of(entry: &Entry) -> Vec<u8> {
    let mut archive = Vec::new();
    if entry.name.len() > 100 || entry.size > 0o777_7777_7777 {
        let mut records = pax_record("path", &entry.name);
        records.extend(pax_record("size", &entry.size.to_string()));
        archive.extend(block("pax", b'x', 0o644, 0, 0, records.len() as u64, 0));
        let pad = padding(records.len() as u64);
        archive.extend(records);
        archive.extend(std::iter::repeat_n(0, pad));
    }
    let flag = match entry.kind {
        EntryKind::Directory => b'5',
        _ => b'0',
    };
    let name: String = if entry.name.len() > 100 {
        "long".to_owned()
    } else {
        entry.name.clone()
    };
    let mtime = u64::try_from(entry.mtime).unwrap_or_default();
    archive.extend(block(
        &name, flag, entry.mode, entry.uid, entry.gid, entry.size, mtime,
    ));
    archive
}

/// How many bytes fill up the last block of a content.
pub(crate) fn padding(size: u64) -> usize {
    usize::try_from(size.next_multiple_of(512) - size).unwrap_or_default()
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn pax_record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    loop {
        let whole = rest.len() + length.to_string().len();
        if whole == length {
            return format!("{length}{rest}").into_bytes();
        }
        length = whole;
    }
}

fn block(name: &str, flag: u8, mode: u32, uid: u32, gid: u32, size: u64, mtime: u64) -> Vec<u8> {
    let mut block = vec![0_u8; 512];
    let mut put = |at: usize, bytes: &[u8]| {
        for (place, byte) in block.iter_mut().skip(at).zip(bytes) {
            *place = *byte;
        }
    };
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, format!("{:07o}\0", uid.min(0o777_7777)).as_bytes());
    put(116, format!("{:07o}\0", gid.min(0o777_7777)).as_bytes());
    // A larger size stands in the extended header.
    put(
        124,
        format!("{:011o}\0", size.min(0o777_7777_7777)).as_bytes(),
    );
    put(
        136,
        format!("{:011o}\0", mtime.min(0o777_7777_7777)).as_bytes(),
    );
    put(148, b"        ");
    put(156, &[flag]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    for (place, byte) in block
        .iter_mut()
        .skip(148)
        .zip(format!("{sum:06o}\0 ").as_bytes())
    {
        *place = *byte;
    }
    block
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[tokio::test]
    async fn what_is_packed_here_is_read_by_another_program() {
        for name in ["file".to_owned(), "x".repeat(180)] {
            let entry = Entry {
                name: name.clone(),
                kind: EntryKind::File,
                mode: 0o600,
                uid: 5,
                gid: 6,
                size: 5,
                mtime: 1_700_000_000,
                link: String::new(),
            };
            let mut archive = header_of(&entry);
            archive.extend(b"hello");
            archive.extend(std::iter::repeat_n(0, padding(5) + 1024));
            let mut read = tar::Archive::new(archive.as_slice());
            let mut one = read.entries().unwrap().next().unwrap().unwrap();
            assert_eq!(one.path().unwrap().to_str().unwrap(), name);
            assert_eq!(one.header().mode().unwrap(), 0o600);
            assert_eq!(
                (one.header().uid().unwrap(), one.header().gid().unwrap()),
                (5, 6)
            );
            let mut text = String::new();
            one.read_to_string(&mut text).unwrap();
            assert_eq!(text, "hello");
        }
    }

    #[tokio::test]
    async fn an_archive_that_leads_out_is_stopped() {
        for name in ["../evil", "/etc/passwd", "a/../../b"] {
            let entry = Entry {
                name: name.to_owned(),
                kind: EntryKind::File,
                mode: 0o600,
                uid: 0,
                gid: 0,
                size: 0,
                mtime: 0,
                link: String::new(),
            };
            let piece = Ok::<_, io::Error>(Bytes::from(header_of(&entry)));
            let (stream, wrong) = checked(futures_util::stream::iter([piece]));
            let out: Vec<_> = stream.collect().await;
            assert!(matches!(out.as_slice(), [Err(_)]), "{name}");
            assert!(wrong.get().is_some());
        }
    }
}
