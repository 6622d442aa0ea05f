//! The server over HTTP, from outside: first start and sign-in, where requests may come from, who may do what, bad input, and
//! engines that are down, slow or garbled. The engine is one of our own that answers what a test needs and keeps what it was
//! asked, so that "nothing was sent" can be seen; real engines are in `kernel_live.rs`.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod accounts;
mod alerts;
mod audit;
mod doors;
mod faults;
mod first_start;
mod input;
mod metrics;
mod roles;
mod scripted;
mod second_factor;
mod site;
mod tokens;
