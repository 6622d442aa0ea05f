//! What each operation does. Handlers read a typed request, check it, ask the engine and answer with our own types; a
//! client's bytes never reach an engine.

pub(crate) mod account;
pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod bulk;
pub(crate) mod containers;
pub(crate) mod create;
pub(crate) mod create_body;
mod create_refusal;
mod detail;
pub(crate) mod edit;
pub(crate) mod files;
pub(crate) mod image_jobs;
pub(crate) mod images;
pub(crate) mod jobs;
pub(crate) mod live;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod networks;
pub(crate) mod observe;
mod page;
mod policy;
pub(crate) mod prune;
pub(crate) mod remove;
pub(crate) mod stream;
pub(crate) mod system;
mod target;
pub(crate) mod terminals;
pub(crate) mod tokens;
pub(crate) mod users;
pub(crate) mod volume_copies;
pub(crate) mod volumes;

pub(crate) use target::{Target, engine_of};
