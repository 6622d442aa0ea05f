//! The error of this crate.

use std::path::PathBuf;

use rustix::io::Errno;

/// Why something about a cgroup could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No cgroup hierarchy is mounted, or a needed one is not.
    #[error("find cgroups: {reason}")]
    NotMounted {
        /// What is missing.
        reason: String,
    },
    /// The cgroup does not exist in any hierarchy.
    #[error("open cgroup {path}: does not exist")]
    NotFound {
        /// Path from the root of the hierarchies.
        path: String,
    },
    /// The kernel, or the way it was set up, does not offer what was asked for.
    #[error("set {what} to {value}: {reason}")]
    NotSupported {
        /// The file or the limit.
        what: String,
        /// The value asked for.
        value: String,
        /// What is missing.
        reason: String,
        /// What would make it work.
        hint: String,
    },
    /// A value that cannot be meant.
    #[error("set {what} to {value}: {reason}")]
    Invalid {
        /// The limit.
        what: String,
        /// The value given.
        value: String,
        /// Why it is refused.
        reason: String,
    },
    /// A system call about a cgroup file or directory.
    #[error("{operation} {}{}: {}", .path.display(), of_value(.value.as_ref()), words(*.errno))]
    Sys {
        /// What was done: `write`, `read`, `mkdir`, …
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The value written.
        value: Option<String>,
        /// The kernel's answer.
        errno: Errno,
        /// What would help, if known.
        hint: Option<String>,
    },
    /// A change was refused, and a part of it that had been done could not be taken back.
    #[error("{error}; and not taken back: {}", .left.join(", "))]
    NotTakenBack {
        /// Why the change was refused.
        error: Box<Self>,
        /// What has the new value now, and why it could not get the old one.
        left: Vec<String>,
    },
    /// The cgroup of a new container has processes in it, which are not the container's.
    #[error("container's cgroup is not empty: {processes} process(es) found in {}", .path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
        /// How many.
        processes: usize,
    },
    /// The cgroup of a new container is frozen.
    #[error("container's cgroup unexpectedly frozen: {}", .path.display())]
    Frozen {
        /// The directory.
        path: PathBuf,
    },
    /// No systemd is there to be asked.
    #[error("systemd does not answer on {address}: {reason}")]
    NoSystemd {
        /// The socket.
        address: String,
        /// Why not.
        reason: String,
        /// It is the user's own that was looked for.
        user: bool,
    },
    /// systemd does not do what it was asked for.
    #[error("{operation} {unit}: {reason}")]
    Systemd {
        /// What was asked for.
        operation: &'static str,
        /// The unit.
        unit: String,
        /// Its answer.
        reason: String,
    },
    /// Processes remained until the deadline.
    #[error("{operation} {}: still busy after {waited_ms} ms", .path.display())]
    Busy {
        /// What was done.
        operation: &'static str,
        /// The directory.
        path: PathBuf,
        /// How long it was tried, in milliseconds.
        waited_ms: u128,
    },
}

fn of_value(value: Option<&String>) -> String {
    value.map_or_else(String::new, |value| format!(" ({value:?})"))
}

/// The errno in words, lower case, without its number.
fn words(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

impl Error {
    /// What would help, in one sentence.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::NotSupported { hint, .. } => Some(hint),
            Self::Sys { hint, .. } => hint.as_deref(),
            Self::NotMounted { .. } => {
                Some("mount the cgroup file systems, for example through systemd or cgroupfs-mount")
            }
            Self::Busy { .. } => {
                Some("a process in it cannot be ended: look at its state in /proc/PID/status")
            }
            Self::NotTakenBack { error, .. } => error.hint(),
            Self::Occupied { .. } => {
                Some("give each container a cgroupsPath of its own, or end what runs in this one")
            }
            Self::Frozen { .. } => {
                Some("thaw it (cgroup.freeze, or freezer.state on v1) or remove it")
            }
            Self::NoSystemd { user: false, .. } => {
                Some("leave --systemd-cgroup out where systemd does not run the machine")
            }
            Self::NoSystemd { user: true, .. } => Some(
                "a session of systemd is needed (loginctl enable-linger, or log in), or leave --systemd-cgroup out",
            ),
            Self::Systemd { .. } => Some("systemctl status UNIT and journalctl say more"),
            Self::NotFound { .. } => Some(
                "its processes have ended and somebody has removed it: delete the container, and make it anew",
            ),
            Self::Invalid { .. } => Some("correct this value in linux.resources, or the flag"),
        }
    }

    /// The kernel's answer, when a system call is the cause.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Sys { errno, .. } => Some(*errno),
            Self::NotTakenBack { error, .. } => error.errno(),
            _ => None,
        }
    }

    /// True when the request, not the machine, is at fault: a value refused by us or by the kernel, or not on offer here.
    pub fn is_invalid_request(&self) -> bool {
        match self {
            Self::Invalid { .. }
            | Self::NotSupported { .. }
            | Self::Occupied { .. }
            | Self::Frozen { .. } => true,
            Self::NotTakenBack { error, .. } => error.is_invalid_request(),
            Self::Sys {
                operation: "write",
                errno,
                ..
            } => matches!(
                *errno,
                Errno::INVAL | Errno::RANGE | Errno::BUSY | Errno::NOSPC | Errno::NODEV
            ),
            _ => false,
        }
    }

    pub(crate) fn sys(operation: &'static str, path: impl Into<PathBuf>, errno: Errno) -> Self {
        Self::Sys {
            operation,
            path: path.into(),
            value: None,
            errno,
            hint: None,
        }
    }

    pub(crate) fn with_hint(mut self, text: impl Into<String>) -> Self {
        if let Self::Sys { hint, .. } = &mut self {
            *hint = Some(text.into());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_file_value_and_errno_in_words() {
        let error = Error::Sys {
            operation: "write",
            path: "/sys/fs/cgroup/memory/x/memory.limit_in_bytes".into(),
            value: Some("1".into()),
            errno: Errno::BUSY,
            hint: None,
        };
        assert_eq!(
            error.to_string(),
            "write /sys/fs/cgroup/memory/x/memory.limit_in_bytes (\"1\"): device or resource busy"
        );
        assert!(error.is_invalid_request());
    }
}
