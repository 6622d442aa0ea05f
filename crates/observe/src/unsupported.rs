//! In place of `linux` where there is none.

use crate::{Figures, HostFigures, Inside, ObserveError};

/// Reads figures of containers; not on this operating system.
#[derive(Debug, Default)]
pub struct Sampler;

impl Sampler {
    /// # Errors
    /// Always [`ObserveError::Unsupported`].
    pub fn new() -> Result<Self, ObserveError> {
        Err(ObserveError::Unsupported { what: "figures" })
    }

    /// # Errors
    /// Always [`ObserveError::Unsupported`].
    pub fn watch(&mut self, _key: &str, _pid: u32) -> Result<(), ObserveError> {
        Err(ObserveError::Unsupported { what: "figures" })
    }

    /// Does nothing.
    pub fn forget(&mut self, _key: &str) {}

    /// Always 0.
    pub fn watched(&self) -> usize {
        0
    }

    /// Always false.
    pub fn is_watched(&self, _key: &str) -> bool {
        false
    }

    /// # Errors
    /// Always [`ObserveError::Unsupported`].
    pub fn sample(&mut self, _key: &str) -> Result<Figures, ObserveError> {
        Err(ObserveError::Unsupported { what: "figures" })
    }

    /// Always empty.
    pub fn sample_all(&mut self) -> Vec<(String, Result<Figures, ObserveError>)> {
        Vec::new()
    }
}

/// Figures of the machine; not on this operating system.
///
/// # Errors
/// Always [`ObserveError::Unsupported`].
pub fn host_figures() -> Result<HostFigures, ObserveError> {
    Err(ObserveError::Unsupported { what: "the host" })
}

/// What a container is made of; not on this operating system.
///
/// # Errors
/// Always [`ObserveError::Unsupported`].
pub fn inside(_pid: u32) -> Result<Inside, ObserveError> {
    Err(ObserveError::Unsupported {
        what: "the inside of a container",
    })
}

/// Resident memory of a process; not on this operating system.
///
/// # Errors
/// Always [`ObserveError::Unsupported`].
pub fn process_memory_bytes(_pid: u32) -> Result<u64, ObserveError> {
    Err(ObserveError::Unsupported { what: "a process" })
}
