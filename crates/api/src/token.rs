//! API tokens: for scripts, `Authorization: Bearer cos_…`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::Role,
    id::{EngineName, TokenId},
};

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its handle; it opens nothing.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// Whose it is; absent when it was made on the host.
    pub user: Option<String>,
    /// The most it may do; never more than its user may now.
    pub role: Role,
    /// It changes nothing.
    pub read_only: bool,
    /// Only these engines, and nothing that is not of one engine; absent for everything.
    pub engines: Option<Vec<EngineName>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// It is past that.
    pub expired: bool,
    /// When it was used last, within half a minute.
    pub last_used_at: Option<Timestamp>,
    /// From where.
    pub last_used_ip: Option<String>,
}

/// Makes a token for oneself.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenCreateRequest {
    /// What it is for: 1–64 printable characters.
    pub name: String,
    /// The most it may do; not more than one's own role.
    pub role: Role,
    /// It changes nothing.
    #[serde(default)]
    pub read_only: bool,
    /// Only these engines.
    #[serde(default)]
    pub engines: Option<Vec<EngineName>>,
    /// How long it works, in seconds: one minute to 366 days.
    pub expires_in_s: u64,
}

/// A token that was made; its secret is shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenCreated {
    /// The token.
    pub token: Token,
    /// The secret: `cos_…`.
    pub secret: String,
}

/// Which tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenListQuery {
    /// Everybody's, for administrators; one's own when absent.
    pub all: Option<bool>,
}
