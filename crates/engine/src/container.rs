//! Containers: their records, their life, their output.
//!
//! | module | holds |
//! | --- | --- |
//! | `containers` | all containers: find, names |
//! | `record`, `handle` | a container as it is kept, and in memory |
//! | `shim` | talking to the process that stays with each |
//! | `mounts`, `paths` | what is mounted into one |
//! | `user`, `capabilities`, `seccomp` | who its programs are and what they may do |
//! | `health` | health checks |
//! | `logs` | what it wrote |
//! | `stats` | what it uses |
//! | `filesystem`, `archive` | its files: seen, copied in and out |

mod archive;
mod capabilities;
mod containers;
mod filesystem;
#[cfg(test)]
mod fixture;
mod handle;
mod health;
mod logs;
mod mounts;
mod paths;
mod record;
mod seccomp;
mod shim;
mod stats;
mod user;

pub(crate) use archive::{ExtractOptions, PathStat};
pub(crate) use containers::Containers;
pub(crate) use handle::{Container, Phase, Running};
pub(crate) use logs::{Format as LogFormat, LogRequest, LogWatch};
pub(crate) use mounts::{MountRecord, MountSource};
pub(crate) use record::{ContainerRecord, StateRecord, Status};
