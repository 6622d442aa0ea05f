//! Log lines.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a line was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line of a container's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Counts the lines of this subscription or answer, from 0.
    pub number: u64,
    /// When the engine got it, RFC 3339 with nanoseconds: the cursor for `since` and `until`.
    pub time: String,
    /// Where it was written to.
    pub stream: LogStream,
    /// The line without its end; bytes that are not UTF-8 are replaced. Untrusted.
    pub text: String,
    /// The line was longer than 16 KiB and is cut.
    pub truncated: bool,
}

/// Lines of a container's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// In order of time.
    pub lines: Vec<LogLine>,
    /// Older lines exist before the first.
    pub more_before: bool,
}

/// Which lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// The newest so many lines; 500 when absent, at most 10,000.
    pub tail: Option<u32>,
    /// Not older than this, RFC 3339 or Unix seconds.
    pub since: Option<String>,
    /// Not newer than this, RFC 3339 or Unix seconds.
    pub until: Option<String>,
    /// Standard output; true when absent.
    pub stdout: Option<bool>,
    /// Standard error; true when absent.
    pub stderr: Option<bool>,
    /// Only lines that contain this text, whatever the case.
    pub search: Option<String>,
}

/// How a log is downloaded: `text/plain` as an attachment, all lines that the engine keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogDownloadQuery {
    /// Put each line's time before it; false when absent.
    pub timestamps: Option<bool>,
    /// Not older than this, RFC 3339 or Unix seconds.
    pub since: Option<String>,
    /// Not newer than this, RFC 3339 or Unix seconds.
    pub until: Option<String>,
    /// Standard output; true when absent.
    pub stdout: Option<bool>,
    /// Standard error; true when absent.
    pub stderr: Option<bool>,
    /// Only lines that contain this text, whatever the case.
    pub search: Option<String>,
}
