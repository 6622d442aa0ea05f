//! `kill`.

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::cli::arguments::{Arguments, Globals};
use crate::error::{Error, ErrorKind, Result};
use crate::state::{Status, Store, start_ticks};

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments) -> Result<u8> {
    let mut all = false;
    arguments.flags(|flag, _| match flag {
        "--all" | "-a" => {
            all = true;
            Ok(())
        }
        _ => Err(Arguments::unknown(flag)),
    })?;
    let id = arguments.id()?;
    let signal = number(&arguments.word().unwrap_or_else(|| "SIGTERM".into()))?;
    arguments.end()?;
    let store = Store::of(&globals.root, &id)?;
    let state = store.read()?;
    if all {
        for pid in state.cgroup()?.processes()? {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                // One that has ended meanwhile got what it should.
                rustix::process::kill_process(pid, signal).ok();
            }
        }
        return Ok(0);
    }
    let stopped = || Error::new(ErrorKind::WrongState, "container not running");
    if store.status(&state) == Status::Stopped {
        return Err(stopped());
    }
    // By a descriptor, checked after it was opened: the number may be another's by now.
    let pid = Pid::from_raw(state.pid).ok_or_else(stopped)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|_| stopped())?;
    if start_ticks(state.pid) != Some(state.start_ticks) {
        return Err(stopped());
    }
    match pidfd_send_signal(&pidfd, signal) {
        Ok(()) => Ok(0),
        Err(Errno::SRCH) => Err(stopped()),
        Err(errno) => Err(Error::sys("send", "the signal", errno)),
    }
}

/// Numbers of the signals that differ in no architecture that we run on, by name.
const NAMES: [(&str, i32); 31] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

fn number(word: &str) -> Result<Signal> {
    let unknown = || Error::invalid(format!("unknown signal {word:?}"));
    let upper = word.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = match word.parse::<i32>() {
        Ok(number) => number,
        Err(_) => NAMES
            .iter()
            .find(|(name, _)| *name == bare)
            .map(|(_, number)| *number)
            .ok_or_else(unknown)?,
    };
    Signal::from_named_raw(number).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_numbers_and_names_with_and_without_sig() {
        for word in ["9", "KILL", "SIGKILL", "sigkill"] {
            assert_eq!(number(word).unwrap(), Signal::KILL);
        }
        for word in ["", "SIG", "NOPE", "-1", "900"] {
            assert!(number(word).is_err(), "{word}");
        }
    }
}
