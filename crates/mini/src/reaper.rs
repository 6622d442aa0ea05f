//! The first process of a container with `--init`: it starts the program, passes signals on to it, and takes the
//! statuses of whatever the program leaves behind, so that no dead process stays in the process table.
//!
//! The same binary under another name: it is mounted into the container read-only, as `/sbin/docker-init`.
//! Source: `man 2 waitpid`, `man 7 pid_namespaces` (only a first process that handles a signal gets it).

use std::ffi::{CString, OsString};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStringExt as _;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, wait};
use sys::process::Program;
use sys::signal::SignalSet;

use crate::error::{Error, Result};
use crate::process::executable;

/// The name under which it is executed.
pub const NAME: &str = "docker-init";
/// These come of what this process itself does, or would stop it.
const NOT_PASSED_ON: [i32; 4] = [SIGCHLD, SIGTTIN, SIGTTOU, SIGTSTP];
const SIGCHLD: i32 = 17;
const SIGTSTP: i32 = 20;
const SIGTTIN: i32 = 21;
const SIGTTOU: i32 = 22;

/// Runs the program that `arguments` name, behind an optional `--`, to its end; its exit status.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    match supervise(arguments) {
        Ok(status) => status,
        Err(error) => {
            report(&error);
            error.exit_status()
        }
    }
}

fn supervise(arguments: impl IntoIterator<Item = OsString>) -> Result<u8> {
    let mut words = arguments.into_iter().peekable();
    if words.peek().is_some_and(|word| word == "--") {
        words.next();
    }
    let words: Vec<CString> = words
        .map(|word| CString::new(word.into_vec()))
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| Error::invalid("a word of the command holds a zero byte"))?;
    let name = words
        .first()
        .ok_or_else(|| Error::invalid("no command after --"))?
        .to_string_lossy()
        .into_owned();
    let env: Vec<String> = std::env::vars_os()
        .map(|(key, value)| format!("{}={}", key.to_string_lossy(), value.to_string_lossy()))
        .collect();
    let path = executable::find(&name, &env)?;
    let envp = std::env::vars_os()
        .filter_map(|(key, value)| {
            let mut entry = key.into_vec();
            entry.push(b'=');
            entry.extend(value.into_vec());
            CString::new(entry).ok()
        })
        .collect();
    let program = Program::new(path, words, envp);
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| Error::sys(&what, "signals", error)
    };
    sys::signal::block_only(SignalSet::ALL).map_err(failed("block"))?;
    let signals = sys::signal::descriptor(SignalSet::ALL).map_err(failed("read"))?;
    let child = sys::process::fork().map_err(|error| Error::sys("start", &name, error))?;
    let Some(child) = child else {
        become_program(&name, &program)
    };
    loop {
        let mut ready = [PollFd::new(&signals, PollFlags::IN)];
        // Interrupted or ready: either way what is there is read.
        poll(&mut ready, None).ok();
        while let Ok(Some(signal)) = sys::signal::read(&signals) {
            if signal == SIGCHLD {
                if let Some(status) = reap(child) {
                    return Ok(status);
                }
            } else if !NOT_PASSED_ON.contains(&signal)
                && let Some(pid) = Pid::from_raw(child)
                && let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty())
            {
                // By number: real-time signals have no name. It may have ended just now, which comes next.
                sys::signal::send(pidfd.as_fd(), signal).ok();
            }
        }
    }
}

/// Takes all statuses that are there; the program's own when it is among them.
fn reap(program: i32) -> Option<u8> {
    let mut ended = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid.as_raw_nonzero().get() == program {
            let code = status
                .exit_status()
                .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
            ended = Some(u8::try_from(code.unwrap_or(255)).unwrap_or(255));
        }
    }
    ended
}

/// Leads a group of its own, which has the terminal if there is one, and becomes the program.
fn become_program(name: &str, program: &Program) -> ! {
    if rustix::process::setpgid(None, None).is_ok() {
        let stdin = rustix::stdio::stdin();
        // Without a terminal there is nothing to take. SIGTTOU is still blocked here, so this does not stop us.
        rustix::termios::tcsetpgrp(stdin.as_fd(), rustix::process::getpid()).ok();
    }
    sys::signal::reset_dispositions();
    drop(sys::signal::block_only(SignalSet::EMPTY));
    let error = program.execute();
    let status = match error.raw_os_error() {
        Some(2) => 127,
        _ => 126,
    };
    report(&Error::sys("execute", name, error));
    sys::process::exit_now(status)
}

#[expect(
    clippy::print_stderr,
    reason = "whoever looks for the reason looks at the container's output"
)]
fn report(error: &Error) {
    eprintln!("{NAME}: {error}");
}
