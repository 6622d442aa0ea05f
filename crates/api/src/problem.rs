//! What an error looks like: RFC 9457 problem details.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An error, sent as `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A URI reference for the kind of problem: `about:blank` when the status says it all.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// A stable word for programs.
    pub code: ProblemCode,
    /// What went wrong, in one sentence; an engine's own words where it spoke.
    pub detail: String,
    /// What would help, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Finds this request in the server's log.
    pub request_id: String,
    /// The fields that are not valid, for a form to show them in place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// When a login is locked out: how long, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

/// One field of a request that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// The field's path in the request, such as `ports[0].host_port`.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

/// What a program can decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// The request cannot be read.
    Malformed,
    /// An identifier in the path or query is not one.
    InvalidId,
    /// Fields are not valid; see `errors`.
    Invalid,
    /// Nobody is signed in, or the session ended.
    Unauthenticated,
    /// What gives power over the host needs the password again: `POST /auth/confirm`, then try again.
    Reauthenticate,
    /// The password is right, and the account also asks for a code: send the same again with `code`.
    SecondFactorRequired,
    /// The password is a one-time password: choose another with `POST /account/password`.
    PasswordChangeRequired,
    /// Name, password or set-up token are wrong.
    WrongCredentials,
    /// No administrator exists yet: set up first.
    SetupRequired,
    /// The administrator exists already.
    SetupDone,
    /// The role is not enough, or a privilege is not given to it.
    Forbidden,
    /// The request came from another site, or for another host.
    CrossSite,
    /// There is no such thing.
    NotFound,
    /// The method does not exist on this path.
    MethodNotAllowed,
    /// It is not possible in the present state, such as a name in use.
    Conflict,
    /// What `If-Match` names is not what is there: read it again.
    Stale,
    /// The previewed set changed before it was confirmed: preview again.
    PreviewChanged,
    /// This act needs a preview and its token first.
    PreviewRequired,
    /// The body is larger than allowed.
    TooLarge,
    /// The body is not JSON.
    UnsupportedMediaType,
    /// Too many requests or tries.
    RateLimited,
    /// The engine refused: its own words are in `detail`.
    EngineRefused,
    /// The engine is not reachable.
    EngineUnreachable,
    /// The engine did not answer in time.
    EngineTimeout,
    /// The engine answered something that is not the Docker Engine API.
    EngineGarbled,
    /// This engine or host cannot do it; see `hint` and `/capabilities`.
    Unsupported,
    /// The server cannot do it now, such as when the audit log cannot be written.
    Unavailable,
    /// A fault of the server; only the request id is told.
    Internal,
}

impl ProblemCode {
    /// The next step when nothing more exact is known.
    pub fn usual_hint(self) -> &'static str {
        match self {
            Self::Malformed | Self::UnsupportedMediaType => {
                "send what /api/v1/openapi.json describes, as application/json"
            }
            Self::InvalidId => "use an id or a name as the lists tell it, percent-encoded",
            Self::Invalid => "correct the fields that errors names",
            Self::Unauthenticated | Self::SetupDone => "sign in",
            Self::Reauthenticate => "enter your password again",
            Self::SecondFactorRequired => {
                "enter the six digits that your authenticator app shows, or a recovery code"
            }
            Self::PasswordChangeRequired => "choose a password of your own",
            Self::WrongCredentials => {
                "check name and password; `containeros user reset NAME` sets a new password"
            }
            Self::SetupRequired | Self::CrossSite => {
                "open the address that the server printed at its start"
            }
            Self::Forbidden => "ask an administrator",
            Self::NotFound => "it may have been removed: read the list again",
            Self::MethodNotAllowed => "look in /api/v1/openapi.json for the methods of this path",
            Self::Conflict => "look at its present state and try again",
            Self::Stale => "read it again, take over what changed, and write once more",
            Self::PreviewChanged | Self::PreviewRequired => {
                "preview again and confirm what it shows"
            }
            Self::TooLarge => "send less",
            Self::RateLimited => "wait a moment and try again",
            Self::EngineRefused => "correct what the engine names, and try again",
            Self::EngineUnreachable => "start the engine; it is looked for every second",
            Self::EngineTimeout => {
                "look at the list before trying again: the engine may still do it"
            }
            Self::EngineGarbled => "look what listens at the engine's address",
            Self::Unsupported => "see /api/v1/capabilities for what works here",
            Self::Unavailable => "try again in a moment",
            Self::Internal => "look for the request id in the server's log",
        }
    }
}
