//! A blocking rtnetlink socket: several requests go to the kernel in one packet, each answered on its own.
//!
//! A socket belongs to the namespace of the thread that opened it, wherever it is used later. Blocking code on the
//! namespace's own thread makes that visible; an answer comes from the kernel at once, so nothing waits long.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// A request of a batch.
#[derive(Debug)]
pub(super) struct Request {
    /// What it does, for the error: `create link mini0`.
    pub(super) operation: String,
    /// `NLM_F_*` beside `REQUEST` and `ACK`.
    pub(super) flags: u16,
    /// What is asked.
    pub(super) message: RouteNetlinkMessage,
}

/// The kernel's refusal of a request.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {source}")]
pub(super) struct NetlinkError {
    operation: String,
    /// The errno.
    pub(super) source: io::Error,
}

impl NetlinkError {
    /// An error beside the netlink answers, such as that of a setting.
    pub(super) fn of(operation: String, source: io::Error) -> Self {
        Self { operation, source }
    }

    fn new(operation: &str, source: io::Error) -> Self {
        Self {
            operation: operation.to_owned(),
            source,
        }
    }

    /// Whether the kernel answered with this error.
    pub(super) fn is(&self, errno: rustix::io::Errno) -> bool {
        self.source.raw_os_error() == Some(errno.raw_os_error())
    }
}

/// A socket to the kernel's routing tables of one namespace.
#[derive(Debug)]
pub(super) struct RouteSocket {
    socket: Socket,
    sequence: u32,
}

impl RouteSocket {
    /// Opens a socket in the namespace of the calling thread.
    pub(super) fn open() -> Result<Self, NetlinkError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(Self {
                socket,
                sequence: 0,
            })
        };
        open().map_err(|source| NetlinkError::new("open netlink socket", source))
    }

    /// Sends all requests in one packet and waits for every answer. The kernel carries out each, also after one that
    /// it refuses; the first refusal is returned.
    pub(super) fn submit(&mut self, requests: Vec<Request>) -> Result<(), NetlinkError> {
        let Some(first_operation) = requests.first().map(|request| request.operation.clone())
        else {
            return Ok(());
        };
        let mut packet = Vec::new();
        let mut awaited = Vec::new();
        for Request {
            operation,
            flags,
            message,
        } in requests
        {
            self.sequence = self.sequence.wrapping_add(1);
            append(
                &mut packet,
                flags | NLM_F_REQUEST | NLM_F_ACK,
                self.sequence,
                message,
            );
            awaited.push((self.sequence, operation));
        }
        self.socket
            .send(&packet, 0)
            .map_err(|source| NetlinkError::new(&first_operation, source))?;
        let mut refusal = None;
        while !awaited.is_empty() {
            for message in self.receive(&first_operation)? {
                let NetlinkPayload::Error(answer) = message.payload else {
                    continue;
                };
                let sequence = message.header.sequence_number;
                let Some(position) = awaited.iter().position(|(number, _)| *number == sequence)
                else {
                    continue;
                };
                let (_, operation) = awaited.swap_remove(position);
                if answer.code.is_some() && refusal.is_none() {
                    refusal = Some(NetlinkError {
                        operation,
                        source: answer.to_io(),
                    });
                }
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    /// Returns all objects that a `Get…` message lists.
    pub(super) fn list(
        &mut self,
        operation: &str,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = Vec::new();
        append(
            &mut packet,
            NLM_F_REQUEST | NLM_F_DUMP,
            self.sequence,
            message,
        );
        self.socket
            .send(&packet, 0)
            .map_err(|source| NetlinkError::new(operation, source))?;
        let mut found = Vec::new();
        loop {
            for message in self.receive(operation)? {
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                match message.payload {
                    NetlinkPayload::InnerMessage(object) => found.push(object),
                    NetlinkPayload::Done(_) => return Ok(found),
                    NetlinkPayload::Error(answer) if answer.code.is_some() => {
                        return Err(NetlinkError::new(operation, answer.to_io()));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Returns the messages of the next packet. One that cannot be read is left out: a newer kernel may say more.
    fn receive(
        &self,
        operation: &str,
    ) -> Result<Vec<NetlinkMessage<RouteNetlinkMessage>>, NetlinkError> {
        let (packet, _) = loop {
            match self.socket.recv_from_full() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(|source| NetlinkError::new(operation, source))?,
            }
        };
        let mut messages = Vec::new();
        let mut rest = packet.as_slice();
        while let Some(length) = message_length(rest) {
            let (message, tail) = rest.split_at(length);
            if let Ok(message) = NetlinkMessage::deserialize(message) {
                messages.push(message);
            }
            // Messages begin at multiples of four bytes.
            rest = tail
                .get(length.next_multiple_of(4) - length..)
                .unwrap_or_default();
        }
        Ok(messages)
    }
}

/// The length of the message that `packet` begins with; `None` at the end and when the packet is cut short.
fn message_length(packet: &[u8]) -> Option<usize> {
    let length = u32::from_ne_bytes(packet.get(..4)?.try_into().ok()?);
    let length = usize::try_from(length).ok()?;
    (length >= 16 && length <= packet.len()).then_some(length)
}

fn append(packet: &mut Vec<u8>, flags: u16, sequence: u32, message: RouteNetlinkMessage) {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let start = packet.len().next_multiple_of(4);
    packet.resize(start + message.buffer_len(), 0);
    if let Some(place) = packet.get_mut(start..) {
        message.serialize(place);
    }
    // The kernel steps from one message to the next by the aligned length.
    packet.resize(packet.len().next_multiple_of(4), 0);
}
