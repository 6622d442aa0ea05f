//! A process that joins a running container, from `clone3` to `execve`.

use std::convert::Infallible;
use std::os::fd::BorrowedFd;
use std::path::Path;

use cgroups::Cgroup;
use shim_protocol::ConsoleSize;
use sys::namespace::Namespaces;

use crate::error::{Error, Result};
use crate::process::attributes::Attributes;
use crate::process::finish::{Finish, Stdio, become_program, connect_stdio};
use crate::process::init::{
    hand_over_terminal, join_session_keyring, reset, set_apparmor, write_self,
};
use crate::process::sync::{Channel, FromChild};
use crate::process::terminal;
use crate::rootfs::resolve::RootFd;
use crate::seccomp::Filter;
use crate::spec::Process;
use crate::trace::Trace;

/// What a joining process is made from.
#[derive(Clone, Copy, Debug)]
pub struct JoinPlan<'a> {
    /// The container's id.
    pub id: &'a str,
    /// The process to become.
    pub process: &'a Process,
    /// What it has of the container.
    pub attributes: &'a Attributes,
    /// The container's filter.
    pub seccomp: Option<&'a Filter>,
    /// The container's cgroup.
    pub cgroup: &'a Cgroup,
    /// The container's first process.
    pub init: BorrowedFd<'a>,
    /// The namespaces to join; that of processes has been joined by the parent.
    pub namespaces: Namespaces,
    /// Its standard streams.
    pub stdio: Stdio<'a>,
    /// Size of its terminal.
    pub console_size: Option<ConsoleSize>,
}

/// Goes through all stages in the child. Does not return.
pub(crate) fn run(plan: JoinPlan<'_>, channel: &Channel) -> ! {
    let error = match stages(plan, channel) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    drop(channel.tell_parent(&FromChild::Failed(error), None));
    sys::process::exit_now(1)
}

fn stages(plan: JoinPlan<'_>, channel: &Channel) -> Result<Infallible> {
    let mut trace = Trace::new(false);
    reset(true)?;
    rustix::process::setsid().map_err(|errno| Error::sys("setsid", "", errno))?;
    join_session_keyring(plan.id)?;
    connect_stdio(plan.stdio)?;
    // Through the host's /proc, before it is out of sight.
    write_self(
        "oom_score_adj",
        plan.process.oom_score_adj.map(|value| value.to_string()),
    )?;
    set_apparmor(plan.process)?;
    plan.attributes.bind_first(plan.process)?;
    // In its cgroup before anything of the container can be reached.
    plan.cgroup.enter_cloned()?;
    sys::namespace::enter(plan.init, plan.namespaces)
        .map_err(|error| Error::sys("enter", "the container's namespaces", error))?;
    if plan.process.terminal {
        let root = RootFd::open(Path::new("/"))?;
        let console = terminal::open(&root, plan.console_size)?;
        hand_over_terminal(console, channel)?;
    }
    Err(become_program(
        Finish {
            process: plan.process,
            attributes: plan.attributes,
            affinity: plan.attributes.affinity_of(plan.process),
            seccomp: plan.seccomp,
            channel,
            gate: None,
        },
        &mut trace,
    ))
}
