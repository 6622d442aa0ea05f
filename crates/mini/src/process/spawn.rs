//! The parent's side of making a container's first process.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use shim_protocol::TraceObject;
use sys::namespace::Namespaces;
use sys::process::{Child, CloneOptions, clone3};

use crate::clock;
use crate::error::{Error, Result};
use crate::process::id_map::{self, IdKind};
use crate::process::init::{self, Entry, InitPlan};
use crate::process::namespaces::{self, Joined, UserNamespace};
use crate::process::sync::{Channel, FromChild, FromParent, channel};
use crate::process::{clocks, owner, relay, source};
use crate::seccomp::Filter;
use crate::spec::Spec;
use crate::trace::Trace;

/// A process whose program runs, or waits for `start`.
#[derive(Debug)]
pub struct Spawned {
    /// Its id as we see it.
    pub pid: i32,
    /// A descriptor of it.
    pub pidfd: OwnedFd,
    /// The terminal's master, when it has one.
    pub terminal: Option<OwnedFd>,
    /// When the program was executed (or the gate reached), nanoseconds since the Unix epoch.
    pub started_at_unix_ns: i64,
    /// The container's system call filter, for those who join it later.
    pub filter: Option<Filter>,
}

/// Makes the first process, sets its cgroup's limits while it mounts, and sees it through to its program.
///
/// `prepare` is called with the process's id while it mounts (before, where systemd makes the cgroup): it writes the cgroup's limits, and what must be on disk
/// before the program runs. `hooks` is called with that id when its mounts are made, before it leaves the host's root.
///
/// # Errors
/// The child's, or that of a step here; the child is dead and reaped then.
pub fn spawn(
    plan: InitPlan<'_>,
    prepare: impl FnOnce(i32, &mut Trace) -> Result<()>,
    hooks: impl FnOnce(i32) -> Result<()>,
    trace: &mut Trace,
) -> Result<Spawned> {
    let (ours, theirs) = channel().map_err(|error| error.in_step("clone3"))?;
    let cgroup_fd = if plan.wishes.moved_by_systemd {
        None
    } else {
        plan.cgroup
            .clone_fd()
            .map_err(|error| Error::from(error).in_step("clone3"))?
    };
    let linux = plan
        .spec
        .linux
        .as_ref()
        .ok_or_else(|| Error::invalid("linux is missing"))?;
    let joined = namespaces::open_all(linux).map_err(|error| error.in_step("namespaces"))?;
    let user = namespaces::user_namespace(plan.spec, &joined);
    let cgroup = cgroup_fd.as_ref().map(std::os::fd::AsFd::as_fd);
    let way = Way::of(user, &joined);
    let child = trace.step(
        "clone3",
        || clone_detail(plan.spec, cgroup_fd.is_some()),
        || clone_init(plan.spec, way, user, &joined, cgroup),
    )?;
    let Some(child) = child else {
        drop(ours);
        let joined = if way == Way::Relayed {
            &[][..]
        } else {
            &joined
        };
        drop(cgroup_fd);
        init::run(plan, Entry { user, joined }, &theirs, trace);
    };
    trace.made(|| [TraceObject::Process { pid: child.pid }]);
    drop(theirs);
    drop(cgroup_fd);
    drop(joined);
    // While the child mounts; but where systemd makes the cgroup, it must be there before the child looks for it.
    let mut prepare = Some(prepare);
    let mut identified = match prepare.take_if(|_| plan.wishes.moved_by_systemd) {
        Some(prepare) => prepare(child.pid, trace),
        None => Ok(()),
    };
    if user != UserNamespace::Shared && identified.is_ok() {
        identified = trace.step(
            "ids",
            || "ids of the user namespace, what its users own".into(),
            || identify(plan, user, &child),
        );
    }
    if user == UserNamespace::New && identified.is_ok() {
        identified = ours
            .tell_child(&FromParent::Mapped)
            .or_else(|error| gone(&ours, error, trace));
    }
    let limited = identified
        .and_then(|()| prepare.map_or(Ok(()), |prepare| prepare(child.pid, trace)))
        .and_then(|()| compile_filter(&plan, trace))
        .map(FromParent::Limited);
    let outcome = match &limited {
        Ok(limited) => ours
            .tell_child(limited)
            .or_else(|error| gone(&ours, error, trace))
            .and_then(|()| {
                let listen = |listener: OwnedFd| match limited {
                    FromParent::Limited(Some(filter)) => {
                        notify_supervisor(filter, &listener, child.pid, child.pid)
                    }
                    _ => Ok(()),
                };
                follow(&ours, &child, Some(plan), hooks, listen, trace)
            }),
        Err(error) => Err(error.clone()),
    };
    match outcome {
        Ok((terminal, started_at_unix_ns)) => Ok(Spawned {
            pid: child.pid,
            pidfd: child.pidfd,
            terminal,
            started_at_unix_ns,
            filter: match limited {
                Ok(FromParent::Limited(filter)) => filter,
                _ => None,
            },
        }),
        Err(error) => {
            end(&child.pidfd);
            hear_steps(&ours, trace);
            Err(error)
        }
    }
}

/// Takes the steps that a child which is gone has told before, when a trace is recorded.
pub(crate) fn hear_steps(channel: &Channel, trace: &mut Trace) {
    let mut buffer = Vec::new();
    while trace.is_on() {
        match channel.hear_child(&mut buffer) {
            Ok(Some((FromChild::Steps(steps), _))) => trace.extend(steps),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return,
        }
    }
}

fn compile_filter(plan: &InitPlan<'_>, trace: &mut Trace) -> Result<Option<Filter>> {
    let linux = plan.spec.linux.as_ref();
    let Some(rules) = linux.and_then(|linux| linux.seccomp.as_ref()) else {
        return Ok(None);
    };
    trace.step(
        "seccomp_compile",
        || format!("{} rules", rules.syscalls.len()),
        || Filter::of_container(plan.spec, plan.id, plan.bundle),
    )
}

/// Gives a filter's listener to the supervisor that the profile names.
pub(crate) fn notify_supervisor(
    filter: &Filter,
    listener: &OwnedFd,
    pid: i32,
    container_pid: i32,
) -> Result<()> {
    use std::os::fd::AsFd;
    match filter.supervisor() {
        Some(supervisor) => supervisor
            .send(listener.as_fd(), pid, container_pid)
            .map_err(|error| error.in_step("seccomp_listener")),
        None => Ok(()),
    }
}

/// Kills and reaps a child that is of no use any more.
pub(crate) fn end(pidfd: &OwnedFd) {
    use std::os::fd::AsFd;
    // It may be gone already, which is what is wanted.
    rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL).ok();
    while let Err(rustix::io::Errno::INTR) =
        waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)
    {}
}

fn clone_detail(spec: &Spec, into_cgroup: bool) -> String {
    let kinds: Vec<String> = spec
        .linux
        .iter()
        .flat_map(|linux| &linux.namespaces)
        .map(|namespace| format!("{:?}", namespace.kind).to_lowercase())
        .collect();
    let cgroup = if into_cgroup {
        ", CLONE_INTO_CGROUP"
    } else {
        ""
    };
    format!("namespaces {}{cgroup}", kinds.join(" "))
}

/// How the first process comes into its namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By one clone3, and by itself.
    Straight,
    /// The same, with the parent in the namespace of processes for that time.
    JoinedProcesses,
    /// By another process that enters namespaces first.
    Relayed,
}

impl Way {
    fn of(user: UserNamespace, joined: &[Joined]) -> Self {
        let processes = |namespace: &Joined| namespace.kind() == Namespaces::PID;
        match user {
            UserNamespace::Joined => Self::Relayed,
            UserNamespace::New if !joined.is_empty() => Self::Relayed,
            _ if joined.iter().any(processes) => Self::JoinedProcesses,
            _ => Self::Straight,
        }
    }
}

fn clone_init(
    spec: &Spec,
    way: Way,
    user: UserNamespace,
    joined: &[Joined],
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Option<Child>> {
    let mut new = namespaces::new_namespaces(spec);
    if user != UserNamespace::Shared {
        new = new.without(Namespaces::IPC);
    }
    let options = CloneOptions {
        namespaces: Some(new),
        cgroup,
        as_sibling: false,
    };
    // In a new user namespace the process sets its clocks itself.
    let offsets = spec
        .linux
        .as_ref()
        .map(|linux| &linux.time_offsets)
        .filter(|offsets| !offsets.is_empty() && user != UserNamespace::New);
    let clone = || match way {
        Way::JoinedProcesses => {
            let processes = |namespace: &&Joined| namespace.kind() == Namespaces::PID;
            let enter = || namespaces::enter_all(joined.iter().filter(processes));
            // Processes that are there see the child from its first moment on.
            namespaces::shut_out_tracers()?;
            clone_in_pid_namespace(enter, options)
        }
        _ => clone3(options).map_err(|error| match user {
            UserNamespace::New => id_map::refused_clone(&error),
            _ => Error::sys("clone3", "", error),
        }),
    };
    match (way, offsets) {
        (Way::Relayed, _) => {
            let enter = || {
                init::write_self(
                    "oom_score_adj",
                    spec.process()
                        .and_then(|process| process.oom_score_adj)
                        .map(|value| value.to_string()),
                )?;
                namespaces::shut_out_tracers()?;
                namespaces::enter_all(joined.iter())?;
                offsets.map_or(Ok(()), clocks::unshare)
            };
            relay::clone_through(cgroup, enter, options)
        }
        (_, Some(offsets)) => clocks::clone_with(offsets, clone),
        (_, None) => clone(),
    }
}

/// Gives the child in its user namespace its ids, and what it cannot take for itself.
fn identify(plan: InitPlan<'_>, user: UserNamespace, child: &Child) -> Result<()> {
    let (Some(linux), Some(process)) = (&plan.spec.linux, plan.spec.process()) else {
        return Ok(());
    };
    match user {
        UserNamespace::Shared => Ok(()),
        UserNamespace::New => {
            let (uids, gids) = (&linux.uid_mappings, &linux.gid_mappings);
            id_map::write(child.pid, uids, gids)?;
            init::write_oom_score_adj(child.pid, process)?;
            owner::give(plan.spec, plan.stdio, plan.cgroup, (uids, gids))
        }
        UserNamespace::Joined => {
            let (uids, gids) = id_map::of_process(&child.pid.to_string())?;
            for (kind, given, found) in [
                (IdKind::User, &linux.uid_mappings, &uids),
                (IdKind::Group, &linux.gid_mappings, &gids),
            ] {
                let same =
                    given.len() == found.len() && given.iter().all(|range| found.contains(range));
                if !given.is_empty() && !same {
                    return Err(Error::invalid(format!(
                        "{} differs from the ids of the user namespace that is joined",
                        kind.list()
                    ))
                    .with_hint("leave it out: a user namespace that exists has its ids"));
                }
            }
            owner::give(plan.spec, plan.stdio, plan.cgroup, (&uids, &gids))
        }
    }
}

/// A process cannot enter a pid namespace itself, only its children can: the parent enters for the time of the clone.
pub(crate) fn clone_in_pid_namespace(
    enter: impl FnOnce() -> Result<()>,
    options: CloneOptions<'_>,
) -> Result<Option<Child>> {
    use std::os::fd::AsFd;
    let own = rustix::fs::open(
        "/proc/self/ns/pid",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| Error::sys("open", "/proc/self/ns/pid", errno))?;
    enter()?;
    let child = clone3(options).map_err(|error| Error::sys("clone3", "", error));
    if !matches!(child, Ok(None)) {
        sys::namespace::enter(own.as_fd(), Namespaces::PID)
            .map_err(|error| Error::sys("leave", "the pid namespace", error))?;
    }
    child
}

fn follow(
    channel: &Channel,
    child: &Child,
    plan: Option<InitPlan<'_>>,
    hooks: impl FnOnce(i32) -> Result<()>,
    listen: impl Fn(OwnedFd) -> Result<()>,
    trace: &mut Trace,
) -> Result<(Option<OwnedFd>, i64)> {
    let mut hooks = Some(hooks);
    let mut terminal = None;
    let mut executing_at = None;
    let mut buffer = Vec::new();
    loop {
        match channel.hear_child(&mut buffer)? {
            Some((FromChild::Mounted, _)) => {
                if let Some(hooks) = hooks.take() {
                    trace.step(
                        "hooks",
                        || "prestart, createRuntime".into(),
                        || hooks(child.pid),
                    )?;
                }
                channel.tell_child(&FromParent::Go)?;
            }
            Some((FromChild::Source(index), reply)) => {
                if let (Some(plan), Some(reply)) = (plan, reply) {
                    source::answer(plan, index, child, &reply);
                }
            }
            Some((FromChild::Relayed(_), _)) => {}
            Some((FromChild::Terminal, master)) => terminal = master,
            Some((FromChild::Steps(steps), _)) => trace.extend(steps),
            Some((FromChild::Created, _)) => return Ok((terminal, clock::unix_ns())),
            Some((FromChild::Executing, _)) => executing_at = Some(clock::unix_ns()),
            Some((FromChild::Listener(number), _)) => {
                let listener = take_descriptor(child, number)?;
                // First the supervisor, then the child: a program that nobody answers for does not run at all.
                listen(listener)?;
                channel.tell_child(&FromParent::Go)?;
            }
            Some((FromChild::Failed(error), _)) => return Err(error),
            None => {
                return match executing_at {
                    Some(at) => Ok((terminal, at)),
                    None => Err(died_early(child)),
                };
            }
        }
    }
}

/// A copy of a descriptor of the child. It could not send it itself: `sendmsg` may be among what its filter asks about.
fn take_descriptor(child: &Child, number: i32) -> Result<OwnedFd> {
    rustix::process::pidfd_getfd(
        &child.pidfd,
        number,
        rustix::process::PidfdGetfdFlags::empty(),
    )
    .map_err(|errno| Error::sys("pidfd_getfd", "the seccomp listener", errno))
}

/// What the child could not be told, it may have had its own reason for.
fn gone(channel: &Channel, error: Error, trace: &mut Trace) -> Result<()> {
    let mut buffer = Vec::new();
    loop {
        match channel.hear_child(&mut buffer) {
            Ok(Some((FromChild::Failed(reason), _))) => return Err(reason),
            Ok(Some((FromChild::Steps(steps), _))) => trace.extend(steps),
            _ => return Err(error),
        }
    }
}

/// The child is gone without a word.
fn died_early(child: &Child) -> Error {
    use std::os::fd::AsFd;
    let how = match waitid(
        WaitId::PidFd(child.pidfd.as_fd()),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    ) {
        Ok(Some(status)) => match status.terminating_signal() {
            Some(9) => {
                "it was killed; a memory limit below what a start takes (about 2 MB) does that"
                    .to_owned()
            }
            Some(signal) => format!("it was ended by signal {signal}"),
            None => "it ended".to_owned(),
        },
        _ => "it ended".to_owned(),
    };
    Error::new(
        crate::error::ErrorKind::Sys,
        format!("start the container's first process: {how}"),
    )
}

/// Joins processes by the same way: see [`crate::process::exec`].
pub(crate) fn follow_to_program(
    channel: &Channel,
    child: &Child,
    listen: impl Fn(OwnedFd) -> Result<()>,
    trace: &mut Trace,
) -> Result<(Option<OwnedFd>, i64)> {
    follow(channel, child, None, |_| Ok(()), listen, trace)
}

/// Where the root file system is: `root.path`, relative to the bundle.
pub fn rootfs_path(spec: &Spec, bundle: &Path) -> std::path::PathBuf {
    bundle.join(
        spec.root
            .as_ref()
            .map_or("rootfs", |root| root.path.as_str()),
    )
}
