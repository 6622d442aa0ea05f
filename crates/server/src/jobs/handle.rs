//! What a job's own work sees of the registry: tell how far it is, notice that it shall stop.

use tokio_util::sync::CancellationToken;

use api::{id::JobId, job::JobStep};

use super::{Failure, registry::Jobs};

/// A job's own end of the registry.
#[derive(Debug, Clone)]
pub struct JobHandle {
    pub(super) jobs: Jobs,
    pub(super) id: JobId,
    pub(super) cancel: CancellationToken,
}

impl JobHandle {
    /// The job's id.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// Says what is being done now.
    pub fn message(&self, text: impl Into<String>) {
        let text = text.into();
        self.log(text.as_str());
        self.jobs.progress(&self.id, |job| job.message = text);
    }

    /// Adds a line to the job's log, unless it is the last one again.
    pub fn log(&self, text: &str) {
        self.jobs.log_line(&self.id, text);
    }

    /// Says how far it is: 0 to 100.
    pub fn percent(&self, percent: f64) {
        self.jobs.progress(&self.id, |job| {
            job.percent = Some(percent.clamp(0.0, 100.0));
        });
    }

    /// Says how far one part is; a part that is not there yet is added.
    pub fn step(&self, id: &str, status: &str, current: Option<u64>, total: Option<u64>) {
        let mut news = false;
        self.jobs.progress(&self.id, |job| {
            news = job
                .steps
                .iter()
                .all(|step| step.id != id || step.status != status);
            match job.steps.iter_mut().find(|step| step.id == id) {
                Some(step) => {
                    status.clone_into(&mut step.status);
                    step.current = current.or(step.current);
                    step.total = total.or(step.total);
                }
                None => {
                    job.steps.push(JobStep {
                        id: id.to_owned(),
                        status: status.to_owned(),
                        current,
                        total,
                    });
                }
            }
        });
        if news {
            self.log(&format!("{id}: {status}"));
        }
    }

    /// Ends when the job shall stop.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Does a piece of work unless the job shall stop.
    ///
    /// # Errors
    /// [`Failure::Cancelled`], or the work's own.
    pub async fn unless_cancelled<T, E: Into<Failure>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.cancelled() => Err(Failure::Cancelled),
            done = work => done.map_err(Into::into),
        }
    }

    /// # Errors
    /// [`Failure::Cancelled`] when the job shall stop.
    pub fn check(&self) -> Result<(), Failure> {
        if self.cancel.is_cancelled() {
            Err(Failure::Cancelled)
        } else {
            Ok(())
        }
    }
}
