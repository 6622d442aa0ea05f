//! Alerts, their rules, and where they are sent.

use api::{
    alert::{
        Alert, AlertChannel, AlertChannelRequest, AlertChannelUpdate, AlertQuery, AlertRule,
        AlertRuleRequest, AlertTestResult,
    },
    id::{AlertChannelId, AlertRuleId},
    live::Items,
    problem::ProblemCode,
    revision::Written,
};
use axum::{Json, extract::State, http::StatusCode};

use super::engine_of;
use crate::{
    alerts::AlertError,
    http::{ApiError, Body, Params, QueryParams},
    state::AppState,
};

/// Alerts of a list when nobody says.
const USUAL_LIMIT: u32 = 100;

/// `GET /alerts`
pub(crate) async fn list(
    State(state): State<AppState>,
    QueryParams(query): QueryParams<AlertQuery>,
) -> Result<Json<Items<Alert>>, ApiError> {
    let limit = query.limit.unwrap_or(USUAL_LIMIT);
    if !(1..=1000).contains(&limit) {
        return Err(ApiError::invalid_field("limit", "must be 1 to 1000"));
    }
    let items = state
        .alerts
        .list(query.firing.unwrap_or(false), limit)
        .await?;
    Ok(Json(Items { items }))
}

/// `GET /alert-rules`
pub(crate) async fn rules(
    State(state): State<AppState>,
) -> Result<Json<Items<AlertRule>>, ApiError> {
    let items = state.alerts.rules().await?;
    Ok(Json(Items { items }))
}

/// `POST /alert-rules`
pub(crate) async fn add_rule(
    State(state): State<AppState>,
    Body(request): Body<AlertRuleRequest>,
) -> Result<(StatusCode, Json<AlertRule>), ApiError> {
    if let Some(engine) = &request.engine {
        engine_of(&state, engine)?;
    }
    let made = state.alerts.put_rule(None, request).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// `PUT /alert-rules/{rule}`
pub(crate) async fn change_rule(
    State(state): State<AppState>,
    Params(id): Params<AlertRuleId>,
    Body(request): Body<AlertRuleRequest>,
) -> Result<Json<AlertRule>, ApiError> {
    if let Some(engine) = &request.engine {
        engine_of(&state, engine)?;
    }
    Ok(Json(state.alerts.put_rule(Some(id), request).await?))
}

/// `POST /alert-rules/{rule}/remove`
pub(crate) async fn remove_rule(
    State(state): State<AppState>,
    Params(id): Params<AlertRuleId>,
) -> Result<Json<Written>, ApiError> {
    state.alerts.remove_rule(id).await?;
    Ok(done())
}

/// `GET /alert-channels`
pub(crate) async fn channels(
    State(state): State<AppState>,
) -> Result<Json<Items<AlertChannel>>, ApiError> {
    let items = state.alerts.channels().await?;
    Ok(Json(Items { items }))
}

/// `POST /alert-channels`
pub(crate) async fn add_channel(
    State(state): State<AppState>,
    Body(request): Body<AlertChannelRequest>,
) -> Result<(StatusCode, Json<AlertChannel>), ApiError> {
    let made = state.alerts.add_channel(request).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// `PATCH /alert-channels/{channel}`
pub(crate) async fn change_channel(
    State(state): State<AppState>,
    Params(id): Params<AlertChannelId>,
    Body(request): Body<AlertChannelUpdate>,
) -> Result<Json<AlertChannel>, ApiError> {
    Ok(Json(state.alerts.update_channel(id, request).await?))
}

/// `POST /alert-channels/{channel}/remove`
pub(crate) async fn remove_channel(
    State(state): State<AppState>,
    Params(id): Params<AlertChannelId>,
) -> Result<Json<Written>, ApiError> {
    state.alerts.remove_channel(id).await?;
    Ok(done())
}

/// `POST /alert-channels/{channel}/test`
pub(crate) async fn test_channel(
    State(state): State<AppState>,
    Params(id): Params<AlertChannelId>,
) -> Result<Json<AlertTestResult>, ApiError> {
    Ok(Json(state.alerts.test_channel(id).await?))
}

fn done() -> Json<Written> {
    Json(Written {
        rev: None,
        warnings: Vec::new(),
    })
}

impl From<AlertError> for ApiError {
    fn from(error: AlertError) -> Self {
        match error {
            AlertError::NotFound(what) => Self::not_found(what),
            AlertError::Invalid(fields) => Self::invalid(fields),
            AlertError::TooMany(_) => Self::new(
                StatusCode::CONFLICT,
                ProblemCode::Conflict,
                error.to_string(),
            ),
            AlertError::Db(_) | AlertError::Seal(_) | AlertError::Random(_) => {
                Self::internal(error)
            }
        }
    }
}
