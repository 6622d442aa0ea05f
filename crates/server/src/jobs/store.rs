//! Jobs on disk: one row each, the job as JSON.

use api::job::Job;
use rusqlite::Connection;

/// The table, made if it is not there.
pub const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS job (
    id TEXT PRIMARY KEY,
    created_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;";

/// Rows kept.
const KEPT: i64 = 100;

/// Puts a job's state and forgets the oldest.
///
/// # Errors
/// SQLite's own.
pub fn save_job(connection: &Connection, job: &Job) -> rusqlite::Result<()> {
    let body = serde_json::to_string(job)
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    connection.execute(
        "INSERT INTO job (id, created_ms, body) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE SET body = ?3",
        (job.id.as_str(), job.created_at.as_millisecond(), body),
    )?;
    connection.execute(
        "DELETE FROM job WHERE id NOT IN (SELECT id FROM job ORDER BY created_ms DESC LIMIT ?1)",
        [KEPT],
    )?;
    Ok(())
}

/// All jobs kept; a row that cannot be read is left out.
///
/// # Errors
/// SQLite's own.
pub fn load_jobs(connection: &Connection) -> rusqlite::Result<Vec<Job>> {
    let mut statement = connection.prepare("SELECT body FROM job ORDER BY created_ms")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    rows.filter_map(|row| match row {
        Ok(body) => serde_json::from_str(&body).ok().map(Ok),
        Err(error) => Some(Err(error)),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use api::{job::JobKind, job::JobState, problem::ProblemCode};
    use tokio_util::{sync::CancellationToken, task::TaskTracker};

    use super::*;
    use crate::{
        jobs::{Failure, Jobs, NewJob},
        live::{Ledger, Pulse},
    };

    type Disk = Arc<Mutex<Connection>>;

    fn disk() -> Disk {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        Arc::new(Mutex::new(connection))
    }

    async fn open(disk: &Disk) -> (Jobs, TaskTracker) {
        let earlier = load_jobs(&disk.lock().unwrap()).unwrap();
        let (tasks, disk) = (TaskTracker::new(), disk.clone());
        let save = Arc::new(
            move |job: Job| -> futures_util::future::BoxFuture<'static, ()> {
                save_job(&disk.lock().unwrap(), &job).unwrap();
                Box::pin(async {})
            },
        );
        let stop = CancellationToken::new();
        (
            Jobs::open(
                earlier,
                Ledger::new(Pulse::default()),
                save,
                tasks.clone(),
                stop,
            )
            .await,
            tasks,
        )
    }

    fn new(title: &str) -> NewJob {
        NewJob {
            kind: JobKind::Pull,
            title: title.to_owned(),
            engine: None,
            started_by: None,
        }
    }

    async fn ended(tasks: &TaskTracker) {
        tasks.close();
        tokio::time::timeout(std::time::Duration::from_secs(5), tasks.wait())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn what_was_running_is_interrupted_after_a_restart() {
        let disk = disk();
        let (jobs, _) = open(&disk).await;
        let started = Arc::new(tokio::sync::Notify::new());
        let told = started.clone();
        let job = jobs
            .start(new("never ends"), |_| async move {
                told.notify_one();
                std::future::pending().await
            })
            .await
            .unwrap();
        started.notified().await;
        // The server is gone without a word; the next one reads the same disk.
        let (jobs, _) = open(&disk).await;
        let job = jobs.get(&job.id).unwrap();
        assert_eq!(job.state, JobState::Failed);
        assert!(job.problem.unwrap().detail.starts_with("interrupted"));
        assert_eq!(
            load_jobs(&disk.lock().unwrap()).unwrap()[0].state,
            JobState::Failed
        );
    }

    #[tokio::test]
    async fn a_job_ends_as_its_work_does() {
        let (jobs, tasks) = open(&disk()).await;
        let good = jobs
            .start(new("good"), |_| async { Ok(Some("x".to_owned())) })
            .await
            .unwrap();
        let bad = jobs
            .start(new("bad"), |_| async {
                Err(Failure::new(ProblemCode::NotFound, "no"))
            })
            .await
            .unwrap();
        let broken = jobs
            .start(new("broken"), |_| async { panic!("on purpose") })
            .await
            .unwrap();
        let cancelled = jobs
            .start(new("cancelled"), |handle| async move {
                handle.cancelled().await;
                Err(Failure::Cancelled)
            })
            .await
            .unwrap();
        jobs.cancel(&cancelled.id).unwrap();
        ended(&tasks).await;
        assert_eq!(jobs.get(&good.id).unwrap().result.as_deref(), Some("x"));
        assert_eq!(
            jobs.get(&bad.id).unwrap().problem.unwrap().code,
            ProblemCode::NotFound
        );
        assert_eq!(
            jobs.get(&broken.id).unwrap().problem.unwrap().code,
            ProblemCode::Internal
        );
        assert_eq!(jobs.get(&cancelled.id).unwrap().state, JobState::Cancelled);
        assert!(jobs.cancel(&good.id).is_err());
    }
}
