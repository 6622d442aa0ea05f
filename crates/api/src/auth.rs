//! First start, sign-in and who is signed in.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a user may do.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads lists, figures and logs; values of the environment stay hidden.
    Viewer,
    /// Also runs the life cycle of containers without privileges.
    Operator,
    /// Everything: the same as root on the host.
    Admin,
}

/// A text that is never printed: passwords and tokens.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = Password)]
pub struct SecretText(String);

impl SecretText {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself; say why where this is called.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText")
    }
}

/// Creates the first administrator.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupRequest {
    /// The one-time token that the server printed at its start.
    pub token: SecretText,
    /// The administrator's name: 1–64 of letters, digits, `_ . -`.
    pub name: String,
    /// At least 12 characters, at most 1 KiB.
    pub password: SecretText,
}

/// Signs in.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The user's name.
    pub name: String,
    /// The password.
    pub password: SecretText,
    /// Six digits of the authenticator app, or a recovery code, when the answer was `second_factor_required`.
    #[serde(default)]
    pub code: Option<SecretText>,
}

/// Proves again who is there, before what gives power over the host.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    /// The password of the one who is signed in.
    pub password: SecretText,
}

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The user's name.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// When the session ends whatever happens.
    pub session_expires_at: Timestamp,
    /// How long the session lives without a request, in seconds.
    pub session_idle_limit_s: u64,
    /// The password is a one-time password: until another is chosen, nothing else is answered.
    pub must_change_password: bool,
}

/// What the page needs before anyone is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionStatus {
    /// No administrator exists yet: show the set-up form.
    pub setup_required: bool,
    /// Who is signed in.
    pub me: Option<Me>,
    /// The server's version; only told to those signed in.
    pub server_version: Option<String>,
}
