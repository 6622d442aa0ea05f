//! `create` and `run`.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use cgroups::Cgroup;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::cli::arguments::{Arguments, Globals};
use crate::cli::foreground::Foreground;
use crate::cli::inherit::Inherited;
use crate::cli::{delete, report, seal, start, write_pid_file};
use crate::container::{self, Bundle, PATIENCE, Start};
use crate::error::{Error, Result};
use crate::process::finish::Stdio;
use crate::process::init::Wishes;
use crate::process::spawn::Spawned;
use crate::state::{State, Store};
use crate::systemd::Unit;
use crate::trace::Trace;

/// What follows the making.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// `create`: the program waits.
    Leave,
    /// `run`.
    Start,
}

#[derive(Debug, Default)]
struct Flags {
    bundle: Option<PathBuf>,
    console_socket: Option<PathBuf>,
    pidfd_socket: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    detach: bool,
    keep: bool,
    preserve: u32,
    wishes: Wishes,
    rootless: Option<bool>,
}

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments, then: Then) -> Result<u8> {
    let mut flags = Flags {
        rootless: globals.rootless,
        ..Flags::default()
    };
    arguments.flags(|flag, arguments| {
        match flag {
            "--bundle" => flags.bundle = Some(arguments.path()?),
            "--console-socket" => flags.console_socket = Some(arguments.path()?),
            "--pidfd-socket" => flags.pidfd_socket = Some(arguments.path()?),
            "--pid-file" => flags.pid_file = Some(arguments.path()?),
            "--detach" => flags.detach = true,
            "--keep" => flags.keep = true,
            "--no-new-keyring" => flags.wishes.keep_keyring = true,
            "--no-pivot" => flags.wishes.no_pivot = true,
            "--preserve-fds" => flags.preserve = arguments.number()?,
            // What a container leaves behind ends with its cgroup.
            "--no-subreaper" => {}
            _ => return Err(Arguments::unknown(flag)),
        }
        Ok(())
    })?;
    let id = arguments.id()?;
    let inherited = Inherited::find(flags.preserve, true)?;
    seal::ensure(Some(&inherited))?;
    flags.wishes.inherited = inherited.count;
    flags.wishes.plain_line_ends = then == Then::Start && !flags.detach;
    let mut trace = Trace::new(globals.trace.is_some() || globals.debug);
    let made = make(globals, &flags, &id, then, inherited, &mut trace);
    report::steps(globals, trace.steps());
    let recorded = globals.trace.as_deref().map_or(Ok(()), |path| {
        let command = if then == Then::Leave { "create" } else { "run" };
        trace.write(path, command, &id, made.as_ref().err())
    });
    let Made {
        bundle,
        store,
        foreground,
        process,
    } = made?;
    if let Err(error) = recorded {
        drop(store.read().and_then(|state| state.end()));
        drop(store.remove());
        return Err(error);
    }
    // In the words of runc, which its tests look for.
    if let Some(filter) = &process.filter {
        report::debug(
            globals,
            &format!("seccomp filter flags: {}", filter.flags()),
        );
    }
    if then == Then::Leave {
        return Ok(0);
    }
    let state = store.read()?;
    if let Err(error) = start::run_poststart(&state, &bundle) {
        if foreground.is_some() {
            drop(delete::finish(globals, &store, &state));
        }
        return Err(error);
    }
    let Some(foreground) = foreground else {
        return Ok(0);
    };
    let status = foreground.wait(&process)?;
    report::debug(
        globals,
        &format!("process {} ended with {status}", process.pid),
    );
    if !flags.keep
        && let Err(error) = delete::finish(globals, &store, &state)
    {
        // The status is the program's.
        report::warning(globals, &error);
    }
    Ok(status)
}

/// Whether the flags fit a process with or without a terminal.
pub(crate) fn check_terminal(
    console_socket: Option<&Path>,
    terminal: bool,
    foreground: bool,
) -> Result<()> {
    match (console_socket, terminal) {
        (None, true) if !foreground => Err(Error::invalid(
            "cannot allocate tty if mini will detach without setting console socket",
        )
        .with_hint("give --console-socket, or set process.terminal to false")),
        (Some(_), _) if foreground || !terminal => Err(Error::invalid(
            "cannot use console socket if mini will not detach or allocate tty",
        )
        .with_hint("leave --console-socket out, or set process.terminal to true and detach")),
        _ => Ok(()),
    }
}

/// A container whose program runs or waits.
struct Made {
    bundle: Bundle,
    store: Store,
    foreground: Option<Foreground>,
    process: Spawned,
}

fn make(
    globals: &Globals,
    flags: &Flags,
    id: &str,
    then: Then,
    inherited: Inherited,
    trace: &mut Trace,
) -> Result<Made> {
    let directory = flags.bundle.clone().unwrap_or_else(|| PathBuf::from("."));
    let mut bundle = trace.step(
        "read_bundle",
        || directory.display().to_string(),
        || Bundle::read(&directory),
    )?;
    if let Some(process) = &mut bundle.spec.process {
        process.env.extend(inherited.environment);
        report::capabilities(globals, process);
    }
    let unit = globals
        .systemd_cgroup
        .then(|| {
            trace.step(
                "systemd",
                || "connect to it".into(),
                || Unit::find(&bundle, id),
            )
        })
        .transpose()?;
    let store = trace.step(
        "state_create",
        || globals.root.join(id).display().to_string(),
        || match &unit {
            Some(unit) => Store::create(&globals.root, id, unit.cgroup_path()),
            None => Store::create(&globals.root, id, &bundle.cgroup_path(id)),
        },
    )?;
    let made = (|| {
        let foreground = (then == Then::Start && !flags.detach)
            .then(Foreground::prepare)
            .transpose()?;
        let process = make_process(
            flags,
            id,
            (&bundle, &store, unit.as_ref()),
            then,
            foreground.as_ref(),
            trace,
        )?;
        Ok((foreground, process))
    })();
    match made {
        Ok((foreground, process)) => Ok(Made {
            bundle,
            store,
            foreground,
            process,
        }),
        Err(error) => {
            // The first error is the one that matters. What there is of the container's life ends as any does.
            if store.read().is_ok() {
                drop(delete::run_poststop(id, &bundle));
            }
            drop(store.remove());
            Err(error)
        }
    }
}

fn make_process(
    flags: &Flags,
    id: &str,
    (bundle, store, unit): (&Bundle, &Store, Option<&Unit>),
    then: Then,
    foreground: Option<&Foreground>,
    trace: &mut Trace,
) -> Result<Spawned> {
    let console_size = foreground.and_then(Foreground::console_size);
    let terminal = bundle
        .spec
        .process()
        .is_some_and(|process| process.terminal);
    check_terminal(
        flags.console_socket.as_deref(),
        terminal,
        foreground.is_some(),
    )?;
    // `run` needs no gate: its program starts when all is ready, and this process hears of it when that fails.
    let gate = (then == Then::Leave)
        .then(|| make_gate(store))
        .transpose()?;
    let known = |cgroup: &Cgroup, pid: i32| {
        store.write(&State {
            systemd: unit.map(Unit::remembered),
            ..State::of(id, bundle, cgroup, pid)
        })
    };
    let start = Start {
        id,
        bundle,
        unit,
        stdio: if terminal {
            Stdio::Terminal
        } else {
            Stdio::Inherited
        },
        console_size,
        gate: gate.as_ref().map(std::os::fd::AsFd::as_fd),
        wishes: flags.wishes,
        rootless: flags.rootless,
        known: &known,
    };
    let (cgroup, process) = container::start(start, trace)?;
    let finished = (|| {
        if let (Some(path), Some(master)) = (&flags.console_socket, &process.terminal) {
            send_terminal(path, master)?;
        }
        if let Some(path) = &flags.pidfd_socket {
            send(path, "the pidfd socket", b"pidfd", process.pidfd.as_fd())?;
        }
        write_pid_file(flags.pid_file.as_deref(), process.pid)
    })();
    if let Err(error) = finished {
        crate::process::spawn::end(&process.pidfd);
        drop(cgroup.kill_all(PATIENCE));
        drop(cgroup.remove(PATIENCE));
        return Err(error);
    }
    Ok(process)
}

fn make_gate(store: &Store) -> Result<OwnedFd> {
    let path = store.gate();
    rustix::fs::mknodat(
        CWD,
        &path,
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o622),
        0,
    )
    .map_err(|errno| Error::sys("mkfifo", path.display(), errno))?;
    // For both, so that it never ends for want of a writer.
    rustix::fs::open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::sys("open", path.display(), errno))
}

/// Sends a terminal's master to whoever will serve it.
pub(crate) fn send_terminal(path: &Path, master: &OwnedFd) -> Result<()> {
    send(path, "the console socket", b"/dev/ptmx", master.as_fd())
}

/// Sends a descriptor to the socket of a path, with a name.
pub(crate) fn send(path: &Path, what: &str, name: &[u8], descriptor: BorrowedFd<'_>) -> Result<()> {
    let error = |errno| Error::sys(&format!("connect to {what}"), path.display(), errno);
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(error)?;
    connect(&socket, &SocketAddrUnix::new(path).map_err(error)?).map_err(error)?;
    sys::socket::send_descriptor(socket.as_fd(), name, descriptor).map_err(|error| {
        Error::sys(
            &format!("send a descriptor to {what}"),
            path.display(),
            error,
        )
    })
}
