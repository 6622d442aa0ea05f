//! Containers: lists, detail, making and acting on them.

mod action;
mod create;
mod detail;
mod edit;
mod summary;

pub use action::*;
pub use create::*;
pub use detail::*;
pub use edit::{
    ContainerChanges, ContainerCloneRequest, ContainerEditRequest, ContainerRevision,
    RestoreRequest, RevisionReason,
};
pub use summary::*;
