//! `COPY` and `ADD`: which files are meant, and how they get into an image.
//!
//! What is copied is first put into one archive, whose digest (without times and owners) tells whether the step has been
//! done before; then it is unpacked into a snapshot of the image, beneath its root.
//!
//! Source: Dockerfile reference, "COPY" and "ADD"; moby builder/dockerfile/copy.go.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, Read as _},
    os::{fd::AsFd as _, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{FileType, Mode, OFlags, fstat, openat};

use super::{area::Area, ignore};
use crate::{
    container::{ContainerFiles, resolve_user},
    engine::Engine,
    error::{EngineError, Result},
    image::{CommitSource, Digest, Hasher, Image},
    layer::{
        Access, LayerError, PackForm, Packer, Placement, RootFd, TarReader, decompressed,
        unpack_files,
    },
};

/// Where sources are taken from.
#[derive(Debug)]
pub(super) enum Origin<'f> {
    /// The build's context.
    Context(PathBuf),
    /// The root file system of another stage or image.
    Image(&'f ContainerFiles),
}

/// Something to copy.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A path, perhaps with wildcards.
    Path(String),
    /// A file that stands in the Dockerfile.
    Inline {
        /// Its name.
        name: String,
        /// What is in it.
        content: Vec<u8>,
    },
    /// A file that was fetched.
    Fetched {
        /// Its name.
        name: String,
        /// Where it lies.
        path: PathBuf,
        /// When it was changed, seconds since the Unix epoch; 0 when nobody says.
        mtime_seconds: i64,
    },
}

/// What `COPY` or `ADD` asks for, variables replaced.
#[derive(Clone, Debug)]
pub(super) struct CopyRequest {
    /// `COPY` or `ADD`.
    pub(super) name: String,
    /// In order.
    pub(super) sources: Vec<Source>,
    /// Absolute; with a slash at its end it is a directory.
    pub(super) destination: String,
    /// `user:group`.
    pub(super) owner: Option<String>,
    /// Without one: leave everything to whom it belongs, as between stages, instead of giving it to root.
    pub(super) keep_owner: bool,
    /// Octal permissions.
    pub(super) mode: Option<u32>,
    /// Unpack archives of the context, as `ADD` does.
    pub(super) extract: bool,
}

/// An archive of what is to be copied.
#[derive(Debug)]
pub(super) struct Packed {
    path: PathBuf,
    /// What it is unpacked into, below the image's root.
    directory: Vec<u8>,
    /// Other archives, which are unpacked into the same place.
    archives: Vec<PathBuf>,
    /// Of all content and names.
    pub(super) digest: Digest,
    /// `file`, `dir` or `multi`, as Docker calls what it copied.
    pub(super) kind: &'static str,
}

fn invalid<T>(message: impl Into<String>) -> Result<T> {
    Err(EngineError::Invalid(message.into()))
}

/// Puts what is to be copied into an archive. `image` is what it is copied into: a directory there takes a file in. Blocks.
///
/// # Errors
/// `Invalid` in Docker's words when something is not there.
pub(super) fn pack(
    area: &Area,
    origin: &Origin<'_>,
    request: &CopyRequest,
    image: &ContainerFiles,
) -> Result<Packed> {
    let path = area.place("copy");
    let file = File::create(&path).map_err(EngineError::io("create", path.display()))?;
    let context = match origin {
        Origin::Context(dir) => {
            Some(RootFd::open(dir).map_err(EngineError::io("open", dir.display()))?)
        }
        Origin::Image(_) => None,
    };
    let root = match (&context, origin) {
        (Some(root), _) => root,
        (None, Origin::Image(files)) => files.root(),
        (None, Origin::Context(_)) => return invalid("the build has no context"),
    };
    let base = match origin {
        Origin::Context(dir) => Some(dir.as_path()),
        Origin::Image(_) => None,
    };
    let items = find(root, base, request)?;
    let into_directory = request.destination.ends_with('/')
        || request.destination.ends_with("/.")
        || is_directory(image.root(), &request.destination);
    if items.len() > 1 && !request.destination.ends_with('/') {
        return invalid(format!(
            "When using {} with more than one source file, the destination must be a directory and end with a /",
            request.name
        ));
    }
    let clean = crate::layer::clean_path(request.destination.as_bytes())?;
    let contents = items
        .iter()
        .all(|item| item.is_directory() || item.is_archive(request));
    let (directory, single) = if into_directory || contents {
        (clean, None)
    } else {
        let cut = clean.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = cut.map_or((&b""[..], clean.as_slice()), |at| {
            (&clean[..at], &clean[at + 1..])
        });
        (parent.to_vec(), Some(name.to_vec()))
    };
    let mut packer = Packer::new(file, PackForm::Files, HashSet::new());
    let mut archives = Vec::new();
    for item in &items {
        match item {
            Item::Directory { path } => {
                let opened = open(root, path, OFlags::RDONLY | OFlags::DIRECTORY)?;
                packer.add_content(&opened, b"")?;
            }
            Item::File {
                archive: Some(copy),
                ..
            } if request.extract => archives.push(copy.clone()),
            Item::File { path, name, .. } => {
                let (parent, base) = parent_and_name(path);
                let parent = root
                    .directory(parent)
                    .map_err(|errno| not_found(request, path, errno))?;
                packer.add(&parent, base, single.as_deref().unwrap_or(name))?;
            }
            Item::Made {
                name,
                content,
                mode,
                mtime_seconds,
            } => {
                let archived = single.as_deref().unwrap_or(name);
                let attributes = (*mode, *mtime_seconds);
                match content {
                    Content::Bytes(bytes) => {
                        let size = bytes.len() as u64;
                        packer.add_made(archived, attributes, size, &mut bytes.as_slice())?;
                    }
                    Content::File(path) => {
                        let mut file =
                            File::open(path).map_err(EngineError::io("open", path.display()))?;
                        let size = file
                            .metadata()
                            .map_err(EngineError::io("stat", path.display()))?;
                        packer.add_made(archived, attributes, size.len(), &mut file)?;
                    }
                }
            }
        }
    }
    packer.finish()?;
    let kind = match items.as_slice() {
        [one] if one.is_directory() => "dir",
        [_] => "file",
        _ => "multi",
    };
    let digest = content_digest(&path, &archives)?;
    Ok(Packed {
        path,
        directory,
        archives,
        digest,
        kind,
    })
}

/// The digest of a file or directory of the context, with all that is in it. Blocks.
///
/// # Errors
/// `Invalid` when there is nothing.
pub(super) fn digest_of(area: &Area, source: &str) -> Result<Digest> {
    let context = area.context();
    let root = RootFd::open(&context).map_err(EngineError::io("open", context.display()))?;
    let real = root
        .real_path(source.as_bytes())
        .map_err(EngineError::io("open", source))?;
    let path = area.place("mounted");
    let file = File::create(&path).map_err(EngineError::io("create", path.display()))?;
    let mut packer = Packer::new(file, PackForm::Files, HashSet::new());
    if root.directory(&real).is_ok() {
        packer.add_content(
            &open(&root, &real, OFlags::RDONLY | OFlags::DIRECTORY)?,
            b"",
        )?;
    } else {
        let (parent, name) = parent_and_name(&real);
        let missing = || EngineError::Invalid(format!("RUN --mount: {source:?}: not found"));
        root.open_path(&real, OFlags::NOFOLLOW)
            .map_err(|_errno| missing())?;
        let parent = root.directory(parent).map_err(|_errno| missing())?;
        packer.add(&parent, name, name)?;
    }
    packer.finish()?;
    let digest = content_digest(&path, &[])?;
    std::fs::remove_file(&path).map_err(EngineError::io("remove", path.display()))?;
    Ok(digest)
}

/// Unpacks an archive into a snapshot of `image` and makes the next image of it. Blocks.
///
/// # Errors
/// `Invalid` when it cannot be put there, `Internal` when it cannot be stored; nothing is left then.
pub(super) fn apply(
    engine: &Engine,
    area: &Area,
    image: &Image,
    packed: &Packed,
    request: &CopyRequest,
    source: CommitSource,
) -> Result<Arc<Image>> {
    let snapshot = area.snapshot(image)?;
    let done = put(engine, &snapshot, packed, request).and_then(|()| {
        engine.images.commit(CommitSource {
            container_id: snapshot.clone(),
            ..source
        })
    });
    area.let_go(&snapshot);
    done
}

fn put(engine: &Engine, snapshot: &str, packed: &Packed, request: &CopyRequest) -> Result<()> {
    let files = engine.snapshot_files(snapshot, Access::Write)?;
    let root = files.root();
    let owner = match &request.owner {
        Some(owner) => {
            // A user alone names the group as well.
            let both = if owner.contains(':') {
                owner.clone()
            } else {
                format!("{owner}:{owner}")
            };
            let user = resolve_user(root.as_fd(), &both, &[])?;
            Some((user.uid, user.gid))
        }
        None if request.keep_owner => None,
        None => Some((0, 0)),
    };
    root.make_directories(&packed.directory)?;
    let placement = Placement {
        directory: root
            .real_path(&packed.directory)
            .map_err(EngineError::io("open", &request.destination))?,
        keep_kinds: false,
        owner,
        mode: request.mode,
    };
    let open = |path: &Path| File::open(path).map_err(EngineError::io("open", path.display()));
    unpack_files(open(&packed.path)?, root, placement.clone())?;
    for archive in &packed.archives {
        // What an archive says of its files is kept, unless someone asked for something else.
        let placement = Placement {
            owner: owner.filter(|_| request.owner.is_some()),
            ..placement.clone()
        };
        unpack_files(open(archive)?, root, placement)?;
    }
    Ok(())
}

/// Makes a directory in a snapshot of `image`, as `WORKDIR` does, and the next image of it. Blocks.
///
/// # Errors
/// As [`apply`].
pub(super) fn make_directory(
    engine: &Engine,
    area: &Area,
    image: &Image,
    path: &str,
    source: CommitSource,
) -> Result<Arc<Image>> {
    let snapshot = area.snapshot(image)?;
    let done = engine
        .snapshot_files(&snapshot, Access::Write)
        .and_then(|files| {
            let path = crate::layer::clean_path(path.as_bytes())?;
            files.root().make_directories(&path)?;
            Ok(())
        })
        .and_then(|()| {
            engine.images.commit(CommitSource {
                container_id: snapshot.clone(),
                ..source
            })
        });
    area.let_go(&snapshot);
    done
}

/// One thing that was found.
#[derive(Debug)]
enum Item {
    Directory {
        path: Vec<u8>,
    },
    File {
        path: Vec<u8>,
        name: Vec<u8>,
        /// Where it can be read, when it is an archive.
        archive: Option<PathBuf>,
    },
    Made {
        name: Vec<u8>,
        content: Content,
        mode: u32,
        mtime_seconds: i64,
    },
}

#[derive(Debug)]
enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Item {
    fn is_directory(&self) -> bool {
        matches!(self, Self::Directory { .. })
    }

    fn is_archive(&self, request: &CopyRequest) -> bool {
        request.extract
            && matches!(
                self,
                Self::File {
                    archive: Some(_),
                    ..
                }
            )
    }
}

fn find(root: &RootFd, base: Option<&Path>, request: &CopyRequest) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    for source in &request.sources {
        match source {
            Source::Inline { name, content } => items.push(Item::Made {
                name: name.clone().into_bytes(),
                content: Content::Bytes(content.clone()),
                mode: 0o644,
                mtime_seconds: 0,
            }),
            Source::Fetched {
                name,
                path,
                mtime_seconds,
            } => items.push(Item::Made {
                name: name.clone().into_bytes(),
                content: Content::File(path.clone()),
                mode: 0o600,
                mtime_seconds: *mtime_seconds,
            }),
            Source::Path(pattern) => {
                let found = matching(root, pattern)?;
                if found.is_empty() {
                    return invalid(format!(
                        "{} failed: no source files were specified",
                        request.name
                    ));
                }
                for path in found {
                    items.push(item(root, base, &path, request)?);
                }
            }
        }
    }
    Ok(items)
}

/// The paths that a pattern of Go's `filepath.Match` means; one without wildcards means itself.
fn matching(root: &RootFd, pattern: &str) -> Result<Vec<Vec<u8>>> {
    let clean = crate::container::clean_absolute(&format!("/{pattern}"))
        .ok_or_else(|| EngineError::Invalid(format!("{pattern:?} has a zero byte")))?;
    let mut found = vec![Vec::new()];
    for part in clean.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        let wild = part.contains(['*', '?', '[', '\\']);
        let expression = if wild {
            let single = part.replace("**", "*");
            Some(ignore::regex_of(&single).map_err(EngineError::Invalid)?)
        } else {
            None
        };
        for above in found {
            let Some(expression) = &expression else {
                next.push(join(&above, part.as_bytes()));
                continue;
            };
            let mut names = names(root, &above);
            names.retain(|name| expression.is_match(name));
            names.sort();
            next.extend(names.iter().map(|name| join(&above, name)));
        }
        found = next;
    }
    Ok(found)
}

fn names(root: &RootFd, directory: &[u8]) -> Vec<Vec<u8>> {
    let Ok(opened) = root.directory(directory) else {
        return Vec::new();
    };
    let Ok(listed) = openat(
        &opened,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .and_then(|readable| rustix::fs::Dir::read_from(&readable)) else {
        return Vec::new();
    };
    listed
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_bytes().to_vec())
        .filter(|name| !matches!(name.as_slice(), b"." | b".."))
        .collect()
}

fn join(above: &[u8], name: &[u8]) -> Vec<u8> {
    if above.is_empty() {
        name.to_vec()
    } else {
        [above, b"/", name].concat()
    }
}

fn parent_and_name(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

fn not_found(request: &CopyRequest, path: &[u8], errno: rustix::io::Errno) -> EngineError {
    let path = String::from_utf8_lossy(path);
    let why = if errno == rustix::io::Errno::NOENT {
        "file does not exist".to_owned()
    } else {
        errno.to_string()
    };
    EngineError::Invalid(format!(
        "{} failed: file not found in build context or excluded by .dockerignore: stat {path}: {why}",
        request.name
    ))
}

fn item(root: &RootFd, base: Option<&Path>, path: &[u8], request: &CopyRequest) -> Result<Item> {
    // The name is that of the link, the content that of what it leads to.
    let real = root
        .real_path(path)
        .map_err(|errno| not_found(request, path, errno))?;
    let opened = root
        .open_path(&real, OFlags::NOFOLLOW)
        .map_err(|errno| not_found(request, path, errno))?;
    let stat = fstat(&opened).map_err(|errno| not_found(request, path, errno))?;
    let name = parent_and_name(path).1.to_vec();
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Item::Directory { path: real },
        FileType::RegularFile => {
            // The context is ours alone: its files lie where they were found.
            let archive = base
                .filter(|_| request.extract)
                .map(|base| base.join(std::ffi::OsStr::from_bytes(&real)))
                .filter(|path| is_archive(path));
            Item::File {
                path: real,
                name,
                archive,
            }
        }
        _ => Item::File {
            path: real,
            name,
            archive: None,
        },
    })
}

fn open(root: &RootFd, path: &[u8], flags: OFlags) -> Result<std::os::fd::OwnedFd> {
    root.directory(path)
        .and_then(|directory| openat(&directory, ".", flags | OFlags::CLOEXEC, Mode::empty()))
        .map_err(EngineError::io("open", String::from_utf8_lossy(path)))
}

fn is_directory(root: &RootFd, path: &str) -> bool {
    crate::layer::clean_path(path.as_bytes()).is_ok_and(|path| root.directory(&path).is_ok())
}

/// Whether a file is a tar archive, compressed or not.
fn is_archive(path: &Path) -> bool {
    let read = || -> io::Result<bool> {
        let mut stream = decompressed(File::open(path)?)?;
        let mut block = Vec::new();
        stream.by_ref().take(512).read_to_end(&mut block)?;
        let full = block.len() == 512;
        let mut archive = TarReader::new(block.as_slice().chain(stream));
        Ok(full && matches!(archive.next_entry(), Ok(Some(_))))
    };
    read().unwrap_or(false)
}

/// The digest of names, kinds, permissions and content; neither of times nor of owners, which differ from one checkout to
/// the next.
fn content_digest(path: &Path, archives: &[PathBuf]) -> Result<Digest> {
    let mut hasher = Hasher::for_digest(None);
    let file = File::open(path).map_err(EngineError::io("open", path.display()))?;
    let mut archive = TarReader::new(io::BufReader::with_capacity(128 * 1024, file));
    let mut buffer = vec![0; 64 * 1024];
    while let Some(entry) = archive.next_entry().map_err(LayerError::from)? {
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(&entry.path);
        field(format!("{:?} {:o} {}", entry.kind, entry.mode, entry.size).as_bytes());
        field(&entry.link);
        for (key, value) in &entry.xattrs {
            field(key);
            field(value);
        }
        loop {
            let count = archive
                .read(&mut buffer)
                .map_err(EngineError::io("read", path.display()))?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
        }
    }
    for path in archives {
        let mut file = File::open(path).map_err(EngineError::io("open", path.display()))?;
        loop {
            let count = file
                .read(&mut buffer)
                .map_err(EngineError::io("read", path.display()))?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
        }
        hasher.update(path.file_name().map_or(&b""[..], std::ffi::OsStr::as_bytes));
    }
    Ok(hasher.finish())
}
