//! The web server: HTTP, sign-in, state mirror, sampler, live push, jobs.

pub mod live;
pub mod logs;
pub mod metrics;
