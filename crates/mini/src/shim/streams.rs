//! The standard streams of one process: its terminal or its pipes, and the input on its way to it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use shim_protocol::ConsoleSize;

use crate::error::{Error, Result};
use crate::process::terminal;
use crate::shim::log::Stream;

/// Input beyond this waits at the client.
const MAX_PENDING_INPUT_BYTES: usize = 64 * 1024;

/// Our ends.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    terminal: Option<OwnedFd>,
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
    errors: Option<OwnedFd>,
    pending: Vec<u8>,
    /// The input ends when what is pending is written.
    input_ends: bool,
}

/// The program's ends, for as long as the program is being started.
#[derive(Debug)]
pub(crate) struct ProgramEnds {
    pub(crate) input: OwnedFd,
    pub(crate) output: OwnedFd,
    pub(crate) errors: OwnedFd,
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Later,
    /// The end.
    End,
}

fn dev_null(flags: OFlags) -> Result<OwnedFd> {
    rustix::fs::open(
        "/dev/null",
        flags | OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .map_err(|errno| Error::sys("open", "/dev/null", errno))
}

fn nonblocking(fd: &OwnedFd) -> Result<()> {
    let error = |errno| Error::sys("set", "a stream to not wait", errno);
    let flags = fcntl_getfl(fd).map_err(error)?;
    fcntl_setfl(fd, flags | OFlags::NONBLOCK).map_err(error)
}

impl Streams {
    /// Makes pipes; without `with_input` the program reads /dev/null.
    pub(crate) fn pipes(with_input: bool) -> Result<(Self, ProgramEnds)> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|errno| Error::sys("pipe", "", errno));
        let (output, program_output) = pipe()?;
        let (errors, program_errors) = pipe()?;
        let (program_input, input) = if with_input {
            let (read, write) = pipe()?;
            (read, Some(write))
        } else {
            (dev_null(OFlags::RDONLY)?, None)
        };
        // Only our ends: the program's would share the flag with it.
        for fd in [Some(&output), Some(&errors), input.as_ref()]
            .into_iter()
            .flatten()
        {
            nonblocking(fd)?;
        }
        let ours = Self {
            input,
            output: Some(output),
            errors: Some(errors),
            ..Self::default()
        };
        Ok((
            ours,
            ProgramEnds {
                input: program_input,
                output: program_output,
                errors: program_errors,
            },
        ))
    }

    /// A terminal's master.
    pub(crate) fn terminal(master: OwnedFd) -> Result<Self> {
        nonblocking(&master)?;
        Ok(Self {
            terminal: Some(master),
            ..Self::default()
        })
    }

    /// Output comes raw, from one source.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// What to poll for output, with the stream that it is.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (Stream, BorrowedFd<'_>)> {
        let terminal = self
            .terminal
            .as_ref()
            .map(|fd| (Stream::Stdout, fd.as_fd()));
        let output = self.output.as_ref().map(|fd| (Stream::Stdout, fd.as_fd()));
        let errors = self.errors.as_ref().map(|fd| (Stream::Stderr, fd.as_fd()));
        [terminal, output, errors].into_iter().flatten()
    }

    /// Reads output without waiting.
    pub(crate) fn read(&mut self, stream: Stream, buffer: &mut [u8]) -> Read {
        let source = match (stream, &self.terminal) {
            (Stream::Stdout, Some(_)) => &mut self.terminal,
            (Stream::Stdout, None) => &mut self.output,
            (Stream::Stderr, _) => &mut self.errors,
        };
        let Some(fd) = source else { return Read::End };
        loop {
            match rustix::io::read(&*fd, &mut *buffer) {
                Ok(0) => break,
                Ok(count) => return Read::Bytes(count),
                Err(Errno::AGAIN) => return Read::Later,
                Err(Errno::INTR) => {}
                // EIO: nobody holds the terminal's other end any more.
                Err(_) => break,
            }
        }
        *source = None;
        Read::End
    }

    /// Where pending input can be written, if there is any.
    pub(crate) fn input_wanted(&self) -> Option<BorrowedFd<'_>> {
        if self.pending.is_empty() {
            return None;
        }
        self.terminal
            .as_ref()
            .or(self.input.as_ref())
            .map(AsFd::as_fd)
    }

    /// Tells whether a client's input may be taken now.
    pub(crate) fn takes_input(&self) -> bool {
        self.pending.len() < MAX_PENDING_INPUT_BYTES
    }

    /// Takes input for the program; it is dropped when the program reads none.
    pub(crate) fn push_input(&mut self, bytes: &[u8]) {
        if !self.input_ends && (self.terminal.is_some() || self.input.is_some()) {
            self.pending.extend_from_slice(bytes);
            self.write_input();
        }
    }

    /// Writes pending input as far as the program takes it now.
    pub(crate) fn write_input(&mut self) {
        let Some(fd) = self.terminal.as_ref().or(self.input.as_ref()) else {
            return;
        };
        let mut written = 0;
        while let Some(bytes) = self
            .pending
            .get(written..)
            .filter(|bytes| !bytes.is_empty())
        {
            match rustix::io::write(fd, bytes) {
                Ok(count) => written += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // The program has closed its input: what is pending will never be read.
                Err(_) => {
                    written = self.pending.len();
                    self.input_ends = true;
                }
            }
        }
        self.pending.drain(..written);
        if self.pending.is_empty() {
            self.pending.shrink_to(4096);
            if self.input_ends {
                self.input = None;
            }
        }
    }

    /// Ends the program's input once what is pending is written. A terminal has no end of input but its keys.
    pub(crate) fn end_input(&mut self) {
        self.input_ends = self.terminal.is_none();
        self.write_input();
    }

    /// Sets the terminal's size.
    pub(crate) fn resize(&self, size: ConsoleSize) -> Result<()> {
        let master = self
            .terminal
            .as_ref()
            .ok_or_else(|| Error::invalid("it has no terminal"))?;
        terminal::resize(master, size).map_err(|errno| Error::sys("resize", "the terminal", errno))
    }
}
