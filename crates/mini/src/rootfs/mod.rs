//! The container's file system: its mounts, devices, masks, and the change of root.
//!
//! All of it is done by the container's first process in its own mount namespace, before it leaves the host's root: sources
//! are paths of the host, destinations are looked up inside the root (see [`resolve`]), and each mount is made
//! detached, given its attributes, and only then attached to the descriptor that was looked up.

pub mod bind;
pub mod cgroup_mounts;
pub mod copy_up;
pub mod devices;
pub mod filesystem;
pub mod label;
pub mod masks;
pub mod mountinfo;
pub mod mounts;
pub mod options;
pub mod pivot;
pub mod resolve;
pub mod sources;
