//! Terminals in containers: each a program with a pseudo-terminal whose output is kept a while, so that a lost connection
//! loses nothing.

mod frame;
mod pump;
mod registry;
mod ring;
mod serve;
mod shell;

pub(crate) use pump::MARK;
pub use registry::Terminals;
pub(crate) use registry::{Opened, Shell};
pub(crate) use serve::{MAX_FRAME, serve};
pub(crate) use shell::find as find_shell;
