//! Cgroups through systemd: a container's cgroup is that of a scope, a unit that systemd makes on request.
//!
//! Where systemd runs the machine (or the user's session) it owns the tree: who makes cgroups beside it may lose them or
//! their limits when systemd next looks. So it is asked, over D-Bus: to start a scope with a process and limits, to change
//! them, to stop it. The client is our own since it is small, and libraries for it are larger than the whole runtime.
//!
//! - [`wire`]: messages as bytes; [`bus`]: a connection; [`unit`]: names and paths; [`properties`]: limits in systemd's terms;
//!   [`annotation`]: other properties that a container asks for.
//!
//! Source: org.freedesktop.systemd1(5); <https://systemd.io/CGROUP_DELEGATION>.

pub mod annotation;
pub mod bus;
pub mod properties;
pub mod unit;
mod value;
pub mod wire;

use std::env;
use std::time::{Duration, Instant};

use bus::{Address, Bus, CallError};
pub use properties::{Flavour, Property};
pub use unit::Scope;
use wire::{Message, Value};

use crate::Error;

/// How long systemd may take for a unit. It waits for others of its jobs first.
const PATIENCE: Duration = Duration::from_secs(30);

const SYSTEMD: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// Whose systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The machine's.
    System,
    /// That of the user who runs us.
    User,
}

impl Owner {
    /// The slice of containers that name none.
    pub fn default_slice(self) -> &'static str {
        match self {
            Self::System => "system.slice",
            Self::User => "user.slice",
        }
    }

    /// Where it may listen, the bus first; with whether it is a bus or systemd itself, which serves without one too.
    fn addresses(self) -> Vec<(Address, bool)> {
        let own = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let path = |text: String| Address::Path(text.into());
        let mut all: Vec<(Address, bool)> = Vec::new();
        let variable = match self {
            Self::System => "DBUS_SYSTEM_BUS_ADDRESS",
            Self::User => "DBUS_SESSION_BUS_ADDRESS",
        };
        if let Some(text) = own(variable) {
            all.extend(bus::addresses(&text).into_iter().map(|one| (one, true)));
        }
        match self {
            Self::System => {
                if all.is_empty() {
                    all.push((path("/run/dbus/system_bus_socket".into()), true));
                    all.push((path("/run/systemd/private".into()), false));
                }
            }
            Self::User => {
                let directory = own("XDG_RUNTIME_DIR").unwrap_or_else(|| {
                    format!("/run/user/{}", rustix::process::geteuid().as_raw())
                });
                if all.is_empty() {
                    all.push((path(format!("{directory}/bus")), true));
                }
                all.push((path(format!("{directory}/systemd/private")), false));
            }
        }
        all
    }
}

/// A connection to systemd.
#[derive(Debug)]
pub struct Manager {
    bus: Bus,
    is_bus: bool,
    address: String,
    version: u32,
}

impl Manager {
    /// Connects to systemd and asks it for its version.
    ///
    /// # Errors
    /// [`Error::NoSystemd`] when none answers.
    pub fn connect(owner: Owner) -> Result<Self, Error> {
        let mut first = None;
        for (address, is_bus) in owner.addresses() {
            let connected = Bus::connect(&address, is_bus, PATIENCE)
                .and_then(|bus| Self::on(bus, is_bus, address.to_string()));
            match connected {
                Ok(manager) => return Ok(manager),
                Err(error) => {
                    first.get_or_insert((address, error));
                }
            }
        }
        let (address, reason) = first.map_or_else(
            || ("any socket".to_owned(), "no address is known".to_owned()),
            |(address, error)| (address.to_string(), error.to_string()),
        );
        Err(Error::NoSystemd {
            address,
            reason,
            user: owner == Owner::User,
        })
    }

    /// The same on a connection that is there already.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn on(bus: Bus, is_bus: bool, address: String) -> Result<Self, CallError> {
        let mut manager = Self {
            bus,
            is_bus,
            address,
            version: 0,
        };
        let text = manager.property("Version")?;
        manager.version = version(&text).unwrap_or_default();
        Ok(manager)
    }

    /// systemd's version: 252.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The cgroup that its units are below: empty for the machine's, `/user.slice/…/user@1000.service` for a user's.
    ///
    /// # Errors
    /// [`Error::Systemd`].
    pub fn control_group(&mut self) -> Result<String, Error> {
        self.property("ControlGroup")
            .map_err(|error| self.failed("read ControlGroup of", "systemd", &error))
    }

    fn property(&mut self, name: &str) -> Result<String, CallError> {
        let answer = self.bus.call(Message::call(
            self.is_bus.then_some(SYSTEMD),
            OBJECT,
            "org.freedesktop.DBus.Properties",
            "Get",
            vec![Value::text(MANAGER), Value::text(name)],
        ))?;
        match answer.as_slice() {
            [Value::Variant(value)] => value
                .as_text()
                .map(str::to_owned)
                .ok_or(CallError::Protocol("a property is no text")),
            _ => Err(CallError::Protocol("a property is no variant")),
        }
    }

    fn call(&mut self, member: &str, body: Vec<Value>) -> Result<Vec<Value>, CallError> {
        let destination = self.is_bus.then_some(SYSTEMD);
        self.bus
            .call(Message::call(destination, OBJECT, MANAGER, member, body))
    }

    fn failed(&self, operation: &'static str, unit: &str, error: &CallError) -> Error {
        Error::Systemd {
            operation,
            unit: unit.to_owned(),
            reason: format!("{error} (on {})", self.address),
        }
    }

    /// Makes a scope with a process in it, and waits until it is there. A failed one of the same name is cleared away.
    ///
    /// # Errors
    /// [`Error::Systemd`].
    pub fn start_scope(
        &mut self,
        scope: &Scope,
        description: &str,
        pid: u32,
        limits: &[Property],
    ) -> Result<(), Error> {
        let mut properties = vec![
            ("Description".to_owned(), Value::text(description)),
            ("Slice".to_owned(), Value::text(scope.slice.clone())),
            // The tree below is ours: systemd leaves alone what it was not told.
            ("Delegate".to_owned(), Value::Boolean(true)),
            (
                "PIDs".to_owned(),
                Value::Array("u".into(), vec![Value::Uint32(pid)]),
            ),
            ("DefaultDependencies".to_owned(), Value::Boolean(false)),
        ];
        for name in [
            "MemoryAccounting",
            "CPUAccounting",
            "IOAccounting",
            "TasksAccounting",
        ] {
            properties.push((name.to_owned(), Value::Boolean(true)));
        }
        properties.extend(limits.iter().cloned());
        let body = vec![
            Value::text(scope.name.clone()),
            Value::text("replace"),
            property_array(&properties),
            Value::Array("(sa(sv))".into(), Vec::new()),
        ];
        self.subscribe()
            .map_err(|error| self.failed("follow the jobs of", "systemd", &error))?;
        let mut answer = self.call("StartTransientUnit", body.clone());
        if let Err(CallError::Refused { name, .. }) = &answer
            && name.ends_with(".UnitExists")
        {
            self.reset_failed(scope);
            answer = self.call("StartTransientUnit", body);
        }
        let started = answer.and_then(|job| self.finish(&job, &scope.name));
        match started {
            Ok(result) if result == "done" => Ok(()),
            Ok(result) => {
                self.reset_failed(scope);
                Err(Error::Systemd {
                    operation: "start",
                    unit: scope.name.clone(),
                    reason: format!("the job ended with {result:?}"),
                })
            }
            Err(error) => {
                self.reset_failed(scope);
                Err(self.failed("start", &scope.name, &error))
            }
        }
    }

    /// Moves a process into a scope.
    ///
    /// # Errors
    /// [`Error::Systemd`].
    pub fn attach(&mut self, scope: &Scope, pid: u32) -> Result<(), Error> {
        let body = vec![
            Value::text(scope.name.clone()),
            Value::text("/"),
            Value::Array("u".into(), vec![Value::Uint32(pid)]),
        ];
        self.call("AttachProcessesToUnit", body)
            .map(drop)
            .map_err(|error| self.failed("move a process into", &scope.name, &error))
    }

    /// Ends a scope; one that is gone is fine.
    ///
    /// # Errors
    /// [`Error::Systemd`].
    pub fn stop(&mut self, scope: &Scope) -> Result<(), Error> {
        self.subscribe()
            .map_err(|error| self.failed("follow the jobs of", "systemd", &error))?;
        let body = vec![Value::text(scope.name.clone()), Value::text("replace")];
        let stopped = self
            .call("StopUnit", body)
            .and_then(|job| self.finish(&job, &scope.name));
        self.reset_failed(scope);
        match stopped {
            Ok(_) => Ok(()),
            Err(CallError::Refused { name, .. }) if name.ends_with(".NoSuchUnit") => Ok(()),
            Err(error) => Err(self.failed("stop", &scope.name, &error)),
        }
    }

    /// Gives a scope other properties, until the machine is started anew.
    ///
    /// # Errors
    /// [`Error::Systemd`].
    pub fn set_properties(&mut self, scope: &Scope, properties: &[Property]) -> Result<(), Error> {
        if properties.is_empty() {
            return Ok(());
        }
        let body = vec![
            Value::text(scope.name.clone()),
            Value::Boolean(true),
            property_array(properties),
        ];
        self.call("SetUnitProperties", body)
            .map(drop)
            .map_err(|error| self.failed("set properties of", &scope.name, &error))
    }

    /// Asks to be told of jobs. systemd's own socket tells all of them.
    fn subscribe(&mut self) -> Result<(), CallError> {
        if !self.is_bus {
            return Ok(());
        }
        let rule = format!(
            "type='signal',sender='{SYSTEMD}',path='{OBJECT}',interface='{MANAGER}',member='JobRemoved'"
        );
        self.bus.call(Message::call(
            Some("org.freedesktop.DBus"),
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus",
            "AddMatch",
            vec![Value::String(rule)],
        ))?;
        match self.call("Subscribe", Vec::new()) {
            // Once is enough.
            Err(CallError::Refused { name, .. }) if name.ends_with(".AlreadySubscribed") => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Waits for the end of a job: `done`, `failed`, …
    fn finish(&mut self, job: &[Value], unit: &str) -> Result<String, CallError> {
        let [Value::ObjectPath(job)] = job else {
            return Err(CallError::Protocol("a job is no object"));
        };
        self.bus.wait_for(Instant::now() + PATIENCE, |signal| {
            job_result(signal, job, unit)
        })
    }

    /// A unit that failed stays known by its name until this; what is not known is fine.
    fn reset_failed(&mut self, scope: &Scope) {
        self.call("ResetFailedUnit", vec![Value::text(scope.name.clone())])
            .ok();
    }
}

/// The result in a `JobRemoved` signal about a job.
fn job_result(signal: &Message, job: &str, unit: &str) -> Option<String> {
    if signal.member.as_deref() != Some("JobRemoved") {
        return None;
    }
    match signal.body.as_slice() {
        [_, path, name, result, ..]
            if path.as_text() == Some(job) && name.as_text() == Some(unit) =>
        {
            result.as_text().map(str::to_owned)
        }
        _ => None,
    }
}

fn property_array(properties: &[Property]) -> Value {
    let items = properties
        .iter()
        .map(|(name, value)| {
            Value::Struct(vec![
                Value::text(name.clone()),
                Value::Variant(Box::new(value.clone())),
            ])
        })
        .collect();
    Value::Array("(sv)".into(), items)
}

/// The number in `252.39-1~deb12u1` or `v245.4`.
fn version(text: &str) -> Option<u32> {
    let digits = text.trim_start_matches(['"', 'v']);
    let end = digits
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;
    use wire::{HEAD_BYTES, Kind};

    #[test]
    fn versions_of_distributions_are_read() {
        for text in ["252.39-1~deb12u1", "v252", "252", "\"v252\""] {
            assert_eq!(version(text), Some(252), "{text}");
        }
        assert_eq!(version("x"), None);
    }

    /// The other end: greets, then answers each call by `answer`; the members called.
    fn serve(mut stream: UnixStream, answer: impl Fn(&Message) -> Vec<Message>) -> Vec<String> {
        let mut greeting = Vec::new();
        let mut byte = [0_u8];
        let mut line = |stream: &mut UnixStream| {
            greeting.clear();
            while !greeting.ends_with(b"\r\n") {
                stream.read_exact(&mut byte).unwrap();
                greeting.extend(byte);
            }
            String::from_utf8(greeting.clone()).unwrap()
        };
        assert!(line(&mut stream).starts_with("\0AUTH EXTERNAL "));
        stream.write_all(b"OK 0123456789abcdef\r\n").unwrap();
        assert_eq!(line(&mut stream), "BEGIN\r\n");
        let mut called = Vec::new();
        loop {
            let mut bytes = vec![0; HEAD_BYTES];
            if stream.read_exact(&mut bytes).is_err() {
                return called;
            }
            bytes.resize(Message::length(&bytes).unwrap(), 0);
            stream.read_exact(&mut bytes[HEAD_BYTES..]).unwrap();
            let call = Message::parse(&bytes).unwrap();
            for mut message in answer(&call) {
                message.serial = 7;
                message.reply_serial = message.reply_serial.map(|_| call.serial);
                stream.write_all(&message.to_bytes()).unwrap();
            }
            called.push(call.member.unwrap());
        }
    }

    fn reply(kind: Kind, body: Vec<Value>) -> Message {
        Message {
            kind,
            reply_serial: Some(0),
            path: None,
            interface: None,
            member: None,
            ..Message::call(None, "/", "a.b", "c", body)
        }
    }

    fn removed(job: &str, result: &str) -> Message {
        let body = vec![
            Value::Uint32(1),
            Value::ObjectPath(job.into()),
            Value::text("a-1.scope"),
            Value::text(result),
        ];
        Message {
            kind: Kind::Signal,
            ..Message::call(None, OBJECT, MANAGER, "JobRemoved", body)
        }
    }

    fn talk(
        answer: impl Fn(&Message) -> Vec<Message> + Send,
        work: impl FnOnce(&mut Manager),
    ) -> Vec<String> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        std::thread::scope(|scope| {
            let served = scope.spawn(|| serve(theirs, answer));
            let bus = Bus::greet(ours, true, Duration::from_secs(10)).unwrap();
            let mut manager = Manager::on(bus, true, "here".into()).unwrap();
            work(&mut manager);
            drop(manager);
            served.join().unwrap()
        })
    }

    fn usual(call: &Message) -> Vec<Message> {
        let body = match call.member.as_deref().unwrap() {
            "Hello" => vec![Value::text(":1.1")],
            "Get" => vec![Value::Variant(Box::new(Value::text("252.1")))],
            "StartTransientUnit" | "StopUnit" => vec![Value::ObjectPath("/job/5".into())],
            _ => Vec::new(),
        };
        vec![reply(Kind::MethodReturn, body)]
    }

    fn scope() -> Scope {
        Scope {
            slice: "system.slice".into(),
            name: "a-1.scope".into(),
        }
    }

    #[test]
    fn a_scope_is_started_when_its_own_job_is_done() {
        let called = talk(
            |call| {
                let mut all = usual(call);
                if call.member.as_deref() == Some("StartTransientUnit") {
                    let Value::Array(_, properties) = &call.body[2] else {
                        panic!("{call:?}")
                    };
                    assert!(
                        properties
                            .iter()
                            .any(|property| matches!(property, Value::Struct(parts)
                        if parts[0] == Value::text("PIDs")))
                    );
                    // Another job ends before, and ours before its answer.
                    all.insert(0, removed("/job/4", "failed"));
                    all.insert(1, removed("/job/5", "done"));
                }
                all
            },
            |manager| {
                assert_eq!(manager.version(), 252);
                manager.start_scope(&scope(), "x", 1, &[]).unwrap();
            },
        );
        assert_eq!(
            called,
            [
                "Hello",
                "Get",
                "AddMatch",
                "Subscribe",
                "StartTransientUnit"
            ]
        );
    }

    #[test]
    fn a_job_that_fails_is_an_error_and_its_unit_is_cleared_away() {
        let called = talk(
            |call| {
                let mut all = usual(call);
                if call.member.as_deref() == Some("StartTransientUnit") {
                    all.push(removed("/job/5", "failed"));
                }
                all
            },
            |manager| {
                let error = manager.start_scope(&scope(), "x", 1, &[]).unwrap_err();
                assert!(error.to_string().contains("\"failed\""), "{error}");
            },
        );
        assert_eq!(called.last().unwrap(), "ResetFailedUnit");
    }

    #[test]
    fn a_scope_that_is_gone_is_stopped() {
        talk(
            |call| {
                if call.member.as_deref() == Some("StopUnit") {
                    let mut error = reply(Kind::Error, vec![Value::text("not loaded")]);
                    error.error_name = Some("org.freedesktop.systemd1.NoSuchUnit".into());
                    return vec![error];
                }
                usual(call)
            },
            |manager| manager.stop(&scope()).unwrap(),
        );
    }

    #[test]
    fn a_refusal_says_what_and_where() {
        talk(
            |call| {
                if call.member.as_deref() == Some("SetUnitProperties") {
                    let mut error = reply(Kind::Error, vec![Value::text("Access denied")]);
                    error.error_name = Some("org.freedesktop.DBus.Error.AccessDenied".into());
                    return vec![error];
                }
                usual(call)
            },
            |manager| {
                let property = ("TasksMax".to_owned(), Value::Uint64(1));
                let error = manager.set_properties(&scope(), &[property]).unwrap_err();
                let text = error.to_string();
                assert!(
                    text.contains("set properties of a-1.scope: Access denied"),
                    "{text}"
                );
                assert!(text.contains("on here"), "{text}");
            },
        );
    }
}
