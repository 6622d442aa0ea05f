//! What the Mini engine and a container's shim say to each other.
//!
//! The engine links nothing else of the runtime, so any OCI runtime can stand behind a shim, and a newer engine can
//! talk to the shims that an older one left running, as an older one to those of a newer ([`VERSION`], [`Call::Hello`]).
//!
//! # How a shim is started
//! The engine writes a bundle directory (`config.json` of the runtime-spec and [`SHIM_CONFIG_FILE`]) and executes
//! `mini shim --bundle DIR`, with
//! - descriptor 0: one end of a stream socket pair, the first *control connection*; the shim speaks first on it, with
//!   one [`Message::Started`] or [`Message::StartFailed`], and goes on as if [`Request::Watch`] had been asked;
//! - descriptor 1 and 2: a file for the shim's own messages;
//! - descriptors 3, 4, …: one stream socket for each entry of [`ShimConfig::attached`], attached before the
//!   program runs, so that no byte of its output is missed.
//!
//! Afterwards anyone with access to the bundle connects to [`SHIM_SOCKET_FILE`] there. The path may be too long for a
//! socket address (108 bytes): bind and connect through `/proc/self/fd/N/shim.sock` with a descriptor of the bundle.
//!
//! # The wire
//! A connection carries JSON, one object a line, at most [`MAX_LINE_BYTES`]: requests from the engine, [`Message`]s from
//! the shim. Each request gets exactly one reply with its `seq`; events come in between, without one. A request that the shim
//! does not know is answered with a [`Failure`], and the connection goes on; a line that is no request ends it.
//! After an accepted [`Request::Attach`] or [`Request::Exec`] the reply's newline is the last of JSON: the connection is a
//! *stream* from then on. From the shim: with a terminal raw bytes, without one frames of Docker's multiplexed
//! stream (8 bytes `[stream, 0, 0, 0, length as big-endian u32]`, then the bytes; stream 1 stdout, 2 stderr).
//! To the shim: bytes for standard input; shutting down the sending side ends standard input and nothing else.
//! The shim closes the connection when the process has ended and its output is delivered.
//!
//! # Slow clients
//! Output goes to the log first, then to every stream. A client that does not read is buffered, 256 KiB; then the program
//! waits for it, as it would at a pipe. A client that takes nothing for [`SLOW_CLIENT_PATIENCE`] while it is waited for, by the
//! program or by a shim whose container has ended, is disconnected: what it missed is in the log. When others read the same
//! process, one that takes less than 64 KiB within [`SHARED_CLIENT_PATIENCE`] while it is waited for is disconnected, so that it costs
//! them no more than that, and once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod trace;

pub use trace::{TRACE_VERSION, TraceActor, TraceDocument, TraceObject, TraceStep};

/// The protocol's version; raised when an older peer would misunderstand. What is merely added raises nothing: either side passes over
/// fields that it does not know, and answers a request that it does not know with a [`Failure`].
pub const VERSION: u32 = 1;
/// The oldest version that is still spoken.
pub const OLDEST_VERSION: u32 = 1;
/// Name of the [`ShimConfig`] file in the bundle directory.
pub const SHIM_CONFIG_FILE: &str = "shim.json";
/// Name of the socket that a shim listens on, in the bundle directory.
pub const SHIM_SOCKET_FILE: &str = "shim.sock";
/// Name of the file that holds [`ShimState`] while the container lives, in the bundle directory.
pub const SHIM_STATE_FILE: &str = "shim-state.json";
/// How long a shim waits for a client that takes nothing of its stream or of its events.
pub const SLOW_CLIENT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
/// How long a shim waits for a slow client while others read the same process.
pub const SHARED_CLIENT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
/// The longest line of JSON that either side accepts, in bytes.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;

/// What a shim is told when it starts: the content of [`SHIM_CONFIG_FILE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimConfig {
    /// Protocol version of the writer.
    pub version: u32,
    /// The oldest version whose reader understands it; 0 means that of the writer.
    #[serde(default)]
    pub oldest_version: u32,
    /// The container's id.
    pub id: String,
    /// Where the runtime keeps its state (`--root`), an absolute directory.
    pub runtime_root: String,
    /// Standard input is kept open for clients that attach (`docker run -i`).
    pub stdin_open: bool,
    /// Standard input ends when the first attached client that gave input ends it.
    pub stdin_once: bool,
    /// Terminal size at start, when `process.terminal` is set in `config.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console_size: Option<ConsoleSize>,
    /// Where output is logged; `None` keeps no log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogConfig>,
    /// Absolute path of the file that receives [`ExitRecord`], durable before anyone is told.
    pub exit_file: String,
    /// Output that is wanted from the very first byte, on descriptors 3, 4, … in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attached: Vec<AttachStreams>,
    /// Record a [`TraceStep`] for each step of the start.
    #[serde(default)]
    pub trace: bool,
}

/// A container's log file. Lines are in the format of the Kubernetes CRI:
/// `2026-01-31T10:00:00.123456789Z stdout F text`, with `P` for a part of a line longer than 16 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// Absolute path of the current file; rotated ones get `.1` (newest), `.2`, … behind it.
    pub path: String,
    /// Rotate when the file would pass this size, in bytes; 0 never rotates.
    #[serde(default)]
    pub max_size_bytes: u64,
    /// How many files are kept, the current one included; at least 1.
    #[serde(default = "one")]
    pub max_files: u32,
    /// The program never waits for its log: lines that cannot be written at once are kept, up to so many bytes, and what comes
    /// when there is no more room is dropped, counted and marked in the log. Without it the program waits, as it would at a
    /// pipe. An older shim does not know it, and lets the program wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_buffer_bytes: Option<u64>,
}

const fn one() -> u32 {
    1
}

/// Rows and columns of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleSize {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// Which streams of a process a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachStreams {
    /// Bytes received go to standard input.
    pub stdin: bool,
    /// Standard output is sent.
    pub stdout: bool,
    /// Standard error is sent.
    pub stderr: bool,
}

/// A request line: `{"seq":7,"op":"signal","signal":15}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the client, repeated in the reply.
    pub seq: u64,
    /// What is asked.
    #[serde(flatten)]
    pub call: Call,
}

/// What can be asked of a shim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Call {
    /// Answers [`Reply::Hello`] with the newest version that both sides speak, or a [`Failure`] when there is none.
    Hello {
        /// The oldest version that the client speaks.
        #[serde(default = "one")]
        oldest_version: u32,
        /// The newest.
        #[serde(default = "one")]
        newest_version: u32,
    },
    /// Answers [`Reply::State`].
    State,
    /// Answers [`Reply::Done`], then sends events on this connection. An exit that has happened already is sent at once.
    Watch,
    /// Sends a signal to the container's first process, or to all of them.
    Signal {
        /// Signal number.
        signal: i32,
        /// To every process in the container's cgroup.
        #[serde(default)]
        all: bool,
    },
    /// Sets the terminal's size.
    Resize {
        /// The new size.
        size: ConsoleSize,
        /// Of this exec's terminal instead of the container's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exec_id: Option<String>,
    },
    /// Makes this connection a stream of the container's input and output.
    Attach(AttachStreams),
    /// Runs one more process in the container and makes this connection its stream.
    Exec(Box<ExecRequest>),
    /// Sends a signal to an exec's process.
    SignalExec {
        /// The exec's id.
        exec_id: String,
        /// Signal number.
        signal: i32,
    },
}

impl Call {
    /// A hello of a client that speaks what this crate does.
    pub const fn hello() -> Self {
        Self::Hello {
            oldest_version: OLDEST_VERSION,
            newest_version: VERSION,
        }
    }
}

/// One more process in a running container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// Chosen by the engine; unique in this container.
    pub exec_id: String,
    /// The `process` object of the runtime-spec, as JSON.
    pub process: serde_json::Value,
    /// The streams that this connection carries; none for a detached exec, whose output is dropped.
    pub streams: AttachStreams,
    /// Terminal size at start, when `process.terminal` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console_size: Option<ConsoleSize>,
}

/// A line from the shim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum Message {
    /// The container's program runs. First line on the first control connection.
    Started {
        /// Process id of the container's first process, as the host sees it.
        pid: i32,
        /// When the program was executed, nanoseconds since the Unix epoch.
        started_at_unix_ns: i64,
        /// The steps of the start, when asked for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        trace: Vec<TraceStep>,
    },
    /// The container could not be started; everything the shim made is gone again, and it ends.
    StartFailed(Failure),
    /// The answer to the request with this `seq`.
    Reply {
        /// Of the request.
        seq: u64,
        /// What came of it.
        #[serde(flatten)]
        reply: Reply,
    },
    /// Something happened.
    Event(Event),
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// Done; nothing more to say.
    Done,
    /// Refused or not possible.
    Failed(Failure),
    /// Who answers.
    Hello {
        /// The version to speak.
        version: u32,
        /// The container's id.
        id: String,
        /// The oldest version that the shim speaks.
        #[serde(default = "one")]
        oldest_version: u32,
        /// The newest.
        #[serde(default = "one")]
        newest_version: u32,
    },
    /// How the container is.
    State(ShimState),
    /// The exec's process runs; the connection is its stream now.
    ExecStarted {
        /// Process id as the host sees it.
        pid: i32,
    },
}

/// Something that happened to the container, sent to those who [`Call::Watch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first process ended, output is in the log, [`ShimConfig::exit_file`] is durable. The last event.
    Exited(ExitRecord),
    /// The kernel killed a process of the container for lack of memory.
    OutOfMemory {
        /// Number of such kills since the start.
        kills_total: u64,
    },
    /// An exec's process ended.
    ExecExited {
        /// The exec's id.
        exec_id: String,
        /// Its status: 0–255, or 128 + signal.
        exit_code: i32,
    },
}

/// How the first process ended: the content of [`ShimConfig::exit_file`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Its status: 0–255, or 128 + signal.
    pub exit_code: i32,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The kernel killed a process of the container for lack of memory while it ran.
    pub oom_killed: bool,
    /// When it ended, nanoseconds since the Unix epoch.
    pub finished_at_unix_ns: i64,
    /// Output that did not get into the log, in bytes as the program wrote them: a full disk, a buffer that was full.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub log_lost_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How a container is: the reply to [`Call::State`] and, written at start, the content of [`SHIM_STATE_FILE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimState {
    /// Protocol version of the shim.
    pub version: u32,
    /// Process id of the shim.
    pub shim_pid: i32,
    /// Start time of the shim in clock ticks since boot (`/proc/PID/stat` field 22): with the pid, its identity.
    pub shim_start_ticks: u64,
    /// Process id of the container's first process.
    pub pid: i32,
    /// Start time of that process in clock ticks since boot.
    pub start_ticks: u64,
    /// When the program was executed, nanoseconds since the Unix epoch.
    pub started_at_unix_ns: i64,
    /// Set once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<ExitRecord>,
    /// Execs that run now: exec id to process id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub execs: BTreeMap<String, i32>,
    /// Output that did not get into the log until now, in bytes as the program wrote them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub log_lost_bytes: u64,
}

/// Why something could not be done, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What a caller can decide by.
    pub code: FailureCode,
    /// The step of the start it happened in, such as `mount` or `execve`; empty outside a start.
    #[serde(default)]
    pub step: String,
    /// One sentence without a full stop: the step, the object, the errno in words.
    pub message: String,
    /// What would help; may be empty.
    #[serde(default)]
    pub hint: String,
    /// Of a start: its steps, when asked for, the refused one last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<TraceStep>,
}

impl Failure {
    /// The failure in one line; see [`in_one_line`].
    pub fn to_line(&self) -> String {
        in_one_line(&self.message, &self.step, &self.hint)
    }
}

/// A failure for people: the sentence first, as clients look for it, then in parentheses the step and what would help, of
/// these what there is: `mount /x: no such device (step mount: the kernel has no file system …)`.
pub fn in_one_line(message: &str, step: &str, hint: &str) -> String {
    match (step, hint) {
        ("", "") => message.to_owned(),
        ("", hint) => format!("{message} ({hint})"),
        (step, "") => format!("{message} (step {step})"),
        (step, hint) => format!("{message} (step {step}: {hint})"),
    }
}

/// The kinds of [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The program is not in the container (the docker CLI exits with 127).
    ExecutableNotFound,
    /// The program may not be executed (the docker CLI exits with 126).
    PermissionDenied,
    /// The request or the spec is not valid.
    Invalid,
    /// The kernel lacks something.
    Unsupported,
    /// The process or exec is not running.
    NotRunning,
    /// Anything else, and what an older reader does not know.
    #[serde(other)]
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_flat_object() {
        let request = Request {
            seq: 7,
            call: Call::Signal {
                signal: 15,
                all: false,
            },
        };
        let json = serde_json::to_string(&request).unwrap();
        assert_eq!(json, r#"{"seq":7,"op":"signal","signal":15,"all":false}"#);
        assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), request);
    }

    #[test]
    fn attach_and_exec_survive_the_wire() {
        let streams = AttachStreams {
            stdin: true,
            stdout: true,
            stderr: false,
        };
        for call in [
            Call::Attach(streams),
            Call::Exec(Box::new(ExecRequest {
                exec_id: "e1".into(),
                process: serde_json::json!({"args": ["sh"], "terminal": true}),
                streams,
                console_size: Some(ConsoleSize {
                    height: 24,
                    width: 80,
                }),
            })),
        ] {
            let request = Request { seq: 1, call };
            let json = serde_json::to_string(&request).unwrap();
            assert!(!json.contains('\n'));
            assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), request);
        }
    }

    #[test]
    fn messages_survive_the_wire() {
        let exit = ExitRecord {
            exit_code: 137,
            signal: Some(9),
            oom_killed: true,
            finished_at_unix_ns: 5,
            log_lost_bytes: 0,
        };
        for message in [
            Message::Started {
                pid: 4,
                started_at_unix_ns: 1,
                trace: vec![],
            },
            Message::StartFailed(Failure {
                code: FailureCode::ExecutableNotFound,
                step: "execve".into(),
                message: "exec: \"nope\": executable file not found in $PATH".into(),
                hint: String::new(),
                trace: vec![],
            }),
            Message::Reply {
                seq: 2,
                reply: Reply::Done,
            },
            Message::Reply {
                seq: 3,
                reply: Reply::ExecStarted { pid: 9 },
            },
            Message::Event(Event::Exited(exit)),
            Message::Event(Event::ExecExited {
                exec_id: "e".into(),
                exit_code: 1,
            }),
        ] {
            let json = serde_json::to_string(&message).unwrap();
            assert_eq!(
                serde_json::from_str::<Message>(&json).unwrap(),
                message,
                "{json}"
            );
        }
    }

    /// What an older shim said is understood, and what an older engine asked for is read as it was meant.
    #[test]
    fn a_recorded_conversation_is_understood() {
        let recorded = include_str!("../../mini/tests/conversations/v1.txt");
        let (mut requests, mut messages) = (0, 0);
        for line in recorded.lines().filter(|line| !line.starts_with('#')) {
            if let Some(config) = line.strip_prefix("shim.json ") {
                let config: ShimConfig = serde_json::from_str(config).unwrap();
                assert_eq!((config.version, config.oldest_version), (1, 0));
            } else if let Some((_, request)) = line.split_once(" > ") {
                serde_json::from_str::<Request>(request).unwrap();
                requests += 1;
            } else if let Some((_, message)) = line.split_once(" < ") {
                serde_json::from_str::<Message>(message).unwrap();
                messages += 1;
            }
        }
        assert!(requests >= 8 && messages >= 12, "{requests} {messages}");
    }

    #[test]
    fn a_hello_without_versions_is_of_the_first() {
        let request: Request = serde_json::from_str(r#"{"seq":1,"op":"hello"}"#).unwrap();
        assert_eq!(
            request.call,
            Call::Hello {
                oldest_version: 1,
                newest_version: 1
            }
        );
    }

    #[test]
    fn what_a_newer_peer_adds_is_passed_over() {
        let request: Request =
            serde_json::from_str(r#"{"seq":1,"op":"state","verbose":true,"nested":{"a":[1]}}"#)
                .unwrap();
        assert_eq!(request.call, Call::State);
        let message =
            r#"{"t":"reply","seq":1,"reply":"failed","code":"too_hot","message":"x","degrees":99}"#;
        let Message::Reply {
            reply: Reply::Failed(failure),
            ..
        } = serde_json::from_str(message).unwrap()
        else {
            panic!("no failure")
        };
        assert_eq!(failure.code, FailureCode::Failed);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_refused_or_read_without_panic(bytes: Vec<u8>) {
            drop(serde_json::from_slice::<Request>(&bytes));
            drop(serde_json::from_slice::<Message>(&bytes));
            drop(serde_json::from_slice::<ShimConfig>(&bytes));
        }
    }
}
