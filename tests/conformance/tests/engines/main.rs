//! What dockerd and Mini both do. Each module is one part of the API.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod archive;
mod attach;
mod build;
mod errors;
mod exec;
mod images;
mod inspect;
mod lifecycle;
mod limits;
mod listing;
mod logs;
mod networks;
mod stats;
mod system;
mod volumes;
