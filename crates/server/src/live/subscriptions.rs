//! The subscriptions of one socket and the turn-taking between them: pure, without input or output.

use std::{collections::BTreeMap, time::Instant};

use super::feed::{Feed, Frame};

/// Most subscriptions of one socket.
pub(crate) const MAX_SUBSCRIPTIONS: usize = 64;

/// Where frames go; it says when it is full.
pub(crate) trait Outbox {
    /// Whether another frame may be put now.
    fn has_room(&self) -> bool;
    /// Takes a frame's text.
    fn put(&mut self, text: String);
}

/// The subscriptions of one socket.
#[derive(Default)]
pub(crate) struct Subscriptions {
    feeds: BTreeMap<u32, Box<dyn Feed>>,
    /// Whose turn is first, so that a busy log does not starve the others of a full socket.
    next: u32,
}

impl std::fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscriptions")
            .field("ids", &self.feeds.keys())
            .finish_non_exhaustive()
    }
}

impl Subscriptions {
    /// Whether a subscription `id` may be opened; one of the same id is replaced.
    pub(crate) fn has_room_for(&self, id: u32) -> bool {
        self.feeds.len() < MAX_SUBSCRIPTIONS || self.feeds.contains_key(&id)
    }

    /// Opens, or replaces, a subscription.
    pub(crate) fn open(&mut self, id: u32, feed: Box<dyn Feed>) {
        self.feeds.insert(id, feed);
    }

    /// Closes a subscription, if it is there.
    pub(crate) fn close(&mut self, id: u32) {
        self.feeds.remove(&id);
    }

    /// Gives credit to a subscription.
    pub(crate) fn credit(&mut self, id: u32, bytes: u64) {
        if let Some(feed) = self.feeds.get_mut(&id) {
            feed.credit(bytes);
        }
    }

    /// Moves what is new into `outbox`, one frame per subscription and turn. True: the outbox got full, there may be more.
    pub(crate) fn pump(&mut self, outbox: &mut dyn Outbox, now: Instant) -> bool {
        loop {
            let mut idle = true;
            let turn: Vec<u32> = self
                .feeds
                .range(self.next..)
                .chain(self.feeds.range(..self.next))
                .map(|(id, _)| *id)
                .collect();
            for id in turn {
                if !outbox.has_room() {
                    self.next = id;
                    return true;
                }
                let Some(frame) = self.feeds.get_mut(&id).and_then(|feed| feed.poll(now)) else {
                    continue;
                };
                idle = false;
                if matches!(frame, Frame::End(_)) {
                    self.feeds.remove(&id);
                }
                outbox.put(frame.into_text(id));
            }
            if idle {
                return false;
            }
        }
    }
}
