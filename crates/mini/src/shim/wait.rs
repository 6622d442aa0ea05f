//! What the shim waits for: the one place where it sleeps.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::clock;
use crate::error::{Error, Result};
use crate::shim::connection::{Connection, Role, Target};
use crate::shim::log::{Log, Stream};
use crate::shim::server::Server;
use crate::shim::streams::Streams;

/// More clients at a time are kept waiting: the shim must not run out of descriptors.
const MAX_CONNECTIONS: usize = 256;

/// What a polled descriptor is.
#[derive(Clone, Debug)]
pub(super) enum Token {
    Listener,
    Signals,
    Oom,
    Log,
    Output(Target, Stream),
    Input(Target),
    /// Its index, and whether the peer is gone.
    Connection(usize, bool),
}

impl Server<'_> {
    /// Waits until something happens, or there is something to do by the clock.
    ///
    /// # Errors
    /// `Sys` when waiting is not possible.
    pub(super) fn wait(&self) -> Result<Vec<Token>> {
        let mut wanted: Vec<(Token, BorrowedFd<'_>, PollFlags)> = Vec::new();
        wanted.push((Token::Signals, self.signals.as_fd(), PollFlags::IN));
        if let Some(listener) = &self.listener
            && self.connections.len() < MAX_CONNECTIONS
        {
            wanted.push((Token::Listener, listener.as_fd(), PollFlags::IN));
        }
        if let Some(oom) = &self.oom {
            wanted.push((Token::Oom, oom.as_fd(), PollFlags::IN));
        }
        if let Some((fd, flags)) = self.log.as_ref().and_then(Log::wanted) {
            wanted.push((Token::Log, fd, flags));
        }
        for (target, streams) in self.all_streams() {
            if !self
                .connections
                .iter()
                .any(|connection| connection.carries(&target) && connection.is_full())
            {
                wanted.extend(streams.sources().map(|(stream, fd)| {
                    (Token::Output(target.clone(), stream), fd, PollFlags::IN)
                }));
            }
            if let Some(fd) = streams.input_wanted() {
                wanted.push((Token::Input(target), fd, PollFlags::OUT));
            }
        }
        for (index, connection) in self.connections.iter().enumerate() {
            let mut flags = PollFlags::empty();
            if connection.has_unsent() {
                flags |= PollFlags::OUT;
            }
            if self.listens_to(connection) {
                flags |= PollFlags::IN;
            }
            wanted.push((Token::Connection(index, false), connection.fd(), flags));
        }
        let mut fds: Vec<PollFd<'_>> = wanted
            .iter()
            .map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
            .collect();
        let timeout = self.timeout();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Vec::new()),
            Err(errno) => return Err(Error::sys("wait", "for events", errno)),
        }
        let happened = wanted
            .iter()
            .zip(&fds)
            .filter(|(_, fd)| !fd.revents().is_empty());
        Ok(happened
            .map(|((token, ..), fd)| match token {
                Token::Connection(index, _) => Token::Connection(
                    *index,
                    fd.revents().intersects(PollFlags::HUP | PollFlags::ERR),
                ),
                other => other.clone(),
            })
            .collect())
    }

    /// How long to wait at most; without a client that is waited for and without a count to come, for ever.
    fn timeout(&self) -> Option<Timespec> {
        let at_ns = self
            .connections
            .iter()
            .filter_map(|connection| connection.given_up_at_ns(self.is_shared(connection)))
            .chain(self.oom_look.map(|(at_ns, _)| at_ns))
            .min()?;
        let left = std::time::Duration::from_nanos(at_ns.saturating_sub(clock::monotonic_ns()));
        Timespec::try_from(left).ok()
    }

    fn listens_to(&self, connection: &Connection) -> bool {
        match &connection.role {
            Role::Control { .. } => !connection.closing,
            Role::Stream {
                target,
                streams,
                input_ended,
                ..
            } => {
                streams.stdin
                    && !input_ended
                    && self.streams_of(target).is_some_and(Streams::takes_input)
            }
        }
    }

    fn all_streams(&self) -> impl Iterator<Item = (Target, &Streams)> {
        let execs = self
            .execs
            .iter()
            .map(|(id, exec)| (Target::Exec(id.clone()), &exec.streams));
        std::iter::once((Target::Container, &self.streams)).chain(execs)
    }
}
