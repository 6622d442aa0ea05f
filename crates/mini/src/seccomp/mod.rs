//! System call filters: the runtime-spec's `linux.seccomp` compiled to the kernel's BPF, without libseccomp.
//!
//! - [`arch`]: architectures and their system call tables;
//! - [`rules`]: actions and conditions, checked, sorted by system call;
//! - [`compile`]: the program: a binary search over call numbers, so that the last rule costs no more than the first;
//! - [`Filter`]: the program on its way to the process that it is for; [`Supervisor`]: who is asked when it says so;
//! - [`interpret`]: what the kernel would answer, for tests.
//!
//! Where it differs from runc with libseccomp: a call of an architecture that the profile does not list ends the process,
//! not only the thread (libseccomp's default, which leaves programs with threads hanging); of two rules without conditions
//! about one call the first counts (libseccomp refuses the profile). `tests/libseccomp.rs` holds all else to be the same.

pub mod arch;
mod assemble;
#[cfg(test)]
mod check;
mod compile;
mod filter;
pub mod interpret;
pub mod rules;
mod supervisor;
mod tables;

pub use compile::{compile, compile_for};
pub use filter::Filter;
pub use supervisor::Supervisor;
