//! The container's first process, from `clone3` to `execve`.
//!
//! It runs in a copy of the parent's memory, with one thread. Errors go to the parent as a message; the parent cleans up.

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use cgroups::Cgroup;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::Signal;
use shim_protocol::ConsoleSize;
use sys::namespace::Namespaces;

use crate::error::{Error, Result};
use crate::hooks;
use crate::process::attributes::Attributes;
use crate::process::clocks;
use crate::process::finish::{Finish, Gate, Stdio, become_program, complete_env, connect_stdio};
use crate::process::namespaces::{self, Joined, UserNamespace, become_root};
use crate::process::procfs;
use crate::process::security;
use crate::process::source;
use crate::process::sync::{Channel, FromChild, FromParent};
use crate::process::terminal;
use crate::rootfs::cgroup_mounts::CgroupView;
use crate::rootfs::mounts::MountContext;
use crate::rootfs::resolve::{Leaf, RootFd};
use crate::rootfs::sources::{Source, Sources};
use crate::rootfs::{devices, masks, mounts, options, pivot};
use crate::spec::{Hooks, Linux, NamespaceKind, Process, Spec};
use crate::trace::{Trace, objects};

/// What a caller may want otherwise than usual.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    /// How many descriptors of ours, from number 3 on, the program gets.
    pub inherited: u32,
    /// Its terminal leaves line ends as they are: whoever shows it makes those of its own terminal.
    pub plain_line_ends: bool,
    /// No session keyring of its own.
    pub keep_keyring: bool,
    /// The root is moved over the host's and entered by `chroot`, for a root on the initial ramdisk, from which nothing
    /// can be pivoted.
    pub no_pivot: bool,
    /// It is moved into its cgroup by systemd instead of being cloned into it.
    pub moved_by_systemd: bool,
}

/// What the first process is made from.
#[derive(Clone, Copy, Debug)]
pub struct InitPlan<'a> {
    /// The container's id.
    pub id: &'a str,
    /// `config.json`, validated.
    pub spec: &'a Spec,
    /// The bundle directory.
    pub bundle: &'a Path,
    /// The root file system's directory on the host.
    pub rootfs: &'a Path,
    /// The cgroup that it enters.
    pub cgroup: &'a Cgroup,
    /// What it sees of that cgroup, in each hierarchy.
    pub cgroups: &'a [CgroupView],
    /// What was made for its mounts before it.
    pub sources: &'a Sources,
    /// Its standard streams.
    pub stdio: Stdio<'a>,
    /// Size of its terminal.
    pub console_size: Option<ConsoleSize>,
    /// The fifo that `start` writes to; without one the program runs at once.
    pub gate: Option<BorrowedFd<'a>>,
    /// The kernel kills it when its parent ends before the program runs.
    pub die_with_parent: bool,
    /// What is otherwise than usual.
    pub wishes: Wishes,
}

/// How the first process stands to the namespaces that are not made in `clone3`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// Its user namespace, which it is in already.
    pub(crate) user: UserNamespace,
    /// Those that it still has to enter.
    pub(crate) joined: &'a [Joined],
}

/// Goes through all stages in the child. Does not return.
pub(crate) fn run(plan: InitPlan<'_>, entry: Entry<'_>, channel: &Channel, trace: &mut Trace) -> ! {
    // The parent keeps its own steps; these are ours.
    trace.continue_in_child();
    let error = match stages(plan, entry, channel, trace) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    give_up(error, channel, trace)
}

/// Tells why there will be no program, and ends.
pub(crate) fn give_up(error: Error, channel: &Channel, trace: &mut Trace) -> ! {
    channel.tell_steps(trace);
    let text = error.to_line();
    if channel
        .tell_parent(&FromChild::Failed(error), None)
        .is_err()
    {
        // Behind the gate of `create` nobody listens any more: whoever reads the program's output sees it, as with runc.
        rustix::io::write(rustix::stdio::stderr(), format!("{text}\n").as_bytes()).ok();
    }
    sys::process::exit_now(1)
}

fn stages(
    plan: InitPlan<'_>,
    entry: Entry<'_>,
    channel: &Channel,
    trace: &mut Trace,
) -> Result<Infallible> {
    let spec = plan.spec;
    let linux = spec
        .linux
        .as_ref()
        .ok_or_else(|| Error::invalid("linux is missing"))?;
    let process = spec
        .process()
        .ok_or_else(|| Error::invalid("process is missing"))?;
    let shared = entry.user == UserNamespace::Shared;
    trace.step(
        "setup",
        || "descriptors closed, signals reset, session, keyring, standard streams".into(),
        || {
            reset(plan.die_with_parent)?;
            if plan.gate.is_some() {
                // A container that only was created can be asked to end.
                sys::signal::exit_on(&ENDING)
                    .map_err(|error| Error::sys("sigaction", "", error))?;
            }
            if entry.user == UserNamespace::New {
                wait_for_ids(channel)?;
            }
            rustix::process::setsid().map_err(|errno| Error::sys("setsid", "", errno))?;
            if shared && !plan.wishes.keep_keyring {
                join_session_keyring(plan.id)?;
            }
            connect_stdio(plan.stdio)
        },
    )?;
    trace.step(
        "namespaces",
        || "those that are joined by path".into(),
        || {
            let others = |namespace: &&Joined| namespace.kind() != Namespaces::PID;
            namespaces::enter_all(entry.joined.iter().filter(others))
        },
    )?;
    trace.made(|| objects::namespaces(spec, false));
    let propagation = options::rootfs_propagation(&linux.rootfs_propagation)
        .map_err(|error| error.in_step("detach_mounts"))?;
    // What takes the host's user id comes first.
    let root = if shared {
        None
    } else {
        security::apply(process).map_err(|error| error.in_step("names"))?;
        Some(open_root(plan, propagation, true, trace)?)
    };
    let mut opened = match root {
        None => Vec::new(),
        Some(_) => trace.step(
            "user_namespace",
            || "sources of mounts, then root of the user namespace".into(),
            || settle_in_user_namespace(plan, channel),
        )?,
    };
    trace.step(
        "names",
        || format!("hostname {:?}", spec.hostname),
        || {
            set_names(spec)?;
            if !shared {
                return Ok(());
            }
            write_self(
                "oom_score_adj",
                process.oom_score_adj.map(|value| value.to_string()),
            )?;
            security::apply(process)
        },
    )?;
    trace.step(
        "sysctls",
        || format!("{} kernel parameters", linux.sysctl.len()),
        || write_sysctls(linux),
    )?;
    let root = match root {
        Some(root) => root,
        None => open_root(plan, propagation, false, trace)?,
    };
    let context = MountContext {
        root: &root,
        rootfs: plan.rootfs,
        bundle: plan.bundle,
        cgroups: plan.cgroups,
        in_user_namespace: !shared,
        own_cgroup_namespace: spec.namespace(NamespaceKind::Cgroup).is_some(),
        label: &linux.mount_label,
        ask: &|place| source::ask_parent(place, channel),
    };
    let mut readonly_at_last = Vec::new();
    for (place, mount) in spec.mounts.iter().enumerate() {
        let source = Source {
            ids: plan.sources.take(place),
            tree: opened.get_mut(place).and_then(Option::take),
            place,
        };
        let late = trace.step(
            "mount",
            || format!("{} {} on {}", mount.kind, mount.source, mount.destination),
            || mounts::mount(context, mount, source),
        )?;
        readonly_at_last.extend(late);
        trace.made(|| objects::mount(&root, mount));
    }
    let has_own_dev = spec
        .mounts
        .iter()
        .any(|mount| Path::new(&mount.destination) == Path::new("/dev") && mount.is_bind());
    if !has_own_dev {
        trace.step(
            "devices",
            || "mknod in /dev".into(),
            || {
                devices::create(&root, &linux.devices, !shared)?;
                devices::reopen_null(&root)
            },
        )?;
        trace.made(|| objects::devices(&root, &linux.devices));
    }
    let console = if process.terminal {
        let console = trace.step(
            "terminal",
            || "openpty in /dev/pts".into(),
            || {
                let console = terminal::open(&root, plan.console_size)?;
                if plan.wishes.plain_line_ends {
                    terminal::leave_line_ends(&console)?;
                }
                terminal::mount_console(&root, &console)?;
                Ok(console)
            },
        )?;
        trace.made(|| {
            let mount = objects::mount_at(&root, "/dev/console");
            let device = objects::device_of(&console.slave, "/dev/console");
            mount.into_iter().chain(device)
        });
        Some(console)
    } else {
        None
    };
    trace.step(
        "masks",
        || {
            format!(
                "{} masked, {} read-only paths",
                linux.masked_paths.len(),
                linux.readonly_paths.len()
            )
        },
        || {
            masks::make_readonly(&root, &linux.readonly_paths)?;
            masks::mask(&root, &linux.masked_paths, &linux.mount_label)
        },
    )?;
    trace.made(|| {
        objects::mounts_at(
            &root,
            linux.readonly_paths.iter().chain(&linux.masked_paths),
        )
    });
    // runc makes the working directory too when the image lacks it.
    root.open_or_create(Path::new(&process.cwd), Leaf::Directory)
        .map_err(|error| error.in_step("cwd"))?;
    // The parent is busy, and the next steps are those that a limit can end without a word.
    channel.tell_steps(trace);

    // The parent has set the limits meanwhile.
    let filter = trace.step(
        "wait_for_limits",
        || "the parent writes the cgroup's limits, and compiles the filter".into(),
        || match channel.hear_parent()? {
            FromParent::Limited(filter) => Ok(filter),
            _ => Err(Error::invalid("the parent did not set limits")),
        },
    )?;
    if shared {
        trace.step(
            "enter_cgroup",
            || plan.cgroup.path().to_owned(),
            || Ok(plan.cgroup.enter_cloned()?),
        )?;
    }
    if spec.hooks.as_ref().is_some_and(Hooks::wait_for_mounts) {
        trace.step(
            "wait_for_hooks",
            || "the parent runs prestart and createRuntime".into(),
            || {
                channel.tell_parent(&FromChild::Mounted, None)?;
                channel.hear_parent()
            },
        )?;
    }
    let state = hooks::StateForHook::of_child(plan.id, plan.bundle, spec);
    if let Some(hooks) = &spec.hooks {
        trace.step(
            "hooks",
            || format!("{} createContainer", hooks.create_container.len()),
            || hooks::run_all("createContainer", &hooks.create_container, &state, &[]),
        )?;
    }
    if spec.has_new(NamespaceKind::Cgroup) {
        // Now, not in clone3: the namespace's root is the cgroup that we are in at this moment.
        trace.step(
            "cgroup_namespace",
            || "its root is the container's cgroup".into(),
            || {
                sys::namespace::unshare(Namespaces::CGROUP)
                    .map_err(|error| Error::sys("unshare", "the cgroup namespace", error))
            },
        )?;
    }
    trace.made(|| objects::namespaces(spec, true));
    trace.step(
        "pivot_root",
        || plan.rootfs.display().to_string(),
        || {
            if spec.namespace(NamespaceKind::Mount).is_none() {
                pivot::enter_by_chroot(root.fd())
            } else if plan.wishes.no_pivot {
                pivot::move_over(&root, plan.rootfs)
            } else {
                pivot::pivot(root.fd(), propagation)
            }
        },
    )?;
    let in_pivot = |error: Error| error.in_step("pivot_root");
    pivot::set_root_propagation(propagation).map_err(in_pivot)?;
    for late in readonly_at_last {
        late.apply().map_err(in_pivot)?;
    }
    if spec.root.as_ref().is_some_and(|root| root.readonly) {
        pivot::make_root_readonly().map_err(in_pivot)?;
    }
    drop(root);
    if let Some(console) = console {
        hand_over_terminal(console, channel).map_err(|error| error.in_step("terminal"))?;
    }
    let gate = FifoGate {
        fifo: plan.gate,
        spec,
        state: &state,
    };
    Err(become_program(
        Finish {
            process,
            attributes: &Attributes::of(spec),
            affinity: None,
            seccomp: filter.as_ref(),
            channel,
            gate: Some(&gate),
            inherited: plan.wishes.inherited,
        },
        trace,
    ))
}

/// Cuts our mounts off from the host's, and opens the root file system.
fn open_root(
    plan: InitPlan<'_>,
    propagation: pivot::Propagation,
    locked: bool,
    trace: &mut Trace,
) -> Result<RootFd> {
    trace.step(
        "detach_mounts",
        || {
            format!(
                "mount propagation of / and mount point of {}",
                plan.rootfs.display()
            )
        },
        || match plan.spec.namespace(NamespaceKind::Mount) {
            // Among the host's mounts the parent has put one for us.
            None => Ok(()),
            Some(_) => pivot::detach_from_host(plan.rootfs, propagation, locked),
        },
    )?;
    let root = RootFd::open(plan.rootfs).map_err(|error| error.in_step("detach_mounts"))?;
    trace.made(|| objects::mount_of(root.fd(), "/"));
    Ok(root)
}

/// Nothing that needs an id can be done before: to the namespace, we are nobody.
fn wait_for_ids(channel: &Channel) -> Result<()> {
    match channel.hear_parent()? {
        FromParent::Mapped => Ok(()),
        _ => Err(Error::invalid(
            "the parent did not write the ids of the user namespace",
        )),
    }
}

/// What takes the host's user id, then becoming the container's root, then what takes that. Returns the sources of mounts.
fn settle_in_user_namespace(plan: InitPlan<'_>, channel: &Channel) -> Result<Vec<Option<OwnedFd>>> {
    // The limits come later. With the container's id we could not enter any more.
    plan.cgroup.enter_cloned()?;
    let sources = source::open_all(plan.spec, plan.bundle, channel, plan.sources)?;
    if plan.spec.has_new(NamespaceKind::User)
        && let Some(linux) = &plan.spec.linux
        && !linux.time_offsets.is_empty()
    {
        clocks::require_entry_by_program()?;
        clocks::unshare(&linux.time_offsets)?;
    }
    become_root()?;
    if !plan.wishes.keep_keyring {
        join_session_keyring(plan.id)?;
    }
    if plan.die_with_parent {
        // The kernel forgets it with a change of the user id.
        set_death_signal()?;
    }
    if plan.spec.has_new(NamespaceKind::Ipc) {
        // Not in clone3: the message queues' root directory is its maker's, who must be one of the container's users.
        sys::namespace::unshare(Namespaces::IPC)
            .map_err(|error| Error::sys("unshare", "the ipc namespace", error))?;
    }
    Ok(sources)
}

pub(crate) fn set_death_signal() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| Error::sys("prctl", "PR_SET_PDEATHSIG", errno))
}

/// What a program expects that is started by a shell: no descriptor of ours, default signals, nothing blocked, no umask.
pub(crate) fn reset(die_with_parent: bool) -> Result<()> {
    sys::fd::set_cloexec_from(3).map_err(|error| Error::sys("close_range", "", error))?;
    if die_with_parent {
        set_death_signal()?;
    }
    sys::signal::reset_dispositions();
    sys::signal::block_only(sys::signal::SignalSet::EMPTY)
        .map_err(|error| Error::sys("sigprocmask", "", error))?;
    rustix::process::umask(Mode::empty());
    Ok(())
}

pub(crate) fn join_session_keyring(id: &str) -> Result<()> {
    let name = crate::process::executable::to_c_string(&format!("_ses.{id}"))?;
    match sys::keyring::join_session(&name) {
        Ok(()) => Ok(()),
        // A kernel without keyrings, or a quota that is used up: the container has then no keyring to share either.
        Err(error)
            if matches!(
                Errno::from_io_error(&error),
                Some(Errno::NOSYS | Errno::DQUOT)
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(Error::sys("join", "a new session keyring", error)),
    }
}

fn set_names(spec: &Spec) -> Result<()> {
    if !spec.hostname.is_empty() {
        rustix::system::sethostname(spec.hostname.as_bytes())
            .map_err(|errno| Error::sys("sethostname", &spec.hostname, errno))?;
    }
    if !spec.domainname.is_empty() {
        rustix::system::setdomainname(spec.domainname.as_bytes())
            .map_err(|errno| Error::sys("setdomainname", &spec.domainname, errno))?;
    }
    Ok(())
}

/// Writes a file below /proc/self, if there is something to write.
pub(crate) fn write_self(name: &str, value: Option<String>) -> Result<()> {
    value.map_or(Ok(()), |value| procfs::write_self(name, &value))
}

/// Sets how readily the kernel kills another process when memory runs out.
pub(crate) fn write_oom_score_adj(pid: i32, process: &Process) -> Result<()> {
    process.oom_score_adj.map_or(Ok(()), |value| {
        procfs::write_process(pid, "oom_score_adj", &value.to_string())
    })
}

/// Sets kernel parameters through the host's /proc, which shows each process those of its own namespaces.
fn write_sysctls(linux: &Linux) -> Result<()> {
    for (key, value) in &linux.sysctl {
        // As sysctl(8): with slashes a dot is part of a name (an interface's, say), else it separates.
        let path = if key.contains('/') {
            key.clone()
        } else {
            key.replace('.', "/")
        };
        procfs::write_sysctl(&path, value)?;
    }
    Ok(())
}

/// Gives the master to the parent and takes the slave.
pub(crate) fn hand_over_terminal(console: terminal::Terminal, channel: &Channel) -> Result<()> {
    terminal::take(&console.slave)?;
    channel.tell_parent(&FromChild::Terminal, Some(console.master.as_fd()))
}

/// Signals that ask a program to end: hang-up, interrupt, quit, terminate.
const ENDING: [i32; 4] = [1, 2, 3, 15];

struct FifoGate<'a> {
    fifo: Option<BorrowedFd<'a>>,
    spec: &'a Spec,
    state: &'a hooks::StateForHook,
}

impl Gate for FifoGate<'_> {
    fn wait(&self, channel: &Channel, trace: &mut Trace) -> Result<()> {
        let in_gate = |error: Error| error.in_step("start");
        if let Some(fifo) = self.fifo {
            channel.tell_steps(trace);
            channel
                .tell_parent(&FromChild::Created, None)
                .map_err(in_gate)?;
            wait_for_byte(fifo).map_err(in_gate)?;
            // `create` has gone its way.
            channel.parent_is_gone();
        }
        Ok(())
    }

    fn has_hooks(&self) -> bool {
        let hooks = self.spec.hooks.as_ref();
        hooks.is_some_and(|hooks| !hooks.start_container.is_empty())
    }

    fn run_hooks(&self, trace: &mut Trace) -> Result<()> {
        match &self.spec.hooks {
            Some(hooks) if !hooks.start_container.is_empty() => trace.step(
                "hooks",
                || format!("{} startContainer", hooks.start_container.len()),
                || {
                    let environment = self.spec.process().map(complete_env).unwrap_or_default();
                    let state = self.state.with_status("created");
                    hooks::run_all(
                        "startContainer",
                        &hooks.start_container,
                        &state,
                        &environment,
                    )
                },
            ),
            _ => Ok(()),
        }
    }
}

/// Waits until `start` has written to the fifo. It was opened before the root was changed, so no path is needed; by nothing
/// but `read`, since the container's filter may hold already.
fn wait_for_byte(fifo: BorrowedFd<'_>) -> Result<()> {
    let mut byte = [0u8; 1];
    loop {
        match rustix::io::read(fifo, &mut byte) {
            Ok(1) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::sys("wait for", "start", errno)),
        }
    }
}
