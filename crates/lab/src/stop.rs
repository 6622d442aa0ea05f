//! Ends on SIGTERM and its like.
//!
//! As the first process of a container we get no default action for signals: without this `docker stop` would wait ten
//! seconds and then kill.

use std::{io, thread, time::Duration};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sys::signal::{self, SignalSet};

const SIGNALS: [i32; 4] = [1, 2, 3, 15];

/// Waits for a time, or without end, and returns the signal that ended the wait. Needs no second thread, of which a
/// limit on processes might have none left.
pub(crate) fn wait(time: Option<Duration>) -> io::Result<Option<i32>> {
    let set = SignalSet::of(&SIGNALS);
    signal::block_only(set)?;
    let descriptor = signal::descriptor(set)?;
    let end = time.map(|time| std::time::Instant::now() + time);
    loop {
        let left = end.map(|end| end.saturating_duration_since(std::time::Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(None);
        }
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let mut ready = [PollFd::new(&descriptor, PollFlags::IN)];
        match poll(&mut ready, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if let Some(number) = signal::read(&descriptor)? {
            return Ok(Some(number));
        }
    }
}

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
