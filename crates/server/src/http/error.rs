//! The one place that maps errors to what a client sees: RFC 9457 problems.

use api::{
    id::InvalidId,
    problem::{FieldError, Problem, ProblemCode},
};
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{audit::AuditError, db::DbError, engines::CallError};

tokio::task_local! {
    /// The id of the request that this task answers.
    pub(super) static REQUEST_ID: String;
}

/// The id of the request that is being answered.
pub(crate) fn request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// Goes on with a request after its answer: what is told later carries its id, too.
pub(crate) fn with_request_id<F: Future>(id: String, work: F) -> impl Future<Output = F::Output> {
    REQUEST_ID.scope(id, work)
}

/// What goes wrong while a request is answered.
#[derive(Clone, Debug)]
pub(crate) struct ApiError(Box<Problem>);

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: ProblemCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            hint: None,
            request_id: request_id(),
            errors: Vec::new(),
            retry_after_s: None,
        }))
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn fields(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// Fields of the request are not valid.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.field, one.message),
            many => format!("{} fields are not valid", many.len()),
        };
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            ProblemCode::Invalid,
            detail,
        )
        .fields(errors)
    }

    /// One field of the request is not valid.
    pub(crate) fn invalid_field(field: &str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError {
            field: field.to_owned(),
            message: message.into(),
        }])
    }

    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            ProblemCode::NotFound,
            format!("no such {what}"),
        )
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ProblemCode::Malformed, detail)
    }

    /// A fault of ours: the log gets the cause, the client the request id.
    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(request_id = request_id(), %cause, "answer a request");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ProblemCode::Internal,
            "the server has a fault; its log says more under this request id",
        )
    }

    /// A problem that was made elsewhere.
    pub(crate) fn of_problem(problem: Problem) -> Self {
        Self(Box::new(problem))
    }

    /// As the client sees it: with a next step, the one that its code suggests when nothing more exact is known.
    pub(crate) fn into_problem(mut self) -> Problem {
        self.0
            .hint
            .get_or_insert_with(|| self.0.code.usual_hint().to_owned());
        *self.0
    }

    pub(crate) fn code(&self) -> ProblemCode {
        self.0.code
    }

    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = self.into_problem();
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry = problem.retry_after_s;
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<InvalidId> for ApiError {
    fn from(invalid: InvalidId) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            ProblemCode::InvalidId,
            invalid.to_string(),
        )
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        Self::internal(error)
    }
}

impl From<AuditError> for ApiError {
    fn from(error: AuditError) -> Self {
        tracing::error!(%error, "write the audit log");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            ProblemCode::Unavailable,
            "the audit log cannot be written, so nothing is changed",
        )
        .hint("look for a full disk or missing rights in the state directory")
    }
}

impl From<CallError> for ApiError {
    fn from(error: CallError) -> Self {
        let text = error.to_string();
        match error {
            CallError::Refused { status, message } => refused(status, message),
            CallError::Unreachable { hint, .. } => {
                let problem = Self::new(
                    StatusCode::BAD_GATEWAY,
                    ProblemCode::EngineUnreachable,
                    text,
                );
                match hint {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                }
            }
            CallError::Timeout { .. } => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                ProblemCode::EngineTimeout,
                text,
            )
            .hint("the engine may still do it; look at the list before trying again"),
            CallError::Garbled { .. } => {
                Self::new(StatusCode::BAD_GATEWAY, ProblemCode::EngineGarbled, text)
                    .hint("something else than an engine may listen at its address")
            }
        }
    }
}

/// An engine's error: its words stay, our code and hint come to it.
fn refused(status: u16, message: String) -> ApiError {
    let lower = message.to_lowercase();
    let (status, code) = match status {
        400 | 422 => (StatusCode::BAD_REQUEST, ProblemCode::EngineRefused),
        403 => (StatusCode::FORBIDDEN, ProblemCode::EngineRefused),
        404 => (StatusCode::NOT_FOUND, ProblemCode::NotFound),
        409 => (StatusCode::CONFLICT, ProblemCode::Conflict),
        501 => (StatusCode::NOT_IMPLEMENTED, ProblemCode::Unsupported),
        503 => (StatusCode::SERVICE_UNAVAILABLE, ProblemCode::EngineRefused),
        // What engines answer with 500 although it is the present state that forbids it.
        _ if [
            "port is already allocated",
            "address already in use",
            "is not paused",
            "is already paused",
            "is not running",
        ]
        .iter()
        .any(|words| lower.contains(words)) =>
        {
            (StatusCode::CONFLICT, ProblemCode::Conflict)
        }
        // What the request asks for is not in the image or not on the machine: the client's to mend.
        _ if [
            "unable to find user",
            "invalid",
            "no such file or directory",
        ]
        .iter()
        .any(|words| lower.contains(words)) =>
        {
            (StatusCode::BAD_REQUEST, ProblemCode::EngineRefused)
        }
        _ => (StatusCode::BAD_GATEWAY, ProblemCode::EngineRefused),
    };
    let error = ApiError::new(status, code, message);
    match hint_for(&lower) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// What helps against the errors that people meet most.
fn hint_for(message: &str) -> Option<&'static str> {
    const HINTS: [(&str, &str); 9] = [
        (
            "is already in use by container",
            "choose another name, or remove or rename the container that has it",
        ),
        (
            "port is already allocated",
            "choose another host port, or stop the container that publishes it",
        ),
        (
            "address already in use",
            "choose another host port, or stop the program that listens on it",
        ),
        ("no such image", "pull the image first"),
        (
            "executable file not found",
            "the command is not in the image: look at its entrypoint and command",
        ),
        (
            "no space left on device",
            "free some disk: remove unused images, containers and volumes",
        ),
        (
            "image is being used",
            "remove the containers that use it first, or force",
        ),
        (
            "volume is in use",
            "remove the containers that use it first",
        ),
        ("memory limit", "give at least 6 MiB"),
    ];
    HINTS
        .iter()
        .find(|(words, _)| message.contains(words))
        .map(|(_, hint)| *hint)
}
