//! The command as people run it: real processes, talked to over HTTP, signals and files.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod running;
mod serve;
mod verbs;
