//! Unpacks archives beneath one directory: a layer's in the form overlayfs reads, or files over what is there.
//!
//! The archive is hostile until proven otherwise: every parent is opened by the kernel beneath the root, files are made
//! with `O_EXCL` and changed through their descriptor, device nodes are left out (a container's `/dev` is its own tmpfs),
//! and attributes that mean something to overlayfs cannot come from outside. Whiteouts become overlayfs' own marks.
//!
//! Source: OCI image-spec layer.md; kernel overlayfs.rst, "whiteouts and opaque directories".

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write as _},
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd},
        unix::fs::FileExt as _,
    },
};

use rustix::{
    fs::{self, AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};

use super::{
    error::LayerError,
    remove::remove_tree_at,
    root::{RootFd, clean, file_type, is_whiteout, open_directory, split, stat},
    tar::{Entry, Kind, TarReader},
};

const WHITEOUT_PREFIX: &[u8] = b".wh.";
const OPAQUE_MARKER: &[u8] = b".wh..wh..opq";
/// Other names with this prefix are the bookkeeping of aufs.
const METADATA_PREFIX: &[u8] = b".wh..wh.";
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";
/// Largest window a zstd stream may ask for, as a power of two: 128 MiB.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;
/// The file system is looked at again after so many bytes.
const SPACE_CHECK_BYTES: u64 = 64 << 20;

/// How much one layer may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Entries of the archive.
    pub(super) entries: u64,
    /// Length of one file, holes included, in bytes.
    pub(super) file_bytes: u64,
    /// Room left on the file system, in bytes.
    pub(super) reserve_bytes: u64,
}

/// What an archive is unpacked as.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// A layer, into an empty root. Whiteouts become overlayfs' own marks.
    Layer,
    /// Files, into a root that is somebody's.
    Files(Placement),
}

/// Where and how files are put over what is there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Placement {
    /// The directory, below the root and clean; it exists.
    pub(crate) directory: Vec<u8>,
    /// Refuse to put a file in the place of a directory, or a directory in the place of a file.
    pub(crate) keep_kinds: bool,
    /// Whose everything is, whatever the archive says.
    pub(crate) owner: Option<(u32, u32)>,
    /// The permissions that everything but links has, whatever the archive says.
    pub(crate) mode: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 4_000_000,
            file_bytes: 1 << 40,
            reserve_bytes: 16 << 20,
        }
    }
}

/// The archive inside `stream`: unpacked when it is gzip or zstd, which its first bytes tell.
///
/// # Errors
/// `Unsupported` for a compression that is not read.
pub(crate) fn decompressed<'a, R: Read + Send + 'a>(
    stream: R,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut stream = BufReader::with_capacity(128 * 1024, stream);
    let start = stream.fill_buf()?;
    let unsupported = |name: &str| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{name} compression is not supported: use gzip or zstd"),
        )
    };
    if start.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(stream)));
    }
    if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(stream)?;
        decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
        return Ok(Box::new(decoder));
    }
    if start.starts_with(b"BZh") {
        return Err(unsupported("bzip2"));
    }
    if start.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
        return Err(unsupported("xz"));
    }
    Ok(Box::new(stream))
}

/// Unpacks the archive `reader` into `root`. Returns the reader and the bytes of all files.
pub(super) fn unpack<R: Read>(
    reader: R,
    root: &RootFd,
    limits: Limits,
    form: &Form,
) -> Result<(R, u64), LayerError> {
    let mut unpacker = Unpacker {
        root,
        form,
        limits,
        parent: None,
        directory_times: Vec::new(),
        whited_out: HashSet::new(),
        written_bytes: 0,
        next_check_bytes: 0,
        buffer: vec![0; 128 * 1024],
    };
    let mut archive = TarReader::new(reader);
    let mut entries = 0_u64;
    while let Some(entry) = archive.next_entry()? {
        entries += 1;
        if entries > limits.entries {
            return Err(LayerError::Invalid(format!(
                "archive has more than {} entries",
                limits.entries
            )));
        }
        unpacker.entry(&mut archive, entry)?;
    }
    unpacker.set_directory_times()?;
    Ok((archive.into_inner(), unpacker.written_bytes))
}

/// Unpacks the archive `stream`, which may be compressed, over what is below `root`.
pub(crate) fn unpack_files(
    stream: impl Read + Send,
    root: &RootFd,
    placement: Placement,
) -> Result<(), LayerError> {
    let stream = decompressed(stream).map_err(super::tar::TarError::Read)?;
    let (mut rest, _bytes) = unpack(stream, root, Limits::default(), &Form::Files(placement))?;
    // A client that still sends padding must not find the door shut.
    io::copy(&mut rest, &mut io::sink()).map_err(super::tar::TarError::Read)?;
    Ok(())
}

struct Unpacker<'r> {
    root: &'r RootFd,
    form: &'r Form,
    limits: Limits,
    /// The directory of the entry before: most entries are its neighbours.
    parent: Option<(Vec<u8>, OwnedFd)>,
    directory_times: Vec<(Vec<u8>, Timestamps)>,
    /// Paths that the layer both removes from below and fills itself.
    whited_out: HashSet<Vec<u8>>,
    written_bytes: u64,
    next_check_bytes: u64,
    buffer: Vec<u8>,
}

impl Unpacker<'_> {
    fn entry<R: Read>(
        &mut self,
        archive: &mut TarReader<R>,
        mut entry: Entry,
    ) -> Result<(), LayerError> {
        let mut path = clean(&entry.path)?;
        if path.is_empty() {
            return self.root_entry(&entry);
        }
        if let Form::Files(placement) = self.form {
            path = placement.place(&path);
            if let Some((uid, gid)) = placement.owner {
                (entry.uid, entry.gid) = (uid, gid);
            }
            if let Some(mode) = placement.mode {
                entry.mode = mode;
            }
        }
        let (parent_path, name) = split(&path);
        let shown = String::from_utf8_lossy(&path).into_owned();
        if matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice) {
            tracing::debug!(path = shown, "leave out a device node");
            return Ok(());
        }
        let parent = self.parent(parent_path)?;
        let layer = matches!(self.form, Form::Layer);
        if layer && name.starts_with(WHITEOUT_PREFIX) {
            let done = self.whiteout(&parent, parent_path, name, &shown);
            self.parent = Some((parent_path.to_vec(), parent));
            return done;
        }
        let existing = stat(&parent, name).map_err(LayerError::io("stat", &shown))?;
        let merge = existing.as_ref().is_some_and(|stat| {
            entry.kind == Kind::Directory && file_type(stat) == FileType::Directory
        });
        if let Some(existing) = existing.filter(|_| !merge) {
            self.check_kinds(&entry, &existing, &shown)?;
            if layer && is_whiteout(&existing) {
                self.whited_out.insert(path.clone());
            }
            remove_tree_at(&parent, name).map_err(LayerError::io("replace", &shown))?;
        }
        match entry.kind {
            Kind::Directory => {
                if !merge {
                    fs::mkdirat(&parent, name, Mode::from(0o755))
                        .map_err(LayerError::io("create", &shown))?;
                }
                let made = open_directory(&parent, name).map_err(LayerError::io("open", &shown))?;
                if self.whited_out.contains(&path) {
                    make_opaque(&made, &shown)?;
                }
                self.directory_metadata(&made, &path, &entry)?;
            }
            Kind::File => self.file(archive, &parent, name, &shown, &entry)?,
            Kind::Symlink => {
                fs::symlinkat(entry.link.as_slice(), &parent, name)
                    .map_err(LayerError::io("create", &shown))?;
                entry_metadata(&parent, name, &shown, &entry)?;
            }
            Kind::HardLink => self.hard_link(&parent, name, &shown, &entry)?,
            Kind::Fifo => {
                fs::mknodat(&parent, name, FileType::Fifo, Mode::from(0o600), 0)
                    .map_err(LayerError::io("create", &shown))?;
                entry_metadata(&parent, name, &shown, &entry)?;
                fs::chmodat(&parent, name, Mode::from(entry.mode), AtFlags::empty())
                    .map_err(LayerError::io("chmod", &shown))?;
            }
            Kind::CharDevice | Kind::BlockDevice => {}
        }
        self.parent = Some((parent_path.to_vec(), parent));
        Ok(())
    }

    /// The archive's entry for its own root, which is the layer's root, or a directory that has its attributes already.
    fn root_entry(&mut self, entry: &Entry) -> Result<(), LayerError> {
        if entry.kind != Kind::Directory {
            return Err(LayerError::Invalid(
                "the archive's root is no directory".into(),
            ));
        }
        if matches!(self.form, Form::Files(_)) {
            return Ok(());
        }
        let root = open_directory(self.root, b".").map_err(LayerError::io("open", "/"))?;
        self.directory_metadata(&root, b"", entry)
    }

    /// Refuses what [`Placement::keep_kinds`] forbids.
    fn check_kinds(&self, entry: &Entry, existing: &Stat, shown: &str) -> Result<(), LayerError> {
        let Form::Files(Placement {
            keep_kinds: true, ..
        }) = self.form
        else {
            return Ok(());
        };
        let name = String::from_utf8_lossy(&entry.path);
        let refuse = |there, new| {
            Err(LayerError::Invalid(format!(
                "cannot overwrite {there} \"/{shown}\" with {new} {name:?}"
            )))
        };
        if file_type(existing) == FileType::Directory {
            refuse("directory", "non-directory")
        } else if entry.kind == Kind::Directory {
            refuse("non-directory", "directory")
        } else {
            Ok(())
        }
    }

    /// The directory of an entry: kept from the entry before when that was its neighbour, which cannot have replaced it.
    fn parent(&mut self, path: &[u8]) -> Result<OwnedFd, LayerError> {
        match self.parent.take() {
            Some((known, directory)) if known == path => Ok(directory),
            _ => self.root.make_directories(path),
        }
    }

    fn whiteout(
        &mut self,
        parent: &OwnedFd,
        parent_path: &[u8],
        name: &[u8],
        shown: &str,
    ) -> Result<(), LayerError> {
        if name == OPAQUE_MARKER {
            let directory = open_directory(parent, b".").map_err(LayerError::io("open", shown))?;
            return make_opaque(&directory, shown);
        }
        if name.starts_with(METADATA_PREFIX) {
            return Ok(());
        }
        let target = &name[WHITEOUT_PREFIX.len()..];
        if matches!(target, b"" | b"." | b"..") {
            return Err(LayerError::Invalid(format!(
                "invalid whiteout {shown:?}: it names no file"
            )));
        }
        // A whiteout removes what lower layers have, never what this layer brings, in whichever order they come.
        match stat(parent, target).map_err(LayerError::io("stat", shown))? {
            None => fs::mknodat(
                parent,
                target,
                FileType::CharacterDevice,
                Mode::empty(),
                fs::makedev(0, 0),
            )
            .map_err(LayerError::io("create whiteout", shown)),
            Some(there) if file_type(&there) == FileType::Directory => {
                let directory =
                    open_directory(parent, target).map_err(LayerError::io("open", shown))?;
                let mut path = parent_path.to_vec();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(target);
                self.whited_out.insert(path);
                make_opaque(&directory, shown)
            }
            Some(_) => Ok(()),
        }
    }

    fn file<R: Read>(
        &mut self,
        archive: &mut TarReader<R>,
        parent: &OwnedFd,
        name: &[u8],
        shown: &str,
        entry: &Entry,
    ) -> Result<(), LayerError> {
        if entry.size > self.limits.file_bytes {
            return Err(LayerError::Invalid(format!(
                "file {shown:?} is larger than {} bytes",
                self.limits.file_bytes
            )));
        }
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(parent, name, flags, Mode::from(0o600))
            .map_err(LayerError::io("create", shown))?;
        let mut file = File::from(file);
        match &entry.segments {
            None => loop {
                let count = self.read(archive)?;
                if count == 0 {
                    break;
                }
                file.write_all(&self.buffer[..count])
                    .map_err(LayerError::io("write", shown))?;
            },
            Some(segments) => {
                file.set_len(entry.size)
                    .map_err(LayerError::io("write", shown))?;
                for segment in segments {
                    self.segment(archive, &file, segment.offset, segment.length, shown)?;
                }
            }
        }
        fs::fchown(
            &file,
            Some(Uid::from_raw(entry.uid)),
            Some(Gid::from_raw(entry.gid)),
        )
        .map_err(LayerError::io("chown", shown))?;
        // After chown, which clears the set-uid bit.
        fs::fchmod(&file, Mode::from(entry.mode)).map_err(LayerError::io("chmod", shown))?;
        set_xattrs(entry, shown, |name, value| {
            fs::fsetxattr(&file, name, value, XattrFlags::empty())
        })?;
        fs::futimens(&file, &timestamps(entry)).map_err(LayerError::io("set times of", shown))
    }

    fn segment<R: Read>(
        &mut self,
        archive: &mut TarReader<R>,
        file: &File,
        mut offset: u64,
        mut length: u64,
        shown: &str,
    ) -> Result<(), LayerError> {
        while length > 0 {
            let most = usize::try_from(length)
                .unwrap_or(usize::MAX)
                .min(self.buffer.len());
            archive
                .read_exact(&mut self.buffer[..most])
                .map_err(super::tar::TarError::Read)?;
            self.account(most as u64)?;
            file.write_all_at(&self.buffer[..most], offset)
                .map_err(LayerError::io("write", shown))?;
            offset += most as u64;
            length -= most as u64;
        }
        Ok(())
    }

    fn read<R: Read>(&mut self, archive: &mut TarReader<R>) -> Result<usize, LayerError> {
        loop {
            match archive.read(&mut self.buffer) {
                Ok(count) => {
                    self.account(count as u64)?;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(super::tar::TarError::Read(error).into()),
            }
        }
    }

    /// Counts bytes about to be written, and stops before the file system is full: a bomb must not take the host down.
    fn account(&mut self, bytes: u64) -> Result<(), LayerError> {
        self.written_bytes += bytes;
        if self.written_bytes > self.next_check_bytes {
            let space = fs::fstatvfs(self.root).map_err(LayerError::io("statvfs", "layers"))?;
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            if free < self.limits.reserve_bytes.saturating_add(bytes) {
                return Err(LayerError::NoSpace("unpack archive".into()));
            }
            let next = SPACE_CHECK_BYTES.min(free - self.limits.reserve_bytes);
            self.next_check_bytes = self.written_bytes + next;
        }
        Ok(())
    }

    fn hard_link(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        shown: &str,
        entry: &Entry,
    ) -> Result<(), LayerError> {
        let mut target = clean(&entry.link)?;
        if let Form::Files(placement) = self.form
            && !target.is_empty()
        {
            target = placement.place(&target);
        }
        let (target_parent, target_name) = split(&target);
        if target_name.is_empty() {
            return Err(LayerError::Invalid(format!(
                "hard link {shown:?} to the root"
            )));
        }
        let missing = || {
            LayerError::Invalid(format!(
                "hard link {shown:?} to {:?}, which is not there",
                String::from_utf8_lossy(&target)
            ))
        };
        let directory = match self.root.directory(target_parent) {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(missing()),
            Err(errno) => return Err(LayerError::io("open", shown)(errno)),
        };
        match stat(&directory, target_name).map_err(LayerError::io("stat", shown))? {
            None => return Err(missing()),
            Some(there) if matches!(self.form, Form::Layer) && is_whiteout(&there) => {
                return Err(missing());
            }
            Some(_) => {}
        }
        fs::linkat(&directory, target_name, parent, name, AtFlags::empty())
            .map_err(LayerError::io("link", shown))
    }

    fn directory_metadata(
        &mut self,
        directory: &OwnedFd,
        path: &[u8],
        entry: &Entry,
    ) -> Result<(), LayerError> {
        let shown = String::from_utf8_lossy(path);
        fs::fchown(
            directory,
            Some(Uid::from_raw(entry.uid)),
            Some(Gid::from_raw(entry.gid)),
        )
        .map_err(LayerError::io("chown", &shown))?;
        fs::fchmod(directory, Mode::from(entry.mode)).map_err(LayerError::io("chmod", &shown))?;
        set_xattrs(entry, &shown, |name, value| {
            fs::fsetxattr(directory, name, value, XattrFlags::empty())
        })?;
        // Set at the end: whatever is made in the directory changes its time.
        self.directory_times
            .push((path.to_vec(), timestamps(entry)));
        Ok(())
    }

    fn set_directory_times(&self) -> Result<(), LayerError> {
        for (path, times) in &self.directory_times {
            // A later entry may have put something else in its place.
            let (parent, name) = split(path);
            let Ok(parent) = self.root.directory(parent) else {
                continue;
            };
            let name = if name.is_empty() { b"." } else { name };
            if let Ok(directory) = open_directory(&parent, name) {
                fs::futimens(&directory, times).map_err(LayerError::io(
                    "set times of",
                    String::from_utf8_lossy(path),
                ))?;
            }
        }
        Ok(())
    }
}

impl Placement {
    /// A path of the archive as one below the root.
    fn place(&self, path: &[u8]) -> Vec<u8> {
        if self.directory.is_empty() {
            path.to_vec()
        } else {
            [self.directory.as_slice(), b"/", path].concat()
        }
    }
}

fn make_opaque(directory: &OwnedFd, shown: &str) -> Result<(), LayerError> {
    fs::fsetxattr(directory, OPAQUE_XATTR, b"y", XattrFlags::empty())
        .map_err(LayerError::io("make opaque", shown))
}

/// Owner, attributes and time of what is neither file nor directory.
fn entry_metadata(
    parent: &OwnedFd,
    name: &[u8],
    shown: &str,
    entry: &Entry,
) -> Result<(), LayerError> {
    fs::chownat(
        parent,
        name,
        Some(Uid::from_raw(entry.uid)),
        Some(Gid::from_raw(entry.gid)),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .map_err(LayerError::io("chown", shown))?;
    let mut path = format!("/proc/self/fd/{}/", parent.as_fd().as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    set_xattrs(entry, shown, |name, value| {
        fs::lsetxattr(path.as_slice(), name, value, XattrFlags::empty())
    })?;
    fs::utimensat(parent, name, &timestamps(entry), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(LayerError::io("set times of", shown))
}

fn set_xattrs(
    entry: &Entry,
    shown: &str,
    mut set: impl FnMut(&[u8], &[u8]) -> Result<(), Errno>,
) -> Result<(), LayerError> {
    for (name, value) in &entry.xattrs {
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        match set(name, value) {
            // What this file system or this kind of file cannot hold; dockerd leaves it out as well.
            Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => {}
            Err(errno) => return Err(LayerError::io("set attribute of", shown)(errno)),
        }
    }
    Ok(())
}

fn timestamps(entry: &Entry) -> Timestamps {
    let time = Timespec {
        tv_sec: entry.mtime_seconds,
        tv_nsec: entry.mtime_nanoseconds.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

#[cfg(test)]
mod tests;
