//! The error of this crate: what a caller can decide by, the step, and a sentence.

use std::fmt;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use shim_protocol::{Failure, FailureCode, in_one_line};

use crate::remedy;

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such container.
    NotFound,
    /// A container of this id exists.
    AlreadyExists,
    /// The container's state does not permit it.
    WrongState,
    /// The request or the spec is not valid.
    Invalid,
    /// Something asked for is not offered, by us or by the kernel.
    Unsupported,
    /// The program is not in the container.
    ExecutableNotFound,
    /// The program may not be executed.
    PermissionDenied,
    /// The kernel refused a step.
    Sys,
}

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    kind: ErrorKind,
    step: String,
    message: String,
    hint: String,
}

impl Error {
    /// An error of a kind with its sentence.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            step: String::new(),
            message: message.into(),
            hint: String::new(),
        }
    }

    /// The spec or request is not valid.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Something asked for is not offered.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// A system call was refused: the operation, the object it was about, the errno.
    pub fn sys(operation: &str, object: impl fmt::Display, errno: impl Into<SysErrno>) -> Self {
        let errno = errno.into().0;
        let object = object.to_string();
        let space = if object.is_empty() { "" } else { " " };
        Self::new(
            ErrorKind::Sys,
            format!("{operation}{space}{object}: {}", errno_words(errno)),
        )
        .with_hint(remedy::of(operation, errno))
    }

    /// The same error, with the step of the start it happened in, unless a step is named already.
    #[must_use]
    pub fn in_step(mut self, step: &str) -> Self {
        if self.step.is_empty() {
            step.clone_into(&mut self.step);
        }
        self
    }

    /// The same error with what would help.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// What a caller can decide by.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The step of the start it happened in; empty outside a start.
    pub fn step(&self) -> &str {
        &self.step
    }

    /// What would help; may be empty.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// The sentence, with the step and what would help behind it in parentheses.
    pub fn to_line(&self) -> String {
        in_one_line(&self.message, &self.step, &self.hint)
    }

    /// The error as the shim's protocol tells it.
    pub fn to_failure(&self) -> Failure {
        Failure {
            code: match self.kind {
                ErrorKind::ExecutableNotFound => FailureCode::ExecutableNotFound,
                ErrorKind::PermissionDenied => FailureCode::PermissionDenied,
                ErrorKind::Invalid => FailureCode::Invalid,
                ErrorKind::Unsupported => FailureCode::Unsupported,
                ErrorKind::NotFound | ErrorKind::WrongState => FailureCode::NotRunning,
                ErrorKind::AlreadyExists | ErrorKind::Sys => FailureCode::Failed,
            },
            step: self.step.clone(),
            message: self.message.clone(),
            hint: self.hint.clone(),
            trace: Vec::new(),
        }
    }

    /// The exit status of a shell for it: 127 not found, 126 not executable, else 1.
    pub fn exit_status(&self) -> u8 {
        match self.kind {
            ErrorKind::ExecutableNotFound => 127,
            ErrorKind::PermissionDenied => 126,
            _ => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<cgroups::Error> for Error {
    fn from(error: cgroups::Error) -> Self {
        let kind = if error.is_invalid_request() {
            ErrorKind::Invalid
        } else {
            ErrorKind::Sys
        };
        Self::new(kind, error.to_string()).with_hint(error.hint().unwrap_or_default())
    }
}

/// An errno from either of the two places system calls are made.
#[derive(Clone, Copy, Debug)]
pub struct SysErrno(Errno);

impl From<Errno> for SysErrno {
    fn from(errno: Errno) -> Self {
        Self(errno)
    }
}

impl From<std::io::Error> for SysErrno {
    fn from(error: std::io::Error) -> Self {
        Self(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

/// An errno in the kernel's words, in lower case: `no such file or directory`.
pub fn errno_words(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut words = text.to_owned();
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_operation_object_and_errno() {
        let error = Error::sys("mount", "/proc", Errno::PERM).in_step("mount");
        assert_eq!(error.to_string(), "mount /proc: operation not permitted");
        assert_eq!(error.to_failure().step, "mount");
        assert_eq!(
            Error::sys("clone3", "", Errno::NOSYS).to_string(),
            "clone3: function not implemented"
        );
    }

    #[test]
    fn exit_status_is_that_of_shells() {
        assert_eq!(
            Error::new(ErrorKind::ExecutableNotFound, "").exit_status(),
            127
        );
        assert_eq!(
            Error::new(ErrorKind::PermissionDenied, "").exit_status(),
            126
        );
        assert_eq!(Error::invalid("").exit_status(), 1);
    }
}
