//! Files in and out of a container: what `docker cp` stands on.
//!
//! Paths are Docker's: relative ones begin at the root; `..` and `.` are taken off before anything is looked up; a slash
//! or `/.` at the end means the directory that a link leads to, and `/.` its content without its name.
//!
//! Source: moby daemon/archive_unix.go, daemon/server/router/container/copy.go.

use std::{
    io::{Read, Write},
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::Stream;
use rustix::{
    fs::{
        AtFlags, FileType, Mode, OFlags, Stat, StatVfsMountFlags, StatxFlags, fstat, fstatvfs,
        openat, statx,
    },
    io::Errno,
};
use serde::Serialize;

use super::{
    Container, filesystem::ContainerFiles, paths::clean_absolute, record::ContainerRecord, user,
};
use crate::{
    engine::Engine,
    error::{EngineError, Result},
    events::EventKind,
    layer::{Access, PackForm, Packer, Placement, unpack_files},
    time,
    transfer::read_body,
};

/// What is at a path, as clients of Docker know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PathStat {
    /// The last part of the path.
    pub(crate) name: String,
    /// Bytes.
    pub(crate) size: i64,
    /// Bits of Go's `os.FileMode`.
    pub(crate) mode: u32,
    /// RFC 3339.
    pub(crate) mtime: String,
    /// Where a link ends after all others, inside the container.
    pub(crate) link_target: String,
}

/// Something in a container, open.
#[derive(Debug)]
pub(crate) struct Found {
    /// What it is.
    pub(crate) stat: PathStat,
    /// The directory it is in, or it itself when it is a directory.
    directory: OwnedFd,
    /// Its name there; `None` for a directory itself.
    entry: Option<Vec<u8>>,
    device: u64,
}

/// How an archive is put into a container.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ExtractOptions {
    /// Refuse to put a file in the place of a directory, or the other way round.
    pub(crate) keep_kinds: bool,
    /// Give everything to the container's user.
    pub(crate) to_its_user: bool,
}

/// A path as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    /// Below the root, clean; empty for the root.
    path: String,
    /// What a link at the end leads to is meant, and that it is a directory.
    through: bool,
    /// Its last part as Go's `filepath.Base` gives it: `/` for the root, `.` for what ends in `/.`.
    base: String,
}

impl Wanted {
    fn parse(text: &str) -> Result<Self> {
        let path = clean_absolute(&format!("/{text}")).ok_or_else(|| {
            EngineError::Invalid("bad parameter: path has a zero byte".to_owned())
        })?;
        let content = text.trim_end_matches('/').rsplit('/').next() == Some(".");
        let path = path.trim_start_matches('/').to_owned();
        let base = match path.rsplit('/').next() {
            _ if content => ".",
            None | Some("") => "/",
            Some(name) => name,
        };
        Ok(Self {
            base: base.to_owned(),
            through: content || text.ends_with('/') || path.is_empty(),
            path,
        })
    }
}

impl Engine {
    /// Unpacks the archive in `body` into a directory of a container, which may run. `name` is the container as the
    /// client named it. While one that does not run is written to, it is not started.
    ///
    /// # Errors
    /// As [`ContainerFiles::extract`]. What came before the fault has been unpacked then.
    pub(crate) async fn extract_archive<S, E>(
        self: Arc<Self>,
        container: Arc<Container>,
        (name, path): (String, String),
        options: ExtractOptions,
        body: S,
    ) -> Result<()>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: std::fmt::Display,
    {
        let held = container.lifecycle.lock().await;
        if container.is_removing() || container.phase().borrow().removed {
            return Err(EngineError::no_such_container(&name));
        }
        // A running one may be stopped meanwhile: its files stay for as long as they are open.
        let held = container.running().is_none().then_some(held);
        let (engine, written) = (Arc::clone(&self), Arc::clone(&container));
        read_body(body, move |archive| {
            let files = engine.container_files(&written, Access::Write)?;
            files.extract((&name, &path), &written.record(), options, archive)
        })
        .await?;
        drop(held);
        self.events.publish(
            EventKind::Container,
            "extract-to-dir",
            container.id(),
            container.event_attributes(),
        );
        Ok(())
    }
}

impl ContainerFiles {
    /// Finds what is at a path. `container` is the container as the client named it.
    ///
    /// # Errors
    /// `NotFound` in Docker's words, `Invalid` for a path that cannot be one.
    pub(crate) fn find(&self, container: &str, path: &str) -> Result<Found> {
        let wanted = Wanted::parse(path)?;
        let failed = |errno| failure(container, path, errno);
        let (parent, name) = split(&wanted.path);
        let parent = self.root.directory(parent).map_err(failed)?;
        let opened = if wanted.through {
            let through = OFlags::DIRECTORY;
            match self.root.open_path(wanted.path.as_bytes(), through) {
                Err(Errno::NOTDIR) => {
                    return Err(EngineError::Invalid(format!("{path}: not a directory")));
                }
                other => other.map_err(failed)?,
            }
        } else {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(&parent, name, flags, Mode::empty()).map_err(failed)?
        };
        let stat = fstat(&opened).map_err(failed)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let above = fstat(&parent).map_err(failed)?;
        if self.kernel.contains(&above.st_dev) && !wanted.path.is_empty() {
            // What the kernel says there is no file: its size is zero whatever it holds.
            return Err(not_found(container, path));
        }
        let link_target = if kind == FileType::Symlink {
            self.link_target(&wanted.path).map_err(failed)?
        } else {
            String::new()
        };
        let found = path_stat(wanted.base, &stat, link_target);
        let is_directory = kind == FileType::Directory;
        Ok(Found {
            stat: found,
            directory: if is_directory { opened } else { parent },
            entry: (!is_directory).then(|| name.to_vec()),
            device: stat.st_dev,
        })
    }

    /// Writes what was found, a directory with all that is in it, as an archive.
    ///
    /// # Errors
    /// `Internal` when something cannot be read or the reader of the archive is gone.
    pub(crate) fn pack(&self, found: &Found, writer: impl Write) -> Result<()> {
        let mut packer = Packer::new(writer, PackForm::Files, self.closed.clone());
        let archived = found.stat.name.as_bytes();
        if let Some(name) = &found.entry {
            packer.add(&found.directory, name, archived)?;
        } else {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory = openat(&found.directory, ".", flags, Mode::empty())
                .map_err(EngineError::io("open", &found.stat.name))?;
            packer.directory(&directory, archived)?;
            if !self.kernel.contains(&found.device) {
                packer.add_content(&directory, archived)?;
            }
        }
        packer.finish()?;
        Ok(())
    }

    /// Writes everything that is there as an archive: what `docker export` gives.
    ///
    /// # Errors
    /// As [`ContainerFiles::pack`].
    pub(crate) fn pack_all(&self, writer: impl Write) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(&self.root, ".", flags, Mode::empty())
            .map_err(EngineError::io("open", "root of container"))?;
        let mut packer = Packer::new(writer, PackForm::Files, self.closed.clone());
        packer.add_content(&root, b"")?;
        packer.finish()?;
        Ok(())
    }

    /// Unpacks an archive, which may be compressed, into the directory at a path, over what is there.
    ///
    /// # Errors
    /// `NotFound` in Docker's words; `Invalid` when it is no directory, may not be written to, or the archive is not
    /// what it should be.
    pub(crate) fn extract(
        &self,
        (container, path): (&str, &str),
        record: &ContainerRecord,
        options: ExtractOptions,
        archive: impl Read + Send,
    ) -> Result<()> {
        let wanted = Wanted::parse(path)?;
        let failed = |errno| failure(container, path, errno);
        let opened = self
            .root
            .open_path(wanted.path.as_bytes(), OFlags::empty())
            .map_err(failed)?;
        let stat = fstat(&opened).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(EngineError::Invalid(
                "extraction point is not a directory".to_owned(),
            ));
        }
        if self.kernel.contains(&stat.st_dev) {
            return Err(not_found(container, path));
        }
        self.require_writable(&opened)
            .map_err(|refusal| match refusal {
                Refusal::ReadOnly(what) => {
                    EngineError::Invalid(format!("{what} is marked read-only"))
                }
                Refusal::Errno(errno) => failed(errno),
            })?;
        let user = record.config.user.as_deref().unwrap_or_default();
        let owner = if options.to_its_user && !user.is_empty() {
            let user = user::resolve(self.root.as_fd(), user, &[])?;
            Some((user.uid, user.gid))
        } else {
            None
        };
        let placement = Placement {
            directory: wanted.path.into_bytes(),
            keep_kinds: options.keep_kinds,
            owner,
            mode: None,
        };
        unpack_files(archive, &self.root, placement)?;
        Ok(())
    }

    fn require_writable(&self, directory: &OwnedFd) -> Result<(), Refusal> {
        let mount = fstatvfs(directory).map_err(Refusal::Errno)?;
        if !mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Ok(());
        }
        let mount_id = |fd| {
            statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map(|found| found.stx_mnt_id)
        };
        let here = mount_id(directory.as_fd()).map_err(Refusal::Errno)?;
        let root = mount_id(self.root.as_fd()).map_err(Refusal::Errno)?;
        Err(Refusal::ReadOnly(if here == root {
            "container rootfs"
        } else {
            "mounted volume"
        }))
    }

    /// Where the link at `path` ends, as far as there is something; what is missing is taken as it is written.
    fn link_target(&self, path: &str) -> Result<String, Errno> {
        let path = self.root.real_path(path.as_bytes())?;
        Ok(format!("/{}", String::from_utf8_lossy(&path)))
    }
}

enum Refusal {
    /// What of the container may not be written to.
    ReadOnly(&'static str),
    Errno(Errno),
}

fn split(path: &str) -> (&[u8], &[u8]) {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let name = if name.is_empty() { "." } else { name };
    (parent.as_bytes(), name.as_bytes())
}

fn not_found(container: &str, path: &str) -> EngineError {
    EngineError::NotFound(format!(
        "Could not find the file {path} in container {container}"
    ))
}

fn failure(container: &str, path: &str, errno: Errno) -> EngineError {
    match errno {
        Errno::NOENT | Errno::NOTDIR => not_found(container, path),
        Errno::LOOP | Errno::NAMETOOLONG => EngineError::Invalid(format!("{path}: {errno}")),
        errno => EngineError::internal("open", format!("{path} in container {container}"), errno),
    }
}

fn path_stat(name: String, stat: &Stat, link_target: String) -> PathStat {
    let nanoseconds = i64::try_from(stat.st_mtime_nsec).unwrap_or_default();
    let mtime = stat
        .st_mtime
        .checked_mul(1_000_000_000)
        .and_then(|ns| ns.checked_add(nanoseconds));
    PathStat {
        name,
        size: stat.st_size,
        mode: go_mode(stat.st_mode),
        mtime: time::rfc3339(mtime),
        link_target,
    }
}

/// A mode as Go's `os.FileMode` has it: its own bits for kinds, set-uid, set-gid and sticky.
fn go_mode(mode: u32) -> u32 {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => 1 << 31,
        FileType::Symlink => 1 << 27,
        FileType::BlockDevice => 1 << 26,
        FileType::Fifo => 1 << 25,
        FileType::Socket => 1 << 24,
        FileType::CharacterDevice => 1 << 26 | 1 << 21,
        _ => 0,
    };
    let special = [(0o4000, 23), (0o2000, 22), (0o1000, 20)];
    let bits = special.iter().filter(|(bit, _)| mode & bit != 0);
    bits.fold(kind | mode & 0o777, |go, (_, shift)| go | 1 << shift)
}

#[cfg(test)]
mod tests;
