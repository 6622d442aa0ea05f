//! The audit log, for administrators.

use api::audit::{AuditPage, AuditQuery, AuditVerified};
use axum::{Json, extract::State};

use crate::{
    http::{ApiError, QueryParams},
    state::AppState,
};

/// `GET /audit`
pub(crate) async fn search(
    State(state): State<AppState>,
    QueryParams(query): QueryParams<AuditQuery>,
) -> Result<Json<AuditPage>, ApiError> {
    if query
        .limit
        .is_some_and(|limit| !(1..=1000).contains(&limit))
    {
        return Err(ApiError::invalid_field("limit", "must be 1 to 1000"));
    }
    state
        .audit
        .search(query)
        .await
        .map(Json)
        .map_err(ApiError::internal)
}

/// `GET /audit/verify`
pub(crate) async fn verify(State(state): State<AppState>) -> Result<Json<AuditVerified>, ApiError> {
    state
        .audit
        .verify()
        .await
        .map(Json)
        .map_err(ApiError::internal)
}
