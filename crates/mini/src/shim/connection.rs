//! One client: requests and answers as lines, or a stream of a process's input and output.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use shim_protocol::{
    AttachStreams, MAX_LINE_BYTES, Message, SHARED_CLIENT_PATIENCE, SLOW_CLIENT_PATIENCE,
};

use crate::clock;
use crate::shim::log::Stream;

/// Above this the process whose output it is waits: a slow reader gets everything, as with a pipe.
const MAX_UNSENT_BYTES: usize = 256 * 1024;

/// A client that is waited for, and takes nothing for this long, is let go: neither the program nor the end of the shim
/// hangs on it. What it missed is in the log.
const PATIENCE_NS: u64 = SLOW_CLIENT_PATIENCE.as_secs() * 1_000_000_000;

/// As [`PATIENCE_NS`] while others read the same process, for one that takes less than [`PACE_BYTES`].
const SHARED_PATIENCE_NS: u64 = SHARED_CLIENT_PATIENCE.as_secs() * 1_000_000_000;
const PACE_BYTES: usize = 64 * 1024;

/// Whose streams a connection carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The container's first process.
    Container,
    /// An exec's, by its id.
    Exec(String),
}

/// What a connection is for.
#[derive(Debug)]
pub(crate) enum Role {
    /// Requests; `watching` ones get events.
    Control { line: Vec<u8>, watching: bool },
    /// A process's streams.
    Stream {
        target: Target,
        streams: AttachStreams,
        raw: bool,
        input_ended: bool,
    },
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    pub(crate) role: Role,
    unsent: Vec<u8>,
    /// When the client took something, or everything was sent, on the monotonic clock.
    progress_ns: u64,
    /// When it had taken [`PACE_BYTES`] more, or everything was sent, and how much it has taken since.
    pace_ns: u64,
    pace_bytes: usize,
    /// Close when everything is sent.
    pub(crate) closing: bool,
    /// The peer is gone.
    pub(crate) dead: bool,
}

impl Connection {
    pub(crate) fn control(socket: OwnedFd, watching: bool) -> Self {
        Self::new(
            socket,
            Role::Control {
                line: Vec::new(),
                watching,
            },
        )
    }

    pub(crate) fn stream(
        socket: OwnedFd,
        target: Target,
        streams: AttachStreams,
        raw: bool,
    ) -> Self {
        Self::new(
            socket,
            Role::Stream {
                target,
                streams,
                raw,
                input_ended: false,
            },
        )
    }

    fn new(socket: OwnedFd, role: Role) -> Self {
        Self {
            socket,
            role,
            unsent: Vec::new(),
            progress_ns: 0,
            pace_ns: 0,
            pace_bytes: 0,
            closing: false,
            dead: false,
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// The process must wait for this client.
    pub(crate) fn is_full(&self) -> bool {
        !self.dead && self.unsent.len() > MAX_UNSENT_BYTES
    }

    /// When the client is let go if it does not take more until then; [`None`] while nobody waits for it. Sooner when others
    /// read the same process.
    pub(crate) fn given_up_at_ns(&self, shared: bool) -> Option<u64> {
        if self.dead {
            None
        } else if self.is_full() && shared {
            Some(self.pace_ns + SHARED_PATIENCE_NS)
        } else {
            let waited_for = self.is_full() || (self.closing && self.has_unsent());
            waited_for.then_some(self.progress_ns + PATIENCE_NS)
        }
    }

    /// Nothing more to do here.
    pub(crate) fn is_done(&self) -> bool {
        self.dead || (self.closing && self.unsent.is_empty())
    }

    /// The process whose streams it carries.
    pub(crate) fn target(&self) -> Option<&Target> {
        match &self.role {
            Role::Control { .. } => None,
            Role::Stream { target, .. } => Some(target),
        }
    }

    /// It carries this process's output.
    pub(crate) fn reads(&self, wanted: &Target) -> bool {
        matches!(&self.role, Role::Stream { target, streams, .. }
            if target == wanted && (streams.stdout || streams.stderr))
    }

    /// It carries this process's streams.
    pub(crate) fn carries(&self, wanted: &Target) -> bool {
        matches!(&self.role, Role::Stream { target, .. } if target == wanted)
    }

    /// Sends a message, in part later when the peer is slow.
    pub(crate) fn send(&mut self, message: &Message) {
        // Our own types always encode.
        if let Ok(mut line) = serde_json::to_vec(message) {
            line.push(b'\n');
            self.push(&[&line]);
        }
    }

    /// Sends a process's output when the client wants that stream.
    pub(crate) fn send_output(&mut self, stream: Stream, bytes: &[u8]) {
        let Role::Stream { streams, raw, .. } = &self.role else {
            return;
        };
        let wanted = match stream {
            Stream::Stdout => streams.stdout,
            Stream::Stderr => streams.stderr,
        };
        if !wanted {
            return;
        }
        if *raw {
            self.push(&[bytes]);
        } else {
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
            self.push(&[&[stream.number(), 0, 0, 0], &length, bytes]);
        }
    }

    fn push(&mut self, parts: &[&[u8]]) {
        if self.dead {
            return;
        }
        if self.unsent.is_empty() {
            self.progress_ns = clock::monotonic_ns();
            self.pace_ns = self.progress_ns;
            self.pace_bytes = 0;
        }
        for part in parts {
            self.unsent.extend_from_slice(part);
        }
        self.flush();
    }

    /// Sends what the peer takes now.
    pub(crate) fn flush(&mut self) {
        let mut sent = 0;
        while let Some(bytes) = self.unsent.get(sent..).filter(|bytes| !bytes.is_empty()) {
            match rustix::net::send(
                &self.socket,
                bytes,
                SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
            ) {
                Ok(count) => sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    self.dead = true;
                    sent = self.unsent.len();
                }
            }
        }
        if sent > 0 {
            self.progress_ns = clock::monotonic_ns();
            self.pace_bytes += sent;
            if self.pace_bytes >= PACE_BYTES {
                self.pace_ns = self.progress_ns;
                self.pace_bytes = 0;
            }
        }
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            self.unsent.shrink_to(4096);
        }
    }

    /// Takes what the peer has still sent and nobody wants: closing with it unread would be an error for the peer behind
    /// its last byte, instead of an end.
    pub(crate) fn hang_up(&mut self) {
        // From here on the peer cannot send more.
        if rustix::net::shutdown(&self.socket, Shutdown::Read).is_ok() {
            let mut buffer = [0; 4096];
            while self
                .receive(&mut buffer)
                .is_some_and(|bytes| !bytes.is_empty())
            {}
        }
    }

    /// Receives without waiting; [`None`] when there is nothing now, an empty slice at the end of what the peer sends.
    pub(crate) fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        loop {
            match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((count, _)) => return buffer.get(..count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return None,
                Err(_) => {
                    self.dead = true;
                    return None;
                }
            }
        }
    }

    /// Adds received bytes to the line that is coming, and takes the next whole line out of it. A line that is too long ends
    /// the connection.
    pub(crate) fn next_line(&mut self, received: &[u8]) -> Option<Vec<u8>> {
        let Role::Control { line, .. } = &mut self.role else {
            return None;
        };
        line.extend_from_slice(received);
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            let rest = line.split_off(end + 1);
            return Some(std::mem::replace(line, rest));
        }
        if line.len() > MAX_LINE_BYTES {
            self.dead = true;
        }
        None
    }

    /// Makes this connection a stream; what came behind the request's line is the first input.
    pub(crate) fn become_stream(
        &mut self,
        target: Target,
        streams: AttachStreams,
        raw: bool,
    ) -> Vec<u8> {
        let role = Role::Stream {
            target,
            streams,
            raw,
            input_ended: false,
        };
        match std::mem::replace(&mut self.role, role) {
            Role::Control { line, .. } => line,
            Role::Stream { .. } => Vec::new(),
        }
    }
}
