//! Alerts: rules are judged every few seconds from the mirror and the newest figures; what they find is kept, shown, and sent
//! to channels through a box on the disk, so that neither a restart nor a server that is away loses a message.

mod address;
mod channel;
mod judge;
mod message;
mod quiet;
mod send;
mod service;
mod store;

pub(crate) use service::AlertError;
pub use service::Alerts;
