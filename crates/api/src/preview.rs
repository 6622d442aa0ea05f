//! What a destructive act would do, before it does it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Exactly what would be lost. Confirm with `token`; when the set changed meanwhile the act answers 409.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Preview {
    /// Sent back to confirm; valid once, for this user.
    pub token: String,
    /// Until when the token is valid.
    pub expires_at: Timestamp,
    /// What would go.
    pub items: Vec<PreviewItem>,
    /// How many items would go.
    pub count: u64,
    /// What would be freed, in bytes; absent when the engine cannot tell.
    pub freed_bytes: Option<u64>,
    /// What stops working or is lost with it, in sentences.
    pub warnings: Vec<String>,
    /// How it could be had again, or that it cannot.
    pub undo: String,
    /// The page asks to type the name or number: more than one object or more than 100 MiB.
    pub type_to_confirm: bool,
}

/// One object that would go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PreviewItem {
    /// `container`, `image`, `tag`, `volume` or `network`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its size in bytes, when known.
    pub bytes: Option<u64>,
    /// Who uses it.
    pub used_by: Vec<String>,
    /// What is lost or refused with this one.
    pub note: Option<String>,
}
