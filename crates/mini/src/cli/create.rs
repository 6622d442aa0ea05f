//! `create` and `run`.

use std::os::fd::AsFd as _;
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::cli::arguments::{Arguments, Globals};
use crate::cli::{start, write_pid_file};
use crate::clock;
use crate::container::{self, Bundle, PATIENCE, Start};
use crate::error::{Error, Result};
use crate::process::finish::Stdio;
use crate::process::spawn::Spawned;
use crate::state::{State, Store, start_ticks};

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
    pid_file: Option<PathBuf>,
    detach: bool,
    keep: bool,
}

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments, then: Then) -> Result<u8> {
    let mut flags = Flags::default();
    arguments.flags(|flag, arguments| {
        match flag {
            "--bundle" | "-b" => flags.bundle = Some(arguments.path()?),
            "--console-socket" => flags.console_socket = Some(arguments.path()?),
            "--pid-file" => flags.pid_file = Some(arguments.path()?),
            "--detach" | "-d" if then == Then::Start => flags.detach = true,
            "--keep" if then == Then::Start => flags.keep = true,
            // The root is always changed by pivot_root, and every container has a keyring of its own.
            "--no-new-keyring" => {}
            "--preserve-fds" => {
                if arguments.number::<u32>()? > 0 {
                    return Err(Error::unsupported("--preserve-fds is not offered"));
                }
            }
            _ => return Err(arguments.unknown(flag)),
        }
        Ok(())
    })?;
    let id = arguments.id()?;
    arguments.end()?;
    let bundle = Bundle::read(&flags.bundle.clone().unwrap_or_else(|| PathBuf::from(".")))?;
    let store = Store::create(&globals.root, &id)?;
    let made = make(globals, &flags, &id, &bundle, &store, then);
    let (state, process) = match made {
        Ok(made) => made,
        Err(error) => {
            drop(store.remove());
            return Err(error);
        }
    };
    if then == Then::Leave {
        return Ok(0);
    }
    start::open_gate(&store, &state, &bundle)?;
    if flags.detach {
        return Ok(0);
    }
    let status = loop {
        match waitid(WaitId::PidFd(process.pidfd.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => break status,
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Error::sys("wait for", "the program", errno)),
        }
    };
    if !flags.keep {
        state.end()?;
        store.remove()?;
    }
    let code = status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
        .unwrap_or(255);
    Ok(u8::try_from(code).unwrap_or(255))
}

fn make(
    globals: &Globals,
    flags: &Flags,
    id: &str,
    bundle: &Bundle,
    store: &Store,
    then: Then,
) -> Result<(State, Spawned)> {
    let terminal = bundle
        .spec
        .process()
        .is_some_and(|process| process.terminal);
    let foreground = then == Then::Start && !flags.detach;
    match (&flags.console_socket, terminal) {
        (None, true) if foreground => {
            return Err(Error::unsupported(
                "a terminal in the foreground is not offered: use --console-socket",
            ));
        }
        (None, true) => {
            return Err(Error::invalid(
                "cannot allocate tty if runc will detach without setting console socket",
            ));
        }
        (Some(_), false) => {
            return Err(Error::invalid(
                "cannot use console socket if runc will not detach or allocate tty",
            ));
        }
        _ => {}
    }
    let gate_path = store.gate();
    rustix::fs::mknodat(
        CWD,
        &gate_path,
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o622),
        0,
    )
    .map_err(|errno| Error::sys("mkfifo", gate_path.display(), errno))?;
    // For both, so that it never ends for want of a writer.
    let gate = rustix::fs::open(
        &gate_path,
        OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| Error::sys("open", gate_path.display(), errno))?;
    let start = Start {
        id,
        bundle,
        stdio: if terminal {
            Stdio::Terminal
        } else {
            Stdio::Inherited
        },
        console_size: None,
        gate: Some(gate.as_fd()),
        trace: globals.trace.is_some(),
    };
    let (cgroup, process) = container::start(start)?;
    let state = State {
        oci_version: crate::spec::OCI_VERSION.to_owned(),
        id: id.to_owned(),
        pid: process.pid,
        start_ticks: start_ticks(process.pid).unwrap_or_default(),
        bundle: bundle.directory.clone(),
        cgroup_path: cgroup.path().to_owned(),
        created_unix_ns: clock::unix_ns(),
        annotations: bundle.spec.annotations.clone(),
    };
    let finished = (|| {
        if let (Some(path), Some(master)) = (&flags.console_socket, &process.terminal) {
            send_terminal(path, master)?;
        }
        if let Some(path) = &globals.trace {
            let json = serde_json::to_vec_pretty(&process.trace)
                .map_err(|error| Error::invalid(error.to_string()))?;
            std::fs::write(path, json)
                .map_err(|error| Error::sys("write the trace", path.display(), error))?;
        }
        store.write(&state)?;
        write_pid_file(flags.pid_file.as_deref(), process.pid)
    })();
    if let Err(error) = finished {
        crate::process::spawn::end(&process.pidfd);
        drop(cgroup.kill_all(PATIENCE));
        drop(cgroup.remove(PATIENCE));
        return Err(error);
    }
    Ok((state, process))
}

/// Sends a terminal's master to whoever will serve it.
pub(crate) fn send_terminal(path: &std::path::Path, master: &std::os::fd::OwnedFd) -> Result<()> {
    let error = |errno| Error::sys("connect to the console socket", path.display(), errno);
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(error)?;
    connect(&socket, &SocketAddrUnix::new(path).map_err(error)?).map_err(error)?;
    sys::socket::send_descriptor(socket.as_fd(), b"/dev/ptmx", master.as_fd())
        .map_err(|error| Error::sys("send the terminal to", path.display(), error))
}
