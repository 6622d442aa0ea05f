//! One process becomes one container: the parent that makes it, the stages that the child goes through, and its end in
//! `execve`. The same last stages serve a process that joins a running container.

pub mod exec;
pub mod executable;
pub mod finish;
pub mod id_map;
pub mod init;
pub mod join;
mod map_program;
pub mod spawn;
pub mod sync;
pub mod terminal;
