//! Puts directory trees that a stranger has shaped into archives.
//!
//! Everything is reached by descriptors below the tree's top, following no link, so that a container that swaps parts of
//! a path while it is walked shows only files of its own. Files are opened as paths first and looked at: a device or a
//! FIFO in a file's place is never opened. What vanishes on the way is left out.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    fs::File,
    io::{Read, Write},
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
};

use rustix::{
    fs::{Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, readlinkat},
    io::Errno,
};

use super::{
    changes::is_opaque,
    error::LayerError,
    root::{file_type, is_whiteout, open_directory, split, stat},
    tar::{Kind, Member, TarWriter},
};

/// What a tree becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// An archive of what is there.
    Files,
    /// A layer: overlayfs' marks become whiteouts.
    Layer,
}

/// Writes trees into one archive.
#[derive(Debug)]
pub(crate) struct Packer<W> {
    writer: TarWriter<W>,
    form: Form,
    /// Directories on these devices are entered only by whoever names something on them.
    closed: HashSet<u64>,
    /// Names in the archive that are left out.
    omitted: HashSet<Vec<u8>>,
    /// Under which name a file with several has been written.
    linked: HashMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
}

/// A directory on the way, and what of it is still to be written, the next last.
struct Level {
    /// Below the top, empty for itself.
    path: Vec<u8>,
    archived: Vec<u8>,
    device: u64,
    pending: Vec<Vec<u8>>,
}

impl<W: Write> Packer<W> {
    /// An archive that is written to `inner`. Of file systems on the devices `closed`, which are mounted somewhere in a
    /// tree, only the directory that they are mounted on is written.
    pub(crate) fn new(inner: W, form: Form, closed: HashSet<u64>) -> Self {
        Self {
            writer: TarWriter::new(inner),
            form,
            closed,
            omitted: HashSet::new(),
            linked: HashMap::new(),
            buffer: vec![0; 128 * 1024],
        }
    }

    /// Leaves out what would get one of these names, with all that is in it.
    pub(crate) fn omit(&mut self, archived: HashSet<Vec<u8>>) {
        self.omitted = archived;
    }

    /// Adds what is under `name` in `directory` as `archived`; a directory with all that is in it.
    pub(crate) fn add(
        &mut self,
        directory: impl AsFd,
        name: &[u8],
        archived: &[u8],
    ) -> Result<(), LayerError> {
        self.add_found(directory, name, archived, Self::add_tree)
    }

    /// Adds what is under `name` in `directory` as `archived`, of a directory only itself.
    pub(crate) fn add_one(
        &mut self,
        directory: impl AsFd,
        name: &[u8],
        archived: &[u8],
    ) -> Result<(), LayerError> {
        self.add_found(directory, name, archived, Self::directory)
    }

    /// Adds what is under `name`, if it is still there; `add_directory` adds a directory that was opened.
    fn add_found(
        &mut self,
        directory: impl AsFd,
        name: &[u8],
        archived: &[u8],
        add_directory: fn(&mut Self, OwnedFd, &[u8]) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        let found = stat(&directory, name).map_err(LayerError::io("stat", shown(archived)))?;
        match found {
            Some(found) if file_type(&found) == FileType::Directory => {
                match open_directory(&directory, name) {
                    Ok(opened) => add_directory(self, opened, archived),
                    Err(errno) if vanished(errno) => Ok(()),
                    Err(errno) => Err(LayerError::io("open", shown(archived))(errno)),
                }
            }
            Some(found) => self.one(&directory, name, archived, &found),
            None => Ok(()),
        }
    }

    /// Adds the open directory `top` as `archived`, with all that is in it.
    pub(crate) fn add_tree(&mut self, top: impl AsFd, archived: &[u8]) -> Result<(), LayerError> {
        self.directory(&top, archived)?;
        self.add_content(top, archived)
    }

    /// Adds what is in the open directory `top`, in order of the names, below `archived`; nothing for `top` itself.
    pub(crate) fn add_content(
        &mut self,
        top: impl AsFd,
        archived: &[u8],
    ) -> Result<(), LayerError> {
        let device = fstat(&top)
            .map_err(LayerError::io("stat", shown(archived)))?
            .st_dev;
        let mut levels = vec![level(&top, Vec::new(), archived.to_vec(), device)?];
        while let Some(current) = levels.last_mut() {
            let Some(name) = current.pending.pop() else {
                levels.pop();
                continue;
            };
            let archived = join(&current.archived, &name);
            if self.omitted.contains(&archived) {
                continue;
            }
            let directory = match beneath(&top, &current.path) {
                Ok(directory) => directory,
                Err(errno) if vanished(errno) => continue,
                Err(errno) => return Err(LayerError::io("open", shown(&archived))(errno)),
            };
            let found =
                stat(&directory, &name).map_err(LayerError::io("stat", shown(&archived)))?;
            let Some(found) = found else { continue };
            if file_type(&found) != FileType::Directory {
                self.one(&directory, &name, &archived, &found)?;
                continue;
            }
            let opened = match open_directory(&directory, &name) {
                Ok(opened) => opened,
                Err(errno) if vanished(errno) => continue,
                Err(errno) => return Err(LayerError::io("open", shown(&archived))(errno)),
            };
            self.directory(&opened, &archived)?;
            let device = fstat(&opened)
                .map_err(LayerError::io("stat", shown(&archived)))?
                .st_dev;
            if device == current.device || !self.closed.contains(&device) {
                let path = join(&current.path, &name);
                levels.push(level(&opened, path, archived, device)?);
            }
        }
        Ok(())
    }

    /// Adds a file that lies nowhere: `size` bytes of `source`, with permissions and a time in seconds since the Unix epoch.
    pub(crate) fn add_made(
        &mut self,
        archived: &[u8],
        (mode, mtime_seconds): (u32, i64),
        size: u64,
        source: &mut impl Read,
    ) -> Result<(), LayerError> {
        self.write(&Member {
            path: archived,
            kind: Kind::File,
            link: b"",
            mode,
            uid: 0,
            gid: 0,
            mtime_seconds,
            size,
            device: (0, 0),
            xattrs: &[],
        })?;
        self.writer
            .data(source, size, &mut self.buffer)
            .map_err(LayerError::io("write", shown(archived)))
    }

    /// Adds a whiteout for `path`: a layer's mark for what it removes from below.
    pub(crate) fn add_whiteout(&mut self, path: &[u8]) -> Result<(), LayerError> {
        let (directory, name) = split(path);
        let archived = join(directory, &[b".wh.", name].concat());
        self.mark(&archived, 0)
    }

    /// Writes the end of the archive.
    pub(crate) fn finish(self) -> Result<W, LayerError> {
        self.writer
            .finish()
            .map_err(LayerError::io("write", "archive"))
    }

    /// Adds a directory itself.
    pub(crate) fn directory(
        &mut self,
        directory: impl AsFd,
        archived: &[u8],
    ) -> Result<(), LayerError> {
        let found = fstat(&directory).map_err(LayerError::io("stat", shown(archived)))?;
        let xattrs = attributes(&directory);
        let member = member(archived, Kind::Directory, &found, &xattrs);
        self.write(&member)?;
        if self.form == Form::Layer && is_opaque(&directory) {
            self.mark(&join(archived, b".wh..wh..opq"), found.st_mtime)?;
        }
        Ok(())
    }

    /// Adds what is no directory.
    fn one(
        &mut self,
        directory: impl AsFd,
        name: &[u8],
        archived: &[u8],
        found: &Stat,
    ) -> Result<(), LayerError> {
        if self.form == Form::Layer && is_whiteout(found) {
            return self.add_whiteout(archived);
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match openat(&directory, name, flags, Mode::empty()) {
            Ok(opened) => opened,
            Err(errno) if vanished(errno) => return Ok(()),
            Err(errno) => return Err(LayerError::io("open", shown(archived))(errno)),
        };
        let found = fstat(&opened).map_err(LayerError::io("stat", shown(archived)))?;
        let kind = match file_type(&found) {
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => Kind::CharDevice,
            FileType::BlockDevice => Kind::BlockDevice,
            // An archive holds no sockets, and a directory came in its place just now.
            _ => return Ok(()),
        };
        let key = (found.st_dev, found.st_ino);
        if found.st_nlink > 1 {
            if let Some(first) = self.linked.get(&key) {
                let link = first.clone();
                let mut member = member(archived, Kind::HardLink, &found, &[]);
                member.link = &link;
                return self.write(&member);
            }
            self.linked.insert(key, archived.to_vec());
        }
        match kind {
            Kind::File => self.file(&opened, archived, &found),
            Kind::Symlink => {
                let link = readlinkat(&opened, c"", Vec::new())
                    .map_err(LayerError::io("read link", shown(archived)))?;
                let mut member = member(archived, kind, &found, &[]);
                member.link = link.to_bytes();
                self.write(&member)
            }
            _ => self.write(&member(archived, kind, &found, &[])),
        }
    }

    fn file(&mut self, opened: &OwnedFd, archived: &[u8], found: &Stat) -> Result<(), LayerError> {
        // The descriptor is known to be a plain file: opening it again by its number opens just that one.
        let mut file = File::open(format!("/proc/self/fd/{}", opened.as_raw_fd()))
            .map_err(LayerError::io("open", shown(archived)))?;
        let xattrs = attributes(&file);
        let mut member = member(archived, Kind::File, found, &xattrs);
        member.size = u64::try_from(found.st_size).unwrap_or_default();
        self.write(&member)?;
        self.writer
            .data(&mut file, member.size, &mut self.buffer)
            .map_err(LayerError::io("copy", shown(archived)))
    }

    /// Adds an empty file whose name is what it says.
    fn mark(&mut self, archived: &[u8], mtime_seconds: i64) -> Result<(), LayerError> {
        self.write(&Member {
            path: archived,
            kind: Kind::File,
            link: b"",
            mode: 0o600,
            uid: 0,
            gid: 0,
            mtime_seconds,
            size: 0,
            device: (0, 0),
            xattrs: &[],
        })
    }

    fn write(&mut self, member: &Member<'_>) -> Result<(), LayerError> {
        self.writer
            .member(member)
            .map_err(LayerError::io("write", "archive"))
    }
}

fn member<'a>(
    archived: &'a [u8],
    kind: Kind,
    found: &Stat,
    xattrs: &'a [(Vec<u8>, Vec<u8>)],
) -> Member<'a> {
    let device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
    let numbers = (
        rustix::fs::major(found.st_rdev),
        rustix::fs::minor(found.st_rdev),
    );
    Member {
        path: archived,
        kind,
        link: b"",
        mode: found.st_mode & 0o7777,
        uid: found.st_uid,
        gid: found.st_gid,
        mtime_seconds: found.st_mtime,
        size: 0,
        device: if device { numbers } else { (0, 0) },
        xattrs,
    }
}

fn level(
    directory: impl AsFd,
    path: Vec<u8>,
    archived: Vec<u8>,
    device: u64,
) -> Result<Level, LayerError> {
    let read = || LayerError::io::<Errno>("read", shown(&archived));
    let mut pending = Vec::new();
    for entry in Dir::read_from(directory).map_err(read())? {
        let entry = entry.map_err(read())?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            pending.push(name.to_vec());
        }
    }
    pending.sort_unstable_by(|a, b| b.cmp(a));
    Ok(Level {
        path,
        archived,
        device,
        pending,
    })
}

/// The directory at `path` below `top`, reached through directories only.
fn beneath(top: impl AsFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    loop {
        match openat2(&top, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Whether this says that something is no longer what it was a moment ago.
fn vanished(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV
    )
}

/// The attributes that travel: a file's capabilities, and what users have put down.
fn attributes(file: impl AsFd) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = vec![0; rustix::fs::flistxattr_query(&file).unwrap_or_default()];
    let length = rustix::fs::flistxattr(&file, names.as_mut_slice()).unwrap_or_default();
    let mut found: Vec<_> = names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| {
            (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
                || *name == b"security.capability"
        })
        .filter_map(|name| {
            let mut value = vec![0; rustix::fs::fgetxattr_query(&file, name).ok()?];
            let length = rustix::fs::fgetxattr(&file, name, value.as_mut_slice()).ok()?;
            value.truncate(length);
            Some((name.to_vec(), value))
        })
        .collect();
    found.sort_unstable();
    found
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() || directory.ends_with(b"/") {
        [directory, name].concat()
    } else {
        [directory, b"/", name].concat()
    }
}

fn shown(path: &[u8]) -> std::path::Display<'_> {
    std::path::Path::new(OsStr::from_bytes(path)).display()
}

#[cfg(test)]
mod tests;
