//! Destructive acts wait here between their preview and their confirmation.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use api::{
    id::EngineName,
    preview::{Preview, PreviewItem},
    problem::ProblemCode,
};
use axum::http::StatusCode;

use crate::http::ApiError;

/// How long a preview can be confirmed.
const LIFE: Duration = Duration::from_mins(10);
/// Previews that wait at a time; the oldest goes first.
const MOST: usize = 512;
/// More than this asks for the name to be typed, in bytes.
const MUCH_BYTES: u64 = 100 * 1024 * 1024;

/// What will be done when it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Removes containers.
    Containers {
        ids: Vec<String>,
        force: bool,
        volumes: bool,
    },
    /// Removes images or tags.
    Images { targets: Vec<String>, force: bool },
    /// Removes volumes.
    Volumes { names: Vec<String> },
    /// Removes networks.
    Networks { ids: Vec<String> },
    /// Prunes an engine.
    Prune { what: api::system::PruneRequest },
    /// Makes a container anew; the changes as JSON.
    Edit { container: String, changes: String },
    /// Puts a container back.
    Restore { revision: String },
    /// Removes files; `place` is a container's id, or a volume's name after `volume:`.
    Files { place: String, paths: Vec<String> },
}

/// Acts that wait to be confirmed.
#[derive(Debug, Default)]
pub struct Previews(Mutex<HashMap<String, Waiting>>);

#[derive(Debug)]
struct Waiting {
    user: String,
    engine: EngineName,
    made: Instant,
    plan: Plan,
    items: Vec<PreviewItem>,
}

/// What a preview found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) plan: Plan,
    pub(crate) items: Vec<PreviewItem>,
    pub(crate) freed_bytes: Option<u64>,
    pub(crate) warnings: Vec<String>,
    pub(crate) undo: String,
}

impl Previews {
    /// Keeps what was found and returns what the page shows.
    pub(crate) fn keep(
        &self,
        user: &str,
        engine: &EngineName,
        found: Found,
    ) -> Result<Preview, ApiError> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).map_err(ApiError::internal)?;
        let token = hex::encode(bytes);
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, one| one.made.elapsed() < LIFE);
        if waiting.len() >= MOST
            && let Some(oldest) = waiting
                .iter()
                .min_by_key(|(_, one)| one.made)
                .map(|(token, _)| token.clone())
        {
            waiting.remove(&oldest);
        }
        let preview = Preview {
            token: token.clone(),
            expires_at: jiff::Timestamp::now() + LIFE,
            count: found.items.len() as u64,
            freed_bytes: found.freed_bytes,
            warnings: found.warnings,
            undo: found.undo,
            type_to_confirm: found.items.len() > 1
                || found.freed_bytes.is_some_and(|bytes| bytes > MUCH_BYTES),
            items: found.items.clone(),
        };
        let one = Waiting {
            user: user.to_owned(),
            engine: engine.clone(),
            made: Instant::now(),
            plan: found.plan,
            items: found.items,
        };
        waiting.insert(token, one);
        Ok(preview)
    }

    /// Takes the plan of a token, once, for the user and engine that it was made for.
    pub(crate) fn take(
        &self,
        token: &str,
        user: &str,
        engine: &EngineName,
    ) -> Result<Confirmed, ApiError> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = waiting.get(token).is_some_and(|one| {
            one.user == user && one.engine == *engine && one.made.elapsed() < LIFE
        });
        let one = if fits { waiting.remove(token) } else { None };
        one.map(|one| Confirmed {
            plan: one.plan,
            items: one.items,
        })
        .ok_or_else(|| {
            ApiError::new(
                StatusCode::CONFLICT,
                ProblemCode::PreviewRequired,
                "no preview of yours waits under this token",
            )
            .hint("preview again: a token is good for one use within ten minutes")
        })
    }
}

/// A plan that the user agreed to.
#[derive(Debug)]
pub(crate) struct Confirmed {
    pub(crate) plan: Plan,
    items: Vec<PreviewItem>,
}

impl Confirmed {
    /// Errs when what is found now is not what was agreed to.
    pub(crate) fn still_holds(&self, now: &Found) -> Result<(), ApiError> {
        let key = |items: &[PreviewItem]| {
            let mut keys: Vec<_> = items
                .iter()
                .map(|i| {
                    (
                        i.kind.clone(),
                        i.id.clone(),
                        i.name.clone(),
                        i.used_by.clone(),
                        i.note.clone(),
                    )
                })
                .collect();
            keys.sort();
            keys
        };
        if key(&self.items) == key(&now.items) {
            return Ok(());
        }
        let names = |items: &[PreviewItem]| {
            items
                .iter()
                .map(|item| item.name.clone())
                .collect::<Vec<_>>()
                .join(", ")
        };
        Err(ApiError::new(
            StatusCode::CONFLICT,
            ProblemCode::PreviewChanged,
            format!(
                "what would go has changed: it was {}, it is {}",
                names(&self.items),
                names(&now.items)
            ),
        )
        .hint("preview again and confirm what it shows"))
    }
}
