//! The audit log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its number; without gaps.
    pub seq: u64,
    /// When.
    pub time: Timestamp,
    /// Who; empty when nobody was signed in.
    pub user: String,
    /// The name of the token that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// From where.
    pub ip: String,
    /// The operation's name.
    pub operation: String,
    /// The path, which names the object.
    pub target: String,
    /// `allowed`, `refused`, or afterwards `done` and `failed` with the status.
    pub decision: String,
    /// The answer's status, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Finds the request in the server's log.
    pub request_id: String,
}

/// Which lines; all conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// Who, without regard to case.
    pub user: Option<String>,
    /// The operation's name, or a part of it, without regard to case.
    pub operation: Option<String>,
    /// A part of the path.
    pub target: Option<String>,
    /// How it came out.
    pub decision: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Lines older than this number: the page after the one that ended with it.
    pub before: Option<u64>,
    /// At most so many; 100 when absent, at most 1,000.
    pub limit: Option<u32>,
}

/// Lines, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// The lines.
    pub items: Vec<AuditEntry>,
    /// `before` of the next page; absent when there is none.
    pub next_before: Option<u64>,
}

/// Whether the chain of hashes is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditVerified {
    /// It is.
    pub whole: bool,
    /// Lines that were checked.
    pub lines: u64,
    /// Hash of the last one: kept elsewhere, it shows later that nothing was cut off.
    pub last_hash: String,
    /// The first place where it is broken.
    pub broken_at: Option<String>,
}
