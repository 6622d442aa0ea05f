//! Files in containers and volumes: list, read, write, rename, remove.

use std::sync::Arc;

use api::{
    file::{
        DirectoryRequest, FileEditRequest, FileEntry, FileKind, FileListing, FilePreviewRequest,
        FileQuery, FileRemoveRequest, FileRenameRequest, FileText, FileUploadQuery,
    },
    id::{ContainerId, EngineName, VolumeName},
    preview::{Preview, PreviewItem},
    problem::ProblemCode,
    revision::Written,
};
use axum::{
    Json,
    body::Body as HttpBody,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bollard::{
    body_try_stream,
    query_parameters::{
        ContainerArchiveInfoOptionsBuilder, InspectContainerOptions,
        UploadToContainerOptionsBuilder,
    },
};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{Target, engine_of, policy};
use crate::{
    engines::{Deadline, Engine},
    filesystem::{
        CleanPath, Content, Entry, EntryKind, Lease, MOUNTED_AT, checked, header_of, list, padding,
        read_file, run,
    },
    http::{ApiError, Body, Caller, Params, QueryParams},
    mirror::timestamp,
    preview::{Found, Plan},
    state::AppState,
};

/// Largest text that is edited, in bytes.
const LARGEST_TEXT: u64 = 512 * 1024;
/// Largest upload, in bytes.
const LARGEST_UPLOAD: u64 = 64 * 1024 * 1024 * 1024;
/// An upload may take so long.
const UPLOAD_LIMIT: std::time::Duration = std::time::Duration::from_hours(6);
/// Files removed in one act.
const MOST: usize = 200;

/// Where files are: a container, or the container of our own that holds a volume.
pub(super) struct Place {
    pub(super) engine: Arc<Engine>,
    pub(super) container: String,
    /// It runs, and programs can be run in it.
    runs: bool,
    /// Where the files begin.
    prefix: &'static str,
    /// Names the place in a plan.
    key: String,
    /// For people.
    title: String,
    _lease: Option<Lease>,
}

pub(super) type ContainerPath = Params<(EngineName, ContainerId)>;
pub(super) type VolumePath = Params<(EngineName, VolumeName)>;

impl Place {
    /// A container's files, for who may enter it.
    async fn container(
        state: &AppState,
        caller: &Caller,
        at: ContainerPath,
    ) -> Result<Self, ApiError> {
        let Params((engine, id)) = at;
        let target = Target::find(state, &engine, &id).await?;
        let key = target.id();
        let inspect = target
            .engine
            .call(Deadline::Read, |docker| async move {
                docker
                    .inspect_container(key, None::<InspectContainerOptions>)
                    .await
            })
            .await?;
        policy::may_enter(caller, &inspect)?;
        let state = inspect.state.unwrap_or_default();
        Ok(Self {
            container: target.id().to_owned(),
            runs: state.running == Some(true) && state.paused != Some(true),
            prefix: "",
            key: target.id().to_owned(),
            title: target.row.name.clone(),
            engine: target.engine,
            _lease: None,
        })
    }

    /// A volume's files.
    pub(super) async fn volume(
        state: &AppState,
        caller: &Caller,
        at: VolumePath,
    ) -> Result<Self, ApiError> {
        let Params((engine, name)) = at;
        let engine = engine_of(state, &engine)?;
        let key = name.as_str();
        let volume = engine
            .call(Deadline::Read, |docker| async move {
                docker.inspect_volume(key).await
            })
            .await?;
        policy::may_enter_volume(caller, &volume)?;
        let lease = state.helpers.of(state, &engine, key).await?;
        Ok(Self {
            container: lease.id.clone(),
            runs: true,
            prefix: MOUNTED_AT,
            key: format!("volume:{name}"),
            title: name.to_string(),
            engine,
            _lease: Some(lease),
        })
    }

    pub(super) fn real(&self, path: &CleanPath) -> CleanPath {
        path.below(self.prefix)
    }

    async fn list(&self, path: &CleanPath) -> Result<FileListing, ApiError> {
        list(
            &self.engine,
            &self.container,
            self.runs,
            &self.real(path),
            path,
        )
        .await
    }

    /// One file, without following it when it is a link.
    async fn stat(&self, path: &CleanPath) -> Result<FileEntry, ApiError> {
        let (id, real) = (self.container.as_str(), self.real(path));
        let options = ContainerArchiveInfoOptionsBuilder::default()
            .path(real.as_str())
            .build();
        let seen = self
            .engine
            .call(Deadline::Read, |docker| async move {
                docker.get_container_archive_info(id, Some(options)).await
            })
            .await
            .map_err(|error| not_there(error, path))?;
        // Go's os.FileMode: kind bits on top, permissions below.
        let mode = seen.file_mode;
        let kind = match mode {
            mode if mode & (1 << 31) != 0 => FileKind::Directory,
            mode if mode & (1 << 27) != 0 => FileKind::Link,
            mode if mode & 0x0e28_0000 != 0 => FileKind::Special,
            _ => FileKind::File,
        };
        let bits = [(23, 0o4000), (22, 0o2000), (20, 0o1000)];
        let special = bits
            .iter()
            .filter(|(bit, _)| mode & (1 << bit) != 0)
            .map(|(_, value)| value)
            .sum::<u32>();
        Ok(FileEntry {
            name: path.name().to_owned(),
            kind,
            size_bytes: u64::try_from(seen.size).unwrap_or_default(),
            mode: (mode & 0o777) | special,
            uid: None,
            gid: None,
            modified_at: seen.modification_time.as_deref().and_then(timestamp),
            link_target: (kind == FileKind::Link).then_some(seen.link_target),
        })
    }

    async fn exists(&self, path: &CleanPath) -> Result<Option<FileEntry>, ApiError> {
        match self.stat(path).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.code() == ProblemCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Unpacks an archive into a directory.
    pub(super) async fn put(
        &self,
        directory: &CleanPath,
        archive: impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    ) -> Result<(), ApiError> {
        let options = UploadToContainerOptionsBuilder::default()
            .path(self.real(directory).as_str())
            .no_overwrite_dir_non_dir("1")
            .build();
        let docker = self.engine.docker()?;
        let done =
            docker.upload_to_container(&self.container, Some(options), body_try_stream(archive));
        crate::engines::within(&self.engine.name, UPLOAD_LIMIT, done)
            .await
            .map_err(|error| not_there(error, directory))
    }

    /// Unpacks the archive that a request carries, as long as it is one and stays in the directory.
    pub(super) async fn unpack(
        &self,
        directory: &CleanPath,
        request: Request,
    ) -> Result<(), ApiError> {
        let (archive, wrong) = checked(request.into_body().into_data_stream());
        let put = self.put(directory, archive).await;
        match wrong.get() {
            Some(wrong) => Err(ApiError::invalid_field("body", wrong.to_string())
                .hint("send a tar archive whose names are relative and without '..'; what stood before the fault is unpacked")),
            None => put,
        }
    }

    /// Writes one small file, with the owner and permissions that it has.
    async fn write(
        &self,
        path: &CleanPath,
        old: Option<&Entry>,
        content: &[u8],
    ) -> Result<(), ApiError> {
        let entry = Entry {
            name: path.name().to_owned(),
            kind: EntryKind::File,
            mode: old.map_or(0o644, |old| old.mode),
            uid: old.map_or(0, |old| old.uid),
            gid: old.map_or(0, |old| old.gid),
            size: content.len() as u64,
            mtime: Timestamp::now().as_second(),
            link: String::new(),
        };
        let mut archive = header_of(&entry);
        archive.extend_from_slice(content);
        archive.extend(std::iter::repeat_n(0, padding(entry.size) + 1024));
        self.put(&path.parent(), one(archive)).await
    }

    /// Reads a small text file.
    async fn text(&self, path: &CleanPath) -> Result<(Entry, FileText), ApiError> {
        let (entry, mut bytes) = match read_file(&self.engine, &self.container, &self.real(path))
            .await
            .map_err(|error| told_as(error, path))?
        {
            Content::File(entry, bytes) => (entry, bytes),
            Content::Archive(_) => {
                return Err(ApiError::invalid_field("path", "is no regular file")
                    .hint("edit what a link leads to; list a directory instead"));
            }
        };
        if entry.size > LARGEST_TEXT {
            return Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                ProblemCode::TooLarge,
                format!(
                    "the file has {} bytes; at most {LARGEST_TEXT} are edited here",
                    entry.size
                ),
            )
            .hint("download it, change it, and upload it again"));
        }
        let mut content = Vec::new();
        while let Some(piece) = bytes
            .try_next()
            .await
            .map_err(|error| self.cut_off(&error))?
        {
            content.extend_from_slice(&piece);
        }
        let etag = format!("\"{}\"", hex::encode(Sha256::digest(&content)));
        let text = String::from_utf8(content)
            .ok()
            .filter(|text| !text.contains('\0'))
            .ok_or_else(|| {
                ApiError::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    ProblemCode::UnsupportedMediaType,
                    "the file is no text in UTF-8",
                )
                .hint("download it instead")
            })?;
        let told = FileText {
            path: path.as_str().to_owned(),
            text,
            mode: entry.mode,
            etag,
        };
        Ok((entry, told))
    }

    fn cut_off(&self, error: &std::io::Error) -> ApiError {
        crate::engines::CallError::Garbled {
            engine: self.engine.name.clone(),
            what: error.to_string(),
        }
        .into()
    }

    /// Tools are needed and there are none.
    fn needs_tools(&self) -> Result<(), ApiError> {
        if self.runs {
            return Ok(());
        }
        Err(ApiError::new(
            StatusCode::CONFLICT,
            ProblemCode::Conflict,
            format!(
                "{} does not run, and files are renamed and removed by a program inside of it",
                self.title
            ),
        )
        .hint("start it; listing, reading, writing and making directories works without"))
    }

    async fn tool(&self, words: &[&str]) -> Result<(), ApiError> {
        let done = run(&self.engine, &self.container, words).await?;
        match done.exit_code {
            0 => Ok(()),
            126 | 127 => Err(ApiError::new(
                StatusCode::CONFLICT,
                ProblemCode::Unsupported,
                format!(
                    "the container has no program {}",
                    words.first().unwrap_or(&"")
                ),
            )
            .hint("use an image with coreutils or busybox")),
            _ => Err(ApiError::new(
                StatusCode::CONFLICT,
                ProblemCode::Conflict,
                done.complaint,
            )),
        }
    }
}

/// A small archive as a stream.
fn one(
    archive: Vec<u8>,
) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    futures_util::stream::iter([Ok(Bytes::from(archive))])
}

/// The engine's words name the whole path in the container; ours is what the client asked for.
fn not_there(error: crate::engines::CallError, path: &CleanPath) -> ApiError {
    if error.is_not_found() {
        return ApiError::not_found(format!("file or directory: {}", path.as_str()));
    }
    error.into()
}

fn told_as(error: ApiError, path: &CleanPath) -> ApiError {
    if error.code() == ProblemCode::NotFound {
        return ApiError::not_found(format!("file or directory: {}", path.as_str()));
    }
    error
}

/// A file's name in a header; what could end the quotes is left out.
pub(super) fn attachment(response: &mut Response, name: &str, kind: &'static str) {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '/' | ';' | '%') {
                c
            } else {
                '_'
            }
        })
        .collect();
    let encoded: String = name
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    let disposition = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::try_from(disposition).unwrap_or(HeaderValue::from_static("attachment")),
    );
    // It comes from a container: whatever it holds, it runs nothing.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox"),
    );
}

async fn download(place: Place, query: FileQuery) -> Result<Response, ApiError> {
    let path = CleanPath::parse("path", &query.path)?;
    let content = read_file(&place.engine, &place.container, &place.real(&path))
        .await
        .map_err(|error| told_as(error, &path))?;
    let name = if path.is_root() {
        &place.title
    } else {
        path.name()
    }
    .to_owned();
    // The place is held until the last byte is out.
    let hold = move |stream: futures_util::stream::BoxStream<'static, _>| {
        stream.inspect(move |_: &std::io::Result<Bytes>| {
            let _held = &place;
        })
    };
    let response = match content {
        Content::File(entry, bytes) => {
            let mut response = HttpBody::from_stream(hold(bytes)).into_response();
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, HeaderValue::from(entry.size));
            attachment(&mut response, &name, "application/octet-stream");
            response
        }
        Content::Archive(bytes) => {
            let mut response = HttpBody::from_stream(hold(bytes)).into_response();
            attachment(&mut response, &format!("{name}.tar"), "application/x-tar");
            response
        }
    };
    Ok(response)
}

/// The length that a request says its body has.
pub(super) fn length_of(request: &Request) -> Result<u64, ApiError> {
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok())
        .ok_or_else(|| {
            ApiError::new(
                StatusCode::LENGTH_REQUIRED,
                ProblemCode::Malformed,
                "the body's length is not told",
            )
            .hint("send Content-Length")
        })?;
    if length > LARGEST_UPLOAD {
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            ProblemCode::TooLarge,
            "the body is larger than 64 GiB",
        ));
    }
    Ok(length)
}

/// Errs unless the body is of this kind; a page elsewhere cannot send it without being asked.
pub(super) fn must_be(headers: &HeaderMap, kinds: &[&str]) -> Result<(), ApiError> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kinds.iter().any(|wanted| kind.eq_ignore_ascii_case(wanted)) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ProblemCode::UnsupportedMediaType,
        format!("the body must be {}", kinds.join(" or ")),
    ))
}

async fn upload(
    place: Place,
    query: FileUploadQuery,
    request: Request,
) -> Result<Json<Written>, ApiError> {
    let path = CleanPath::parse("path", &query.path)?;
    let unpack = query.unpack.unwrap_or(false);
    if unpack {
        must_be(
            request.headers(),
            &["application/x-tar", "application/octet-stream"],
        )?;
        place.unpack(&path, request).await?;
        return Ok(Json(Written {
            rev: None,
            warnings: Vec::new(),
        }));
    }
    must_be(request.headers(), &["application/octet-stream"])?;
    if path.is_root() {
        return Err(ApiError::invalid_field("path", "must name a file"));
    }
    let size = length_of(&request)?;
    let old = match place.exists(&path).await? {
        Some(found) if found.kind == FileKind::File => Some(found),
        Some(_) => {
            return Err(ApiError::invalid_field(
                "path",
                "is there already and no regular file",
            ));
        }
        None => None,
    };
    let owner = match old {
        Some(_) => match read_file(&place.engine, &place.container, &place.real(&path)).await? {
            Content::File(entry, _) => Some(entry),
            Content::Archive(_) => None,
        },
        None => None,
    };
    let entry = Entry {
        name: path.name().to_owned(),
        kind: EntryKind::File,
        mode: query
            .mode
            .or(owner.as_ref().map(|old| old.mode))
            .unwrap_or(0o644)
            & 0o7777,
        uid: owner.as_ref().map_or(0, |old| old.uid),
        gid: owner.as_ref().map_or(0, |old| old.gid),
        size,
        mtime: Timestamp::now().as_second(),
        link: String::new(),
    };
    let head = Bytes::from(header_of(&entry));
    let tail = Bytes::from(vec![0; padding(size) + 1024]);
    let content = request
        .into_body()
        .into_data_stream()
        .map_err(std::io::Error::other);
    let archive = futures_util::stream::iter([Ok(head)])
        .chain(content)
        .chain(futures_util::stream::iter([Ok(tail)]));
    place.put(&path.parent(), archive).await?;
    Ok(Json(Written {
        rev: None,
        warnings: Vec::new(),
    }))
}

fn with_etag(text: FileText) -> Response {
    let etag = HeaderValue::try_from(text.etag.as_str());
    let mut response = Json(text).into_response();
    if let Ok(etag) = etag {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

async fn text(place: Place, query: FileQuery) -> Result<Response, ApiError> {
    let path = CleanPath::parse("path", &query.path)?;
    Ok(with_etag(place.text(&path).await?.1))
}

async fn edit(
    state: &AppState,
    place: Place,
    query: FileQuery,
    headers: &HeaderMap,
    request: FileEditRequest,
) -> Result<Response, ApiError> {
    let path = CleanPath::parse("path", &query.path)?;
    if path.is_root() {
        return Err(ApiError::invalid_field("path", "must name a file"));
    }
    let wanted = headers
        .get(header::IF_MATCH)
        .and_then(|value| value.to_str().ok());
    // Between looking and writing no other request of ours may write.
    let _alone = state.edits.lock().await;
    let old = match place.exists(&path).await? {
        Some(_) => Some(place.text(&path).await?),
        None => None,
    };
    let stale = |detail: &str| {
        ApiError::new(StatusCode::PRECONDITION_FAILED, ProblemCode::Stale, detail)
            .hint("read it again, take over what changed, and write once more")
    };
    let old = match (old, wanted) {
        (Some((entry, found)), Some(etag)) if found.etag == etag || etag == "*" => Some(entry),
        (Some(_), Some(_)) => return Err(stale("the file was changed since it was read")),
        (None, Some(_)) => return Err(stale("the file is gone since it was read")),
        (Some(_), None) => {
            return Err(ApiError::new(
                StatusCode::PRECONDITION_REQUIRED,
                ProblemCode::Stale,
                "the file is there; If-Match must say which content is replaced",
            )
            .hint("read the file and send its ETag in If-Match"));
        }
        (None, None) => None,
    };
    place
        .write(&path, old.as_ref(), request.text.as_bytes())
        .await?;
    Ok(with_etag(place.text(&path).await?.1))
}

async fn make_directory(
    place: Place,
    request: DirectoryRequest,
) -> Result<(StatusCode, Json<FileEntry>), ApiError> {
    let path = CleanPath::parse("path", &request.path)?;
    if path.is_root() || place.exists(&path).await?.is_some() {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            ProblemCode::Conflict,
            format!("{} is there already", path.as_str()),
        )
        .hint("choose another name"));
    }
    let entry = Entry {
        name: format!("{}/", path.name()),
        kind: EntryKind::Directory,
        mode: 0o755,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: Timestamp::now().as_second(),
        link: String::new(),
    };
    let mut archive = header_of(&entry);
    archive.extend([0; 1024]);
    place.put(&path.parent(), one(archive)).await?;
    Ok((StatusCode::CREATED, Json(place.stat(&path).await?)))
}

async fn rename(place: Place, request: FileRenameRequest) -> Result<Json<FileEntry>, ApiError> {
    let from = CleanPath::parse("from", &request.from)?;
    let to = CleanPath::parse("to", &request.to)?;
    for (field, path) in [("from", &from), ("to", &to)] {
        if path.is_root() {
            return Err(ApiError::invalid_field(field, "must not be the root"));
        }
    }
    place.needs_tools()?;
    place.stat(&from).await?;
    if place.exists(&to).await?.is_some() {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            ProblemCode::Conflict,
            format!("{} is there already", to.as_str()),
        )
        .hint("choose another name, or remove it first"));
    }
    // Without -T an existing directory would be moved into; it was looked for a moment ago.
    place
        .tool(&[
            "mv",
            "-n",
            "--",
            place.real(&from).as_str(),
            place.real(&to).as_str(),
        ])
        .await?;
    Ok(Json(place.stat(&to).await?))
}

async fn preview(
    state: &AppState,
    caller: &Caller,
    place: Place,
    request: FilePreviewRequest,
) -> Result<Json<Preview>, ApiError> {
    if request.paths.is_empty() || request.paths.len() > MOST {
        return Err(ApiError::invalid_field(
            "paths",
            format!("must name 1 to {MOST} files"),
        ));
    }
    place.needs_tools()?;
    let mut paths = Vec::new();
    for (number, path) in request.paths.iter().enumerate() {
        let path = CleanPath::parse(&format!("paths[{number}]"), path)?;
        if path.is_root() {
            return Err(ApiError::invalid_field(
                &format!("paths[{number}]"),
                "must not be the root",
            ));
        }
        paths.push(path);
    }
    let found = find(&place, paths).await?;
    state
        .previews
        .keep(caller.user(), &place.engine.name, found)
        .map(Json)
}

async fn remove(
    state: &AppState,
    caller: &Caller,
    place: Place,
    request: FileRemoveRequest,
) -> Result<Json<Written>, ApiError> {
    let confirmed =
        state
            .previews
            .take(&request.preview_token, caller.user(), &place.engine.name)?;
    let paths = match confirmed.plan.clone() {
        Plan::Files { place: key, paths } if key == place.key => paths,
        _ => {
            return Err(ApiError::new(
                StatusCode::CONFLICT,
                ProblemCode::PreviewRequired,
                "the preview was not of files here",
            ));
        }
    };
    let paths: Vec<CleanPath> = paths
        .iter()
        .filter_map(|path| CleanPath::parse("path", path).ok())
        .collect();
    confirmed.still_holds(&find(&place, paths.clone()).await?)?;
    for path in &paths {
        place
            .tool(&["rm", "-rf", "--", place.real(path).as_str()])
            .await?;
    }
    Ok(Json(Written {
        rev: None,
        warnings: Vec::new(),
    }))
}

/// Finds out what removal would do; the same for the preview and for its confirmation.
async fn find(place: &Place, paths: Vec<CleanPath>) -> Result<Found, ApiError> {
    let mut items = Vec::new();
    let mut freed = Some(0_u64);
    for path in &paths {
        let entry = place.stat(path).await?;
        let (bytes, note) = if entry.kind == FileKind::Directory {
            let (files, bytes) = measure(place, path).await;
            (
                bytes,
                Some(files.map_or("with everything in it".to_owned(), |files| {
                    format!("with {files} entries in it")
                })),
            )
        } else {
            (Some(entry.size_bytes), None)
        };
        freed = freed
            .zip(bytes)
            .map(|(sum, bytes)| sum.saturating_add(bytes));
        items.push(PreviewItem {
            kind: "file".to_owned(),
            id: path.as_str().to_owned(),
            name: path.as_str().to_owned(),
            bytes,
            used_by: Vec::new(),
            note,
        });
    }
    Ok(Found {
        plan: Plan::Files {
            place: place.key.clone(),
            paths: paths.iter().map(|path| path.as_str().to_owned()).collect(),
        },
        items,
        freed_bytes: freed,
        warnings: Vec::new(),
        undo: "Files are lost and cannot be brought back; download them first when in doubt."
            .to_owned(),
    })
}

/// How many entries are below a directory, and how many bytes.
async fn measure(place: &Place, path: &CleanPath) -> (Option<u64>, Option<u64>) {
    const SCRIPT: &str = r#"find "$1" | wc -l; du -sk "$1" | cut -f1"#;
    let Ok(done) = run(
        &place.engine,
        &place.container,
        &["sh", "-c", SCRIPT, "sh", place.real(path).as_str()],
    )
    .await
    else {
        return (None, None);
    };
    let text = String::from_utf8_lossy(&done.output).into_owned();
    let mut numbers = text.lines().map(|line| line.trim().parse::<u64>().ok());
    let files = numbers
        .next()
        .flatten()
        .map(|count| count.saturating_sub(1));
    (files, numbers.next().flatten().map(|kib| kib * 1024))
}

macro_rules! handlers {
    ($place:ident, $at:ty, $module:ident) => {
        /// The operations of one kind of place.
        pub(crate) mod $module {
            use super::*;

            pub(crate) async fn list(
                State(state): State<AppState>,
                caller: Caller,
                at: $at,
                QueryParams(query): QueryParams<FileQuery>,
            ) -> Result<Json<FileListing>, ApiError> {
                let path = CleanPath::parse("path", &query.path)?;
                Place::$place(&state, &caller, at)
                    .await?
                    .list(&path)
                    .await
                    .map(Json)
            }

            pub(crate) async fn stat(
                State(state): State<AppState>,
                caller: Caller,
                at: $at,
                QueryParams(query): QueryParams<FileQuery>,
            ) -> Result<Json<FileEntry>, ApiError> {
                let path = CleanPath::parse("path", &query.path)?;
                Place::$place(&state, &caller, at)
                    .await?
                    .stat(&path)
                    .await
                    .map(Json)
            }

            pub(crate) async fn download(
                State(state): State<AppState>,
                caller: Caller,
                at: $at,
                QueryParams(query): QueryParams<FileQuery>,
            ) -> Result<Response, ApiError> {
                super::download(Place::$place(&state, &caller, at).await?, query).await
            }

            pub(crate) async fn upload(
                State(state): State<AppState>,
                caller: Caller,
                at: $at,
                QueryParams(query): QueryParams<FileUploadQuery>,
                request: Request,
            ) -> Result<Json<Written>, ApiError> {
                super::upload(Place::$place(&state, &caller, at).await?, query, request).await
            }

            pub(crate) async fn text(
                State(state): State<AppState>,
                caller: Caller,
                at: $at,
                QueryParams(query): QueryParams<FileQuery>,
            ) -> Result<Response, ApiError> {
                super::text(Place::$place(&state, &caller, at).await?, query).await
            }

            pub(crate) async fn edit(
                State(state): State<AppState>,
                caller: Caller,
                at: $at,
                QueryParams(query): QueryParams<FileQuery>,
                headers: HeaderMap,
                Body(request): Body<FileEditRequest>,
            ) -> Result<Response, ApiError> {
                let place = Place::$place(&state, &caller, at).await?;
                super::edit(&state, place, query, &headers, request).await
            }

            pub(crate) async fn make_directory(
                State(state): State<AppState>,
                caller: Caller,
                at: $at,
                Body(request): Body<DirectoryRequest>,
            ) -> Result<(StatusCode, Json<FileEntry>), ApiError> {
                super::make_directory(Place::$place(&state, &caller, at).await?, request).await
            }

            pub(crate) async fn rename(
                State(state): State<AppState>,
                caller: Caller,
                at: $at,
                Body(request): Body<FileRenameRequest>,
            ) -> Result<Json<FileEntry>, ApiError> {
                super::rename(Place::$place(&state, &caller, at).await?, request).await
            }

            pub(crate) async fn preview(
                State(state): State<AppState>,
                caller: Caller,
                at: $at,
                Body(request): Body<FilePreviewRequest>,
            ) -> Result<Json<Preview>, ApiError> {
                let place = Place::$place(&state, &caller, at).await?;
                super::preview(&state, &caller, place, request).await
            }

            pub(crate) async fn remove(
                State(state): State<AppState>,
                caller: Caller,
                at: $at,
                Body(request): Body<FileRemoveRequest>,
            ) -> Result<Json<Written>, ApiError> {
                let place = Place::$place(&state, &caller, at).await?;
                super::remove(&state, &caller, place, request).await
            }
        }
    };
}

handlers!(container, ContainerPath, of_container);
handlers!(volume, VolumePath, of_volume);
