//! One's own account: password, sessions, second factor.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{auth::SecretText, id::SessionId};

/// Gives oneself another password.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChangeRequest {
    /// The present password.
    pub current: SecretText,
    /// The new one: at least 12 characters, at most 1 KiB, another than the present one.
    pub new: SecretText,
}

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionInfo {
    /// Its handle; it opens nothing.
    pub id: SessionId,
    /// Whose it is.
    pub user: String,
    /// The one that asks.
    pub current: bool,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it was used last, within half a minute.
    pub last_used_at: Timestamp,
    /// When it ends whatever happens.
    pub expires_at: Timestamp,
    /// From where it was started.
    pub ip: String,
    /// What the browser calls itself.
    pub user_agent: String,
}

/// What was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ended {
    /// How many sessions are over.
    pub sessions: u64,
}

/// How an account proves who signs in, beside the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecondFactor {
    /// A code of an authenticator app is asked for.
    pub totp: bool,
    /// Recovery codes that are left.
    pub recovery_codes: u32,
}

/// What an authenticator app needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TotpBegun {
    /// The secret in base 32, to be typed.
    pub secret: String,
    /// The same as `otpauth://` address, to be shown as a picture.
    pub uri: String,
}

/// Proves that the authenticator app has the secret.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TotpEnableRequest {
    /// The six digits that it shows.
    pub code: SecretText,
}

/// Codes that each sign in once when the authenticator app is lost; shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecoveryCodes {
    /// The codes.
    pub codes: Vec<String>,
}
