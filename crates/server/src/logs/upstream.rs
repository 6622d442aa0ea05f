//! The one reader of a container's log at its engine: reads the newest lines, follows, and takes up the thread again after every
//! break (container stopped and started, engine restarted, connection lost) at exactly the line where it was.

use std::{sync::Arc, time::Duration};

use bollard::query_parameters::{InspectContainerOptions, LogsOptionsBuilder};
use futures_util::StreamExt;

use super::{
    cursor::{Cursor, Replay},
    feeds::Log,
    line::Assembler,
};

/// A log nobody watches is kept for so long: a reader that lost its connection finds its place again.
const LINGER: Duration = Duration::from_mins(1);
/// How often a stopped container is looked at, beside the engine's own events.
const LOOK: Duration = Duration::from_secs(2);
/// Pauses between tries to reach the engine.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));

pub(super) struct Upstream {
    pub(super) docker: bollard::Docker,
    pub(super) id: String,
    pub(super) log: Arc<Log>,
    pub(super) since: Option<Cursor>,
    pub(super) tail: u32,
}

/// How a container is, as far as its log is concerned.
enum Run {
    /// Last started `at`; empty when never.
    Started {
        at: String,
        running: bool,
    },
    Gone,
}

/// How a stream ended.
enum Ending {
    /// The engine closed it: the container stopped, or the engine did.
    Closed,
    /// The engine could not be read.
    Broken,
    /// It can never be read.
    Never(String),
}

/// Reads until nobody watches (`leave` says true) or the container is gone.
pub(super) async fn run(upstream: Upstream, leave: impl Fn() -> bool) {
    loop {
        let left = tokio::select! {
            reason = upstream.read() => {
                let mut state = upstream.log.lock();
                state.ended = Some(reason);
                state.ring.stir();
                drop(state);
                leave();
                return;
            }
            () = upstream.unwatched() => leave(),
        };
        if left {
            return;
        }
        // Somebody came back in the very moment: read on, from where it was.
    }
}

impl Upstream {
    /// Ends when nobody has watched for a while.
    async fn unwatched(&self) {
        loop {
            let stirred = self.log.stirred.notified();
            if self.log.is_watched() {
                stirred.await;
            } else if tokio::time::timeout(LINGER, stirred).await.is_err() && !self.log.is_watched()
            {
                return;
            }
        }
    }

    /// Reads for ever; returns why nothing more will come.
    async fn read(&self) -> String {
        // Which run the first lines are of is asked before they are read: a start in between is a restart.
        let mut run = match self.state().await {
            Some(Run::Started { at, .. }) => Some(at),
            Some(Run::Gone) | None => None,
        };
        let fresh = !self.log.lock().ready && self.since.is_none();
        if fresh && let Err(reason) = self.retry(|| self.read_tail()).await {
            return reason;
        }
        {
            let mut state = self.log.lock();
            state.ready = true;
            state.ring.stir();
        }
        // Everything of this run has been read.
        let mut drained = false;
        let mut pause = RETRY.0;
        loop {
            let (started, running) = match self.state().await {
                Some(Run::Gone) => return "the container was removed".to_owned(),
                Some(Run::Started { at, running }) => (at, running),
                None => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY.1);
                    continue;
                }
            };
            if run.as_ref() != Some(&started) {
                if run.replace(started).is_some() {
                    self.log.lock().ring.mark_restart();
                }
                drained = false;
            }
            if drained {
                drop(tokio::time::timeout(LOOK, self.log.poked.notified()).await);
                continue;
            }
            match self.follow(running).await {
                // What a closed stream means is told by the container's state.
                Ending::Closed => {
                    pause = RETRY.0;
                    drained = !running;
                }
                Ending::Broken => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY.1);
                }
                Ending::Never(reason) => return reason,
            }
        }
    }

    async fn retry<F>(&self, act: impl Fn() -> F) -> Result<(), String>
    where
        F: Future<Output = Ending>,
    {
        let mut pause = RETRY.0;
        loop {
            match act().await {
                Ending::Closed => return Ok(()),
                Ending::Never(reason) => return Err(reason),
                Ending::Broken => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        }
    }

    /// The newest lines as they are now. Everything is read before anything is shown, so a broken try leaves nothing.
    async fn read_tail(&self) -> Ending {
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .tail(&self.tail.to_string())
            .build();
        let mut assembler = Assembler::default();
        let mut lines = Vec::new();
        let mut stream = std::pin::pin!(self.docker.logs(&self.id, Some(options)));
        while let Some(frame) = stream.next().await {
            match frame {
                Ok(frame) => lines.extend(assembler.push(&frame)),
                Err(error) => return ending(&error),
            }
        }
        lines.extend(assembler.finish());
        let mut state = self.log.lock();
        let full = lines.len() >= self.tail as usize;
        let first = lines.first().map(|line| line.at_ns);
        for line in lines {
            state.ring.push(line);
        }
        if full && let Some(first) = first {
            // Older lines exist; a stream that wrote none of the newest must not be read from its beginning.
            state.ring.cursor.assume_before(first);
            state.ring.older = true;
        }
        Ending::Closed
    }

    /// Reads what is new since the ring's place, and on as long as the container runs when `follow`.
    async fn follow(&self, follow: bool) -> Ending {
        let cursor = self.log.lock().ring.cursor;
        let mut replay = Replay::after(cursor);
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .follow(follow)
            .since(i32::try_from(cursor.since_seconds()).unwrap_or(i32::MAX))
            .build();
        let mut assembler = Assembler::default();
        let mut stream = std::pin::pin!(self.docker.logs(&self.id, Some(options)));
        loop {
            let ended = match stream.next().await {
                Some(Ok(frame)) => {
                    let lines = assembler.push(&frame);
                    self.take(lines, &mut replay).await;
                    continue;
                }
                Some(Err(error)) => ending(&error),
                None => Ending::Closed,
            };
            // An unfinished line is whole only when the container will not go on with it; after a broken
            // connection it is read again.
            if !follow && matches!(ended, Ending::Closed) {
                self.take(assembler.finish(), &mut replay).await;
            }
            return ended;
        }
    }

    async fn take(&self, lines: Vec<super::line::Line>, replay: &mut Replay) {
        for line in lines {
            if replay.is_new(&line) {
                self.log.wait_for_readers().await;
                self.log.lock().ring.push(line);
            }
        }
    }

    async fn state(&self) -> Option<Run> {
        match self
            .docker
            .inspect_container(&self.id, None::<InspectContainerOptions>)
            .await
        {
            Ok(found) => {
                let state = found.state.unwrap_or_default();
                let at = state.started_at.unwrap_or_default();
                Some(Run::Started {
                    at,
                    running: state.running == Some(true),
                })
            }
            Err(bollard::errors::Error::DockerResponseServerError {
                status_code: 404, ..
            }) => Some(Run::Gone),
            Err(_) => None,
        }
    }
}

fn ending(error: &bollard::errors::Error) -> Ending {
    use bollard::errors::Error;
    match error {
        // Gone: the state says so next, in the same words for every way to learn it.
        Error::DockerResponseServerError {
            status_code: 404, ..
        } => Ending::Closed,
        // A log driver that cannot be read (docker: `configured logging driver does not support reading`).
        Error::DockerResponseServerError {
            status_code,
            message,
        } if *status_code >= 400 => Ending::Never(message.clone()),
        _ => Ending::Broken,
    }
}
