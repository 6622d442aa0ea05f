//! What this engine is not: a swarm node or a host of plugins. Clients ask anyway and degrade on Docker's own answers.

use std::sync::Arc;

use axum::{
    Json, Router,
    routing::{any, get},
};

use crate::{
    engine::Engine,
    error::{EngineError, Result},
};

const PATHS: [&str; 6] = [
    "/swarm",
    "/nodes",
    "/services",
    "/tasks",
    "/secrets",
    "/configs",
];

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Engine>> {
    let mut router = Router::new().route("/plugins", get(plugins));
    for path in PATHS {
        router = router
            .route(path, any(not_a_manager))
            .route(&format!("{path}/{{*rest}}"), any(not_a_manager));
    }
    router
}

async fn plugins() -> Json<[(); 0]> {
    Json([])
}

async fn not_a_manager() -> Result<()> {
    Err(EngineError::Unavailable(
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.".into(),
    ))
}
