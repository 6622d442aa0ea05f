//! A shim driven as the engine drives it: by the module documentation of `shim_protocol` and nothing else.

use std::collections::VecDeque;
use std::ffi::CString;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, WaitOptions, waitpid};
use shim_protocol::{
    AttachStreams, Call, Event, ExecRequest, ExitRecord, Failure, LogConfig, Message, Reply,
    Request, SHIM_CONFIG_FILE, SHIM_SOCKET_FILE, SHIM_STATE_FILE, ShimConfig,
};

use crate::bundle::{Bundle, DEADLINE, becomes, eventually};

pub(crate) const ALL: AttachStreams = AttachStreams {
    stdin: true,
    stdout: true,
    stderr: true,
};
pub(crate) const OUTPUT: AttachStreams = AttachStreams {
    stdin: false,
    stdout: true,
    stderr: true,
};

/// A connection that carries lines of JSON.
pub(crate) struct Control {
    pub(crate) stream: UnixStream,
    events: VecDeque<Message>,
    seq: u64,
}

impl Control {
    fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self {
            stream,
            events: VecDeque::new(),
            seq: 0,
        }
    }

    /// The next line, byte by byte: what comes behind it may not be JSON any more. [`None`] at the end.
    fn line(&mut self) -> Option<Message> {
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            match self.stream.read(&mut byte) {
                Ok(1) if byte == *b"\n" => return Some(serde_json::from_slice(&line).unwrap()),
                Ok(1) => line.extend(byte),
                Ok(_) => {
                    assert!(line.is_empty(), "half a line");
                    return None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("nothing came from the shim: {error}"),
            }
        }
    }

    /// The next message that is no reply.
    pub(crate) fn message(&mut self) -> Option<Message> {
        self.events.pop_front().or_else(|| self.line())
    }

    /// The next event of a kind that is waited for; others before it are passed over.
    #[track_caller]
    pub(crate) fn event<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        loop {
            match self.message() {
                Some(Message::Event(event)) => {
                    if let Some(found) = wanted(&event) {
                        return found;
                    }
                }
                other => panic!("no such event, but {other:?}"),
            }
        }
    }

    #[track_caller]
    pub(crate) fn exited(&mut self) -> ExitRecord {
        self.event(|event| match event {
            Event::Exited(record) => Some(record.clone()),
            _ => None,
        })
    }

    pub(crate) fn ask(&mut self, call: Call) -> Reply {
        self.seq += 1;
        let request = Request {
            seq: self.seq,
            call,
        };
        let mut line = serde_json::to_vec(&request).unwrap();
        line.push(b'\n');
        self.stream.write_all(&line).unwrap();
        loop {
            match self.line() {
                Some(Message::Reply { seq, reply }) => {
                    assert_eq!(seq, self.seq);
                    return reply;
                }
                Some(message) => self.events.push_back(message),
                None => panic!("the shim ended the connection instead of a reply"),
            }
        }
    }

    #[track_caller]
    pub(crate) fn done(&mut self, call: Call) {
        assert_eq!(self.ask(call), Reply::Done);
    }

    #[track_caller]
    pub(crate) fn refused(&mut self, call: Call) -> Failure {
        match self.ask(call) {
            Reply::Failed(failure) => failure,
            other => panic!("not refused: {other:?}"),
        }
    }
}

/// A shim with its container.
pub(crate) struct Shim<'a> {
    pub(crate) bundle: &'a Bundle,
    pub(crate) control: Control,
    pub(crate) process: i32,
}

/// Paths of a bundle's shim.
impl Bundle {
    pub(crate) fn exit_file(&self) -> PathBuf {
        self.path().join("exit.json")
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.path().join("container.log")
    }

    pub(crate) fn shim_messages(&self) -> String {
        std::fs::read_to_string(self.path().join("shim.log")).unwrap()
    }

    pub(crate) fn exit_record(&self) -> ExitRecord {
        serde_json::from_slice(&std::fs::read(self.exit_file()).unwrap()).unwrap()
    }

    fn shim_config(&self) -> ShimConfig {
        ShimConfig {
            version: shim_protocol::VERSION,
            oldest_version: shim_protocol::OLDEST_VERSION,
            id: self.id.clone(),
            runtime_root: self.state_root().to_str().unwrap().to_owned(),
            stdin_open: false,
            stdin_once: false,
            console_size: None,
            log: Some(LogConfig {
                path: self.log_file().to_str().unwrap().to_owned(),
                max_size_bytes: 0,
                max_files: 1,
                max_buffer_bytes: None,
            }),
            exit_file: self.exit_file().to_str().unwrap().to_owned(),
            attached: Vec::new(),
            trace: false,
        }
    }
}

impl Bundle {
    /// Writes what a shim reads.
    pub(crate) fn write_shim_config(&self) {
        self.write();
        let json = serde_json::to_vec(&self.shim_config()).unwrap();
        std::fs::write(self.path().join(SHIM_CONFIG_FILE), json).unwrap();
    }
}

impl<'a> Shim<'a> {
    /// Starts a shim whose container runs.
    #[track_caller]
    pub(crate) fn start(
        bundle: &'a Bundle,
        change: impl FnOnce(&mut ShimConfig),
    ) -> (Self, Vec<UnixStream>) {
        let (mut shim, streams) = Self::launch(bundle, change);
        match shim.control.message() {
            Some(Message::Started { pid, .. }) => {
                let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
                // It may have ended already.
                assert!(
                    status.is_err()
                        || status
                            .unwrap()
                            .contains(&format!("PPid:\t{}\n", shim.process))
                );
            }
            other => panic!("not started: {other:?}: {}", bundle.shim_messages()),
        }
        (shim, streams)
    }

    /// Starts a shim and leaves its first message.
    pub(crate) fn launch(
        bundle: &'a Bundle,
        change: impl FnOnce(&mut ShimConfig),
    ) -> (Self, Vec<UnixStream>) {
        let mut config = bundle.shim_config();
        change(&mut config);
        Self::launch_with(bundle, |path| {
            let json = serde_json::to_vec(&config).unwrap();
            std::fs::write(path.join(SHIM_CONFIG_FILE), json).unwrap();
        })
    }

    /// The same with a configuration that is written by `write` into the bundle.
    pub(crate) fn launch_with(
        bundle: &'a Bundle,
        write: impl FnOnce(&Path),
    ) -> (Self, Vec<UnixStream>) {
        bundle.write();
        write(bundle.path());
        let json = std::fs::read(bundle.path().join(SHIM_CONFIG_FILE)).unwrap();
        let config: ShimConfig = serde_json::from_slice(&json).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let messages = std::fs::File::options()
            .create(true)
            .append(true)
            .open(bundle.path().join("shim.log"))
            .unwrap();
        let (streams, their_streams): (Vec<_>, Vec<_>) = config
            .attached
            .iter()
            .map(|_| UnixStream::pair().unwrap())
            .unzip();
        let mut descriptors: Vec<BorrowedFd<'_>> =
            vec![theirs.as_fd(), messages.as_fd(), messages.as_fd()];
        descriptors.extend(their_streams.iter().map(std::os::fd::AsFd::as_fd));
        let argv = ["mini", "shim", "--bundle", bundle.path().to_str().unwrap()]
            .map(|word| CString::new(word).unwrap());
        let program = CString::new(env!("CARGO_BIN_EXE_mini")).unwrap();
        let process = sys::spawn::spawn(&program, &argv, &descriptors).unwrap();
        for stream in &streams {
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
        }
        let shim = Self {
            bundle,
            control: Control::new(ours),
            process,
        };
        (shim, streams)
    }

    /// A further connection, through the socket in the bundle.
    pub(crate) fn connect(&self) -> Control {
        Control::new(UnixStream::connect(self.bundle.path().join(SHIM_SOCKET_FILE)).unwrap())
    }

    /// A stream of the container's input and output.
    #[track_caller]
    pub(crate) fn attach(&self, streams: AttachStreams) -> UnixStream {
        let mut control = self.connect();
        control.done(Call::Attach(streams));
        control.stream
    }

    /// A process in the container: its id on the host, and its stream.
    #[track_caller]
    pub(crate) fn exec(
        &self,
        id: &str,
        args: &[&str],
        change: impl FnOnce(&mut ExecRequest),
    ) -> (i32, UnixStream) {
        let mut control = self.connect();
        match control.ask(Call::Exec(Box::new(self.exec_request(id, args, change)))) {
            Reply::ExecStarted { pid } => (pid, control.stream),
            other => panic!("not started: {other:?}"),
        }
    }

    pub(crate) fn exec_request(
        &self,
        id: &str,
        args: &[&str],
        change: impl FnOnce(&mut ExecRequest),
    ) -> ExecRequest {
        let mut process = self.bundle.config["process"].clone();
        process["args"] = serde_json::json!(args);
        process["terminal"] = serde_json::json!(false);
        let mut request = ExecRequest {
            exec_id: id.to_owned(),
            process,
            streams: OUTPUT,
            console_size: None,
        };
        change(&mut request);
        request
    }

    #[track_caller]
    pub(crate) fn signal(&mut self, signal: i32) {
        self.control.done(Call::Signal { signal, all: false });
    }

    /// Waits for the container's end, then for the shim's, and checks that nothing is left but the log and the record.
    #[track_caller]
    pub(crate) fn finish(mut self) -> ExitRecord {
        let record = self.control.exited();
        assert_eq!(
            self.bundle.exit_record(),
            record,
            "the record is not what was told"
        );
        self.wait_for_end();
        record
    }

    /// The shim ends by itself, and nothing is left.
    #[track_caller]
    pub(crate) fn wait_for_end(self) {
        drop(self.control);
        let pid = Pid::from_raw(self.process);
        let mut status = None;
        assert!(
            becomes(DEADLINE, || {
                status = waitpid(pid, WaitOptions::NOHANG).unwrap();
                status.is_some()
            }),
            "the shim does not end: {}",
            self.bundle.shim_messages()
        );
        assert_eq!(
            status.unwrap().1.exit_status(),
            Some(0),
            "{}",
            self.bundle.shim_messages()
        );
        assert_no_trace(self.bundle);
    }
}

pub(crate) fn assert_no_trace(bundle: &Bundle) {
    for name in [SHIM_SOCKET_FILE, SHIM_STATE_FILE] {
        assert!(!bundle.path().join(name).exists(), "{name} is left");
    }
    bundle.assert_nothing_left();
}

/// Both streams of a connection in Docker's frames, to their end.
pub(crate) fn frames(stream: &mut UnixStream) -> (String, String) {
    let mut streams = [Vec::new(), Vec::new()];
    while let Some((number, bytes)) = frame(stream) {
        streams[number - 1].extend(bytes);
    }
    let [out, err] = streams.map(|bytes| String::from_utf8(bytes).unwrap());
    (out, err)
}

/// One frame: the stream's number and its bytes.
pub(crate) fn frame(stream: &mut UnixStream) -> Option<(usize, Vec<u8>)> {
    let mut head = [0; 8];
    loop {
        match stream.read(&mut head[..1]) {
            Ok(0) => return None,
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("no frame: {error}"),
        }
    }
    stream.read_exact(&mut head[1..]).unwrap();
    let [number, 0, 0, 0, length @ ..] = head else {
        panic!("no frame begins with {head:?}")
    };
    let mut bytes = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut bytes).unwrap();
    Some((number.into(), bytes))
}

/// Reads frames until some text has come.
#[track_caller]
pub(crate) fn frames_until(stream: &mut UnixStream, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let (_, bytes) = frame(stream).unwrap_or_else(|| panic!("ended with {text:?}"));
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    text
}

/// The end of input, and of nothing else.
pub(crate) fn end_input(stream: &UnixStream) {
    stream.shutdown(Shutdown::Write).unwrap();
}

/// A log file's lines: stream, tag, text.
pub(crate) fn log_lines(path: &Path) -> Vec<(String, char, String)> {
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| {
            let mut parts = line.splitn(4, ' ');
            let time = parts.next().unwrap();
            assert!(time.len() == 30 && time.ends_with('Z'), "{line}");
            let stream = parts.next().unwrap().to_owned();
            let tag = parts.next().unwrap().chars().next().unwrap();
            (stream, tag, parts.next().unwrap().to_owned())
        })
        .collect()
}

#[track_caller]
pub(crate) fn eventually_logged(bundle: &Bundle, text: &str) {
    eventually(text, || {
        std::fs::read_to_string(bundle.log_file()).is_ok_and(|log| log.contains(text))
    });
}
