//! The live socket: one per browser tab, many topics in it (UI.md, "Live protocol").

mod feed;
mod hub;
mod journal;
mod ledger;
mod places;
mod pulse;
mod socket;
mod subscriptions;

pub(crate) use feed::{Feed, Frame};
pub use hub::{EngineLists, Hub};
pub(crate) use hub::{LogTarget, SubscribeError};
pub use journal::Journal;
pub use ledger::Ledger;
pub use places::Places;
pub use pulse::Pulse;
pub(crate) use pulse::new_epoch;
pub(crate) use socket::{Backend, Greeting, MAX_FRAME, serve};

#[cfg(test)]
mod tests;
