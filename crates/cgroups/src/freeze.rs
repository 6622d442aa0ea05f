//! Stopping and ending all processes of a cgroup at once.
//!
//! v2 has `cgroup.freeze` and `cgroup.kill`, also on a hybrid machine; they are used wherever v2 is mounted. Without them: the v1
//! freezer, and a kill of each process while all are frozen, so that none can fork away.
//! Source: kernel cgroup-v2.rst (Core Interface Files), cgroup-v1/freezer-subsystem.rst.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::cgroup::Directory;
use crate::layout::Controller;
use crate::{Cgroup, Error, file, parse};

/// How long freezing may take before it is given up and undone.
const FREEZE_PATIENCE: Duration = Duration::from_secs(5);

impl Cgroup {
    /// Stops every process in it and below, until [`Cgroup::thaw`]. Returns once all stand still.
    ///
    /// # Errors
    /// [`Error::Busy`] if some do not within seconds (a process in uninterruptible sleep): all run again then;
    /// [`Error::NotSupported`] without v2 and without v1's freezer.
    pub fn freeze(&self) -> Result<(), Error> {
        self.set_frozen(true)
    }

    /// Lets the processes run again.
    ///
    /// # Errors
    /// As [`Cgroup::freeze`].
    pub fn thaw(&self) -> Result<(), Error> {
        self.set_frozen(false)
    }

    /// Whether it is frozen.
    ///
    /// # Errors
    /// As [`Cgroup::freeze`].
    pub fn is_frozen(&self) -> Result<bool, Error> {
        match self.freezer()? {
            Freezer::V2(directory) => {
                let path = directory.join("cgroup.freeze");
                Ok(file::read_named(&path)?.trim() == "1")
            }
            Freezer::V1(directory) => {
                let path = directory.join("freezer.state");
                Ok(file::read_named(&path)?.trim() != "THAWED")
            }
        }
    }

    /// Kills every process in it and below, frozen or not, and waits until they have ended (a zombie that its parent has not
    /// yet reaped has).
    ///
    /// # Errors
    /// [`Error::Busy`] if some are left after `patience`.
    pub fn kill_all(&self, patience: Duration) -> Result<(), Error> {
        let started = Instant::now();
        if let Some(directory) = self.v2_directory() {
            let path = directory.join("cgroup.kill");
            match file::write(&path, "1") {
                Ok(()) => {
                    // A process frozen by the v1 freezer dies only when it is thawed.
                    self.thaw_v1()?;
                    return wait_until_empty(directory, started, patience);
                }
                // Before Linux 5.14; or already removed.
                Err(Errno::NOENT) if !file::exists(directory) => return Ok(()),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(Error::sys("write", path, errno)),
            }
        }
        let mut pause = Duration::from_micros(500);
        loop {
            // Without a freezer, or if it does not freeze, the loop still ends: forks lose the race in the end.
            let frozen = self.freeze().is_ok();
            for pid in self.processes()? {
                kill(pid)?;
            }
            if frozen {
                self.thaw()?;
            }
            if self.processes()?.is_empty() {
                return Ok(());
            }
            if started.elapsed() >= patience {
                return Err(self.busy("kill", started));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    fn busy(&self, operation: &'static str, started: Instant) -> Error {
        Error::Busy {
            operation,
            path: self.path().into(),
            waited_ms: started.elapsed().as_millis(),
        }
    }

    fn freezer(&self) -> Result<Freezer<'_>, Error> {
        if let Some(directory) = self.v2_directory()
            && file::exists(&directory.join("cgroup.freeze"))
        {
            return Ok(Freezer::V2(directory));
        }
        self.directory_of(Controller::Freezer).map_or_else(
            || {
                Err(Error::NotSupported {
                    what: "freezer".into(),
                    value: "frozen".into(),
                    reason: "neither cgroup v2 (Linux 5.2) nor the v1 freezer is mounted".into(),
                    hint: "mount one of them".into(),
                })
            },
            |directory| Ok(Freezer::V1(&directory.path)),
        )
    }

    fn set_frozen(&self, frozen: bool) -> Result<(), Error> {
        let outcome = match self.freezer()? {
            Freezer::V2(directory) => {
                file::write_named(
                    &directory.join("cgroup.freeze"),
                    if frozen { "1" } else { "0" },
                )?;
                wait_for_event(directory, "frozen", u64::from(frozen), FREEZE_PATIENCE)?
            }
            Freezer::V1(directory) => set_state_v1(directory, frozen)?,
        };
        if outcome {
            if !frozen {
                // Someone else (Docker, systemd) may have used the other freezer.
                self.thaw_v1()?;
            }
            return Ok(());
        }
        self.set_frozen_back(frozen)?;
        Err(Error::Busy {
            operation: if frozen { "freeze" } else { "thaw" },
            path: self.path().into(),
            waited_ms: FREEZE_PATIENCE.as_millis(),
        })
    }

    fn set_frozen_back(&self, frozen: bool) -> Result<(), Error> {
        if !frozen {
            return Ok(());
        }
        match self.freezer()? {
            Freezer::V2(directory) => file::write_named(&directory.join("cgroup.freeze"), "0"),
            Freezer::V1(directory) => file::write_named(&directory.join("freezer.state"), "THAWED"),
        }
    }

    fn thaw_v1(&self) -> Result<(), Error> {
        let Some(directory) = self.directory_of(Controller::Freezer) else {
            return Ok(());
        };
        let path = directory.path.join("freezer.state");
        match file::write(&path, "THAWED") {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::sys("write", path, errno)),
        }
    }
}

/// Whether the cgroup of one hierarchy is frozen itself, by that hierarchy's own freezer if it has one.
pub(crate) fn is_directory_frozen(directory: &Directory) -> Result<bool, Error> {
    let (name, thawed) = if directory.v2 {
        ("cgroup.freeze", "0")
    } else if directory.controllers.contains(&Controller::Freezer) {
        ("freezer.state", "THAWED")
    } else {
        return Ok(false);
    };
    let path = directory.path.join(name);
    match file::read(&path) {
        Ok(state) => Ok(state.trim() != thawed),
        // The root, or before Linux 5.2.
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(Error::sys("read", path, errno)),
    }
}

enum Freezer<'a> {
    V1(&'a Path),
    V2(&'a Path),
}

fn set_state_v1(directory: &Path, frozen: bool) -> Result<bool, Error> {
    let path = directory.join("freezer.state");
    let wanted = if frozen { "FROZEN" } else { "THAWED" };
    let started = Instant::now();
    let mut pause = Duration::from_micros(100);
    loop {
        // Written again each time: a fork under way may have left the group half frozen.
        file::write_named(&path, wanted)?;
        if file::read_named(&path)?.trim() == wanted {
            return Ok(true);
        }
        if started.elapsed() >= FREEZE_PATIENCE {
            return Ok(false);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Waits until a key of `cgroup.events` has a value; false when the time is over.
fn wait_for_event(
    directory: &Path,
    key: &str,
    value: u64,
    patience: Duration,
) -> Result<bool, Error> {
    let path = directory.join("cgroup.events");
    let started = Instant::now();
    let events = match rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(events) => events,
        Err(Errno::NOENT) => return Ok(true),
        Err(errno) => return Err(Error::sys("open", path, errno)),
    };
    let mut buffer = [0_u8; 256];
    // The kernel tells at most one change in 10 ms (a second one is told when that time is over), which would be most of
    // the wait for a process that dies at once: so it is looked at now and then without being told.
    let mut pause = Duration::from_micros(250);
    loop {
        let n = match rustix::io::pread(&events, &mut buffer, 0) {
            Ok(n) => n,
            // Removed meanwhile: then it is empty too.
            Err(Errno::NODEV) => return Ok(true),
            Err(errno) => return Err(Error::sys("read", path, errno)),
        };
        let content = String::from_utf8_lossy(buffer.get(..n).unwrap_or_default()).into_owned();
        if parse::flat_value(&content, key) == Some(value) {
            return Ok(true);
        }
        let Some(left) = patience.checked_sub(started.elapsed()) else {
            return Ok(false);
        };
        let mut polled = [PollFd::new(&events, PollFlags::PRI)];
        let timeout = Timespec::try_from(left.min(pause)).ok();
        pause = (pause * 2).min(Duration::from_millis(100));
        match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::sys("poll", path, errno)),
        }
    }
}

fn wait_until_empty(directory: &Path, started: Instant, patience: Duration) -> Result<(), Error> {
    let left = patience.saturating_sub(started.elapsed());
    if wait_for_event(directory, "populated", 0, left)? {
        return Ok(());
    }
    Err(Error::Busy {
        operation: "kill",
        path: directory.to_owned(),
        waited_ms: started.elapsed().as_millis(),
    })
}

fn kill(pid: u32) -> Result<(), Error> {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        // Outside of our pid namespace: it cannot be named from here.
        return Ok(());
    };
    let path = || format!("process {}", pid.as_raw_nonzero());
    match rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .and_then(|process| rustix::process::pidfd_send_signal(process, Signal::KILL))
    {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(Error::sys("kill", path(), errno)),
    }
}
