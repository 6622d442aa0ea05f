//! The same work on each engine, side by side: the same calls on both, taking turns, with the spread and not only the middle.

mod judge;
mod overhead;
mod registry;
mod run;
mod statistics;

pub use registry::{CompareError, Comparisons};
pub use run::sweep;
