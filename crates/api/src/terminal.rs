//! Terminals in containers: programs with a pseudo-terminal that outlive a lost connection for a while.
//!
//! `POST …/terminals` opens one, `GET /terminals/{terminal}/io` is its socket, in binary. The first byte of a frame tells
//! what it is:
//!
//! | byte | from the client | from the server |
//! | --- | --- | --- |
//! | 0 | input: the bytes | output: the bytes |
//! | 1 | size: columns, rows (u16 each, big endian) | |
//! | 2 | | the end: the exit code (i32, big endian) |
//! | 3 | read up to this offset (u64, big endian) | |
//! | 4 | | the next output begins at this offset (u64, big endian) |
//!
//! The server sends at most 256 KiB beyond the last offset that was read; meanwhile the program waits. `?from=` is the
//! offset after the last byte received: what came since is sent again, as far back as 256 KiB.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    container::EnvVar,
    id::{EngineName, TerminalId},
};

/// Opens a terminal in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TerminalOpenRequest {
    /// What runs in it; the first shell that the container has when absent.
    #[serde(default)]
    pub command: Vec<String>,
    /// As whom: a name or number, also `user:group`; the container's own when absent.
    #[serde(default)]
    pub user: Option<String>,
    /// Where it starts: an absolute path; the container's own when absent.
    #[serde(default)]
    pub working_dir: Option<String>,
    /// Environment beside the container's own.
    #[serde(default)]
    pub env: Vec<EnvVar>,
    /// Instead of a new program: the container's own terminal, which it must have been made with.
    #[serde(default)]
    pub attach: bool,
    /// Its width in characters; 80 when absent.
    #[serde(default)]
    pub columns: Option<u16>,
    /// Its height in lines; 24 when absent.
    #[serde(default)]
    pub rows: Option<u16>,
}

/// How a terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TerminalState {
    /// Its program runs.
    Running,
    /// Its program has ended; what it wrote last can still be read for a while.
    Ended,
}

/// A terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Terminal {
    /// Its id.
    pub id: TerminalId,
    /// The engine.
    pub engine: EngineName,
    /// The container's id.
    pub container: String,
    /// The container's name.
    pub container_name: String,
    /// Who opened it, and alone may use it.
    pub owner: String,
    /// What runs in it; empty for the container's own.
    pub command: Vec<String>,
    /// As whom; empty for the container's own user.
    pub user: String,
    /// It is the container's own terminal.
    pub attach: bool,
    /// How it is.
    pub state: TerminalState,
    /// The program's exit code, once it has ended and the engine told it.
    pub exit_code: Option<i64>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// Somebody is connected to it.
    pub connected: bool,
    /// Bytes that it has written.
    pub written_bytes: u64,
    /// How long it is kept when nobody is connected, in seconds.
    pub kept_s: u64,
}

/// Where to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TerminalQuery {
    /// The offset after the last byte that was received; everything that is kept when absent.
    pub from: Option<u64>,
}
