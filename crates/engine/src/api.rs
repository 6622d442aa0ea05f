//! The Docker Engine API over HTTP. Handlers are thin: they read the request, call the engine, shape the answer.

mod archive;
mod build;
mod commit;
mod containers;
mod error;
mod events;
mod exec;
mod hijack;
mod images;
mod lines;
mod logs;
mod networks;
mod peer;
mod prune;
pub(crate) mod query;
pub(crate) mod server;
mod stats;
mod swarm;
mod system;
mod top;
mod version;
mod volumes;

use std::sync::Arc;

use axum::Router;

use crate::engine::Engine;

/// The oldest API version that is answered.
pub(crate) const MIN_API_VERSION: (u32, u32) = (1, 24);
/// The API version that is announced, and the newest that is answered.
pub(crate) const API_VERSION: (u32, u32) = (1, 47);

/// Returns all routes, without version prefix.
pub(crate) fn router(engine: Arc<Engine>) -> Router {
    Router::new()
        .merge(system::routes())
        .merge(events::routes())
        .merge(containers::routes())
        .merge(exec::routes())
        .merge(logs::routes())
        .merge(stats::routes())
        .merge(top::routes())
        .merge(archive::routes())
        .merge(commit::routes())
        .merge(prune::routes())
        .merge(images::routes())
        .merge(build::routes())
        .merge(networks::routes())
        .merge(volumes::routes())
        .merge(swarm::routes())
        .fallback(error::page_not_found)
        .method_not_allowed_fallback(error::page_not_found)
        .with_state(engine)
}
