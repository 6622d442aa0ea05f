//! Safe wrappers of Linux system calls; the only unsafe code of the workspace.
//!
//! `rustix` gives most of the kernel's interface in safe form. Here is what it lacks, or marks unsafe for reasons that
//! do not hold where these wrappers are used; each module says why safe code cannot do it.
#![cfg(target_os = "linux")]

pub mod bpf;
pub mod fd;
pub mod keyring;
pub mod memory;
pub mod mount;
pub mod mountns;
pub mod namespace;
pub mod netns;
pub mod process;
pub mod schedule;
pub mod sealed;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod spawn;
