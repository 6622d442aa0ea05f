//! The same work on each engine, side by side: the same calls on both, taking turns, with the spread and not only the middle.

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds, bytes and counts of a hundred runs are small"
)]
mod judge;
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds, bytes and counts of a hundred runs are small"
)]
mod overhead;
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds, bytes and counts of a hundred runs are small"
)]
mod registry;
mod run;
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds, bytes and counts of a hundred runs are small"
)]
mod statistics;

pub use registry::{CompareError, Comparisons};
pub use run::sweep;
