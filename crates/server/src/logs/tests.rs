//! A reader of a log against an engine that breaks its streams, stops and starts its container: no line lost, none twice.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use api::live::{LogBatch, Position};
use axum::{
    Json, Router,
    body::Body,
    extract::{Query, State},
    response::IntoResponse,
    routing::get,
};
use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Feeds, feeds::LogFeed, line::format_time};
use crate::live::{Feed, Frame, Pulse};

const SECOND: i64 = 1_000_000_000;

/// An engine with one container.
#[derive(Clone, Default)]
struct Engine(Arc<Fake>);

#[derive(Default)]
struct Fake {
    state: Mutex<Container>,
    changed: Notify,
}

#[derive(Default)]
struct Container {
    /// Stream (1, 2) and time.
    lines: Vec<(u8, i64, String)>,
    running: bool,
    gone: bool,
    started: u32,
    /// The next follow stream breaks off after so many frames.
    break_after: Option<usize>,
    streams_opened: usize,
}

impl Engine {
    fn write(&self, stream: u8, at_ns: i64, text: &str) {
        self.0
            .state
            .lock()
            .unwrap()
            .lines
            .push((stream, at_ns, text.to_owned()));
        self.0.changed.notify_waiters();
    }

    fn change(&self, act: impl FnOnce(&mut Container)) {
        act(&mut self.0.state.lock().unwrap());
        self.0.changed.notify_waiters();
    }

    async fn serve(self, path: std::path::PathBuf) {
        let listener = tokio::net::UnixListener::bind(path).unwrap();
        let app = Router::new()
            .route("/containers/{id}/json", get(inspect))
            .route("/containers/{id}/logs", get(logs))
            .with_state(self);
        axum::serve(listener, app).await.unwrap();
    }
}

async fn inspect(State(engine): State<Engine>) -> axum::response::Response {
    let state = engine.0.state.lock().unwrap();
    if state.gone {
        let body = Json(serde_json::json!({"message": "No such container"}));
        return (axum::http::StatusCode::NOT_FOUND, body).into_response();
    }
    let at = format_time(i64::from(state.started) * SECOND);
    Json(serde_json::json!({"Id": "c", "State": {"Running": state.running, "StartedAt": at}}))
        .into_response()
}

#[derive(serde::Deserialize)]
struct LogsQuery {
    follow: bool,
    since: i64,
    tail: String,
}

async fn logs(State(engine): State<Engine>, Query(query): Query<LogsQuery>) -> impl IntoResponse {
    let (sender, receiver) = mpsc::channel::<Result<Bytes, std::io::Error>>(4);
    let (break_after, first, started) = {
        let mut state = engine.0.state.lock().unwrap();
        state.streams_opened += 1;
        let first = query
            .tail
            .parse::<usize>()
            .map_or(0, |tail| state.lines.len().saturating_sub(tail));
        (
            if query.follow {
                state.break_after.take()
            } else {
                None
            },
            first,
            state.started,
        )
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "a fake for tests; it ends with its connection"
    )]
    tokio::spawn(async move {
        let (mut next, mut sent) = (first, 0);
        loop {
            let changed = engine.0.changed.notified();
            let (lines, running) = {
                let state = engine.0.state.lock().unwrap();
                // A stream is of one run: it ends with it, however soon the next begins.
                if query.follow && state.started != started {
                    return;
                }
                (
                    state.lines[next.min(state.lines.len())..].to_vec(),
                    state.running,
                )
            };
            next += lines.len();
            for (stream, at_ns, text) in lines
                .into_iter()
                .filter(|line| line.1 >= query.since * SECOND)
            {
                if break_after.is_some_and(|most| sent >= most) {
                    drop(
                        sender
                            .send(Err(std::io::Error::other("broken on purpose")))
                            .await,
                    );
                    return;
                }
                let payload = format!("{} {text}\n", format_time(at_ns));
                let mut frame = vec![stream, 0, 0, 0];
                frame.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
                frame.extend(payload.as_bytes());
                sent += 1;
                if sender.send(Ok(frame.into())).await.is_err() {
                    return;
                }
            }
            if !query.follow || !running {
                return;
            }
            tokio::select! {
                () = changed => {}
                () = sender.closed() => return,
            }
        }
    });
    Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver))
}

/// The page: appends what comes, gives credit, remembers where it stands.
#[derive(Default)]
struct Page {
    lines: Vec<String>,
    position: Option<Position>,
    cursor: Option<String>,
    restarts: usize,
    gaps: u64,
    ended: Option<String>,
}

impl Page {
    fn take(&mut self, frame: Frame, feed: &mut LogFeed) {
        let data = match frame {
            Frame::Snap { epoch, seq, data } => {
                self.position = Some(Position {
                    epoch: epoch.to_string(),
                    seq,
                });
                data
            }
            Frame::Delta { seq, data } => {
                let position = self.position.as_mut().unwrap();
                assert_eq!(seq, position.seq + 1, "numbers have no holes");
                position.seq = seq;
                data
            }
            Frame::Gap { dropped, .. } => {
                self.gaps += dropped;
                return;
            }
            Frame::End(reason) => {
                self.ended = Some(reason);
                return;
            }
        };
        let batch: LogBatch = serde_json::from_str(&data).unwrap();
        self.restarts += usize::from(batch.restarted);
        self.cursor = Some(batch.cursor);
        let bytes: usize = batch.lines.iter().map(|line| line.text.len()).sum();
        feed.credit(bytes as u64);
        self.lines
            .extend(batch.lines.into_iter().map(|line| line.text));
    }

    /// Reads until `enough`, or fails after some seconds.
    async fn read(&mut self, feed: &mut LogFeed, enough: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !enough(self) {
            while let Some(frame) = feed.poll(Instant::now()) {
                self.take(frame, feed);
            }
            assert!(
                Instant::now() < deadline,
                "too few lines: {} (ended: {:?})",
                self.lines.len(),
                self.ended
            );
            tokio::task::yield_now().await;
        }
    }
}

struct House {
    _dir: tempfile::TempDir,
    engine: Engine,
    feeds: Feeds,
    docker: bollard::Docker,
    stop: CancellationToken,
}

impl House {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.sock");
        let engine = Engine::default();
        engine.change(|state| {
            state.running = true;
            state.started = 1;
        });
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(engine.clone().serve(path.clone()));
        while !path.exists() {
            tokio::task::yield_now().await;
        }
        let docker = bollard::Docker::connect_with_unix(
            path.to_str().unwrap(),
            10,
            bollard::API_DEFAULT_VERSION,
        )
        .unwrap();
        let pulse = Pulse::default();
        tasks.spawn(pulse.clone().run(stop.clone()));
        Self {
            _dir: dir,
            engine,
            feeds: Feeds::new(pulse, tasks, stop.clone()),
            docker,
            stop,
        }
    }

    fn subscribe(&self, since: Option<&str>, from: Option<&Position>) -> LogFeed {
        let key = ("mini".to_owned(), "c".to_owned());
        let since = since.map(|text| text.parse().unwrap());
        self.feeds
            .subscribe(self.docker.clone(), key, Some(10_000), since, from)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_streams_and_lost_connections_lose_and_double_nothing() {
    let house = House::open().await;
    let mut page = Page::default();
    let mut feed = house.subscribe(None, None);
    let mut written = Vec::new();
    let mut at = 10 * SECOND;
    for round in 0..40_u32 {
        house
            .engine
            .change(|state| state.break_after = Some((round % 7) as usize * 5));
        for n in 0..50_u32 {
            // Times repeat, and the second stream runs a little behind the first.
            at += i64::from((round * 50 + n) % 3) * 20_000_000;
            let late = if n % 4 == 0 { 30_000_000 } else { 0 };
            let text = format!("line {round}.{n}");
            house
                .engine
                .write(if n % 4 == 0 { 2 } else { 1 }, at - late, &text);
            written.push(text);
        }
        let expected = written.len();
        match round % 4 {
            // The connection is lost before these lines were read: the page resumes by its position, or by its cursor when
            // the server it comes to knows nothing of the position.
            0 => {
                feed = house.subscribe(page.cursor.as_deref(), page.position.as_ref());
            }
            1 => feed = house.subscribe(page.cursor.as_deref(), None),
            _ => {}
        }
        page.read(&mut feed, |page| page.lines.len() >= expected)
            .await;
    }
    assert_eq!(page.lines, written);
    assert_eq!(page.gaps, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_continues_at_the_cursor() {
    let first = House::open().await;
    for n in 0..30_i64 {
        first.engine.write(1, 10 * SECOND + n / 10, &format!("{n}"));
    }
    let mut page = Page::default();
    page.read(&mut first.subscribe(None, None), |page| {
        page.lines.len() == 30
    })
    .await;
    let second = House::open().await;
    second
        .engine
        .change(|state| state.lines = first.engine.0.state.lock().unwrap().lines.clone());
    // Of the same time as the last one seen.
    second.engine.write(1, 10 * SECOND + 2, "30");
    let mut feed = second.subscribe(
        page.cursor.clone().as_deref(),
        page.position.clone().as_ref(),
    );
    page.read(&mut feed, |page| page.lines.len() == 31).await;
    let expected: Vec<String> = (0..=30).map(|n| n.to_string()).collect();
    assert_eq!(page.lines, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_goes_on_when_its_container_is_started_again() {
    let house = House::open().await;
    let mut page = Page::default();
    let mut feed = house.subscribe(None, None);
    house.engine.write(1, 10 * SECOND, "first run");
    page.read(&mut feed, |page| page.lines.len() == 1).await;
    // It follows this run.
    while house.engine.0.state.lock().unwrap().streams_opened < 2 {
        tokio::task::yield_now().await;
    }
    house.engine.change(|state| state.running = false);
    house.engine.change(|state| {
        state.running = true;
        state.started = 20;
    });
    house.engine.write(1, 21 * SECOND, "second run");
    house.feeds.poke("mini", "c");
    page.read(&mut feed, |page| page.lines.len() == 2).await;
    assert_eq!((page.lines[1].as_str(), page.restarts), ("second run", 1));
    house.engine.change(|state| {
        state.running = false;
        state.gone = true;
    });
    house.feeds.poke("mini", "c");
    page.read(&mut feed, |page| page.ended.is_some()).await;
    assert_eq!(page.ended.as_deref(), Some("the container was removed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_cost_one_stream() {
    let house = House::open().await;
    house.engine.write(1, 10 * SECOND, "x");
    let mut feeds: Vec<LogFeed> = (0..20).map(|_| house.subscribe(None, None)).collect();
    for feed in &mut feeds {
        Page::default()
            .read(feed, |page| page.lines.len() == 1)
            .await;
    }
    assert_eq!(house.feeds.open_streams(), 1);
    // One look at what is there, one that follows; perhaps one more while it is being set up.
    assert!(house.engine.0.state.lock().unwrap().streams_opened <= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_without_credit_costs_no_memory() {
    let house = House::open().await;
    let mut slow = house.subscribe(None, None);
    let text = "y".repeat(10_000);
    Page::default()
        .read(&mut house.subscribe(None, None), |page| {
            page.position.is_some()
        })
        .await;
    for n in 0..3000_i64 {
        house.engine.write(1, 10 * SECOND + n, &text);
    }
    // 30 MB are there; the reader takes what its first credit allows and no more.
    let credit = usize::try_from(super::CREDIT_BYTES).unwrap();
    let mut taken = 0;
    let deadline = Instant::now() + Duration::from_secs(10);
    while taken < credit && Instant::now() < deadline {
        while let Some(frame) = slow.poll(Instant::now()) {
            if let Frame::Snap { data, .. } | Frame::Delta { data, .. } = frame {
                taken += serde_json::from_str::<LogBatch>(&data).unwrap().lines.len() * text.len();
            }
        }
        tokio::task::yield_now().await;
    }
    assert!(taken >= credit && taken < 2 * credit, "{taken}");
    assert!(slow.poll(Instant::now()).is_none());
    assert!(slow.kept_bytes() <= super::ring::RING_BYTES + text.len());
}
