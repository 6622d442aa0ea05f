//! The hub without a network: whatever happens, a client that follows the protocol's rule holds the source's state.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use api::live::{Position, ServerMessage};
use proptest::prelude::*;

use super::{
    Ledger, Pulse,
    subscriptions::{Outbox, Subscriptions},
};

/// A client as the page is: strict about numbers, resumes by position.
#[derive(Default)]
struct Client {
    items: BTreeMap<String, u64>,
    position: Option<Position>,
    snaps: usize,
}

impl Client {
    /// False: a number is missing.
    fn take(&mut self, text: &str) -> bool {
        match serde_json::from_str(text).unwrap() {
            ServerMessage::Snap {
                epoch, seq, data, ..
            } => {
                self.snaps += 1;
                self.items.clear();
                self.upsert(&data["items"]);
                self.position = Some(Position { epoch, seq });
            }
            ServerMessage::Delta { seq, data, .. } => {
                let Some(position) = &mut self.position else {
                    return false;
                };
                if seq != position.seq + 1 {
                    return false;
                }
                position.seq = seq;
                for id in data["remove"].as_array().unwrap() {
                    self.items.remove(id.as_str().unwrap());
                }
                self.upsert(&data["upsert"]);
            }
            other => panic!("unexpected {other:?}"),
        }
        true
    }

    fn upsert(&mut self, items: &serde_json::Value) {
        for item in items.as_array().unwrap() {
            self.items.insert(
                item["id"].as_str().unwrap().to_owned(),
                item["value"].as_u64().unwrap(),
            );
        }
    }
}

/// Holds at most `cap` frames.
struct Box {
    frames: VecDeque<String>,
    cap: usize,
}

impl Outbox for Box {
    fn has_room(&self) -> bool {
        self.frames.len() < self.cap
    }
    fn put(&mut self, text: String) {
        self.frames.push_back(text);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u64),
    Remove(u8),
    Replace(Vec<(u8, u64)>),
    Tick,
    /// The client reads so many frames.
    Read(usize),
    /// The connection breaks: frames under way are lost; it comes back with its position.
    Break,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..12, 0u64..4).prop_map(|(id, value)| Step::Put(id, value)),
        2 => (0u8..12).prop_map(Step::Remove),
        1 => proptest::collection::vec((0u8..12, 0u64..4), 0..8).prop_map(Step::Replace),
        4 => Just(Step::Tick),
        3 => (0usize..4).prop_map(Step::Read),
        1 => Just(Step::Break),
    ]
}

fn item(id: u8, value: u64) -> serde_json::Value {
    serde_json::json!({"id": id.to_string(), "value": value})
}

proptest! {
    #[test]
    fn a_client_always_ends_with_the_sources_state(steps in proptest::collection::vec(step(), 0..200), cap in 1usize..4) {
        let pulse = Pulse::default();
        let ledger = Ledger::new(pulse.clone());
        let mut truth: BTreeMap<String, u64> = BTreeMap::new();
        let mut client = Client::default();
        let mut outbox = Box { frames: VecDeque::new(), cap };
        let mut subscriptions = Subscriptions::default();
        subscriptions.open(7, std::boxed::Box::new(ledger.feed(None)));

        for step in steps.into_iter().chain([Step::Tick, Step::Read(1000)]) {
            match step {
                Step::Put(id, value) => {
                    ledger.upsert(&id.to_string(), &item(id, value));
                    truth.insert(id.to_string(), value);
                }
                Step::Remove(id) => {
                    ledger.remove(&id.to_string());
                    truth.remove(&id.to_string());
                }
                Step::Replace(items) => {
                    let items: BTreeMap<String, (u8, u64)> =
                        items.into_iter().map(|(id, value)| (id.to_string(), (id, value))).collect();
                    let values: Vec<(String, serde_json::Value)> =
                        items.iter().map(|(key, (id, value))| (key.clone(), item(*id, *value))).collect();
                    ledger.replace(values.iter().map(|(key, value)| (key.as_str(), value)));
                    truth = items.into_iter().map(|(key, (_, value))| (key, value)).collect();
                }
                Step::Tick => {
                    pulse.tick();
                    subscriptions.pump(&mut outbox, Instant::now());
                }
                Step::Read(frames) => {
                    for _ in 0..frames {
                        let Some(text) = outbox.frames.pop_front() else { break };
                        prop_assert!(client.take(&text), "a number is missing: {text}");
                        subscriptions.pump(&mut outbox, Instant::now());
                    }
                }
                Step::Break => {
                    outbox.frames.clear();
                    subscriptions.close(7);
                    subscriptions.open(7, std::boxed::Box::new(ledger.feed(client.position.as_ref())));
                }
            }
            prop_assert!(outbox.frames.len() <= cap, "nothing is queued beyond the outbox");
        }
        prop_assert_eq!(client.items, truth);
    }
}

#[test]
fn a_reader_that_resumes_gets_only_what_it_missed() {
    let pulse = Pulse::default();
    let ledger = Ledger::new(pulse.clone());
    let mut client = Client::default();
    let mut outbox = Box {
        frames: VecDeque::new(),
        cap: 100,
    };
    let mut subscriptions = Subscriptions::default();
    for id in 0..50 {
        ledger.upsert(&id.to_string(), &item(id, 0));
    }
    pulse.tick();
    subscriptions.open(1, std::boxed::Box::new(ledger.feed(None)));
    subscriptions.pump(&mut outbox, Instant::now());
    assert!(outbox.frames.drain(..).all(|text| client.take(&text)));
    ledger.upsert("3", &item(3, 9));
    pulse.tick();
    ledger.remove("4");
    pulse.tick();
    subscriptions.open(
        1,
        std::boxed::Box::new(ledger.feed(client.position.as_ref())),
    );
    subscriptions.pump(&mut outbox, Instant::now());
    assert_eq!(outbox.frames.len(), 2);
    assert!(outbox.frames.drain(..).all(|text| client.take(&text)));
    assert_eq!(
        (client.snaps, client.items.len(), client.items["3"]),
        (1, 49, 9)
    );
}

#[test]
fn another_epoch_gets_a_snapshot() {
    let pulse = Pulse::default();
    let ledger = Ledger::new(pulse);
    let mut client = Client::default();
    let mut outbox = Box {
        frames: VecDeque::new(),
        cap: 100,
    };
    let mut subscriptions = Subscriptions::default();
    let stale = Position {
        epoch: "another".to_owned(),
        seq: 3,
    };
    subscriptions.open(1, std::boxed::Box::new(ledger.feed(Some(&stale))));
    subscriptions.pump(&mut outbox, Instant::now());
    assert!(client.take(&outbox.frames.pop_front().unwrap()));
    assert_eq!(client.snaps, 1);
}
