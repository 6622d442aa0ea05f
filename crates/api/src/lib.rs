//! Types of our web API.

pub mod compare;
pub mod figures;
pub mod inside;
pub mod jobs;
pub mod live;
pub mod logs;
