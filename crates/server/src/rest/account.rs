//! One's own account: password, sessions, second factor.

use api::{
    account::{
        Ended, PasswordChangeRequest, RecoveryCodes, SecondFactor, SessionInfo, TotpBegun,
        TotpEnableRequest,
    },
    id::SessionId,
    live::Items,
    problem::ProblemCode,
};
use axum::{Extension, Json, extract::State, http::StatusCode};

use super::auth::{ip, login_error};
use crate::{
    auth::{FactorError, LoginError, check_password},
    http::{ApiError, Body, Params, Peer, Person},
    state::AppState,
};

/// `POST /account/password`
pub(crate) async fn change_password(
    State(state): State<AppState>,
    Person(session): Person,
    peer: Option<Extension<Peer>>,
    Body(request): Body<PasswordChangeRequest>,
) -> Result<Json<Ended>, ApiError> {
    // Both are read here and go to the checks that need them, nowhere else.
    let (current, new) = (request.current.expose(), request.new.expose());
    check_password(new).map_err(|message| ApiError::invalid_field("new", message))?;
    if current == new {
        return Err(ApiError::invalid_field(
            "new",
            "must be another than the present one",
        ));
    }
    state
        .auth
        .change_password(&session, current, new, ip(peer))
        .await
        .map(|sessions| Json(Ended { sessions }))
        .map_err(|error| match error {
            LoginError::Wrong => ApiError::invalid_field("current", "is not the present password"),
            other => login_error(other),
        })
}

/// `GET /account/sessions`
pub(crate) async fn sessions(
    State(state): State<AppState>,
    Person(session): Person,
) -> Result<Json<Items<SessionInfo>>, ApiError> {
    let items = state.auth.sessions(&session.user, Some(&session)).await?;
    Ok(Json(Items { items }))
}

/// `POST /account/sessions/end-others`
pub(crate) async fn end_others(
    State(state): State<AppState>,
    Person(session): Person,
) -> Result<Json<Ended>, ApiError> {
    let sessions = state
        .auth
        .end_sessions(&session.user, None, Some(&session))
        .await?;
    Ok(Json(Ended { sessions }))
}

/// `POST /account/sessions/{session}/end`
pub(crate) async fn end_session(
    State(state): State<AppState>,
    Person(session): Person,
    Params(id): Params<SessionId>,
) -> Result<Json<Ended>, ApiError> {
    let sessions = state
        .auth
        .end_sessions(&session.user, Some(&id), None)
        .await?;
    if sessions == 0 {
        return Err(ApiError::not_found("session of yours"));
    }
    Ok(Json(Ended { sessions }))
}

/// `GET /account/second-factor`
pub(crate) async fn second_factor(
    State(state): State<AppState>,
    Person(session): Person,
) -> Result<Json<SecondFactor>, ApiError> {
    Ok(Json(state.auth.second_factor(&session.user).await?))
}

/// `POST /account/totp/begin`
pub(crate) async fn begin_totp(
    State(state): State<AppState>,
    Person(session): Person,
) -> Result<Json<TotpBegun>, ApiError> {
    let host = crate::capabilities::host().hostname;
    let issuer: String = host
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        .collect();
    Ok(Json(state.auth.begin_totp(&session.user, &issuer).await?))
}

/// `POST /account/totp/enable`
pub(crate) async fn enable_totp(
    State(state): State<AppState>,
    Person(session): Person,
    Body(request): Body<TotpEnableRequest>,
) -> Result<Json<RecoveryCodes>, ApiError> {
    // Compared with what the secret gives, and not kept.
    let code = request.code.expose();
    Ok(Json(state.auth.enable_totp(&session.user, code).await?))
}

/// `POST /account/totp/disable`
pub(crate) async fn disable_totp(
    State(state): State<AppState>,
    Person(session): Person,
) -> Result<Json<SecondFactor>, ApiError> {
    state.auth.disable_totp(&session.user).await?;
    Ok(Json(state.auth.second_factor(&session.user).await?))
}

/// `POST /account/recovery-codes`
pub(crate) async fn renew_recovery_codes(
    State(state): State<AppState>,
    Person(session): Person,
) -> Result<Json<RecoveryCodes>, ApiError> {
    Ok(Json(state.auth.renew_recovery_codes(&session.user).await?))
}

impl From<FactorError> for ApiError {
    fn from(error: FactorError) -> Self {
        match error {
            FactorError::WrongCode => Self::invalid_field(
                "code",
                "is not what the app shows now; are the clocks right?",
            ),
            FactorError::NotBegun | FactorError::Enabled | FactorError::Disabled => Self::new(
                StatusCode::CONFLICT,
                ProblemCode::Conflict,
                error.to_string(),
            ),
            FactorError::Db(_) | FactorError::Seal(_) | FactorError::Random(_) => {
                Self::internal(error)
            }
        }
    }
}
