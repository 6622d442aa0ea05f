//! Containers: their records, their life, their output.
//!
//! | module | holds |
//! | --- | --- |
//! | `containers` | all containers: find, names |
//! | `record`, `handle` | a container as it is kept, and in memory |
//! | `create`, `names`, `limits` | making one: checking the request, putting in what it leaves open |
//! | `mounts`, `paths` | what is mounted into one |
//! | `user`, `capabilities`, `seccomp` | who its programs are and what they may do |
//! | `spec` | the bundle of a run |
//! | `start`, `exit`, `restart`, `release` | a run: its beginning, its end, what comes then |
//! | `stop`, `signals` | stopping, killing, pausing, renaming, changing |
//! | `connect` | on which networks it is |
//! | `remove`, `prune`, `recover` | taking one away, or all that do not run; finding them again after a restart of the engine |
//! | `shim` | talking to the process that stays with each |
//! | `attach`, `exec` | input and output; more processes |
//! | `health` | health checks |
//! | `logs` | what it wrote |
//! | `stats`, `top` | what it uses, and its processes |
//! | `filesystem`, `archive` | its files: seen, copied in and out |
//! | `commit` | an image out of it |
//! | `view` | inspect and lists |

mod archive;
mod attach;
mod capabilities;
mod commit;
mod connect;
mod containers;
mod create;
#[cfg(test)]
mod engine_fixture;
mod exec;
mod exit;
mod filesystem;
#[cfg(test)]
mod fixture;
mod handle;
mod health;
mod limits;
mod logs;
mod mounts;
mod names;
mod paths;
mod prune;
mod record;
mod recover;
mod release;
mod remove;
mod restart;
mod seccomp;
mod shim;
pub(crate) mod signals;
mod spec;
mod start;
mod stats;
mod stop;
mod top;
mod user;
mod view;

pub(crate) use archive::{ExtractOptions, PathStat};
pub(crate) use attach::attach;
pub(crate) use commit::{CommitRequest, commit};
pub(crate) use connect::{connect, disconnect};
pub(crate) use containers::Containers;
pub(crate) use create::{CreateRequest, create};
pub(crate) use exec::{
    Execs, StartRequest as ExecStart, create as exec_create, inspect as exec_inspect,
    resize as exec_resize, start as exec_start,
};
pub(crate) use exit::leave;
pub(crate) use filesystem::ContainerFiles;
pub(crate) use handle::{Container, Phase};
pub(crate) use logs::{Format as LogFormat, LogRequest, LogWatch};
pub(crate) use paths::clean_absolute;
pub(crate) use prune::{PRUNE_FILTERS, prune};
pub(crate) use recover::recover;
pub(crate) use remove::{RemoveRequest, remove};
pub(crate) use shim::ShimProgram;
pub(crate) use spec::console_size;
pub(crate) use start::start;
pub(crate) use stop::{StopRequest, kill, pause, rename, resize, restart, stop, unpause, update};
pub(crate) use user::resolve as resolve_user;
pub(crate) use view::{LIST_FILTERS, ListRequest, inspect, list, summary};
