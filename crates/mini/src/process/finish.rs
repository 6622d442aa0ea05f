//! The last stages before `execve`, the same for a container's first process and for one that joins later: standard
//! streams, limits, user, capabilities, filter, program.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

use crate::capabilities::Sets;
use crate::error::{Error, Result};
use crate::process::attributes::Attributes;
use crate::process::executable;
use crate::process::namespaces::shut_out_tracers;
use crate::process::sync::{Channel, FromChild};
use crate::seccomp::Filter;
use crate::spec::{self, CpuAffinity, Process};
use crate::trace::Trace;

/// Where a process's standard input, output and error go.
#[derive(Clone, Copy, Debug)]
pub enum Stdio<'fd> {
    /// A terminal in the container.
    Terminal,
    /// Those of this process.
    Inherited,
    /// Input, output, error.
    Descriptors([BorrowedFd<'fd>; 3]),
}

/// Puts standard streams in place that are not a terminal's.
///
/// # Errors
/// `Sys`.
pub fn connect_stdio(stdio: Stdio<'_>) -> Result<()> {
    let error = |errno| Error::sys("connect", "the standard streams", errno);
    if let Stdio::Descriptors([input, output, errors]) = stdio {
        rustix::stdio::dup2_stdin(input).map_err(error)?;
        rustix::stdio::dup2_stdout(output).map_err(error)?;
        rustix::stdio::dup2_stderr(errors).map_err(error)?;
    }
    Ok(())
}

/// Gives the standard streams to the user, who may want to open them again by /dev/stdout. /dev/null stays root's.
fn own_stdio(uid: u32) -> Result<()> {
    for stream in [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ] {
        let Ok(stat) = rustix::fs::fstat(stream) else {
            continue;
        };
        // The group may be one that the terminal wants, as tty.
        if stat.st_uid == uid || stat.st_rdev == rustix::fs::makedev(1, 3) {
            continue;
        }
        match rustix::fs::fchown(stream, Some(Uid::from_raw(uid)), None) {
            // Not ours to give: a file system that is read-only or knows no owners, an id without a mapping.
            Ok(()) | Err(Errno::INVAL | Errno::PERM | Errno::ROFS) => {}
            Err(errno) => return Err(Error::sys("chown", "the standard streams", errno)),
        }
    }
    Ok(())
}

/// A gate that the process waits at before it executes its program.
pub trait Gate {
    /// Tells the parent that all is prepared, and waits.
    ///
    /// # Errors
    /// `Sys` when whoever should open the gate is gone.
    fn wait(&self, channel: &Channel, trace: &mut Trace) -> Result<()>;

    /// Whether hooks are to run behind it.
    fn has_hooks(&self) -> bool;

    /// Runs these hooks.
    ///
    /// # Errors
    /// That of the first that does not end well.
    fn run_hooks(&self, trace: &mut Trace) -> Result<()>;
}

/// What the last stages need.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "a gate has nothing to show")]
pub struct Finish<'a> {
    /// The process to become.
    pub process: &'a Process,
    /// What it has of the container.
    pub attributes: &'a Attributes,
    /// The processors that it is bound to; of a process that joins.
    pub affinity: Option<&'a CpuAffinity>,
    /// Its filter.
    pub seccomp: Option<&'a Filter>,
    /// To the parent.
    pub channel: &'a Channel,
    /// Waited at, if any.
    pub gate: Option<&'a dyn Gate>,
    /// How many descriptors, from number 3 on, the program gets.
    pub inherited: u32,
}

/// Becomes the program. Returns only with an error.
///
/// Order, and why:
/// 1. attributes, limits and bounding set while we are root; 2. without `no_new_privs` the filter must be loaded while we have
///    `CAP_SYS_ADMIN`, with it as late as can be, so that the filter need not permit our own calls: last of all, but before
///    hooks of `startContainer`, which are under it, and before the gate when it has a listener, for which a parent must
///    be there; 3. the working
///    directory is entered as the user, and must lie inside the root (CVE-2024-21626); 4. the program is looked up as
///    the user; 5. every descriptor above 2 is marked close-on-exec before and after; 6. `execve`.
pub fn become_program(finish: Finish<'_>, trace: &mut Trace) -> Error {
    match prepare(finish, trace) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

enum Never {}

fn prepare(finish: Finish<'_>, trace: &mut Trace) -> Result<Never> {
    let process = finish.process;
    let filter = finish.seccomp;
    trace.step(
        "attributes",
        || "processors, scheduling, personality, memory policy".into(),
        || finish.attributes.apply(process, finish.affinity),
    )?;
    trace.step(
        "rlimits",
        || format!("{} limits", process.rlimits.len()),
        || set_rlimits(&process.rlimits),
    )?;
    own_stdio(process.user.uid).map_err(|error| error.in_step("user"))?;
    // What was opened since the start is close-on-exec already; this is the net below, once more where it is the last thing.
    set_cloexec(finish.inherited)?;
    let mut pending = filter;
    let mut load = |trace: &mut Trace| match pending.take() {
        Some(filter) => trace.step(
            "seccomp",
            || filter.describe(),
            || load_filter(filter, finish.channel),
        ),
        None => Ok(()),
    };
    if process.no_new_privileges {
        rustix::thread::set_no_new_privs(true)
            .map_err(|errno| Error::sys("set no_new_privs", "", errno).in_step("user"))?;
    } else {
        load(trace)?;
    }
    // As root first: the user may have no right to pass through to it. As the user then, who may be the only one with a right.
    let entered = change_directory(&process.cwd).is_ok();
    trace.step(
        "user",
        || {
            format!(
                "uid {} gid {}, capabilities",
                process.user.uid, process.user.gid
            )
        },
        || {
            // With no more rights than the container's processes it would be open to them, should some be there already.
            shut_out_tracers()?;
            become_user(process)
        },
    )?;
    trace.step(
        "cwd",
        || process.cwd.clone(),
        || {
            if !entered {
                change_directory(&process.cwd)?;
            }
            check_cwd(&process.cwd)
        },
    )?;
    let env = complete_env(process);
    let name = process.args.first().map_or("", String::as_str);
    let path = trace.step(
        "find_program",
        || name.to_owned(),
        || executable::find(name, &env),
    )?;
    let strings = |strings: &[String]| {
        strings
            .iter()
            .map(|string| executable::to_c_string(string))
            .collect::<Result<Vec<_>>>()
    };
    let image = sys::process::Program::new(
        path,
        strings(&process.args).map_err(|error| error.in_step("execve"))?,
        strings(&env).map_err(|error| error.in_step("execve"))?,
    );
    let shown_path = image.path().to_string_lossy().into_owned();

    if filter.is_some_and(Filter::has_listener) {
        load(trace)?;
    }
    if let Some(gate) = finish.gate {
        gate.wait(finish.channel, trace)?;
        if gate.has_hooks() {
            load(trace)?;
            gate.run_hooks(trace)?;
        }
    }
    if pending.is_some() {
        set_cloexec(finish.inherited)?;
    }
    // A child of the shim dies with it until here; the program lives on.
    rustix::process::set_parent_process_death_signal(None)
        .map_err(|errno| Error::sys("prctl", "PR_SET_PDEATHSIG", errno))?;
    trace.step("execve", || shown_path.clone(), || Ok(()))?;
    if let Some(filter) = pending {
        trace.step("seccomp", || filter.describe(), || Ok(()))?;
    }
    finish.channel.tell_steps(trace);
    finish.channel.tell_parent(&FromChild::Executing, None)?;
    if let Some(filter) = pending {
        load_filter(filter, finish.channel).map_err(|error| error.in_step("seccomp"))?;
    }
    let error = image.execute();
    let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
    Err(executable::refused_by_kernel(&shown_path, errno).in_step("execve"))
}

/// Lets only the standard streams and what is inherited on purpose through `execve`.
fn set_cloexec(inherited: u32) -> Result<()> {
    sys::fd::set_cloexec_from(3).map_err(|error| Error::sys("close_range", "", error))?;
    sys::fd::keep_over_exec(3, inherited)
        .map_err(|error| Error::sys("pass on", "descriptors", error))
}

/// Puts this process under its filter; the listener goes to the parent, who gives it to the supervisor.
fn load_filter(filter: &Filter, channel: &Channel) -> Result<()> {
    match filter.load()? {
        Some(listener) => channel.offer_listener(listener.as_fd()),
        None => Ok(()),
    }
}

fn set_rlimits(limits: &[spec::Rlimit]) -> Result<()> {
    for limit in limits {
        let resource = resource(&limit.kind).ok_or_else(|| {
            Error::invalid(format!("process.rlimits: unknown limit {:?}", limit.kind))
                .with_hint("limits have the names of getrlimit(2), such as RLIMIT_NOFILE")
        })?;
        let value = |value: u64| (value != u64::MAX).then_some(value);
        rustix::process::setrlimit(
            resource,
            Rlimit {
                current: value(limit.soft),
                maximum: value(limit.hard),
            },
        )
        .map_err(|errno| {
            let error = Error::sys("set", format!("{} to {}:{}", limit.kind, limit.soft, limit.hard), errno);
            match errno {
                Errno::PERM => error.with_hint(
                    "raising a hard limit needs CAP_SYS_RESOURCE, which this machine does not give us; RLIMIT_NOFILE has fs.nr_open above it too",
                ),
                Errno::INVAL => error.with_hint("the soft limit must not be above the hard one"),
                _ => error,
            }
        })?;
    }
    Ok(())
}

/// The resource of a name; [`None`] for an unknown one.
pub fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "RLIMIT_AS" => Resource::As,
        "RLIMIT_CORE" => Resource::Core,
        "RLIMIT_CPU" => Resource::Cpu,
        "RLIMIT_DATA" => Resource::Data,
        "RLIMIT_FSIZE" => Resource::Fsize,
        "RLIMIT_LOCKS" => Resource::Locks,
        "RLIMIT_MEMLOCK" => Resource::Memlock,
        "RLIMIT_MSGQUEUE" => Resource::Msgqueue,
        "RLIMIT_NICE" => Resource::Nice,
        "RLIMIT_NOFILE" => Resource::Nofile,
        "RLIMIT_NPROC" => Resource::Nproc,
        "RLIMIT_RSS" => Resource::Rss,
        "RLIMIT_RTPRIO" => Resource::Rtprio,
        "RLIMIT_RTTIME" => Resource::Rttime,
        "RLIMIT_SIGPENDING" => Resource::Sigpending,
        "RLIMIT_STACK" => Resource::Stack,
        _ => return None,
    })
}

fn become_user(process: &Process) -> Result<()> {
    let user = &process.user;
    let sets = process
        .capabilities
        .as_ref()
        .map(Sets::of)
        .unwrap_or_default();
    sets.drop_bounding()?;
    rustix::thread::set_keep_capabilities(true)
        .map_err(|errno| Error::sys("prctl", "PR_SET_KEEPCAPS", errno))?;
    let groups: Vec<Gid> = user
        .additional_gids
        .iter()
        .map(|&gid| Gid::from_raw(gid))
        .collect();
    match rustix::thread::set_thread_groups(&groups) {
        // A user namespace of one group, which its maker may not drop groups in: whoever made it had them before.
        Err(Errno::PERM) if groups.is_empty() => {}
        outcome => outcome.map_err(|errno| {
            let error = Error::sys("setgroups", format!("{:?}", user.additional_gids), errno);
            match errno {
                Errno::PERM => error.with_hint(
                    "setgroups is denied in a user namespace with one's own group alone: map groups of /etc/subgid \
                     (newgidmap), or leave out process.user.additionalGids",
                ),
                _ => error,
            }
        })?,
    }
    let gid = Gid::from_raw(user.gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .map_err(|errno| Error::sys("setgid", user.gid, errno))?;
    let uid = Uid::from_raw(user.uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .map_err(|errno| Error::sys("setuid", user.uid, errno))?;
    rustix::thread::set_keep_capabilities(false)
        .map_err(|errno| Error::sys("prctl", "PR_SET_KEEPCAPS", errno))?;
    sets.apply()?;
    let umask = user.umask.unwrap_or(0o022);
    rustix::process::umask(Mode::from_raw_mode(umask & 0o777));
    Ok(())
}

fn change_directory(cwd: &str) -> Result<()> {
    rustix::process::chdir(cwd).map_err(|errno| {
        Error::sys(
            "chdir to cwd",
            format!("({cwd:?}) set in config.json"),
            errno,
        )
    })
}

fn check_cwd(cwd: &str) -> Result<()> {
    // The kernel writes "(unreachable)" before a path outside of the root, which a leaked descriptor can lead to.
    let inside =
        rustix::process::getcwd(Vec::new()).is_ok_and(|path| path.to_bytes().starts_with(b"/"));
    if inside {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "current working directory {cwd:?} is outside of the container's root"
        ))
        .with_hint("process.cwd must be a directory of the image, and lead through no descriptor"))
    }
}

/// The environment: of entries with the same name the last, and HOME from the container's /etc/passwd when it is not given
/// or empty, as runc does.
pub(crate) fn complete_env(process: &Process) -> Vec<String> {
    let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    let mut env: Vec<String> = Vec::with_capacity(process.env.len() + 1);
    let mut seen = std::collections::BTreeSet::new();
    for entry in process.env.iter().rev() {
        if seen.insert(name(entry)) && entry != "HOME=" {
            env.push(entry.clone());
        }
    }
    env.reverse();
    if !env.iter().any(|entry| entry.starts_with("HOME=")) {
        let home = home_of(process.user.uid).unwrap_or_else(|| "/".into());
        env.push(format!("HOME={home}"));
    }
    env
}

fn home_of(uid: u32) -> Option<String> {
    // The file is the image's: not a fifo that would keep us waiting, and not without end.
    let file = rustix::fs::open(
        "/etc/passwd",
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
        return None;
    }
    let mut content = Vec::new();
    let mut buffer = [0u8; 4096];
    while content.len() < 1024 * 1024 {
        match rustix::io::read(file.as_fd(), &mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => content.extend_from_slice(buffer.get(..length)?),
        }
    }
    let uid = uid.to_string();
    String::from_utf8_lossy(&content).lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.nth(2)? == uid).then(|| fields.nth(2).map(str::to_owned))?
    })
}
