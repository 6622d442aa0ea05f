//! The content store: every blob under its digest.
//!
//! A blob is written to `ingest/`, hashed on the way, made durable, and only then renamed to its name; so what has a name
//! is whole. What lies in `ingest/` at start-up was cut short and is removed.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use super::digest::{Digest, Hasher};
use crate::error::{EngineError, Result};

/// The blobs of one engine. All calls block.
#[derive(Debug)]
pub(super) struct Blobs {
    dir: PathBuf,
    ingest: PathBuf,
    next: AtomicU64,
}

impl Blobs {
    /// Opens the store `dir`, removing what was cut short.
    pub(super) fn open(dir: PathBuf) -> io::Result<Self> {
        let ingest = dir.join("ingest");
        match fs::remove_dir_all(&ingest) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for algorithm in ["sha256", "sha512"] {
            fs::create_dir_all(dir.join(algorithm))?;
        }
        fs::create_dir_all(&ingest)?;
        Ok(Self {
            dir,
            ingest,
            next: AtomicU64::new(0),
        })
    }

    /// Where a blob is, or would be.
    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(digest.algorithm()).join(digest.hex())
    }

    /// Length of a blob in bytes; `None` when it is not here.
    pub(super) fn size_bytes(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(self.path(digest)).ok().map(|meta| meta.len())
    }

    /// Opens a blob for reading.
    pub(super) fn open_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.path(digest);
        File::open(&path).map_err(EngineError::io("open blob", path.display()))
    }

    /// Reads a small blob whole and checks that it still is what its name says.
    ///
    /// # Errors
    /// `Internal` when it is missing, longer than `most` bytes, or damaged.
    pub(super) fn read(&self, digest: &Digest, most: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_blob(digest)?
            .take(most + 1)
            .read_to_end(&mut bytes)
            .map_err(EngineError::io("read blob", digest))?;
        if bytes.len() as u64 > most {
            return Err(EngineError::internal("read blob", digest, "too large"));
        }
        let mut hasher = Hasher::for_digest(Some(digest));
        hasher.update(&bytes);
        if hasher.finish() != *digest {
            return Err(EngineError::internal(
                "read blob",
                digest,
                "it is damaged on disk: remove the image and pull or load it again",
            ));
        }
        Ok(bytes)
    }

    /// Stores `bytes` and returns their digest.
    pub(super) fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.size_bytes(&digest) == Some(bytes.len() as u64) {
            return Ok(digest);
        }
        let mut ingest = self.ingest(Some(&digest))?;
        ingest
            .write_all(bytes)
            .map_err(EngineError::io("write blob", &digest))?;
        self.commit(ingest, Some(&digest))
    }

    /// Begins to write a blob, which `expected` names when it is known.
    pub(super) fn ingest(&self, expected: Option<&Digest>) -> Result<Ingest> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.ingest.join(number.to_string());
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(EngineError::io("create", path.display()))?;
        Ok(Ingest {
            path,
            file,
            hasher: Hasher::for_digest(expected),
            size_bytes: 0,
        })
    }

    /// Gives a written blob its name, durably, if it is `expected`.
    ///
    /// # Errors
    /// `Invalid` when its digest is another; nothing is left then.
    pub(super) fn commit(&self, ingest: Ingest, expected: Option<&Digest>) -> Result<Digest> {
        let found = ingest.hasher.clone().finish();
        if let Some(expected) = expected
            && *expected != found
        {
            return Err(EngineError::Invalid(format!(
                "content does not match its digest: want {expected}, got {found}"
            )));
        }
        ingest
            .file
            .sync_all()
            .map_err(EngineError::io("sync blob", &found))?;
        let path = self.path(&found);
        fs::rename(&ingest.path, &path).map_err(EngineError::io("rename to", path.display()))?;
        path.parent()
            .map_or(Ok(()), sync_dir)
            .map_err(EngineError::io("sync directory of", path.display()))?;
        Ok(found)
    }

    /// Removes a blob; fine when it is not here.
    pub(super) fn remove(&self, digest: &Digest) -> io::Result<()> {
        match fs::remove_file(self.path(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// All blobs with their lengths in bytes.
    pub(super) fn list(&self) -> io::Result<Vec<(Digest, u64)>> {
        let mut blobs = Vec::new();
        for algorithm in ["sha256", "sha512"] {
            for entry in fs::read_dir(self.dir.join(algorithm))? {
                let entry = entry?;
                let name = entry.file_name();
                let digest = name
                    .to_str()
                    .map(|hex| format!("{algorithm}:{hex}").parse());
                if let Some(Ok(digest)) = digest {
                    blobs.push((digest, entry.metadata()?.len()));
                }
            }
        }
        Ok(blobs)
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// A blob that is being written; gone when dropped before [`Blobs::commit`].
#[derive(Debug)]
pub(super) struct Ingest {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    size_bytes: u64,
}

impl Ingest {
    /// Bytes written so far.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Digest of what was written so far.
    pub(super) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Throws away what was written.
    pub(super) fn restart(&mut self, expected: Option<&Digest>) -> io::Result<()> {
        use std::io::Seek as _;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.hasher = Hasher::for_digest(expected);
        self.size_bytes = 0;
        Ok(())
    }
}

impl Write for Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size_bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        // After a commit nothing bears this name any more.
        drop(fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finished_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path().join("blobs")).unwrap();
        let digest = Digest::of(b"hello");
        let mut half = blobs.ingest(Some(&digest)).unwrap();
        half.write_all(b"hel").unwrap();
        assert_eq!(blobs.size_bytes(&digest), None);
        assert!(
            blobs
                .commit(half, Some(&digest))
                .unwrap_err()
                .to_string()
                .contains("does not match")
        );
        assert_eq!(
            fs::read_dir(dir.path().join("blobs/ingest"))
                .unwrap()
                .count(),
            0
        );
        assert_eq!(blobs.put(b"hello").unwrap(), digest);
        assert_eq!(blobs.read(&digest, 10).unwrap(), b"hello");
        assert!(blobs.read(&digest, 4).is_err());
        assert_eq!(blobs.list().unwrap(), [(digest, 5)]);
    }

    #[test]
    fn a_damaged_blob_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path().join("blobs")).unwrap();
        let digest = blobs.put(b"hello").unwrap();
        fs::write(blobs.path(&digest), b"hellO").unwrap();
        assert!(
            blobs
                .read(&digest, 10)
                .unwrap_err()
                .to_string()
                .contains("damaged")
        );
    }
}
