//! The few messages to the kernel's network configuration that moving a device takes.
//!
//! Source: `man 7 netlink`, `man 7 rtnetlink`; kernel include/uapi/linux/{netlink,rtnetlink,if_link,if_addr}.h.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socket_with};

use crate::error::{Error, Result};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_DUMP: u16 = 0x300;

const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const IFA_FLAGS: u16 = 8;
const IFF_UP: u32 = 1;
const IFA_F_PERMANENT: u32 = 0x80;
const SCOPE_UNIVERSE: u8 = 0;

/// Bytes of the header of each message.
const HEADER_BYTES: usize = 16;
/// Bytes of `struct ifinfomsg`.
const LINK_BYTES: usize = 16;
/// Bytes of `struct ifaddrmsg`.
const ADDRESS_BYTES: usize = 8;

/// An address of a device, as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    family: u8,
    prefix_bits: u8,
    flags: u32,
    scope: u8,
    /// `IFA_ADDRESS`, `IFA_LOCAL`, `IFA_BROADCAST`.
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// Whether it is one that the user gave and that means the same elsewhere: permanent, and of global scope.
    pub(crate) fn outlives_a_move(&self) -> bool {
        self.flags & IFA_F_PERMANENT != 0 && self.scope == SCOPE_UNIVERSE
    }
}

/// A socket to the configuration of one network namespace.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Opens one in the namespace that this process is in.
    ///
    /// # Errors
    /// `Sys`.
    pub(crate) fn open() -> Result<Self> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            // NETLINK_ROUTE is 0.
            None,
        )
        .map_err(|errno| Error::sys("open", "a socket to the network's configuration", errno))?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// The number of a device.
    pub(crate) fn index_of(&mut self, name: &str) -> Result<u32, Errno> {
        let mut body = link(0, 0, 0);
        attribute(&mut body, IFLA_IFNAME, &terminated(name));
        let answers = self.ask(RTM_GETLINK, 0, &body)?;
        let (_, link) = answers.first().ok_or(Errno::NODEV)?;
        number(link, 4).ok_or(Errno::PROTO)
    }

    /// Turns a device on or off.
    pub(crate) fn set_up(&mut self, index: u32, up: bool) -> Result<(), Errno> {
        let flags = if up { IFF_UP } else { 0 };
        self.ask(RTM_NEWLINK, NLM_F_ACK, &link(index, flags, IFF_UP))
            .map(drop)
    }

    /// Moves a device to another namespace, by a descriptor of that, and names it anew.
    pub(crate) fn move_to(&mut self, index: u32, name: &str, namespace: i32) -> Result<(), Errno> {
        let mut body = link(index, 0, 0);
        attribute(&mut body, IFLA_IFNAME, &terminated(name));
        attribute(&mut body, IFLA_NET_NS_FD, &namespace.to_ne_bytes());
        self.ask(RTM_NEWLINK, NLM_F_ACK, &body).map(drop)
    }

    /// The addresses of a device.
    pub(crate) fn addresses(&mut self, index: u32) -> Result<Vec<Address>, Errno> {
        let answers = self.ask(RTM_GETADDR, NLM_F_DUMP, &[0; ADDRESS_BYTES])?;
        Ok(answers
            .iter()
            .filter(|(kind, body)| *kind == RTM_NEWADDR && number(body, 4) == Some(index))
            .filter_map(|(_, body)| address(body))
            .collect())
    }

    /// Gives a device an address.
    pub(crate) fn add_address(&mut self, index: u32, address: &Address) -> Result<(), Errno> {
        let mut body = vec![address.family, address.prefix_bits, 0, address.scope];
        body.extend(index.to_ne_bytes());
        for (kind, value) in &address.attributes {
            attribute(&mut body, *kind, value);
        }
        self.ask(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &body)
            .map(drop)
    }

    /// Sends a request and takes all that answers it: types and bodies.
    fn ask(&mut self, kind: u16, flags: u16, body: &[u8]) -> Result<Vec<(u16, Vec<u8>)>, Errno> {
        self.sequence += 1;
        let length = u32::try_from(HEADER_BYTES + body.len()).map_err(|_| Errno::MSGSIZE)?;
        let mut message = Vec::with_capacity(HEADER_BYTES + body.len());
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((flags | NLM_F_REQUEST).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(body);
        rustix::net::send(&self.socket, &message, SendFlags::empty())?;
        let is_dump = flags & NLM_F_DUMP == NLM_F_DUMP;
        let waits_for_word = is_dump || flags & NLM_F_ACK != 0;
        let mut answers = Vec::new();
        let mut buffer = vec![0u8; 65536];
        loop {
            let (length, _) = match rustix::net::recv(&self.socket, &mut buffer, RecvFlags::empty())
            {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            for (kind, sequence, body) in messages(buffer.get(..length).unwrap_or_default()) {
                if sequence != self.sequence {
                    continue;
                }
                match kind {
                    NLMSG_DONE => return Ok(answers),
                    NLMSG_ERROR => {
                        let code = number(body, 0).ok_or(Errno::PROTO)?.cast_signed();
                        return match code {
                            0 => Ok(answers),
                            code => Err(Errno::from_raw_os_error(code.saturating_neg())),
                        };
                    }
                    _ => answers.push((kind, body.to_vec())),
                }
            }
            if !waits_for_word && !answers.is_empty() {
                return Ok(answers);
            }
        }
    }
}

/// `struct ifinfomsg` of a device.
fn link(index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut body = Vec::with_capacity(LINK_BYTES);
    body.extend([0; 4]);
    body.extend(index.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body.extend(change.to_ne_bytes());
    body
}

fn terminated(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

/// Adds an attribute, filled up to the next multiple of four bytes.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// The messages in what was received: type, sequence number, body.
fn messages(mut bytes: &[u8]) -> Vec<(u16, u32, &[u8])> {
    let mut found = Vec::new();
    while let Some(header) = bytes.get(..HEADER_BYTES) {
        let (Some(length), Some(kind), Some(sequence)) =
            (number(header, 0), short(header, 4), number(header, 8))
        else {
            break;
        };
        let length = usize::try_from(length).unwrap_or(0);
        let Some(body) = bytes.get(HEADER_BYTES..length) else {
            break;
        };
        found.push((kind, sequence, body));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

fn address(body: &[u8]) -> Option<Address> {
    let mut address = Address {
        family: *body.first()?,
        prefix_bits: *body.get(1)?,
        flags: u32::from(*body.get(2)?),
        scope: *body.get(3)?,
        attributes: Vec::new(),
    };
    let mut rest = body.get(ADDRESS_BYTES..)?;
    while let (Some(length), Some(kind)) = (short(rest, 0), short(rest, 2)) {
        let length = usize::from(length);
        let Some(value) = rest.get(4..length) else {
            break;
        };
        match kind {
            // IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST.
            1 | 2 | 4 => address.attributes.push((kind, value.to_vec())),
            IFA_FLAGS => address.flags = number(value, 0)?,
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(address)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_ne_bytes(bytes))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attributes_are_filled_up() {
        let mut body = Vec::new();
        attribute(&mut body, IFLA_IFNAME, b"ab\0");
        assert_eq!(body.len(), 8);
        assert_eq!(short(&body, 0), Some(7));
    }

    #[test]
    fn this_machines_loopback_is_found() {
        let mut socket = Socket::open().unwrap();
        assert_eq!(socket.index_of("lo").unwrap(), 1);
        assert_eq!(socket.index_of("no-such-device").unwrap_err(), Errno::NODEV);
        // An address of it is the host's own.
        for address in socket.addresses(1).unwrap() {
            assert!(
                address.scope != SCOPE_UNIVERSE
                    || address.family == 10
                    || address.attributes.len() > 1
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for (_, _, body) in messages(&bytes) {
                prop_assert!(body.len() <= bytes.len());
            }
            let _address = address(&bytes);
        }
    }
}
