//! What the parent and the child tell each other between `clone3` and `execve`: a pair of packet sockets, both
//! close-on-exec, so that the program's start shows as the end of the child's messages.

use std::cell::Cell;
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use serde::{Deserialize, Serialize};
use shim_protocol::TraceStep;

use crate::error::{Error, Result};
use crate::seccomp::Filter;
use crate::trace::Trace;

/// A message of the child.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromChild {
    /// Namespaces and mounts are made, and it is in its cgroup; hooks of the runtime may run, the child waits for
    /// [`FromParent::Go`]. Told only when there are such hooks.
    Mounted,
    /// Of a process that makes the container's first one: its id, its pidfd comes with this message.
    Relayed(i32),
    /// The source of this mount is out of its reach; the socket to answer on comes with this message.
    Source(usize),
    /// A terminal: its master comes with this message.
    Terminal,
    /// Steps it has taken, when a trace is recorded; more than one such message may come.
    Steps(Vec<TraceStep>),
    /// Its system call filter has a listener, by this number among its descriptors; it waits for [`FromParent::Go`].
    Listener(i32),
    /// Everything is done but `execve`; the child waits for the gate of `start`.
    Created,
    /// The next thing is `execve`.
    Executing,
    /// It cannot go on; it ends.
    Failed(Error),
}

/// A message of the parent.
#[derive(Clone, Debug)]
pub enum FromParent {
    /// The cgroup has its limits: the child may enter it. With its system call filter, compiled while the child mounts.
    Limited(Option<Filter>),
    /// The new user namespace has its ids.
    Mapped,
    /// Hooks have run, or the listener is taken.
    Go,
}

/// Either end.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    /// Whether the other end is still there to hear.
    heard: Cell<bool>,
}

/// The longest message in bytes; a trace of some dozens of steps fits many times.
const MAX_MESSAGE_BYTES: usize = 128 * 1024;
/// So many steps, with paths of the longest kind, fit a message.
const STEPS_PER_MESSAGE: usize = 8;

/// Makes both ends.
///
/// # Errors
/// `Sys`.
pub fn channel() -> Result<(Channel, Channel)> {
    let (parent, child) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|errno| Error::sys("socketpair", "", errno))?;
    let end = |socket| Channel {
        socket,
        heard: Cell::new(true),
    };
    Ok((end(parent), end(child)))
}

impl Channel {
    /// From now on waiting for the other end is an error after this time.
    ///
    /// # Errors
    /// `Sys`.
    pub fn set_patience(&self, patience: Duration) -> Result<()> {
        rustix::net::sockopt::set_socket_timeout(
            &self.socket,
            rustix::net::sockopt::Timeout::Recv,
            Some(patience),
        )
        .map_err(|errno| Error::sys("set", "the time to wait", errno))
    }

    /// From now on nobody hears what is told.
    pub fn parent_is_gone(&self) {
        self.heard.set(false);
    }

    /// Sends a message of the child, with a descriptor if there is one. A parent that has died meanwhile is the end of the
    /// child too, by SIGPIPE.
    ///
    /// # Errors
    /// `Sys` when the parent is gone.
    pub fn tell_parent(
        &self,
        message: &FromChild,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<()> {
        if !self.heard.get() {
            return Ok(());
        }
        let error = |errno| Error::sys("tell the parent", "", errno);
        let bytes = serde_json::to_vec(message)
            .map_err(|error| Error::invalid(format!("encode a message: {error}")))?;
        if bytes.len() > MAX_MESSAGE_BYTES {
            return Err(error(Errno::MSGSIZE));
        }
        match descriptor {
            Some(descriptor) => {
                sys::socket::send_descriptor(self.socket.as_fd(), &bytes, descriptor)
                    .map_err(|error| Error::sys("tell the parent", "", error))
            }
            // `write`, which every filter permits that permits a program at all; a profile without sockets has no `sendto`.
            None => rustix::io::write(&self.socket, &bytes)
                .map(drop)
                .map_err(error),
        }
    }

    /// Sends the steps that the child has taken since it last did, in messages that are not too long. Nothing when no trace is
    /// recorded.
    pub fn tell_steps(&self, trace: &mut Trace) {
        let mut rest = trace.take_steps();
        while !rest.is_empty() {
            let later = rest.split_off(rest.len().min(STEPS_PER_MESSAGE));
            // A record that cannot be delivered is no reason not to start: the parent is gone, or a step is too long to tell.
            drop(self.tell_parent(&FromChild::Steps(rest), None));
            rest = later;
        }
    }

    /// Tells the parent the number of the filter's listener, and waits until it is taken. Until then each call that the
    /// filter asks about is stopped with nobody to answer: the first thing is `write`, with nothing that could need memory.
    ///
    /// # Errors
    /// `Sys` when the parent is gone.
    pub fn offer_listener(&self, listener: BorrowedFd<'_>) -> Result<()> {
        let mut message = [0u8; 32];
        let mut rest = message.as_mut_slice();
        // The same as `FromChild::Listener` would be.
        write!(rest, "{{\"Listener\":{}}}", listener.as_raw_fd())
            .map_err(|error| Error::sys("tell the parent", "", error))?;
        let length = message
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(message.len());
        rustix::io::write(&self.socket, message.get(..length).unwrap_or_default())
            .map_err(|errno| Error::sys("tell the parent", "", errno))?;
        match self.hear_parent()? {
            FromParent::Go => Ok(()),
            FromParent::Limited(_) | FromParent::Mapped => {
                Err(Error::sys("hear the parent", "", Errno::PROTO))
            }
        }
    }

    /// Waits for the child's next message; [`None`] when it has executed its program or is gone.
    ///
    /// # Errors
    /// `Sys`.
    pub fn hear_child(&self, buffer: &mut Vec<u8>) -> Result<Option<(FromChild, Option<OwnedFd>)>> {
        buffer.resize(MAX_MESSAGE_BYTES, 0);
        let (length, descriptor) = loop {
            match sys::socket::receive_descriptor(self.socket.as_fd(), buffer) {
                Ok(received) => break received,
                Err(error) if error.raw_os_error() == Some(Errno::INTR.raw_os_error()) => {}
                // The child ended without reading what we told it. Said once, before what it told us.
                Err(error) if error.raw_os_error() == Some(Errno::CONNRESET.raw_os_error()) => {}
                Err(error) => return Err(Error::sys("hear the child", "", error)),
            }
        };
        if length == 0 {
            return Ok(None);
        }
        let message = serde_json::from_slice(buffer.get(..length).unwrap_or_default())
            .map_err(|error| Error::invalid(format!("decode the child's message: {error}")))?;
        Ok(Some((message, descriptor)))
    }

    /// Sends a message of the parent.
    ///
    /// # Errors
    /// `Sys` when the child is gone.
    pub fn tell_child(&self, message: &FromParent) -> Result<()> {
        let bytes = match message {
            FromParent::Limited(None) => b"l".to_vec(),
            FromParent::Limited(Some(filter)) => [b"f", filter.encode().as_slice()].concat(),
            FromParent::Mapped => b"m".to_vec(),
            FromParent::Go => b"g".to_vec(),
        };
        rustix::net::send(&self.socket, &bytes, SendFlags::NOSIGNAL)
            .map(drop)
            .map_err(|errno| Error::sys("tell the child", "", errno))
    }

    /// Waits for the parent's next message.
    ///
    /// # Errors
    /// `Sys` when the parent is gone.
    pub fn hear_parent(&self) -> Result<FromParent> {
        let mut buffer = vec![0u8; 64 * 1024];
        loop {
            // `read`: see `tell_parent`.
            let length = match rustix::io::read(&self.socket, buffer.as_mut_slice()) {
                Ok(length) => length,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(Error::sys("hear the parent", "", errno)),
            };
            let gone = || Error::sys("hear the parent", "", Errno::PIPE);
            return match buffer.get(..length).unwrap_or_default() {
                b"m" => Ok(FromParent::Mapped),
                b"g" => Ok(FromParent::Go),
                b"l" => Ok(FromParent::Limited(None)),
                [b'f', filter @ ..] => Filter::decode(filter)
                    .map(|filter| FromParent::Limited(Some(filter)))
                    .ok_or_else(gone),
                _ => Err(gone()),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_error_crosses_whole_and_the_end_is_seen() {
        let (parent, child) = channel().unwrap();
        let error = Error::new(ErrorKind::ExecutableNotFound, "x").in_step("execve");
        child
            .tell_parent(&FromChild::Failed(error.clone()), None)
            .unwrap();
        drop(child);
        let mut buffer = Vec::new();
        match parent.hear_child(&mut buffer).unwrap() {
            Some((FromChild::Failed(heard), None)) => assert_eq!(heard, error),
            other => panic!("{other:?}"),
        }
        assert!(parent.hear_child(&mut buffer).unwrap().is_none());
    }

    #[test]
    fn a_listener_is_offered_by_its_number() {
        let (parent, child) = channel().unwrap();
        let number = child.socket.as_raw_fd();
        parent.tell_child(&FromParent::Go).unwrap();
        child.offer_listener(child.socket.as_fd()).unwrap();
        match parent.hear_child(&mut Vec::new()).unwrap() {
            Some((FromChild::Listener(told), None)) => assert_eq!(told, number),
            other => panic!("{other:?}"),
        }
    }
}
