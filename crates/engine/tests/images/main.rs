//! Images through the engine's API, with Docker's own client library: load, save, pull, tag, remove, prune.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod fixture;
mod pull;
mod store;
