//! The logs that somebody watches: one upstream stream per container, whoever watches; and each reader's own position.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use api::live::{LogBatch, Position};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    cursor::{Cursor, Replay},
    line::{Line, format_time},
    ring::{RING_BYTES, Ring},
    upstream::{self, Upstream},
};
use crate::live::{Feed, Frame, Pulse};

/// Text a reader may get before it must give credit.
pub(crate) const CREDIT_BYTES: u64 = 256 * 1024;
/// Text of a first snapshot.
const SNAPSHOT_BYTES: usize = 128 * 1024;
/// Lines of a first snapshot unless asked otherwise.
const TAIL: u32 = 500;
/// Most lines of a first snapshot.
pub(super) const MAX_TAIL: u32 = 10_000;

type Key = (String, String);

/// All logs that are watched now.
#[derive(Debug, Clone)]
pub struct Feeds(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pulse: Pulse,
    stop: CancellationToken,
    tasks: TaskTracker,
    open: Mutex<HashMap<Key, Arc<Log>>>,
}

/// One watched log.
#[derive(Debug)]
pub(super) struct Log {
    state: Mutex<State>,
    /// A reader came, went, or read on.
    pub(super) stirred: Notify,
    /// The container may have started.
    pub(super) poked: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) ring: Ring,
    /// The first lines are there.
    pub(super) ready: bool,
    /// Nothing more will come, and why.
    pub(super) ended: Option<String>,
    /// Position of each reader.
    readers: HashMap<u64, u64>,
    next_reader: u64,
}

impl Log {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_watched(&self) -> bool {
        !self.lock().readers.is_empty()
    }

    /// Waits while the quickest reader has so much left to read that more would push lines out of the ring.
    pub(super) async fn wait_for_readers(&self) {
        loop {
            let stirred = self.stirred.notified();
            {
                let state = self.lock();
                let quickest = state.readers.values().max();
                if quickest.is_none_or(|last| state.ring.bytes_after(*last) < RING_BYTES / 2) {
                    return;
                }
            }
            stirred.await;
        }
    }
}

impl Feeds {
    /// No logs yet; upstream readers run in `tasks` until `stop`.
    pub fn new(pulse: Pulse, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            pulse,
            stop,
            tasks,
            open: Mutex::default(),
        }))
    }

    /// The engine says that this container started: a log that waits for that goes on at once.
    pub fn poke(&self, engine: &str, container: &str) {
        if let Some(log) = self.lock().get(&(engine.to_owned(), container.to_owned())) {
            log.poked.notify_one();
        }
    }

    /// How many upstream streams are open.
    pub fn open_streams(&self) -> usize {
        self.lock().len()
    }

    /// Subscribes to a container's log. `id` is the container's full id, so that a new container of the same name is another log.
    pub(crate) fn subscribe(
        &self,
        docker: bollard::Docker,
        key: Key,
        tail: Option<u32>,
        since: Option<Cursor>,
        from: Option<&Position>,
    ) -> LogFeed {
        let mut open = self.lock();
        let log = open.entry(key.clone()).or_insert_with(|| {
            let ring = Ring::new(self.0.pulse.clone(), since.unwrap_or_default());
            let state = State {
                ring,
                ready: false,
                ended: None,
                readers: HashMap::new(),
                next_reader: 0,
            };
            let log = Arc::new(Log {
                state: Mutex::new(state),
                stirred: Notify::new(),
                poked: Notify::new(),
            });
            let upstream = Upstream {
                docker,
                id: key.1.clone(),
                log: log.clone(),
                since,
                tail: tail.unwrap_or(TAIL),
            };
            let (feeds, stop) = (Arc::downgrade(&self.0), self.0.stop.clone());
            let leave = {
                let log = log.clone();
                move || Inner::leave(&feeds, &key, &log)
            };
            self.0.tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = upstream::run(upstream, leave) => {}
                }
            });
            log
        });
        let log = log.clone();
        let mut state = log.lock();
        let reader = state.next_reader;
        state.next_reader += 1;
        let last = from
            .filter(|p| *p.epoch == *state.ring.epoch)
            .map(|p| p.seq);
        let floor = state.ring.floor();
        state.readers.insert(reader, last.unwrap_or(floor));
        drop(state);
        let tail = tail.unwrap_or(TAIL).min(MAX_TAIL);
        LogFeed {
            log,
            reader,
            last,
            since,
            tail,
            credit: i128::from(CREDIT_BYTES),
            over: false,
            seen: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Log>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Takes the log off the list unless somebody watches it; true: it is off. Under the list's lock, so that nobody joins a log
    /// that is being left.
    fn leave(feeds: &Weak<Self>, key: &Key, log: &Arc<Log>) -> bool {
        let Some(feeds) = feeds.upgrade() else {
            return true;
        };
        let mut open = feeds.open.lock().unwrap_or_else(PoisonError::into_inner);
        let over = log.lock().ended.is_some();
        if log.is_watched() && !over {
            return false;
        }
        if open.get(key).is_some_and(|kept| Arc::ptr_eq(kept, log)) {
            open.remove(key);
        }
        true
    }
}

/// One reader of one log.
#[derive(Debug)]
pub(crate) struct LogFeed {
    log: Arc<Log>,
    reader: u64,
    /// The chunk it has; none: it needs a first snapshot.
    last: Option<u64>,
    since: Option<Cursor>,
    tail: u32,
    credit: i128,
    over: bool,
    /// Number after the last line it has.
    seen: u64,
}

impl Drop for LogFeed {
    fn drop(&mut self) {
        self.log.lock().readers.remove(&self.reader);
        self.log.stirred.notify_waiters();
    }
}

#[cfg(test)]
impl LogFeed {
    /// Text kept for all readers of this log.
    pub(super) fn kept_bytes(&self) -> usize {
        self.log.lock().ring.bytes_after(0)
    }
}

impl Feed for LogFeed {
    fn poll(&mut self, _now: Instant) -> Option<Frame> {
        let log = self.log.clone();
        let mut state = log.lock();
        if !state.ready || self.over || self.credit <= 0 {
            return None;
        }
        let floor = state.ring.floor();
        let frame = match self.last {
            None => Some(self.first(&state)),
            Some(last) if last < floor => Some(self.skip(&state)),
            Some(last) => self.next(&state, last),
        };
        if frame.is_none() && state.ended.is_some() {
            self.over = true;
            return state.ended.clone().map(Frame::End);
        }
        if let Some(last) = self.last {
            state.readers.insert(self.reader, last);
        }
        drop(state);
        if frame.is_some() {
            log.stirred.notify_waiters();
        }
        frame
    }

    fn credit(&mut self, bytes: u64) {
        self.credit = (self.credit + i128::from(bytes)).min(i128::from(CREDIT_BYTES) * 4);
    }
}

impl LogFeed {
    /// The newest lines, or those after the reader's own place: as many as a first frame may hold.
    fn first(&mut self, state: &State) -> Frame {
        let ring = &state.ring;
        let mut replay = Replay::after(self.since.unwrap_or_default());
        if let Some(since) = self.since
            && !since.includes(&ring.base)
            && ring.older
        {
            // What lies between is not here; say so once, then go on with what is.
            self.since = None;
            self.tail = MAX_TAIL;
            let to = ring
                .chunks
                .front()
                .and_then(|c| c.lines.first())
                .map(|line| format_time(line.at_ns));
            return Frame::Gap {
                dropped: 0,
                from: None,
                to,
            };
        }
        let mut lines: Vec<(u64, &Line)> = Vec::new();
        let (mut seq, mut restarted, mut cursor, mut bytes) = (ring.floor(), false, ring.base, 0);
        for chunk in ring.after(seq) {
            // A reader that continues takes the first lines first and the rest as deltas.
            if self.since.is_some() && bytes > SNAPSHOT_BYTES {
                break;
            }
            let numbered = (chunk.first..).zip(&chunk.lines);
            for (number, line) in numbered.filter(|(_, line)| replay.is_new(line)) {
                bytes += line.text.len();
                lines.push((number, line));
            }
            (seq, cursor) = (chunk.seq, chunk.cursor);
            restarted = chunk.restarted;
        }
        if self.since.is_none() {
            let mut room = SNAPSHOT_BYTES;
            let fits = |(_, line): &&(u64, &Line)| {
                let fits = room > line.text.len();
                room = room.saturating_sub(line.text.len());
                fits
            };
            let keep = lines
                .iter()
                .rev()
                .take(self.tail as usize)
                .take_while(fits)
                .count();
            lines.drain(..lines.len() - keep);
        }
        self.last = Some(seq);
        self.seen = lines.last().map_or(self.seen, |(number, _)| number + 1);
        self.spend(lines.iter().map(|(_, line)| line.text.len()).sum());
        let data = batch(lines.into_iter(), restarted, &cursor);
        Frame::Snap {
            epoch: ring.epoch.clone(),
            seq,
            data,
        }
    }

    /// The ring has forgotten what comes next: say how much, and let a snapshot go on from there.
    fn skip(&mut self, state: &State) -> Frame {
        let first = state.ring.chunks.front();
        let kept: u64 = first.map_or(0, |chunk| state.ring.next_line() - chunk.first);
        self.last = None;
        self.since = Some(state.ring.base);
        Frame::Gap {
            dropped: (state.ring.next_line() - kept).saturating_sub(self.seen),
            from: state.ring.forgotten.map(format_time),
            to: first
                .and_then(|chunk| chunk.lines.first())
                .map(|line| format_time(line.at_ns)),
        }
    }

    fn next(&mut self, state: &State, last: u64) -> Option<Frame> {
        let chunk = state.ring.after(last).next()?;
        self.last = Some(chunk.seq);
        self.seen = chunk.first + chunk.lines.len() as u64;
        self.spend(chunk.lines.iter().map(|line| line.text.len()).sum());
        let data = batch(
            (chunk.first..).zip(&chunk.lines),
            chunk.restarted,
            &chunk.cursor,
        );
        Some(Frame::Delta {
            seq: chunk.seq,
            data,
        })
    }

    fn spend(&mut self, bytes: usize) {
        self.credit -= i128::try_from(bytes).unwrap_or(i128::MAX);
    }
}

fn batch<'a>(
    lines: impl Iterator<Item = (u64, &'a Line)>,
    restarted: bool,
    cursor: &Cursor,
) -> String {
    let batch = LogBatch {
        lines: lines.map(|(number, line)| line.to_api(number)).collect(),
        restarted,
        cursor: cursor.to_string(),
    };
    serde_json::to_string(&batch).unwrap_or_default()
}
