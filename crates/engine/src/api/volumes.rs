//! Volumes: `/volumes/…`.

use std::sync::Arc;

use axum::Router;

use crate::engine::Engine;

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Engine>> {
    Router::new()
}
