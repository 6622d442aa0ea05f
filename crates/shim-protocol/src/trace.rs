//! The record of a start: its steps, the system calls that matter in each, and the kernel objects each made.
//!
//! Fields and kinds of objects are added without a new version of the protocol: a reader ignores what it does not know
//! ([`TraceObject::Other`]), and takes what is missing as empty.

use serde::{Deserialize, Serialize};

/// Version of [`TraceDocument`]; raised when an older reader would misunderstand.
pub const TRACE_VERSION: u32 = 1;

/// A whole start, from the command to the program or to the step that was refused: what `mini --trace FILE` writes, as one
/// JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceDocument {
    /// [`TRACE_VERSION`] of the writer.
    pub version: u32,
    /// What was asked for: `create`, `run`, `exec`.
    pub command: String,
    /// The container's id; empty when the command was refused before it was known.
    #[serde(default)]
    pub id: String,
    /// When the first step began, nanoseconds since the Unix epoch.
    pub began_at_unix_ns: i64,
    /// Why it could not be done; missing when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The step that was refused; missing when none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_step: Option<String>,
    /// The steps in the order they began; of a start that was refused, the refused one is the last.
    pub steps: Vec<TraceStep>,
}

/// One step of a container's start, recorded by the process that took it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceStep {
    /// Short stable name: `clone3`, `enter_cgroup`, `mount`, `pivot_root`, `seccomp`, `execve`, …
    pub step: String,
    /// Start, nanoseconds after the trace's first step began.
    pub start_ns: u64,
    /// Duration in nanoseconds.
    pub duration_ns: u64,
    /// What it was about, in words.
    #[serde(default)]
    pub detail: String,
    /// Whose step it was.
    #[serde(default)]
    pub by: TraceActor,
    /// The system calls that matter in it, by the names of `man 2`, in the order they are made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<String>,
    /// The kernel objects that it made or entered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<TraceObject>,
    /// Operation, object and errno in words, when it did not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The process that took a step. The two work at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceActor {
    /// `mini` itself, or the shim.
    #[default]
    Runtime,
    /// The process that becomes the container's program.
    Container,
    /// One that this version does not know.
    #[serde(other)]
    Other,
}

/// A kernel object that a step made, entered or found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "object", rename_all = "snake_case")]
pub enum TraceObject {
    /// A namespace that the program is in.
    Namespace {
        /// As `/proc/PID/ns` names it: `mnt`, `net`, `pid`, …
        kind: String,
        /// Its inode number, as `readlink /proc/PID/ns/KIND` shows it.
        inode: u64,
        /// Made for this container; else one of others, entered by its path.
        made: bool,
    },
    /// The container's cgroup in one hierarchy.
    Cgroup {
        /// Its directory on the host.
        path: String,
        /// The controllers that act there, as the kernel names them.
        controllers: Vec<String>,
        /// It is in the unified hierarchy.
        v2: bool,
    },
    /// A mount in the container.
    Mount {
        /// Where it is in the container.
        destination: String,
        /// Type of the file system, as the kernel names it.
        fs_type: String,
        /// Its number in the first column of `/proc/PID/mountinfo`.
        mount_id: u64,
    },
    /// A device node in the container.
    Device {
        /// Where it is in the container.
        path: String,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A process.
    Process {
        /// Its id as the host sees it.
        pid: i32,
    },
    /// One that this version does not know.
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_an_older_shim_is_read() {
        let step: TraceStep = serde_json::from_str(
            r#"{"step":"mount","start_ns":1,"duration_ns":2,"detail":"proc"}"#,
        )
        .unwrap();
        assert_eq!(step.by, TraceActor::Runtime);
        assert!(step.calls.is_empty() && step.objects.is_empty() && step.error.is_none());
    }

    #[test]
    fn what_a_newer_shim_adds_is_passed_over() {
        let json = r#"{"step":"keyring","start_ns":1,"duration_ns":2,"by":"monitor","colour":"blue",
            "objects":[{"object":"keyring","serial":7},{"object":"process","pid":4,"tgid":4}]}"#;
        let step: TraceStep = serde_json::from_str(json).unwrap();
        assert_eq!(step.by, TraceActor::Other);
        assert_eq!(
            step.objects,
            [TraceObject::Other, TraceObject::Process { pid: 4 }]
        );
    }

    #[test]
    fn objects_survive_the_wire() {
        let step = TraceStep {
            step: "mount".into(),
            by: TraceActor::Container,
            calls: vec!["fsopen".into()],
            objects: vec![
                TraceObject::Namespace {
                    kind: "net".into(),
                    inode: 4_026_531_840,
                    made: true,
                },
                TraceObject::Cgroup {
                    path: "/sys/fs/cgroup/x".into(),
                    controllers: vec!["cpu".into()],
                    v2: true,
                },
                TraceObject::Mount {
                    destination: "/proc".into(),
                    fs_type: "proc".into(),
                    mount_id: 40,
                },
                TraceObject::Device {
                    path: "/dev/null".into(),
                    major: 1,
                    minor: 3,
                },
            ],
            ..TraceStep::default()
        };
        let json = serde_json::to_string(&step).unwrap();
        assert_eq!(serde_json::from_str::<TraceStep>(&json).unwrap(), step);
    }
}
