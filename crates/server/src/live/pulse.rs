//! The hub's clock: changes are told in batches, at most one in 50 ms, at the same moment to everyone.
//!
//! Every source marks the same pulse; after a mark the clock ticks, and then rests for 50 ms. What a source takes in between
//! two ticks is one batch and gets one sequence number, so every reader that keeps up sees the same numbers without holes.
//! A source knows no reader, and nothing is queued anywhere.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Shortest time between two ticks.
const BATCH: Duration = Duration::from_millis(50);

/// The clock, cheap to clone.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Read by sources under their own lock, so a batch never gets a change after it was told.
    tick: AtomicU64,
    told: watch::Sender<u64>,
    marked: Notify,
}

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Inner {
            tick: AtomicU64::new(0),
            told: watch::Sender::new(0),
            marked: Notify::new(),
        }))
    }
}

impl Pulse {
    /// Something changed: tick soon.
    pub(crate) fn mark(&self) {
        self.0.marked.notify_one();
    }

    /// The batch that changes belong to now.
    pub(crate) fn batch(&self) -> u64 {
        self.0.tick.load(Ordering::SeqCst)
    }

    /// Ends the batch and tells every listener.
    pub(crate) fn tick(&self) {
        let tick = self.0.tick.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.told.send_replace(tick);
    }

    /// Hears every tick from now on.
    pub(crate) fn listen(&self) -> watch::Receiver<u64> {
        self.0.told.subscribe()
    }

    /// Ticks until `stop`; runs as one task of the server.
    pub async fn run(self, stop: CancellationToken) {
        let beat = async {
            loop {
                self.0.marked.notified().await;
                self.tick();
                tokio::time::sleep(BATCH).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = beat => {}
        }
    }
}

/// A short random word: names one run of a source, so that positions of another run are never mistaken for its own.
pub(crate) fn new_epoch() -> Arc<str> {
    let mut bytes = [0u8; 6];
    if getrandom::fill(&mut bytes).is_err() {
        // Without randomness the clock still tells two runs apart.
        let nanos = jiff::Timestamp::now().as_nanosecond().to_le_bytes();
        bytes.copy_from_slice(&nanos[..6]);
    }
    hex::encode(bytes).into()
}
