//! A state list that remembers in which batch each item last changed.
//!
//! An item carries the number of its last change; a removed one leaves a tombstone. What a reader at position `n` has missed
//! is then every item with a number above `n`: joined by item, whatever the reader's speed, without any queue per reader.
//! A reader that is far behind, or older than the oldest forgotten tombstone, gets a snapshot.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use api::live::Position;
use serde::Serialize;

use super::{
    feed::{Feed, Frame},
    pulse::{Pulse, new_epoch},
};

/// Removed items remembered before a reader must start over.
const TOMBSTONES: usize = 2048;
/// A reader that missed more batches gets a snapshot.
const CATCH_UP: u64 = 32;

/// A live state list: the objects of one kind of one engine, or all engines, or all jobs.
#[derive(Debug, Clone)]
pub struct Ledger {
    epoch: Arc<str>,
    pulse: Pulse,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of the newest batch; open while `batch` is still the pulse's.
    seq: u64,
    batch: Option<u64>,
    /// Readers below this may have missed a removal.
    floor: u64,
    entries: HashMap<Arc<str>, Entry>,
    by_seq: BTreeSet<(u64, Arc<str>)>,
    tombstones: usize,
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    /// The item as JSON; none: a tombstone.
    json: Option<Arc<str>>,
}

impl Ledger {
    /// An empty list that marks `pulse` on each change.
    pub fn new(pulse: Pulse) -> Self {
        Self {
            epoch: new_epoch(),
            pulse,
            state: Arc::default(),
        }
    }

    /// Puts an item; nothing happens when it is as it was. Returns the position that includes it.
    pub fn upsert<T: Serialize>(&self, id: &str, item: &T) -> Position {
        let json = to_json(item);
        self.change(|state, batch| state.put(id, json, batch))
    }

    /// Takes an item away, if it is there. Returns the position at which it is gone.
    pub fn remove(&self, id: &str) -> Position {
        self.change(|state, batch| state.take(id, batch))
    }

    /// Makes the list be exactly `items`; only real differences become changes.
    pub fn replace<'a, T, I>(&self, items: I) -> Position
    where
        T: Serialize + 'a,
        I: IntoIterator<Item = (&'a str, &'a T)>,
    {
        let fresh: BTreeMap<&str, Arc<str>> = items
            .into_iter()
            .map(|(id, item)| (id, to_json(item)))
            .collect();
        self.change(|state, batch| {
            let gone: Vec<Arc<str>> = state
                .entries
                .iter()
                .filter(|(id, entry)| entry.json.is_some() && !fresh.contains_key(&***id))
                .map(|(id, _)| id.clone())
                .collect();
            let mut changed = false;
            for id in &gone {
                changed |= state.take(id, batch);
            }
            for (id, json) in &fresh {
                changed |= state.put(id, json.clone(), batch);
            }
            changed
        })
    }

    /// Where the list stands.
    pub fn position(&self) -> Position {
        Position {
            epoch: self.epoch.to_string(),
            seq: self.lock().seq,
        }
    }

    /// A subscription.
    pub(crate) fn feed(&self, from: Option<&Position>) -> LedgerFeed {
        let last = from.filter(|p| *p.epoch == *self.epoch).map(|p| p.seq);
        LedgerFeed {
            ledger: self.clone(),
            last,
        }
    }

    fn change(&self, act: impl FnOnce(&mut State, u64) -> bool) -> Position {
        let mut state = self.lock();
        let changed = act(&mut state, self.pulse.batch());
        let seq = state.seq;
        drop(state);
        if changed {
            self.pulse.mark();
        }
        Position {
            epoch: self.epoch.to_string(),
            seq,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is complete before anything can panic, so a poisoned lock holds a sound state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_seq(&mut self, batch: u64) -> u64 {
        if self.batch != Some(batch) {
            self.batch = Some(batch);
            self.seq += 1;
        }
        self.seq
    }

    fn put(&mut self, id: &str, json: Arc<str>, batch: u64) -> bool {
        if self
            .entries
            .get(id)
            .is_some_and(|old| old.json.as_deref() == Some(&*json))
        {
            return false;
        }
        let seq = self.next_seq(batch);
        let key: Arc<str> = id.into();
        if let Some(old) = self.entries.insert(
            key.clone(),
            Entry {
                seq,
                json: Some(json),
            },
        ) {
            self.tombstones -= usize::from(old.json.is_none());
            self.by_seq.remove(&(old.seq, key.clone()));
        }
        self.by_seq.insert((seq, key));
        true
    }

    fn take(&mut self, id: &str, batch: u64) -> bool {
        if self.entries.get(id).is_none_or(|old| old.json.is_none()) {
            return false;
        }
        let seq = self.next_seq(batch);
        let key: Arc<str> = id.into();
        if let Some(old) = self.entries.insert(key.clone(), Entry { seq, json: None }) {
            self.by_seq.remove(&(old.seq, key.clone()));
        }
        self.by_seq.insert((seq, key));
        self.tombstones += 1;
        if self.tombstones > TOMBSTONES {
            self.forget_oldest_tombstone();
        }
        true
    }

    fn forget_oldest_tombstone(&mut self) {
        let is_tombstone = |id: &Arc<str>| self.entries.get(id).is_some_and(|e| e.json.is_none());
        if let Some(oldest) = self.by_seq.iter().find(|(_, id)| is_tombstone(id)).cloned() {
            self.by_seq.remove(&oldest);
            self.entries.remove(&oldest.1);
            self.tombstones -= 1;
            self.floor = oldest.0;
        }
    }
}

/// JSON text of a value of crate `api`.
pub(super) fn to_json<T: Serialize + ?Sized>(item: &T) -> Arc<str> {
    // Only a map whose keys are not strings can fail to serialise; the types of crate api have none.
    serde_json::to_string(item)
        .unwrap_or_else(|_| "null".to_owned())
        .into()
}

/// One reader of a [`Ledger`].
#[derive(Debug)]
pub(crate) struct LedgerFeed {
    ledger: Ledger,
    /// The position the reader holds; none: it needs a snapshot.
    last: Option<u64>,
}

impl Feed for LedgerFeed {
    fn poll(&mut self, _now: Instant) -> Option<Frame> {
        let ledger = self.ledger.clone();
        let state = ledger.lock();
        // The open batch may still grow; it is told with the next tick.
        let told = state.seq - u64::from(state.batch == Some(ledger.pulse.batch()));
        let last = self.last.filter(|last| {
            *last >= state.floor && *last <= state.seq && told.saturating_sub(*last) <= CATCH_UP
        });
        let Some(last) = last else {
            // What the open batch holds is in the snapshot already and comes again with its delta: harmless.
            self.last = Some(told);
            return Some(Frame::Snap {
                epoch: ledger.epoch.clone(),
                seq: told,
                data: state.snapshot(),
            });
        };
        if last >= told {
            return None;
        }
        let seq = last + 1;
        self.last = Some(seq);
        Some(Frame::Delta {
            seq,
            data: state.delta(seq),
        })
    }
}

impl State {
    fn snapshot(&self) -> String {
        let mut items: Vec<(&str, &str)> = self
            .entries
            .iter()
            .filter_map(|(id, entry)| Some((&**id, entry.json.as_deref()?)))
            .collect();
        items.sort_unstable_by_key(|(id, _)| *id);
        let items: Vec<&str> = items.into_iter().map(|(_, json)| json).collect();
        format!(r#"{{"items":[{}]}}"#, items.join(","))
    }

    fn delta(&self, seq: u64) -> String {
        let (mut upsert, mut remove) = (Vec::new(), Vec::new());
        let first: (u64, Arc<str>) = (seq, "".into());
        for (_, id) in self.by_seq.range(first..).take_while(|(at, _)| *at == seq) {
            match self.entries.get(id).and_then(|entry| entry.json.as_deref()) {
                Some(json) => upsert.push(json),
                None => remove.push(&**id),
            }
        }
        format!(
            r#"{{"upsert":[{}],"remove":{}}}"#,
            upsert.join(","),
            to_json(&remove)
        )
    }
}
