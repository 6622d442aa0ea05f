//! `kill`.

use std::os::fd::AsFd as _;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::cli::arguments::{Arguments, Globals};
use crate::error::{Error, ErrorKind, Result};
use crate::state::{State, Store, start_ticks};

const SIGKILL: i32 = 9;
const SIGRTMIN: i32 = 34;
const SIGRTMAX: i32 = 64;

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments) -> Result<u8> {
    let mut all = false;
    arguments.flags(|flag, _| match flag {
        "--all" => {
            all = true;
            Ok(())
        }
        _ => Err(Arguments::unknown(flag)),
    })?;
    let id = arguments.id()?;
    let signal = number(&arguments.word()?.unwrap_or_else(|| "SIGTERM".into()))?;
    let state = Store::of(&globals.root, &id)?.read()?;
    // Without a pid namespace of its own nothing else ends the others.
    if all || (signal == SIGKILL && !state.own_pids) {
        to_all(&state, signal);
    } else {
        to_first(&state, signal)?;
    }
    if signal == SIGKILL {
        // In a frozen cgroup of v1 it would wait for the thaw. A cgroup that is gone needs none.
        drop(state.cgroup().and_then(|cgroup| Ok(cgroup.thaw()?)));
    }
    Ok(0)
}

/// To every process of the container. A container without any is no error.
fn to_all(state: &State, signal: i32) {
    for pid in state.processes().unwrap_or_default() {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        // One that has ended meanwhile got what it should.
        if let Some(pidfd) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
            sys::signal::send(pidfd.as_fd(), signal).ok();
        }
    }
}

fn to_first(state: &State, signal: i32) -> Result<()> {
    let stopped = || {
        Error::new(ErrorKind::WrongState, "container not running")
            .with_hint("its program has ended: mini delete removes what there is of it")
    };
    // By a descriptor, checked after it was opened: the number may be another's by now.
    let pid = Pid::from_raw(state.pid).ok_or_else(stopped)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|_| stopped())?;
    if start_ticks(state.pid) != Some(state.start_ticks) {
        return Err(stopped());
    }
    match sys::signal::send(pidfd.as_fd(), signal) {
        Ok(()) => Ok(()),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
            Err(stopped())
        }
        Err(error) => Err(Error::sys("send", "the signal", error)),
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

/// The number of a signal's word: a number, or a name with or without `SIG`, as `RTMIN+3` too.
fn number(word: &str) -> Result<i32> {
    let unknown = || {
        Error::invalid(format!("unknown signal {word:?}"))
            .with_hint("give a number from 1 to 64 or a name: TERM, SIGKILL, RTMIN+3")
    };
    let upper = word.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let named = || {
        NAMES
            .iter()
            .find(|(name, _)| *name == bare)
            .map(|(_, number)| *number)
    };
    word.parse()
        .ok()
        .or_else(named)
        .or_else(|| real_time(bare))
        .filter(|number| (0..=SIGRTMAX).contains(number))
        .ok_or_else(unknown)
}

fn real_time(bare: &str) -> Option<i32> {
    let (from, offset) = bare
        .strip_prefix("RTMIN")
        .map(|offset| (SIGRTMIN, offset))
        .or_else(|| bare.strip_prefix("RTMAX").map(|offset| (SIGRTMAX, offset)))?;
    let offset = if offset.is_empty() {
        0
    } else {
        offset.parse::<i32>().ok()?
    };
    Some(from.checked_add(offset)?).filter(|number| (SIGRTMIN..=SIGRTMAX).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_numbers_and_names_with_and_without_sig() {
        for (word, wanted) in [
            ("9", 9),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigkill", 9),
            ("0", 0),
            ("37", 37),
            ("RTMIN+3", 37),
            ("SIGRTMIN", 34),
            ("SIGRTMAX-1", 63),
        ] {
            assert_eq!(number(word).unwrap(), wanted, "{word}");
        }
        for word in [
            "", "SIG", "NOPE", "-1", "900", "RTMIN-1", "RTMAX+1", "RTMINx",
        ] {
            assert!(number(word).is_err(), "{word}");
        }
    }
}
