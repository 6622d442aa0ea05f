//! Adding and removing elements of nftables maps by netlink, without running a program: a published port is part of
//! every start of its container, and `nft` would cost more than all the rest of its network.

use std::io;
use std::net::Ipv4Addr;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

use super::port::Protocol;

// include/uapi/linux/netfilter/nfnetlink.h and nf_tables.h
const NFNL_MSG_BATCH_BEGIN: u16 = 16;
const NFNL_MSG_BATCH_END: u16 = 17;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFT_MSG_GETTABLE: u16 = 1;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_NEWGEN: u16 = 15;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_DELSETELEM: u16 = 14;
const NFPROTO_UNSPEC: u8 = 0;
const NFPROTO_INET: u8 = 1;
const NFPROTO_IPV4: u8 = 2;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NLA_F_NESTED: u16 = 1 << 15;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_CREATE: u16 = 0x400;
/// An attribute's length is a 16-bit number: this many elements of at most 60 bytes stay well below it.
const ELEMENTS_PER_MESSAGE: usize = 500;

/// The map of ports published on one address of the host.
pub(super) const ADDRESS_MAP: &str = "publish_address";
/// The map of ports published on every address of the host.
pub(super) const ANY_MAP: &str = "publish_any";

/// An element of one of the two maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PortKey {
    /// Address of the host; unspecified is every one.
    pub(super) host_ip: Ipv4Addr,
    /// Protocol.
    pub(super) protocol: Protocol,
    /// Port of the host.
    pub(super) host_port: u16,
}

/// Where a published port leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PortTarget {
    /// Address of the container.
    pub(super) address: Ipv4Addr,
    /// Port of the container.
    pub(super) port: u16,
}

impl PortKey {
    fn map(self) -> &'static str {
        if self.host_ip.is_unspecified() {
            ANY_MAP
        } else {
            ADDRESS_MAP
        }
    }

    /// The key as the kernel compares it: each part filled up to four bytes.
    fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(12);
        if !self.host_ip.is_unspecified() {
            bytes.extend(self.host_ip.octets());
        }
        bytes.extend([self.protocol.number(), 0, 0, 0]);
        bytes.extend(self.host_port.to_be_bytes());
        bytes.extend([0, 0]);
        bytes
    }
}

impl PortTarget {
    fn bytes(self) -> Vec<u8> {
        let mut bytes = self.address.octets().to_vec();
        bytes.extend(self.port.to_be_bytes());
        bytes.extend([0, 0]);
        bytes
    }
}

/// Adds elements to the maps of `table` in one transaction: all or none.
pub(super) fn add(table: &str, elements: &[(PortKey, PortTarget)]) -> io::Result<()> {
    let elements: Vec<_> = elements
        .iter()
        .map(|(key, target)| (*key, Some(*target)))
        .collect();
    transact(table, NFT_MSG_NEWSETELEM, NLM_F_CREATE, &elements)
}

/// Removes elements from the maps of `table` in one transaction. `NotFound` when one is not there: none is removed then.
pub(super) fn remove(table: &str, keys: &[PortKey]) -> io::Result<()> {
    let elements: Vec<_> = keys.iter().map(|key| (*key, None)).collect();
    transact(table, NFT_MSG_DELSETELEM, 0, &elements)
}

/// Whether the kernel has this table of ours.
pub(super) fn table_exists(table: &str) -> io::Result<bool> {
    exists(NFPROTO_INET, table)
}

/// Whether the kernel has the table that iptables' newer form filters IPv4 with.
pub(super) fn ip_filter_exists() -> bool {
    exists(NFPROTO_IPV4, "filter").unwrap_or(false)
}

fn exists(family: u8, table: &str) -> io::Result<bool> {
    let mut message = nfgen(family, 0);
    attribute(&mut message, NFTA_TABLE_NAME, &c_string(table));
    let mut packet = Vec::new();
    append(
        &mut packet,
        NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE,
        NLM_F_REQUEST | NLM_F_ACK,
        1,
        &message,
    );
    match exchange(&packet, 1) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a packet of the kernel's announcements tells of a change to another table than `own`, or of the removal of
/// `own`.
pub(super) fn concerns_others(packet: &[u8], own: &str) -> bool {
    let mut rest = packet;
    while let Some((kind, payload, tail)) = split_message(rest) {
        rest = tail;
        let kind = kind & 0xff;
        if kind == NFT_MSG_NEWGEN {
            continue;
        }
        // In every object's announcement the first attribute that names its table has the number 1.
        let is_own = table_of(payload).is_some_and(|table| table == own.as_bytes());
        if !is_own || kind == NFT_MSG_DELTABLE {
            return true;
        }
    }
    false
}

/// The attribute number 1 behind `struct nfgenmsg`, without the zero at its end.
fn table_of(payload: &[u8]) -> Option<&[u8]> {
    let mut rest = payload.get(4..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        let value = rest.get(4..length)?;
        if kind == NFTA_TABLE_NAME {
            return value.strip_suffix(&[0]);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

fn transact(
    table: &str,
    kind: u16,
    flags: u16,
    elements: &[(PortKey, Option<PortTarget>)],
) -> io::Result<()> {
    let mut packet = Vec::new();
    let mut sequence = 1;
    append(
        &mut packet,
        NFNL_MSG_BATCH_BEGIN,
        NLM_F_REQUEST,
        0,
        &nfgen(NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES),
    );
    for map in [ADDRESS_MAP, ANY_MAP] {
        let of_map: Vec<_> = elements
            .iter()
            .filter(|(key, _)| key.map() == map)
            .collect();
        for part in of_map.chunks(ELEMENTS_PER_MESSAGE) {
            let message = element_message(table, map, part);
            let kind = NFNL_SUBSYS_NFTABLES << 8 | kind;
            append(
                &mut packet,
                kind,
                NLM_F_REQUEST | NLM_F_ACK | flags,
                sequence,
                &message,
            );
            sequence += 1;
        }
    }
    if sequence == 1 {
        return Ok(());
    }
    append(
        &mut packet,
        NFNL_MSG_BATCH_END,
        NLM_F_REQUEST,
        sequence,
        &nfgen(NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES),
    );
    exchange(&packet, usize::try_from(sequence - 1).unwrap_or(usize::MAX))
}

fn element_message(table: &str, map: &str, elements: &[&(PortKey, Option<PortTarget>)]) -> Vec<u8> {
    let mut list = Vec::new();
    for (key, target) in elements {
        let mut element = Vec::new();
        value(&mut element, NFTA_SET_ELEM_KEY, &key.bytes());
        if let Some(target) = target {
            value(&mut element, NFTA_SET_ELEM_DATA, &target.bytes());
        }
        attribute(&mut list, NFTA_LIST_ELEM | NLA_F_NESTED, &element);
    }
    let mut message = nfgen(NFPROTO_INET, 0);
    attribute(&mut message, NFTA_SET_ELEM_LIST_TABLE, &c_string(table));
    attribute(&mut message, NFTA_SET_ELEM_LIST_SET, &c_string(map));
    attribute(
        &mut message,
        NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED,
        &list,
    );
    message
}

/// `struct nfgenmsg`: family, version 0, resource id in network order.
fn nfgen(family: u8, resource: u16) -> Vec<u8> {
    let [high, low] = resource.to_be_bytes();
    vec![family, 0, high, low]
}

fn c_string(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

fn value(buffer: &mut Vec<u8>, kind: u16, bytes: &[u8]) {
    let mut data = Vec::new();
    attribute(&mut data, NFTA_DATA_VALUE, bytes);
    attribute(buffer, kind | NLA_F_NESTED, &data);
}

fn attribute(buffer: &mut Vec<u8>, kind: u16, bytes: &[u8]) {
    let length = u16::try_from(bytes.len() + 4).unwrap_or(u16::MAX);
    buffer.extend(length.to_ne_bytes());
    buffer.extend(kind.to_ne_bytes());
    buffer.extend(bytes);
    buffer.resize(buffer.len().next_multiple_of(4), 0);
}

fn append(packet: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, message: &[u8]) {
    let length = u32::try_from(message.len() + 16).unwrap_or(u32::MAX);
    packet.extend(length.to_ne_bytes());
    packet.extend(kind.to_ne_bytes());
    packet.extend(flags.to_ne_bytes());
    packet.extend(sequence.to_ne_bytes());
    packet.extend(0_u32.to_ne_bytes());
    packet.extend(message);
}

/// Sends a packet and reads answers until the first refusal or `acknowledgements` of them.
fn exchange(packet: &[u8], acknowledgements: usize) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(packet, 0)?;
    let mut missing = acknowledgements;
    while missing > 0 {
        let (answer, _) = socket.recv_from_full()?;
        let mut rest = answer.as_slice();
        while let Some((kind, payload, tail)) = split_message(rest) {
            if kind == NLMSG_ERROR {
                let code = payload
                    .get(..4)
                    .and_then(|code| code.try_into().ok())
                    .map_or(0, i32::from_ne_bytes);
                if code != 0 {
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                }
                missing = missing.saturating_sub(1);
            }
            rest = tail;
        }
    }
    Ok(())
}

/// Splits the first message off: its type, its payload, what follows.
fn split_message(packet: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(packet.get(..4)?.try_into().ok()?)).ok()?;
    let kind = u16::from_ne_bytes(packet.get(4..6)?.try_into().ok()?);
    let payload = packet.get(16..length)?;
    Some((
        kind,
        payload,
        packet.get(length.next_multiple_of(4)..).unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn elements_are_written_as_nft_writes_them() {
        // Recorded from `nft add element inet x publish_address { 127.0.0.1 . tcp . 1001 : 10.0.0.2 . 80 }`.
        let key = PortKey {
            host_ip: Ipv4Addr::LOCALHOST,
            protocol: Protocol::Tcp,
            host_port: 1001,
        };
        let target = PortTarget {
            address: Ipv4Addr::new(10, 0, 0, 2),
            port: 80,
        };
        let message = element_message("x", ADDRESS_MAP, &[&(key, Some(target))]);
        let elements = b"\x28\x00\x01\x80\x14\x00\x01\x80\x10\x00\x01\x00\x7f\x00\x00\x01\x06\x00\x00\x00\x03\xe9\x00\x00\
            \x10\x00\x02\x80\x0c\x00\x01\x00\x0a\x00\x00\x02\x00\x50\x00\x00";
        assert!(message.ends_with(elements));
    }

    #[test]
    fn changes_of_others_are_told_from_our_own() {
        let announce = |kind: u16, table: &str| {
            let mut message = nfgen(NFPROTO_INET, 0);
            attribute(&mut message, NFTA_TABLE_NAME, &c_string(table));
            let mut packet = Vec::new();
            append(
                &mut packet,
                NFNL_SUBSYS_NFTABLES << 8 | kind,
                0,
                0,
                &message,
            );
            packet
        };
        assert!(!concerns_others(
            &announce(NFT_MSG_NEWSETELEM, "ours"),
            "ours"
        ));
        assert!(concerns_others(&announce(NFT_MSG_DELTABLE, "ours"), "ours"));
        assert!(concerns_others(
            &announce(NFT_MSG_NEWSETELEM, "filter"),
            "ours"
        ));
        assert!(!concerns_others(&announce(NFT_MSG_NEWGEN, "x"), "ours"));
    }

    proptest! {
        #[test]
        fn no_answer_panics(packet in proptest::collection::vec(any::<u8>(), 0..80)) {
            concerns_others(&packet, "containeros");
            let mut rest = packet.as_slice();
            while let Some((_, _, tail)) = split_message(rest) {
                prop_assert!(tail.len() < rest.len());
                rest = tail;
            }
        }
    }
}
