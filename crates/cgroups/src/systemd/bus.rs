//! A connection to a message bus, or to systemd itself: the greeting, calls and their answers, signals.
//!
//! Source: D-Bus Specification 0.43, Authentication Protocol, Server Addresses, Message Bus.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::wire::{HEAD_BYTES, Kind, Message, Value};

/// Where a bus listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system.
    Path(PathBuf),
    /// An abstract socket.
    Abstract(Vec<u8>),
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(formatter, "{}", path.display()),
            Self::Abstract(name) => write!(formatter, "@{}", String::from_utf8_lossy(name)),
        }
    }
}

/// The sockets of an address such as `unix:path=/run/user/0/bus,guid=…;unix:abstract=/tmp/x`. Other transports are left
/// out.
pub fn addresses(text: &str) -> Vec<Address> {
    text.split(';')
        .filter_map(|one| {
            one.strip_prefix("unix:")?.split(',').find_map(|pair| {
                let (key, value) = pair.split_once('=')?;
                let value = unescape(value)?;
                match key {
                    "path" => {
                        use std::os::unix::ffi::OsStringExt as _;
                        let path = PathBuf::from(std::ffi::OsString::from_vec(value));
                        path.is_absolute().then_some(Address::Path(path))
                    }
                    "abstract" => Some(Address::Abstract(value)),
                    _ => None,
                }
            })
        })
        .collect()
}

/// Undoes `%20` and the like.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

/// Why a call has no answer.
#[derive(Debug)]
pub enum CallError {
    /// The connection.
    Io(std::io::Error),
    /// The other side refuses: the name of the error and what it says.
    Refused {
        /// `org.freedesktop.systemd1.UnitExists`, …
        name: String,
        /// In words.
        message: String,
    },
    /// The other side does not speak as it should.
    Protocol(&'static str),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => match error.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
                    formatter.write_str("no answer in time")
                }
                _ => {
                    let text = error.to_string();
                    let text = text.split(" (os error").next().unwrap_or_default();
                    formatter.write_str(&text.to_ascii_lowercase())
                }
            },
            Self::Refused { name, message } if message.is_empty() => formatter.write_str(name),
            Self::Refused { name, message } => write!(formatter, "{message} ({name})"),
            Self::Protocol(what) => formatter.write_str(what),
        }
    }
}

impl From<std::io::Error> for CallError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Bus {
    stream: UnixStream,
    serial: u32,
    /// Signals that came while an answer was waited for.
    signals: VecDeque<Message>,
}

impl Bus {
    /// Connects and says who we are. A bus gives its members names, systemd's own socket does not.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn connect(address: &Address, is_bus: bool, patience: Duration) -> Result<Self, CallError> {
        let stream = match address {
            Address::Path(path) => UnixStream::connect(path)?,
            Address::Abstract(name) => {
                UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?
            }
        };
        Self::greet(stream, is_bus, patience)
    }

    /// The same on a stream that is there already.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn greet(stream: UnixStream, is_bus: bool, patience: Duration) -> Result<Self, CallError> {
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let mut bus = Self {
            stream,
            serial: 0,
            signals: VecDeque::new(),
        };
        // Who we are the kernel tells the other side; the name is the user's number in letters, in hexadecimal.
        let uid = rustix::process::geteuid().as_raw().to_string();
        let hex = uid.bytes().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").ok();
            hex
        });
        bus.stream
            .write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        if !bus.line()?.starts_with(b"OK ") {
            return Err(CallError::Protocol("we are not let in"));
        }
        bus.stream.write_all(b"BEGIN\r\n")?;
        if is_bus {
            bus.call(Message::call(
                Some("org.freedesktop.DBus"),
                "/org/freedesktop/DBus",
                "org.freedesktop.DBus",
                "Hello",
                Vec::new(),
            ))?;
        }
        Ok(bus)
    }

    /// One line of the greeting. Byte by byte: what follows it belongs to the messages.
    fn line(&mut self) -> Result<Vec<u8>, CallError> {
        const MAX_BYTES: usize = 4096;
        let mut line = Vec::new();
        while line.len() < MAX_BYTES {
            let mut byte = [0_u8];
            self.stream.read_exact(&mut byte)?;
            line.extend(byte);
            if line.ends_with(b"\r\n") {
                return Ok(line);
            }
        }
        Err(CallError::Protocol("it is no message bus"))
    }

    fn receive(&mut self) -> Result<Message, CallError> {
        let mut bytes = vec![0_u8; HEAD_BYTES];
        self.stream.read_exact(&mut bytes)?;
        let bad = CallError::Protocol("it sends what is no message");
        let Some(length) = Message::length(&bytes) else {
            return Err(bad);
        };
        bytes.resize(length, 0);
        let Some(rest) = bytes.get_mut(HEAD_BYTES..) else {
            return Err(bad);
        };
        self.stream.read_exact(rest)?;
        Message::parse(&bytes).ok_or(bad)
    }

    /// Calls a method and waits for its answer.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call(&mut self, mut call: Message) -> Result<Vec<Value>, CallError> {
        self.serial += 1;
        call.serial = self.serial;
        self.stream.write_all(&call.to_bytes())?;
        loop {
            let message = self.receive()?;
            match message.kind {
                Kind::Signal => self.signals.push_back(message),
                _ if message.reply_serial != Some(self.serial) => {}
                Kind::MethodReturn => return Ok(message.body),
                Kind::Error => {
                    return Err(CallError::Refused {
                        name: message.error_name.unwrap_or_default(),
                        message: message
                            .body
                            .first()
                            .and_then(Value::as_text)
                            .unwrap_or_default()
                            .to_owned(),
                    });
                }
                Kind::MethodCall => {}
            }
        }
    }

    /// The first signal, come already or still to come, that `wanted` has an answer for.
    ///
    /// # Errors
    /// [`CallError`]; no answer in time when there is none before `deadline`.
    pub fn wait_for<T>(
        &mut self,
        deadline: Instant,
        mut wanted: impl FnMut(&Message) -> Option<T>,
    ) -> Result<T, CallError> {
        loop {
            let message = if let Some(message) = self.signals.pop_front() {
                message
            } else {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(CallError::Io(std::io::ErrorKind::TimedOut.into()));
                }
                self.stream.set_read_timeout(Some(left))?;
                self.receive()?
            };
            if message.kind == Kind::Signal
                && let Some(answer) = wanted(&message)
            {
                return Ok(answer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_sockets_are_read() {
        assert_eq!(
            addresses("unix:path=/run/user/0/bus,guid=1;tcp:host=x;unix:abstract=/tmp/a%20b"),
            [
                Address::Path("/run/user/0/bus".into()),
                Address::Abstract(b"/tmp/a b".to_vec())
            ]
        );
        assert_eq!(addresses("unix:path=relative"), []);
        assert_eq!(addresses("unix:path=/x%2"), []);
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_addresses_or_none(text in "\\PC*") {
            drop(addresses(&text));
            drop(addresses(&format!("unix:path={text}")));
        }
    }
}
