//! Talking to the process that stays with a container.

use std::{
    collections::HashMap,
    ffi::CString,
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt as _, net},
    },
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{WaitOptions, waitpid};
use shim_protocol::{
    AttachStreams, Call, Failure, FailureCode, MAX_LINE_BYTES, Message, Reply, Request,
    SHIM_SOCKET_FILE,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::oneshot,
};

use crate::error::{EngineError, Result};

/// How long a shim may take to answer; it does nothing that takes long, but the machine may be loaded.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The engine's side of a control connection.
#[derive(Debug)]
pub(crate) struct Shim {
    bundle_dir: PathBuf,
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// `None` once the connection has ended.
    replies: Option<HashMap<u64, oneshot::Sender<Reply>>>,
    /// Who wants to know how an exec of the engine's own ends, by its id.
    execs: HashMap<String, oneshot::Sender<i32>>,
}

/// What comes from the shim by itself.
#[derive(Debug)]
pub(crate) struct ShimReader {
    reader: BufReader<OwnedReadHalf>,
    line: Vec<u8>,
}

/// The `mini` program as shims run it: an unwritable double, made once, so that not each of them makes its own.
#[derive(Debug)]
pub(crate) struct ShimProgram {
    path: PathBuf,
    /// Kept open for its path.
    _double: Option<OwnedFd>,
}

impl ShimProgram {
    /// Takes the program at `mini`. Where no double can be made shims see to it themselves, or say why they cannot.
    pub(crate) fn of(mini: &Path) -> Self {
        match sys::sealed::double(mini) {
            Ok(double) => Self {
                path: sys::sealed::path_of(&double),
                _double: Some(double),
            },
            Err(error) => {
                tracing::warn!(program = %mini.display(), %error, "make an unwritable double of the runtime");
                Self {
                    path: mini.to_owned(),
                    _double: None,
                }
            }
        }
    }
}

/// Starts `mini shim` for a bundle and returns our end of its control connection and its process id. The caller reaps
/// it.
///
/// # Errors
/// `Internal` when the program cannot be executed.
pub(super) fn spawn(
    program: &ShimProgram,
    bundle_dir: &Path,
    clients: &[net::UnixStream],
) -> Result<(net::UnixStream, i32)> {
    let mini = &program.path;
    let run = || EngineError::io::<io::Error>("run", mini.display().to_string());
    let (ours, theirs) = net::UnixStream::pair().map_err(run())?;
    let log = std::fs::File::create(bundle_dir.join("shim.log")).map_err(EngineError::io(
        "create the shim's log in",
        bundle_dir.display(),
    ))?;
    let text = |path: &Path| {
        CString::new(path.as_os_str().as_bytes()).map_err(EngineError::io("run", mini.display()))
    };
    let argv = [
        c"mini".to_owned(),
        c"shim".to_owned(),
        c"--bundle".to_owned(),
        text(bundle_dir)?,
    ];
    let mut descriptors: Vec<BorrowedFd<'_>> = vec![theirs.as_fd(), log.as_fd(), log.as_fd()];
    descriptors.extend(clients.iter().map(std::os::fd::AsFd::as_fd));
    let pid = sys::spawn::spawn(&text(mini)?, &argv, &descriptors).map_err(run())?;
    ours.set_nonblocking(true).map_err(run())?;
    Ok((ours, pid))
}

/// Connects to the shim that an earlier engine left.
///
/// # Errors
/// Those of `connect`: nobody listens.
pub(super) async fn connect(bundle_dir: &Path) -> io::Result<UnixStream> {
    let dir = std::fs::File::open(bundle_dir)?;
    // Through the descriptor: the path may be longer than a socket's address.
    let short = Path::new("/proc/self/fd")
        .join(dir.as_raw_fd().to_string())
        .join(SHIM_SOCKET_FILE);
    UnixStream::connect(short).await
}

impl Shim {
    /// Splits a control connection into the side that asks and the side that listens.
    pub(super) fn new(stream: UnixStream, bundle_dir: PathBuf) -> (Self, ShimReader) {
        let (reader, writer) = stream.into_split();
        let shim = Self {
            bundle_dir,
            writer: tokio::sync::Mutex::new(writer),
            waiting: Mutex::new(Waiting {
                next: 1,
                replies: Some(HashMap::new()),
                execs: HashMap::new(),
            }),
        };
        let reader = ShimReader {
            reader: BufReader::new(reader),
            line: Vec::new(),
        };
        (shim, reader)
    }

    /// Asks the shim on the control connection and returns its answer.
    ///
    /// # Errors
    /// `Conflict` when the container does not run any more, what the shim refuses, `Internal` when it does not answer.
    pub(crate) async fn call(&self, call: Call) -> Result<Reply> {
        let (sender, receiver) = oneshot::channel();
        let seq = {
            let mut waiting = self.lock();
            let seq = waiting.next;
            waiting.next += 1;
            let Some(replies) = &mut waiting.replies else {
                return Err(gone());
            };
            replies.insert(seq, sender);
            seq
        };
        let mut line = serde_json::to_vec(&Request { seq, call })
            .map_err(EngineError::io("write a request to", "the shim"))?;
        line.push(b'\n');
        let exchange = async {
            self.writer
                .lock()
                .await
                .write_all(&line)
                .await
                .map_err(|_ignored| gone())?;
            receiver.await.map_err(|_ignored| gone())
        };
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, exchange).await;
        if let (Err(_), Some(replies)) = (&answered, &mut self.lock().replies) {
            replies.remove(&seq);
        }
        let reply = answered.map_err(EngineError::io("wait for", "an answer of the shim"))??;
        refused(reply)
    }

    /// Asks for a stream (attach, exec) on a connection of its own. Returns the answer, the connection, and the bytes of
    /// the stream that came with the answer.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) async fn open_stream(&self, call: Call) -> Result<(Reply, UnixStream, Vec<u8>)> {
        let exchange = async {
            let mut stream = connect(&self.bundle_dir).await.map_err(|_ignored| gone())?;
            let mut line = serde_json::to_vec(&Request { seq: 1, call })
                .map_err(EngineError::io("write a request to", "the shim"))?;
            line.push(b'\n');
            stream.write_all(&line).await.map_err(|_ignored| gone())?;
            let mut received = Vec::new();
            let end = loop {
                if let Some(end) = received.iter().position(|byte| *byte == b'\n') {
                    break end;
                }
                let count = stream.read_buf(&mut received).await.unwrap_or(0);
                if count == 0 || received.len() > MAX_LINE_BYTES {
                    return Err(gone());
                }
            };
            let early = received.split_off(end + 1);
            match serde_json::from_slice(&received) {
                Ok(Message::Reply { reply, .. }) => Ok((refused(reply)?, stream, early)),
                Ok(other) => Err(EngineError::internal(
                    "understand",
                    "the shim",
                    format!("unexpected {other:?}"),
                )),
                Err(error) => Err(EngineError::internal("understand", "the shim", error)),
            }
        };
        tokio::time::timeout(ANSWER_TIMEOUT, exchange)
            .await
            .map_err(EngineError::io("wait for", "an answer of the shim"))?
    }

    /// Makes a stream of the container's input and output.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) async fn attach(&self, streams: AttachStreams) -> Result<(UnixStream, Vec<u8>)> {
        let (_, stream, early) = self.open_stream(Call::Attach(streams)).await?;
        Ok((stream, early))
    }

    /// Begins with a later number, after requests that were sent before this existed.
    pub(super) fn skip_to(&self, sent: usize) {
        self.lock().next += sent as u64;
    }

    /// Hands a reply to who waits for it.
    pub(super) fn deliver(&self, seq: u64, reply: Reply) {
        let waiting = self.lock().replies.as_mut().and_then(|r| r.remove(&seq));
        if let Some(sender) = waiting {
            // Who asked may have given up.
            drop(sender.send(reply));
        }
    }

    /// Returns what will be the status of an exec that is about to be started.
    pub(super) fn await_exec(&self, exec_id: &str) -> oneshot::Receiver<i32> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.execs.retain(|_, sender| !sender.is_closed());
        waiting.execs.insert(exec_id.to_owned(), sender);
        receiver
    }

    /// Hands the status of an exec to who waits for it; false when nobody does.
    pub(super) fn exec_ended(&self, exec_id: &str, exit_code: i32) -> bool {
        let sender = self.lock().execs.remove(exec_id);
        sender.is_some_and(|sender| sender.send(exit_code).is_ok())
    }

    /// Tells everybody who waits that no answer will come.
    pub(super) fn close(&self) {
        let mut waiting = self.lock();
        waiting.replies = None;
        waiting.execs.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShimReader {
    /// Returns the next message, `None` at the end of the connection. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Message> {
        loop {
            match self.reader.read_until(b'\n', &mut self.line).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
            if !self.line.ends_with(b"\n") {
                // The end of the connection in the middle of a line comes as such with the next read.
                continue;
            }
            let message = serde_json::from_slice(&self.line);
            self.line.clear();
            match message {
                Ok(message) => return Some(message),
                // A newer shim may say what we do not know.
                Err(error) => tracing::warn!(%error, "a message of the shim"),
            }
        }
    }
}

fn gone() -> EngineError {
    EngineError::Conflict("the container is not running".to_owned())
}

fn refused(reply: Reply) -> Result<Reply> {
    match reply {
        Reply::Failed(failure) => Err(failed(&failure)),
        reply => Ok(reply),
    }
}

/// A shim's failure as the client of the API sees it.
pub(super) fn failed(failure: &Failure) -> EngineError {
    let message = failure.to_line();
    match failure.code {
        FailureCode::ExecutableNotFound | FailureCode::PermissionDenied | FailureCode::Invalid => {
            EngineError::Invalid(message)
        }
        FailureCode::NotRunning => EngineError::Conflict(message),
        FailureCode::Unsupported => EngineError::Unsupported(message),
        FailureCode::Failed => EngineError::Internal(message),
    }
}

/// The failure of a start, in the words in which Docker's clients expect it.
pub(super) fn start_failed(failure: &Failure) -> EngineError {
    let words = "failed to create task for container: OCI runtime create failed: unable to start container process";
    let told = |error: EngineError| format!("{words}: {error}: unknown");
    match failed(failure) {
        EngineError::Invalid(message) => {
            EngineError::Invalid(format!("{words}: {message}: unknown"))
        }
        EngineError::Unsupported(message) => {
            EngineError::Unsupported(format!("{words}: {message}: unknown"))
        }
        other => EngineError::Internal(told(other)),
    }
}

/// Waits until a child of ours has ended, and takes its status so that nothing of it stays.
pub(super) async fn reap(pid: i32) {
    use tokio::signal::unix::{SignalKind, signal};
    let Some(pid) = rustix::process::Pid::from_raw(pid) else {
        return;
    };
    // Listening first: a child that ends between the look and the wait is not missed.
    let mut children = match signal(SignalKind::child()) {
        Ok(children) => children,
        Err(error) => {
            tracing::error!(%error, "listen for the ends of children");
            return;
        }
    };
    while let Ok(None) = waitpid(Some(pid), WaitOptions::NOHANG) {
        children.recv().await;
    }
}
