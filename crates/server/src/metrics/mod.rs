//! Figures of containers and the host: sampled once a second whoever watches, kept in rings, folded into history.

mod figures;
mod series;

pub use figures::Figures;
