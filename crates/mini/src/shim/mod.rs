//! The small process that stays with each container: it holds the terminal or the pipes, writes the log, serves those who
//! attach, runs execs, and leaves the exit record before it tells anyone. It outlives the engine.
//!
//! One thread; it wakes up for events alone, but for a client that has to be given up. The protocol is the crate
//! `shim_protocol`.

mod connection;
mod exec;
mod launch;
mod log;
mod log_buffer;
mod log_file;
mod server;
mod streams;
mod wait;

pub use launch::run;

/// The shim's own messages go to its standard error, a file of the engine's.
#[expect(clippy::print_stderr, reason = "there is no other place to say it")]
fn message(text: &str) {
    eprintln!("{} {text}", crate::clock::rfc3339(crate::clock::unix_ns()));
}
