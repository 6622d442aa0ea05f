//! Durable objects: one readable JSON file each, replaced in one step.
//!
//! A damaged file costs its one object, never the engine: it is set aside under another name and reported.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    marker::PhantomData,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Serialize, de::DeserializeOwned};

static TEMPORARY: AtomicU64 = AtomicU64::new(0);
/// Begins the names of files that are being written; whatever bears one at start-up is left over from a kill.
pub(crate) const TEMPORARY_PREFIX: &str = ".tmp-";

/// Replaces `path` with `bytes` in one step that survives a power cut once this returns: temporary file in the same
/// directory, write, fsync, rename, fsync of the directory.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = replace(path, bytes, true)?;
    File::open(parent)?.sync_all()
}

/// Replaces `path` with `bytes` in one step that survives a kill of this process, but maybe not a power cut.
pub(crate) fn write_atomic_volatile(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, false).map(drop)
}

fn replace<'a>(path: &'a Path, bytes: &[u8], durable: bool) -> io::Result<&'a Path> {
    let parent = path
        .parent()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let number = TEMPORARY.fetch_add(1, Ordering::Relaxed);
    let temporary = parent.join(format!("{TEMPORARY_PREFIX}{}-{number}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)?;
        file.write_all(bytes)?;
        if durable {
            file.sync_all()?;
        }
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // Best effort: the first error is the one that matters.
        drop(fs::remove_file(&temporary));
    }
    written.map(|()| parent)
}

/// Removes a file or directory tree and makes its absence durable. Something that is not there is fine.
pub(crate) fn remove_durable(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match path.parent().map(File::open) {
        Some(Ok(parent)) => parent.sync_all(),
        // Gone with all that was in it.
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Some(Err(error)) => Err(error),
        None => Ok(()),
    }
}

/// How the files of an [`ObjectStore`] lie.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// `DIR/KEY.json`
    Flat,
    /// `DIR/KEY/FILE`, beside other files of the object.
    Nested(&'static str),
}

/// Objects of one kind in one directory, each in its own JSON file. All calls block.
#[derive(Debug)]
pub(crate) struct ObjectStore<T> {
    dir: PathBuf,
    shape: Shape,
    kind: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> ObjectStore<T> {
    /// Opens a store with files `DIR/KEY.json`, making the directory.
    pub(crate) fn flat(dir: PathBuf) -> io::Result<Self> {
        Self::open(dir, Shape::Flat)
    }

    /// Opens a store with files `DIR/KEY/file`, making the directory.
    pub(crate) fn nested(dir: PathBuf, file: &'static str) -> io::Result<Self> {
        Self::open(dir, Shape::Nested(file))
    }

    fn open(dir: PathBuf, shape: Shape) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Self {
            dir,
            shape,
            kind: PhantomData,
        })
    }

    /// Returns the directory of a nested object, or of all objects of a flat store.
    pub(crate) fn object_dir(&self, key: &str) -> PathBuf {
        match self.shape {
            Shape::Flat => self.dir.clone(),
            Shape::Nested(_) => self.dir.join(key),
        }
    }

    fn path(&self, key: &str) -> io::Result<PathBuf> {
        // Keys are ids and validated names; this holds the line should one slip through.
        let safe = !key.is_empty() && !key.starts_with('.') && !key.contains(['/', '\0']);
        if !safe {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "key is not a file name",
            ));
        }
        Ok(match self.shape {
            Shape::Flat => self.dir.join(format!("{key}.json")),
            Shape::Nested(file) => self.dir.join(key).join(file),
        })
    }

    /// Writes an object durably, new or in place of its older self.
    pub(crate) fn save(&self, key: &str, object: &T) -> io::Result<()> {
        let path = self.path(key)?;
        let bytes = serde_json::to_vec_pretty(object)?;
        if matches!(self.shape, Shape::Nested(_)) {
            let dir = self.dir.join(key);
            match fs::create_dir(&dir) {
                Ok(()) => {
                    write_atomic(&path, &bytes)?;
                    return File::open(&self.dir)?.sync_all();
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        write_atomic(&path, &bytes)
    }

    /// Removes an object durably, with the whole directory of a nested one.
    pub(crate) fn remove(&self, key: &str) -> io::Result<()> {
        let path = self.path(key)?;
        match self.shape {
            Shape::Flat => remove_durable(&path),
            // The record goes first: a removal that is cut short must not leave a container without its files.
            Shape::Nested(_) => {
                remove_durable(&path)?;
                remove_durable(&self.dir.join(key))
            }
        }
    }

    /// Returns all objects with their keys, in no order. A file that cannot be read as an object is renamed to
    /// `….damaged` and left out; a directory without a record (a create or remove that was cut short) is removed.
    pub(crate) fn load_all(&self) -> io::Result<Vec<(String, T)>> {
        let mut objects = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.starts_with(TEMPORARY_PREFIX) {
                drop(fs::remove_file(entry.path()));
                continue;
            }
            let key = match self.shape {
                Shape::Flat => match name.strip_suffix(".json") {
                    Some(key) => key,
                    None => continue,
                },
                Shape::Nested(_) if entry.file_type()?.is_dir() => name,
                Shape::Nested(_) => continue,
            };
            let path = self.path(key)?;
            match fs::read(&path) {
                Ok(bytes) => match serde_json::from_slice(&bytes) {
                    Ok(object) => objects.push((key.to_owned(), object)),
                    Err(error) => {
                        let aside = path.with_extension("json.damaged");
                        tracing::error!(path = %path.display(), %error, kept = %aside.display(), "set a damaged object aside");
                        fs::rename(&path, &aside)?;
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let dir = self.dir.join(key);
                    let damaged = path.with_extension("json.damaged").exists();
                    if matches!(self.shape, Shape::Nested(_)) && !damaged {
                        tracing::info!(path = %dir.display(), "remove an object that was never finished");
                        fs::remove_dir_all(&dir)?;
                    }
                }
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "read an object");
                }
            }
        }
        Ok(objects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_costs_its_one_object() {
        let dir = tempfile::tempdir().unwrap();
        let store = ObjectStore::<Vec<u32>>::flat(dir.path().join("things")).unwrap();
        store.save("a", &vec![1]).unwrap();
        store.save("b", &vec![2]).unwrap();
        fs::write(dir.path().join("things/b.json"), b"[1, ").unwrap();
        assert_eq!(store.load_all().unwrap(), [("a".to_owned(), vec![1])]);
        assert!(dir.path().join("things/b.json.damaged").exists());
        assert_eq!(store.load_all().unwrap().len(), 1);
    }

    #[test]
    fn nested_objects_come_and_go_with_their_directory() {
        let dir = tempfile::tempdir().unwrap();
        let store = ObjectStore::<u32>::nested(dir.path().to_owned(), "thing.json").unwrap();
        store.save("a", &1).unwrap();
        store.save("a", &2).unwrap();
        fs::create_dir(dir.path().join("half")).unwrap();
        assert_eq!(store.load_all().unwrap(), [("a".to_owned(), 2)]);
        assert!(!dir.path().join("half").exists());
        store.remove("a").unwrap();
        store.remove("a").unwrap();
        assert!(store.load_all().unwrap().is_empty());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn keys_never_leave_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let store = ObjectStore::<u32>::flat(dir.path().join("in")).unwrap();
        for key in ["../x", "a/b", "", ".", "..", ".hidden", "a\0b"] {
            assert!(store.save(key, &1).is_err(), "{key}");
        }
    }
}
