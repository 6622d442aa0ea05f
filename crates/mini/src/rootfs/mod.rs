//! The container's file system: its mounts, devices, masks, and the change of root.
//!
//! All of it is done by the container's first process in its own mount namespace, before it leaves the host's root: sources
//! are paths of the host, destinations are looked up inside the root (see [`resolve`]), and each mount is made
//! detached, given its attributes, and only then attached to the descriptor that was looked up.

pub mod devices;
pub mod masks;
pub mod mounts;
pub mod options;
pub mod pivot;
pub mod resolve;
