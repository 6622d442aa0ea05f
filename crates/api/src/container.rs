//! Containers: lists, detail, making and acting on them.

mod action;
mod create;
mod detail;
mod summary;

pub use action::*;
pub use create::*;
pub use detail::*;
pub use summary::*;
