//! Control groups v1, v2 and hybrid, per controller: limits written, figures read.
//!
//! A machine may have some controllers in v1 hierarchies and others in the v2 hierarchy. [`Layout`] finds out which is
//! where, [`Cgroup`] is one path in all of them, and whoever uses it need not know. A container's path is the same
//! in every mounted hierarchy, also in those without a controller we set: a process left in the root of one would see, and
//! with enough rights change, what is the host's.
//!
//! - [`layout`]: which controller is in which hierarchy, and where that is mounted;
//! - [`cgroup`]: create, open, add processes, list, remove;
//! - [`resources`]: limits in the terms of the runtime-spec, and their writing in v1 and v2;
//! - [`devices`]: which device nodes may be used: a list in v1, a BPF program in v2;
//! - [`freeze`]: freeze, thaw, kill everything;
//! - [`stats`]: figures, with files kept open between two readings;
//! - [`oom`]: to be told when the kernel kills for lack of memory;
//! - [`features`]: what this kernel offers, with reasons for what it does not;
//! - [`systemd`]: cgroups that systemd makes on request, as scopes;
//! - [`mountinfo`], [`parse`]: the parsers.
//!
//! A limit that cannot be set is an error that names the controller, the file, the value and what would help, never silence.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]
#![cfg_attr(test, expect(clippy::indexing_slicing, reason = "tests may panic"))]
#![cfg(target_os = "linux")]

pub mod cgroup;
pub mod devices;
mod error;
pub mod features;
mod file;
pub mod freeze;
pub mod layout;
pub mod mountinfo;
pub mod oom;
pub mod parse;
pub mod resources;
pub mod stats;
pub mod systemd;

pub use cgroup::Cgroup;
pub use devices::{DeviceAccess, DeviceRule, DeviceType};
pub use error::Error;
pub use features::Features;
pub use layout::{Controller, Layout, Mode};
pub use oom::OomWatch;
pub use resources::Resources;
pub use stats::{Stats, StatsReader};
