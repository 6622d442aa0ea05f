//! The parent's side of running one more process in a container.

use std::os::fd::AsFd;
use std::time::Duration;

use shim_protocol::TraceObject;
use sys::namespace::Namespaces;
use sys::process::CloneOptions;

use crate::error::{Error, Result};
use crate::process::init::flag_of;
use crate::process::join::{self, JoinPlan};
use crate::process::spawn::{
    Spawned, clone_in_pid_namespace, end, follow_to_program, hear_steps, notify_supervisor,
};
use crate::process::sync::channel;
use crate::spec::{Linux, NamespaceKind};
use crate::trace::Trace;

/// How long a process may take to its program.
const PATIENCE: Duration = Duration::from_secs(30);

/// The namespaces that a process joining a container must enter: those that it does not share with us.
pub fn namespaces_to_join(linux: &Linux) -> Namespaces {
    linux
        .namespaces
        .iter()
        .filter(|namespace| namespace.kind != NamespaceKind::Pid)
        .fold(Namespaces::MOUNT, |all, namespace| {
            all.with(flag_of(namespace.kind))
        })
}

/// Runs one more process in a container, in its namespaces and its cgroup.
///
/// # Errors
/// The child's, or that of a step here; the child is dead and reaped then.
pub fn join(plan: JoinPlan<'_>, trace: &mut Trace) -> Result<Spawned> {
    let (ours, theirs) = channel().map_err(|error| error.in_step("clone3"))?;
    let cgroup_fd = plan
        .cgroup
        .clone_fd()
        .map_err(|error| Error::from(error).in_step("clone3"))?;
    let options = CloneOptions {
        namespaces: None,
        cgroup: cgroup_fd.as_ref().map(AsFd::as_fd),
        as_sibling: false,
    };
    let enter = || {
        sys::namespace::enter(plan.init, Namespaces::PID)
            .map_err(|error| Error::sys("enter", "the container's pid namespace", error))
    };
    let child = trace.step(
        "clone3",
        || "in the container's pid namespace".into(),
        || clone_in_pid_namespace(enter, options),
    )?;
    let Some(child) = child else {
        drop(ours);
        join::run(plan, &theirs, trace);
    };
    trace.made(|| [TraceObject::Process { pid: child.pid }]);
    drop(theirs);
    // The container may be frozen at this moment, and the child with it; whoever asks has more to do.
    ours.set_patience(PATIENCE)?;
    let listen = |listener| match plan.seccomp {
        Some(filter) => notify_supervisor(filter, &listener, child.pid, plan.init_pid),
        None => Ok(()),
    };
    match follow_to_program(&ours, &child, listen, trace) {
        Ok((terminal, started_at_unix_ns)) => Ok(Spawned {
            pid: child.pid,
            pidfd: child.pidfd,
            terminal,
            started_at_unix_ns,
            filter: None,
        }),
        Err(error) => {
            end(&child.pidfd);
            hear_steps(&ours, trace);
            Err(error)
        }
    }
}
