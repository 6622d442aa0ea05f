//! The parent's side of running one more process in a container.

use std::os::fd::AsFd;
use std::time::Duration;

use cgroups::Cgroup;
use shim_protocol::TraceObject;
use sys::namespace::Namespaces;
use sys::process::CloneOptions;

use crate::error::{Error, Result};
use crate::process::join::{self, JoinPlan};
use crate::process::namespaces::{self, flag_of};
use crate::process::spawn::{
    Spawned, clone_in_pid_namespace, end, follow_to_program, hear_steps, notify_supervisor,
};
use crate::process::sync::channel;
use crate::process::{id_map, owner, relay};
use crate::spec::Linux;
use crate::trace::Trace;

/// How long a process may take to its program.
const PATIENCE: Duration = Duration::from_secs(30);

/// The namespaces that a process joining a container must enter: those that it does not share with us.
pub fn namespaces_to_join(linux: &Linux, init_pid: i32) -> Namespaces {
    let listed = linux
        .namespaces
        .iter()
        .map(|namespace| flag_of(namespace.kind));
    let mut all = listed.fold(Namespaces::NONE, Namespaces::with);
    // Our own user namespace cannot be entered, and entering others of our own takes rights over them.
    if all.contains(Namespaces::USER) {
        for kind in linux
            .namespaces
            .iter()
            .map(|namespace| flag_of(namespace.kind))
        {
            if namespaces::is_shared_with(init_pid, kind) {
                all = all.without(kind);
            }
        }
    }
    all
}

/// On v2 the process is made in its cgroup: what the kernel has against that is said by `clone3`.
fn not_entered(cgroup: &Cgroup, error: Error) -> Error {
    let busy = crate::error::errno_words(rustix::io::Errno::BUSY);
    if error.to_string().ends_with(&busy) {
        return Error::invalid(format!(
            "error adding pid of a new process to cgroups: {}: {busy}",
            cgroup.path()
        ))
        .with_hint(
            "a cgroup whose children have controllers holds no process itself; see exec --cgroup",
        );
    }
    error
}

/// Runs one more process in a container, in its namespaces and its cgroup.
///
/// # Errors
/// The child's, or that of a step here; the child is dead and reaped then.
pub fn join(plan: JoinPlan<'_>, trace: &mut Trace) -> Result<Spawned> {
    let (ours, theirs) = channel().map_err(|error| error.in_step("clone3"))?;
    let cgroup_fd = match plan.moved_by {
        Some(_) => None,
        None => plan
            .cgroup
            .clone_fd()
            .map_err(|error| Error::from(error).in_step("clone3"))?,
    };
    let cgroup = cgroup_fd.as_ref().map(AsFd::as_fd);
    let relayed = plan.namespaces.contains(Namespaces::USER);
    if relayed {
        trace.step(
            "ids",
            || "ids of the container's user namespace, its streams".into(),
            || {
                let (uids, gids) = id_map::of_process(&plan.init_pid.to_string())?;
                owner::give_streams(plan.process, plan.stdio, (&uids, &gids))
            },
        )?;
    }
    let child = trace.step(
        "clone3",
        || "in the container's pid namespace".into(),
        || {
            if relayed {
                // Only the container's root may enter its namespace of processes, and we could not become ourselves again.
                let enter = || {
                    if let Some(unit) = plan.moved_by {
                        unit.enter()?;
                    }
                    join::prepare(plan)?;
                    join::enter(plan.init, plan.namespaces)
                };
                return relay::clone_through(cgroup, enter, CloneOptions::default());
            }
            let options = CloneOptions {
                cgroup,
                ..CloneOptions::default()
            };
            // Its processes see the child from its first moment on.
            namespaces::shut_out_tracers()?;
            let enter = || join::enter(plan.init, Namespaces::PID);
            clone_in_pid_namespace(enter, options).map_err(|error| not_entered(plan.cgroup, error))
        },
    )?;
    let Some(child) = child else {
        drop(ours);
        join::run(plan, relayed, &theirs, trace);
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
