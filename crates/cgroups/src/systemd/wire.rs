//! Messages of D-Bus in bytes: as much of the format as talking to systemd takes.
//!
//! Written in little-endian order; read in either. What comes from the bus is checked against its own lengths and the
//! format's limits, and never trusted.
//! Source: D-Bus Specification 0.43, Type System, Message Protocol.

pub use super::value::Value;

/// Kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the specification")]
pub enum Kind {
    MethodCall,
    MethodReturn,
    Error,
    Signal,
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Its number, from 1.
    pub serial: u32,
    /// The number of the call it answers.
    pub reply_serial: Option<u32>,
    /// The object called, or whose signal it is.
    pub path: Option<String>,
    /// The interface of the member.
    pub interface: Option<String>,
    /// The method or signal.
    pub member: Option<String>,
    /// The name of an error.
    pub error_name: Option<String>,
    /// Whom it is for.
    pub destination: Option<String>,
    /// Its values.
    pub body: Vec<Value>,
}

/// Longest message, array, and depth that the specification permits.
const MAX_MESSAGE_BYTES: usize = 128 << 20;
const MAX_ARRAY_BYTES: usize = 64 << 20;
const MAX_DEPTH: u8 = 64;
/// The part of a message that tells how long it is.
pub const HEAD_BYTES: usize = 16;

impl Message {
    /// A call of a method.
    pub fn call(
        destination: Option<&str>,
        path: &str,
        interface: &str,
        member: &str,
        body: Vec<Value>,
    ) -> Self {
        Self {
            kind: Kind::MethodCall,
            serial: 0,
            reply_serial: None,
            path: Some(path.to_owned()),
            interface: Some(interface.to_owned()),
            member: Some(member.to_owned()),
            error_name: None,
            destination: destination.map(str::to_owned),
            body,
        }
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Writer::default();
        for value in &self.body {
            body.value(value);
        }
        let body = body.bytes;
        let kind = match self.kind {
            Kind::MethodCall => 1,
            Kind::MethodReturn => 2,
            Kind::Error => 3,
            Kind::Signal => 4,
        };
        let mut writer = Writer::default();
        // Little-endian, its kind, no flags, version 1.
        writer.bytes.extend([b'l', kind, 0, 1]);
        writer.length(body.len());
        writer.uint32(self.serial);
        let signature: String = self.body.iter().map(Value::signature).collect();
        let object = |path: &String| Value::ObjectPath(path.clone());
        let text = |text: &String| Value::String(text.clone());
        let fields: Vec<_> = [
            (1, self.path.as_ref().map(object)),
            (2, self.interface.as_ref().map(text)),
            (3, self.member.as_ref().map(text)),
            (4, self.error_name.as_ref().map(text)),
            (5, self.reply_serial.map(Value::Uint32)),
            (6, self.destination.as_ref().map(text)),
            (
                8,
                (!signature.is_empty()).then_some(Value::Signature(signature)),
            ),
        ]
        .into_iter()
        .filter_map(|(code, value)| {
            Some(Value::Struct(vec![
                Value::Byte(code),
                Value::Variant(Box::new(value?)),
            ]))
        })
        .collect();
        writer.value(&Value::Array("(yv)".into(), fields));
        writer.align(8);
        writer.bytes.extend(body);
        writer.bytes
    }

    /// The whole length of a message by its first [`HEAD_BYTES`]; `None` if they are not those of a message.
    pub fn length(head: &[u8]) -> Option<usize> {
        let mut reader = Reader::of(head)?;
        reader.at = 4;
        let body = usize::try_from(reader.uint32()?).ok()?;
        reader.at = 12;
        let fields = usize::try_from(reader.uint32()?).ok()?;
        let total = HEAD_BYTES
            .checked_add(fields)?
            .checked_next_multiple_of(8)?
            .checked_add(body)?;
        (total <= MAX_MESSAGE_BYTES).then_some(total)
    }

    /// A message from exactly its bytes; `None` if they are not those of a message.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if Self::length(bytes)? != bytes.len() {
            return None;
        }
        let mut reader = Reader::of(bytes)?;
        let kind = match *bytes.get(1)? {
            1 => Kind::MethodCall,
            2 => Kind::MethodReturn,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => return None,
        };
        reader.at = 8;
        let mut message = Self {
            kind,
            serial: reader.uint32()?,
            reply_serial: None,
            path: None,
            interface: None,
            member: None,
            error_name: None,
            destination: None,
            body: Vec::new(),
        };
        let mut signature = String::new();
        let Value::Array(_, fields) = reader.value("a(yv)", 0)? else {
            return None;
        };
        for field in fields {
            let Value::Struct(parts) = field else {
                return None;
            };
            let [Value::Byte(code), Value::Variant(value)] = parts.as_slice() else {
                return None;
            };
            let text = || value.as_text().map(str::to_owned);
            match code {
                1 => message.path = Some(text()?),
                2 => message.interface = Some(text()?),
                3 => message.member = Some(text()?),
                4 => message.error_name = Some(text()?),
                5 => match **value {
                    Value::Uint32(serial) => message.reply_serial = Some(serial),
                    _ => return None,
                },
                6 => message.destination = Some(text()?),
                8 => signature = text()?,
                // The sender, descriptors, and what later versions may add.
                _ => {}
            }
        }
        reader.align(8)?;
        let mut rest = signature.as_str();
        while !rest.is_empty() {
            let one = first_type(rest, 0)?;
            message.body.push(reader.value(one, 0)?);
            rest = rest.strip_prefix(one)?;
        }
        (reader.at == bytes.len()).then_some(message)
    }
}

/// The first whole type of a signature.
fn first_type(signature: &str, depth: u8) -> Option<&str> {
    if depth > MAX_DEPTH {
        return None;
    }
    let length = match signature.bytes().next()? {
        b'a' => 1 + first_type(signature.get(1..)?, depth + 1)?.len(),
        open @ (b'(' | b'{') => {
            let close = if open == b'(' { ')' } else { '}' };
            let mut at = 1;
            while !signature.get(at..)?.starts_with(close) {
                at += first_type(signature.get(at..)?, depth + 1)?.len();
            }
            // Neither may be empty.
            if at == 1 {
                return None;
            }
            at + 1
        }
        letter if b"ybnqiuxtdsoghv".contains(&letter) => 1,
        _ => return None,
    };
    signature.get(..length)
}

/// On what multiple a value of a type begins.
fn alignment(signature: &str) -> usize {
    match signature.bytes().next() {
        Some(b'n' | b'q') => 2,
        Some(b'b' | b'i' | b'u' | b's' | b'o' | b'a' | b'h') => 4,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 1,
    }
}

#[derive(Debug, Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn align(&mut self, to: usize) {
        let length = self.bytes.len().next_multiple_of(to);
        self.bytes.resize(length, 0);
    }

    fn uint32(&mut self, number: u32) {
        self.align(4);
        self.bytes.extend(number.to_le_bytes());
    }

    /// What we write is far from 4 GiB.
    fn length(&mut self, length: usize) {
        self.uint32(u32::try_from(length).unwrap_or(u32::MAX));
    }

    fn value(&mut self, value: &Value) {
        self.align(alignment(&value.signature()));
        match value {
            Value::Byte(byte) => self.bytes.push(*byte),
            Value::Boolean(yes) => self.uint32(u32::from(*yes)),
            Value::Int16(number) => self.bytes.extend(number.to_le_bytes()),
            Value::Uint16(number) => self.bytes.extend(number.to_le_bytes()),
            Value::Int32(number) => self.bytes.extend(number.to_le_bytes()),
            Value::Uint32(number) | Value::UnixFd(number) => self.uint32(*number),
            Value::Int64(number) => self.bytes.extend(number.to_le_bytes()),
            Value::Uint64(number) => self.bytes.extend(number.to_le_bytes()),
            Value::Double(number) => self.bytes.extend(number.to_le_bytes()),
            Value::String(text) | Value::ObjectPath(text) => {
                self.length(text.len());
                self.bytes.extend(text.as_bytes());
                self.bytes.push(0);
            }
            Value::Signature(text) => self.signature(text),
            Value::Array(items, values) => {
                self.length(0);
                let length_at = self.bytes.len() - 4;
                self.align(alignment(items));
                let start = self.bytes.len();
                for value in values {
                    self.value(value);
                }
                let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
                if let Some(place) = self.bytes.get_mut(length_at..length_at + 4) {
                    place.copy_from_slice(&length.to_le_bytes());
                }
            }
            Value::Struct(fields) => {
                for field in fields {
                    self.value(field);
                }
            }
            Value::DictEntry(key, value) => {
                self.value(key);
                self.value(value);
            }
            Value::Variant(value) => {
                self.signature(&value.signature());
                self.value(value);
            }
        }
    }

    fn signature(&mut self, text: &str) {
        self.bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }
}

#[derive(Debug)]
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    little: bool,
}

impl<'a> Reader<'a> {
    /// At the beginning of a message.
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let little = match *bytes.first()? {
            b'l' => true,
            b'B' => false,
            _ => return None,
        };
        (*bytes.get(3)? == 1).then_some(Self {
            bytes,
            at: 0,
            little,
        })
    }

    fn align(&mut self, to: usize) -> Option<()> {
        let at = self.at.checked_next_multiple_of(to)?;
        let padding = self.bytes.get(self.at..at)?;
        self.at = at;
        padding.iter().all(|byte| *byte == 0).then_some(())
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.align(N)?;
        let mut bytes: [u8; N] = self.take(N)?.try_into().ok()?;
        // From here on little-endian.
        if !self.little {
            bytes.reverse();
        }
        Some(bytes)
    }

    fn uint32(&mut self) -> Option<u32> {
        self.number().map(u32::from_le_bytes)
    }

    fn text(&mut self, length: usize) -> Option<String> {
        let text = self.take(length)?;
        if self.take(1)? != [0] || text.contains(&0) {
            return None;
        }
        String::from_utf8(text.to_vec()).ok()
    }

    fn signature(&mut self) -> Option<String> {
        let length = *self.take(1)?.first()?;
        self.text(length.into())
    }

    /// One value of one whole type.
    fn value(&mut self, signature: &str, depth: u8) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        let value = match signature.bytes().next()? {
            b'y' => Value::Byte(*self.take(1)?.first()?),
            b'b' => match self.uint32()? {
                0 => Value::Boolean(false),
                1 => Value::Boolean(true),
                _ => return None,
            },
            b'n' => Value::Int16(self.number().map(i16::from_le_bytes)?),
            b'q' => Value::Uint16(self.number().map(u16::from_le_bytes)?),
            b'i' => Value::Int32(self.number().map(i32::from_le_bytes)?),
            b'u' => Value::Uint32(self.uint32()?),
            b'h' => Value::UnixFd(self.uint32()?),
            b'x' => Value::Int64(self.number().map(i64::from_le_bytes)?),
            b't' => Value::Uint64(self.number().map(u64::from_le_bytes)?),
            b'd' => Value::Double(self.number().map(f64::from_le_bytes)?),
            b's' => {
                let length = usize::try_from(self.uint32()?).ok()?;
                Value::String(self.text(length)?)
            }
            b'o' => {
                let length = usize::try_from(self.uint32()?).ok()?;
                Value::ObjectPath(self.text(length)?)
            }
            b'g' => Value::Signature(self.signature()?),
            b'v' => {
                let signature = self.signature()?;
                if first_type(&signature, 0)? != signature {
                    return None;
                }
                Value::Variant(Box::new(self.value(&signature, depth + 1)?))
            }
            b'a' => self.array(signature.get(1..)?, depth)?,
            b'(' => {
                self.align(8)?;
                let mut rest = signature.get(1..signature.len().checked_sub(1)?)?;
                let mut fields = Vec::new();
                while !rest.is_empty() {
                    let one = first_type(rest, 0)?;
                    fields.push(self.value(one, depth + 1)?);
                    rest = rest.strip_prefix(one)?;
                }
                Value::Struct(fields)
            }
            b'{' => {
                self.align(8)?;
                let inner = signature.get(1..signature.len().checked_sub(1)?)?;
                let key = first_type(inner, 0)?;
                let of_value = inner.strip_prefix(key)?;
                if first_type(of_value, 0)? != of_value {
                    return None;
                }
                let key = self.value(key, depth + 1)?;
                Value::DictEntry(Box::new(key), Box::new(self.value(of_value, depth + 1)?))
            }
            _ => return None,
        };
        Some(value)
    }

    fn array(&mut self, items: &str, depth: u8) -> Option<Value> {
        let length = usize::try_from(self.uint32()?).ok()?;
        if length > MAX_ARRAY_BYTES {
            return None;
        }
        self.align(alignment(items))?;
        let end = self.at.checked_add(length)?;
        if end > self.bytes.len() {
            return None;
        }
        let mut values = Vec::new();
        // Every value is at least one byte long, so this ends.
        while self.at < end {
            values.push(self.value(items, depth + 1)?);
        }
        (self.at == end).then(|| Value::Array(items.to_owned(), values))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `dbus-daemon` 1.14 answered a Hello: recorded.
    const HELLO_REPLY: &[u8] = b"l\x02\x01\x01\t\0\0\0\x01\0\0\0=\0\0\0\
        \x06\x01s\0\x04\0\0\0:1.0\0\0\0\0\x05\x01u\0\x01\0\0\0\x08\x01g\0\x01s\0\0\
        \x07\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\x04\0\0\0:1.0\0";

    /// The signal that it sent behind it.
    const NAME_ACQUIRED: &[u8] = b"l\x04\x01\x01\t\0\0\0\x02\0\0\0\x8d\0\0\0\
        \x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0\x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\
        \x03\x01s\0\x0c\0\0\0NameAcquired\0\0\0\0\x06\x01s\0\x04\0\0\0:1.0\0\0\0\0\x08\x01g\0\x01s\0\0\
        \x07\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\x04\0\0\0:1.0\0";

    #[test]
    fn a_recorded_answer_is_read() {
        assert_eq!(Message::length(HELLO_REPLY), Some(HELLO_REPLY.len()));
        let message = Message::parse(HELLO_REPLY).unwrap();
        assert_eq!(message.kind, Kind::MethodReturn);
        assert_eq!(message.reply_serial, Some(1));
        assert_eq!(message.body, [Value::text(":1.0")]);
        let signal = Message::parse(NAME_ACQUIRED).unwrap();
        assert_eq!(signal.kind, Kind::Signal);
        assert_eq!(signal.member.as_deref(), Some("NameAcquired"));
        assert_eq!(signal.body, message.body);
    }

    #[test]
    fn every_cut_or_lengthened_message_is_refused() {
        for length in 0..HELLO_REPLY.len() {
            assert_eq!(Message::parse(&HELLO_REPLY[..length]), None);
        }
        let mut longer = HELLO_REPLY.to_vec();
        longer.push(0);
        assert_eq!(Message::parse(&longer), None);
    }

    #[test]
    fn types_are_found_whole() {
        assert_eq!(first_type("a(sv)u", 0), Some("a(sv)"));
        assert_eq!(first_type("a{sa{sv}}", 0), Some("a{sa{sv}}"));
        for bad in ["", "a", "(", "()", "(s", "z", "{}"] {
            assert_eq!(first_type(bad, 0), None, "{bad}");
        }
        assert_eq!(first_type(&"a".repeat(200), 0), None);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<u8>().prop_map(Value::Byte),
            any::<bool>().prop_map(Value::Boolean),
            any::<i16>().prop_map(Value::Int16),
            any::<u16>().prop_map(Value::Uint16),
            any::<i32>().prop_map(Value::Int32),
            any::<u32>().prop_map(Value::Uint32),
            any::<i64>().prop_map(Value::Int64),
            any::<u64>().prop_map(Value::Uint64),
            "[a-z/ ]{0,9}".prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(Value::Struct),
                inner
                    .clone()
                    .prop_map(|value| Value::Variant(Box::new(value))),
                (inner, 0_usize..3).prop_map(|(value, count)| {
                    Value::Array(value.signature(), vec![value; count])
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(body in prop::collection::vec(any_value(), 0..4), serial in 1_u32..) {
            let signature: String = body.iter().map(Value::signature).collect();
            prop_assume!(signature.len() < 256);
            let mut message = Message::call(Some("a.b"), "/a/b", "a.b.C", "Do", body);
            message.serial = serial;
            prop_assert_eq!(Message::parse(&message.to_bytes()), Some(message));
        }

        #[test]
        fn any_bytes_are_a_message_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::parse(&bytes);
        }

        #[test]
        fn a_message_with_changed_bytes_is_read_or_refused(at in 0_usize..96, byte in any::<u8>()) {
            let mut bytes = HELLO_REPLY.to_vec();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = Message::parse(&bytes);
        }
    }
}
