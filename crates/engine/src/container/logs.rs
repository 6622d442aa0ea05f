//! What containers wrote: read from the shim's log files, in the form that Docker's clients want.
//!
//! The shim writes lines in the format of the Kubernetes CRI and rotates the files ([`files`]). A reading begins at a
//! place found from the end ([`locate`]), goes forward over all files ([`reader`]), and with `follow` goes on as the
//! kernel tells of changes ([`watch`]) until the run of the container ends. Nothing is kept ahead of the client: a batch
//! is read when it has taken the one before, so a slow one costs its own batch and holds up nobody.
//!
//! Unlike with dockerd, `tail` counts the lines that `stdout`, `stderr` and `until` leave, and a line longer than the
//! shim's records has one time, at its beginning.

mod files;
mod locate;
mod reader;
mod record;
mod select;
#[cfg(test)]
mod tests;
mod watch;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::time::Instant;

use self::{
    reader::{LogReader, Then},
    record::PerStream,
    select::Selection,
    watch::Watcher,
};
use super::handle::{Container, Phase};
use crate::{
    blocking,
    error::{EngineError, Result},
    time,
};

pub(crate) use reader::Format;
pub(crate) use watch::LogWatch;

/// While a program floods its log, followers read it this often: fewer and larger batches.
const BREATH: Duration = Duration::from_millis(4);
/// A line is in the file this long after its time, at the latest.
const WRITE_DELAY: Duration = Duration::from_millis(50);

/// What a client wants of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogRequest {
    /// Standard output, or the terminal.
    pub(crate) stdout: bool,
    /// Standard error.
    pub(crate) stderr: bool,
    /// Goes on until the container's run ends.
    pub(crate) follow: bool,
    /// The last so many lines; all without a number.
    pub(crate) tail: Option<u64>,
    /// Nothing older than this, in nanoseconds since the Unix epoch.
    pub(crate) since_ns: Option<i64>,
    /// Nothing newer than this.
    pub(crate) until_ns: Option<i64>,
    /// What it looks like.
    pub(crate) format: Format,
}

impl Container {
    /// Returns a piece of the log after the other. The stream ends when all is delivered; dropping it ends the reading.
    ///
    /// # Errors
    /// `Unsupported` in Docker's words when the container keeps no log, `Conflict` when it is being removed.
    pub(crate) fn logs(
        self: &Arc<Self>,
        request: LogRequest,
        watch: &Arc<LogWatch>,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let record = self.record();
        let driver = record
            .host_config
            .log_config
            .as_ref()
            .and_then(|config| config.typ.as_deref());
        if driver == Some("none") {
            return Err(EngineError::Unsupported(
                "configured logging driver does not support reading".into(),
            ));
        }
        if self.is_removing() {
            return Err(EngineError::Conflict(
                "can not get logs from container which is dead or marked for removal".into(),
            ));
        }
        let following = request
            .follow
            .then(|| Following::begin(self, request.until_ns, watch))
            .flatten();
        let reading = Reading {
            container: Arc::clone(self),
            request,
            reader: None,
            following,
        };
        Ok(stream::try_unfold(reading, Reading::next))
    }
}

/// A client's place in a log.
struct Reading {
    container: Arc<Container>,
    request: LogRequest,
    reader: Option<LogReader>,
    following: Option<Following>,
}

impl Reading {
    /// Returns the next piece, which is never empty.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        loop {
            // Looked at before the file: once the run has ended, all of its output is there.
            let more_may_come = self.following.as_mut().is_some_and(Following::look);
            let batch = self.read().await?;
            if !batch.output.is_empty() {
                return Ok(Some((batch.output.into(), self)));
            }
            match (batch.then, &mut self.following) {
                (Then::More, _) => {}
                (Then::Wait, Some(following)) if more_may_come => following.wait().await,
                _ => return Ok(None),
            }
        }
    }

    async fn read(&mut self) -> Result<reader::Batch> {
        let (log, request) = (self.container.log_path(), self.request);
        let follow = self.following.is_some();
        let reader = self.reader.take();
        let (reader, batch) = blocking::run(move || {
            let failed = EngineError::io("read", log.display().to_string());
            let read = || {
                let mut reader = match reader {
                    Some(reader) => reader,
                    None => LogReader::open(log, request.selection(), request.format, follow)?,
                };
                let batch = reader.read()?;
                Ok::<_, std::io::Error>((reader, batch))
            };
            read().map_err(failed)
        })
        .await?;
        self.reader = Some(reader);
        Ok(batch)
    }
}

impl LogRequest {
    fn selection(&self) -> Selection {
        let streams = PerStream::new(self.stdout, self.stderr);
        Selection::new(streams, self.tail, self.since_ns, self.until_ns)
    }
}

/// Waiting for more.
struct Following {
    phases: tokio::sync::watch::Receiver<Phase>,
    /// How many runs had ended when this began.
    exits: u64,
    deadline: Option<Instant>,
    watcher: Watcher,
    last_wake: Instant,
}

impl Following {
    /// Begins to follow the current run; `None` when there is none, or nothing newer is wanted.
    fn begin(container: &Container, until_ns: Option<i64>, watch: &Arc<LogWatch>) -> Option<Self> {
        let phases = container.phase();
        let phase = *phases.borrow();
        if !phase.running {
            return None;
        }
        let now = Instant::now();
        let deadline = match until_ns {
            None => None,
            Some(until_ns) => {
                let left = until_ns.saturating_sub(time::now_ns());
                let left = Duration::from_nanos(u64::try_from(left).ok()?);
                // One that is too far away for the clock never comes.
                now.checked_add(left + WRITE_DELAY)
            }
        };
        let log = container.log_path();
        let dir = log.parent().unwrap_or(&log);
        Some(Self {
            phases,
            exits: phase.exits,
            deadline,
            watcher: watch.watcher(dir),
            last_wake: now,
        })
    }

    /// Returns whether more may come than what is in the log now. From here on changes count.
    fn look(&mut self) -> bool {
        self.watcher.mark();
        let phase = *self.phases.borrow_and_update();
        let over = !phase.running || phase.removed || phase.exits != self.exits;
        !over && self.deadline.is_none_or(|end| Instant::now() < end)
    }

    /// Ends when there may be more, the run may have ended, or the time is up.
    async fn wait(&mut self) {
        let time_is_up = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.watcher.changed() => {
                tokio::time::sleep_until(self.last_wake + BREATH).await;
            }
            // Its sender lives in the container, which we hold.
            _ = self.phases.changed() => {}
            () = time_is_up => {}
        }
        self.last_wake = Instant::now();
    }
}
