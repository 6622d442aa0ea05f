//! A log that the program never waits for: lines go to a bounded buffer, a process of their own writes them to the file.
//!
//! What is new when the buffer is full is dropped, counted, and marked where it is missing. Why a process: the disk may keep whoever
//! writes waiting, and the shim has one thread, for its clients too.
//! Source: Docker's `mode=non-blocking` and `max-buffer-size`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};
use shim_protocol::LogConfig;

use crate::clock;
use crate::shim::log_file::{LogFile, first_line, gap_line, output_bytes};
use crate::shim::message;

/// So much goes to the writer at once, in whole lines.
const MAX_MESSAGE_BYTES: usize = 32 * 1024;
/// A writer that does not live is made again so often.
const MAX_WRITERS: u32 = 3;
/// How long the end of a container waits for its last lines.
const LAST_LINES_PATIENCE: Duration = Duration::from_secs(10);
const TOO_SLOW: &str = "the log could not keep up";

/// The shim's side.
#[derive(Debug)]
pub(crate) struct LogBuffer {
    config: LogConfig,
    max_bytes: usize,
    pending: Vec<u8>,
    /// Output dropped since the last line that was taken.
    gap_bytes: u64,
    dropped_bytes_total: u64,
    writer: Option<Writer>,
    writers: u32,
    /// Lost by writers that are no more.
    lost_before: u64,
}

#[derive(Debug)]
struct Writer {
    pid: i32,
    socket: OwnedFd,
    /// Output that was sent to it, and that it has dealt with, and that it could not write.
    sent_bytes: u64,
    done_bytes: u64,
    lost_bytes: u64,
}

impl LogBuffer {
    /// Opens the log and makes the process that writes it.
    ///
    /// # Errors
    /// Those of opening the file, and of `fork`.
    pub(crate) fn open(config: LogConfig, max_bytes: u64) -> io::Result<Self> {
        let writer = Writer::start(config.clone())?;
        Ok(Self {
            config,
            max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
            pending: Vec::new(),
            gap_bytes: 0,
            dropped_bytes_total: 0,
            writer: Some(writer),
            writers: 1,
            lost_before: 0,
        })
    }

    pub(crate) fn lost_bytes_total(&self) -> u64 {
        let writer = self.writer.as_ref().map_or(0, |writer| writer.lost_bytes);
        self.dropped_bytes_total + self.lost_before + writer
    }

    /// What to poll: for its answers, and while lines are kept for room.
    pub(crate) fn wanted(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let writer = self.writer.as_ref()?;
        let room = if self.pending.is_empty() {
            PollFlags::empty()
        } else {
            PollFlags::OUT
        };
        Some((writer.socket.as_fd(), PollFlags::IN | room))
    }

    /// Takes lines as far as there is room; never waits.
    pub(crate) fn write(&mut self, lines: &[u8]) {
        let mut rest = lines;
        while !rest.is_empty() {
            let fitting = self.fitting(rest);
            if fitting == 0 {
                break;
            }
            let (now, later) = rest.split_at_checked(fitting).unwrap_or((rest, &[]));
            self.mark_gap();
            self.pending.extend_from_slice(now);
            self.send();
            rest = later;
        }
        self.drop_output(output_bytes(rest));
    }

    fn drop_output(&mut self, bytes: u64) {
        self.gap_bytes += bytes;
        self.dropped_bytes_total += bytes;
    }

    fn mark_gap(&mut self) {
        if self.gap_bytes > 0 {
            let line = gap_line(self.gap_bytes, TOO_SLOW);
            self.pending.extend_from_slice(&line);
            self.gap_bytes = 0;
        }
    }

    /// How much of some lines has room, in whole lines. One line has always room when nothing else is there.
    fn fitting(&self, lines: &[u8]) -> usize {
        let room = self.max_bytes.saturating_sub(self.pending.len());
        let window = lines.get(..room).unwrap_or(lines);
        match window.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if self.pending.is_empty() => first_line(lines),
            None => 0,
        }
    }

    /// Something happened at the socket.
    pub(crate) fn serve(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.hear();
        }
        self.send();
    }

    fn send(&mut self) {
        let Some(writer) = &mut self.writer else {
            return;
        };
        let mut sent = 0;
        while let Some(rest) = self.pending.get(sent..).filter(|rest| !rest.is_empty()) {
            let window = rest.get(..MAX_MESSAGE_BYTES).unwrap_or(rest);
            // A line is shorter than a message, so there is always an end of one.
            let length = window
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(window.len(), |end| end + 1);
            let lines = window.get(..length).unwrap_or(window);
            match send(
                &writer.socket,
                lines,
                SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
            ) {
                Ok(_) => {
                    sent += length;
                    writer.sent_bytes += output_bytes(lines);
                }
                Err(Errno::INTR) => {}
                // No room now; or it is gone, which comes as the end of a child.
                Err(_) => break,
            }
        }
        self.pending.drain(..sent);
        if self.pending.is_empty() {
            self.pending.shrink_to(4096);
        }
    }

    /// Whether a child that has ended was the writer; another is made then.
    pub(crate) fn ended(&mut self, pid: i32) -> bool {
        let Some(mut writer) = self.writer.take_if(|writer| writer.pid == pid) else {
            return false;
        };
        writer.hear();
        let on_the_way = writer.sent_bytes.saturating_sub(writer.done_bytes);
        self.lost_before += writer.lost_bytes;
        self.drop_output(on_the_way);
        message("the process that writes the container's log has ended");
        if self.writers < MAX_WRITERS {
            self.writers += 1;
            match Writer::start(self.config.clone()) {
                Ok(writer) => self.writer = Some(writer),
                Err(error) => message(&format!("make another one: {error}")),
            }
        }
        true
    }

    /// Waits for the last lines to be written, but not for ever, and lets the writer end.
    pub(crate) fn finish(&mut self) {
        self.mark_gap();
        let deadline_ns =
            clock::monotonic_ns() + LAST_LINES_PATIENCE.as_secs().saturating_mul(1_000_000_000);
        self.send();
        while let Some((fd, flags)) = self.wanted() {
            let all_written = self.pending.is_empty()
                && self
                    .writer
                    .as_ref()
                    .is_none_or(|writer| writer.done_bytes >= writer.sent_bytes);
            let left_ns = deadline_ns.saturating_sub(clock::monotonic_ns());
            if all_written || left_ns == 0 {
                break;
            }
            let timeout = Timespec::try_from(Duration::from_nanos(left_ns)).ok();
            let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
            let gone = poll(&mut fds, timeout.as_ref()).is_ok()
                && fds
                    .iter()
                    .any(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR));
            self.serve();
            if gone {
                break;
            }
        }
        let Some(writer) = self.writer.take() else {
            return;
        };
        let missing =
            output_bytes(&self.pending) + writer.sent_bytes.saturating_sub(writer.done_bytes);
        if missing > 0 {
            message(&format!(
                "{missing} bytes of output did not get into the log in time"
            ));
        }
        self.dropped_bytes_total += missing;
        self.lost_before += writer.lost_bytes;
        self.pending = Vec::new();
        // Its socket ends here, and with it the process once it has written what it has.
    }
}

impl Writer {
    fn start(config: LogConfig) -> io::Result<Self> {
        let file = LogFile::open(config)?;
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let child = sys::process::fork_keeping(&[theirs.as_fd(), file.fd()])?;
        let Some(pid) = child else {
            rustix::thread::set_name(c"mini-log").ok();
            write_until_the_end(&theirs, file);
            sys::process::exit_now(0)
        };
        Ok(Self {
            pid,
            socket: ours,
            sent_bytes: 0,
            done_bytes: 0,
            lost_bytes: 0,
        })
    }

    /// Takes its answers: what it has dealt with, and what of that it could not write.
    fn hear(&mut self) {
        let mut answer = [0; 16];
        loop {
            match recv(&self.socket, &mut answer, RecvFlags::DONTWAIT) {
                Ok((16, _)) => {
                    let (done, lost) = answer.split_at(8);
                    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
                    (self.done_bytes, self.lost_bytes) = (number(done), number(lost));
                }
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }
}

/// The writer's whole life.
fn write_until_the_end(socket: &OwnedFd, mut file: LogFile) {
    let mut buffer = vec![0; MAX_MESSAGE_BYTES];
    let mut done_bytes: u64 = 0;
    loop {
        match recv(socket, &mut buffer, RecvFlags::empty()) {
            Ok((0, _)) => return,
            Ok((length, _)) => {
                let lines = buffer.get(..length).unwrap_or_default();
                file.write(lines);
                done_bytes += output_bytes(lines);
                let answer = [
                    done_bytes.to_le_bytes(),
                    file.lost_bytes_total().to_le_bytes(),
                ]
                .concat();
                // The shim may be gone; what it has sent is written all the same.
                send(socket, &answer, SendFlags::NOSIGNAL).ok();
            }
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
