//! One socket: reads the client's messages, asks the subscriptions at each tick what is new, writes within bounds.
//!
//! The only queue is the outbox: frames are made when there is room for them, never before. A client that does not read for
//! 10 s is disconnected with code 4008 and comes back with its positions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use api::{
    live::{ClientMessage, Hello, LiveLimits, Position, ServerMessage, Subscribe, Topic, VERSION},
    problem::{Problem, ProblemCode},
};
use axum::extract::ws::{CloseFrame, Message};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use super::{
    feed::{Feed, message},
    pulse::Pulse,
    subscriptions::{MAX_SUBSCRIPTIONS, Outbox, Subscriptions},
};

/// Frames waiting for the writer.
const OUTBOX_FRAMES: usize = 64;
/// No further frame is made while this much waits. One frame may be larger: a snapshot is one frame.
const OUTBOX_BYTES: usize = 256 * 1024;
/// A single write may take this long.
const STUCK: Duration = Duration::from_secs(10);
/// The server's ping period; the session is checked at the same time.
pub(crate) const PING: Duration = Duration::from_secs(20);
/// How often the session is looked at.
const SESSION_CHECK: Duration = Duration::from_secs(5);
/// A client that sends nothing for so long (a browser answers pings by itself) is gone.
const SILENCE: Duration = Duration::from_secs(65);
/// Close codes of the protocol.
pub(crate) mod close_code {
    /// The reader is too slow: reconnect and resume by position.
    pub(crate) const SLOW: u16 = 4008;
    /// The server is going down: reconnect after a second.
    pub(crate) const GOING_DOWN: u16 = 4009;
    /// The session ended or was revoked: sign in again.
    pub(crate) const SIGNED_OUT: u16 = 4401;
}
/// Largest frame taken from a client.
pub(crate) const MAX_FRAME: usize = 64 * 1024;

/// What a socket needs from the rest of the server.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Opens a subscription for this socket's user.
    fn subscribe(
        &self,
        topic: Topic,
        from: Option<Position>,
    ) -> impl Future<Output = Result<Box<dyn Feed>, Problem>> + Send;

    /// A problem of the client's own making.
    fn problem(&self, code: ProblemCode, detail: String) -> Problem;

    /// Whether the session is still good; counts as use of it.
    fn session_is_alive(&self) -> impl Future<Output = bool> + Send;
}

/// What the `hello` frame tells.
#[derive(Debug, Clone)]
pub(crate) struct Greeting {
    pub(crate) version: String,
    pub(crate) epoch: String,
}

/// Serves one socket until either side ends it.
pub(crate) async fn serve<S, E, B>(
    socket: S,
    backend: B,
    greeting: Greeting,
    pulse: Pulse,
    shutdown: CancellationToken,
) where
    S: Stream<Item = Result<Message, E>> + Sink<Message, Error = E> + Send + 'static,
    E: Send + 'static,
    B: Backend,
{
    let (sink, mut stream) = socket.split();
    let (frames, queue) = mpsc::channel(OUTBOX_FRAMES);
    let gauge = Arc::new(Gauge::default());
    let mut writer = JoinSet::new();
    writer.spawn(write(sink, queue, gauge.clone()));

    let mut connection = Connection {
        backend,
        subscriptions: Subscriptions::default(),
        outbox: Queue {
            frames,
            gauge,
            overflow: false,
        },
    };
    let close = tokio::select! {
        close = connection.run(&mut stream, greeting, &pulse, &shutdown) => close,
        // The writer ends first only when the client does not read or is gone.
        _ = writer.join_next() => return,
    };
    if let Some((code, reason)) = close {
        let frame = Message::Close(Some(CloseFrame {
            code,
            reason: reason.into(),
        }));
        // A full queue means a slow client, who gets the bare end of the connection.
        drop(connection.outbox.frames.try_send(frame));
    }
    drop(connection);
    // Let what is queued go out, but not for longer than a write may take.
    drop(tokio::time::timeout(STUCK, writer.join_next()).await);
}

struct Connection<B> {
    backend: B,
    subscriptions: Subscriptions,
    outbox: Queue,
}

type Close = Option<(u16, &'static str)>;

impl<B: Backend> Connection<B> {
    async fn run<T, E>(
        &mut self,
        stream: &mut T,
        greeting: Greeting,
        pulse: &Pulse,
        shutdown: &CancellationToken,
    ) -> Close
    where
        T: Stream<Item = Result<Message, E>> + Unpin,
    {
        let mut beats = pulse.listen();
        let gauge = self.outbox.gauge.clone();
        let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut check = tokio::time::interval_at(Instant::now() + SESSION_CHECK, SESSION_CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        // The outbox was full at the last look.
        let mut full = false;

        self.outbox.put(message(&hello(greeting)));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Some((close_code::GOING_DOWN, "server is going down")),
                incoming = stream.next() => {
                    heard = Instant::now();
                    match incoming {
                        None | Some(Err(_) | Ok(Message::Close(_))) => return None,
                        Some(Ok(Message::Text(text))) => {
                            self.take(&text).await;
                            // A new subscription is answered at once, new credit used at once.
                            full = self.pump();
                        }
                        Some(Ok(Message::Binary(_))) => {
                            return Some((axum::extract::ws::close_code::UNSUPPORTED, "text frames only"));
                        }
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    }
                }
                changed = beats.changed(), if !full => {
                    if changed.is_err() { return Some((close_code::GOING_DOWN, "server is going down")); }
                    full = self.pump();
                }
                () = gauge.drained.notified(), if full => full = self.pump(),
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE { return None; }
                    // When the outbox is full the client has enough to hear from.
                    if self.outbox.has_room() {
                        self.outbox.put(message(&ServerMessage::Ping));
                        self.outbox.put_control(Message::Ping(bytes::Bytes::new()));
                    }
                }
                _ = check.tick() => {
                    if !self.backend.session_is_alive().await {
                        return Some((close_code::SIGNED_OUT, "signed out"));
                    }
                }
            }
            if self.outbox.overflow {
                return Some((close_code::SLOW, "slow"));
            }
        }
    }

    fn pump(&mut self) -> bool {
        self.subscriptions
            .pump(&mut self.outbox, std::time::Instant::now())
    }

    async fn take(&mut self, text: &str) {
        match serde_json::from_str(text) {
            Err(error) => {
                let problem = self
                    .backend
                    .problem(ProblemCode::Malformed, format!("read the message: {error}"));
                self.refuse(None, problem);
            }
            Ok(ClientMessage::Ping) => self.outbox.put(message(&ServerMessage::Pong)),
            Ok(ClientMessage::Pong) => {}
            Ok(ClientMessage::Unsub { id }) => self.subscriptions.close(id),
            Ok(ClientMessage::Credit { id, bytes }) => self.subscriptions.credit(id, bytes),
            Ok(ClientMessage::Sub(Subscribe { id, .. }))
                if !self.subscriptions.has_room_for(id) =>
            {
                let detail = format!("one socket holds at most {MAX_SUBSCRIPTIONS} subscriptions");
                let problem = self.backend.problem(ProblemCode::RateLimited, detail);
                self.refuse(Some(id), problem);
            }
            Ok(ClientMessage::Sub(Subscribe { id, topic, from })) => {
                self.subscriptions.close(id);
                match self.backend.subscribe(topic, from).await {
                    Ok(feed) => self.subscriptions.open(id, feed),
                    Err(problem) => self.refuse(Some(id), problem),
                }
            }
        }
    }

    fn refuse(&mut self, id: Option<u32>, problem: Problem) {
        self.outbox
            .put(message(&ServerMessage::Err { id, problem }));
    }
}

fn hello(greeting: Greeting) -> ServerMessage {
    ServerMessage::Hello(Hello {
        v: VERSION,
        server_version: greeting.version,
        epoch: greeting.epoch,
        limits: LiveLimits {
            subscriptions: u32::try_from(MAX_SUBSCRIPTIONS).unwrap_or(u32::MAX),
            log_credit_bytes: crate::logs::CREDIT_BYTES,
            ping_interval_s: u32::try_from(PING.as_secs()).unwrap_or(u32::MAX),
        },
    })
}

/// What waits for the writer, in bytes.
#[derive(Debug, Default)]
struct Gauge {
    bytes: AtomicUsize,
    drained: Notify,
}

/// The sending end of the outbox.
struct Queue {
    frames: mpsc::Sender<Message>,
    gauge: Arc<Gauge>,
    /// A frame that had to be sent found no place: answers to a client that asks without reading.
    overflow: bool,
}

impl Queue {
    fn put_control(&mut self, frame: Message) {
        self.overflow |= self.frames.try_send(frame).is_err();
    }
}

impl Outbox for Queue {
    fn has_room(&self) -> bool {
        // One place is kept for control frames.
        self.frames.capacity() > 2 && self.gauge.bytes.load(Ordering::Relaxed) < OUTBOX_BYTES
    }

    fn put(&mut self, text: String) {
        self.gauge.bytes.fetch_add(text.len(), Ordering::Relaxed);
        self.put_control(Message::Text(text.into()));
    }
}

async fn write<S, E>(mut sink: S, mut queue: mpsc::Receiver<Message>, gauge: Arc<Gauge>)
where
    S: Sink<Message, Error = E> + Unpin,
{
    while let Some(frame) = queue.recv().await {
        let size = if let Message::Text(text) = &frame {
            text.len()
        } else {
            0
        };
        match tokio::time::timeout(STUCK, sink.send(frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                let slow = CloseFrame {
                    code: close_code::SLOW,
                    reason: "slow".into(),
                };
                drop(
                    tokio::time::timeout(
                        Duration::from_secs(1),
                        sink.send(Message::Close(Some(slow))),
                    )
                    .await,
                );
                return;
            }
        }
        gauge.bytes.fetch_sub(size, Ordering::Relaxed);
        gauge.drained.notify_one();
    }
    drop(tokio::time::timeout(Duration::from_secs(1), sink.close()).await);
}
