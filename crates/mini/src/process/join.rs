//! A process that joins a running container, from `clone3` to `execve`.

use std::convert::Infallible;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use cgroups::Cgroup;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use shim_protocol::ConsoleSize;
use sys::namespace::Namespaces;

use crate::error::{Error, Result};
use crate::process::attributes::Attributes;
use crate::process::finish::{Finish, Stdio, become_program, connect_stdio};
use crate::process::init::{
    Wishes, give_up, hand_over_terminal, join_session_keyring, reset, set_death_signal, write_self,
};
use crate::process::namespaces::{self, become_root};
use crate::process::security;
use crate::process::sync::Channel;
use crate::process::terminal;
use crate::rootfs::pivot;
use crate::rootfs::resolve::RootFd;
use crate::seccomp::Filter;
use crate::spec::Process;
use crate::systemd::Remembered;
use crate::trace::{Trace, objects};

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
    /// The container's cgroup, or one below.
    pub cgroup: &'a Cgroup,
    /// The scope of a user's systemd, which moves the process there.
    pub moved_by: Option<&'a Remembered>,
    /// The container's first process.
    pub init: BorrowedFd<'a>,
    /// Its id as we see it.
    pub init_pid: i32,
    /// The namespaces to join.
    pub namespaces: Namespaces,
    /// Its standard streams.
    pub stdio: Stdio<'a>,
    /// Size of its terminal.
    pub console_size: Option<ConsoleSize>,
    /// What is otherwise than usual.
    pub wishes: Wishes,
}

/// Before the container's namespaces are entered: what takes the host's /proc, and its rights.
///
/// # Errors
/// `Sys`.
pub(crate) fn prepare(plan: JoinPlan<'_>) -> Result<()> {
    write_self(
        "oom_score_adj",
        plan.process.oom_score_adj.map(|value| value.to_string()),
    )?;
    security::apply(plan.process)?;
    plan.attributes.bind_first(plan.process)?;
    // In its cgroup before anything of the container can be reached.
    plan.cgroup.enter_cloned().map_err(|error| {
        Error::invalid(format!(
            "error adding pid {} to cgroups: {error}",
            rustix::process::getpid()
        ))
        .in_step("enter_cgroup")
    })?;
    namespaces::shut_out_tracers()
}

/// Goes through all stages in the child. Does not return.
pub(crate) fn run(plan: JoinPlan<'_>, relayed: bool, channel: &Channel, trace: &mut Trace) -> ! {
    trace.continue_in_child();
    let error = match stages(plan, relayed, channel, trace) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    give_up(error, channel, trace)
}

fn stages(
    plan: JoinPlan<'_>,
    relayed: bool,
    channel: &Channel,
    trace: &mut Trace,
) -> Result<Infallible> {
    trace.step(
        "setup",
        || "descriptors closed, signals reset, session, standard streams".into(),
        || {
            reset(true)?;
            rustix::process::setsid().map_err(|errno| Error::sys("setsid", "", errno))?;
            connect_stdio(plan.stdio)
        },
    )?;
    if !relayed {
        enter_straight(plan, trace)?;
    }
    if plan.namespaces.contains(Namespaces::USER) {
        trace.step("user_namespace", String::new, || {
            become_root()?;
            set_death_signal()
        })?;
    }
    join_session_keyring(plan.id).map_err(|error| error.in_step("setup"))?;
    if plan.process.terminal {
        trace.step(
            "terminal",
            || "openpty in /dev/pts".into(),
            || {
                let root = RootFd::open(Path::new("/"))?;
                let console = terminal::open(&root, plan.console_size)?;
                if plan.wishes.plain_line_ends {
                    terminal::leave_line_ends(&console)?;
                }
                hand_over_terminal(console, channel)
            },
        )?;
    }
    Err(become_program(
        Finish {
            process: plan.process,
            attributes: plan.attributes,
            affinity: plan.attributes.affinity_of(plan.process),
            seccomp: plan.seccomp,
            channel,
            gate: None,
            inherited: plan.wishes.inherited,
        },
        trace,
    ))
}

fn enter_straight(plan: JoinPlan<'_>, trace: &mut Trace) -> Result<()> {
    let root = if plan.namespaces.contains(Namespaces::MOUNT) {
        None
    } else {
        Some(open_root(plan)?)
    };
    trace.step(
        "enter_cgroup",
        || {
            let affinity = plan.attributes.show_first(plan.process);
            format!("{}, affinity: {affinity}", plan.cgroup.path())
        },
        || prepare(plan),
    )?;
    trace.made(|| objects::cgroup(plan.cgroup));
    let host_proc = trace
        .is_on()
        .then(|| objects::OwnNamespaces::open(plan.namespaces.with(Namespaces::PID)));
    trace.step(
        "namespaces",
        || "those of the container's first process".into(),
        || {
            let namespaces = plan.namespaces.without(Namespaces::PID);
            if !namespaces.is_empty() {
                enter(plan.init, namespaces)?;
            }
            root.map_or(Ok(()), pivot::enter_by_chroot)
        },
    )?;
    if let Some(own) = host_proc {
        trace.made(|| own.objects());
    }
    Ok(())
}

/// The root of a container that has no mount namespace of its own.
fn open_root(plan: JoinPlan<'_>) -> Result<OwnedFd> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let path = format!("/proc/{}/root", plan.init_pid);
    let error = |errno| Error::sys("open", &path, errno);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(&path, flags, Mode::empty()).map_err(error)?;
    // The number was that process's if it has not ended by now.
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(
        &mut [PollFd::new(&plan.init, PollFlags::IN)],
        Some(&at_once),
    ) {
        Ok(0) => Ok(root),
        _ => Err(error(Errno::SRCH)),
    }
}

/// Enters namespaces of the container's first process, all at once: the kernel finds the order that is permitted.
///
/// # Errors
/// `Sys`.
pub(crate) fn enter(init: BorrowedFd<'_>, namespaces: Namespaces) -> Result<()> {
    sys::namespace::enter(init, namespaces).map_err(|error| {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
        let error = Error::sys("enter", "the container's namespaces", errno);
        match errno {
            Errno::PERM => error.with_hint(
                "only root, and whoever has made the container's user namespace, may enter it",
            ),
            _ => error,
        }
    })
}
