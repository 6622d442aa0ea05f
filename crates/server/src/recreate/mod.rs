//! Making a container anew with other settings, so that afterwards exactly one of its name exists, the old one or a new one
//! that works; also when the server is killed in between. And what containers were made with, for putting them back.

mod changes;
mod journal;
mod revisions;
mod spec;
mod swap;

pub(crate) use changes::{apply, as_request};
pub(crate) use journal::{Phase, Planned, Row};
pub(crate) use revisions::{Kept, NewRevision};
pub(crate) use spec::{Spec, spec_of};
pub use swap::Recreations;
pub(crate) use swap::{BeginError, create};
