//! System call filters: the runtime-spec's `linux.seccomp` compiled to the kernel's BPF, without libseccomp.
//!
//! - [`arch`]: architectures and their system call tables;
//! - [`rules`]: actions and conditions, checked, sorted by system call;
//! - [`compile`]: the program: a binary search over call numbers, so that the last rule costs no more than the first.

pub mod arch;
mod assemble;
mod compile;
#[cfg(test)]
mod interpret;
pub mod rules;
mod tables;

pub use compile::{Filter, compile};
