//! `events`: what a container uses, now and then, and when its memory runs out, a line of JSON each.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use cgroups::{Cgroup, OomWatch};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::cli::arguments::{Arguments, Globals};
use crate::cli::duration;
use crate::error::{Error, ErrorKind, Result};
use crate::state::{Status, Store, start_ticks};
use crate::usage::{self, Event};

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments) -> Result<u8> {
    let mut once = false;
    let mut interval = Duration::from_secs(5);
    arguments.flags(|flag, arguments| {
        match flag {
            "--stats" => once = true,
            "--interval" => interval = duration::parse(&arguments.text()?)?,
            _ => return Err(Arguments::unknown(flag)),
        }
        Ok(())
    })?;
    let id = arguments.id()?;
    if interval.is_zero() {
        return Err(
            Error::invalid("duration interval must be greater than 0").with_hint("write 5s or 1m")
        );
    }
    let store = Store::of(&globals.root, &id)?;
    let state = store.read()?;
    let stopped = || {
        Error::new(
            ErrorKind::WrongState,
            format!("container with id {id} is not running"),
        )
    };
    if store.status(&state) == Status::Stopped {
        return Err(stopped());
    }
    let cgroup = state.cgroup()?;
    let stats = || Event {
        kind: "stats",
        id: &id,
        data: Some(usage::read(&cgroup, state.pid)),
    };
    if once {
        say(&stats())?;
        return Ok(0);
    }
    // By a descriptor, checked after it was opened: the number may be another's by now.
    let pid = Pid::from_raw(state.pid).ok_or_else(stopped)?;
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(|_| stopped())?;
    if start_ticks(state.pid) != Some(state.start_ticks) {
        return Err(stopped());
    }
    let mut oom = watch(&cgroup);
    let mut next = Instant::now() + interval;
    loop {
        let mut watched = vec![PollFd::new(&process, PollFlags::IN)];
        if let Some(oom) = &oom {
            watched.push(PollFd::from_borrowed_fd(oom.as_fd(), PollFlags::IN));
        }
        let left = next.saturating_duration_since(Instant::now());
        match poll(&mut watched, Timespec::try_from(left).ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::sys("wait for", "events", errno)),
        }
        let ended = watched
            .first()
            .is_some_and(|process| !process.revents().is_empty());
        // First what led to the end, then the end.
        if let Some(oom) = &mut oom {
            for _ in 0..oom.take_events()? {
                let event = Event {
                    kind: "oom",
                    id: &id,
                    data: None,
                };
                if !say(&event)? {
                    return Ok(0);
                }
            }
        }
        if ended {
            return Ok(0);
        }
        if Instant::now() >= next {
            if !say(&stats())? {
                return Ok(0);
            }
            next = Instant::now() + interval;
        }
    }
}

/// Without the memory controller there is nothing to be told of, and the figures are told all the same.
fn watch(cgroup: &Cgroup) -> Option<OomWatch> {
    cgroup.watch_oom().ok()
}

/// Prints an event; false when nobody reads any more.
fn say(event: &Event<'_>) -> Result<bool> {
    let json = serde_json::to_string(event)
        .map_err(|error| Error::invalid(format!("write the event: {error}")))?;
    Ok(writeln!(std::io::stdout().lock(), "{json}").is_ok())
}
