//! Container logs: one upstream stream per watched container, pages and downloads.

mod cursor;
mod feeds;
mod line;
mod page;
mod ring;
mod upstream;

pub(crate) use cursor::BadCursor;
pub(crate) use feeds::CREDIT_BYTES;
pub use feeds::Feeds;
pub(crate) use page::{BadTime, Filter, download, page};

#[cfg(test)]
mod tests;
