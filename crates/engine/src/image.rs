//! Images: references, the blob store, records, and the ways in and out: pull, load, save, import, commit.

mod archive;
mod blobs;
mod commit;
mod config;
mod digest;
mod import;
mod instruction;
mod load;
mod manifest;
mod progress;
mod pull;
mod push;
mod reference;
mod registry;
mod remove;
mod save;
mod store;
mod view;

pub(crate) use commit::{CommitSource, DeriveSource};
pub(crate) use config::Defaults;
#[cfg(test)]
pub(crate) use config::ImageConfig;
pub(crate) use digest::{Digest, Hasher};
pub(crate) use import::ImportSource;
pub(crate) use instruction::{
    Done as InstructionsDone, Words, apply as apply_changes, apply_one as apply_instruction,
    command as command_of, directory as working_directory,
};
pub(crate) use manifest::Platform;
pub(crate) use progress::Progress;
pub(crate) use pull::Pull;
pub(crate) use reference::{InvalidReference, Reference};
pub(crate) use registry::{Credentials, RegistrySettings};
pub(crate) use remove::{ImageUse, PruneRequest, Removal, RemoveOptions};
pub(crate) use store::{Image, ImageStore};
pub(crate) use view::{LIST_FILTERS, count_uses};
