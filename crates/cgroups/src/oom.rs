//! To be told when the kernel runs out of a container's memory, and how often it killed.
//!
//! v1: an eventfd tied to `memory.oom_control`; v2: an inotify watch of `memory.events`. Both become readable.
//! Source: kernel cgroup-v1/memory.rst (section 10), cgroup-v2.rst (memory.events).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::EventfdFlags;
use rustix::fs::inotify::{CreateFlags, WatchFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::layout::Controller;
use crate::{Cgroup, Error, file, parse};

/// A descriptor that becomes readable when the cgroup has run out of memory (or, rarely, for another reason: look at
/// [`OomWatch::kills_total`], which is the truth).
#[derive(Debug)]
pub struct OomWatch {
    readable: OwnedFd,
    counter: PathBuf,
    // v1 sends events as long as the watched file is open; `None` on v2.
    watched: Option<OwnedFd>,
    kills_seen: u64,
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }
}

impl OomWatch {
    /// Takes what is readable, without waiting, so that the next poll waits for news.
    ///
    /// # Errors
    /// [`Error::Sys`].
    pub fn drain(&self) -> Result<(), Error> {
        let mut buffer = [0_u8; 1024];
        loop {
            match rustix::io::read(&self.readable, &mut buffer) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::sys("read", &self.counter, errno)),
            }
        }
    }

    /// How often memory ran out since it was asked last, without waiting: on v1 as often as the kernel told so, on v2, where it
    /// tells of much else as well, as often as it killed. 0 once the cgroup is removed.
    ///
    /// # Errors
    /// [`Error::Sys`].
    pub fn take_events(&mut self) -> Result<u64, Error> {
        let Some(eventfd) = self.watched.as_ref().map(|_| &self.readable) else {
            self.drain()?;
            let total = self.kills_total();
            let new = total.saturating_sub(self.kills_seen);
            self.kills_seen = self.kills_seen.max(total);
            return Ok(new);
        };
        let mut count = [0_u8; 8];
        match rustix::io::read(eventfd, &mut count) {
            // The removal of the cgroup is told like lack of memory.
            Ok(_) if !file::exists(&self.counter) => Ok(0),
            Ok(_) => Ok(u64::from_ne_bytes(count)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(errno) => Err(Error::sys("read", &self.counter, errno)),
        }
    }

    /// How many processes of the cgroup the kernel killed for lack of memory since it was made; 0 once it is removed.
    pub fn kills_total(&self) -> u64 {
        kills(&self.counter)
    }
}

fn kills(counter: &Path) -> u64 {
    file::read(counter)
        .ok()
        .and_then(|content| parse::flat_value(&content, "oom_kill"))
        .unwrap_or_default()
}

impl Cgroup {
    /// Starts to watch for the kernel running out of this cgroup's memory.
    ///
    /// # Errors
    /// [`Error::NotSupported`] without the memory controller; [`Error::Sys`].
    pub fn watch_oom(&self) -> Result<OomWatch, Error> {
        let (directory, v2) = self.memory_directory()?;
        if v2 {
            watch_v2(directory)
        } else {
            watch_v1(directory)
        }
    }

    /// How many processes of the cgroup the kernel killed for lack of memory since it was made.
    ///
    /// # Errors
    /// [`Error::NotSupported`] without the memory controller.
    pub fn oom_kills_total(&self) -> Result<u64, Error> {
        let (directory, v2) = self.memory_directory()?;
        Ok(kills(&directory.join(counter_name(v2))))
    }

    fn memory_directory(&self) -> Result<(&Path, bool), Error> {
        self.directory_of(Controller::Memory)
            .map(|directory| (directory.path.as_path(), directory.v2))
            .ok_or_else(|| Error::NotSupported {
                what: "memory".into(),
                value: "watched".into(),
                reason: "the memory controller is not enabled for this cgroup".into(),
                hint: "boot with cgroup_enable=memory, or enable it in cgroup.subtree_control of the parent".into(),
            })
    }
}

const fn counter_name(v2: bool) -> &'static str {
    if v2 {
        "memory.events"
    } else {
        "memory.oom_control"
    }
}

fn watch_v1(directory: &Path) -> Result<OomWatch, Error> {
    use std::os::fd::AsRawFd;
    let counter = directory.join(counter_name(false));
    let watched = rustix::fs::open(&counter, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::sys("open", &counter, errno))?;
    let readable = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|errno| Error::sys("eventfd for", &counter, errno))?;
    let line = format!("{} {}", readable.as_raw_fd(), watched.as_raw_fd());
    file::write_named(&directory.join("cgroup.event_control"), &line)?;
    Ok(OomWatch {
        readable,
        counter,
        watched: Some(watched),
        kills_seen: 0,
    })
}

fn watch_v2(directory: &Path) -> Result<OomWatch, Error> {
    let counter = directory.join(counter_name(true));
    let readable = rustix::fs::inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
        .map_err(|errno| Error::sys("inotify for", &counter, errno))?;
    rustix::fs::inotify::add_watch(&readable, &counter, WatchFlags::MODIFY)
        .map_err(|errno| Error::sys("watch", &counter, errno))?;
    let kills_seen = kills(&counter);
    Ok(OomWatch {
        readable,
        counter,
        watched: None,
        kills_seen,
    })
}
