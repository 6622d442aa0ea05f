//! What the container gets of the host's network, besides a namespace.

pub mod devices;
mod netlink;
