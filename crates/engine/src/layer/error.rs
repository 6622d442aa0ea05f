//! What can go wrong with layers and snapshots.

use std::{fmt::Display, io, path::PathBuf};

use super::tar::TarError;
use crate::{error::EngineError, image::Digest};

/// Why a layer or snapshot is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayerError {
    /// The archive is malformed, hostile, or not what its digest says.
    #[error("{0}")]
    Invalid(String),
    /// The unpacked content is not what the image's configuration says.
    #[error("layer content does not match its diff id: want {expected}, got {found}")]
    WrongContent {
        /// What the image says.
        expected: Digest,
        /// What was unpacked.
        found: Digest,
    },
    /// No room for it.
    #[error("no space left on device: {0}")]
    NoSpace(String),
    /// No such layer or snapshot.
    #[error("{0}")]
    NotFound(String),
    /// The kernel or the file system refused.
    #[error("{operation} {object}: {source}")]
    Io {
        /// What was done.
        operation: &'static str,
        /// To which path.
        object: String,
        /// Why not.
        source: io::Error,
    },
}

impl LayerError {
    /// A function for `map_err` that names the operation and its object.
    pub(super) fn io<E: Into<io::Error>>(
        operation: &'static str,
        object: impl Display,
    ) -> impl FnOnce(E) -> Self {
        move |source| {
            let source = source.into();
            if source.kind() == io::ErrorKind::StorageFull
                || source.kind() == io::ErrorKind::QuotaExceeded
            {
                return Self::NoSpace(format!("{operation} {object}"));
            }
            Self::Io {
                operation,
                object: object.to_string(),
                source,
            }
        }
    }

    /// The same for a path.
    pub(super) fn path<E: Into<io::Error>>(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Self {
        Self::io(operation, path.into().display().to_string())
    }
}

impl From<TarError> for LayerError {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Malformed(what) => Self::Invalid(what),
            // A damaged or unknown compression shows as an error of the stream.
            TarError::Read(source) => match source.kind() {
                io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::Other => Self::Invalid(format!("read archive: {source}")),
                _ => Self::io("read", "archive")(source),
            },
        }
    }
}

impl From<LayerError> for EngineError {
    fn from(error: LayerError) -> Self {
        match error {
            LayerError::NotFound(message) => Self::NotFound(message),
            LayerError::Invalid(_) | LayerError::WrongContent { .. } => {
                Self::Invalid(error.to_string())
            }
            LayerError::NoSpace(_) | LayerError::Io { .. } => Self::Internal(error.to_string()),
        }
    }
}
