//! Errors as Docker's clients know them: a status and `{"message": …}`.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bollard_stubs::models::ErrorResponse;

use crate::error::EngineError;

impl EngineError {
    /// Returns the status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::NotModified => StatusCode::NOT_MODIFIED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for EngineError {
    fn into_response(self) -> Response {
        let status = self.status();
        if status == StatusCode::NOT_MODIFIED {
            return status.into_response();
        }
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %self, "request not done");
        }
        message(status, self.to_string())
    }
}

/// Returns an answer with this status and message.
pub(crate) fn message(status: StatusCode, message: String) -> Response {
    (status, Json(ErrorResponse { message })).into_response()
}

/// Answers requests for which there is no route, in Docker's words.
pub(super) async fn page_not_found() -> Response {
    message(StatusCode::NOT_FOUND, "page not found".to_owned())
}
