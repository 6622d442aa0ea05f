//! Users, for administrators.

use api::{
    account::{Ended, SessionInfo},
    id::UserName,
    live::Items,
    problem::ProblemCode,
    revision::Written,
    user::{OneTimePassword, User, UserCreateRequest, UserUpdateRequest},
};
use axum::{Json, extract::State, http::StatusCode};

use crate::{
    auth::{MadePassword, UserError},
    http::{ApiError, Body, Params},
    state::AppState,
};

/// `GET /users`
pub(crate) async fn list(State(state): State<AppState>) -> Result<Json<Items<User>>, ApiError> {
    let items = state.auth.users().await?;
    Ok(Json(Items { items }))
}

/// `POST /users`
pub(crate) async fn create(
    State(state): State<AppState>,
    Body(request): Body<UserCreateRequest>,
) -> Result<(StatusCode, Json<OneTimePassword>), ApiError> {
    let made = state.auth.add_user(&request.name, request.role).await?;
    Ok((StatusCode::CREATED, Json(shown_once(made))))
}

/// `GET /users/{user}`
pub(crate) async fn get(
    State(state): State<AppState>,
    Params(name): Params<UserName>,
) -> Result<Json<User>, ApiError> {
    Ok(Json(state.auth.user(name.as_str()).await?))
}

/// `PATCH /users/{user}`
pub(crate) async fn update(
    State(state): State<AppState>,
    Params(name): Params<UserName>,
    Body(request): Body<UserUpdateRequest>,
) -> Result<Json<User>, ApiError> {
    Ok(Json(state.auth.update_user(name.as_str(), request).await?))
}

/// `POST /users/{user}/one-time-password`
pub(crate) async fn one_time_password(
    State(state): State<AppState>,
    Params(name): Params<UserName>,
) -> Result<Json<OneTimePassword>, ApiError> {
    let made = state.auth.one_time_password(name.as_str()).await?;
    Ok(Json(shown_once(made)))
}

/// `POST /users/{user}/second-factor/remove`
pub(crate) async fn remove_second_factor(
    State(state): State<AppState>,
    Params(name): Params<UserName>,
) -> Result<Json<User>, ApiError> {
    Ok(Json(state.auth.remove_second_factor(name.as_str()).await?))
}

/// `POST /users/{user}/remove`
pub(crate) async fn remove(
    State(state): State<AppState>,
    Params(name): Params<UserName>,
) -> Result<Json<Written>, ApiError> {
    state.auth.remove_user(name.as_str()).await?;
    Ok(Json(Written {
        rev: None,
        warnings: Vec::new(),
    }))
}

/// `GET /users/{user}/sessions`
pub(crate) async fn sessions(
    State(state): State<AppState>,
    Params(name): Params<UserName>,
) -> Result<Json<Items<SessionInfo>>, ApiError> {
    let user = state.auth.user(name.as_str()).await?;
    let items = state.auth.sessions(&user.name, None).await?;
    Ok(Json(Items { items }))
}

/// `POST /users/{user}/sessions/end`
pub(crate) async fn end_sessions(
    State(state): State<AppState>,
    Params(name): Params<UserName>,
) -> Result<Json<Ended>, ApiError> {
    let user = state.auth.user(name.as_str()).await?;
    let sessions = state.auth.end_sessions(&user.name, None, None).await?;
    Ok(Json(Ended { sessions }))
}

fn shown_once(made: MadePassword) -> OneTimePassword {
    OneTimePassword {
        user: made.user,
        // The one answer that tells it.
        password: made.password.expose().to_owned(),
        expires_at: made.expires_at,
    }
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        let conflict = |error: &UserError| {
            Self::new(
                StatusCode::CONFLICT,
                ProblemCode::Conflict,
                error.to_string(),
            )
        };
        match error {
            UserError::NotFound => Self::not_found("user"),
            UserError::Exists => conflict(&error).hint("choose another name"),
            UserError::LastAdmin => {
                conflict(&error).hint("make another user an administrator first")
            }
            UserError::Db(_) | UserError::Password(_) | UserError::Random(_) => {
                Self::internal(error)
            }
        }
    }
}
