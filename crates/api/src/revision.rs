//! How a write tells the page that the live list includes it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The live topic includes what was written once it has reached this number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revision {
    /// The topic, such as `containers`.
    pub topic: String,
    /// The topic's epoch: another one means that the server started anew.
    pub epoch: String,
    /// The topic's sequence number.
    pub seq: u64,
}

/// The answer to a write that has nothing else to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Written {
    /// Absent when no live topic shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<Revision>,
    /// Warnings of the engine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
