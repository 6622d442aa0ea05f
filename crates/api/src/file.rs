//! Files in containers and volumes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, socket or named pipe.
    Special,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileEntry {
    /// Its name; bytes that are no UTF-8 are shown as �.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its permissions as twelve bits, such as 493 for `rwxr-xr-x`.
    pub mode: u32,
    /// The number of the user it belongs to; absent when the engine does not tell.
    pub uid: Option<u32>,
    /// The number of its group; absent when the engine does not tell.
    pub gid: Option<u32>,
    /// When it was changed.
    pub modified_at: Option<Timestamp>,
    /// Where a link leads.
    pub link_target: Option<String>,
}

/// What a directory holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileListing {
    /// The directory.
    pub path: String,
    /// Its entries, by name.
    pub items: Vec<FileEntry>,
    /// Not all of them could be listed, and why.
    pub incomplete: Option<String>,
    /// Files here can be renamed and removed: that needs tools in a running container.
    pub can_rename: bool,
}

/// Which file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileQuery {
    /// An absolute path without `..`.
    pub path: String,
}

/// Where an upload goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileUploadQuery {
    /// The file to write; with `unpack` the directory to unpack into.
    pub path: String,
    /// The body is a tar archive that is unpacked.
    #[serde(default)]
    pub unpack: Option<bool>,
    /// The file's permissions in decimal; 420 (`rw-r--r--`), or what it has, when absent.
    #[serde(default)]
    pub mode: Option<u32>,
}

/// A small text file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileText {
    /// Its path.
    pub path: String,
    /// What it holds.
    pub text: String,
    /// Its permissions.
    pub mode: u32,
    /// The header `ETag` of this content; sent back in `If-Match`.
    pub etag: String,
}

/// Writes a small text file. The header `If-Match` carries the `ETag` that was read, or is left out for a new file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileEditRequest {
    /// What it shall hold.
    pub text: String,
}

/// Makes a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DirectoryRequest {
    /// Its absolute path; the directory above must be there.
    pub path: String,
}

/// Gives a file another name or place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileRenameRequest {
    /// What it is called.
    pub from: String,
    /// What it shall be called; nothing may be there yet.
    pub to: String,
}

/// Asks what removing files would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FilePreviewRequest {
    /// Files and directories; a directory goes with everything in it.
    pub paths: Vec<String>,
}

/// Removes files that were previewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileRemoveRequest {
    /// The preview's token.
    pub preview_token: String,
}

/// Copies a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeCloneRequest {
    /// The new volume's name.
    pub name: crate::id::VolumeName,
}

/// How a volume is filled from an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeRestoreQuery {
    /// Also while running containers use the volume.
    #[serde(default)]
    pub force: Option<bool>,
}

/// Any bytes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = Binary)]
pub struct BinaryContent(pub String);

/// A tar archive.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = Binary)]
pub struct TarArchive(pub String);
