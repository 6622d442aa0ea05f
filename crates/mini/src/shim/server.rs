//! The shim's one thread: it waits for output, clients, signals and memory, and never wakes up without one of them.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use cgroups::{Cgroup, OomWatch};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, pidfd_open, pidfd_send_signal, wait,
};
use shim_protocol::{
    AttachStreams, Call, Event, ExitRecord, Message, OLDEST_VERSION, Reply, Request, ShimState,
    VERSION,
};

use crate::clock;
use crate::error::{Error, Result};
use crate::process::spawn::Spawned;
use crate::shim::connection::{Connection, Role, Target};
use crate::shim::exec::{self, Joinable};
use crate::shim::log::{Log, Stream};
use crate::shim::message;
use crate::shim::streams::{Read, Streams};
use crate::shim::wait::Token;

/// The kernel of cgroup v1 tells that memory has run out before it has killed: looked again after 1, 2, 4, … ms.
const OOM_LOOKS: u32 = 10;

/// An exec's process.
#[derive(Debug)]
pub(super) struct Exec {
    pid: i32,
    pidfd: OwnedFd,
    pub(super) streams: Streams,
}

/// Where the container's traces on disk are, for its end.
pub(crate) trait Ending {
    /// Makes the exit durable, then removes the cgroup, the runtime's state and the socket.
    fn end(&mut self, exit: &ExitRecord, cgroup: &Cgroup) -> Result<()>;
}

/// Everything the loop works on.
pub(crate) struct Server<'a> {
    pub(crate) joinable: Joinable<'a>,
    pub(crate) ending: &'a mut dyn Ending,
    pub(crate) cgroup: Cgroup,
    pub(crate) oom: Option<OomWatch>,
    pub(crate) signals: OwnedFd,
    pub(crate) listener: Option<OwnedFd>,
    pub(crate) log: Option<Log>,
    pub(crate) state: ShimState,
    pub(crate) process: Spawned,
    pub(crate) streams: Streams,
    pub(crate) stdin_once: bool,
    pub(crate) connections: Vec<Connection>,
    pub(super) execs: BTreeMap<String, Exec>,
    oom_kills_total: u64,
    /// When the kills are counted again, on the monotonic clock, and how often that was done.
    pub(super) oom_look: Option<(u64, u32)>,
    buffer: Vec<u8>,
}

/// The parts that the loop needs at its start.
pub(crate) struct Parts<'a> {
    pub(crate) joinable: Joinable<'a>,
    pub(crate) ending: &'a mut dyn Ending,
    pub(crate) cgroup: Cgroup,
    pub(crate) signals: OwnedFd,
    pub(crate) listener: OwnedFd,
    pub(crate) log: Option<Log>,
    pub(crate) state: ShimState,
    pub(crate) process: Spawned,
    pub(crate) streams: Streams,
    pub(crate) stdin_once: bool,
    pub(crate) connections: Vec<Connection>,
}

impl<'a> Server<'a> {
    pub(crate) fn new(parts: Parts<'a>) -> Self {
        // Without it the kills are still counted at the end.
        let oom = parts.cgroup.watch_oom().ok();
        Self {
            joinable: parts.joinable,
            ending: parts.ending,
            cgroup: parts.cgroup,
            oom,
            signals: parts.signals,
            listener: Some(parts.listener),
            log: parts.log,
            state: parts.state,
            process: parts.process,
            streams: parts.streams,
            stdin_once: parts.stdin_once,
            connections: parts.connections,
            execs: BTreeMap::new(),
            oom_kills_total: 0,
            oom_look: None,
            buffer: vec![0; 64 * 1024],
        }
    }

    /// Serves until the container has ended and everybody has everything.
    ///
    /// # Errors
    /// When waiting itself is not possible.
    pub(crate) fn run(mut self) -> Result<()> {
        while self.state.exit.is_none() || !self.connections.is_empty() {
            for token in self.wait()? {
                self.handle(token);
            }
            self.handle_time();
            for mut connection in self.connections.extract_if(.., |one| one.is_done()) {
                connection.hang_up();
            }
        }
        Ok(())
    }

    /// Does what was to be done by now.
    fn handle_time(&mut self) {
        let now_ns = clock::monotonic_ns();
        for index in 0..self.connections.len() {
            let Some(connection) = self.connections.get(index) else {
                break;
            };
            let shared = self.is_shared(connection);
            let given_up = connection.given_up_at_ns(shared);
            if given_up.is_some_and(|at| at <= now_ns)
                && let Some(connection) = self.connections.get_mut(index)
            {
                message(if shared {
                    "a client that is slower than others is let go"
                } else {
                    "a client that takes nothing is let go"
                });
                connection.dead = true;
            }
        }
        if let Some((at_ns, looks)) = self.oom_look
            && at_ns <= now_ns
        {
            self.oom_look = None;
            self.count_kills(looks);
        }
    }

    /// Whether others read the process that this client reads: they should not wait for it.
    pub(super) fn is_shared(&self, connection: &Connection) -> bool {
        connection.target().is_some_and(|target| {
            let readers = self
                .connections
                .iter()
                .filter(|other| other.reads(target) && !other.dead);
            readers.count() > 1
        })
    }

    pub(super) fn streams_of(&self, target: &Target) -> Option<&Streams> {
        match target {
            Target::Container => Some(&self.streams),
            Target::Exec(id) => self.execs.get(id).map(|exec| &exec.streams),
        }
    }

    fn streams_mut(&mut self, target: &Target) -> Option<&mut Streams> {
        match target {
            Target::Container => Some(&mut self.streams),
            Target::Exec(id) => self.execs.get_mut(id).map(|exec| &mut exec.streams),
        }
    }

    fn handle(&mut self, token: Token) {
        match token {
            Token::Listener => self.accept(),
            Token::Signals => self.reap(),
            Token::Oom => self.count_kills(0),
            Token::Log => {
                if let Some(log) = &mut self.log {
                    log.serve();
                }
            }
            Token::Output(target, stream) => {
                self.pass_output(&target, stream);
            }
            Token::Input(target) => {
                if let Some(streams) = self.streams_mut(&target) {
                    streams.write_input();
                }
            }
            Token::Connection(index, hung_up) => self.serve_connection(index, hung_up),
        }
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else {
            return;
        };
        // A client that went away while it waited is nobody's error.
        if let Ok(socket) = accept_with(listener, SocketFlags::CLOEXEC) {
            self.connections.push(Connection::control(socket, false));
        }
    }

    /// Passes one piece of output to the log, then to those attached; false when there is none now.
    fn pass_output(&mut self, target: &Target, stream: Stream) -> bool {
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = self
            .streams_mut(target)
            .map_or(Read::End, |streams| streams.read(stream, &mut buffer));
        if let Read::Bytes(count) = read {
            let bytes = buffer.get(..count).unwrap_or_default();
            if let (Target::Container, Some(log)) = (target, &mut self.log) {
                log.write(stream, bytes);
            }
            for connection in self
                .connections
                .iter_mut()
                .filter(|connection| connection.carries(target))
            {
                connection.send_output(stream, bytes);
            }
        }
        self.buffer = buffer;
        matches!(read, Read::Bytes(_))
    }

    /// Passes on everything that a process that has ended left in its pipes.
    fn drain(&mut self, target: &Target) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            while self.pass_output(target, stream) {}
        }
    }

    fn serve_connection(&mut self, index: usize, hung_up: bool) {
        let mut buffer = [0_u8; 16 * 1024];
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        connection.flush();
        match &connection.role {
            Role::Control { .. } => match connection.receive(&mut buffer) {
                None => {}
                Some([]) => connection.dead = true,
                Some(bytes) => {
                    let mut received = bytes;
                    while let Some(line) = self
                        .connections
                        .get_mut(index)
                        .and_then(|connection| connection.next_line(received))
                    {
                        received = &[];
                        self.serve_request(index, &line);
                    }
                }
            },
            Role::Stream {
                target,
                streams,
                input_ended,
                ..
            } => {
                if !streams.stdin || *input_ended {
                    // It is polled for what it takes and for its end alone.
                    connection.dead |= hung_up;
                    return;
                }
                let target = target.clone();
                match connection.receive(&mut buffer) {
                    // Gone without an end: no more input will come from it either.
                    None if connection.dead => self.input_ended(index, &target),
                    None => {}
                    Some([]) => self.input_ended(index, &target),
                    Some(bytes) => {
                        let bytes = bytes.to_vec();
                        if let Some(streams) = self.streams_mut(&target) {
                            streams.push_input(&bytes);
                        }
                    }
                }
            }
        }
    }

    fn input_ended(&mut self, index: usize, target: &Target) {
        if let Some(Connection {
            role: Role::Stream { input_ended, .. },
            ..
        }) = self.connections.get_mut(index)
        {
            *input_ended = true;
        }
        let ends = *target != Target::Container || self.stdin_once;
        if let Some(streams) = self.streams_mut(target).filter(|_| ends) {
            streams.end_input();
        }
    }

    fn serve_request(&mut self, index: usize, line: &[u8]) {
        let request: Request = match serde_json::from_slice(line) {
            Ok(request) => request,
            Err(error) => return self.not_understood(index, line, &error),
        };
        let seq = request.seq;
        let reply = self
            .call(index, seq, request.call)
            .unwrap_or_else(|error| Some(Reply::Failed(error.to_failure())));
        if let Some(reply) = reply {
            self.answer(index, seq, reply);
        }
    }

    /// A request of a newer client is answered; a line that is none ends its connection.
    fn not_understood(&mut self, index: usize, line: &[u8], error: &serde_json::Error) {
        let request: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
        let seq = request.get("seq").and_then(serde_json::Value::as_u64);
        let op = request.get("op").and_then(serde_json::Value::as_str);
        let (Some(seq), Some(op)) = (seq, op) else {
            message(&format!("a line that is no request: {error}"));
            if let Some(connection) = self.connections.get_mut(index) {
                connection.dead = true;
            }
            return;
        };
        let refusal = if error.to_string().starts_with("unknown variant") {
            Error::unsupported(format!("this shim does not know the request {op:?}")).with_hint(
                format!("it speaks version {VERSION} of the protocol; a container that is started again gets a newer shim"),
            )
        } else {
            Error::invalid(format!("read the request {op:?}: {error}"))
        };
        self.answer(index, seq, Reply::Failed(refusal.to_failure()));
    }

    fn answer(&mut self, index: usize, seq: u64, reply: Reply) {
        if let Some(connection) = self.connections.get_mut(index) {
            connection.send(&Message::Reply { seq, reply });
        }
    }

    /// Does what is asked; [`None`] when the answer is sent already.
    fn call(&mut self, index: usize, seq: u64, call: Call) -> Result<Option<Reply>> {
        let running = |server: &Self| {
            if server.state.exit.is_none() {
                Ok(())
            } else {
                Err(Error::not_running())
            }
        };
        Ok(Some(match call {
            Call::Hello {
                oldest_version,
                newest_version,
            } => Reply::Hello {
                version: common_version(oldest_version, newest_version)?,
                id: self.joinable.id.to_owned(),
                oldest_version: OLDEST_VERSION,
                newest_version: VERSION,
            },
            Call::State => {
                self.state.execs = self
                    .execs
                    .iter()
                    .map(|(id, exec)| (id.clone(), exec.pid))
                    .collect();
                self.state.log_lost_bytes = self.log.as_ref().map_or(0, Log::lost_bytes_total);
                Reply::State(self.state.clone())
            }
            Call::Watch => {
                self.answer(index, seq, Reply::Done);
                if let Some(connection) = self.connections.get_mut(index) {
                    if let Role::Control { watching, .. } = &mut connection.role {
                        *watching = true;
                    }
                    if let Some(exit) = &self.state.exit {
                        connection.send(&Message::Event(Event::Exited(exit.clone())));
                    }
                }
                return Ok(None);
            }
            Call::Signal { signal, all } => {
                running(self)?;
                self.signal(signal, all)?;
                Reply::Done
            }
            Call::Resize {
                size,
                exec_id: None,
            } => {
                self.streams.resize(size)?;
                Reply::Done
            }
            Call::Resize {
                size,
                exec_id: Some(id),
            } => {
                self.execs
                    .get(&id)
                    .ok_or_else(Error::not_running)?
                    .streams
                    .resize(size)?;
                Reply::Done
            }
            Call::SignalExec { exec_id, signal } => {
                let exec = self.execs.get(&exec_id).ok_or_else(Error::not_running)?;
                send_signal(&exec.pidfd, signal)?;
                Reply::Done
            }
            Call::Attach(streams) => {
                running(self)?;
                let raw = self.streams.is_terminal();
                self.answer(index, seq, Reply::Done);
                self.make_stream(index, Target::Container, streams, raw);
                return Ok(None);
            }
            Call::Exec(request) => {
                running(self)?;
                if self.execs.contains_key(&request.exec_id) {
                    return Err(
                        Error::invalid("an exec of this id runs").with_hint("choose another id")
                    );
                }
                // Its process would stand still at its first step, and we with it.
                if self.cgroup.is_frozen().unwrap_or(false) {
                    return Err(Error::new(
                        crate::error::ErrorKind::WrongState,
                        "the container is paused",
                    ));
                }
                let (process, streams) = exec::start(
                    &self.joinable,
                    &self.cgroup,
                    (self.process.pidfd.as_fd(), self.process.pid),
                    &request,
                )?;
                let reply = Reply::ExecStarted { pid: process.pid };
                let raw = streams.is_terminal();
                let exec = Exec {
                    pid: process.pid,
                    pidfd: process.pidfd,
                    streams,
                };
                self.execs.insert(request.exec_id.clone(), exec);
                self.answer(index, seq, reply);
                self.make_stream(index, Target::Exec(request.exec_id), request.streams, raw);
                return Ok(None);
            }
        }))
    }

    fn make_stream(&mut self, index: usize, target: Target, streams: AttachStreams, raw: bool) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        let early = connection.become_stream(target.clone(), streams, raw);
        if let Some(streams) = self.streams_mut(&target).filter(|_| streams.stdin) {
            streams.push_input(&early);
        }
    }

    fn signal(&self, signal: i32, all: bool) -> Result<()> {
        if !all {
            return send_signal(&self.process.pidfd, signal);
        }
        require_signal(signal)?;
        for pid in self.cgroup.processes()? {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            // One that has ended meanwhile got what it should.
            if let Some(pidfd) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
                sys::signal::send(pidfd.as_fd(), signal).ok();
            }
        }
        Ok(())
    }

    /// Takes the exits that SIGCHLD announced: the container's first process, execs, and orphans that came to us.
    fn reap(&mut self) {
        while let Ok(Some(_)) = sys::signal::read(&self.signals) {}
        let mut first = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get();
            if pid == self.process.pid {
                first = Some(status);
            } else if let Some(id) = self
                .execs
                .iter()
                .find(|(_, exec)| exec.pid == pid)
                .map(|(id, _)| id.clone())
            {
                self.end_exec(&id, exit_code(status));
            } else if let Some(log) = &mut self.log {
                // Any other is an orphan that came to us.
                log.ended(pid);
            }
        }
        if let Some(status) = first {
            self.end_container(status);
        }
    }

    fn end_exec(&mut self, id: &str, exit_code: i32) {
        let target = Target::Exec(id.to_owned());
        self.drain(&target);
        self.execs.remove(id);
        self.tell_watchers(&Event::ExecExited {
            exec_id: id.to_owned(),
            exit_code,
        });
        self.close_streams(&target);
    }

    fn end_container(&mut self, status: WaitStatus) {
        let finished_at_unix_ns = clock::unix_ns();
        // With the host's or another's process namespace the rest would live on; with its own the kernel has ended it.
        if let Err(error) = self.cgroup.kill_all(std::time::Duration::from_secs(5)) {
            message(&error.to_string());
        }
        while let Some(id) = self.execs.keys().next().cloned() {
            let status = self.execs.get(&id).and_then(|exec| {
                // In another process namespace than the container's it may have been spared.
                pidfd_send_signal(&exec.pidfd, Signal::KILL).ok();
                wait_for(exec.pid)
            });
            self.end_exec(&id, status.map_or(137, exit_code));
        }
        self.drain(&Target::Container);
        if let Some(log) = &mut self.log {
            log.finish();
        }
        self.count_kills(OOM_LOOKS);
        self.oom = None;
        self.oom_look = None;
        let exit = ExitRecord {
            exit_code: exit_code(status),
            signal: status.terminating_signal(),
            oom_killed: self.oom_kills_total > 0,
            finished_at_unix_ns,
            log_lost_bytes: self.log.as_ref().map_or(0, Log::lost_bytes_total),
        };
        self.listener = None;
        if let Err(error) = self.ending.end(&exit, &self.cgroup) {
            message(&error.to_string());
        }
        self.state.exit = Some(exit.clone());
        self.tell_watchers(&Event::Exited(exit));
        self.close_streams(&Target::Container);
        for connection in &mut self.connections {
            connection.closing = true;
        }
        // From here only what slow clients have not read yet keeps us.
        self.buffer = Vec::new();
        sys::memory::trim();
    }

    fn tell_watchers(&mut self, event: &Event) {
        for connection in &mut self.connections {
            if matches!(connection.role, Role::Control { watching: true, .. }) {
                connection.send(&Message::Event(event.clone()));
            }
        }
    }

    fn close_streams(&mut self, target: &Target) {
        for connection in self
            .connections
            .iter_mut()
            .filter(|connection| connection.carries(target))
        {
            connection.closing = true;
        }
    }

    /// Counts the kernel's kills for lack of memory, and tells of new ones. Without any it looks again a little later, unless it has
    /// often enough.
    fn count_kills(&mut self, looks: u32) {
        if let Some(oom) = &self.oom {
            drop(oom.drain());
        }
        let kills_total = self
            .cgroup
            .oom_kills_total()
            .unwrap_or(self.oom_kills_total);
        if kills_total > self.oom_kills_total {
            self.oom_kills_total = kills_total;
            self.tell_watchers(&Event::OutOfMemory { kills_total });
        } else if looks < OOM_LOOKS {
            self.oom_look = Some((clock::monotonic_ns() + (1_000_000 << looks), looks + 1));
        }
    }
}

/// The newest version that both sides speak.
fn common_version(oldest: u32, newest: u32) -> Result<u32> {
    let common = newest.min(VERSION);
    if common >= oldest.max(OLDEST_VERSION) {
        return Ok(common);
    }
    Err(Error::unsupported(format!(
        "the client speaks versions {oldest} to {newest} of the shim's protocol, this shim {OLDEST_VERSION} to {VERSION}"
    ))
    .with_hint("stop the container and start it again: it then gets a shim of the engine's version"))
}

/// Any signal can be sent by its number, the real-time ones too: `SIGRTMIN+3` asks systemd to end.
fn require_signal(signal: i32) -> Result<()> {
    if (1..=64).contains(&signal) {
        Ok(())
    } else {
        Err(Error::invalid(format!("signal {signal} cannot be sent"))
            .with_hint("signals have the numbers 1 to 64"))
    }
}

fn send_signal(pidfd: &OwnedFd, signal: i32) -> Result<()> {
    require_signal(signal)?;
    match sys::signal::send(pidfd.as_fd(), signal) {
        Ok(()) => Ok(()),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::SRCH) => {
            Err(Error::not_running())
        }
        Err(error) => Err(Error::sys("send", format!("signal {signal}"), error)),
    }
}

/// 0 to 255, or 128 + the signal.
fn exit_code(status: WaitStatus) -> i32 {
    status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
        .unwrap_or(255)
}

fn wait_for(pid: i32) -> Option<WaitStatus> {
    let (_, status) = rustix::process::waitpid(Pid::from_raw(pid), WaitOptions::empty()).ok()??;
    Some(status)
}

impl Error {
    fn not_running() -> Self {
        Self::new(
            crate::error::ErrorKind::WrongState,
            "the process is not running",
        )
    }
}
