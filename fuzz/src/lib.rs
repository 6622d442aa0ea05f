//! Fuzz targets for every parser of `mini`. How to run them: docs/developer.md.

mod bodies;

pub use bodies::*;
