//! Users, for administrators.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{auth::Role, id::UserName};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// The name.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// May not sign in; tokens do not work.
    pub disabled: bool,
    /// Has a one-time password and must choose another at the next sign-in.
    pub must_change_password: bool,
    /// A code of an authenticator app is asked for.
    pub totp: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last signed in.
    pub last_login_at: Option<Timestamp>,
    /// Sessions that are open.
    pub sessions: u32,
    /// Tokens that work.
    pub tokens: u32,
}

/// Makes a user.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserCreateRequest {
    /// 1–64 of letters, digits, `_ . - @`.
    pub name: UserName,
    /// What the user may do.
    pub role: Role,
}

/// Changes a user; what is absent stays.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserUpdateRequest {
    /// What the user may do from now on, in open sessions too.
    #[serde(default)]
    pub role: Option<Role>,
    /// Keeps the user out: sessions end, tokens stop working.
    #[serde(default)]
    pub disabled: Option<bool>,
}

/// A password that was made for a user, shown this once. It works for three days and must be changed at the first sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OneTimePassword {
    /// The user.
    pub user: User,
    /// The password.
    pub password: String,
    /// Until when it signs in.
    pub expires_at: Timestamp,
}
