//! Ends on SIGTERM and its like.
//!
//! As the first process of a container we get no default action for signals: without this `docker stop` would wait ten
//! seconds and then kill.

use std::{io, thread};

use rustix::event::{PollFd, PollFlags, poll};
use sys::signal::{self, SignalSet};

const SIGNALS: [i32; 4] = [1, 2, 3, 15];

/// Ends the process with status 128 + N on SIGHUP, SIGINT, SIGQUIT and SIGTERM. Call before any thread is started.
pub(crate) fn end_on_signals() -> io::Result<()> {
    let set = SignalSet::of(&SIGNALS);
    signal::block_only(set)?;
    let descriptor = signal::descriptor(set)?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            loop {
                let mut ready = [PollFd::new(&descriptor, PollFlags::IN)];
                match poll(&mut ready, None) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(_) => return,
                }
                if let Ok(Some(number)) = signal::read(&descriptor) {
                    #[expect(
                        clippy::exit,
                        reason = "the main thread may be busy for ever: that is its work"
                    )]
                    std::process::exit(128 + number);
                }
            }
        })?;
    Ok(())
}
