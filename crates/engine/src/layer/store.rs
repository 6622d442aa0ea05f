//! Layers on disk, each unpacked once.
//!
//! A layer lies under its diff id (`LAYERS/<hex of diff id>/{layer.json,diff/}`): its files do not depend on the layers
//! below, so two images share it wherever it stands. It appears by one rename when it is complete and verified, and goes
//! by one rename; whatever else is in the directory at start-up was cut short and is removed.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use super::{
    error::LayerError,
    remove::remove_tree,
    root::RootFd,
    unpack::{Form, Limits, decompressed, unpack},
};
use crate::{
    image::{Digest, Hasher},
    store::write_atomic_volatile,
};

const STAGING_PREFIX: &str = ".staging-";
const REMOVED_PREFIX: &str = ".removed-";
const RECORD_FILE: &str = "layer.json";

/// What is known of an unpacked layer: the content of `layer.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct LayerRecord {
    diff_id: Digest,
    /// Bytes of all files.
    size_bytes: u64,
}

#[derive(Debug, Default)]
struct Layers {
    /// Size in bytes by diff id.
    known: HashMap<Digest, u64>,
    /// How many operations hold a digest (of a layer or a blob) against collection.
    pinned: HashMap<Digest, usize>,
}

/// The unpacked layers of one engine.
#[derive(Debug)]
pub(crate) struct LayerStore {
    dir: PathBuf,
    layers: Mutex<Layers>,
    next: AtomicU64,
    limits: Limits,
}

/// Holds digests against collection until dropped: of layers and blobs that an operation has begun to use and that no
/// record names yet.
#[derive(Debug)]
pub(crate) struct Pins {
    store: Arc<LayerStore>,
    digests: Vec<Digest>,
}

impl LayerStore {
    /// Opens the store in `dir`, removing what was cut short. Blocks.
    pub(crate) fn open(dir: PathBuf) -> io::Result<Arc<Self>> {
        fs::create_dir_all(&dir)?;
        let mut known = HashMap::new();
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            match complete(&path) {
                Some(record) => {
                    known.insert(record.diff_id, record.size_bytes);
                }
                None => remove_tree(&path)?,
            }
        }
        Ok(Arc::new(Self {
            dir,
            layers: Mutex::new(Layers {
                known,
                pinned: HashMap::new(),
            }),
            next: AtomicU64::new(0),
            limits: Limits::default(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Layers> {
        // Every critical section is one change of one map.
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of the files of a layer; `None` when it is not here.
    pub(crate) fn size_bytes(&self, diff_id: &Digest) -> Option<u64> {
        self.lock().known.get(diff_id).copied()
    }

    /// The directory that overlayfs reads for this layer.
    pub(crate) fn diff_dir(&self, diff_id: &Digest) -> PathBuf {
        self.dir.join(diff_id.hex()).join("diff")
    }

    /// Holds `digests` against collection.
    pub(crate) fn pin(self: &Arc<Self>, digests: Vec<Digest>) -> Pins {
        let mut layers = self.lock();
        for digest in &digests {
            *layers.pinned.entry(digest.clone()).or_default() += 1;
        }
        drop(layers);
        Pins {
            store: Arc::clone(self),
            digests,
        }
    }

    /// Whether an operation holds this digest.
    pub(crate) fn is_pinned(&self, digest: &Digest) -> bool {
        self.lock().pinned.contains_key(digest)
    }

    /// Unpacks an archive, which may be compressed, and makes the layer visible when its content is `expected` (or
    /// whatever it is, without). Nothing is left when it is not. Returns the diff id, held against collection. Blocks.
    ///
    /// # Errors
    /// `Invalid` or `WrongContent` for the archive, `NoSpace`, `Io`.
    pub(crate) fn add(
        self: &Arc<Self>,
        archive: impl Read + Send,
        expected: Option<&Digest>,
    ) -> Result<(Digest, Pins), LayerError> {
        if let Some(expected) = expected {
            let pins = self.pin(vec![expected.clone()]);
            if self.size_bytes(expected).is_some() {
                return Ok((expected.clone(), pins));
            }
        }
        let staging = self.temporary(STAGING_PREFIX);
        let added = self.add_in(&staging, archive, expected);
        if let Err(error) = remove_tree(&staging) {
            tracing::warn!(path = %staging.display(), %error, "remove a staging directory");
        }
        added
    }

    fn add_in(
        self: &Arc<Self>,
        staging: &Path,
        archive: impl Read + Send,
        expected: Option<&Digest>,
    ) -> Result<(Digest, Pins), LayerError> {
        let diff = staging.join("diff");
        // Nobody but us looks into a half-made tree with set-uid files.
        create_private(staging).map_err(LayerError::path("create", staging))?;
        fs::create_dir(&diff).map_err(LayerError::path("create", &diff))?;
        let root = RootFd::open(&diff).map_err(LayerError::path("open", &diff))?;
        rustix::fs::fchmod(&root, rustix::fs::Mode::from(0o755))
            .map_err(LayerError::path("chmod", &diff))?;
        let stream = decompressed(archive).map_err(super::tar::TarError::Read)?;
        let hashing = HashingReader {
            inner: stream,
            hasher: Hasher::for_digest(expected),
        };
        let (mut rest, size_bytes) = unpack(hashing, &root, self.limits, &Form::Layer)?;
        // The diff id covers the archive to its last byte, behind the end mark as well.
        io::copy(&mut rest, &mut io::sink()).map_err(super::tar::TarError::Read)?;
        let found = rest.hasher.finish();
        if let Some(expected) = expected
            && *expected != found
        {
            return Err(LayerError::WrongContent {
                expected: expected.clone(),
                found,
            });
        }
        let record = LayerRecord {
            diff_id: found.clone(),
            size_bytes,
        };
        let json =
            serde_json::to_vec_pretty(&record).map_err(LayerError::path("write", staging))?;
        write_atomic_volatile(&staging.join(RECORD_FILE), &json)
            .map_err(LayerError::path("write", staging))?;
        let path = self.dir.join(found.hex());
        // Held before it can be seen.
        let pins = self.pin(vec![found.clone()]);
        let mut layers = self.lock();
        if !layers.known.contains_key(&found) {
            fs::rename(staging, &path).map_err(LayerError::path("rename to", &path))?;
            layers.known.insert(found.clone(), size_bytes);
        }
        drop(layers);
        Ok((found, pins))
    }

    /// Makes all layers added so far survive a power cut. Blocks.
    pub(crate) fn sync(&self) -> Result<(), LayerError> {
        let root = RootFd::open(&self.dir).map_err(LayerError::path("open", &self.dir))?;
        rustix::fs::syncfs(&root).map_err(LayerError::path("sync", &self.dir))
    }

    /// Removes the layers that are neither `used` nor pinned. Returns the bytes freed. Blocks.
    pub(crate) fn collect(&self, used: &BTreeSet<Digest>) -> u64 {
        let mut gone = Vec::new();
        let mut freed = 0;
        let mut layers = self.lock();
        let Layers { known, pinned } = &mut *layers;
        known.retain(|diff_id, size_bytes| {
            if used.contains(diff_id) || pinned.contains_key(diff_id) {
                return true;
            }
            let aside = self.temporary(REMOVED_PREFIX);
            match fs::rename(self.dir.join(diff_id.hex()), &aside) {
                Ok(()) => {
                    freed += *size_bytes;
                    gone.push(aside);
                    false
                }
                Err(error) => {
                    tracing::warn!(layer = %diff_id, %error, "remove a layer");
                    true
                }
            }
        });
        drop(layers);
        for path in gone {
            if let Err(error) = remove_tree(&path) {
                tracing::warn!(path = %path.display(), %error, "remove a layer");
            }
        }
        freed
    }

    fn temporary(&self, prefix: &str) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.dir
            .join(format!("{prefix}{}-{number}", std::process::id()))
    }
}

impl Pins {
    /// Holds one more.
    pub(crate) fn add(&mut self, digest: Digest) {
        *self.store.lock().pinned.entry(digest.clone()).or_default() += 1;
        self.digests.push(digest);
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let mut layers = self.store.lock();
        for digest in &self.digests {
            if let Some(count) = layers.pinned.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    layers.pinned.remove(digest);
                }
            }
        }
    }
}

/// The record of a complete layer whose directory has the right name.
fn complete(path: &Path) -> Option<LayerRecord> {
    let bytes = fs::read(path.join(RECORD_FILE)).ok()?;
    let record: LayerRecord = serde_json::from_slice(&bytes).ok()?;
    let named = path.file_name()?.to_str()? == record.diff_id.hex();
    (named && path.join("diff").is_dir()).then_some(record)
}

fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().mode(0o700).create(path)
}

struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
