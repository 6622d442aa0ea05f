//! Removing all containers that do not run.

use std::{collections::BTreeMap, sync::Arc};

use super::{RemoveRequest, handle::Container, remove};
use crate::{
    blocking,
    engine::Engine,
    error::{EngineError, Result},
    events::EventKind,
    filters::Filters,
};

/// What a prune can be limited by.
pub(crate) const PRUNE_FILTERS: &[&str] = &["label", "label!", "until"];

/// What a prune has removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pruned {
    /// Ids.
    pub(crate) containers: Vec<String>,
    /// Bytes that they had written.
    pub(crate) freed_bytes: u64,
}

/// Removes the containers that do not run and fit the filters. Their volumes stay.
///
/// # Errors
/// `Invalid` for a time that is none. A container that cannot be removed stays.
pub(crate) async fn prune(engine: &Arc<Engine>, filters: &Filters) -> Result<Pruned> {
    let until_ns = filters.until_ns()?;
    let mut pruned = Pruned::default();
    for container in engine.containers.all() {
        let record = container.record();
        let fits = until_ns.is_none_or(|until| record.created_ns < until)
            && filters.matches_labels(record.labels());
        if !fits || !is_idle(&container) {
            continue;
        }
        let written = {
            let (engine, container) = (Arc::clone(engine), Arc::clone(&container));
            // One without a root file system is removed as well.
            let size = move || Ok(engine.images.snapshots().size(container.id()).unwrap_or(0));
            blocking::run(size).await?
        };
        match remove::remove(engine, &container, RemoveRequest::default()).await {
            Ok(()) => {
                pruned.freed_bytes = pruned.freed_bytes.saturating_add(written);
                pruned.containers.push(container.id().to_owned());
            }
            // Someone has started it, or removes it, meanwhile.
            Err(EngineError::Conflict(_)) => {}
            Err(error) => {
                tracing::warn!(container = container.id(), %error, "remove a container that does not run");
            }
        }
    }
    let freed = pruned.freed_bytes.to_string();
    let attributes = BTreeMap::from([("reclaimed".to_owned(), freed)]);
    engine
        .events
        .publish(EventKind::Container, "prune", "", attributes);
    Ok(pruned)
}

fn is_idle(container: &Container) -> bool {
    container.running().is_none() && !container.is_restarting() && !container.is_removing()
}
