//! What a build fetches: the sources of `ADD` that are addresses, and a context that is one.

use std::path::PathBuf;

use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use super::{area::Area, copy::Source};
use crate::{
    blocking,
    engine::Engine,
    error::{EngineError, Result},
    image::Digest,
};

/// Most bytes that are fetched for one source.
const MAX_BYTES: u64 = 16 << 30;

/// Whether a source is fetched instead of copied.
pub(super) fn is_address(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

/// Whether a source is a repository of git.
pub(super) fn is_repository(source: &str) -> bool {
    let path = source
        .split('#')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let is_git = std::path::Path::new(&path)
        .extension()
        .is_some_and(|extension| extension == "git");
    source.starts_with("git@") || source.starts_with("git://") || (is_address(source) && is_git)
}

/// Fetches a file; into a directory it gets the last part of its address as its name. With `expected`, what is not that is
/// an error.
///
/// # Errors
/// `Invalid` when it cannot be had or is another.
pub(super) async fn file(
    engine: &Engine,
    area: &Area,
    address: &str,
    destination: &str,
    expected: Option<&Digest>,
) -> Result<Source> {
    let (path, mtime_seconds) = fetch(engine, area, address).await?;
    if let Some(expected) = expected {
        let (read, expected, address) = (path.clone(), expected.clone(), address.to_owned());
        blocking::run(move || {
            let failed = || EngineError::io::<std::io::Error>("read", read.display().to_string());
            let mut file = std::fs::File::open(&read).map_err(failed())?;
            let mut hasher = crate::image::Hasher::for_digest(Some(&expected));
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let count = std::io::Read::read(&mut file, &mut buffer).map_err(failed())?;
                if count == 0 {
                    break;
                }
                hasher.update(&buffer[..count]);
            }
            let found = hasher.finish();
            if found == expected {
                Ok(())
            } else {
                Err(EngineError::Invalid(format!(
                    "ADD failed: digest mismatch of {address}: want {expected}, got {found}"
                )))
            }
        })
        .await?;
    }
    let without_query = address.split(['?', '#']).next().unwrap_or_default();
    let name = without_query
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'))
        .and_then(|(_, path)| path.trim_end_matches('/').rsplit('/').next())
        .unwrap_or_default();
    if name.is_empty() && destination.ends_with('/') {
        return Err(EngineError::Invalid(format!(
            "cannot determine filename from url: {address}"
        )));
    }
    let name = if name.is_empty() { "download" } else { name };
    Ok(Source::Fetched {
        name: name.to_owned(),
        path,
        mtime_seconds,
    })
}

/// Fetches a context: an archive, or a Dockerfile alone.
///
/// # Errors
/// `Invalid` when it cannot be had, `Unsupported` for a repository of git.
pub(super) async fn context(
    engine: &Engine,
    area: &std::sync::Arc<Area>,
    address: &str,
    dockerfile: &str,
) -> Result<()> {
    if is_repository(address) || !is_address(address) {
        return Err(EngineError::Unsupported(format!(
            "context {address:?}: this builder does not fetch from git; clone it and build from the directory, or give the address of an archive"
        )));
    }
    let (path, _mtime) = fetch(engine, area, address).await?;
    let (area, name) = (std::sync::Arc::clone(area), dockerfile.to_owned());
    blocking::run(move || {
        let failed = || EngineError::io::<std::io::Error>("read", path.display().to_string());
        let mut start = Vec::new();
        let file = std::fs::File::open(&path).map_err(failed())?;
        std::io::Read::read_to_end(
            &mut std::io::Read::take(file, super::dockerfile::MAX_BYTES),
            &mut start,
        )
        .map_err(failed())?;
        // An archive has zero bytes at its beginning, compressed or not; a Dockerfile is text.
        let is_text = !start.contains(&0) && std::str::from_utf8(&start).is_ok();
        if is_text {
            area.put_dockerfile(&name, &start)
        } else {
            area.unpack(std::fs::File::open(&path).map_err(failed())?)
        }
    })
    .await
}

async fn fetch(engine: &Engine, area: &Area, address: &str) -> Result<(PathBuf, i64)> {
    let refused = |why: &dyn std::fmt::Display| {
        EngineError::Invalid(format!("ADD failed: fetch {address}: {why}"))
    };
    let response = engine
        .images
        .download(address)
        .await
        .map_err(|error| refused(&error))?;
    let mtime_seconds = response
        .headers()
        .get(http::header::LAST_MODIFIED)
        .and_then(|value| value.to_str().ok())
        .and_then(crate::time::parse_http_seconds)
        .unwrap_or_default();
    let path = area.place("fetched");
    let written = || EngineError::io::<std::io::Error>("write", path.display().to_string());
    let mut file = tokio::fs::File::create(&path).await.map_err(written())?;
    let mut body = response.bytes_stream();
    let mut length = 0;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| refused(&error))?;
        length += chunk.len() as u64;
        if length > MAX_BYTES {
            return Err(refused(&format!("it has more than {MAX_BYTES} bytes")));
        }
        file.write_all(&chunk).await.map_err(written())?;
    }
    file.flush().await.map_err(written())?;
    Ok((path, mtime_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths() {
        assert!(is_address("https://a.example/x.tar"));
        assert!(!is_address("https/x"));
        assert!(is_repository("https://a.example/x.git#main"));
        assert!(is_repository("git@a.example:x"));
        assert!(!is_repository("https://a.example/x.tar"));
    }
}
