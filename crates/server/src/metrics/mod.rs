//! Figures of containers and the host: sampled once a second whoever watches, kept in rings, folded into history.

mod collector;
pub(crate) mod exposition;
mod figures;
mod fold;
mod history;
#[expect(
    clippy::cast_precision_loss,
    reason = "figures for people; counters stay far below 2^52 a second"
)]
mod rates;
mod sampler;
#[expect(
    clippy::cast_precision_loss,
    reason = "figures for people; counters stay far below 2^52 a second"
)]
mod series;

pub use collector::Collector;
pub(crate) use exposition::{Process, write as write_exposition};
pub use figures::Figures;
pub use history::History;
