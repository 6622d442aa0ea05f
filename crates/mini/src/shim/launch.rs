//! A shim's life: configuration, the container's start, the loop, the end.

use std::cell::RefCell;
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use cgroups::Cgroup;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use shim_protocol::{
    ExitRecord, Message, OLDEST_VERSION, SHIM_CONFIG_FILE, SHIM_SOCKET_FILE, SHIM_STATE_FILE,
    ShimConfig, ShimState, VERSION,
};
use sys::namespace::Namespaces;
use sys::signal::SignalSet;

use crate::container::{self, Bundle, PATIENCE, Start};
use crate::error::{Error, Result};
use crate::process::attributes::Attributes;
use crate::process::exec::namespaces_to_join;
use crate::process::finish::Stdio;
use crate::process::init::Wishes;
use crate::process::spawn::Spawned;
use crate::shim::connection::{Connection, Target};
use crate::shim::exec::Joinable;
use crate::shim::log::Log;
use crate::shim::server::{Ending, Parts, Server};
use crate::shim::streams::Streams;
use crate::state::{State, Store, start_ticks};
use crate::trace::Trace;

/// SIGCHLD, by its number on every architecture that we run on.
const SIGCHLD: i32 = 17;
const SIGHUP: i32 = 1;
const SIGPIPE: i32 = 13;
/// Of the first inherited socket that is attached from the start; 0 is the control connection, 1 and 2 our own messages.
const FIRST_ATTACHED: i32 = 3;
/// A container goes before its shim when the machine runs out of memory: the shim knows how it ended.
const OOM_SCORE_ADJ: &str = "-250";

/// Runs the shim of a bundle to its end.
///
/// # Errors
/// When there is no valid bundle or nobody to tell; a container that does not start is told on the control connection.
pub fn run(bundle: &Path) -> Result<()> {
    // Inherited descriptors before anything of our own is opened.
    let mut control = Connection::control(inherited(0)?, true);
    let directory = rustix::fs::open(
        bundle,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| Error::sys("open the bundle", bundle.display(), errno));
    let mut trace = Trace::new(false);
    let started = directory.and_then(|directory| {
        let config = read_config(bundle)?;
        let attached = inherited_streams(&config)?;
        trace = Trace::new(config.trace);
        settle()?;
        start(bundle, directory, config, attached, &mut trace)
    });
    match started {
        Ok(started) => serve(started, trace, control),
        Err(error) => {
            control.send(&Message::StartFailed(shim_protocol::Failure {
                trace: trace.into_steps(Some(&error)),
                ..error.to_failure()
            }));
            Ok(())
        }
    }
}

/// A container that runs, with what the loop needs.
struct Started {
    bundle: Bundle,
    namespaces: Namespaces,
    config: ShimConfig,
    on_disk: OnDisk,
    cgroup: Cgroup,
    process: Spawned,
    streams: Streams,
    log: Option<Log>,
    signals: OwnedFd,
    listener: OwnedFd,
    attached: Vec<(OwnedFd, shim_protocol::AttachStreams)>,
    state: ShimState,
}

fn inherited(number: i32) -> Result<OwnedFd> {
    let inherited = sys::fd::take_inherited(number)
        .map_err(|error| Error::sys("take", format!("descriptor {number}"), error))?;
    if number > 0 {
        return Ok(inherited);
    }
    // The control connection must not stay where programs look for their input.
    let moved = rustix::io::fcntl_dupfd_cloexec(&inherited, 3 + 16)
        .map_err(|errno| Error::sys("move", "the control connection", errno))?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::sys("open", "/dev/null", errno))?;
    rustix::stdio::dup2_stdin(&null)
        .map_err(|errno| Error::sys("replace", "standard input", errno))?;
    // Its number is standard input's now, which stays open.
    let _number = std::os::fd::IntoRawFd::into_raw_fd(inherited);
    Ok(moved)
}

fn inherited_streams(config: &ShimConfig) -> Result<Vec<(OwnedFd, shim_protocol::AttachStreams)>> {
    (FIRST_ATTACHED..)
        .zip(&config.attached)
        .map(|(number, streams)| Ok((inherited(number)?, *streams)))
        .collect()
}

fn read_config(bundle: &Path) -> Result<ShimConfig> {
    let path = bundle.join(SHIM_CONFIG_FILE);
    let json = std::fs::read(&path).map_err(|error| Error::sys("read", path.display(), error))?;
    let config: ShimConfig = serde_json::from_slice(&json)
        .map_err(|error| Error::invalid(format!("read {}: {error}", path.display())))?;
    // A newer engine says which older readers understand it.
    let oldest = match config.oldest_version {
        0 => config.version,
        oldest => oldest,
    };
    if oldest > VERSION || config.version < OLDEST_VERSION {
        return Err(Error::invalid(format!(
            "read {}: shim protocol version {} is not among {OLDEST_VERSION} to {VERSION}",
            path.display(),
            config.version,
        ))
        .with_hint(
            "the engine and mini are of different releases: install both from the same one",
        ));
    }
    Ok(config)
}

/// Lets go of the engine: a session of its own, no signals of others', orphans of the container come to us.
fn settle() -> Result<()> {
    // We may lead a session already, when the engine saw to that.
    rustix::process::setsid().ok();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|errno| Error::sys("prctl", "PR_SET_CHILD_SUBREAPER", errno))?;
    for signal in [SIGHUP, SIGPIPE] {
        sys::signal::ignore(signal)
            .map_err(|error| Error::sys("ignore", format!("signal {signal}"), error))?;
    }
    sys::signal::block_only(SignalSet::of(&[SIGCHLD]))
        .map_err(|error| Error::sys("block", "SIGCHLD", error))
}

fn listen_in(directory: &OwnedFd) -> Result<OwnedFd> {
    let error = |errno| Error::sys("listen on", SHIM_SOCKET_FILE, errno);
    // Of an earlier run of this container.
    rustix::fs::unlinkat(directory, SHIM_SOCKET_FILE, rustix::fs::AtFlags::empty()).ok();
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .map_err(error)?;
    let address =
        SocketAddrUnix::new(sys::socket::path_in(directory, SHIM_SOCKET_FILE)).map_err(error)?;
    bind(&socket, &address).map_err(error)?;
    listen(&socket, 128).map_err(error)?;
    Ok(socket)
}

fn start(
    path: &Path,
    directory: OwnedFd,
    config: ShimConfig,
    attached: Vec<(OwnedFd, shim_protocol::AttachStreams)>,
    trace: &mut Trace,
) -> Result<Started> {
    let bundle = trace.step(
        "read_bundle",
        || path.display().to_string(),
        || Bundle::read(path),
    )?;
    let log = config
        .log
        .clone()
        .map(|log| {
            let path = log.path.clone();
            Log::open(log).map_err(|error| Error::sys("open the log", path, error).in_step("log"))
        })
        .transpose()?;
    let signals = sys::signal::descriptor(SignalSet::of(&[SIGCHLD]))
        .map_err(|error| Error::sys("signalfd", "", error))?;
    let terminal = bundle
        .spec
        .process()
        .is_some_and(|process| process.terminal);
    let pipes = (!terminal)
        .then(|| Streams::pipes(config.stdin_open))
        .transpose()?;
    let stdio = match &pipes {
        None => Stdio::Terminal,
        Some((_, ends)) => {
            Stdio::Descriptors([ends.input.as_fd(), ends.output.as_fd(), ends.errors.as_fd()])
        }
    };
    let store = Store::of(Path::new(&config.runtime_root), &config.id)?;
    let on_disk = OnDisk {
        bundle: directory,
        store,
        exit_file: PathBuf::from(&config.exit_file),
    };
    // Of an earlier start that was cut off.
    on_disk.store.remove_unfinished()?;
    Store::create(
        Path::new(&config.runtime_root),
        &config.id,
        &bundle.cgroup_path(&config.id),
    )?;
    // A container that runs but is not known to anyone would be worse than none.
    let listener = RefCell::new(None);
    let known = |cgroup: &Cgroup, pid: i32| {
        on_disk
            .store
            .write(&State::of(&config.id, &bundle, cgroup, pid))?;
        listener.replace(Some(listen_in(&on_disk.bundle)?));
        Ok(())
    };
    let start = Start {
        id: &config.id,
        bundle: &bundle,
        stdio,
        console_size: config.console_size,
        gate: None,
        wishes: Wishes::default(),
        unit: None,
        rootless: None,
        known: &known,
    };
    let started = container::start(start, trace).and_then(|(cgroup, mut process)| {
        match make_reachable(&on_disk, &mut process, pipes.map(|(streams, _)| streams)) {
            Ok((streams, state)) => Ok((cgroup, process, streams, state)),
            Err(error) => {
                crate::process::spawn::end(&process.pidfd);
                drop(cgroup.kill_all(PATIENCE));
                drop(cgroup.remove(PATIENCE));
                Err(error)
            }
        }
    });
    let (cgroup, process, streams, state) = started.inspect_err(|_| {
        on_disk.remove_files();
        drop(on_disk.store.remove());
    })?;
    let listener = listener
        .take()
        .ok_or_else(|| Error::invalid("no socket to listen on"))?;
    // Refused without the privilege, which is no reason to fail: the container's own value was set by itself.
    drop(std::fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ));
    let namespaces = bundle
        .spec
        .linux
        .as_ref()
        .map_or(Namespaces::NONE, |linux| {
            namespaces_to_join(linux, process.pid)
        });
    Ok(Started {
        bundle,
        namespaces,
        config,
        on_disk,
        cgroup,
        process,
        streams,
        log,
        signals,
        listener,
        attached,
        state,
    })
}

/// The program runs: takes our ends of its streams, and writes down who we are.
fn make_reachable(
    on_disk: &OnDisk,
    process: &mut Spawned,
    pipes: Option<Streams>,
) -> Result<(Streams, ShimState)> {
    let streams = match (pipes, process.terminal.take()) {
        (Some(streams), _) => streams,
        (None, Some(master)) => Streams::terminal(master)?,
        (None, None) => return Err(Error::invalid("no terminal came from the process")),
    };
    let shim_pid = std::process::id().cast_signed();
    let state = ShimState {
        version: shim_protocol::VERSION,
        shim_pid,
        shim_start_ticks: start_ticks(shim_pid).unwrap_or_default(),
        pid: process.pid,
        // Gone already is no error: its exit comes next.
        start_ticks: start_ticks(process.pid).unwrap_or_default(),
        started_at_unix_ns: process.started_at_unix_ns,
        exit: None,
        log_lost_bytes: 0,
        execs: std::collections::BTreeMap::new(),
    };
    on_disk.write_shim_state(&state)?;
    Ok((streams, state))
}

fn serve(started: Started, trace: Trace, mut control: Connection) -> Result<()> {
    let Started {
        bundle,
        namespaces,
        config,
        mut on_disk,
        cgroup,
        mut process,
        streams,
        log,
        signals,
        listener,
        attached,
        state,
    } = started;
    let raw = streams.is_terminal();
    control.send(&Message::Started {
        pid: process.pid,
        started_at_unix_ns: process.started_at_unix_ns,
        trace: trace.into_steps(None),
    });
    let mut connections = vec![control];
    let attributes = Attributes::of(&bundle.spec);
    // Of the spec, which is large, nothing more is needed.
    drop(bundle);
    let filter = process.filter.take();
    connections.extend(
        attached
            .into_iter()
            .map(|(socket, streams)| Connection::stream(socket, Target::Container, streams, raw)),
    );
    sys::memory::trim();
    Server::new(Parts {
        joinable: Joinable {
            id: &config.id,
            namespaces,
            attributes: &attributes,
            seccomp: filter.as_ref(),
        },
        ending: &mut on_disk,
        cgroup,
        signals,
        listener,
        log,
        state,
        process,
        streams,
        stdin_once: config.stdin_once,
        connections,
    })
    .run()
}

/// The container's traces on disk.
struct OnDisk {
    bundle: OwnedFd,
    store: Store,
    exit_file: PathBuf,
}

impl OnDisk {
    fn remove_files(&self) {
        for name in [SHIM_SOCKET_FILE, SHIM_STATE_FILE] {
            rustix::fs::unlinkat(&self.bundle, name, rustix::fs::AtFlags::empty()).ok();
        }
    }

    fn write_shim_state(&self, state: &ShimState) -> Result<()> {
        let error = |errno| Error::sys("write", SHIM_STATE_FILE, errno);
        let json = serde_json::to_vec(state)
            .map_err(|error| Error::invalid(format!("encode the state: {error}")))?;
        let new = "shim-state.json.new";
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.bundle, new, flags, Mode::from_raw_mode(0o600))
            .map_err(error)?;
        std::fs::File::from(file)
            .write_all(&json)
            .map_err(|source| Error::sys("write", SHIM_STATE_FILE, source))?;
        rustix::fs::renameat(&self.bundle, new, &self.bundle, SHIM_STATE_FILE).map_err(error)
    }

    /// Written beside, synced, renamed, and the directory synced: the record is there whole, or not at all.
    fn write_exit(&self, exit: &ExitRecord) -> Result<()> {
        let error = |error: std::io::Error| Error::sys("write", self.exit_file.display(), error);
        let json = serde_json::to_vec(exit)
            .map_err(|error| Error::invalid(format!("encode the exit: {error}")))?;
        let new = self.exit_file.with_extension("json.new");
        let mut file = std::fs::File::create(&new).map_err(error)?;
        file.write_all(&json)
            .and_then(|()| file.sync_all())
            .map_err(error)?;
        std::fs::rename(&new, &self.exit_file).map_err(error)?;
        let parent = self.exit_file.parent().unwrap_or(Path::new("/"));
        let directory = rustix::fs::openat(
            CWD,
            parent,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        directory
            .and_then(rustix::fs::fsync)
            .map_err(|errno| Error::sys("sync", parent.display(), errno))
    }
}

impl Ending for OnDisk {
    fn end(&mut self, exit: &ExitRecord, cgroup: &Cgroup) -> Result<()> {
        let recorded = self.write_exit(exit);
        // Whoever finds no socket reads the record.
        self.remove_files();
        let removed = cgroup.remove(PATIENCE).map_err(Error::from);
        let forgotten = self.store.remove();
        recorded.and(removed).and(forgotten)
    }
}
