//! Layers and root file systems.
//!
//! A layer is an archive unpacked once, in overlayfs form, and shared by every image and container that uses it. A
//! container adds one writable directory on top: its snapshot.

mod changes;
mod copy;
mod error;
mod overlay;
mod pack;
mod remove;
mod root;
mod snapshot;
mod store;
mod tar;
mod unpack;

#[cfg(test)]
pub(crate) use changes::ChangeKind;
pub(crate) use changes::tree_size;
pub(crate) use copy::copy_tree;
pub(crate) use error::LayerError;
pub(crate) use pack::{Form as PackForm, Packer};
pub(crate) use remove::remove_tree;
pub(crate) use root::{RootFd, clean as clean_path};
pub(crate) use snapshot::{Access, Driver, Snapshots};
pub(crate) use store::{LayerStore, Pins};
pub(crate) use tar::{Kind as TarEntryKind, TarReader};
pub(crate) use unpack::{Placement, decompressed, unpack_files};
