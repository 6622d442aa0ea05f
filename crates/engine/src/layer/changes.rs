//! What a container has changed in its root file system.

use std::{
    collections::HashSet,
    ffi::OsStr,
    os::{fd::AsFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Dir, FileType, Stat},
    io::Errno,
};

use super::{
    error::LayerError,
    root::{RootFd, file_type, is_whiteout, open_directory, split, stat},
};

/// One changed path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    /// Absolute, as the container sees it.
    pub(crate) path: PathBuf,
    /// What happened to it.
    pub(crate) kind: ChangeKind,
}

/// What happened to a path; the numbers are those of Docker's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ChangeKind {
    /// Content, metadata, or something inside it.
    Modified = 0,
    /// It was not in the image.
    Added = 1,
    /// It was in the image.
    Deleted = 2,
}

/// What the runtime puts into every root file system to mount on, where the image lacks it. It is no change of anybody's
/// for as long as it is empty; dockerd keeps it in a layer of its own.
const MOUNT_POINTS: [&str; 11] = [
    "dev",
    "dev/console",
    "dev/mqueue",
    "dev/pts",
    "dev/shm",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "proc",
    "sys",
    CONTAINER_MARK,
];

/// An empty file in the root of every container, by which programs have always told that they are in one.
pub(super) const CONTAINER_MARK: &str = ".dockerenv";

/// Paths below the root that are no changes though the container has them and its image does not: see [`MOUNT_POINTS`].
/// With them go the directories that were copied up for nothing else.
pub(super) fn mount_points(
    upper: &Path,
    lower: &[PathBuf],
) -> Result<HashSet<Vec<u8>>, LayerError> {
    let lower = Lower::open(lower)?;
    let top = RootFd::open(upper).map_err(LayerError::path("open", upper))?;
    let opened = |path: &[u8]| {
        let directory = top.directory(path)?;
        open_directory(&directory, b".")
    };
    let mut hidden = HashSet::new();
    // The deepest first: a directory is empty when nothing but such things is in it.
    for path in ["etc"]
        .into_iter()
        .chain(MOUNT_POINTS)
        .map(str::as_bytes)
        .rev()
    {
        let (parent, name) = split(path);
        let Ok(parent) = opened(parent) else { continue };
        let Some(here) = stat(&parent, name).map_err(LayerError::path("stat", upper))? else {
            continue;
        };
        let below = lower.find(path)?;
        let nobodys = match below {
            None => true,
            Some(below) => {
                let key = |stat: &Stat| (stat.st_mode, stat.st_uid, stat.st_gid);
                path == b"etc" && key(&below) == key(&here)
            }
        };
        let empty = match file_type(&here) {
            FileType::RegularFile => here.st_size == 0,
            FileType::Directory => {
                let directory = opened(path).map_err(LayerError::path("open", upper))?;
                let mut names = entry_names(&directory).map_err(LayerError::path("read", upper))?;
                names.retain(|name| !hidden.contains(&[path, b"/", name.as_slice()].concat()));
                names.is_empty()
            }
            _ => false,
        };
        if empty && nobodys {
            hidden.insert(path.to_vec());
        }
    }
    // With nothing hidden in it, someone else has put it there.
    if !hidden.iter().any(|path| path.starts_with(b"etc/")) {
        hidden.remove(b"etc".as_slice());
    }
    Ok(hidden)
}

fn entry_names(directory: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

/// The changes in an overlay's upper directory over `lower` (the lowest layer first), without `hidden`.
pub(super) fn of_upper(
    upper: &Path,
    lower: &[PathBuf],
    hidden: &HashSet<Vec<u8>>,
) -> Result<Vec<Change>, LayerError> {
    let lower = Lower::open(lower)?;
    let mut changes = Vec::new();
    walk(upper, &mut |path, here| {
        if hidden.contains(path) {
            return Ok(());
        }
        let below = lower.find(path)?;
        let kind = if is_whiteout(here) {
            if below.is_none() {
                return Ok(());
            }
            ChangeKind::Deleted
        } else if below.is_some() {
            ChangeKind::Modified
        } else {
            ChangeKind::Added
        };
        changes.push(change(path, kind));
        Ok(())
    })?;
    changes.sort();
    Ok(changes)
}

/// The changes of a full copy against the layers it was made from, without `hidden`.
pub(super) fn of_copy(
    copy: &Path,
    layers: &[PathBuf],
    hidden: &HashSet<Vec<u8>>,
) -> Result<Vec<Change>, LayerError> {
    let lower = Lower::open(layers)?;
    let copied = Lower::open(&[copy.to_owned()])?;
    let mut changes = Vec::new();
    walk(copy, &mut |path, here| {
        if hidden.contains(path) {
            return Ok(());
        }
        match lower.find(path)? {
            None => changes.push(change(path, ChangeKind::Added)),
            Some(below) if differs(here, &below) => {
                changes.push(change(path, ChangeKind::Modified));
            }
            Some(_) => {}
        }
        Ok(())
    })?;
    for layer in layers {
        walk(layer, &mut |path, _here| {
            if lower.find(path)?.is_some() && copied.find(path)?.is_none() {
                changes.push(change(path, ChangeKind::Deleted));
            }
            Ok(())
        })?;
    }
    changes.sort();
    changes.dedup();
    Ok(changes)
}

/// Bytes of all files in a tree; a file with several names counts once.
pub(crate) fn tree_size(path: &Path) -> Result<u64, LayerError> {
    let mut size_bytes = 0;
    let mut linked = HashSet::new();
    walk(path, &mut |_path, stat| {
        if file_type(stat) == FileType::RegularFile
            && (stat.st_nlink == 1 || linked.insert(stat.st_ino))
        {
            size_bytes += u64::try_from(stat.st_size).unwrap_or_default();
        }
        Ok(())
    })?;
    Ok(size_bytes)
}

fn change(path: &[u8], kind: ChangeKind) -> Change {
    Change {
        path: Path::new("/").join(OsStr::from_bytes(path)),
        kind,
    }
}

fn differs(here: &Stat, below: &Stat) -> bool {
    let key = |stat: &Stat| (stat.st_mode, stat.st_uid, stat.st_gid);
    let content = |stat: &Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
    key(here) != key(below)
        || (file_type(here) == FileType::RegularFile && content(here) != content(below))
}

/// Called with the path below the root and what is there.
type Visit<'a> = dyn FnMut(&[u8], &Stat) -> Result<(), LayerError> + 'a;

/// Visits everything in a tree that may change meanwhile; what vanishes on the way is passed over. Directories are
/// opened by their path below the root, so few descriptors are needed; deeper than a path can be long is not visited.
fn walk(root: &Path, visit: &mut Visit<'_>) -> Result<(), LayerError> {
    let top = RootFd::open(root).map_err(LayerError::path("open", root))?;
    let mut pending = vec![Vec::new()];
    while let Some(path) = pending.pop() {
        let opened = top
            .directory(&path)
            .and_then(|directory| open_directory(&directory, b"."));
        let directory = match opened {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => continue,
            Err(errno) => return Err(LayerError::path("open", root)(errno)),
        };
        for entry in Dir::read_from(&directory).map_err(LayerError::path("read", root))? {
            let entry = entry.map_err(LayerError::path("read", root))?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let Some(found) = stat(&directory, name).map_err(LayerError::path("stat", root))?
            else {
                continue;
            };
            let mut child = path.clone();
            if !child.is_empty() {
                child.push(b'/');
            }
            child.extend_from_slice(name);
            visit(&child, &found)?;
            if file_type(&found) == FileType::Directory {
                pending.push(child);
            }
        }
    }
    Ok(())
}

/// The layers as the container sees them merged, without mounting them.
pub(super) struct Lower(Vec<RootFd>);

impl Lower {
    /// Opens the layers, the lowest given first.
    pub(super) fn open(layers: &[PathBuf]) -> Result<Self, LayerError> {
        layers
            .iter()
            .rev()
            .map(|layer| RootFd::open(layer).map_err(LayerError::path("open", layer)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// What the topmost layer that says anything about `path` has there.
    fn find(&self, path: &[u8]) -> Result<Option<Stat>, LayerError> {
        let shown = || String::from_utf8_lossy(path).into_owned();
        for layer in &self.0 {
            match find_in(layer, path).map_err(LayerError::io("look up", shown()))? {
                Found::Here(stat) => return Ok(Some(*stat)),
                Found::Hidden => return Ok(None),
                Found::SeeBelow => {}
            }
        }
        Ok(None)
    }
}

enum Found {
    Here(Box<Stat>),
    /// Not there, nor in any layer below.
    Hidden,
    SeeBelow,
}

fn find_in(layer: &RootFd, path: &[u8]) -> Result<Found, Errno> {
    let mut directory = open_directory(layer, b".")?;
    let mut opaque = false;
    let mut components = path.split(|byte| *byte == b'/').peekable();
    while let Some(component) = components.next() {
        let Some(there) = stat(&directory, component)? else {
            return Ok(if opaque {
                Found::Hidden
            } else {
                Found::SeeBelow
            });
        };
        if is_whiteout(&there) {
            return Ok(Found::Hidden);
        }
        if components.peek().is_none() {
            return Ok(Found::Here(Box::new(there)));
        }
        if file_type(&there) != FileType::Directory {
            return Ok(Found::Hidden);
        }
        directory = open_directory(&directory, component)?;
        opaque |= is_opaque(&directory);
    }
    Ok(Found::SeeBelow)
}

/// Whether overlayfs shows nothing of lower layers in this directory.
pub(super) fn is_opaque(directory: impl AsFd) -> bool {
    let mut value = [0; 1];
    rustix::fs::fgetxattr(directory, "trusted.overlay.opaque", &mut value).is_ok() && value == *b"y"
}
