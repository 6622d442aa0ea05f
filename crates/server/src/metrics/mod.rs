//! Figures of containers and the host: sampled once a second whoever watches, kept in rings, folded into history.

mod collector;
mod figures;
mod fold;
mod history;
mod rates;
mod sampler;
mod series;

pub use collector::Collector;
pub use figures::Figures;
pub use history::History;
