//! Why a job ends without having done its work.

use api::problem::{Problem, ProblemCode};
use bollard::errors::Error;

/// Why a job ends early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Somebody asked for it.
    #[error("cancelled")]
    Cancelled,
    /// It is not possible.
    #[error("{0}")]
    Impossible(Cause),
}

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Cause {
    code: ProblemCode,
    detail: String,
    hint: Option<String>,
}

impl Failure {
    /// A cause of its own.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self::Impossible(Cause {
            code,
            detail: detail.into(),
            hint: None,
        })
    }

    /// Adds what would help.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        match self {
            Self::Cancelled => Self::Cancelled,
            Self::Impossible(cause) => Self::Impossible(Cause {
                hint: Some(hint.into()),
                ..cause
            }),
        }
    }

    /// The problem that the job shows; none when it was cancelled. `job` stands where a request's id stands.
    pub(crate) fn problem(&self, job: &str) -> Option<Problem> {
        let Self::Impossible(cause) = self else {
            return None;
        };
        let (status, title) = match cause.code {
            ProblemCode::NotFound => (404, "Not Found"),
            ProblemCode::Conflict => (409, "Conflict"),
            ProblemCode::Invalid | ProblemCode::EngineRefused => (422, "Unprocessable Content"),
            ProblemCode::EngineUnreachable | ProblemCode::Unavailable => {
                (503, "Service Unavailable")
            }
            ProblemCode::EngineTimeout => (504, "Gateway Timeout"),
            ProblemCode::EngineGarbled => (502, "Bad Gateway"),
            _ => (500, "Internal Server Error"),
        };
        Some(Problem {
            kind: "about:blank".to_owned(),
            title: title.to_owned(),
            status,
            code: cause.code,
            detail: cause.detail.clone(),
            hint: cause.hint.clone(),
            request_id: job.to_owned(),
            errors: Vec::new(),
            retry_after_s: None,
        })
    }
}

/// An engine's answer, in its own words.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::DockerResponseServerError { status_code: 404, message } => {
                Self::new(ProblemCode::NotFound, message)
            }
            Error::DockerResponseServerError { status_code: 409, message } => {
                Self::new(ProblemCode::Conflict, message)
            }
            Error::DockerResponseServerError { message, .. }
            | Error::DockerStreamError { error: message }
            | Error::DockerContainerWaitError { error: message, .. } => {
                let hint = hint_for(&message);
                let failure = Self::new(ProblemCode::EngineRefused, message);
                match hint {
                    Some(hint) => failure.with_hint(hint),
                    None => failure,
                }
            }
            Error::RequestTimeoutError => Self::new(ProblemCode::EngineTimeout, "the engine did not answer in time"),
            Error::JsonDataError { message, .. } => Self::new(ProblemCode::EngineGarbled, message),
            other => Self::new(ProblemCode::EngineUnreachable, other.to_string())
                .with_hint("the engine does not answer; the server keeps trying, start the job again when it is back"),
        }
    }
}

fn hint_for(message: &str) -> Option<&'static str> {
    let message = message.to_lowercase();
    if message.contains("no space left") {
        Some("the engine's disk is full: remove unused images or volumes")
    } else if message.contains("no such host")
        || message.contains("server misbehaving")
        || message.contains("dial tcp")
    {
        Some("the engine cannot reach the registry: check its network, name servers and proxy")
    } else if message.contains("denied")
        || message.contains("unauthorized")
        || message.contains("authentication")
    {
        Some("the registry wants a login, or there is no such repository")
    } else if message.contains("manifest unknown") || message.contains("not found") {
        Some("check the image's name and tag")
    } else {
        None
    }
}
