//! The errors of the engine, made for what a client of the Docker API decides by.

use std::fmt::Display;

/// Why a request was not done. The message is what the client sees, in Docker's own wording where clients match on it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The object does not exist (404).
    #[error("{0}")]
    NotFound(String),
    /// The object's state or another object stands against it (409).
    #[error("{0}")]
    Conflict(String),
    /// The request is not valid (400).
    #[error("{0}")]
    Invalid(String),
    /// Already as asked; no answer body (304).
    #[error("not modified")]
    NotModified,
    /// Not allowed here (403).
    #[error("{0}")]
    Forbidden(String),
    /// Not signed in, or not allowed to, at a registry (401).
    #[error("{0}")]
    Unauthorized(String),
    /// This engine or this kernel cannot do it (501).
    #[error("{0}")]
    Unsupported(String),
    /// Not now (503).
    #[error("{0}")]
    Unavailable(String),
    /// Something below went wrong (500).
    #[error("{0}")]
    Internal(String),
}

/// The engine's result.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

impl EngineError {
    /// Returns the error for a container that does not exist.
    pub fn no_such_container(name: &str) -> Self {
        Self::NotFound(format!("No such container: {name}"))
    }

    /// Returns the error for an image that does not exist.
    pub fn no_such_image(reference: &str) -> Self {
        Self::NotFound(format!("No such image: {reference}"))
    }

    /// Returns the error for a network that does not exist.
    pub fn no_such_network(name: &str) -> Self {
        Self::NotFound(format!("network {name} not found"))
    }

    /// Returns the error for a volume that does not exist.
    pub fn no_such_volume(name: &str) -> Self {
        Self::NotFound(format!("get {name}: no such volume"))
    }

    /// Returns an internal error: what was done, to which object, and why it did not work.
    pub fn internal(operation: &str, object: impl Display, cause: impl Display) -> Self {
        Self::Internal(format!("{operation} {object}: {cause}"))
    }

    /// Returns a function for `map_err` that makes an internal error of an I/O error.
    pub fn io<E: Display>(operation: &str, object: impl Display) -> impl FnOnce(E) -> Self {
        move |cause| Self::internal(operation, object, cause)
    }
}
