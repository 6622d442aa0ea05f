//! Images through the engine's API, with Docker's own client library: load, save, pull, tag, remove, prune.

mod fixture;
mod pull;
mod store;
