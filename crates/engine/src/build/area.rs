//! A build's own directory: its context, what is on the way from there into an image, and the snapshots it mounts.
//!
//! All of it goes when the build ends, however it ends; what a killed engine leaves, the next one removes.

use std::{
    fs,
    io::{self, Read},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt as _, fs::DirBuilderExt as _},
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{dockerfile, ignore::Ignore};
use crate::{
    container::ContainerFiles,
    engine::Engine,
    error::{EngineError, Result},
    id,
    image::Image,
    layer::{Access, Placement, RootFd, copy_tree, unpack_files},
};

const IGNORE_FILE: &str = ".dockerignore";
/// Most bytes of a `.dockerignore`.
const MAX_IGNORE_BYTES: u64 = 1 << 20;

/// The directory of one build.
pub(super) struct Area {
    engine: Arc<Engine>,
    dir: PathBuf,
    /// Snapshots made for this build, with where they are mounted, if they are.
    snapshots: Mutex<Vec<(String, Option<PathBuf>)>>,
    next: AtomicU64,
}

/// Where builds have their directories.
fn builds_dir(engine: &Engine) -> PathBuf {
    engine.config.engine_dir().join("build")
}

/// Removes what builds that were cut short have left. Blocks.
///
/// # Errors
/// `Internal` when it cannot be removed.
pub(super) fn sweep(engine: &Engine) -> Result<()> {
    let dir = builds_dir(engine);
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(EngineError::io("read", dir.display()))?,
    };
    for entry in entries {
        let path = entry
            .map_err(EngineError::io("read", dir.display()))?
            .path();
        remove(engine, &path)?;
    }
    Ok(())
}

/// Removes a build's directory, with what is mounted in it.
fn remove(engine: &Engine, dir: &Path) -> Result<()> {
    let removed = || EngineError::io::<io::Error>("remove", dir.display().to_string());
    for entry in fs::read_dir(dir).map_err(removed())? {
        let entry = entry.map_err(removed())?;
        if entry.file_name().as_bytes().starts_with(b"mount-") {
            engine.images.snapshots().unmount(&entry.path())?;
        }
    }
    crate::layer::remove_tree(dir).map_err(removed())
}

impl Area {
    /// Makes a directory for one build. Blocks.
    ///
    /// # Errors
    /// `Internal` when it cannot be made.
    pub(super) fn create(engine: &Arc<Engine>) -> Result<Arc<Self>> {
        let dir = builds_dir(engine).join(id::generate()?);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir.join("context"))
            .map_err(EngineError::io("create", dir.display()))?;
        Ok(Arc::new(Self {
            engine: Arc::clone(engine),
            dir,
            snapshots: Mutex::default(),
            next: AtomicU64::new(0),
        }))
    }

    /// Where the context is.
    pub(super) fn context(&self) -> PathBuf {
        self.dir.join("context")
    }

    /// A name in this directory that is still free.
    pub(super) fn place(&self, kind: &str) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.dir.join(format!("{kind}-{number}"))
    }

    /// Unpacks the context. Blocks.
    ///
    /// # Errors
    /// `Invalid` for what is no archive.
    pub(super) fn unpack(&self, archive: impl Read + Send) -> Result<()> {
        let context = self.context();
        let root = RootFd::open(&context).map_err(EngineError::io("open", context.display()))?;
        unpack_files(archive, &root, Placement::default())?;
        Ok(())
    }

    /// Makes the context one Dockerfile alone.
    ///
    /// # Errors
    /// `Internal` when it cannot be written.
    pub(super) fn put_dockerfile(&self, name: &str, text: &[u8]) -> Result<()> {
        let path = self.context().join(name);
        fs::write(&path, text).map_err(EngineError::io("write", path.display()))
    }

    /// Reads the Dockerfile at a path of the context, and takes what `.dockerignore` names out of it: all of that when
    /// nobody has done so (`filtered`), else the files that a client must send but may not want in its image. Blocks.
    ///
    /// # Errors
    /// `Invalid` when there is no such file, it is no text or a pattern is none.
    pub(super) fn read_dockerfile(&self, name: &str, filtered: bool) -> Result<String> {
        let missing = || {
            EngineError::Invalid(format!(
                "Cannot locate specified Dockerfile: {name}: it is not in the build context"
            ))
        };
        let bytes = self
            .read_file(name.as_bytes(), dockerfile::MAX_BYTES)?
            .ok_or_else(missing)?;
        let text = String::from_utf8(bytes)
            .map_err(|_binary| EngineError::Invalid(format!("{name} is no text in UTF-8")))?;
        if text.trim().is_empty() {
            return Err(EngineError::Invalid(format!(
                "the Dockerfile ({name}) cannot be empty"
            )));
        }
        if let Some(patterns) = self.ignore_file(name)? {
            let patterns = String::from_utf8_lossy(&patterns);
            let ignore = Ignore::parse(&patterns)
                .map_err(|why| EngineError::Invalid(format!("read {IGNORE_FILE}: {why}")))?;
            let pruned = if ignore.is_empty() {
                Ok(())
            } else if filtered {
                self.prune_own_files(name, &ignore)
            } else {
                prune(&self.context(), &mut Vec::new(), &ignore)
            };
            pruned.map_err(EngineError::io("apply", IGNORE_FILE))?;
        }
        Ok(text)
    }

    fn prune_own_files(&self, dockerfile: &str, ignore: &Ignore) -> io::Result<()> {
        for name in [dockerfile, IGNORE_FILE] {
            let Ok(path) = crate::layer::clean_path(name.as_bytes()) else {
                continue;
            };
            if ignore.excludes(&path) {
                let file = self.context().join(std::ffi::OsStr::from_bytes(&path));
                match fs::remove_file(file) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// A Dockerfile may have patterns of its own: `NAME.dockerignore` beside it.
    fn ignore_file(&self, dockerfile: &str) -> Result<Option<Vec<u8>>> {
        let own = format!("{dockerfile}.dockerignore");
        match self.read_file(own.as_bytes(), MAX_IGNORE_BYTES)? {
            Some(patterns) => Ok(Some(patterns)),
            None => self.read_file(IGNORE_FILE.as_bytes(), MAX_IGNORE_BYTES),
        }
    }

    /// A plain file of the context, links followed inside it; `None` when there is none.
    fn read_file(&self, path: &[u8], max_bytes: u64) -> Result<Option<Vec<u8>>> {
        let context = self.context();
        let shown = String::from_utf8_lossy(path).into_owned();
        let root = RootFd::open(&context).map_err(EngineError::io("open", context.display()))?;
        let real = root
            .real_path(path)
            .map_err(EngineError::io("open", &shown))?;
        // Nobody else writes to the context, so what was no link stays none.
        let path = context.join(std::ffi::OsStr::from_bytes(&real));
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() && found.len() <= max_bytes => {}
            Ok(found) if found.is_file() => {
                return Err(EngineError::Invalid(format!(
                    "{shown} is larger than {max_bytes} bytes"
                )));
            }
            _ => return Ok(None),
        }
        fs::read(&path)
            .map(Some)
            .map_err(EngineError::io("read", shown))
    }

    /// Makes the root file system of an image for this build alone; its id. Blocks.
    ///
    /// # Errors
    /// `NotFound` when a layer is gone, `Internal` when it cannot be made.
    pub(super) fn snapshot(&self, image: &Image) -> Result<String> {
        let id = id::generate()?;
        self.engine.images.snapshots().prepare(&id, image)?;
        self.lock().push((id.clone(), None));
        Ok(id)
    }

    /// Does something with the files of an image. Blocks.
    ///
    /// # Errors
    /// As [`Area::snapshot`], and what `job` says.
    pub(super) fn with_files<T>(
        &self,
        image: &Image,
        job: impl FnOnce(&ContainerFiles) -> Result<T>,
    ) -> Result<T> {
        let id = self.snapshot(image)?;
        let done = self
            .engine
            .snapshot_files(&id, Access::Read)
            .and_then(|files| job(&files));
        self.let_go(&id);
        done
    }

    /// Copies a directory of this build; where. Blocks.
    ///
    /// # Errors
    /// `Internal` when it cannot be copied.
    pub(super) fn copied(&self, from: &Path) -> Result<PathBuf> {
        let to = self.place("copied");
        let failed = || EngineError::io::<io::Error>("copy", from.display().to_string());
        fs::create_dir(&to).map_err(failed())?;
        let open = |path: &Path| fs::File::open(path).map(OwnedFd::from).map_err(failed());
        copy_tree(&open(from)?, &open(&to)?)?;
        Ok(to)
    }

    /// Writes a program of a Dockerfile's own; where.
    ///
    /// # Errors
    /// `Internal` when it cannot be written.
    pub(super) fn put_script(&self, text: &str) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.place("script");
        let failed = || EngineError::io::<io::Error>("write", path.display().to_string());
        fs::write(&path, text).map_err(failed())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(failed())?;
        Ok(path)
    }

    /// Mounts the root file system of an image; where. Blocks.
    ///
    /// # Errors
    /// As [`Area::snapshot`].
    pub(super) fn mounted(&self, image: &Image) -> Result<PathBuf> {
        let id = self.snapshot(image)?;
        let target = self.place("mount");
        self.engine.images.snapshots().mount(&id, &target)?;
        let mut snapshots = self.lock();
        if let Some(made) = snapshots.iter_mut().find(|made| made.0 == id) {
            made.1 = Some(target.clone());
        }
        Ok(target)
    }

    /// Removes a snapshot before the build's end.
    pub(super) fn let_go(&self, id: &str) {
        self.lock().retain(|made| made.0 != id);
        self.remove_snapshot(id);
    }

    fn remove_snapshot(&self, id: &str) {
        if let Err(error) = self.engine.images.snapshots().remove(id) {
            tracing::warn!(snapshot = id, %error, "remove a snapshot of a build");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, Option<PathBuf>)>> {
        self.snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        let snapshots = std::mem::take(&mut *self.lock());
        for (id, mounted) in snapshots {
            if let Some(target) = mounted
                && let Err(error) = self.engine.images.snapshots().unmount(&target)
            {
                tracing::warn!(path = %target.display(), %error, "unmount an image of a build");
            }
            self.remove_snapshot(&id);
        }
        if let Err(error) = remove(&self.engine, &self.dir) {
            tracing::warn!(%error, "remove the directory of a build");
        }
    }
}

/// Removes what is left out below a directory. Following no link: the tree is a stranger's, but nobody else changes it.
fn prune(dir: &Path, path: &mut Vec<u8>, ignore: &Ignore) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let length = path.len();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(entry.file_name().as_bytes());
        let is_dir = entry.file_type()?.is_dir();
        let excluded = ignore.excludes(path);
        if is_dir && (!excluded || ignore.has_exceptions()) {
            prune(&entry.path(), path, ignore)?;
            if excluded {
                // With something in it that was put back, it stays.
                drop(fs::remove_dir(entry.path()));
            }
        } else if excluded && is_dir {
            crate::layer::remove_tree(&entry.path())?;
        } else if excluded {
            fs::remove_file(entry.path())?;
        }
        path.truncate(length);
    }
    Ok(())
}
