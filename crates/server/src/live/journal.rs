//! An append-only topic: the latest events of one engine.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use api::{engine::EngineEvent, live::Position};

use super::{
    feed::{Feed, Frame},
    ledger::to_json,
    pulse::{Pulse, new_epoch},
};

/// Entries kept, and sent in a snapshot.
const KEPT: usize = 500;

/// The latest events of one engine.
#[derive(Debug, Clone)]
pub struct Journal {
    epoch: Arc<str>,
    pulse: Pulse,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    seq: u64,
    batch: Option<u64>,
    /// Readers below this have missed an entry that is no longer kept.
    floor: u64,
    /// Each with the number of its batch.
    entries: VecDeque<(u64, Arc<str>)>,
}

impl Journal {
    /// An empty journal that marks `pulse` on each entry.
    pub fn new(pulse: Pulse) -> Self {
        Self {
            epoch: new_epoch(),
            pulse,
            state: Arc::default(),
        }
    }

    /// Adds an event.
    pub fn append(&self, event: &EngineEvent) {
        let json = to_json(event);
        let mut state = self.lock();
        let batch = self.pulse.batch();
        if state.batch != Some(batch) {
            state.batch = Some(batch);
            state.seq += 1;
        }
        if state.entries.len() == KEPT
            && let Some((seq, _)) = state.entries.pop_front()
        {
            state.floor = seq;
        }
        let seq = state.seq;
        state.entries.push_back((seq, json));
        drop(state);
        self.pulse.mark();
    }

    /// A subscription.
    pub(crate) fn feed(&self, from: Option<&Position>) -> JournalFeed {
        let last = from.filter(|p| *p.epoch == *self.epoch).map(|p| p.seq);
        JournalFeed {
            journal: self.clone(),
            last,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One reader of a [`Journal`].
#[derive(Debug)]
pub(crate) struct JournalFeed {
    journal: Journal,
    last: Option<u64>,
}

impl Feed for JournalFeed {
    fn poll(&mut self, _now: Instant) -> Option<Frame> {
        let journal = self.journal.clone();
        let state = journal.lock();
        let told = state.seq - u64::from(state.batch == Some(journal.pulse.batch()));
        let write = |wanted: &dyn Fn(u64) -> bool| {
            let items: Vec<&str> = state
                .entries
                .iter()
                .filter(|(seq, _)| wanted(*seq))
                .map(|(_, json)| &**json)
                .collect();
            format!(r#"{{"events":[{}]}}"#, items.join(","))
        };
        let Some(last) = self
            .last
            .filter(|last| *last >= state.floor && *last <= state.seq)
        else {
            self.last = Some(told);
            let data = write(&|seq| seq <= told);
            return Some(Frame::Snap {
                epoch: journal.epoch.clone(),
                seq: told,
                data,
            });
        };
        if last >= told {
            return None;
        }
        let next = last + 1;
        self.last = Some(next);
        Some(Frame::Delta {
            seq: next,
            data: write(&|seq| seq == next),
        })
    }
}
