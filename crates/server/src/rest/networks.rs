//! Networks.

use api::{id::EngineName, live::Items, network::NetworkSummary};
use axum::{Json, extract::State};

use super::engine_of;
use crate::{
    http::{ApiError, Params},
    state::AppState,
};

/// `GET /engines/{engine}/networks`
pub(crate) async fn list(
    State(state): State<AppState>,
    Params(name): Params<EngineName>,
) -> Result<Json<Items<NetworkSummary>>, ApiError> {
    Ok(Json(Items {
        items: engine_of(&state, &name)?.mirror.networks(),
    }))
}
