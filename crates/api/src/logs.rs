//! Log lines of containers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The terminal of a container with a tty: both in one.
    Console,
}

/// What stands between lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogMarker {
    /// The container started here; lines before are of an earlier run.
    Started,
    /// The container ended here; `text` says how.
    Ended,
    /// The engine could not be read here; lines may come late but none is lost.
    Reconnected,
    /// Lines between are not here: the engine rotated them away, or there were too many to keep.
    Gap,
}

/// A line, or a marker between lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// Number within the subscription's epoch; consecutive.
    pub n: u64,
    /// When the engine received it, RFC 3339 with nanoseconds.
    pub at: String,
    /// Where it was written to; none for a marker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<LogStream>,
    /// The text without line end; bytes that are not UTF-8 are replaced. Untrusted.
    pub text: String,
    /// The line was longer than 16 KiB; `text` is its beginning.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Set when this is not a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<LogMarker>,
}

/// First answer of topic `logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogsSnap {
    /// Oldest first.
    pub entries: Vec<LogEntry>,
    /// True: the entries follow directly on the cursor the client gave; append them. False: replace what is shown.
    pub continues: bool,
    /// There are older lines; page them by REST.
    pub older: bool,
    /// Where the client stands after these entries.
    pub cursor: String,
}

/// New entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogsDelta {
    /// Oldest first.
    pub entries: Vec<LogEntry>,
    /// Where the client stands after these entries.
    pub cursor: String,
}

/// A page of log lines, oldest first (REST).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// The lines; `n` counts within the page.
    pub entries: Vec<LogEntry>,
    /// There are older lines that match; ask again with `before` set to `first`.
    pub older: bool,
    /// Cursor of the first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// Cursor after the last line: the `cursor` of a `logs` subscription that continues here.
    pub cursor: String,
    /// Lines looked at.
    pub scanned: u64,
}
