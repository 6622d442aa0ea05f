//! Files in containers: by the engine's archive endpoints, which work on stopped containers too, and by the container's own
//! tools for what archives cannot do (list one directory without its depths, rename, remove).

mod archive;
mod helper;
mod listing;
mod path;
mod scan;
mod tools;

pub(crate) use archive::{Content, checked, header_of, padding, read_file};
pub use helper::Helpers;
pub(crate) use helper::{Lease, MOUNTED_AT, sweep_helpers};
pub(crate) use listing::list;
pub(crate) use path::CleanPath;
pub(crate) use scan::{Entry, EntryKind};
pub(crate) use tools::run;
