//! An OCI runtime and shim: one process becomes one container.
//!
//! - [`container`]: bundle, cgroup and first process put together; [`state`] what is remembered of it;
//! - [`process`]: the stages from `clone3` to `execve`; [`rootfs`] its file system; [`seccomp`] its filter;
//! - [`shim`]: the process that stays with a container of the engine;
//! - [`cli`]: the command line, as runc's.
//!
//! One thread, no async runtime, `panic = "abort"`.

pub mod capabilities;
pub mod cli;
pub mod clock;
pub mod container;
pub mod error;
pub mod hooks;
pub mod limits;
pub mod network;
pub mod process;
pub mod reaper;
mod remedy;
pub mod resctrl;
pub mod rootfs;
pub mod rootless;
pub mod seccomp;
pub mod shim;
pub mod spec;
pub mod spec_attributes;
pub mod spec_resources;
pub mod state;
pub mod systemd;
pub mod trace;
pub mod usage;
pub mod validate;
