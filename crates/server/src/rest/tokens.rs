//! API tokens.

use std::time::Duration;

use api::{
    auth::Role,
    id::TokenId,
    live::Items,
    problem::{FieldError, ProblemCode},
    revision::Written,
    token::{Token, TokenCreateRequest, TokenCreated, TokenListQuery},
};
use axum::{Json, extract::State, http::StatusCode};

use super::engine_of;
use crate::{
    auth::{
        NewToken, TOKEN_LIFE, TokenError, check_token_name, create_token, list_tokens, revoke_token,
    },
    http::{ApiError, Body, Params, Person, QueryParams},
    state::AppState,
};

/// `GET /tokens`
pub(crate) async fn list(
    State(state): State<AppState>,
    Person(session): Person,
    QueryParams(query): QueryParams<TokenListQuery>,
) -> Result<Json<Items<Token>>, ApiError> {
    let all = query.all.unwrap_or(false);
    if all && session.role != Role::Admin {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            ProblemCode::Forbidden,
            "only an administrator may see everybody's tokens",
        ));
    }
    let user = (!all).then_some(session.user.as_str());
    let items = list_tokens(&state.db, user).await?;
    Ok(Json(Items { items }))
}

/// `POST /tokens`
pub(crate) async fn create(
    State(state): State<AppState>,
    Person(session): Person,
    Body(request): Body<TokenCreateRequest>,
) -> Result<(StatusCode, Json<TokenCreated>), ApiError> {
    let life = Duration::from_secs(request.expires_in_s);
    let mut errors = Vec::new();
    let mut refuse = |field: &str, message: &str| {
        errors.push(FieldError {
            field: field.to_owned(),
            message: message.to_owned(),
        });
    };
    if let Err(message) = check_token_name(&request.name) {
        refuse("name", message);
    }
    if request.role > session.role {
        refuse("role", "must not be more than your own");
    }
    if !TOKEN_LIFE.contains(&life) {
        refuse("expires_in_s", "must be one minute to 366 days");
    }
    if request.engines.as_ref().is_some_and(Vec::is_empty) {
        refuse("engines", "must name one at least, or be absent for all");
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    for name in request.engines.iter().flatten() {
        engine_of(&state, name)?;
    }
    let new = NewToken {
        name: request.name,
        user: Some(session.user),
        role: request.role,
        read_only: request.read_only,
        engines: request.engines,
        life,
    };
    let (token, secret) = create_token(&state.db, new)
        .await
        .map_err(|error| match error {
            TokenError::TooMany => ApiError::new(
                StatusCode::CONFLICT,
                ProblemCode::Conflict,
                error.to_string(),
            ),
            TokenError::Random(_) | TokenError::Db(_) => ApiError::internal(error),
        })?;
    // The one answer that tells the secret.
    let secret = secret.expose().to_owned();
    Ok((StatusCode::CREATED, Json(TokenCreated { token, secret })))
}

/// `POST /tokens/{token}/revoke`
pub(crate) async fn revoke(
    State(state): State<AppState>,
    Person(session): Person,
    Params(id): Params<TokenId>,
) -> Result<Json<Written>, ApiError> {
    let user = (session.role != Role::Admin).then_some(session.user.as_str());
    if !revoke_token(&state.db, &id, user).await? {
        return Err(ApiError::not_found("token"));
    }
    Ok(Json(Written {
        rev: None,
        warnings: Vec::new(),
    }))
}
