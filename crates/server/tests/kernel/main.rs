//! The server against real engines: the live socket, figures, logs, inside, comparisons, making containers, faults.
//!
//! `CONTAINEROS_TEST_DOCKER` (and, for what needs both, `CONTAINEROS_TEST_MINI`) name engines that hold the starter
//! image, as `unix://…`. Without the first these tests say so and do nothing.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says what went wrong by failing"
)]

mod create;
mod faults;
mod figures;
mod files;
mod house;
mod images;
mod live;
mod recreate;
mod terminals;
