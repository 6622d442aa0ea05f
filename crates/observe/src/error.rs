//! The error of this crate.

/// Why nothing could be observed. A part that could not be read is not an error: it is marked as unreadable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// This operating system does not show such things.
    #[error("observe {what}: only possible on Linux")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
    },
    /// The process has ended.
    #[error("observe process {pid}: it has ended")]
    Gone {
        /// Its id.
        pid: u32,
    },
    /// The kernel's answer does not allow to go on.
    #[error("observe {what}: {reason}")]
    Unreadable {
        /// What was read.
        what: String,
        /// Why not.
        reason: String,
    },
}
