//! What is answered to a query, without any input or output.

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

/// How long an answer may be remembered. Short: a container that is replaced may get another address.
const TTL_SECONDS: u32 = 10;
/// Bytes of the header that every message begins with.
const HEADER_BYTES: usize = 12;

/// What to do with a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Send this.
    Reply(Vec<u8>),
    /// Ask the host's resolvers.
    Relay,
    /// Not a query; say nothing.
    Ignore,
}

/// What the directory knows, as one container sees it.
pub(super) trait Names {
    /// Addresses of a name; `None` when nobody bears it.
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>>;
    /// Name of an address.
    fn name_of(&self, address: IpAddr) -> Option<String>;
}

/// Decides about a query. `rotation` moves the first of several addresses, so that clients which take the first one
/// spread. `max_bytes` is what the transport carries; `None` follows what the client says it takes.
pub(super) fn decide(
    query: &[u8],
    names: &impl Names,
    rotation: usize,
    max_bytes: Option<usize>,
) -> Decision {
    let Ok(message) = Message::from_vec(query) else {
        return refuse(query, ResponseCode::FormErr);
    };
    if message.metadata.message_type != MessageType::Query {
        return Decision::Ignore;
    }
    if message.metadata.op_code != OpCode::Query {
        return refuse(query, ResponseCode::NotImp);
    }
    let [question] = message.queries.as_slice() else {
        return refuse(query, ResponseCode::FormErr);
    };
    if question.query_class() != DNSClass::IN {
        return Decision::Relay;
    }
    let Some(answers) = answers(question, names, rotation) else {
        return Decision::Relay;
    };
    let mut reply = Message::response(message.metadata.id, OpCode::Query);
    reply.metadata.recursion_desired = message.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.add_query(question.clone());
    reply.add_answers(answers);
    let max_bytes = max_bytes.unwrap_or_else(|| usize::from(message.max_payload()));
    let written = reply.to_vec().and_then(|bytes| {
        if bytes.len() <= max_bytes {
            Ok(bytes)
        } else {
            reply.truncate().to_vec()
        }
    });
    written.map_or_else(|_| refuse(query, ResponseCode::ServFail), Decision::Reply)
}

/// The answers to a question about our own names, which may be none; `None` when it is about others'.
fn answers(question: &Query, names: &impl Names, rotation: usize) -> Option<Vec<Record>> {
    let record = |data| Record::from_rdata(question.name().clone(), TTL_SECONDS, data);
    if question.query_type() == RecordType::PTR {
        let subnet = question.name().parse_arpa_name().ok()?;
        if subnet.prefix_len() != subnet.max_prefix_len() {
            return None;
        }
        let mut name = Name::from_ascii(names.name_of(subnet.addr())?).ok()?;
        name.set_fqdn(true);
        return Some(vec![record(RData::PTR(PTR(name)))]);
    }
    let mut addresses = names.addresses(&question.name().to_ascii())?;
    addresses.retain(|address| match question.query_type() {
        RecordType::A => address.is_ipv4(),
        RecordType::AAAA => address.is_ipv6(),
        RecordType::ANY => true,
        _ => false,
    });
    if !addresses.is_empty() {
        let first = rotation % addresses.len();
        addresses.rotate_left(first);
    }
    let data = |address| match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    };
    Some(
        addresses
            .into_iter()
            .map(|address| record(data(address)))
            .collect(),
    )
}

/// An answer with nothing but a code, for a query that may not even be readable.
pub(super) fn refuse(query: &[u8], code: ResponseCode) -> Decision {
    let Some(&[high, low, flags, ..]) = query.get(..HEADER_BYTES) else {
        return Decision::Ignore;
    };
    // The highest bit of the flags marks an answer: two servers must not go on answering each other.
    if flags & 0x80 != 0 {
        return Decision::Ignore;
    }
    let mut reply = Message::error_msg(u16::from_be_bytes([high, low]), OpCode::Query, code);
    if let Ok(message) = Message::from_vec(query) {
        reply.add_queries(message.queries);
    }
    reply.to_vec().map_or(Decision::Ignore, Decision::Reply)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Known;

    impl Names for Known {
        fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
            match name.trim_end_matches('.').to_ascii_lowercase().as_str() {
                "web" => Some(
                    ["10.0.0.2", "10.0.0.3"]
                        .map(|address| address.parse().unwrap())
                        .into(),
                ),
                "many" => Some(
                    (0..200)
                        .map(|last| IpAddr::from([10, 0, 1, last]))
                        .collect(),
                ),
                _ => None,
            }
        }

        fn name_of(&self, address: IpAddr) -> Option<String> {
            (address == "10.0.0.2".parse::<IpAddr>().unwrap()).then(|| "web.front".to_owned())
        }
    }

    fn query(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.to_vec().unwrap()
    }

    fn reply(query: &[u8], rotation: usize) -> Message {
        match decide(query, &Known, rotation, None) {
            Decision::Reply(bytes) => Message::from_vec(&bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn own_names_are_answered_in_turn() {
        let first = |rotation| {
            reply(&query("WEB.", RecordType::A), rotation).answers[0]
                .data
                .clone()
        };
        assert_eq!(first(0), RData::A(A::new(10, 0, 0, 2)));
        assert_eq!(first(1), RData::A(A::new(10, 0, 0, 3)));
        assert_eq!(reply(&query("web.", RecordType::A), 0).metadata.id, 7);
    }

    #[test]
    fn own_name_without_the_type_has_an_empty_answer() {
        let reply = reply(&query("web.", RecordType::AAAA), 0);
        assert_eq!(
            (reply.metadata.response_code, reply.answers.len()),
            (ResponseCode::NoError, 0)
        );
    }

    #[test]
    fn address_is_named() {
        let reply = reply(&query("2.0.0.10.in-addr.arpa.", RecordType::PTR), 0);
        assert_eq!(reply.answers[0].data.to_string(), "web.front.");
        assert_eq!(
            decide(
                &query("9.0.0.10.in-addr.arpa.", RecordType::PTR),
                &Known,
                0,
                None
            ),
            Decision::Relay
        );
    }

    #[test]
    fn other_names_are_relayed() {
        assert_eq!(
            decide(&query("example.org.", RecordType::A), &Known, 0, None),
            Decision::Relay
        );
    }

    #[test]
    fn answer_too_long_for_a_datagram_says_so() {
        let reply = reply(&query("many.", RecordType::A), 0);
        assert!(reply.metadata.truncation && reply.answers.is_empty());
        let whole = decide(&query("many.", RecordType::A), &Known, 0, Some(65_535));
        assert!(matches!(whole, Decision::Reply(bytes) if bytes.len() > 512));
    }

    proptest! {
        #[test]
        fn no_packet_panics(packet in proptest::collection::vec(any::<u8>(), 0..600)) {
            decide(&packet, &Known, 0, None);
        }

        #[test]
        fn no_changed_query_panics(position in 0_usize..40, byte: u8, cut in 0_usize..40) {
            let mut packet = query("web.front.", RecordType::A);
            if let Some(place) = packet.get_mut(position) {
                *place = byte;
            }
            packet.truncate(cut.max(1));
            decide(&packet, &Known, 3, None);
        }
    }
}
