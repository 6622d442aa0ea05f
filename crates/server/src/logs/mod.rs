//! Container logs: one upstream stream per watched container, pages and downloads.

mod cursor;
mod feeds;
mod line;
mod ring;
mod upstream;

pub use feeds::Feeds;
pub(crate) use feeds::CREDIT_BYTES;
