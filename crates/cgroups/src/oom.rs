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
    // v1 sends events as long as the watched file is open.
    _watched: Option<OwnedFd>,
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
        _watched: Some(watched),
    })
}

fn watch_v2(directory: &Path) -> Result<OomWatch, Error> {
    let counter = directory.join(counter_name(true));
    let readable = rustix::fs::inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
        .map_err(|errno| Error::sys("inotify for", &counter, errno))?;
    rustix::fs::inotify::add_watch(&readable, &counter, WatchFlags::MODIFY)
        .map_err(|errno| Error::sys("watch", &counter, errno))?;
    Ok(OomWatch {
        readable,
        counter,
        _watched: None,
    })
}
