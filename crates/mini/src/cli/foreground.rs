//! Waiting for a program in the foreground: signals are passed on to it, its terminal is shown on ours.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};
use rustix::termios::{
    OptionalActions, OutputModes, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr,
    tcsetwinsize,
};
use shim_protocol::ConsoleSize;
use sys::signal::SignalSet;

use crate::error::{Error, Result};
use crate::process::spawn::Spawned;

const SIGCHLD: i32 = 17;
const SIGURG: i32 = 23;
const SIGWINCH: i32 = 28;

/// Signals that come to us from now on are kept for the program.
#[derive(Debug)]
pub(crate) struct Foreground {
    signals: OwnedFd,
    console_size: Option<ConsoleSize>,
}

impl Foreground {
    /// Before the program is made, so that no signal in between ends us and leaves it alone.
    pub(crate) fn prepare() -> Result<Self> {
        sys::signal::block_only(SignalSet::ALL)
            .map_err(|error| Error::sys("block", "signals", error))?;
        let signals = sys::signal::descriptor(SignalSet::ALL)
            .map_err(|error| Error::sys("signalfd", "", error))?;
        let console_size = own_size().map(|size| ConsoleSize {
            height: size.ws_row,
            width: size.ws_col,
        });
        Ok(Self {
            signals,
            console_size,
        })
    }

    /// The size of our own terminal, for the program's: it should not see another one first.
    pub(crate) fn console_size(&self) -> Option<ConsoleSize> {
        self.console_size
    }

    /// Serves the program until it ends; its exit status, 128 + signal when one ended it.
    pub(crate) fn wait(self, process: &Spawned) -> Result<u8> {
        match &process.terminal {
            None => self.wait_without_terminal(process)?,
            Some(master) => Screen::open(master)?.serve(&self.signals, process)?,
        }
        let status = loop {
            match waitid(WaitId::PidFd(process.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Ok(Some(status)) => break status,
                Ok(None) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::sys("wait for", "the program", errno)),
            }
        };
        Ok(exit_status(&status))
    }

    fn wait_without_terminal(&self, process: &Spawned) -> Result<()> {
        loop {
            let mut fds = [
                PollFd::new(&process.pidfd, PollFlags::IN),
                PollFd::new(&self.signals, PollFlags::IN),
            ];
            wait_for(&mut fds)?;
            let [ended, _] = fds;
            pass_signals(&self.signals, process, None);
            if !ended.revents().is_empty() {
                return Ok(());
            }
        }
    }
}

fn exit_status(status: &WaitIdStatus) -> u8 {
    let code = status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
        .unwrap_or(255);
    u8::try_from(code).unwrap_or(255)
}

fn wait_for(fds: &mut [PollFd<'_>]) -> Result<()> {
    loop {
        match poll(fds, None) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::sys("wait for", "the program", errno)),
        }
    }
}

fn pass_signals(signals: &OwnedFd, process: &Spawned, master: Option<&OwnedFd>) {
    while let Ok(Some(number)) = sys::signal::read(signals) {
        match (number, master) {
            (SIGWINCH, Some(master)) => follow_size(master),
            // Of our own children, and of the Go runtime's: not meant for the program.
            (SIGCHLD | SIGURG, _) => {}
            (number, _) => {
                // It may have ended at this moment.
                sys::signal::send(process.pidfd.as_fd(), number).ok();
            }
        }
    }
}

fn follow_size(master: impl AsFd) {
    // Our input need not be a terminal; then there is no size to follow.
    if let Some(size) = own_size() {
        tcsetwinsize(master, size).ok();
    }
}

/// The size of our terminal, by whichever of our streams is one.
fn own_size() -> Option<Winsize> {
    [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ]
    .into_iter()
    .find_map(|stream| tcgetwinsize(stream).ok())
}

/// Our terminal, in raw mode for as long as this lives: every key is the program's.
struct Screen<'a> {
    master: &'a OwnedFd,
    before: Option<Termios>,
    input: Option<BorrowedFd<'static>>,
    pending: Vec<u8>,
}

impl<'a> Screen<'a> {
    fn open(master: &'a OwnedFd) -> Result<Self> {
        let error = |errno| Error::sys("set up", "the terminal", errno);
        let flags = fcntl_getfl(master).map_err(error)?;
        fcntl_setfl(master, flags | OFlags::NONBLOCK).map_err(error)?;
        let input = rustix::stdio::stdin();
        // A pipe or a file is passed on as it is.
        let before = tcgetattr(input).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            // Line ends are made here, and not by the program's terminal: what is not shown but stored gets none.
            raw.output_modes |= OutputModes::OPOST;
            tcsetattr(input, OptionalActions::Now, &raw).map_err(error)?;
            // It may have changed since the program was made.
            follow_size(master);
        }
        Ok(Self {
            master,
            before,
            input: Some(input),
            pending: Vec::new(),
        })
    }

    fn serve(mut self, signals: &OwnedFd, process: &Spawned) -> Result<()> {
        loop {
            let master_flags = if self.pending.is_empty() {
                PollFlags::IN
            } else {
                PollFlags::IN | PollFlags::OUT
            };
            let mut fds = vec![
                PollFd::new(&process.pidfd, PollFlags::IN),
                PollFd::new(signals, PollFlags::IN),
                PollFd::new(self.master, master_flags),
            ];
            if let Some(input) = self.input.as_ref().filter(|_| self.pending.is_empty()) {
                fds.push(PollFd::new(input, PollFlags::IN));
            }
            wait_for(&mut fds)?;
            let happened: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            pass_signals(signals, process, Some(self.master));
            self.write_input();
            if happened.get(3).is_some_and(|input| *input) {
                self.read_input();
            }
            let open = self.show_output()?;
            let ended = happened.first().is_some_and(|ended| *ended);
            if ended || !open {
                return Ok(());
            }
        }
    }

    fn read_input(&mut self) {
        let Some(input) = self.input else { return };
        let mut buffer = [0u8; 4096];
        match rustix::io::read(input, &mut buffer) {
            Ok(count) if count > 0 => {
                self.pending
                    .extend_from_slice(buffer.get(..count).unwrap_or_default());
                self.write_input();
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            _ => self.input = None,
        }
    }

    fn write_input(&mut self) {
        match rustix::io::write(self.master, &self.pending) {
            Ok(count) => drop(self.pending.drain(..count)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.pending.clear(),
        }
    }

    /// Shows what is there now; false when nobody holds the other end any more.
    fn show_output(&self) -> Result<bool> {
        let mut buffer = [0u8; 16 * 1024];
        loop {
            match rustix::io::read(self.master, &mut buffer) {
                Ok(0) | Err(Errno::IO) => return Ok(false),
                Ok(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    let mut output = std::io::stdout().lock();
                    // A reader that has gone away must not end the program.
                    drop(
                        std::io::Write::write_all(&mut output, bytes)
                            .and_then(|()| std::io::Write::flush(&mut output)),
                    );
                }
                Err(Errno::AGAIN) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::sys("read", "the terminal", errno)),
            }
        }
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, before).ok();
        }
    }
}
