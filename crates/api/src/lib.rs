//! Types of the ContainerOS web API: what requests carry and what answers hold.
//!
//! Sizes are in bytes, times are RFC 3339 in UTC, and a number's unit stands in its name. [`operation`] is the one table
//! of routes: the server builds its router from it, [`openapi`] its document, and both demand a permission of each entry.

pub mod account;
pub mod alert;
pub mod audit;
pub mod auth;
pub mod capability;
pub mod compare;
pub mod container;
pub mod engine;
pub mod file;
pub mod host;
pub mod id;
pub mod image;
pub mod inside;
pub mod job;
pub mod live;
pub mod log;
pub mod network;
pub mod openapi;
pub mod operation;
pub mod page;
pub mod preview;
pub mod problem;
pub mod revision;
pub mod stats;
pub mod stream;
pub mod system;
pub mod terminal;
pub mod token;
pub mod user;
pub mod volume;
