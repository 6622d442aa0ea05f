//! One process becomes one container: the parent that makes it, the stages that the child goes through, and its end in
//! `execve`. The same last stages serve a process that joins a running container.

mod map_program;

pub mod affinity;
pub mod attributes;
pub(crate) mod clocks;
pub mod exec;
pub mod executable;
pub mod finish;
pub mod id_map;
pub mod init;
pub mod join;
pub mod memory_policy;
mod namespaces;
pub mod number_list;
mod owner;
pub mod personality;
mod procfs;
mod relay;
pub mod scheduler;
pub mod security;
mod source;
pub mod spawn;
pub mod sync;
pub mod terminal;
