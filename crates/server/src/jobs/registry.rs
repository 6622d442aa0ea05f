//! All jobs: what runs, and what the newest hundred came to. A state reached is durable before anyone is told.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use api::{
    id::{EngineName, JobId},
    job::{Job, JobKind, JobLine, JobLog, JobState},
    problem::{Problem, ProblemCode},
};
use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Failure, JobHandle};
use crate::live::Ledger;

/// Finished jobs kept.
const KEPT: usize = 100;
/// Lines of a job's log that are kept.
const LINES: usize = 2000;
/// Longest line, in characters.
const LINE: usize = 2000;
/// Jobs that wait or run.
const MAX_OPEN: usize = 64;
/// Jobs at work at a time; Compare alone counts as all of them, since it measures.
const AT_WORK: u32 = 4;
/// Shortest time between two tellings of progress.
const TELL: Duration = Duration::from_millis(100);

/// Keeps a job's state on disk.
pub(crate) type Save =
    Arc<dyn Fn(Job) -> futures_util::future::BoxFuture<'static, ()> + Send + Sync>;

/// What a new job is.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// What it does.
    pub kind: JobKind,
    /// For people: `Pull busybox:1.36`.
    pub title: String,
    /// The engine it works on, when one.
    pub engine: Option<EngineName>,
    /// Who started it; none: the server.
    pub started_by: Option<String>,
}

/// Why a job is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// There is none of this id.
    #[error("find the job: there is none of this id")]
    NotFound,
    /// It has ended already.
    #[error("cancel the job: it has ended already")]
    Ended,
    /// Too many wait already.
    #[error("start a job: {MAX_OPEN} wait or run already")]
    TooMany,
}

/// All jobs, cheap to clone.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

struct Inner {
    told: Ledger,
    save: Save,
    tasks: TaskTracker,
    stop: CancellationToken,
    at_work: Arc<Semaphore>,
    jobs: Mutex<HashMap<JobId, Entry>>,
}

struct Entry {
    job: Job,
    lines: VecDeque<JobLine>,
    dropped: u64,
    cancel: CancellationToken,
    told: Instant,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs")
            .field("count", &self.lock().len())
            .finish_non_exhaustive()
    }
}

impl Jobs {
    /// The jobs of earlier runs of the server; those that had not ended are now failed, as interrupted.
    pub(crate) async fn open(
        earlier: Vec<Job>,
        told: Ledger,
        save: Save,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let at_work = Arc::new(Semaphore::new(AT_WORK as usize));
        let jobs = Self(Arc::new(Inner {
            told,
            save,
            tasks,
            stop,
            at_work,
            jobs: Mutex::default(),
        }));
        for mut job in earlier {
            if !is_final(job.state) {
                let failure = Failure::new(
                    ProblemCode::Unavailable,
                    "interrupted: the server ended before the job",
                )
                .with_hint("start it again");
                finish(&mut job, Err(failure));
                (jobs.0.save)(job.clone()).await;
            }
            jobs.0.told.upsert(job.id.as_str(), &job);
            let entry = Entry {
                cancel: CancellationToken::new(),
                told: Instant::now(),
                lines: VecDeque::new(),
                dropped: 0,
                job,
            };
            jobs.lock().insert(entry.job.id.clone(), entry);
        }
        jobs
    }

    /// Starts a job; returns it as it is now. Its work returns what came of it.
    ///
    /// # Errors
    /// [`JobError::TooMany`].
    pub async fn start<W, F>(&self, new: NewJob, work: W) -> Result<Job, JobError>
    where
        W: FnOnce(JobHandle) -> F + Send + 'static,
        F: Future<Output = Result<Option<String>, Failure>> + Send + 'static,
    {
        let job = Job {
            id: new_id(),
            kind: new.kind,
            title: new.title,
            engine: new.engine,
            started_by: new.started_by,
            state: JobState::Queued,
            created_at: Timestamp::now(),
            finished_at: None,
            percent: None,
            message: "Waits for its turn".to_owned(),
            steps: Vec::new(),
            cancellable: true,
            problem: None,
            result: None,
        };
        if self
            .lock()
            .values()
            .filter(|entry| !is_final(entry.job.state))
            .count()
            >= MAX_OPEN
        {
            return Err(JobError::TooMany);
        }
        (self.0.save)(job.clone()).await;
        let cancel = self.0.stop.child_token();
        let handle = JobHandle {
            jobs: self.clone(),
            id: job.id.clone(),
            cancel: cancel.clone(),
        };
        self.lock().insert(
            job.id.clone(),
            Entry {
                job: job.clone(),
                lines: VecDeque::new(),
                dropped: 0,
                cancel,
                told: Instant::now(),
            },
        );
        self.0.told.upsert(job.id.as_str(), &job);
        let (jobs, kind) = (self.clone(), new.kind);
        self.0
            .tasks
            .spawn(async move { jobs.run(handle, kind, work).await });
        Ok(job)
    }

    async fn run<W, F>(&self, handle: JobHandle, kind: JobKind, work: W)
    where
        W: FnOnce(JobHandle) -> F,
        F: Future<Output = Result<Option<String>, Failure>>,
    {
        let places = if kind == JobKind::Compare { AT_WORK } else { 1 };
        let turn = tokio::select! {
            () = handle.cancelled() => None,
            turn = self.0.at_work.acquire_many(places) => turn.ok(),
        };
        let outcome = if turn.is_none() {
            Err(Failure::Cancelled)
        } else {
            self.change(&handle.id, |job| {
                job.state = JobState::Running;
                job.message.clear();
            })
            .await;
            // A panic in a job's work is that job's end, not the server's.
            std::panic::AssertUnwindSafe(work(handle.clone()))
                .catch_unwind()
                .await
                .unwrap_or_else(|_| {
                    Err(Failure::new(
                        ProblemCode::Internal,
                        "a fault of the server; its log has more",
                    ))
                })
        };
        self.change(&handle.id, |job| finish(job, outcome)).await;
        self.forget_oldest();
    }

    /// All jobs, newest first.
    pub fn list(&self) -> Vec<Job> {
        let mut jobs: Vec<Job> = self
            .lock()
            .values()
            .map(|entry| entry.job.clone())
            .collect();
        jobs.sort_by(|a, b| {
            b.created_at
                .cmp(&a.created_at)
                .then_with(|| b.id.cmp(&a.id))
        });
        jobs
    }

    /// A job.
    ///
    /// # Errors
    /// [`JobError::NotFound`].
    pub fn get(&self, id: &JobId) -> Result<Job, JobError> {
        self.lock()
            .get(id)
            .map(|entry| entry.job.clone())
            .ok_or(JobError::NotFound)
    }

    /// What a job did.
    ///
    /// # Errors
    /// [`JobError::NotFound`].
    pub fn log(&self, id: &JobId) -> Result<JobLog, JobError> {
        let jobs = self.lock();
        let entry = jobs.get(id).ok_or(JobError::NotFound)?;
        Ok(JobLog {
            lines: entry.lines.iter().cloned().collect(),
            dropped: entry.dropped,
        })
    }

    pub(super) fn log_line(&self, id: &JobId, text: &str) {
        let text: String = text.trim().chars().take(LINE).collect();
        let mut jobs = self.lock();
        let Some(entry) = jobs.get_mut(id) else {
            return;
        };
        if text.is_empty() || entry.lines.back().is_some_and(|last| last.text == text) {
            return;
        }
        if entry.lines.len() == LINES {
            entry.lines.pop_front();
            entry.dropped += 1;
        }
        entry.lines.push_back(JobLine {
            time: Timestamp::now(),
            text,
        });
    }

    /// Asks a job to stop; it shows `cancelled` when it has cleaned up.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Ended`].
    pub fn cancel(&self, id: &JobId) -> Result<(), JobError> {
        let jobs = self.lock();
        let entry = jobs.get(id).ok_or(JobError::NotFound)?;
        if is_final(entry.job.state) {
            return Err(JobError::Ended);
        }
        entry.cancel.cancel();
        Ok(())
    }

    /// Progress: told at most every 100 ms, not kept on disk.
    pub(super) fn progress(&self, id: &JobId, act: impl FnOnce(&mut Job)) {
        let mut jobs = self.lock();
        let Some(entry) = jobs.get_mut(id) else {
            return;
        };
        act(&mut entry.job);
        if entry.told.elapsed() >= TELL {
            entry.told = Instant::now();
            let job = entry.job.clone();
            drop(jobs);
            self.0.told.upsert(id.as_str(), &job);
        }
    }

    /// A state reached: first on disk, then told.
    async fn change(&self, id: &JobId, act: impl FnOnce(&mut Job)) {
        let changed = self.lock().get_mut(id).map(|entry| {
            act(&mut entry.job);
            entry.job.clone()
        });
        if let Some(job) = changed {
            (self.0.save)(job.clone()).await;
            self.0.told.upsert(id.as_str(), &job);
        }
    }

    fn forget_oldest(&self) {
        let mut jobs = self.lock();
        let mut ended: Vec<(Timestamp, JobId)> = jobs
            .values()
            .filter(|entry| is_final(entry.job.state))
            .map(|entry| (entry.job.created_at, entry.job.id.clone()))
            .collect();
        ended.sort_unstable();
        let excess = ended.len().saturating_sub(KEPT);
        for (_, id) in ended.into_iter().take(excess) {
            jobs.remove(&id);
            self.0.told.remove(id.as_str());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Entry>> {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_final(state: JobState) -> bool {
    matches!(
        state,
        JobState::Done | JobState::Failed | JobState::Cancelled
    )
}

fn finish(job: &mut Job, outcome: Result<Option<String>, Failure>) {
    job.finished_at = Some(Timestamp::now());
    job.cancellable = false;
    match outcome {
        Ok(result) => {
            job.state = JobState::Done;
            job.percent = Some(100.0);
            "Done".clone_into(&mut job.message);
            job.result = result;
        }
        Err(failure) => {
            let problem: Option<Problem> = failure.problem(job.id.as_str());
            job.state = if problem.is_some() {
                JobState::Failed
            } else {
                JobState::Cancelled
            };
            job.message = problem
                .as_ref()
                .map_or_else(|| "Cancelled".to_owned(), |p| p.detail.clone());
            job.problem = problem;
        }
    }
}

fn new_id() -> JobId {
    let mut id = format!(
        "{:x}-{}",
        Timestamp::now().as_millisecond(),
        crate::live::new_epoch()
    );
    loop {
        // Always of the right letters; the loop is for the type.
        match JobId::parse(&id) {
            Ok(id) => return id,
            Err(_) => "job".clone_into(&mut id),
        }
    }
}
