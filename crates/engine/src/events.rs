//! What happens in the engine, told to whoever listens and kept for those who ask later.
//!
//! Every event gets a number and a time under one lock, goes to the history file, to the ring in memory, and to the
//! listeners. A listener takes the past and the place in the stream under the same lock, so it sees no gap and nothing
//! twice, also over a restart of the engine. One that falls behind reads on from the ring.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::time;

/// Events kept in memory, which is also what `since` can reach.
const RING_CAPACITY: usize = 4096;
/// The history file is turned over at this size; the one before is kept.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The kind of object an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventKind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// The engine itself.
    Daemon,
}

impl EventKind {
    /// Returns the name in filters and JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Daemon => "daemon",
        }
    }
}

/// An event in Docker's JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// The action again, for clients before API 1.22; containers and images only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    /// The object's id again, for the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// The container's image, for the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    /// What kind of object.
    #[serde(rename = "Type")]
    pub(crate) kind: EventKind,
    /// What happened, such as `start` or `health_status: healthy`.
    #[serde(rename = "Action")]
    pub(crate) action: String,
    /// Which object.
    #[serde(rename = "Actor")]
    pub(crate) actor: Actor,
    /// Always `local`.
    pub(crate) scope: String,
    /// Unix time in seconds.
    pub(crate) time: i64,
    /// Unix time in nanoseconds; no two events have the same.
    #[serde(rename = "timeNano")]
    pub(crate) time_ns: i64,
}

/// The object of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Actor {
    /// Id or name.
    #[serde(rename = "ID")]
    pub(crate) id: String,
    /// What describes it: for containers name, image and all labels.
    #[serde(rename = "Attributes")]
    pub(crate) attributes: BTreeMap<String, String>,
}

#[derive(Debug)]
struct History {
    ring: VecDeque<(u64, Arc<Event>)>,
    next: u64,
    last_time_ns: i64,
    path: PathBuf,
    file: File,
    file_bytes: u64,
}

/// The place where events are published and listened to.
#[derive(Debug)]
pub(crate) struct EventBus {
    history: Mutex<History>,
    newest: watch::Sender<u64>,
}

/// A place in the stream of events.
#[derive(Debug)]
pub(crate) struct Listener {
    bus: Arc<EventBus>,
    next: u64,
    newest: watch::Receiver<u64>,
}

impl EventBus {
    /// Opens the bus with the history of earlier runs, in `dir`. Blocks.
    pub(crate) fn open(dir: &Path) -> io::Result<Arc<Self>> {
        fs::create_dir_all(dir)?;
        let path = dir.join("events.jsonl");
        let mut ring = VecDeque::new();
        let mut next = 0;
        for file in [older(&path), path.clone()] {
            let file = match File::open(&file) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for line in io::BufReader::new(file).split(b'\n') {
                // A line cut short by a kill, or a damaged one, costs itself only.
                if let Ok(event) = serde_json::from_slice::<Event>(&line?) {
                    if ring.len() == RING_CAPACITY {
                        ring.pop_front();
                    }
                    ring.push_back((next, Arc::new(event)));
                    next += 1;
                }
            }
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        let file_bytes = file.metadata()?.len();
        if file_bytes > 0 {
            // Ends a line that a kill may have cut short.
            file.write_all(b"\n")?;
        }
        let last_time_ns = ring.back().map_or(0, |(_, event)| event.time_ns);
        let history = History {
            ring,
            next,
            last_time_ns,
            path,
            file,
            file_bytes,
        };
        Ok(Arc::new(Self {
            history: Mutex::new(history),
            newest: watch::Sender::new(next),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        // Nothing in the critical sections leaves the history half changed.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes an event about the object `id`. Does not block longer than a write to the page cache.
    pub(crate) fn publish(
        &self,
        kind: EventKind,
        action: &str,
        id: &str,
        attributes: BTreeMap<String, String>,
    ) {
        let mut history = self.lock();
        let time_ns = time::now_ns().max(history.last_time_ns + 1);
        history.last_time_ns = time_ns;
        let legacy = matches!(kind, EventKind::Container | EventKind::Image);
        let event = Event {
            status: legacy.then(|| action.to_owned()),
            id: legacy.then(|| id.to_owned()),
            from: (kind == EventKind::Container)
                .then(|| attributes.get("image").cloned())
                .flatten(),
            kind,
            action: action.to_owned(),
            actor: Actor {
                id: id.to_owned(),
                attributes,
            },
            scope: "local".to_owned(),
            time: time_ns / 1_000_000_000,
            time_ns,
        };
        if let Err(error) = history.persist(&event) {
            tracing::warn!(%error, path = %history.path.display(), "write the event history");
        }
        let number = history.next;
        history.next += 1;
        if history.ring.len() == RING_CAPACITY {
            history.ring.pop_front();
        }
        history.ring.push_back((number, Arc::new(event)));
        let next = history.next;
        drop(history);
        // Two publishers may come here in either order; the number only grows.
        self.newest.send_if_modified(|newest| {
            let grows = *newest < next;
            *newest = (*newest).max(next);
            grows
        });
    }

    /// Returns a listener that begins with the first kept event at or after `since_ns`, or with the next one to come.
    pub(crate) fn listen(self: &Arc<Self>, since_ns: Option<i64>) -> Listener {
        let newest = self.newest.subscribe();
        let history = self.lock();
        let next = since_ns.map_or(history.next, |since| {
            history
                .ring
                .iter()
                .find(|(_, event)| event.time_ns >= since)
                .map_or(history.next, |(number, _)| *number)
        });
        drop(history);
        Listener {
            bus: Arc::clone(self),
            next,
            newest,
        }
    }

    /// Returns how many clients listen.
    pub(crate) fn listeners(&self) -> usize {
        self.newest.receiver_count()
    }
}

impl History {
    fn persist(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        if self.file_bytes > MAX_FILE_BYTES {
            fs::rename(&self.path, older(&self.path))?;
            self.file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.path)?;
            self.file_bytes = 0;
        }
        self.file.write_all(&line)?;
        self.file_bytes += line.len() as u64;
        Ok(())
    }
}

fn older(path: &Path) -> PathBuf {
    path.with_extension("jsonl.1")
}

impl Listener {
    /// Returns the next event that is there already; `None` when all have been read.
    pub(crate) fn ready(&mut self) -> Option<Arc<Event>> {
        let history = self.bus.lock();
        let (first, _) = history.ring.front()?;
        // Events that left the ring while this listener slept are lost to it; that takes 4096 of them.
        let at = self.next.max(*first);
        let offset = usize::try_from(at - first).ok()?;
        let (number, event) = history.ring.get(offset)?;
        self.next = number + 1;
        Some(Arc::clone(event))
    }

    /// Returns the next event, waiting for it. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Arc<Event>> {
        loop {
            self.newest.mark_unchanged();
            if let Some(event) = self.ready() {
                return Some(event);
            }
            self.newest.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(bus: &EventBus, action: &str) {
        bus.publish(EventKind::Container, action, "c1", BTreeMap::new());
    }

    #[test]
    fn history_survives_a_restart_and_a_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let bus = EventBus::open(dir.path()).unwrap();
        publish(&bus, "create");
        publish(&bus, "start");
        drop(bus);
        let path = dir.path().join("events.jsonl");
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"{\"Type\":\"conta").unwrap();
        let bus = EventBus::open(dir.path()).unwrap();
        publish(&bus, "die");
        drop(bus);
        let bus = EventBus::open(dir.path()).unwrap();
        let mut listener = bus.listen(Some(0));
        let mut seen = Vec::new();
        while let Some(event) = listener.ready() {
            seen.push(event.action.clone());
        }
        assert_eq!(seen, ["create", "start", "die"]);
    }

    #[tokio::test]
    async fn a_listener_sees_past_and_future_in_order_once() {
        let dir = tempfile::tempdir().unwrap();
        let bus = EventBus::open(dir.path()).unwrap();
        publish(&bus, "1");
        let mut all = bus.listen(Some(0));
        let mut future = bus.listen(None);
        publish(&bus, "2");
        assert_eq!(all.next().await.unwrap().action, "1");
        assert_eq!(all.next().await.unwrap().action, "2");
        assert_eq!(future.next().await.unwrap().action, "2");
        assert!(all.ready().is_none() && future.ready().is_none());
        let waiting = tokio::time::timeout(std::time::Duration::from_secs(5), all.next());
        let (event, ()) = tokio::join!(waiting, async { publish(&bus, "3") });
        assert_eq!(event.unwrap().unwrap().action, "3");
    }

    #[test]
    fn times_are_unique_and_grow() {
        let dir = tempfile::tempdir().unwrap();
        let bus = EventBus::open(dir.path()).unwrap();
        for _ in 0..100 {
            publish(&bus, "x");
        }
        let mut listener = bus.listen(Some(0));
        let mut last = 0;
        while let Some(event) = listener.ready() {
            assert!(event.time_ns > last);
            last = event.time_ns;
        }
    }
}
