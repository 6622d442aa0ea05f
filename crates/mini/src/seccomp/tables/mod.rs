//! Numbers of system calls, one file for each architecture.

pub(super) mod aarch64;
pub(super) mod arm;
pub(super) mod x32;
pub(super) mod x86;
pub(super) mod x86_64;
