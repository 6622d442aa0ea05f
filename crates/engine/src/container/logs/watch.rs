//! News of log files, from the kernel: one inotify instance for all clients of the engine, since a user may have few of
//! them (128 by default) and a client may follow hundreds of containers.

use std::{
    collections::HashMap,
    io,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};
use tokio::{io::unix::AsyncFd, sync::watch};
use tokio_util::sync::CancellationToken;

/// How often a log is looked at where the kernel does not tell.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Tells of changes in directories of logs.
#[derive(Debug)]
pub(crate) struct LogWatch {
    /// `None` where the kernel has none to give.
    inotify: Option<Arc<OwnedFd>>,
    watched: Mutex<HashMap<i32, Watched>>,
}

#[derive(Debug)]
struct Watched {
    changes: watch::Sender<()>,
    users: usize,
}

/// Waits for changes in one directory.
#[derive(Debug)]
pub(super) struct Watcher {
    place: Option<(Arc<LogWatch>, i32, watch::Receiver<()>)>,
}

impl LogWatch {
    /// Opens it; where that is not possible logs are looked at from time to time.
    pub(crate) fn open() -> Arc<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
        if let Err(error) = &inotify {
            tracing::warn!(%error, "watch files (fs.inotify.max_user_instances may be used up); logs are polled");
        }
        Arc::new(Self {
            inotify: inotify.ok().map(Arc::new),
            watched: Mutex::new(HashMap::new()),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Watched>> {
        // Every critical section leaves a consistent value at each step.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands the kernel's news to those who wait, until `shutdown`.
    pub(crate) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let Some(inotify) = &self.inotify else {
            return;
        };
        let hand_out = async {
            #[expect(
                deprecated,
                reason = "what replaces it is unsafe for what has no descriptor of its own; this has"
            )]
            let inotify = AsyncFd::new(Arc::clone(inotify))?;
            loop {
                let mut ready = inotify.readable().await?;
                self.drain(inotify.get_ref())?;
                ready.clear_ready();
            }
        };
        let ended: io::Result<()> = tokio::select! {
            ended = hand_out => ended,
            () = shutdown.cancelled() => Ok(()),
        };
        if let Err(error) = ended {
            tracing::error!(%error, "watch files of logs");
        }
    }

    /// Hands out what there is.
    fn drain(&self, inotify: &OwnedFd) -> Result<(), Errno> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(inotify, &mut buffer);
        loop {
            let event = match events.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            };
            let watched = self.lock();
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                for one in watched.values() {
                    one.changes.send_replace(());
                }
            } else if let Some(one) = watched.get(&event.wd())
                && event
                    .file_name()
                    .is_none_or(|name| name.to_bytes().starts_with(b"log"))
            {
                one.changes.send_replace(());
            }
        }
    }

    /// Returns who waits for changes of the log files in a directory. Changes after this call are not missed.
    pub(super) fn watcher(self: &Arc<Self>, dir: &Path) -> Watcher {
        let Some(inotify) = &self.inotify else {
            return Watcher { place: None };
        };
        let mut watched = self.lock();
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::ONLYDIR;
        match inotify::add_watch(inotify, dir, flags) {
            Ok(wd) => {
                let one = watched.entry(wd).or_insert_with(|| Watched {
                    changes: watch::Sender::new(()),
                    users: 0,
                });
                one.users += 1;
                Watcher {
                    place: Some((Arc::clone(self), wd, one.changes.subscribe())),
                }
            }
            Err(error) => {
                tracing::debug!(%error, dir = %dir.display(), "watch the directory of a log");
                Watcher { place: None }
            }
        }
    }
}

impl Watcher {
    /// From here on changes count.
    pub(super) fn mark(&mut self) {
        if let Some((_, _, changes)) = &mut self.place {
            changes.mark_unchanged();
        }
    }

    /// Ends when something has changed since [`Self::mark`], or may have. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        if let Some((_, _, changes)) = &mut self.place
            && changes.changed().await.is_ok()
        {
            return;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let Some((watch, wd, _)) = &self.place else {
            return;
        };
        let mut watched = watch.lock();
        let Some(one) = watched.get_mut(wd) else {
            return;
        };
        one.users -= 1;
        if one.users == 0 {
            watched.remove(wd);
            if let Some(inotify) = &watch.inotify {
                // It is gone already when the directory is.
                let _gone = inotify::remove_watch(inotify, *wd);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;

    async fn in_time(future: impl Future<Output = ()>) -> bool {
        tokio::time::timeout(Duration::from_secs(10), future)
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn writes_and_new_files_are_told_to_all_who_wait() {
        let dir = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let (watch, shutdown, tasks) = (
            LogWatch::open(),
            CancellationToken::new(),
            TaskTracker::new(),
        );
        tasks.spawn(Arc::clone(&watch).run(shutdown.clone()));
        let mut first = watch.watcher(dir.path());
        let mut second = watch.watcher(dir.path());
        let mut elsewhere = watch.watcher(other.path());
        for _ in 0..2 {
            first.mark();
            second.mark();
            std::fs::write(dir.path().join("log"), "text").unwrap();
            assert!(in_time(first.changed()).await && in_time(second.changed()).await);
        }
        drop(first);
        second.mark();
        std::fs::write(dir.path().join("log"), "more text").unwrap();
        assert!(in_time(second.changed()).await);
        let quiet = tokio::time::timeout(Duration::from_millis(50), elsewhere.changed()).await;
        assert!(quiet.is_err());
        drop(second);
        drop(elsewhere);
        assert!(watch.lock().is_empty());
        shutdown.cancel();
        tasks.close();
        assert!(in_time(async { tasks.wait().await }).await);
    }

    #[tokio::test]
    async fn without_the_kernels_help_a_log_is_polled() {
        let watch = LogWatch::open();
        let mut watcher = watch.watcher(Path::new("/nonexistent"));
        assert!(in_time(watcher.changed()).await);
    }
}
